//! VMDK (VMware's Virtual Disk Format 5.0, QEMU's `block/vmdk.c`), little-endian: a sparse header with a text in it
//! that describes the disk, or that text alone, which names files.
//!
//! In an image of one file, QEMU reads the header, or the footer if there is one, and looks for a parent in what
//! follows the header. The text's other lines, extents included, count if the header's capacity is 0.

mod descriptor;
mod footer;

use crate::enums::named_enum;
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le16, le32, le64};

named_enum! {
    /// The accepted kinds of vmdk by `createType`: those that hold all of their data. Both are in Nova's default
    /// `[compute] vmdk_allowed_types`.
    pub enum VmdkType {
        /// Compressed, for streaming.
        StreamOptimized => "streamOptimized",
        /// One file that grows.
        MonolithicSparse => "monolithicSparse",
    }
}

/// Checks the header, the descriptor and the footer, and returns the disk's length in bytes.
pub(crate) fn check(view: &mut View<'_>, allowed: &[VmdkType]) -> Result<u64, Stop> {
    let magic = view.upto(0, MAGIC.len())?;
    if magic == MAGIC {
        return check_sparse(view, allowed);
    }
    // A text that describes a disk is at the beginning. In an extent of ESX, QEMU reads what is at the descriptor's
    // offset.
    let (offset, rule, text) = if magic == MAGIC_ESX {
        (DESCRIPTOR_OFFSET, Rule::VmdkType, "the vmdk is a sparse extent of ESX")
    } else {
        (0, Rule::VmdkExtent, "the vmdk is a text that names files of the host as its data")
    };
    descriptor::check_parent(&view.upto(offset, PARENT_BYTES)?)?;
    Err(Refusal::new(rule, text).into())
}

fn check_sparse(view: &mut View<'_>, allowed: &[VmdkType]) -> Result<u64, Stop> {
    let header = Header::read(&view.exactly("vmdk header", 0, SECTOR)?);
    let sectors = usize::try_from(header.descriptor_sectors).unwrap_or(usize::MAX);
    let bytes = sectors.saturating_mul(SECTOR).min(DESCRIPTOR_MAX);
    descriptor::check_parent(&view.upto(DESCRIPTOR_OFFSET, bytes.max(PARENT_BYTES))?)?;
    header.check()?;
    descriptor::check(&view.exactly("vmdk descriptor", DESCRIPTOR_OFFSET, bytes)?, allowed)?;
    if header.directory == AT_END {
        footer::check(view, header)?;
    }
    header.capacity.checked_mul(SECTOR as u64).ok_or_else(|| too_large().into())
}

/// The fields of the sparse header that are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    flags: u32,
    /// The disk's length in sectors.
    capacity: u64,
    /// The sector at which the descriptor begins.
    descriptor: u64,
    descriptor_sectors: u64,
    /// The position of the grain directory.
    directory: u64,
    compression: u16,
}

impl Header {
    fn read(sector: &[u8]) -> Self {
        Self {
            version: le32(sector, 4),
            flags: le32(sector, 8),
            capacity: le64(sector, 12),
            descriptor: le64(sector, 28),
            descriptor_sectors: le64(sector, 36),
            directory: le64(sector, 56),
            compression: le16(sector, 77),
        }
    }

    fn check(self) -> Result<(), Refusal> {
        if !(1..=3).contains(&self.version) {
            return Err(Refusal::new(Rule::MalformedHeader, format!("vmdk version {}", self.version)));
        }
        if self.descriptor != DESCRIPTOR_OFFSET / SECTOR as u64 {
            return Err(Refusal::new(Rule::VmdkDescriptor, "the vmdk's descriptor is not behind its header"));
        }
        // With a capacity of 0, QEMU uses the descriptor's extents as the disk. Nova's inspector does not check this.
        if self.capacity == 0 {
            return Err(Refusal::new(Rule::VmdkExtent, "the vmdk has no data of its own"));
        }
        Ok(())
    }
}

fn too_large() -> Refusal {
    Refusal::new(Rule::VirtualSize, "the vmdk makes a disk of more than 2^64 bytes")
}

const MAGIC: &[u8] = b"KDMV";
const MAGIC_ESX: &[u8] = b"COWD";
const SECTOR: usize = 512;
/// QEMU looks for a parent here, even if the header names another place.
const DESCRIPTOR_OFFSET: u64 = 0x200;
/// QEMU's limit.
const DESCRIPTOR_MAX: usize = (1 << 20) - 1;
/// Bytes that QEMU searches for a parent (`DESC_SIZE`), whatever the length in the header.
const PARENT_BYTES: usize = 20 * SECTOR;
const AT_END: u64 = u64::MAX;
