//! The header of qcow2 and its extensions (QEMU's docs/interop/qcow2.rst), big-endian. The first version of qcow shares
//! the magic and the fields of the backing file.
//!
//! Internal snapshots and bitmaps are in the image itself. Like Nova, this accepts images with either.

mod features;

use crate::refusal::{Refusal, Rule};
use crate::view::{HEAD_BYTES, Stop, View, be32, be64};

/// Checks the header and its extensions, and returns the disk's length in bytes.
pub(crate) fn check(view: &mut View<'_>) -> Result<u64, Stop> {
    let header = view.exactly("qcow2 header", 0, HEADER_V2_BYTES)?;
    // QEMU looks only at the offset; it never writes a length without one.
    if be64(&header, BACKING_OFFSET) != 0 || be32(&header, BACKING_SIZE) != 0 {
        return refuse(
            Rule::BackingFile,
            "the qcow2 has a backing file, which would be read from the host: make one file of both \
             (qemu-img convert -O qcow2 IMAGE NEW)"
                .into(),
        );
    }
    let version = be32(&header, VERSION);
    if version != 2 && version != 3 {
        return refuse(Rule::MalformedHeader, unknown_version(version));
    }
    // oslo.utils rejects a qcow2 shorter than a sector, and reads the features for any version.
    let header = view.exactly("qcow2 header", 0, SECTOR_BYTES)?;
    features::check(view, version, &header)?;
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
    // Nova notices this when it converts the image.
    if be32(&header, CRYPT_METHOD) != 0 {
        return refuse(Rule::Encrypted, "the qcow2 is encrypted: decrypt it, and push a plain one".into());
    }
    check_extensions(view, header_bytes as usize, 1 << cluster_bits)?;
    Ok(be64(&header, SIZE))
}

fn unknown_version(version: u32) -> String {
    let remedy = if version == 1 { "-f qcow " } else { "" };
    format!(
        "the qcow2 is of version {version}; 2 and 3 are known: make one of these \
         (qemu-img convert {remedy}-O qcow2 IMAGE NEW)"
    )
}

/// Checks the extensions as `qcow2_read_extensions` does, from the end of the header to the end of the first cluster.
/// Those that QEMU writes take some hundred bytes. Extensions that reach beyond [`HEAD_BYTES`] are refused, so that the
/// beginning of an image is enough.
fn check_extensions(view: &mut View<'_>, start: usize, cluster_bytes: usize) -> Result<(), Stop> {
    let end = cluster_bytes.min(HEAD_BYTES);
    let too_long =
        || Refusal::new(Rule::MalformedHeader, format!("the qcow2's extensions reach beyond byte {end}"));
    let mut header = view.upto(0, end)?;
    header.resize(end, 0); // QEMU reads zeros after the end of a file
    let mut at = start;
    while at < end {
        let extension = header.get(at..at + EXTENSION_HEADER_BYTES).ok_or_else(too_long)?;
        let (kind, len) = (be32(extension, 0), be32(extension, 4) as usize);
        at += EXTENSION_HEADER_BYTES;
        if len > end - at {
            return Err(too_long().into());
        }
        match kind {
            END_OF_EXTENSIONS => return Ok(()),
            DATA_FILE_NAME => {
                return refuse(Rule::DataFile, "the qcow2 names another file for its data".into());
            }
            // `qemu-img rebase -b ""` removes the backing file and leaves an empty extension behind.
            BACKING_FORMAT if len > 0 => {
                return refuse(Rule::BackingFile, "the qcow2 names the format of a backing file".into());
            }
            CRYPTO_HEADER => return refuse(Rule::Encrypted, "the qcow2 has a header for encryption".into()),
            _ => at += len.next_multiple_of(EXTENSION_ALIGNMENT),
        }
    }
    if end < cluster_bytes { Err(too_long().into()) } else { Ok(()) }
}

fn refuse<T>(rule: Rule, text: String) -> Result<T, Stop> {
    Err(Refusal::new(rule, text).into())
}

const SECTOR_BYTES: usize = 512;
const HEADER_V2_BYTES: usize = 72;
const HEADER_V3_BYTES: u32 = 104;
const VERSION: usize = 4;
const BACKING_OFFSET: usize = 8;
const BACKING_SIZE: usize = 16;
const CLUSTER_BITS: usize = 20;
const SIZE: usize = 24;
const CRYPT_METHOD: usize = 32;
const HEADER_LENGTH: usize = 100;

/// The range that QEMU supports: 512 bytes to 2 MiB.
const CLUSTER_BITS_RANGE: std::ops::RangeInclusive<u32> = 9..=21;

/// Kind and length of an extension, 4 bytes each. Its data is padded.
const EXTENSION_HEADER_BYTES: usize = 8;
const EXTENSION_ALIGNMENT: usize = 8;
const END_OF_EXTENSIONS: u32 = 0;
const BACKING_FORMAT: u32 = 0xE279_2ACA;
const DATA_FILE_NAME: u32 = 0x4441_5441;
const CRYPTO_HEADER: u32 = 0x0537_BE77;
