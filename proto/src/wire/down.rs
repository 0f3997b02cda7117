//! What the sender tells the group, besides announcements and symbols.

use std::time::Duration;

use super::bytes::{Reader, Writer, cut, printable};
use super::{Discard, HEADER_BYTES, Header, Kind, open_body, seal_datagram};
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, ReceiverId, Sequence, SessionTag};
use crate::integrity::{BlockHash, Root};
use crate::limits::{CONTROL_MAX, MANIFEST_ENTRIES_MAX, REASON_MAX};
use crate::seal::Cipher;

/// A control datagram of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// Encodings and hashes of a run of blocks.
    Manifest(ManifestRun),
    /// How far the pass is.
    Poll(Poll),
    /// The session is over.
    End(End),
    /// A host was heard.
    Ack(Ack),
}

/// How a block's bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// All zero: nothing travels, and the file has a hole.
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
    /// How it travels.
    pub encoding: Encoding,
    /// What its logical bytes hash to.
    pub hash: BlockHash,
}

impl ManifestEntry {
    /// Bytes that travel as symbols for this block, 0 for a zero block.
    pub fn encoded_len(&self, geometry: Geometry, block: BlockIndex) -> u32 {
        match self.encoding {
            Encoding::Zero => 0,
            Encoding::Stored => geometry.block_len(block),
            Encoding::Zstd { encoded_len } => encoded_len,
        }
    }
}

/// Consecutive manifest entries, wherever they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRun {
    /// The block of the first entry.
    pub first: BlockIndex,
    /// One to [`MANIFEST_ENTRIES_MAX`] entries.
    pub entries: Vec<ManifestEntry>,
}

/// Asks every host for a report and says how far things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Counted up; a host answers each round once.
    pub round: u32,
    /// All symbols of the first pass of all blocks below this one were sent.
    pub blocks_sent: u32,
    /// All manifest entries below this block were sent.
    pub manifest_sent: u32,
    /// Time over which the hosts spread their reports.
    pub window: Duration,
    /// Number of slots in the window.
    pub slots: u32,
    /// Set once the source was read to its end and proven: the object may be published under this root.
    pub root: Option<Root>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more will be sent.
    Over,
    /// The push failed; nothing may be published.
    Aborted(String),
}

/// Ends a host's repetitions of its hello, done or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Whom it answers.
    pub receiver: ReceiverId,
    /// What it answers: hello, done or failed.
    pub kind: Kind,
    /// The host's slot in the window of a poll.
    pub slot: u32,
}

impl Down {
    /// What kind of datagram it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Manifest(_) => Kind::Manifest,
            Self::Poll(_) => Kind::Poll,
            Self::End(_) => Kind::End,
            Self::Ack(_) => Kind::Ack,
        }
    }

    /// Writes the sealed datagram.
    pub fn seal(&self, cipher: &Cipher, tag: SessionTag, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: self.kind(), tag, sequence };
        seal_datagram(cipher, sequence, out, |out| header.emit(out), |out| self.emit(out));
    }

    /// Opens and reads a datagram of this session.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, geometry: Geometry, datagram: &[u8]) -> Result<(Header, Self), Discard> {
        let header = Header::parse(datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let mut body = Reader::new(open_body(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?);
        let down = match header.kind {
            Kind::Manifest => Self::Manifest(parse_manifest(geometry, &mut body)?),
            Kind::Poll => Self::Poll(parse_poll(geometry, &mut body)?),
            Kind::End => Self::End(parse_end(&mut body)?),
            Kind::Ack => Self::Ack(parse_ack(&mut body)?),
            Kind::Symbol
            | Kind::Announce
            | Kind::Ask
            | Kind::Heard
            | Kind::Answer
            | Kind::Notice
            | Kind::Hello
            | Kind::Report
            | Kind::Done
            | Kind::Failed => {
                return Err(Discard::UnknownKind);
            }
        };
        body.end()?;
        Ok((header, down))
    }

    fn emit(&self, out: &mut Writer<'_>) {
        match self {
            Self::Manifest(run) => {
                assert!((1..=MANIFEST_ENTRIES_MAX).contains(&run.entries.len()));
                out.u32(run.first.0);
                out.u16(run.entries.len() as u16);
                run.entries.iter().for_each(|entry| emit_entry(entry, out));
            }
            Self::Poll(poll) => {
                out.u32(poll.round);
                out.u32(poll.blocks_sent);
                out.u32(poll.manifest_sent);
                out.u32(u32::try_from(poll.window.as_micros()).unwrap_or(u32::MAX));
                out.u32(poll.slots);
                match poll.root {
                    None => out.u8(0),
                    Some(root) => {
                        out.u8(1);
                        out.bytes(&root.0);
                    }
                }
            }
            Self::End(End::Over) => out.u8(0),
            Self::End(End::Aborted(reason)) => {
                out.u8(1);
                out.text(cut(reason, REASON_MAX));
            }
            Self::Ack(ack) => {
                out.bytes(&ack.receiver.0);
                out.u8(ack.kind as u8);
                out.u32(ack.slot);
            }
        }
    }
}

