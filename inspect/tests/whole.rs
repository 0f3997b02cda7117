//! An image is whole: what its own tables name lies within it. Each table of each format, cut off or with an entry that
//! points beyond the end; what looks cut and is sound; tables that cost as much time as they can; and disks that say
//! that they are longer.

mod images;

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use glancecast_inspect::{CheckError, Claim, Facts, HEAD_BYTES, Limits, Refusal, Rule, check, check_head};
use images::full::{
    QCOW2_BITMAPS, QCOW2_COMPRESSED, QCOW2_DATA, QCOW2_L1, QCOW2_REFCOUNTS, QCOW2_SNAPSHOTS, STREAM_GRAIN,
    VDI_BLOCK, VHD_BLOCK, VHDX_TABLE, VMDK_DIRECTORY, VMDK_REDUNDANT, full_qcow2, full_stream_vmdk, full_vdi,
    full_vhd, full_vhdx, full_vmdk,
};
use images::{VHDX_METADATA, iso, put, with};

#[test]
fn a_whole_image_of_each_format_passes() {
    for (name, image) in full_images() {
        judge(&image).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        // What follows an image is nobody's.
        if !matches!(name, "stream" | "vhd") {
            judge(&[image, vec![7; 5000]].concat())
                .unwrap_or_else(|refusal| panic!("{name}, longer: {refusal}"));
        }
    }
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_refused() {
    for (name, image) in full_images() {
        let step = if image.len() > 1 << 20 { 4093 } else { 1 };
        // The last byte of a VHD's footer is reserved, and Virtual PC did not always write it.
        let end = image.len() - usize::from(name == "vhd");
        for bytes in (512..end).step_by(step).chain([end - 1]) {
            let refusal = judge(&image[..bytes]).expect_err(name);
            // What ends within its header or its descriptor breaks the rule that is for those.
            let has_header = bytes >= if name == "vhdx" { VHDX_TABLE } else { 4096 };
            assert!(refusal.rule == Rule::CutShort || !has_header, "{name} of {bytes} bytes: {refusal}");
        }
    }
}

#[test]
fn the_message_says_what_is_missing_and_what_to_do() {
    let text = judge(&full_vdi()[..1200]).unwrap_err().to_string();
    assert_eq!(
        text,
        "the vdi is cut short: its block reaches to byte 1536, and it ends after 1200 bytes; fetch or upload it again, \
         and compare its length and its checksum with those of its publisher (rule cut-short)"
    );
}

#[test]
fn an_entry_of_any_table_that_points_beyond_the_end_is_refused() {
    let be = |value: u64| value.to_be_bytes().to_vec();
    let with_size = with(full_qcow2(), 7 * 512 + 36, &16u32.to_be_bytes());
    let with_size = with(with_size, 7 * 512 + 48, &(32u64 << 10).to_be_bytes());
    judge(&with_size).unwrap();
    for (what, image, at, entry) in [
        ("data", with(with_size, 88, &[0; 8])[..13 * 512 + 100].to_vec(), 9 * 512 + 8, be(13 * 512)),
        ("L1 table", full_qcow2(), QCOW2_L1, be(1 << 20)),
        ("L1 table", full_qcow2(), QCOW2_L1, be(u64::MAX)),
        ("L1 table", full_qcow2(), QCOW2_L1, be(14 * 512 - 4)),
        ("refcount table", full_qcow2(), QCOW2_REFCOUNTS, be(14 * 512)),
        ("table of snapshots", full_qcow2(), QCOW2_SNAPSHOTS, be(14 * 512)),
        ("table of snapshots", full_qcow2(), 7 * 512 + 36, u32::MAX.to_be_bytes().to_vec()),
        ("L1 table of a snapshot", full_qcow2(), 7 * 512, be(14 * 512)),
        ("L1 table of a snapshot", full_qcow2(), 7 * 512 + 8, (1u32 << 20).to_be_bytes().to_vec()),
        ("L2 table", full_qcow2(), 512, be(14 * 512)),
        ("L2 table", full_qcow2(), 8 * 512, be(14 * 512)),
        ("refcount block", full_qcow2(), 1024, be(14 * 512)),
        ("data", full_qcow2(), QCOW2_DATA, be(14 * 512)),
        ("data", full_qcow2(), QCOW2_DATA, be(0x00FF_FFFF_FFFF_FE00)),
        ("data", full_qcow2(), QCOW2_DATA, be((14 * 512) | 1)),
        ("compressed data", full_qcow2(), QCOW2_COMPRESSED, be((1 << 62) | (14 * 512 + 5))),
        ("compressed data", full_qcow2(), QCOW2_COMPRESSED, be((3 << 61) | (13 * 512 + 5))),
        ("data", full_qcow2(), 9 * 512 + 8, be(14 * 512)),
        ("directory of bitmaps", full_qcow2(), QCOW2_BITMAPS, be(14 * 512)),
        ("directory of bitmaps", full_qcow2(), 128, be(1 << 20)),
        ("table of a bitmap", full_qcow2(), 11 * 512, be(14 * 512)),
        ("bitmap", full_qcow2(), 12 * 512, be(14 * 512)),
        ("grain directory", full_vmdk(), 56, le(24)),
        ("grain directory", full_vmdk(), 56, le(1 << 60)),
        ("redundant grain directory", full_vmdk(), 48, le(24)),
        ("header", full_vmdk(), 64, le(25)),
        ("grain table", full_vmdk(), VMDK_DIRECTORY, vec![21]),
        ("grain table", full_vmdk(), VMDK_REDUNDANT, vec![21]),
        ("grain", full_vmdk(), 7 * 512, vec![17]),
        ("grain", full_vmdk(), 11 * 512 + 4, vec![0xFF; 4]),
        ("grain", full_stream_vmdk(), STREAM_GRAIN + 8, vec![0, 0, 1]),
        ("grain", full_stream_vmdk(), 7 * 512, vec![17]),
        ("grain directory", full_stream_vmdk(), 15 * 512 + 56, vec![17]),
        ("dynamic header", full_vhd(), 16, be(1 << 20)),
        ("block allocation table", full_vhd(), 512 + 28, vec![1]),
        ("block", full_vhd(), VHD_BLOCK, vec![0, 0, 0, 6]),
        ("block", full_vhd(), VHD_BLOCK + 4, vec![0xFF, 0xFF, 0xFF, 0xFE]),
        ("block map", full_vdi(), 0x180, vec![0, 2]),
        ("block", full_vdi(), VDI_BLOCK, vec![1]),
        ("block", full_vdi(), 512, vec![0xFD, 0xFF, 0xFF, 0xFF]),
        ("log", full_vhdx(), (64 << 10) + 72, le(4 << 20)),
        ("region", full_vhdx(), (192 << 10) + 48 + 24, vec![1, 8]),
        ("region", full_vhdx(), (192 << 10) + 16 + 24, vec![0, 0, 0, 0xFF]),
        ("block", full_vhdx(), VHDX_TABLE + 8, le((3 << 20) | 6)),
        ("block", full_vhdx(), VHDX_TABLE + 8, le(u64::MAX)),
    ] {
        let refusal = judge(&with(image, at, &entry)).expect_err(what);
        assert_eq!(refusal.rule, Rule::CutShort, "{what} at {at}: {refusal}");
        assert!(refusal.text.contains(&format!("its {what} ")), "{what} at {at}: {refusal}");
    }
}

/// Each of these ends before a place that some entry names, and nothing of the disk is missing.
#[test]
fn an_image_that_lacks_no_byte_of_its_disk_is_not_cut() {
    // The tail of the last cluster is behind the end of the disk.
    let unaligned =
        with(with(full_qcow2(), QCOW2_DATA, &[0; 16]), QCOW2_DATA + 63 * 8, &(13u64 * 512).to_be_bytes());
    let unaligned = with(unaligned, 24, &((32u64 << 10) - 400).to_be_bytes());
    judge(&with(unaligned, 88, &[0; 8])[..13 * 512 + 112]).unwrap();
    // A compressed cluster is counted in sectors, and the last one may be shorter.
    let packed = with(full_qcow2(), QCOW2_COMPRESSED, &((1u64 << 62) | (13 * 512 + 5)).to_be_bytes());
    judge(&with(packed, 88, &[0; 8])[..13 * 512 + 6]).unwrap();
    // Without the autoclear bit the bitmaps are left over from a program that knew them.
    judge(&with(full_qcow2(), 88, &[0; 8])[..11 * 512]).unwrap();
    // Blocks that are not present have no place, whatever their entry says.
    judge(&with(full_vhdx(), VHDX_TABLE + 8, &((1u64 << 40) | 3).to_le_bytes())).unwrap();
    // The second entry of a stream is not there, and 1 is a grain of zeros.
    judge(&with(full_vmdk(), 7 * 512 + 4, &[1])).unwrap();
    // QEMU's own fixed VHDX ends with its disk.
    let fixed = with(full_vhdx(), VHDX_METADATA + (64 << 10) + 8, &1000u64.to_le_bytes());
    judge(&with(fixed, VHDX_TABLE, &((3u64 << 20) | 6).to_le_bytes())).unwrap();
}

#[test]
fn a_table_that_is_not_where_tables_are_is_refused() {
    for (at, entry) in [(512, 2048 + 4096 + 8), (1024, 0x1700), (QCOW2_DATA, 5 * 512)] {
        // In clusters of 1 KiB no cluster begins at an odd sector.
        let image =
            with(with(full_qcow2(), 20, &10u32.to_be_bytes()), at, &(entry as u64 | 512).to_be_bytes());
        let refusal = judge(&[image, vec![0; 1 << 20]].concat()).unwrap_err();
        assert_eq!(refusal.rule, Rule::MalformedHeader, "{refusal}");
    }
}

#[test]
fn tables_that_no_sound_image_has_are_refused() {
    for (image, at, value) in [
        (full_qcow2(), 36, vec![0, 0x40, 0, 1]),
        (full_qcow2(), 56, vec![0, 0, 0x40, 1]),
        (full_qcow2(), 60, vec![0, 1, 0, 1]),
        (full_qcow2(), 120, vec![0, 1, 0, 0]),
        (full_vmdk(), 20, le(0)),
        (full_vmdk(), 20, le(u64::MAX)),
        (full_vmdk(), 44, vec![0; 4]),
        (full_vmdk(), 44, vec![1, 2]),
        (full_vhd(), 512, vec![0]),
        (full_vhd(), 512 + 32, vec![0; 4]),
        (full_vhdx(), VHDX_METADATA + (64 << 10), vec![1]),
        (full_vhdx(), VHDX_METADATA + (64 << 10) + 16, vec![1, 0]),
    ] {
        let refusal = judge(&with(image, at, &value)).expect_err("malformed");
        assert_eq!(refusal.rule, Rule::MalformedHeader, "{at}: {refusal}");
    }
}

/// The file is sparse and as long as a file can be, every entry of a full L1 table names an L2 table of 2 MiB, and no
/// two name the same one. The disk needs two of them.
#[test]
fn absurd_tables_cost_a_bounded_number_of_reads() {
    let mut l1 = Vec::new();
    for index in 0..4u64 << 20 {
        l1.extend((((index + 64) << 21) & 0x00FF_FFFF_FFFF_FE00).to_be_bytes());
    }
    let header =
        with(with(full_qcow2()[..512].to_vec(), 20, &21u32.to_be_bytes()), 36, &(4u32 << 20).to_be_bytes());
    let header = with(with(header, QCOW2_L1, &(2u64 << 20).to_be_bytes()), 56, &[0; 12]);
    let header = with(header, 24, &(1u64 << 40).to_be_bytes());
    let mut image = Sparse { pieces: vec![(0, header), (2 << 20, l1)], len: 1 << 62, at: 0, read: 0 };
    let refusal = refusal(check(&mut image, Claim::Nothing, &Limits::default()).unwrap_err());
    assert_eq!(refusal.rule, Rule::MalformedHeader, "{refusal}");
    assert!(image.read <= (1 << 30) + (64 << 20), "{} bytes were read", image.read);
}

#[test]
fn a_table_that_is_named_a_million_times_is_read_once() {
    let mut header = full_qcow2()[..512].to_vec();
    put(&mut header, 20, &16u32.to_be_bytes());
    put(&mut header, 24, &(1u64 << 40).to_be_bytes());
    put(&mut header, 36, &(1u32 << 20).to_be_bytes());
    put(&mut header, QCOW2_L1, &(1u64 << 20).to_be_bytes());
    put(&mut header, 56, &[0; 12]);
    put(&mut header, 88, &[0; 8]);
    let l1 = (1u64 << 16).to_be_bytes().repeat(1 << 20);
    let mut image = Sparse { pieces: vec![(0, header), (1 << 20, l1)], len: 10 << 20, at: 0, read: 0 };
    check(&mut image, Claim::Nothing, &Limits::default()).unwrap();
    assert!(image.read < 9 << 20, "{} bytes were read", image.read);

    // A sound vmdk has no table twice.
    let mut image = full_vmdk();
    put(&mut image, 12, &(1u64 << 31).to_le_bytes());
    put(&mut image, 56, &24u64.to_le_bytes());
    put(&mut image, 8, &1u32.to_le_bytes());
    image.extend(7u32.to_le_bytes().repeat(1 << 19));
    let refusal = judge(&image).unwrap_err();
    assert_eq!(refusal.rule, Rule::MalformedHeader, "{refusal}");
}

/// 2 TiB in clusters of 2 KiB, whose tables are the longest that QEMU opens, and each of them is there.
#[test]
fn the_longest_tables_of_a_sound_image_are_not_refused() {
    let mut header = full_qcow2()[..512].to_vec();
    put(&mut header, 20, &11u32.to_be_bytes());
    put(&mut header, 24, &(2u64 << 40).to_be_bytes());
    put(&mut header, 36, &(4u32 << 20).to_be_bytes());
    put(&mut header, QCOW2_L1, &(64u64 << 20).to_be_bytes());
    put(&mut header, 56, &[0; 12]);
    put(&mut header, 88, &[0; 8]);
    let l1: Vec<u8> = (0..4u64 << 20).flat_map(|index| ((128 << 20) + (index << 11)).to_be_bytes()).collect();
    let mut image = Sparse { pieces: vec![(0, header), (64 << 20, l1)], len: 3 << 40, at: 0, read: 0 };
    check(&mut image, Claim::Nothing, &Limits::default()).unwrap();
    assert!(image.read > 8 << 30, "{} bytes were read", image.read);
}

#[test]
fn the_beginning_decides_only_if_all_tables_are_in_it() {
    for (name, image) in full_images() {
        let head = &image[..HEAD_BYTES.min(image.len())];
        let facts = check_head(head, image.len() as u64, Claim::Nothing, &LIMITS).unwrap();
        assert_eq!(facts.is_some(), image.len() <= HEAD_BYTES, "{name}");
    }
    // The tables are in the beginning, and what they name is not: it is known to be there, or not to be.
    let far = with(full_qcow2(), QCOW2_DATA, &(1u64 << 20).to_be_bytes());
    let mut head = far;
    head.resize(HEAD_BYTES, 0);
    let judged =
        |bytes: u64| check_head(&head, bytes, Claim::Nothing, &LIMITS).map_err(|refusal| refusal.rule);
    assert!(judged((1 << 20) + 512).unwrap().is_some());
    assert_eq!(judged((1 << 20) + 511), Err(Rule::CutShort));
}

#[test]
fn a_disk_that_says_it_is_longer_passes_with_a_warning() {
    for (what, mut disk) in disks() {
        let bytes = disk.len();
        assert_eq!(facts(&disk).overhang, None, "{what}: sound");
        disk.truncate(bytes - 512);
        let overhang = facts(&disk).overhang.unwrap_or_else(|| panic!("{what}: cut"));
        assert_eq!((overhang.disk_bytes, overhang.image_bytes), (bytes as u64, bytes as u64 - 512), "{what}");
        let text = overhang.to_string();
        assert!(text.contains(what) && text.contains("may be cut short"), "{text}");
        let head = check_head(&disk[..HEAD_BYTES.min(disk.len())], disk.len() as u64, Claim::Disk, &LIMITS);
        assert_eq!(head.unwrap().unwrap().overhang, Some(overhang), "{what}: by its beginning");
    }
}

#[test]
fn a_number_in_a_disk_that_overflows_is_only_a_long_disk() {
    for (what, disk) in disks() {
        for at in (0..disk.len().min(8192)).step_by(4) {
            let disk = with(disk.clone(), at, &[0xFF; 4]);
            if let Ok(facts) = check(&mut Cursor::new(&disk), Claim::Disk, &LIMITS) {
                assert!(
                    facts.overhang.is_none_or(|overhang| overhang.disk_bytes > disk.len() as u64),
                    "{what}"
                );
            }
        }
    }
}

/// Disks and discs that say how long they are, by what says so.
fn disks() -> Vec<(&'static str, Vec<u8>)> {
    let gpt = |sector: usize| {
        let mut disk = vec![0; 128 << 10];
        put(&mut disk, 446, &[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        put(&mut disk, 510, &[0x55, 0xAA]);
        put(&mut disk, sector, b"EFI PART");
        let last = disk.len() / sector - 1;
        put(&mut disk, sector + 32, &last.to_le_bytes());
        put(&mut disk, sector + 48, &(last - 5).to_le_bytes());
        disk
    };
    // With an entry in the table, as Nova wants one.
    let windows = |name: &[u8], at: usize, sector: &[u8], place: usize, sectors: u64| {
        let mut disk = vec![0; 128 << 10];
        put(&mut disk, 3, name);
        put(&mut disk, at, sector);
        put(&mut disk, place, &sectors.to_le_bytes());
        put(&mut disk, 446, &[0x80, 0, 2, 0, 0x07, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        put(&mut disk, 510, &[0x55, 0xAA]);
        disk
    };
    let mut mbr = vec![0; 128 << 10];
    put(&mut mbr, 446, &[0x80, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]);
    put(&mut mbr, 462, &[0, 0, 2, 0, 0x82, 0, 0, 0, 16, 0, 0, 0, 240, 0, 0, 0]);
    put(&mut mbr, 510, &[0x55, 0xAA]);
    let mut ext = vec![0; 128 << 10];
    put(&mut ext, 1024 + 4, &32u32.to_le_bytes());
    put(&mut ext, 1024 + 0x18, &2u32.to_le_bytes());
    put(&mut ext, 1024 + 0x38, &[0x53, 0xEF]);
    let mut xfs = vec![0; 128 << 10];
    put(&mut xfs, 0, b"XFSB\0\0\x10\0\0\0\0\0\0\0\0\x20");
    let mut squashfs = vec![0; 100_000];
    put(&mut squashfs, 0, b"hsqs");
    put(&mut squashfs, 28, &[4, 0]);
    put(&mut squashfs, 40, &100_000u64.to_le_bytes());
    let mut fat = vec![0; 128 << 10];
    put(&mut fat, 11, &[0, 2, 4, 1, 0, 2, 0, 2, 0, 1, 0xF8]);
    put(&mut fat, 54, b"FAT16   ");
    let mut fat32 = fat.clone();
    put(&mut fat32, 19, &[0, 0]);
    put(&mut fat32, 32, &256u32.to_le_bytes());
    put(&mut fat32, 54, b"\0\0\0");
    put(&mut fat32, 82, b"FAT32   ");
    let mut disc = iso();
    put(&mut disc, (32 << 10) + 80, &20u32.to_le_bytes());
    put(&mut disc, (32 << 10) + 128, &2048u16.to_le_bytes());
    vec![
        ("GPT", gpt(512)),
        ("GPT", gpt(4096)),
        ("partition of its boot sector", mbr),
        ("ext file system", ext),
        ("XFS", xfs),
        ("squashfs", squashfs),
        ("FAT", fat),
        ("FAT", fat32),
        ("NTFS", windows(b"NTFS    ", 11, &[0, 2], 40, 255)),
        ("exFAT", windows(b"EXFAT   ", 108, &[9], 72, 256)),
        ("volume of the disc", disc),
    ]
}

fn full_images() -> [(&'static str, Vec<u8>); 6] {
    [
        ("qcow2", full_qcow2()),
        ("vmdk", full_vmdk()),
        ("stream", full_stream_vmdk()),
        ("vhd", full_vhd()),
        ("vdi", full_vdi()),
        ("vhdx", full_vhdx()),
    ]
}

fn judge(image: &[u8]) -> Result<Facts, Refusal> {
    check(&mut Cursor::new(image), Claim::Nothing, &LIMITS).map_err(refusal)
}

fn facts(disk: &[u8]) -> Facts {
    check(&mut Cursor::new(disk), Claim::Disk, &LIMITS).expect("a disk")
}

fn refusal(error: CheckError) -> Refusal {
    match error {
        CheckError::Refused(refusal) => refusal,
        CheckError::Read(error) => panic!("memory can be read: {error}"),
    }
}

fn le(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// A long file with a few pieces of data. It counts the bytes that are read of it.
struct Sparse {
    pieces: Vec<(u64, Vec<u8>)>,
    len: u64,
    at: u64,
    read: u64,
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..len];
        buffer.fill(0);
        for (from, piece) in &self.pieces {
            let (start, end) = (self.at.max(*from), (self.at + len as u64).min(from + piece.len() as u64));
            if start < end {
                let piece = &piece[(start - from) as usize..(end - from) as usize];
                buffer[(start - self.at) as usize..][..piece.len()].copy_from_slice(piece);
            }
        }
        (self.at, self.read) = (self.at + len as u64, self.read + len as u64);
        Ok(len)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.len.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

const LIMITS: Limits<'static> = Limits {
    virtual_bytes_max: 2 << 40,
    vmdk_types: &glancecast_inspect::VmdkType::ALL,
    vhd: true,
    waived: &[],
};
