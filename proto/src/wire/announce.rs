//! The announcement: all that a host needs to take part, at any moment of the session.
//!
//! ```text
//!   0  10       header, kind 2                                clear, signed
//!  10  16       session id
//!  26   8       time: ms since 1970 (UTC)                     sealed, signed
//!  34   8       length of the object
//!  42   1       log2 of the block size
//!  43   2       symbol size T
//!  45   7 | 19  reply to: family 4 | 6, address, port
//!   +   4       spread in ms
//!   +   4       expected hosts; 0: any number
//!   +   1+n     name, n <= 200
//!   +   1+n     image id, n = 0 | 36
//!   +   1       disk format
//!   +   5       pin: 0 none | 1 for a time | 2 for ever; seconds, 0 unless for a time
//!   +   1       one way: 0 | 1
//!   +   1+n     name of the base, n <= 96; 0: none
//!   +   1       scheme: 0 group key | 1 Ed25519
//!   +  32       the signer's public key                       scheme 1 only
//!   +  64       signature                                     sealed, scheme 1 only
//!   +  16       tag
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{ADDRESS, IMAGE_ID, Reader, Writer, choice, fields, text};
use super::discard::Discard;
use super::envelope::{Envelope, open_for_group, sealed_signed};
use super::header::{Header, SESSION_CLEAR_BYTES};
use super::keeping::{DiskFormat, Pin};
use super::kind::Kind;
use crate::geometry::Geometry;
use crate::ids::{BaseName, ObjectName, Sequence, SessionId};
use crate::limits::{BASE_NAME_MAX, CONTROL_MAX, CONTROL_SMALL, OBJECT_NAME_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::{PublicKey, SIGNATURE_BYTES, SigningKey};
use crate::time::WallClock;

/// What is being sent in which session, and where to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The session; the keys follow from it.
    pub session: SessionId,
    /// When the announcement was sent. A host refuses one that is far from its own time.
    pub time: WallClock,
    /// The object's length and how it is divided.
    pub geometry: Geometry,
    /// The file name.
    pub name: ObjectName,
    /// Glance's id of the image (a UUID as text), where it comes from Glance.
    pub image_id: Option<String>,
    /// What the bytes are.
    pub format: DiskFormat,
    /// How long hosts keep it.
    pub pin: Pin,
    /// Where hosts send their hellos and reports. It is sealed, so that nobody else can divert them.
    pub reply_to: SocketAddr,
    /// Hosts spread their hellos evenly over this time.
    pub spread: Duration,
    /// Hosts that the push waits for; 0: any number.
    pub expected_hosts: u32,
    /// Hosts are not to answer: nothing that they send would reach the sender.
    pub one_way: bool,
    /// An older object of which hosts may hold many blocks. Then only what hosts ask for is sent, and each manifest
    /// entry has a fingerprint.
    pub base: Option<BaseName>,
}

/// An announcement as it came: opened under the group's key, its signature not yet checked. Looking up the signer comes
/// first, as it is far cheaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What it says.
    pub announce: Announce,
    /// Who claims to have signed it; `None` where it is not signed.
    pub signer: Option<PublicKey>,
    /// Its number to the group.
    pub sequence: Sequence,
    header: [u8; SESSION_CLEAR_BYTES],
    signed: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Announced {
    /// Checks the signature, if there is one.
    ///
    /// # Errors
    /// [`Discard::BadSignature`]
    pub fn verify(&self) -> Result<(), Discard> {
        let Some(signer) = self.signer else { return Ok(()) };
        let good = signer.verify(self.announce.session, &self.header, &self.signed, &self.signature);
        if good { Ok(()) } else { Err(Discard::BadSignature) }
    }
}

