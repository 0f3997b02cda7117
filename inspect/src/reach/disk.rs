//! What a disk says about its own length: a partition table, the volume descriptor of a disc, or the superblock of a
//! file system. A disk that was cut off at its end may be meant so, and Nova takes it: this is a warning, not a rule.

use std::fmt;

use crate::format::Format;
use crate::mbr;
use crate::view::{Stop, View, be32, be64, le16, le32, le64};

/// A disk that says of itself that it is longer than its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhang {
    /// What says so.
    pub teller: &'static str,
    /// The length in bytes by that.
    pub disk_bytes: u64,
    /// The length of the image in bytes.
    pub image_bytes: u64,
}

impl fmt::Display for Overhang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { teller, disk_bytes, image_bytes } = self;
        write!(
            f,
            "{teller} reaches to byte {disk_bytes}, and the image ends after {image_bytes} bytes: it may be cut short; \
             compare its length and its checksum with those of its publisher"
        )
    }
}

/// Returns the first place where the disk says that it is longer than the image. Looks at no more than the beginning of
/// the image that decides its format.
pub(super) fn overhang(view: &mut View<'_>, format: Format) -> Result<Option<Overhang>, Stop> {
    let image_bytes = view.bytes();
    let head = view.upto(0, LOOKED_AT)?;
    let told = match format {
        Format::Iso => vec![volume(&view.upto(VOLUME_DESCRIPTOR, VOLUME_BYTES)?)],
        Format::Gpt => vec![gpt(&head, 512), gpt(&head, 4096), partition(&head), fat(&head), ntfs(&head)],
        _ => vec![gpt(&head, 512), gpt(&head, 4096), ext(&head), xfs(&head), squashfs(&head), fat(&head)],
    };
    let longer = told.into_iter().flatten().find(|&(_, bytes)| bytes > image_bytes);
    Ok(longer.map(|(teller, disk_bytes)| Overhang { teller, disk_bytes, image_bytes }))
}

/// What says how long the disk is, and the length in bytes.
type Told = (&'static str, u64);

/// The header of a GUID partition table (UEFI 2.10, 5.3.2) names the last sector of the disk, where its backup is.
fn gpt(head: &[u8], sector: u64) -> Option<Told> {
    let header = head.get(sector as usize..)?;
    let last = le64(header, 32).max(le64(header, 48));
    header.starts_with(b"EFI PART").then(|| {
        ("the backup of its GUID partition table (GPT)", last.saturating_add(1).saturating_mul(sector))
    })
}

/// The farthest end of a partition in the boot sector. The protective one of GPT may have any length.
fn partition(head: &[u8]) -> Option<Told> {
    let sector = head.get(..mbr::SECTOR_BYTES)?;
    if !mbr::is_boot_sector(sector) || mbr::fault(sector).is_some() {
        return None;
    }
    let entries =
        sector[446..510].chunks_exact(16).filter(|entry| entry[4] != 0 && entry[4] != GPT_PROTECTIVE);
    let ends = entries.map(|entry| (u64::from(le32(entry, 8)) + u64::from(le32(entry, 12))) * 512);
    ends.max().map(|end| ("a partition of its boot sector", end))
}

/// The superblock of ext2, ext3 and ext4 (Documentation/filesystems/ext4/super.rst).
fn ext(head: &[u8]) -> Option<Told> {
    let superblock = head.get(1024..)?;
    let has_64_bits = le32(superblock, 0x60) & EXT4_64BIT != 0;
    let high = if has_64_bits { u64::from(le32(superblock, 0x150)) << 32 } else { 0 };
    let (blocks, log_bytes) = (high | u64::from(le32(superblock, 4)), le32(superblock, 0x18));
    (le16(superblock, 0x38) == EXT_MAGIC && log_bytes <= 6)
        .then(|| ("its ext file system", blocks.saturating_mul(1024 << log_bytes)))
}

/// The superblock of XFS (fs/xfs/libxfs/xfs_format.h, `xfs_dsb`).
fn xfs(head: &[u8]) -> Option<Told> {
    head.starts_with(b"XFSB")
        .then(|| ("its XFS file system", be64(head, 8).saturating_mul(u64::from(be32(head, 4)))))
}

/// The superblock of squashfs 4 (fs/squashfs/squashfs_fs.h).
fn squashfs(head: &[u8]) -> Option<Told> {
    (head.starts_with(b"hsqs") && le16(head, 28) == 4).then(|| ("its squashfs file system", le64(head, 40)))
}

/// The boot sector of FAT (Microsoft's FAT specification 1.03, "Boot Sector and BPB").
fn fat(head: &[u8]) -> Option<Told> {
    let is_one = [54, 82].iter().any(|&at| head.get(at..).is_some_and(|name| name.starts_with(b"FAT")));
    let sectors = match le16(head, 19) {
        0 => u64::from(le32(head, 32)),
        few => u64::from(few),
    };
    is_one.then(|| ("its FAT file system", sectors * u64::from(le16(head, 11))))
}

/// The boot sectors of NTFS, which has a copy behind its last sector, and of exFAT (Microsoft's exFAT specification,
/// 3.1).
fn ntfs(head: &[u8]) -> Option<Told> {
    match head.get(3..11) {
        Some(b"NTFS    ") => {
            let sectors = le64(head, 40).saturating_add(1);
            Some(("its NTFS file system", sectors.saturating_mul(u64::from(le16(head, 11)))))
        }
        Some(b"EXFAT   ") if head.get(108).is_some_and(|&bits| bits <= 12) => {
            Some(("its exFAT file system", le64(head, 72).saturating_mul(1 << head[108])))
        }
        _ => None,
    }
}

/// The primary volume descriptor of a disc (ECMA-119, 8.4).
fn volume(descriptor: &[u8]) -> Option<Told> {
    let bytes = u64::from(le32(descriptor, 80)) * u64::from(le16(descriptor, 128));
    descriptor.starts_with(b"\x01CD001").then_some(("the volume of the disc", bytes))
}

const LOOKED_AT: usize = 8192;
const VOLUME_DESCRIPTOR: u64 = 32 << 10;
const VOLUME_BYTES: usize = 2048;
const GPT_PROTECTIVE: u8 = 0xEE;
const EXT_MAGIC: u16 = 0xEF53;
const EXT4_64BIT: u32 = 0x80;
