//! The manifest: what each block hashes to and how it is encoded. A block of zeros is one bit.
//!
//! ```text
//!   0  10        header, kind 3                               clear, signed
//!  10   4        first block                                  sealed, signed
//!  14   2        number of blocks n, 1 to 2048
//!  16   1        with fingerprints: 0 | 1
//!  17   ceil(n / 8)   a bit for each block, the highest of a byte first: 1 for zeros
//!   +   36 | 52  for each block that is not zero:
//!                  0   1  encoding: 1 stored | 2 zstd
//!                  1   3  encoded length, 0 for stored
//!                  4  32  hash
//!                 36  16  fingerprint, where there are fingerprints
//!   +  64        signature                                    sealed, where the session is signed
//!   +  16        tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::{BlockHash, Fingerprint};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, MANIFEST_BLOCKS_MAX};

/// How a block's bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The block is all zero: nothing is sent, and the file has a hole.
    Zero,
    /// As they are.
    Stored,
    /// As a zstd frame of this length, shorter than the block.
    Zstd {
        /// Length of the frame in bytes.
        encoded_len: u32,
    },
}

/// What is known of a block before its symbols are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// How its bytes are sent.
    pub encoding: Encoding,
    /// What its logical bytes hash to.
    pub hash: BlockHash,
}

impl ManifestEntry {
    /// Bytes that are sent as symbols for this block, 0 for a zero block.
    pub fn encoded_len(&self, geometry: Geometry, block: BlockIndex) -> u32 {
        match self.encoding {
            Encoding::Zero => 0,
            Encoding::Stored => geometry.block_len(block),
            Encoding::Zstd { encoded_len } => encoded_len,
        }
    }
}

/// What a manifest says of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is all zero. Its hash is not sent: it depends on the block's place and length alone.
    Zero,
    /// It has data: never [`Encoding::Zero`].
    Data(ManifestEntry),
}

impl From<ManifestEntry> for Listed {
    fn from(entry: ManifestEntry) -> Self {
        if entry.encoding == Encoding::Zero { Self::Zero } else { Self::Data(entry) }
    }
}

/// The entries of consecutive blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRun {
    /// The first of them.
    pub first: BlockIndex,
    /// One to [`MANIFEST_BLOCKS_MAX`] blocks, as many as a datagram has [room](manifest_room) for.
    pub blocks: Vec<Listed>,
    /// The fingerprints of all blocks that are not zero, in their order, where hosts may hold blocks of a base; else
    /// empty.
    pub fingerprints: Vec<Fingerprint>,
}

impl ManifestRun {
    /// A run without fingerprints.
    pub fn plain(first: BlockIndex, entries: impl IntoIterator<Item = ManifestEntry>) -> Self {
        Self { first, blocks: entries.into_iter().map(Listed::from).collect(), fingerprints: Vec::new() }
    }

    /// Each block with its entry and its fingerprint.
    pub fn iter(&self) -> impl Iterator<Item = (BlockIndex, Listed, Option<Fingerprint>)> {
        let mut fingerprints = self.fingerprints.iter();
        (self.first.0..).map(BlockIndex).zip(&self.blocks).map(move |(block, &listed)| match listed {
            Listed::Zero => (block, listed, None),
            Listed::Data(_) => (block, listed, fingerprints.next().copied()),
        })
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        let data = self.data().count();
        let fingerprints = !self.fingerprints.is_empty();
        assert!((1..=MANIFEST_BLOCKS_MAX).contains(&self.blocks.len()));
        assert!(manifest_bytes(self.blocks.len(), data, fingerprints) <= manifest_room(CONTROL_MAX));
        assert!(!fingerprints || self.fingerprints.len() == data);
        out.u32(self.first.0);
        out.u16(self.blocks.len() as u16);
        out.bool(fingerprints);
        for eight in self.blocks.chunks(8) {
            let bit = |(at, listed): (usize, &Listed)| u8::from(*listed == Listed::Zero) << (7 - at);
            out.u8(eight.iter().enumerate().map(bit).sum());
        }
        let mut fingerprint = self.fingerprints.iter();
        for entry in self.data() {
            emit_entry(entry, out);
            fingerprint.next().into_iter().for_each(|fingerprint| out.bytes(&fingerprint.0));
        }
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let first = BlockIndex(body.u32()?);
        let count = body.u16()?;
        let with_fingerprints = body.bool()?;
        let end = first.0.checked_add(u32::from(count)).ok_or(Discard::Malformed)?;
        if count == 0 || usize::from(count) > MANIFEST_BLOCKS_MAX || end > geometry.blocks() {
            return Err(Discard::Malformed);
        }
        let zeros = Zeros::parse(count, body)?;
        let (mut blocks, mut fingerprints) = (Vec::with_capacity(usize::from(count)), Vec::new());
        for (at, block) in (first.0..end).map(BlockIndex).enumerate() {
            if zeros.has(at) {
                blocks.push(Listed::Zero);
                continue;
            }
            blocks.push(Listed::Data(parse_entry(geometry, block, body)?));
            if with_fingerprints {
                fingerprints.push(Fingerprint(body.array()?));
            }
        }
        // There is one way to write a run: without blocks that have data it is one without fingerprints.
        if with_fingerprints == fingerprints.is_empty() {
            return Err(Discard::Malformed);
        }
        Ok(Self { first, blocks, fingerprints })
    }

