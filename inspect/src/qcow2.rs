//! The header of qcow2 (QEMU's docs/interop/qcow2.rst), big-endian.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, be32, be64};

/// Checks the header and returns the disk's length.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let header = view.exactly("qcow2 header", 0, HEADER_V2_BYTES)?;
    let version = be32(&header, VERSION);
    let refuse = |rule, text: String| Err(Refusal::new(rule, text).into());
    if version != 2 && version != 3 {
        return refuse(Rule::MalformedHeader, format!("qcow2 version {version} is not supported"));
    }
    if be64(&header, BACKING_OFFSET) != 0 {
        return refuse(
            Rule::BackingFile,
            "the qcow2 has a backing file, which would be read from the host".into(),
        );
    }
    // oslo.utils has nothing shorter than a sector for a qcow2, and reads the features whatever the version.
    let header = view.exactly("qcow2 header", 0, SECTOR_BYTES)?;
    let features = be64(&header, INCOMPATIBLE_FEATURES);
    if features & DATA_FILE_BIT != 0 {
        return refuse(Rule::DataFile, "the qcow2 has its data in another file".into());
    }
    if version == 3 && features & !KNOWN_FEATURES != 0 {
        let unknown = features & !KNOWN_FEATURES;
        return refuse(Rule::UnknownFeature, format!("the qcow2 needs unknown features ({unknown:#x})"));
    }
    let cluster_bits = be32(&header, CLUSTER_BITS);
    let header_bytes = if version == 3 { be32(&header, HEADER_LENGTH) } else { HEADER_V2_BYTES as u32 };
    if !CLUSTER_BITS_RANGE.contains(&cluster_bits)
        || (version == 3 && header_bytes < HEADER_V3_BYTES)
        || u64::from(header_bytes) > 1 << cluster_bits
    {
        let text =
            format!("the qcow2 has clusters of 2^{cluster_bits} bytes and a header of {header_bytes} bytes");
        return refuse(Rule::MalformedHeader, text);
    }
    // Nova finds out when it converts.
    if be32(&header, CRYPT_METHOD) != 0 {
        return refuse(Rule::Encrypted, "the qcow2 is encrypted".into());
    }
    Ok(be64(&header, SIZE))
}

const SECTOR_BYTES: usize = 512;
const HEADER_V2_BYTES: usize = 72;
const HEADER_V3_BYTES: u32 = 104;
const VERSION: usize = 4;
const BACKING_OFFSET: usize = 8;
const CLUSTER_BITS: usize = 20;
const SIZE: usize = 24;
const CRYPT_METHOD: usize = 32;
const INCOMPATIBLE_FEATURES: usize = 72;
const HEADER_LENGTH: usize = 100;

/// What QEMU supports: 512 bytes to 2 MiB.
const CLUSTER_BITS_RANGE: std::ops::RangeInclusive<u32> = 9..=21;
const DATA_FILE_BIT: u64 = 1 << 2;
/// Dirty, corrupt, data file, compression type. Nova takes no image with extended L2 entries, which is the next bit.
const KNOWN_FEATURES: u64 = 0xF;
