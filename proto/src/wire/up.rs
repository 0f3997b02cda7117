//! What a host tells its sender alone, after its hello.

use super::bytes::Writer;
use super::discard::Discard;
use super::done::Done;
use super::envelope::{Envelope, open, read_all};
use super::failed::Failed;
use super::header::{Header, UP_CLEAR_BYTES, UpHeader};
use super::kind::Kind;
use super::report::Report;
use crate::geometry::Geometry;
use crate::ids::{ReceiverId, Sequence, SessionTag};
use crate::limits::CONTROL_MAX;
use crate::seal::Cipher;

/// A control datagram of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// What it lacks.
    Report(Report),
    /// It has published the object.
    Done(Done),
    /// It gives up.
    Failed(Failed),
}

impl Up {
    /// What kind of datagram it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Report(_) => Kind::Report,
            Self::Done(_) => Kind::Done,
            Self::Failed(_) => Kind::Failed,
        }
    }

    /// Writes the datagram, sealed under the cipher of what this host tells the sender alone.
    pub fn seal(
        &self,
        cipher: &Cipher,
        tag: SessionTag,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = UpHeader { header: Header { kind: self.kind(), tag, sequence }, receiver };
        let body = |out: &mut Writer<'_>| match self {
            Self::Report(report) => report.emit(out),
            Self::Done(done) => done.emit(out),
            Self::Failed(failed) => failed.emit(out),
        };
        Envelope { cipher, sequence, signer: None }.seal(out, |out| header.emit(out), body);
    }

    /// Opens and reads a datagram whose header was read before.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, geometry: Geometry, up: UpHeader, datagram: &[u8]) -> Result<Self, Discard> {
        let mut plain = [0; CONTROL_MAX];
        let body = open(cipher, up.header.sequence, datagram, UP_CLEAR_BYTES, &mut plain)?;
        read_all(body, |body| match up.header.kind {
            Kind::Report => Report::parse(geometry, body).map(Self::Report),
            Kind::Done => Done::parse(body).map(Self::Done),
            Kind::Failed => Failed::parse(body).map(Self::Failed),
            _ => Err(Discard::UnknownKind),
        })
    }
}
