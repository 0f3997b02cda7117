//! VHDX ([MS-VHDX]), little-endian: a table of regions, one of which is a table of metadata that may be anywhere.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, be16, be64, le16, le32, le64};

/// Checks everything that determines the disk's length, and returns that length in bytes.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let regions = Table::read(view, &REGIONS, REGION_TABLE_OFFSET)?;
    regions.check_required(&[&BLOCK_TABLE_REGION, &METADATA_REGION])?;
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
        let text = "the VHDX is a differencing disk: merge it with its parent (Hyper-V: Merge-VHD)";
        return Err(Refusal::new(Rule::BackingFile, text).into());
    }
    metadata.check_required(&KNOWN_METADATA)?;
    Ok(le64(&item(&VIRTUAL_DISK_SIZE)?, 0))
}

/// The beginning of a table.
pub(crate) struct Layout {
    what: &'static str,
    signature: &'static [u8],
    count: fn(&[u8]) -> u32,
    /// The offset of its first entry.
    first: usize,
    /// Whether an entry is marked as one that a reader has to know.
    is_required: fn(&[u8]) -> bool,
}

/// A table of entries, each of which begins with an id.
pub(crate) struct Table {
    layout: &'static Layout,
    entries: Vec<u8>,
}

impl Table {
    pub(crate) fn read(view: &mut View<'_>, layout: &'static Layout, offset: u64) -> Result<Self, Stop> {
        let table = view.exactly(&format!("VHDX {}", layout.what), offset, TABLE_BYTES)?;
        let count = (layout.count)(&table);
        if !table.starts_with(layout.signature) || count > ENTRIES_MAX {
            return Err(malformed(layout.what).into());
        }
        // At most as many entries as the table has room for.
        let entries = table.into_iter().skip(layout.first).take(count as usize * ENTRY_BYTES).collect();
        Ok(Self { layout, entries })
    }

    /// Returns the entries that the table has room for.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.chunks_exact(ENTRY_BYTES)
    }

    /// Returns the entry with an id. Refuses duplicate ids, as QEMU does: other programs may use the other entry.
    pub(crate) fn entry(&self, id: &Guid) -> Result<Option<&[u8]>, Refusal> {
        let mut found = self.entries().filter(|entry| entry.starts_with(id));
        let first = found.next();
        if found.next().is_some() { Err(malformed(self.layout.what)) } else { Ok(first) }
    }

    /// Refuses an entry that a reader has to know and that is none of `known`.
    fn check_required(&self, known: &[&Guid]) -> Result<(), Refusal> {
        let is_known = |entry: &[u8]| known.iter().any(|id| entry.starts_with(*id));
        let mut entries = self.entries();
        let Some(unknown) = entries.find(|entry| (self.layout.is_required)(entry) && !is_known(entry)) else {
            return Ok(());
        };
        let text = format!(
            "the VHDX needs a feature that is not known, by the entry {} of its {}: make a plain one \
             (Hyper-V: Convert-VHD)",
            guid(unknown),
            self.layout.what
        );
        Err(Refusal::new(Rule::UnknownFeature, text))
    }

    pub(crate) fn required(&self, id: &Guid) -> Result<&[u8], Refusal> {
        self.entry(id)?.ok_or_else(|| malformed(self.layout.what))
    }
}

/// Returns an id as people write it: three little-endian numbers, and eight bytes.
fn guid(entry: &[u8]) -> String {
    let [a, b, c, d] = [le32(entry, 0), le16(entry, 4).into(), le16(entry, 6).into(), be16(entry, 8).into()];
    format!("{a:08X}-{b:04X}-{c:04X}-{d:04X}-{:012X}", be64(entry, 8) & 0xFFFF_FFFF_FFFF)
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(Rule::MalformedHeader, format!("the VHDX has no {what} that makes sense"))
}

pub(crate) const REGION_TABLE_OFFSET: u64 = 192 << 10;
pub(crate) const REGIONS: Layout = Layout {
    what: "region table",
    signature: b"regi",
    count: |table| le32(table, 8),
    first: 16,
    is_required: |entry| le32(entry, 28) & 1 != 0,
};
pub(crate) const METADATA: Layout = Layout {
    what: "metadata table",
    signature: b"metadata",
    count: |table| u32::from(le16(table, 10)),
    first: 32,
    is_required: |entry| le32(entry, 24) & 4 != 0,
};
/// The header and up to 2047 entries.
const TABLE_BYTES: usize = 64 << 10;
const ENTRIES_MAX: u32 = 2047;
const ENTRY_BYTES: usize = 32;
/// Bytes read of an item: the length of the longest checked one.
const ITEM_BYTES: usize = 8;
const HAS_PARENT: u32 = 2;

pub(crate) type Guid = [u8; 16];

/// 2DC27766-F623-4200-9D64-115E9BFD4A08
pub(crate) const BLOCK_TABLE_REGION: Guid =
    [0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42, 0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08];
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
/// BECA12AB-B2E6-4523-93EF-C309E000C746, the disk's id.
const PAGE_83_DATA: Guid =
    [0xAB, 0x12, 0xCA, 0xBE, 0xE6, 0xB2, 0x23, 0x45, 0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46];
/// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F
const LOGICAL_SECTOR_SIZE: Guid =
    [0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47, 0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F];
/// CDA348C7-445D-4471-9CC9-E9885251C556
const PHYSICAL_SECTOR_SIZE: Guid =
    [0xC7, 0x48, 0xA3, 0xCD, 0x5D, 0x44, 0x71, 0x44, 0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56];
const KNOWN_METADATA: [&Guid; 6] = [
    &FILE_PARAMETERS,
    &VIRTUAL_DISK_SIZE,
    &PAGE_83_DATA,
    &LOGICAL_SECTOR_SIZE,
    &PHYSICAL_SECTOR_SIZE,
    &PARENT_LOCATOR,
];
