//! The tables of qcow2 (QEMU's docs/interop/qcow2.rst), big-endian: refcounts, the two levels of the disk and of each
//! snapshot (L1, L2), and persistent bitmaps.
//!
//! `qemu-img check` accepts a cluster that merely begins within the image: "last cluster of qcow2 image may be
//! semi-allocated" (`qcow2_inc_refcounts_imrt`). The last cluster may lack what is behind the end of the disk, and an L1
//! table is not padded. Bytes of the disk itself are always there in a sound image, and are required here.

use super::{Reach, Table};
use crate::view::{HEAD_BYTES, Stop, be16, be32, be64};

/// Checks all tables. `disk_bytes` is the length of the disk in the header.
pub(super) fn check(reach: &mut Reach<'_, '_>, disk_bytes: u64) -> Result<(), Stop> {
    let header = reach.view.upto(0, HEADER_BYTES)?;
    let mut tables = Tables {
        cluster_bits: be32(&header, CLUSTER_BITS),
        seen: Seen::new(reach.view.bytes() >> be32(&header, CLUSTER_BITS)),
        beyond_budget: BEYOND_BYTES_MAX,
    };
    if !tables.seen.is_complete {
        reach.allow_shared_tables();
    }
    tables.check_refcounts(reach, be64(&header, REFCOUNTS), be32(&header, REFCOUNT_CLUSTERS))?;
    let first_level =
        Table { what: "L1 table", offset: be64(&header, L1), entries: u64::from(be32(&header, L1_ENTRIES)) };
    tables.check_disk(reach, first_level, disk_bytes)?;
    tables.check_snapshots(reach, be64(&header, SNAPSHOTS), be32(&header, SNAPSHOTS_COUNT))?;
    if be32(&header, VERSION) >= 3 && be64(&header, AUTOCLEAR_FEATURES) & BITMAPS_ARE_VALID != 0 {
        tables.check_bitmaps(reach, &header)?;
    }
    Ok(())
}

struct Tables {
    cluster_bits: u32,
    /// The L2 tables that were read. Snapshots share them.
    seen: Seen,
    /// The bytes of L2 tables behind the end of their disk that may still be read.
    beyond_budget: u64,
}

impl Tables {
    fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Checks that the refcount table and the blocks that it names lie within the image.
    fn check_refcounts(&self, reach: &mut Reach<'_, '_>, offset: u64, clusters: u32) -> Result<(), Stop> {
        let bytes = u64::from(clusters) << self.cluster_bits;
        if bytes > REFCOUNT_TABLE_BYTES_MAX {
            return Err(reach.malformed(&format!("has a refcount table of {bytes} bytes")));
        }
        let table = Table { what: "refcount table", offset, entries: bytes / 8 };
        reach.each(table, |reach, _, entry| {
            let block = u64::from_be_bytes(entry) & !RESERVED_BITS;
            if block == 0 {
                Ok(())
            } else {
                self.check_cluster(reach, "refcount block", block, self.cluster_bytes())
            }
        })
    }

    /// Checks an L1 table, the L2 tables that it names, and the data that these name. Of a cluster that part has to be
    /// there which is within `disk_bytes`, and of one behind the end of the disk its beginning.
    fn check_disk(&mut self, reach: &mut Reach<'_, '_>, table: Table, disk_bytes: u64) -> Result<(), Stop> {
        if table.entries > L1_ENTRIES_MAX {
            return Err(reach.malformed(&format!("has an L1 table of {} entries", table.entries)));
        }
        let entries = self.cluster_bytes() / 8;
        let table_covers = entries << self.cluster_bits;
        reach.each(table, |reach, index, entry| {
            let offset = u64::from_be_bytes(entry) & OFFSET_BITS;
            if offset == 0 {
                return Ok(());
            }
            self.check_cluster(reach, "L2 table", offset, self.cluster_bytes())?;
            if !self.seen.first_time(offset >> self.cluster_bits) {
                return Ok(());
            }
            let begins = index.saturating_mul(table_covers);
            if begins >= disk_bytes {
                let left = self.beyond_budget.checked_sub(self.cluster_bytes());
                self.beyond_budget =
                    left.ok_or_else(|| reach.malformed("has too many tables behind its disk"))?;
            }
            let second = Table { what: "L2 table", offset, entries };
            reach.each(second, |reach, index, entry| {
                let at = begins.saturating_add(index << self.cluster_bits);
                self.check_data(reach, u64::from_be_bytes(entry), disk_bytes.saturating_sub(at))
            })
        })
    }

