//! The header of QED (QEMU's docs/interop/qed_spec.rst), little-endian. Every QED is refused. The reason names the
//! backing file, if there is one.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le32, le64};

/// Returns the reason for refusing an image in this format.
pub(crate) fn refuse(view: &mut View<'_>) -> Stop {
    let header = match view.upto(0, HEADER_BYTES) {
        Ok(header) => header,
        Err(stop) => return stop,
    };
    let backed = le64(&header, FEATURES) & BACKING_FILE_BIT != 0
        || le32(&header, BACKING_NAME_OFFSET) != 0
        || le32(&header, BACKING_NAME_SIZE) != 0;
    let refusal = if backed {
        Refusal::new(
            Rule::BackingFile,
            "the QED has a backing file, which would be read from the host: make one file of both (qemu-img convert)",
        )
    } else {
        Refusal::new(Rule::UnsupportedFormat, QED_TEXT)
    };
    refusal.into()
}

const QED_TEXT: &str = "the image is in the format qed, which Nova does not take: make it a qcow2 \
                        (qemu-img convert -f qed -O qcow2 IMAGE NEW)";
const HEADER_BYTES: usize = 64;
const FEATURES: usize = 16;
const BACKING_NAME_OFFSET: usize = 56;
const BACKING_NAME_SIZE: usize = 60;
const BACKING_FILE_BIT: u64 = 1;
