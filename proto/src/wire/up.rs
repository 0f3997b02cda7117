//! What a host tells the sender.

use super::bytes::{Reader, Writer, cut, printable};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram};
use super::header::{HEADER_BYTES, Header, Kind, UP_CLEAR_BYTES};
use super::report::{KeptRun, Report, Totals};
use crate::geometry::Geometry;
use crate::ids::{HostName, ReceiverId, Sequence, SessionTag};
use crate::integrity::Root;
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, HELD_RUNS_MAX, HOST_NAME_MAX, REASON_MAX, SOFTWARE_MAX};
use crate::seal::{Cipher, TAG_BYTES};

/// A control datagram of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// It takes part.
    Hello(Hello),
    /// What it lacks.
    Report(Report),
    /// It has published the object.
    Done(Done),
    /// It gives up.
    Failed(Failed),
}

/// A host that takes part, or will as soon as it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its name.
    pub name: HostName,
    /// Name and version of its program, for the table.
    pub software: String,
    /// It is at work on another session and joins this one afterwards.
    pub busy: bool,
    /// What it kept of an earlier session of the same object, ascending.
    pub kept: Vec<KeptRun>,
}

/// A host that holds a proven, published copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it has proven.
    pub root: Root,
    /// It held the same bytes under this name before; nothing was written.
    pub existing: bool,
    /// Its counters.
    pub totals: Totals,
}

/// A host that has given up and holds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which kind of thing went wrong.
    pub kind: FailureKind,
    /// What happened, where, and what to do next; at most [`REASON_MAX`] bytes.
    pub reason: String,
    /// Its counters.
    pub totals: Totals,
}

/// Why a host gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FailureKind {
    /// A file of this name with other content is there.
    Exists = 1,
    /// Not enough space for the object.
    NoSpace = 2,
    /// The store could not be written.
    Store = 3,
    /// All blocks were right and the whole was not: the manifest and the root do not go together.
    Root = 4,
    /// The receiver was told to stop.
    Stopping = 5,
    /// The host's rules do not let it in.
    Refused = 6,
    /// A block was wrong again and again: somebody with the group key sends bad symbols.
    Corrupt = 7,
}

impl FailureKind {
    fn from_byte(byte: u8) -> Result<Self, Discard> {
        [Self::Exists, Self::NoSpace, Self::Store, Self::Root, Self::Stopping, Self::Refused, Self::Corrupt]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
            .ok_or(Discard::Malformed)
    }
}

/// The clear header of a host's datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpHeader {
    /// Kind, session, number.
    pub header: Header,
    /// Who wrote it; its key follows from this.
    pub receiver: ReceiverId,
}

impl UpHeader {
    /// Reads the clear header of a host's datagram.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse(datagram)?;
        match header.kind {
            Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Answer => {}
            Kind::Symbol
            | Kind::Announce
            | Kind::Manifest
            | Kind::Poll
            | Kind::End
            | Kind::Ack
            | Kind::Ask
            | Kind::Heard
            | Kind::Notice => return Err(Discard::UnknownKind),
        }
        let id = datagram.get(HEADER_BYTES..).and_then(|rest| rest.first_chunk()).ok_or(Discard::TooShort)?;
        Ok(Self { header, receiver: ReceiverId(*id) })
    }
}

impl Up {
    /// What kind of datagram it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Report(_) => Kind::Report,
            Self::Done(_) => Kind::Done,
            Self::Failed(_) => Kind::Failed,
        }
    }

    /// Writes the sealed datagram.
    pub fn seal(
        &self,
        cipher: &Cipher,
        tag: SessionTag,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = Header { kind: self.kind(), tag, sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&receiver.0);
        };
        seal_datagram(cipher, sequence, out, clear, |out| self.emit(out));
    }

    /// Opens and reads a datagram whose header was read before.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, geometry: Geometry, up: UpHeader, datagram: &[u8]) -> Result<Self, Discard> {
        let mut plain = [0; CONTROL_MAX];
        let body = open_body(cipher, up.header.sequence, datagram, UP_CLEAR_BYTES, &mut plain)?;
        let mut body = Reader::new(body);
        let up = match up.header.kind {
            Kind::Hello => Self::Hello(parse_hello(geometry, &mut body)?),
            Kind::Report => Self::Report(Report::parse(geometry, &mut body)?),
            Kind::Done => Self::Done(parse_done(&mut body)?),
            Kind::Failed => Self::Failed(parse_failed(&mut body)?),
            Kind::Symbol
            | Kind::Announce
            | Kind::Manifest
            | Kind::Poll
            | Kind::End
            | Kind::Ack
            | Kind::Ask
            | Kind::Heard
            | Kind::Answer
            | Kind::Notice => return Err(Discard::UnknownKind),
        };
        body.end()?;
        Ok(up)
    }

    fn emit(&self, out: &mut Writer<'_>) {
        match self {
            Self::Hello(hello) => {
                out.text(hello.name.as_str());
                out.text(cut(&hello.software, SOFTWARE_MAX));
                out.u8(u8::from(hello.busy));
                KeptRun::emit_all(&hello.kept, HELD_RUNS_MAX, out);
            }
            Self::Report(report) => report.emit(out),
            Self::Done(done) => {
                out.bytes(&done.root.0);
                out.u8(u8::from(done.existing));
                done.totals.emit(out);
            }
            Self::Failed(failed) => {
                out.u8(failed.kind as u8);
                out.text(cut(&failed.reason, REASON_MAX));
                failed.totals.emit(out);
            }
        }
    }
}

fn parse_hello(geometry: Geometry, body: &mut Reader<'_>) -> Result<Hello, Discard> {
    Ok(Hello {
        name: HostName::new(body.text(HOST_NAME_MAX)?).map_err(|_| Discard::Malformed)?,
        software: printable(body.text(SOFTWARE_MAX)?),
        busy: body.bool()?,
        kept: KeptRun::parse_all(geometry, HELD_RUNS_MAX, body)?,
    })
}

fn parse_done(body: &mut Reader<'_>) -> Result<Done, Discard> {
    Ok(Done { root: Root(body.array()?), existing: body.bool()?, totals: Totals::parse(body)? })
}

fn parse_failed(body: &mut Reader<'_>) -> Result<Failed, Discard> {
    Ok(Failed {
        kind: FailureKind::from_byte(body.u8()?)?,
        reason: printable(body.text(REASON_MAX)?),
        totals: Totals::parse(body)?,
    })
}

const _: () = {
    let kept = 1 + 8 * HELD_RUNS_MAX;
    let hello = UP_CLEAR_BYTES + (1 + HOST_NAME_MAX) + (1 + SOFTWARE_MAX) + 1 + kept + TAG_BYTES;
    assert!(hello <= CONTROL_SMALL, "a hello fits every path");
};
