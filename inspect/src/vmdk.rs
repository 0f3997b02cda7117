//! VMDK: a sparse header with a text in it that describes the disk, little-endian; or that text alone, which names files.

use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View, le32, le64};

/// What a vmdk may be: the kinds that hold all of their data. Nova's `[compute] vmdk_allowed_types` has both by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmdkType {
    /// Compressed, made to be streamed.
    StreamOptimized,
    /// One file that grows.
    MonolithicSparse,
}

impl VmdkType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::StreamOptimized, Self::MonolithicSparse];

    /// Its `createType`, as Nova's configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamOptimized => "streamOptimized",
            Self::MonolithicSparse => "monolithicSparse",
        }
    }
}

/// Whether an image begins as a text that describes a disk: for oslo.utils one with a create type, for QEMU one whose
/// first line, comments left out, is its version.
pub(crate) fn is_text(start: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t'..=b'\r' | 0x1C..=0x1F);
    if start.is_empty() || !start.iter().take(512).all(printable) {
        return false;
    }
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let version = lines().next().is_some_and(|line| line.starts_with("version="));
    version || text.contains(CREATE_TYPE)
}

/// Checks the header, the descriptor and the footer; returns the disk's length.
pub(crate) fn check(view: &mut View<'_>, allowed: &[VmdkType]) -> Result<u64, Stop> {
    let magic = view.upto(0, 4)?;
    if magic == b"COWD" {
        return Err(Refusal::new(Rule::VmdkType, "the vmdk is a sparse extent of ESX").into());
    }
    if magic != MAGIC {
        let text = "the vmdk is a text that names files of the host as its data";
        return Err(Refusal::new(Rule::VmdkExtent, text).into());
    }
    let header = Header::read(&view.exactly("vmdk header", 0, SECTOR)?);
    header.check()?;
    let bytes =
        usize::try_from(header.descriptor_sectors).ok().and_then(|sectors| sectors.checked_mul(SECTOR));
    let bytes = bytes.map_or(DESCRIPTOR_MAX, |bytes| bytes.min(DESCRIPTOR_MAX));
    check_descriptor(&view.exactly("vmdk descriptor", SECTOR as u64, bytes)?, allowed)?;
    if header.directory == AT_END {
        let offset = view.bytes().saturating_sub(3 * SECTOR as u64);
        check_footer(&view.exactly("vmdk footer", offset, 3 * SECTOR)?, header)?;
    }
    header.capacity.checked_mul(SECTOR as u64).ok_or_else(|| too_large().into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    /// Sectors of the disk.
    capacity: u64,
    descriptor: u64,
    descriptor_sectors: u64,
    /// Where the grain directory is.
    directory: u64,
}

impl Header {
    fn read(sector: &[u8]) -> Self {
        Self {
            version: le32(sector, 4),
            capacity: le64(sector, 12),
            descriptor: le64(sector, 28),
            descriptor_sectors: le64(sector, 36),
            directory: le64(sector, 56),
        }
    }

    fn check(self) -> Result<(), Refusal> {
        if !(1..=3).contains(&self.version) {
            return Err(Refusal::new(Rule::MalformedHeader, format!("vmdk version {}", self.version)));
        }
        if self.descriptor != 1 {
            return Err(descriptor("is not behind its header"));
        }
        // To QEMU, no capacity means that the descriptor's extents are the disk. Nova's inspector does not look.
        if self.capacity == 0 {
            return Err(Refusal::new(Rule::VmdkExtent, "the vmdk has no data of its own"));
        }
        Ok(())
    }
}

/// Every line has to be understood, as in oslo.utils.
fn check_descriptor(bytes: &[u8], allowed: &[VmdkType]) -> Result<(), Refusal> {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    if !text.is_ascii() {
        return Err(descriptor("is not a text"));
    }
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    check_type(&text, allowed)?;
    let mut extents = 0;
    for line in text.split('\n').map(str::trim) {
        let word = line.split(' ').next().unwrap_or_default();
        let field = line.split_once('=').is_some_and(|(name, _)| !name.contains(' '));
        if line.is_empty() || line.starts_with('#') || line.starts_with("ddb") || field {
            continue;
        }
        if !["rw", "rdonly", "noaccess"].contains(&word) {
            return Err(descriptor("has a line that is not understood"));
        }
        check_extent(line)?;
        extents += 1;
    }
    if extents == 0 {
        return Err(Refusal::new(Rule::VmdkExtent, "the vmdk has no extents"));
    }
    Ok(())
}

fn check_type(text: &str, allowed: &[VmdkType]) -> Result<(), Refusal> {
    let name = text.split_once(CREATE_TYPE).and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
    let Some(name) = name.filter(|name| name.len() < 64) else {
        return Err(descriptor("has no create type"));
    };
    if allowed.iter().any(|allowed| allowed.name().eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let known = allowed.iter().map(|allowed| allowed.name()).collect::<Vec<_>>().join(", ");
    let text = format!("the vmdk's create type is {name:?}; allowed: {known}");
    Err(Refusal::new(Rule::VmdkType, text))
}

/// `RW 20480 SPARSE "disk.vmdk"`: its name is its own, whatever the file is called now; one with a path is another file's.
/// Nova's inspector takes other kinds than SPARSE too, of which the data would be in another file.
fn check_extent(line: &str) -> Result<(), Refusal> {
    if line.contains(['/', '\\']) {
        return Err(Refusal::new(Rule::VmdkExtent, "the vmdk has an extent in a file of the host"));
    }
    if line.split(' ').filter(|word| !word.is_empty()).nth(2) != Some("sparse") {
        return Err(Refusal::new(Rule::VmdkExtent, "the vmdk has an extent that is not in itself"));
    }
    Ok(())
}

/// A marker, a header that counts more than the first one, and a marker of the end; a sector each.
fn check_footer(footer: &[u8], header: Header) -> Result<(), Refusal> {
    let broken = |text: &str| Err(Refusal::new(Rule::VmdkFooter, format!("the vmdk's footer {text}")));
    let (marker, rest) = footer.split_at(SECTOR);
    let (second, end) = rest.split_at(SECTOR);
    if !is_marker(marker, FOOTER_MARKER) || le64(end, 0) != 0 || !is_marker(end, END_MARKER) {
        return broken("is not marked as one");
    }
    let found = Header::read(second);
    if !second.starts_with(MAGIC) || (Header { directory: header.directory, ..found }) != header {
        return broken("is not what its header is");
    }
    if found.directory == AT_END {
        return broken("names another footer");
    }
    Ok(())
}

fn is_marker(sector: &[u8], kind: u32) -> bool {
    le32(sector, 8) == 0 && le32(sector, 12) == kind && sector[16..].iter().all(|&byte| byte == 0)
}

fn descriptor(what: &str) -> Refusal {
    Refusal::new(Rule::VmdkDescriptor, format!("the vmdk's descriptor {what}"))
}

fn too_large() -> Refusal {
    Refusal::new(Rule::VirtualSize, "the vmdk makes a disk of more than 2^64 bytes")
}

const MAGIC: &[u8] = b"KDMV";
const SECTOR: usize = 512;
/// As in QEMU.
const DESCRIPTOR_MAX: usize = (1 << 20) - 1;
const CREATE_TYPE: &str = "createtype=\"";
const AT_END: u64 = u64::MAX;
const FOOTER_MARKER: u32 = 3;
const END_MARKER: u32 = 0;
