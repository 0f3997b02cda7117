//! The footer of a dynamic VHD, a copy of which is its first sector, big-endian; and VDI's header, little-endian.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, be32, be64, le32, le64};

/// Checks a VHD and returns the disk's length.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let footer = view.exactly("VHD footer", 0, SECTOR_BYTES)?;
    match be32(&footer, VHD_TYPE) {
        DYNAMIC => {}
        DIFFERENCING => return Err(Refusal::new(Rule::BackingFile, "the VHD is a differencing disk").into()),
        other => return Err(Refusal::new(Rule::MalformedHeader, format!("a VHD of type {other}")).into()),
    }
    // Which of these counts depends on who made it.
    Ok(be64(&footer, VHD_ORIGINAL_SIZE).max(be64(&footer, VHD_CURRENT_SIZE)).max(geometry(&footer)))
}

/// Checks a VDI and returns the disk's length.
pub(crate) fn check_vdi(view: &mut View<'_>) -> Result<u64, Stop> {
    let header = view.exactly("VDI header", 0, SECTOR_BYTES)?;
    match le32(&header, VDI_TYPE) {
        1 | 2 => Ok(le64(&header, VDI_SIZE)),
        other => {
            let text =
                format!("a VDI of type {other}, which is neither a dynamic nor a static disk of its own");
            Err(Refusal::new(Rule::BackingFile, text).into())
        }
    }
}

fn geometry(footer: &[u8]) -> u64 {
    let geometry = be32(footer, VHD_GEOMETRY);
    let (cylinders, heads, sectors) = (geometry >> 16, geometry >> 8 & 0xFF, geometry & 0xFF);
    u64::from(cylinders) * u64::from(heads) * u64::from(sectors) * SECTOR_BYTES as u64
}

const SECTOR_BYTES: usize = 512;
const VHD_ORIGINAL_SIZE: usize = 40;
const VHD_CURRENT_SIZE: usize = 48;
const VHD_GEOMETRY: usize = 56;
const VHD_TYPE: usize = 60;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;
const VDI_TYPE: usize = 0x4C;
const VDI_SIZE: usize = 0x170;
