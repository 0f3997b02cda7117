//! The tables of a sparse VMDK (VMware's Virtual Disk Format 5.0, "Hosted Sparse Extents", "Stream-Optimized Compressed
//! Sparse Extents"), little-endian: grain directories, grain tables, and grains. All places are sectors.

use super::{Reach, Table};
use crate::view::{Stop, le32, le64};

/// Checks both grain directories, and what they name. The footer, if there is one, was checked before.
pub(super) fn check(reach: &mut Reach<'_, '_>) -> Result<(), Stop> {
    let mut header = reach.view.exactly("vmdk header", 0, SECTOR as usize)?;
    if le64(&header, DIRECTORY) == AT_END {
        let footer = reach.view.bytes().saturating_sub(FOOTER_FROM_END);
        header = reach.view.exactly("vmdk footer", footer, SECTOR as usize)?;
    }
    let extent = Extent::read(reach, &header)?;
    // QEMU opens no image that ends before its first grain.
    reach.within("header", 0, le64(&header, OVERHEAD).saturating_mul(SECTOR))?;
    extent.check_directory(reach, "grain directory", le64(&header, DIRECTORY))?;
    let redundant = le64(&header, REDUNDANT_DIRECTORY);
    if extent.flags & HAS_REDUNDANT_DIRECTORY != 0 && redundant != 0 && redundant != AT_END {
        extent.check_directory(reach, "redundant grain directory", redundant)?;
    }
    Ok(())
}

struct Extent {
    flags: u32,
    /// The lengths of the disk and of a grain in sectors.
    capacity: u64,
    grain: u64,
    /// The entries of a grain table.
    table_entries: u64,
}

impl Extent {
    fn read(reach: &Reach<'_, '_>, header: &[u8]) -> Result<Self, Stop> {
        let (grain, table_entries) = (le64(header, GRAIN), u64::from(le32(header, TABLE_ENTRIES)));
        if !(1..=GRAIN_MAX).contains(&grain) || !(1..=TABLE_ENTRIES_MAX).contains(&table_entries) {
            let text = format!("has grains of {grain} sectors, and grain tables of {table_entries} entries");
            return Err(reach.malformed(&text));
        }
        Ok(Self { flags: le32(header, FLAGS), capacity: le64(header, CAPACITY), grain, table_entries })
    }

    fn check_directory(
        &self,
        reach: &mut Reach<'_, '_>,
        what: &'static str,
        sector: u64,
    ) -> Result<(), Stop> {
        let entries = self.capacity.div_ceil(self.grain * self.table_entries);
        if entries > DIRECTORY_ENTRIES_MAX {
            return Err(reach.malformed(&format!("has a {what} of {entries} entries")));
        }
        let directory = Table { what, offset: sector.saturating_mul(SECTOR), entries };
        reach.each(directory, |reach, index, entry| {
            let sector = u64::from(u32::from_le_bytes(entry));
            if sector == 0 {
                return Ok(());
            }
            let first = index * self.table_entries;
            let grains = self.capacity.div_ceil(self.grain) - first;
            let entries = self.table_entries.min(grains);
            reach.within("grain table", sector * SECTOR, self.table_entries * 4)?;
            let table = Table { what: "grain table", offset: sector * SECTOR, entries };
            reach.each(table, |reach, index, entry| {
                let sectors = (self.capacity - (first + index) * self.grain).min(self.grain);
                self.check_grain(reach, u64::from(u32::from_le_bytes(entry)), sectors)
            })
        })
    }

    /// Checks one grain, of which `sectors` are within the disk.
    fn check_grain(&self, reach: &mut Reach<'_, '_>, sector: u64, sectors: u64) -> Result<(), Stop> {
        if sector <= ZEROS {
            return Ok(());
        }
        let offset = sector * SECTOR;
        if self.flags & COMPRESSED == 0 {
            return Ok(reach.within("grain", offset, sectors * SECTOR)?);
        }
        reach.within("grain", offset, 1)?;
        // QEMU refuses a compressed grain of more than twice its length. So only the last ones can be cut.
        let is_last = reach.view.bytes() - offset < MARKER_BYTES + 2 * self.grain * SECTOR;
        if self.flags & MARKERS == 0 || !is_last {
            return Ok(());
        }
        reach.within("grain", offset, MARKER_BYTES)?;
        let marker = reach.view.exactly("grain", offset, MARKER_BYTES as usize)?;
        Ok(reach.within("grain", offset, MARKER_BYTES + u64::from(le32(&marker, 8)))?)
    }
}

const SECTOR: u64 = 512;
const FLAGS: usize = 8;
const CAPACITY: usize = 12;
const GRAIN: usize = 20;
const TABLE_ENTRIES: usize = 44;
const REDUNDANT_DIRECTORY: usize = 48;
const DIRECTORY: usize = 56;
const OVERHEAD: usize = 64;
const AT_END: u64 = u64::MAX;
/// The footer is followed by the marker of the end.
const FOOTER_FROM_END: u64 = 2 * SECTOR;

const HAS_REDUNDANT_DIRECTORY: u32 = 1 << 1;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// An entry of 0 has no grain, and one of 1 a grain of zeros.
const ZEROS: u64 = 1;
/// The first sector of the grain, and the length of its compressed data.
const MARKER_BYTES: u64 = 12;

/// QEMU's limits (`vmdk_add_extent`).
const GRAIN_MAX: u64 = 0x20_0000;
const TABLE_ENTRIES_MAX: u64 = 512;
/// For a disk of 2 TiB in grains of 4 KiB, the shortest of the specification. The usual ones have 64 KiB.
const DIRECTORY_ENTRIES_MAX: u64 = 1 << 20;
