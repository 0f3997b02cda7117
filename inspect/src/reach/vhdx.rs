//! The regions and the block allocation table of VHDX ([MS-VHDX] 2.2 to 2.5), little-endian. QEMU also refuses a block
//! that begins behind the end of the image (`vhdx_check_bat_entries`). It does not refuse one that is cut, because its
//! own fixed images end with the disk, within their last block.

use super::{Reach, Table};
use crate::vhdx::{
    BLOCK_TABLE_REGION, FILE_PARAMETERS, Guid, METADATA, METADATA_REGION, REGION_TABLE_OFFSET, REGIONS,
    Table as Items,
};
use crate::view::{Stop, le32, le64};

/// Checks that the log, all regions and all blocks lie within the image. `disk_bytes` is the length of the disk.
pub(super) fn check(reach: &mut Reach<'_, '_>, disk_bytes: u64) -> Result<(), Stop> {
    check_log(reach)?;
    let regions = Items::read(reach.view, &REGIONS, REGION_TABLE_OFFSET)?;
    for region in regions.entries() {
        reach.within("region", le64(region, 16), u64::from(le32(region, 24)))?;
    }
    // An image without the table has no data, and QEMU does not open it.
    let Some(region) = regions.entry(&BLOCK_TABLE_REGION)? else { return Ok(()) };
    let blocks = Blocks::read(reach, le64(regions.required(&METADATA_REGION)?, 16))?;
    let table = Table {
        what: "block allocation table",
        offset: le64(region, 16),
        entries: blocks.table_entries(disk_bytes),
    };
    reach.each(table, |reach, index, entry| {
        let entry = u64::from_le_bytes(entry);
        if !PRESENT.contains(&(entry & STATE_BITS)) {
            return Ok(());
        }
        Ok(reach.within("block", entry & OFFSET_BITS, blocks.bytes_at(index, disk_bytes))?)
    })
}

/// Checks the log that the newer of the two headers names.
fn check_log(reach: &mut Reach<'_, '_>) -> Result<(), Stop> {
    let mut newest = None;
    for offset in HEADERS {
        let header = reach.view.upto(offset, HEADER_BYTES)?;
        let sequence = le64(&header, 8);
        if header.starts_with(b"head") && newest.as_ref().is_none_or(|&(newer, _)| newer < sequence) {
            newest = Some((sequence, header));
        }
    }
    match newest {
        Some((_, header)) => Ok(reach.within("log", le64(&header, 72), u64::from(le32(&header, 68)))?),
        None => Ok(()),
    }
}

/// The blocks of the disk.
struct Blocks {
    bytes: u64,
    /// The number of blocks whose sectors one bitmap block describes.
    chunk: u64,
}

impl Blocks {
    /// Reads the metadata at `base`.
    fn read(reach: &mut Reach<'_, '_>, base: u64) -> Result<Self, Stop> {
        let metadata = Items::read(reach.view, &METADATA, base)?;
        let mut item = |id| {
            let offset = base.saturating_add(u64::from(le32(metadata.required(id)?, 16)));
            let item = reach.view.exactly("VHDX metadata", offset, 4)?;
            Ok::<_, Stop>(u64::from(le32(&item, 0)))
        };
        let (bytes, sector) = (item(&FILE_PARAMETERS)?, item(&LOGICAL_SECTOR_SIZE)?);
        if !bytes.is_power_of_two() || !BLOCK_BYTES.contains(&bytes) || !SECTORS.contains(&sector) {
            return Err(reach.malformed(&format!("has blocks of {bytes} bytes, and sectors of {sector}")));
        }
        Ok(Self { bytes, chunk: BITMAP_BLOCK_BYTES * 8 * sector / bytes })
    }

    /// Returns the number of entries of the table: a bitmap's follows those of each chunk but the last.
    fn table_entries(&self, disk_bytes: u64) -> u64 {
        let blocks = disk_bytes.div_ceil(self.bytes);
        blocks + blocks.saturating_sub(1) / self.chunk
    }

    /// Returns the bytes of a block that have to be there: of a bitmap all, and of the last block those of the disk.
    fn bytes_at(&self, index: u64, disk_bytes: u64) -> u64 {
        let (chunk, within) = (index / (self.chunk + 1), index % (self.chunk + 1));
        if within == self.chunk {
            return BITMAP_BLOCK_BYTES;
        }
        let at = (chunk * self.chunk + within).saturating_mul(self.bytes);
        disk_bytes.saturating_sub(at).min(self.bytes)
    }
}

const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const HEADER_BYTES: usize = 80;
const STATE_BITS: u64 = 7;
/// In MiB.
const OFFSET_BITS: u64 = !0xF_FFFF;
/// Fully and partially. Blocks in other states have no data, whatever their place.
const PRESENT: [u64; 2] = [6, 7];
const BITMAP_BLOCK_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;
const SECTORS: [u64; 2] = [512, 4096];

/// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F
const LOGICAL_SECTOR_SIZE: Guid =
    [0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47, 0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F];
