//! What oslo.utils (`imageutils/format_inspector.py`, 10.2) detects in addition to the magics that it shares with QEMU.

use crate::format::Format;
use crate::mbr;

/// Returns the formats of an image by its first [`START_BYTES`](super::START_BYTES).
pub(super) fn formats(start: &[u8]) -> impl Iterator<Item = Format> {
    let vmdk = is_vmdk_text(start).then_some(Format::Vmdk);
    let boots = start.get(..mbr::SECTOR_BYTES).is_some_and(mbr::is_boot_sector);
    vmdk.into_iter().chain(boots.then_some(Format::Gpt))
}

/// Whether a volume descriptor is one of ISO 9660 or UDF. An image that ends within it has none.
pub(super) fn is_iso(descriptor: &[u8]) -> bool {
    descriptor.len() == ISO_DESCRIPTOR_BYTES && ISO_IDS.contains(&&descriptor[1..6])
}

/// Whether an image begins as a text that contains a create type anywhere, or begins with a version. QEMU looks for the
/// version (`vmdk_probe`). Here any version counts, because no disk begins with one. Neither tool accepts a text that
/// ends within it.
fn is_vmdk_text(start: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t'..=b'\r' | 0x1C..=0x1F);
    if !start.iter().take(TEXT_BYTES).all(printable) {
        return false;
    }
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| line.starts_with("version=")) || text.contains(CREATE_TYPE)
}

/// All of these bytes must be printable in a text.
const TEXT_BYTES: usize = 512;
const CREATE_TYPE: &str = "createtype=\"";

/// The offset of the first volume descriptor. Its length and possible identifiers follow.
pub(super) const ISO_DESCRIPTOR: u64 = 32 << 10;
pub(super) const ISO_DESCRIPTOR_BYTES: usize = 2048;
const ISO_IDS: [&[u8]; 3] = [b"CD001", b"NSR02", b"NSR03"];