    fn data(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.blocks.iter().filter_map(|listed| match listed {
            Listed::Zero => None,
            Listed::Data(entry) => Some(entry),
        })
    }
}

/// Bytes for entries in a signed manifest datagram of `datagram` bytes.
pub const fn manifest_room(datagram: usize) -> usize {
    datagram - sealed_signed(HEADER_BYTES, Fixed::BYTES)
}

/// Bytes of a manifest datagram's [room](manifest_room) that `blocks` blocks take, of which `data` are not zero.
pub(crate) const fn manifest_bytes(blocks: usize, data: usize, fingerprints: bool) -> usize {
    let each = if fingerprints { Entry::BYTES + Fingerprint::BYTES } else { Entry::BYTES };
    blocks.div_ceil(8) + data * each
}

/// Which of the blocks of a run are zero: a bit each, the highest of a byte first.
struct Zeros([u8; MANIFEST_BLOCKS_MAX / 8]);

impl Zeros {
    fn parse(count: u16, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let mut zeros = Self([0; MANIFEST_BLOCKS_MAX / 8]);
        let count = usize::from(count);
        for byte in &mut zeros.0[..count.div_ceil(8)] {
            *byte = body.u8()?;
        }
        let beyond = (count..count.next_multiple_of(8)).any(|at| zeros.has(at));
        if beyond { Err(Discard::Malformed) } else { Ok(zeros) }
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 8] >> (7 - at % 8) & 1 == 1
    }
}

fn emit_entry(entry: &ManifestEntry, out: &mut Writer<'_>) {
    let (code, len) = match entry.encoding {
        Encoding::Zero => unreachable!("a zero block is a bit"),
        Encoding::Stored => (STORED, 0),
        Encoding::Zstd { encoded_len } => (ZSTD, encoded_len),
    };
    out.u8(code);
    out.uint(u64::from(len), Entry::ENCODED_LEN);
    out.bytes(&entry.hash.0);
}

fn parse_entry(
    geometry: Geometry,
    block: BlockIndex,
    body: &mut Reader<'_>,
) -> Result<ManifestEntry, Discard> {
    let encoding = match (body.u8()?, body.u24()?) {
        (STORED, 0) => Encoding::Stored,
        (ZSTD, encoded_len) if encoded_len > 0 && encoded_len < geometry.block_len(block) => {
            Encoding::Zstd { encoded_len }
        }
        _ => return Err(Discard::Malformed),
    };
    Ok(ManifestEntry { encoding, hash: BlockHash(body.array()?) })
}

fields! {
    Fixed {
        FIRST: BlockIndex::BYTES,
        BLOCKS: 2,
        WITH_FINGERPRINTS: 1,
    }
}

fields! {
    Entry {
        ENCODING: 1,
        ENCODED_LEN: 3,
        HASH: BlockHash::BYTES,
    }
}

const STORED: u8 = 1;
const ZSTD: u8 = 2;

