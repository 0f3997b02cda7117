//! What the sender tells the group, besides announcements and symbols.

use std::time::Duration;

use super::bytes::{Reader, Writer, cut, printable};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram, seal_signed};
use super::header::{HEADER_BYTES, Header, Kind};
use super::manifest::ManifestRun;
use crate::geometry::Geometry;
use crate::ids::{ReceiverId, Sequence, SessionId};
use crate::integrity::Root;
use crate::limits::{CONTROL_MAX, REASON_MAX};
use crate::seal::Cipher;
use crate::sign::{PublicKey, SigningKey};

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

    /// Writes the sealed datagram, signed if there is a key for it; an ack never is.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Option<&SigningKey>,
        session: SessionId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = Header { kind: self.kind(), tag: session.tag(), sequence };
        let clear = |out: &mut Writer<'_>| header.emit(out);
        match signer.filter(|_| is_signed(header.kind)) {
            None => seal_datagram(cipher, sequence, out, clear, |out| self.emit(out)),
            Some(key) => seal_signed(cipher, key, session, sequence, out, clear, |out| self.emit(out)),
        }
    }

    /// Opens and reads a datagram of this session. Where the session has a signer, `wanted` is asked whether what it
    /// says is worth checking its signature.
    ///
    /// # Errors
    /// Why it is none; [`Discard::Replayed`] where it is not wanted.
    pub fn open(
        cipher: &Cipher,
        geometry: Geometry,
        signer: Option<(SessionId, PublicKey)>,
        datagram: &[u8],
        wanted: impl FnOnce(&Self) -> bool,
    ) -> Result<(Header, Self), Discard> {
        let header = Header::parse(datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open_body(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        let Some((session, key)) = signer.filter(|_| is_signed(header.kind)) else {
            return Ok((header, Self::parse(header, geometry, body)?));
        };
        let (body, signature) = body.split_last_chunk().ok_or(Discard::BadSignature)?;
        // Most likely not signed at all.
        let down = Self::parse(header, geometry, body).map_err(|_| Discard::BadSignature)?;
        if !wanted(&down) {
            return Err(Discard::Replayed);
        }
        let good = key.verify(session, &datagram[..HEADER_BYTES], body, signature);
        if good { Ok((header, down)) } else { Err(Discard::BadSignature) }
    }

    fn parse(header: Header, geometry: Geometry, body: &[u8]) -> Result<Self, Discard> {
        let mut body = Reader::new(body);
        let down = match header.kind {
            Kind::Manifest => Self::Manifest(ManifestRun::parse(geometry, &mut body)?),
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
        Ok(down)
    }

    fn emit(&self, out: &mut Writer<'_>) {
        match self {
            Self::Manifest(run) => run.emit(out),
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

/// Whether a kind is signed where the session is: an ack is not, as it is said to one host, and takes nothing from it but
/// its slot, or repetitions of its last word.
fn is_signed(kind: Kind) -> bool {
    kind != Kind::Ack
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

/// The window of 10 000 hosts at 4 000 reports a second is 2.5 s.
const WINDOW_MAX: Duration = Duration::from_secs(10);
