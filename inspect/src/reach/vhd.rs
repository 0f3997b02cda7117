//! The block allocation table of a dynamic VHD (Microsoft's Virtual Hard Disk Image Format Specification 1.0),
//! big-endian. QEMU also refuses an image that ends before its last block (`vpc_open`).

use super::{Reach, Table};
use crate::view::{Stop, be32, be64};

/// Checks that the table and all blocks lie within the image, and that it ends with its footer.
pub(super) fn check(reach: &mut Reach<'_, '_>) -> Result<(), Stop> {
    let footer = reach.view.exactly("VHD footer", 0, FOOTER_BYTES as usize)?;
    let offset = be64(&footer, DATA_OFFSET);
    reach.within("dynamic header", offset, DYNAMIC_HEADER_BYTES)?;
    let dynamic = reach.view.exactly("dynamic header", offset, DYNAMIC_HEADER_BYTES as usize)?;
    let block = u64::from(be32(&dynamic, BLOCK_BYTES));
    if !dynamic.starts_with(b"cxsparse") || block == 0 {
        return Err(reach.malformed("has no dynamic header that makes sense"));
    }
    let bitmap = (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let table = Table {
        what: "block allocation table",
        offset: be64(&dynamic, TABLE_OFFSET),
        entries: u64::from(be32(&dynamic, TABLE_ENTRIES)),
    };
    reach.each(table, |reach, _, entry| match u32::from_be_bytes(entry) {
        UNUSED => Ok(()),
        sector => Ok(reach.within("block", u64::from(sector) * SECTOR, bitmap + block)?),
    })?;
    check_end(reach)
}

/// Checks the footer at the end, of which the beginning has a copy. Virtual PC wrote footers of 511 bytes before 2004.
fn check_end(reach: &mut Reach<'_, '_>) -> Result<(), Stop> {
    let bytes = reach.view.bytes();
    let end = reach.view.upto(bytes.saturating_sub(FOOTER_BYTES), FOOTER_BYTES as usize)?;
    if end.starts_with(COOKIE) || end.get(1..).is_some_and(|end| end.starts_with(COOKIE)) {
        return Ok(());
    }
    Err(reach.cut_short("footer", "is missing").into())
}

const SECTOR: u64 = 512;
const COOKIE: &[u8] = b"conectix";
const FOOTER_BYTES: u64 = 512;
const DATA_OFFSET: usize = 16;
const DYNAMIC_HEADER_BYTES: u64 = 1024;
const TABLE_OFFSET: usize = 16;
const TABLE_ENTRIES: usize = 28;
const BLOCK_BYTES: usize = 32;
/// The entry of a block that has no place.
const UNUSED: u32 = u32::MAX;