const _: () = {
    let small = manifest_room(CONTROL_SMALL);
    assert!(manifest_bytes(8, 8, true) <= small, "a run and the repetition of the one before it");
    assert!(manifest_bytes(MANIFEST_BLOCKS_MAX, 0, true) <= small, "a run of zeros fits every path");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_block_is_one_bit_and_any_other_has_its_entry() {
        for blocks in [1, 7, 8, 9, 40, MANIFEST_BLOCKS_MAX] {
            let zeros = run(blocks, |_| Listed::Zero);
            assert_eq!(emitted(&zeros).len(), 7 + blocks.div_ceil(8));
            assert_eq!(parsed(&emitted(&zeros)), Ok(zeros));
        }
        for fingerprints in [false, true] {
            let mut mixed = run(30, |at| if at % 3 == 0 { data(at as u8) } else { Listed::Zero });
            if fingerprints {
                mixed.fingerprints = (0..10).map(|at| Fingerprint([at; Fingerprint::BYTES])).collect();
            }
            let bytes = emitted(&mixed);
            assert_eq!(bytes.len(), 7 + manifest_bytes(30, 10, fingerprints));
            assert_eq!(parsed(&bytes), Ok(mixed));
        }
    }

    #[test]
    fn each_fingerprint_is_of_its_block() {
        let mut mixed = run(4, |at| if at % 2 == 0 { Listed::Zero } else { data(at as u8) });
        mixed.fingerprints = vec![Fingerprint([1; Fingerprint::BYTES]), Fingerprint([3; Fingerprint::BYTES])];
        let told: Vec<_> =
            mixed.iter().map(|(block, _, fingerprint)| (block.0, fingerprint.map(|f| f.0[0]))).collect();
        assert_eq!(told, [(2, None), (3, Some(1)), (4, None), (5, Some(3))]);
    }

    #[test]
    fn a_block_is_sent_in_as_many_bytes_as_its_encoding_has() {
        let geometry = Geometry::new((1 << 20) + 700, 20, 1432).expect("in range");
        let bytes = |encoding, block| {
            let entry = ManifestEntry { encoding, hash: BlockHash([1; 32]) };
            entry.encoded_len(geometry, BlockIndex(block))
        };
        assert_eq!([bytes(Encoding::Stored, 0), bytes(Encoding::Stored, 1)], [1 << 20, 700]);
        assert_eq!(bytes(Encoding::Zstd { encoded_len: 99 }, 0), 99);
        assert_eq!(bytes(Encoding::Zero, 0), 0);
    }

    #[test]
    fn there_is_one_way_to_say_it() {
        let good = emitted(&run(5, |at| if at == 1 { data(1) } else { Listed::Zero }));
        assert!(parsed(&good).is_ok());
        let mut bit_beyond = good.clone();
        bit_beyond[7] |= 1;
        let mut promised = good.clone();
        promised[6] = 1;
        let mut zero_entry = good.clone();
        zero_entry[8] = 0;
        let mut many = emitted(&run(8, |_| Listed::Zero));
        many[4..6].copy_from_slice(&(MANIFEST_BLOCKS_MAX as u16 + 1).to_be_bytes());
        let mut none_promised = emitted(&run(8, |_| Listed::Zero));
        none_promised[6] = 1;
        for bad in [bit_beyond, promised, zero_entry, many, none_promised, good[..good.len() - 1].to_vec()] {
            assert_eq!(parsed(&bad), Err(Discard::Malformed), "{bad:?}");
        }
    }

    fn run(blocks: usize, of: impl Fn(usize) -> Listed) -> ManifestRun {
        ManifestRun { first: BlockIndex(2), blocks: (0..blocks).map(of).collect(), fingerprints: Vec::new() }
    }

    fn data(hash: u8) -> Listed {
        Listed::Data(ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([hash; 32]) })
    }

    fn emitted(run: &ManifestRun) -> Vec<u8> {
        let mut out = Vec::new();
        run.emit(&mut Writer::new(&mut out));
        out
    }

    fn parsed(bytes: &[u8]) -> Result<ManifestRun, Discard> {
        let mut body = Reader::new(bytes);
        let run = ManifestRun::parse(Geometry::new(3_000 << 20, 20, 1432).expect("in range"), &mut body)?;
        body.end()?;
        Ok(run)
    }
}
