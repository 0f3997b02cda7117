//! What a sender says in a session, besides announcements and symbols.

use super::ack::Ack;
use super::bytes::Writer;
use super::discard::Discard;
use super::end::End;
use super::envelope::{Envelope, open, read_all};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use super::manifest::ManifestRun;
use super::poll::Poll;
use crate::geometry::Geometry;
use crate::ids::{Sequence, SessionId};
use crate::limits::CONTROL_MAX;
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
    /// A host's message was received.
    Ack(Ack),
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
        let signer = signer.filter(|_| is_signed(header.kind)).map(|key| (key, session));
        let body = |out: &mut Writer<'_>| match self {
            Self::Manifest(run) => run.emit(out),
            Self::Poll(poll) => poll.emit(out),
            Self::End(end) => end.emit(out),
            Self::Ack(ack) => ack.emit(out),
        };
        Envelope { cipher, sequence, signer }.seal(out, |out| header.emit(out), body);
    }

    /// Opens and reads a datagram of this session. Where the session is signed, `wanted` decides by what the datagram
    /// says whether its signature is worth checking.
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
        let body = open(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        let Some((session, key)) = signer.filter(|_| is_signed(header.kind)) else {
            return Ok((header, Self::parse(header.kind, geometry, body)?));
        };
        let (body, signature) = body.split_last_chunk().ok_or(Discard::BadSignature)?;
        // A body that cannot be read without its last 64 bytes is most likely not signed at all.
        let down = Self::parse(header.kind, geometry, body).map_err(|_| Discard::BadSignature)?;
        if !wanted(&down) {
            return Err(Discard::Replayed);
        }
        let good = key.verify(session, &datagram[..HEADER_BYTES], body, signature);
        if good { Ok((header, down)) } else { Err(Discard::BadSignature) }
    }

    fn parse(kind: Kind, geometry: Geometry, body: &[u8]) -> Result<Self, Discard> {
        read_all(body, |body| match kind {
            Kind::Manifest => ManifestRun::parse(geometry, body).map(Self::Manifest),
            Kind::Poll => Poll::parse(geometry, body).map(Self::Poll),
            Kind::End => End::parse(body).map(Self::End),
            Kind::Ack => Ack::parse(body).map(Self::Ack),
            _ => Err(Discard::UnknownKind),
        })
    }
}

/// Whether a kind is signed where the session is.
fn is_signed(kind: Kind) -> bool {
    kind != Kind::Ack
}
