//! The header of VDI (QEMU's `block/vdi.c`, `VdiHeader`), little-endian.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le32, le64};

/// Checks the header and returns the disk's length in bytes.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let header = view.exactly("VDI header", 0, HEADER_BYTES)?;
    match le32(&header, IMAGE_TYPE) {
        DYNAMIC | STATIC => {}
        kind @ (UNDO | DIFFERENCING) => {
            let name = if kind == UNDO { "undo" } else { "differencing" };
            let text = format!(
                "the VDI is of type {kind} ({name}): it holds what differs from a parent; make one file of both \
                 (VBoxManage clonemedium IMAGE NEW)"
            );
            return Err(Refusal::new(Rule::BackingFile, text).into());
        }
        other => {
            let text = format!(
                "the VDI is of the unknown type {other}; known are 1 (dynamic) and 2 (static): make one of these \
                 (VBoxManage clonemedium IMAGE NEW)"
            );
            return Err(Refusal::new(Rule::MalformedHeader, text).into());
        }
    }
    // Nova's inspector does not check this; QEMU opens no VDI with either of them.
    if header[UUID_LINK..UUID_PARENT + UUID_BYTES].iter().any(|&byte| byte != 0) {
        return Err(Refusal::new(Rule::BackingFile, "the VDI names a parent by its UUID").into());
    }
    Ok(le64(&header, DISK_SIZE))
}

const HEADER_BYTES: usize = 512;
const IMAGE_TYPE: usize = 0x4C;
const DISK_SIZE: usize = 0x170;
/// The UUID of the image that this one continues, and of the parent at its last change; they are adjacent.
const UUID_LINK: usize = 0x1A8;
const UUID_PARENT: usize = 0x1B8;
const UUID_BYTES: usize = 16;
const DYNAMIC: u32 = 1;
const STATIC: u32 = 2;
const UNDO: u32 = 3;
const DIFFERENCING: u32 = 4;
