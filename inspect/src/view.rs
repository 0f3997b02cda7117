//! The inspectors' access to an image: pieces of bounded length at offsets, and why a piece is unavailable.

use std::io::{self, Read, Seek, SeekFrom};

use crate::refusal::{Refusal, Rule};

/// Length of the beginning that decides the format of an image. The volume descriptor of an ISO image is farthest from
/// the start: 2 KiB at 32 KiB.
pub const HEAD_BYTES: usize = 64 << 10;

/// Why an inspector stopped.
pub(crate) enum Stop {
    Refused(Refusal),
    /// It needs bytes that have not arrived yet.
    Beyond,
    Io(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Reads from an image, or from its beginning.
pub(crate) enum View<'a> {
    Whole { image: &'a mut dyn ReadSeek, bytes: u64 },
    Head { head: &'a [u8], bytes: u64 },
}

pub(crate) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl<'a> View<'a> {
    pub(crate) fn whole(image: &'a mut dyn ReadSeek) -> io::Result<Self> {
        let bytes = image.seek(SeekFrom::End(0))?;
        Ok(Self::Whole { image, bytes })
    }

    /// Creates a view of the beginning of an image of `bytes`.
    pub(crate) fn head(head: &'a [u8], bytes: u64) -> Self {
        Self::Head { head, bytes }
    }

    /// Returns the length of the image in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Whole { bytes, .. } | Self::Head { bytes, .. } => *bytes,
        }
    }

    /// Returns `len` bytes from `offset` on, or fewer at the end of the image.
    pub(crate) fn upto(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Stop> {
        let there = self.bytes().saturating_sub(offset);
        let len = len.min(PIECE_MAX).min(usize::try_from(there).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(Vec::new()); // after the end of the image, even if its beginning is all that has arrived
        }
        match self {
            Self::Whole { image, .. } => {
                let mut piece = Vec::with_capacity(len);
                image.seek(SeekFrom::Start(offset)).map_err(Stop::Io)?;
                image.by_ref().take(len as u64).read_to_end(&mut piece).map_err(Stop::Io)?;
                Ok(piece)
            }
            Self::Head { head, .. } => {
                let from = usize::try_from(offset).map_err(|_| Stop::Beyond)?;
                let piece = from.checked_add(len).and_then(|to| head.get(from..to));
                piece.map(<[u8]>::to_vec).ok_or(Stop::Beyond)
            }
        }
    }

    /// Returns exactly `len` bytes from `offset` on. An image that ends within them is refused.
    pub(crate) fn exactly(&mut self, what: &str, offset: u64, len: usize) -> Result<Vec<u8>, Stop> {
        let piece = self.upto(offset, len)?;
        if piece.len() < len {
            let bytes = self.bytes();
            let text = format!("the image ends within its {what}, after {bytes} bytes");
            return Err(Refusal::new(Rule::TruncatedHeader, text).into());
        }
        Ok(piece)
    }
}

/// Whether bytes begin with one of several magics.
pub(crate) fn starts_with_any(bytes: &[u8], magics: &[&[u8]]) -> bool {
    magics.iter().any(|magic| bytes.starts_with(magic))
}

/// Returns a number in a header, or zero if the header is too short, which callers have excluded.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

pub(crate) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

/// The longest piece that is read at once: the descriptor of a vmdk.
const PIECE_MAX: usize = 1 << 20;