    /// Checks one cluster of data, of which `disk_bytes` are not behind the disk's end.
    fn check_data(&self, reach: &Reach<'_, '_>, entry: u64, disk_bytes: u64) -> Result<(), Stop> {
        if entry & COMPRESSED != 0 {
            return self.check_compressed(reach, entry);
        }
        let offset = entry & OFFSET_BITS;
        if offset == 0 {
            return Ok(());
        }
        // A cluster of zeros may have a place, which is not read.
        let bytes = if entry & ZEROS != 0 { 1 } else { disk_bytes.clamp(1, self.cluster_bytes()) };
        self.check_cluster(reach, "data", offset, bytes)
    }

    /// Checks a compressed cluster, whose length is known in sectors. What compresses an image without
    /// `qemu-img convert`, such as a backup job of QEMU, does not pad the last of them.
    fn check_compressed(&self, reach: &Reach<'_, '_>, entry: u64) -> Result<(), Stop> {
        let offset_bits = 62 - (self.cluster_bits - 8);
        let offset = entry & ((1 << offset_bits) - 1);
        let further_sectors = (entry & !(COMPRESSED | COPIED)) >> offset_bits;
        let end = (offset / SECTOR + 1 + further_sectors) * SECTOR;
        let missing = end.saturating_sub(reach.view.bytes());
        let end = if missing < SECTOR { end - missing } else { end };
        Ok(reach.within("compressed data", offset, end.saturating_sub(offset).max(1))?)
    }

    fn check_cluster(&self, reach: &Reach<'_, '_>, what: &str, offset: u64, bytes: u64) -> Result<(), Stop> {
        if !offset.is_multiple_of(self.cluster_bytes()) {
            return Err(reach.malformed(&format!("has its {what} at byte {offset}, where no cluster begins")));
        }
        Ok(reach.within(what, offset, bytes)?)
    }

    /// Checks the table of internal snapshots, whose entries differ in length, and the tables of each.
    fn check_snapshots(&mut self, reach: &mut Reach<'_, '_>, offset: u64, count: u32) -> Result<(), Stop> {
        if count > SNAPSHOTS_MAX {
            return Err(reach.malformed(&format!("has {count} snapshots")));
        }
        let mut at = offset;
        for _ in 0..count {
            reach.within("table of snapshots", at, SNAPSHOT_BYTES)?;
            let snapshot = reach.view.upto(at, SNAPSHOT_BYTES as usize + 16)?;
            let (extra, names) =
                (be32(&snapshot, 36), u64::from(be16(&snapshot, 12)) + u64::from(be16(&snapshot, 14)));
            let bytes = SNAPSHOT_BYTES + u64::from(extra) + names;
            reach.within("table of snapshots", at, bytes)?;
            at += bytes.next_multiple_of(8);
            let first_level = Table {
                what: "L1 table of a snapshot",
                offset: be64(&snapshot, 0),
                entries: u64::from(be32(&snapshot, 8)),
            };
            // The extra data: the length of the state of the machine, whose clusters are behind the disk's, and that of
            // the disk. Older programs left it out.
            let disk_bytes = if extra >= 16 { be64(&snapshot, 48) } else { 0 };
            self.check_disk(reach, first_level, disk_bytes)?;
        }
        Ok(())
    }

    /// Checks the persistent bitmaps: their directory, whose entries differ in length, their tables, and their data.
    fn check_bitmaps(&self, reach: &mut Reach<'_, '_>, header: &[u8]) -> Result<(), Stop> {
        let end = HEAD_BYTES.min(1 << self.cluster_bits);
        let start = reach.view.upto(0, end)?;
        let Some(bitmaps) = extension(&start, be32(header, HEADER_LENGTH) as usize, BITMAPS) else {
            return Ok(());
        };
        let (count, bytes, mut at) = (be32(bitmaps, 0), be64(bitmaps, 8), be64(bitmaps, 16));
        if count > BITMAPS_MAX {
            return Err(reach.malformed(&format!("has {count} bitmaps")));
        }
        reach.within("directory of bitmaps", at, bytes)?;
        for _ in 0..count {
            reach.within("directory of bitmaps", at, BITMAP_BYTES)?;
            let bitmap = reach.view.exactly("directory of bitmaps", at, BITMAP_BYTES as usize)?;
            let table = Table {
                what: "table of a bitmap",
                offset: be64(&bitmap, 0),
                entries: u64::from(be32(&bitmap, 8)),
            };
            reach.each(table, |reach, _, entry| {
                let offset = u64::from_be_bytes(entry) & OFFSET_BITS;
                if offset == 0 {
                    Ok(())
                } else {
                    self.check_cluster(reach, "bitmap", offset, self.cluster_bytes())
                }
            })?;
            let further = u64::from(be16(&bitmap, 18)) + u64::from(be32(&bitmap, 20));
            at += (BITMAP_BYTES + further).next_multiple_of(8);
        }
        Ok(())
    }
}