fn emit_entry(entry: &ManifestEntry, out: &mut Writer<'_>) {
    let (code, len) = match entry.encoding {
        Encoding::Zero => (ZERO, 0),
        Encoding::Stored => (STORED, 0),
        Encoding::Zstd { encoded_len } => (ZSTD, encoded_len),
    };
    out.u8(code);
    out.uint(u64::from(len), 3);
    out.bytes(&entry.hash.0);
}

fn parse_manifest(geometry: Geometry, body: &mut Reader<'_>) -> Result<ManifestRun, Discard> {
    let first = BlockIndex(body.u32()?);
    let count = body.u16()?;
    let end = first.0.checked_add(u32::from(count)).ok_or(Discard::Malformed)?;
    if count == 0 || usize::from(count) > MANIFEST_ENTRIES_MAX || end > geometry.blocks() {
        return Err(Discard::Malformed);
    }
    let entries = (first.0..end).map(|block| parse_entry(geometry, BlockIndex(block), body));
    Ok(ManifestRun { first, entries: entries.collect::<Result<_, _>>()? })
}

fn parse_entry(
    geometry: Geometry,
    block: BlockIndex,
    body: &mut Reader<'_>,
) -> Result<ManifestEntry, Discard> {
    let encoding = match (body.u8()?, body.u24()?) {
        (ZERO, 0) => Encoding::Zero,
        (STORED, 0) => Encoding::Stored,
        (ZSTD, encoded_len) if encoded_len > 0 && encoded_len < geometry.block_len(block) => {
            Encoding::Zstd { encoded_len }
        }
        _ => return Err(Discard::Malformed),
    };
    Ok(ManifestEntry { encoding, hash: BlockHash(body.array()?) })
}

fn parse_poll(geometry: Geometry, body: &mut Reader<'_>) -> Result<Poll, Discard> {
    let poll = Poll {
        round: body.u32()?,
        blocks_sent: body.u32()?,
        manifest_sent: body.u32()?,
        window: Duration::from_micros(u64::from(body.u32()?)),
        slots: body.u32()?,
        root: match body.u8()? {
            0 => None,
            1 => Some(Root(body.array()?)),
            _ => return Err(Discard::Malformed),
        },
    };
    let possible = poll.blocks_sent <= geometry.blocks()
        && poll.manifest_sent <= geometry.blocks()
        && poll.slots > 0
        && poll.window <= WINDOW_MAX;
    if possible { Ok(poll) } else { Err(Discard::Malformed) }
}

fn parse_end(body: &mut Reader<'_>) -> Result<End, Discard> {
    match body.u8()? {
        0 => Ok(End::Over),
        1 => Ok(End::Aborted(printable(body.text(REASON_MAX)?))),
        _ => Err(Discard::Malformed),
    }
}

fn parse_ack(body: &mut Reader<'_>) -> Result<Ack, Discard> {
    Ok(Ack { receiver: ReceiverId(body.array()?), kind: parse_acknowledged(body)?, slot: body.u32()? })
}

fn parse_acknowledged(body: &mut Reader<'_>) -> Result<Kind, Discard> {
    Kind::from_byte(body.u8()?)
        .filter(|kind| matches!(kind, Kind::Hello | Kind::Done | Kind::Failed))
        .ok_or(Discard::Malformed)
}

const ZERO: u8 = 0;
const STORED: u8 = 1;
const ZSTD: u8 = 2;

/// The window of 10 000 hosts at 4 000 reports a second is 2.5 s.
const WINDOW_MAX: Duration = Duration::from_secs(10);
