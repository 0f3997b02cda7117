//! VMDK (VMware's Virtual Disk Format 5.0, QEMU's `block/vmdk.c`), little-endian: a sparse header with a text in it
//! that describes the disk, or that text alone, which names files.
//!
//! In an image of one file, QEMU reads the header, or the footer if there is one, and looks for a parent in what
//! follows the header. The text's other lines, extents included, count if the header's capacity is 0.

mod descriptor;
mod footer;

use crate::enums::named_enum;
use crate::format::Format;
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
    let (offset, rule) =
        if magic == MAGIC_ESX { (DESCRIPTOR_OFFSET, Rule::VmdkType) } else { (0, Rule::VmdkExtent) };
    descriptor::check_parent(&view.upto(offset, PARENT_BYTES)?)?;
    let text = description(view, Format::Vmdk)?.unwrap_or_default();
    Err(Refusal::new(rule, text).into())
}

/// Returns what a vmdk without data of its own is, with the files that it names and the command that makes one file;
/// `None` for one with a sparse header, and for an image of another format.
pub(crate) fn description(view: &mut View<'_>, format: Format) -> Result<Option<String>, Stop> {
    if format != Format::Vmdk || view.upto(0, MAGIC.len())? == MAGIC {
        return Ok(None);
    }
    if view.upto(0, MAGIC_ESX.len())? == MAGIC_ESX {
        return Ok(Some(format!("the vmdk is one sparse extent of ESX, without its descriptor: {ONE_FILE}")));
    }
    let names = descriptor::extents(&view.upto(0, PARENT_BYTES)?);
    let names = if names.is_empty() { "other files".to_owned() } else { names };
    Ok(Some(format!("the vmdk is only a descriptor, a text; its data is in {names}: {ONE_FILE}")))
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
            let text = format!(
                "the vmdk is of version {}; 1 to 3 are known: export it as streamOptimized",
                self.version
            );
            return Err(Refusal::new(Rule::MalformedHeader, text));
        }
        if self.compression > DEFLATE {
            let text = format!(
                "the vmdk is compressed by the unknown method {}: export it as streamOptimized",
                self.compression
            );
            return Err(Refusal::new(Rule::UnknownFeature, text));
        }
        if self.descriptor == 0 {
            let text = format!("the vmdk is one extent of a disk, without its descriptor: {ONE_FILE}");
            return Err(Refusal::new(Rule::VmdkDescriptor, text));
        }
        if self.descriptor != DESCRIPTOR_OFFSET / SECTOR as u64 {
            return Err(Refusal::new(Rule::VmdkDescriptor, "the vmdk's descriptor is not behind its header"));
        }
        // With a capacity of 0, QEMU uses the descriptor's extents as the disk. Nova's inspector does not check this.
        if self.capacity == 0 {
            return Err(Refusal::new(
                Rule::VmdkExtent,
                format!("the vmdk has no data of its own: {ONE_FILE}"),
            ));
        }
        Ok(())
    }
}

fn too_large() -> Refusal {
    Refusal::new(Rule::VirtualSize, "the vmdk makes a disk of more than 2^64 bytes")
}

/// What makes one file of a disk in several.
const ONE_FILE: &str =
    "where all files of the disk are, run qemu-img convert -f vmdk -O qcow2 DESCRIPTOR NEW";
/// The only method of compression; 0 is none.
const DEFLATE: u16 = 1;
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
