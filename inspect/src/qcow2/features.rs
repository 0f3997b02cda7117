//! The incompatible features of a qcow2 (docs/interop/qcow2.rst, "incompatible_features"), which a reader has to know.

use super::{END_OF_EXTENSIONS, EXTENSION_ALIGNMENT, EXTENSION_HEADER_BYTES, HEADER_LENGTH};
use crate::printable::quoted;
use crate::refusal::{Refusal, Rule};
use crate::view::{HEAD_BYTES, Stop, View, be32, be64};

/// Checks that all features are known to Nova, and that the data is in the image. `header` is the first sector.
pub(super) fn check(view: &mut View<'_>, version: u32, header: &[u8]) -> Result<(), Stop> {
    let features = be64(header, INCOMPATIBLE);
    if features & DATA_FILE != 0 {
        let text = "the qcow2 has its data in another file: make one file of both \
                    (qemu-img convert -O qcow2 IMAGE NEW)";
        return Err(Refusal::new(Rule::DataFile, text).into());
    }
    if version < 3 {
        return Ok(());
    }
    let unknown = features & !KNOWN;
    if unknown != 0 {
        return Err(Refusal::new(Rule::UnknownFeature, unknown_text(view, header, unknown)?).into());
    }
    let method = header[COMPRESSION_TYPE];
    if features & COMPRESSION != 0 && method > ZSTD {
        let text = format!(
            "the qcow2 needs features that Nova does not take: compression of the unknown type {method}; {REMEDY}"
        );
        return Err(Refusal::new(Rule::UnknownFeature, text).into());
    }
    Ok(())
}

fn unknown_text(view: &mut View<'_>, header: &[u8], unknown: u64) -> Result<String, Stop> {
    let table = name_table(view, be32(header, HEADER_LENGTH) as usize)?;
    let mut bits = (0u8..64).filter(|bit| unknown >> bit & 1 == 1);
    let named: Vec<String> = bits.by_ref().take(NAMED_MAX).map(|bit| name(bit, &table)).collect();
    let more = match bits.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Ok(format!("the qcow2 needs features that Nova does not take: {}{more}; {REMEDY}", named.join(", ")))
}

/// Returns the specification's name of a feature, or what the image's own table calls it.
fn name(bit: u8, table: &[u8]) -> String {
    if bit == EXTENDED_L2_BIT {
        return format!("subclusters (extended_l2, bit {bit})");
    }
    let own = table.chunks_exact(NAME_ENTRY_BYTES).find(|entry| entry[..2] == [TYPE_INCOMPATIBLE, bit]);
    let own = own.map(|entry| entry[2..].split(|&byte| byte == 0).next().unwrap_or_default());
    match own.filter(|name| !name.is_empty()) {
        Some(name) => format!("bit {bit}, which it calls {}", quoted(name)),
        None => format!("bit {bit}"),
    }
}

/// Returns the table of names among the header's extensions; an empty one if there is none.
fn name_table(view: &mut View<'_>, start: usize) -> Result<Vec<u8>, Stop> {
    let header = view.upto(0, HEAD_BYTES)?;
    let mut rest = header.get(start..).unwrap_or_default();
    while let Some((head, after)) = rest.split_at_checked(EXTENSION_HEADER_BYTES) {
        let (kind, len) = (be32(head, 0), be32(head, 4) as usize);
        match kind {
            END_OF_EXTENSIONS => break,
            FEATURE_NAMES => return Ok(after.get(..len).unwrap_or(after).to_vec()),
            _ => rest = after.get(len.next_multiple_of(EXTENSION_ALIGNMENT)..).unwrap_or_default(),
        }
    }
    Ok(Vec::new())
}

const REMEDY: &str = "make a plain one (qemu-img convert -O qcow2 IMAGE NEW)";
const INCOMPATIBLE: usize = 72;
const COMPRESSION_TYPE: usize = 104;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2_BIT: u8 = 4;
/// Dirty, corrupt, data file, compression type.
const KNOWN: u64 = 0xF;
/// The last known type of compression; 0 is zlib.
const ZSTD: u8 = 1;
const FEATURE_NAMES: u32 = 0x6803_F857;
/// Type, bit, and a name that is padded with zeros.
const NAME_ENTRY_BYTES: usize = 48;
const TYPE_INCOMPATIBLE: u8 = 0;
/// Features in one message.
const NAMED_MAX: usize = 3;
