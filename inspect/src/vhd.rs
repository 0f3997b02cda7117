//! VHD, big-endian (Microsoft's Virtual Hard Disk Image Format Specification 1.0). A dynamic VHD begins with a copy of
//! its footer, which holds the offset of its dynamic header. QEMU calls the format vpc.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, be32, be64};

/// Checks the footer and the dynamic header, and returns the disk's length in bytes.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let footer = view.exactly("VHD footer", 0, FOOTER_BYTES)?;
    match be32(&footer, DISK_TYPE) {
        DYNAMIC => {}
        DIFFERENCING => {
            let text = "the VHD is a differencing disk: merge it with its parent (Hyper-V: Merge-VHD)";
            return Err(Refusal::new(Rule::BackingFile, text).into());
        }
        other => {
            let text = format!(
                "the VHD is of type {other}, and begins as one of type {DYNAMIC} (dynamic): make one of that type \
                 (Hyper-V: Convert-VHD)"
            );
            return Err(Refusal::new(Rule::MalformedHeader, text).into());
        }
    }
    check_dynamic(&view.upto(be64(&footer, DATA_OFFSET), DYNAMIC_HEADER_BYTES)?)?;
    // Which of these applies depends on the program that made the image.
    Ok(be64(&footer, ORIGINAL_SIZE).max(be64(&footer, CURRENT_SIZE)).max(geometry(&footer)))
}

/// Checks that the fields of a parent are zero. QEMU opens no dynamic VHD without this header.
fn check_dynamic(header: &[u8]) -> Result<(), Refusal> {
    let parent = header.get(PARENT).unwrap_or_default();
    let locators = header.get(PARENT_LOCATORS).unwrap_or_default();
    if header.starts_with(b"cxsparse") && parent.iter().chain(locators).any(|&byte| byte != 0) {
        return Err(Refusal::new(Rule::BackingFile, "the VHD names a parent in its dynamic header"));
    }
    Ok(())
}

/// Returns the length of the disk in bytes by its cylinders, heads and sectors.
fn geometry(footer: &[u8]) -> u64 {
    let [high, low, heads, sectors] = be32(footer, GEOMETRY).to_be_bytes();
    let cylinders = u64::from(u16::from_be_bytes([high, low]));
    cylinders * u64::from(heads) * u64::from(sectors) * SECTOR_BYTES
}

const SECTOR_BYTES: u64 = 512;
const FOOTER_BYTES: usize = 512;
const DATA_OFFSET: usize = 16;
const ORIGINAL_SIZE: usize = 40;
const CURRENT_SIZE: usize = 48;
const GEOMETRY: usize = 56;
const DISK_TYPE: usize = 60;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

const DYNAMIC_HEADER_BYTES: usize = 1024;
/// UUID, time stamp, a reserved field, and the name in UTF-16.
const PARENT: std::ops::Range<usize> = 40..576;
/// Eight locators of 24 bytes each.
const PARENT_LOCATORS: std::ops::Range<usize> = 576..768;