impl Announce {
    /// Writes the sealed datagram, signed if there is a key for it.
    pub fn seal(&self, cipher: &Cipher, signer: Option<&SigningKey>, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Announce, tag: self.session.tag(), sequence };
        let envelope = Envelope { cipher, sequence, signer: signer.map(|key| (key, self.session)) };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.session.0);
        };
        envelope.seal(out, clear, |out| {
            self.emit(out);
            match signer {
                None => out.u8(SCHEME_GROUP_KEY),
                Some(key) => {
                    out.u8(SCHEME_ED25519);
                    out.bytes(&key.public().0);
                }
            }
        });
    }

    /// The session that a datagram of this kind announces; nothing is proven yet.
    ///
    /// # Errors
    /// Not an announcement, or too short for one.
    pub fn session_of(datagram: &[u8]) -> Result<SessionId, Discard> {
        Header::parse_with_session(Kind::Announce, datagram).map(|(_, session)| session)
    }

    /// Opens and reads an announcement under the group's key.
    ///
    /// # Errors
    /// [`Discard::WrongKey`] when the group's key does not open it, or why it is no announcement.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<Announced, Discard> {
        let (Header { sequence, .. }, session) = Header::parse_with_session(Kind::Announce, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open_for_group(key, session, sequence, datagram, &mut plain)?;
        let mut rest = Reader::new(body);
        let announce = Self::parse(session, &mut rest)?;
        let signer = match rest.u8()? {
            SCHEME_GROUP_KEY => None,
            SCHEME_ED25519 => Some(PublicKey(rest.array()?)),
            _ => return Err(Discard::Malformed),
        };
        let signature = if signer.is_some() { rest.array()? } else { [0; SIGNATURE_BYTES] };
        rest.end()?;
        let signed = if signer.is_some() { &body[..body.len() - SIGNATURE_BYTES] } else { &[] };
        let header = *datagram.first_chunk().expect("its session id was read");
        Ok(Announced { announce, signer, sequence, header, signed: signed.to_vec(), signature })
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.u64(self.geometry.object_bytes());
        out.u8(self.geometry.block_log2());
        out.u16(self.geometry.symbol_size());
        out.address(self.reply_to);
        out.u32(u32::try_from(self.spread.as_millis()).unwrap_or(u32::MAX));
        out.u32(self.expected_hosts);
        out.text(self.name.as_str());
        out.text(self.image_id.as_deref().unwrap_or(""));
        self.format.emit(out);
        self.pin.emit(out);
        out.bool(self.one_way);
        out.text(self.base.as_ref().map_or("", BaseName::as_str));
    }

    fn parse(session: SessionId, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let time = WallClock(body.u64()?);
        let geometry = Geometry::new(body.u64()?, body.u8()?, body.u16()?).map_err(|_| Discard::Malformed)?;
        let reply_to = body.address()?;
        let spread = Duration::from_millis(u64::from(body.u32()?)).min(SPREAD_MAX);
        let expected_hosts = body.u32()?;
        let name = body.object_name()?;
        let image_id = body.image_id()?;
        let format = DiskFormat::parse(body)?;
        let pin = Pin::parse(body)?;
        let one_way = body.bool()?;
        let base = match body.text(BASE_NAME_MAX)? {
            "" => None,
            // With a base only what is asked for is sent, and one way nobody asks.
            _ if one_way => return Err(Discard::Malformed),
            name => Some(BaseName::new(name).map_err(|_| Discard::Malformed)?),
        };
        Ok(Self {
            session,
            time,
            geometry,
            name,
            image_id,
            format,
            pin,
            reply_to,
            spread,
            expected_hosts,
            one_way,
            base,
        })
    }
}

/// The longest time that a host waits before its hello, whatever is announced.
pub(super) const SPREAD_MAX: Duration = Duration::from_secs(30);

/// What vouches for the announcement: the group key alone, or a signature by the public key that follows.
pub(super) const SCHEME_GROUP_KEY: u8 = 0;
const SCHEME_ED25519: u8 = 1;

fields! {
    Body {
        TIME: WallClock::BYTES,
        OBJECT_BYTES: 8,
        BLOCK_LOG2: 1,
        SYMBOL_SIZE: 2,
        REPLY_TO: ADDRESS,
        SPREAD: 4,
        EXPECTED_HOSTS: 4,
        NAME: text(OBJECT_NAME_MAX),
        IMAGE: IMAGE_ID,
        FORMAT: DiskFormat::BYTES,
        PIN: Pin::BYTES,
        ONE_WAY: 1,
        BASE: text(BASE_NAME_MAX),
        SCHEME: choice(PublicKey::BYTES),
    }
}

/// The longest announcement.
pub(super) const ROOM: usize = sealed_signed(SESSION_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "an announcement fits every path");
