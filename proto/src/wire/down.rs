//! What a sender says to the group in a session, besides announcements and symbols. All of it is signed where the session
//! is.

use super::audience::AudiencePage;
use super::bytes::Writer;
use super::discard::Discard;
use super::end::End;
use super::envelope::{Envelope, check_signature, open, read_all, split_signature};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use super::manifest::ManifestRun;
use super::poll::Poll;
use super::proofs::Proofs;
use crate::geometry::Geometry;
use crate::ids::{Sequence, SessionId};
use crate::limits::CONTROL_MAX;
use crate::seal::Cipher;
use crate::sign::{Signer, Verifier};

/// A control datagram of the sender to the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// Encodings and hashes of a run of blocks.
    Manifest(ManifestRun),
    /// How far the pass is.
    Poll(Poll),
    /// The session is over.
    End(End),
    /// Which hosts the session is for.
    Audience(AudiencePage),
    /// The hashes of symbols of a block.
    Proofs(Proofs),
}

impl Down {
    /// What kind of datagram it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Manifest(_) => Kind::Manifest,
            Self::Poll(_) => Kind::Poll,
            Self::End(_) => Kind::End,
            Self::Audience(_) => Kind::Audience,
            Self::Proofs(_) => Kind::Proofs,
        }
    }

    /// Writes the sealed datagram, signed if there is a key for it.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Option<Signer<'_>>,
        session: SessionId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = Header { kind: self.kind(), tag: session.tag(), sequence };
        let body = |out: &mut Writer<'_>| match self {
            Self::Manifest(run) => run.emit(out),
            Self::Poll(poll) => poll.emit(out),
            Self::End(end) => end.emit(out),
            Self::Audience(page) => page.emit(out),
            Self::Proofs(proofs) => proofs.emit(out),
        };
        Envelope { cipher, sequence, signer }.seal(out, |out| header.emit(out), body);
    }

    /// Opens and reads a datagram of this session. Where the session is signed, `wanted` decides by what the datagram
    /// says whether its signature is worth checking.
    ///
    /// # Errors
    /// Why it is none; the reason of `wanted` where it is not wanted.
    pub fn open(
        cipher: &Cipher,
        geometry: Geometry,
        signer: Option<Verifier>,
        datagram: &[u8],
        wanted: impl FnOnce(&Self) -> Result<(), Discard>,
    ) -> Result<(Header, Self), Discard> {
        let header = Header::parse(datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        let Some(verifier) = signer else {
            return Ok((header, Self::parse(header.kind, geometry, body)?));
        };
        let (body, signature) = split_signature(body)?;
        // A body that cannot be read without its last 64 bytes is most likely not signed at all.
        let down = Self::parse(header.kind, geometry, body).map_err(|_| Discard::BadSignature)?;
        wanted(&down)?;
        check_signature(verifier, datagram, HEADER_BYTES, body, signature)?;
        Ok((header, down))
    }

    fn parse(kind: Kind, geometry: Geometry, body: &[u8]) -> Result<Self, Discard> {
        read_all(body, |body| match kind {
            Kind::Manifest => ManifestRun::parse(geometry, body).map(Self::Manifest),
            Kind::Poll => Poll::parse(geometry, body).map(Self::Poll),
            Kind::End => End::parse(body).map(Self::End),
            Kind::Audience => AudiencePage::parse(body).map(Self::Audience),
            Kind::Proofs => Proofs::parse(geometry, body).map(Self::Proofs),
            _ => Err(Discard::UnknownKind),
        })
    }
}
