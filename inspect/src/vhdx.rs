//! VHDX ([MS-VHDX]), little-endian: a table of regions, one of which has a table of metadata, which may lie anywhere.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le16, le32, le64};

/// Checks what leads to the disk's length, and returns that.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let regions = view.exactly("VHDX region table", REGION_TABLE, TABLE_BYTES)?;
    let count = le32(&regions, 8);
    if !regions.starts_with(b"regi") || count > ENTRIES_MAX {
        return Err(malformed("region table"));
    }
    let region = entry(&regions, 16, count, &METADATA_REGION).ok_or_else(|| malformed("region table"))?;
    let base = le64(region, 16);
    let metadata = view.exactly("VHDX metadata table", base, TABLE_BYTES)?;
    let count = u32::from(le16(&metadata, 10));
    if !metadata.starts_with(b"metadata") || count > ENTRIES_MAX {
        return Err(malformed("metadata table"));
    }
    let mut item = |id, len| {
        let entry = entry(&metadata, 32, count, id).ok_or_else(|| malformed("metadata table"))?;
        let offset =
            base.checked_add(u64::from(le32(entry, 16))).ok_or_else(|| malformed("metadata table"))?;
        view.exactly("VHDX metadata", offset, len)
    };
    // Nova's inspector does not look at the parent; QEMU refuses to open such a disk.
    if le32(&item(&FILE_PARAMETERS, 8)?, 4) & HAS_PARENT != 0 {
        return Err(Refusal::new(Rule::BackingFile, "the VHDX is a differencing disk").into());
    }
    Ok(le64(&item(&VIRTUAL_DISK_SIZE, 8)?, 0))
}

/// The entry of an id in a table of entries of 32 bytes that begin with one.
fn entry<'a>(table: &'a [u8], first: usize, count: u32, id: &[u8; 16]) -> Option<&'a [u8]> {
    table.get(first..)?.chunks_exact(32).take(count as usize).find(|entry| entry.starts_with(id))
}

fn malformed(what: &str) -> Stop {
    Refusal::new(Rule::MalformedHeader, format!("the VHDX has no {what} that makes sense")).into()
}

const REGION_TABLE: u64 = 192 << 10;
/// Header and up to 2047 entries.
const TABLE_BYTES: usize = 64 << 10;
const ENTRIES_MAX: u32 = 2047;
const HAS_PARENT: u32 = 2;

/// 8B7CA206-4790-4B9A-B8FE-575F050F886E
const METADATA_REGION: [u8; 16] =
    [0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E];
/// CAA16737-FA36-4D43-B3B6-33F0AA44E76B
const FILE_PARAMETERS: [u8; 16] =
    [0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B];
/// 2FA54224-CD1B-4876-B211-5DBED83BF4B8
const VIRTUAL_DISK_SIZE: [u8; 16] =
    [0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8];
