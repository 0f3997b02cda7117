//! VHDX ([MS-VHDX]), little-endian: a table of regions, one of which is a table of metadata that may be anywhere.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le16, le32, le64};

/// Checks everything that determines the disk's length, and returns that length in bytes.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let regions = Table::read(view, &REGIONS, REGION_TABLE_OFFSET)?;
    let base = le64(regions.required(&METADATA_REGION)?, 16);
    let metadata = Table::read(view, &METADATA, base)?;
    let mut item = |id| {
        let offset = base.checked_add(u64::from(le32(metadata.required(id)?, 16)));
        let offset = offset.ok_or_else(|| malformed(METADATA.what))?;
        view.exactly("VHDX metadata", offset, ITEM_BYTES)
    };
    // Nova's inspector does not look at the parent; QEMU refuses to open such a disk.
    let is_child = le32(&item(&FILE_PARAMETERS)?, 4) & HAS_PARENT != 0;
    if is_child || metadata.entry(&PARENT_LOCATOR)?.is_some() {
        return Err(Refusal::new(Rule::BackingFile, "the VHDX is a differencing disk").into());
    }
    Ok(le64(&item(&VIRTUAL_DISK_SIZE)?, 0))
}

/// The beginning of a table.
pub(crate) struct Layout {
    what: &'static str,
    signature: &'static [u8],
    count: fn(&[u8]) -> u32,
    /// The offset of its first entry.
    first: usize,
}

/// A table of entries, each of which begins with an id.
pub(crate) struct Table {
    what: &'static str,
    entries: Vec<u8>,
}

impl Table {
    pub(crate) fn read(view: &mut View<'_>, layout: &Layout, offset: u64) -> Result<Self, Stop> {
        let table = view.exactly(&format!("VHDX {}", layout.what), offset, TABLE_BYTES)?;
        let count = (layout.count)(&table);
        if !table.starts_with(layout.signature) || count > ENTRIES_MAX {
            return Err(malformed(layout.what).into());
        }
        // At most as many entries as the table has room for.
        let entries = table.into_iter().skip(layout.first).take(count as usize * ENTRY_BYTES).collect();
        Ok(Self { what: layout.what, entries })
    }

    /// Returns the entries that the table has room for.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.chunks_exact(ENTRY_BYTES)
    }

    /// Returns the entry with an id. Refuses duplicate ids, as QEMU does: other programs may use the other entry.
    pub(crate) fn entry(&self, id: &Guid) -> Result<Option<&[u8]>, Refusal> {
        let mut found = self.entries().filter(|entry| entry.starts_with(id));
        let first = found.next();
        if found.next().is_some() { Err(malformed(self.what)) } else { Ok(first) }
    }

    pub(crate) fn required(&self, id: &Guid) -> Result<&[u8], Refusal> {
        self.entry(id)?.ok_or_else(|| malformed(self.what))
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(Rule::MalformedHeader, format!("the VHDX has no {what} that makes sense"))
}

pub(crate) const REGION_TABLE_OFFSET: u64 = 192 << 10;
pub(crate) const REGIONS: Layout =
    Layout { what: "region table", signature: b"regi", count: |table| le32(table, 8), first: 16 };
pub(crate) const METADATA: Layout = Layout {
    what: "metadata table",
    signature: b"metadata",
    count: |table| u32::from(le16(table, 10)),
    first: 32,
};
/// The header and up to 2047 entries.
const TABLE_BYTES: usize = 64 << 10;
const ENTRIES_MAX: u32 = 2047;
const ENTRY_BYTES: usize = 32;
/// Bytes read of an item: the length of the longest checked one.
const ITEM_BYTES: usize = 8;
const HAS_PARENT: u32 = 2;

pub(crate) type Guid = [u8; 16];

/// 8B7CA206-4790-4B9A-B8FE-575F050F886E
pub(crate) const METADATA_REGION: Guid =
    [0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E];
/// CAA16737-FA36-4D43-B3B6-33F0AA44E76B
pub(crate) const FILE_PARAMETERS: Guid =
    [0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B];
/// 2FA54224-CD1B-4876-B211-5DBED83BF4B8
const VIRTUAL_DISK_SIZE: Guid =
    [0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8];
/// A8D35F2D-B30B-454D-ABF7-D3D84834AB0C
const PARENT_LOCATOR: Guid =
    [0x2D, 0x5F, 0xD3, 0xA8, 0x0B, 0xB3, 0x4D, 0x45, 0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C];