/// Returns the data of the header extension of a kind. All extensions were checked before.
fn extension(start: &[u8], mut at: usize, wanted: u32) -> Option<&[u8]> {
    loop {
        let header = start.get(at..at.checked_add(8)?)?;
        let (kind, len) = (be32(header, 0), be32(header, 4) as usize);
        at += 8;
        match kind {
            0 => return None,
            kind if kind == wanted => return start.get(at..at.checked_add(len)?),
            _ => at = at.checked_add(len.checked_next_multiple_of(8)?)?,
        }
    }
}

/// Clusters whose table was read.
struct Seen {
    bits: Vec<u64>,
    /// Whether the image has no clusters but those that have a bit.
    is_complete: bool,
}

impl Seen {
    fn new(clusters: u64) -> Self {
        let words = clusters.div_ceil(64).min(SEEN_WORDS_MAX);
        Self { bits: vec![0; words as usize], is_complete: words < SEEN_WORDS_MAX }
    }

    /// Whether a cluster is new, or not remembered. It is remembered from now on.
    fn first_time(&mut self, cluster: u64) -> bool {
        let Some(word) = usize::try_from(cluster / 64).ok().and_then(|word| self.bits.get_mut(word)) else {
            return true;
        };
        let bit = 1 << (cluster % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

const SECTOR: u64 = 512;
const HEADER_BYTES: usize = 112;
const VERSION: usize = 4;
const CLUSTER_BITS: usize = 20;
const L1_ENTRIES: usize = 36;
const L1: usize = 40;
const REFCOUNTS: usize = 48;
const REFCOUNT_CLUSTERS: usize = 56;
const SNAPSHOTS_COUNT: usize = 60;
const SNAPSHOTS: usize = 64;
const AUTOCLEAR_FEATURES: usize = 88;
const HEADER_LENGTH: usize = 100;

/// The offset in an entry of either level, and in a bitmap's table.
const OFFSET_BITS: u64 = 0x00FF_FFFF_FFFF_FE00;
/// The reserved bits of an entry of the refcount table.
const RESERVED_BITS: u64 = 0x1FF;
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const ZEROS: u64 = 1;

/// QEMU's limits: `QCOW_MAX_L1_SIZE`, `QCOW_MAX_REFTABLE_SIZE`, `QCOW_MAX_SNAPSHOTS`, `QCOW2_MAX_BITMAPS`.
const L1_ENTRIES_MAX: u64 = (32 << 20) / 8;
const REFCOUNT_TABLE_BYTES_MAX: u64 = 8 << 20;
const SNAPSHOTS_MAX: u32 = 65_536;
const BITMAPS_MAX: u32 = 65_535;

/// Behind the end of a disk are the state of a machine, in a snapshot, and what a disk had before it was made shorter.
/// Tables of 1 GiB describe 8 TiB of it in the usual clusters.
const BEYOND_BYTES_MAX: u64 = 1 << 30;

/// The fixed part of a snapshot's entry, and of a bitmap's.
const SNAPSHOT_BYTES: u64 = 40;
const BITMAP_BYTES: u64 = 24;
const BITMAPS: u32 = 0x2385_2875;
/// Without this autoclear bit the bitmaps extension means nothing.
const BITMAPS_ARE_VALID: u64 = 1;

/// 8 MiB: 2^26 clusters, which are 4 TiB of the usual ones.
const SEEN_WORDS_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_new_once_and_one_that_has_no_bit_is_always_new() {
        let mut seen = Seen::new(100);
        assert!(seen.is_complete && seen.first_time(99) && !seen.first_time(99) && seen.first_time(98));
        assert!(seen.first_time(128) && seen.first_time(128));
        let huge = Seen::new(u64::MAX);
        assert!(!huge.is_complete && huge.bits.len() as u64 == SEEN_WORDS_MAX);
    }
}
