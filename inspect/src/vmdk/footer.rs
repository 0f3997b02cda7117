//! The end of a vmdk whose header places the grain directory there: a marker, a second header, and an end marker, a
//! sector each. QEMU then uses the second header and ignores the first.

use super::{AT_END, Header, MAGIC, SECTOR};
use crate::format::Format;
use crate::reach::cut_short;
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le32, le64};

/// Checks that the footer is valid and equals the header. Nothing like a footer is at the end of a download that broke
/// off.
pub(super) fn check(view: &mut View<'_>, header: Header) -> Result<(), Stop> {
    let bytes = view.bytes();
    let sectors = bytes / SECTOR as u64 * SECTOR as u64;
    let footer = view.exactly("vmdk footer", sectors.saturating_sub(FOOTER_BYTES as u64), FOOTER_BYTES)?;
    if !is_marker(&footer[..SECTOR], FOOTER_MARKER) && !footer[SECTOR..].starts_with(MAGIC) {
        return Err(cut_short(Format::Vmdk, bytes, "footer", "is missing").into());
    }
    // QEMU counts whole sectors and expects its footer there; oslo.utils counts bytes.
    if sectors != bytes {
        return Err(refusal("has no place, as the image ends within a sector").into());
    }
    Ok(check_sectors(&footer, header)?)
}

fn check_sectors(footer: &[u8], header: Header) -> Result<(), Refusal> {
    let (marker, rest) = footer.split_at(SECTOR);
    let (second, end) = rest.split_at(SECTOR);
    if !is_marker(marker, FOOTER_MARKER) || le64(end, 0) != 0 || !is_marker(end, END_MARKER) {
        return Err(refusal("is not marked as one"));
    }
    let found = Header::read(second);
    if !second.starts_with(MAGIC) || (Header { directory: header.directory, ..found }) != header {
        return Err(refusal("is not what its header is"));
    }
    if found.directory == AT_END {
        return Err(refusal("names another footer"));
    }
    Ok(())
}

fn is_marker(sector: &[u8], kind: u32) -> bool {
    le32(sector, 8) == 0 && le32(sector, 12) == kind && sector[16..].iter().all(|&byte| byte == 0)
}

fn refusal(what: &str) -> Refusal {
    Refusal::new(Rule::VmdkFooter, format!("the vmdk's footer {what}"))
}

const FOOTER_BYTES: usize = 3 * SECTOR;
const FOOTER_MARKER: u32 = 3;
const END_MARKER: u32 = 0;
