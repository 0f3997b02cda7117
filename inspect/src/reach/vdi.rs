//! The block map of VDI (QEMU's `block/vdi.c`), little-endian. `qemu-img check` does not compare it with the image's
//! length, and QEMU reads zeros for blocks that are missing.

use super::{Reach, Table};
use crate::view::{Stop, le32};

/// Checks that the map and all blocks lie within the image. `disk_bytes` is the length of the disk.
pub(super) fn check(reach: &mut Reach<'_, '_>, disk_bytes: u64) -> Result<(), Stop> {
    let header = reach.view.exactly("VDI header", 0, HEADER_BYTES)?;
    let field = |at| u64::from(le32(&header, at));
    let (data, block, extra) = (field(DATA_OFFSET), field(BLOCK_BYTES), field(BLOCK_EXTRA_BYTES));
    let map = Table { what: "block map", offset: field(MAP_OFFSET), entries: field(BLOCKS) };
    reach.each(map, |reach, index, entry| {
        let place = u32::from_le_bytes(entry);
        if place >= DISCARDED {
            return Ok(());
        }
        let of_disk = disk_bytes.saturating_sub(index * block).min(block);
        let offset = u64::from(place).saturating_mul(block + extra).saturating_add(data);
        Ok(reach.within("block", offset, extra + of_disk)?)
    })
}

const HEADER_BYTES: usize = 512;
const MAP_OFFSET: usize = 0x154;
const DATA_OFFSET: usize = 0x158;
const BLOCK_BYTES: usize = 0x178;
/// Bytes before the data of each block.
const BLOCK_EXTRA_BYTES: usize = 0x17C;
const BLOCKS: usize = 0x180;
/// From this entry on, a block has no place: it is discarded, or was never written.
const DISCARDED: u32 = 0xFFFF_FFFE;
