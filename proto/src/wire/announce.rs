//! The announcement: all that a host needs to take part, at any moment of the session.
//!
//! ```text
//!   0  10       header, kind 2                                clear, signed
//!  10  16       session id
//!  26   8       time: ms since 1970 (UTC)                     sealed, signed
//!  34   4       time since the push was started in ms
//!  38   8       length of the object
//!  46   1       log2 of the block size
//!  47   2       symbol size T
//!  49   7 | 19  reply to: family 4 | 6, address, port
//!   +   4       spread in ms
//!   +   5       audience: 0 everyone | 1 named; number of names, 0 for everyone
//!   +  32       the sender's agreement key for this session
//!   +   1+n     name, n <= 200
//!   +   1+n     image id, n = 0 | 36
//!   +   1       disk format
//!   +   5       pin: 0 none | 1 for a time | 2 for ever; seconds, 0 unless for a time
//!   +   1       one way: 0 | 1
//!   +   1+n     name of the base, n <= 76; 0: none
//!   +   4       data of the object, about, in pages of 4 KiB, rounded up; 2^32-1: not known
//!   +  ..       who vouches for it (vouched.rs)
//!   +  16       tag
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use super::audience::Audience;
use super::bytes::{ADDRESS, IMAGE_ID, Reader, Writer, fields, text};
use super::discard::Discard;
use super::envelope::{Envelope, open_for_group, sealed_signed};
use super::header::{Header, SESSION_CLEAR_BYTES};
use super::keeping::{DiskFormat, Pin};
use super::kind::Kind;
use super::vouched::{VOUCHED, Vouched};
use crate::agree::AgreementPublic;
use crate::geometry::Geometry;
use crate::ids::{BaseName, ObjectName, Sequence, SessionId};
use crate::limits::{
    BASE_NAME_MAX, CONTROL_MAX, CONTROL_SMALL, FEEDBACK_CYCLE_MAX, OBJECT_BYTES_MAX, OBJECT_NAME_MAX,
};
use crate::seal::{Cipher, GroupKey};
use crate::sign::{PublicKey, Scope, Signer};
use crate::time::WallClock;

/// What is being sent in which session, and where to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The session; the keys follow from it.
    pub session: SessionId,
    /// When the announcement was sent. A host refuses one that is far from its own time.
    pub time: WallClock,
    /// When the push was started, the same in all announcements of up to 49 days. Of two pushes hosts take part in the earlier one first.
    pub started: WallClock,
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
    /// Which hosts the push is for.
    pub audience: Audience,
    /// The sender's half of the keys that it shares with each host.
    pub agreement: AgreementPublic,
    /// Hosts are not to answer: nothing that they send would reach the sender.
    pub one_way: bool,
    /// An older object of which hosts may hold many blocks. Then only what hosts ask for is sent, and each manifest
    /// entry has a fingerprint.
    pub base: Option<BaseName>,
    /// About how many bytes of the object are data, not holes and zeros, in pages: the room that a host needs for it, if
    /// its file system keeps holes. `None` where the sender cannot tell before it has read the object.
    pub data_bytes: Option<u64>,
}

/// An announcement as it came: opened under the group's key, its signature not yet checked. Looking up the signer comes
/// first, as it is far cheaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What it says.
    pub announce: Announce,
    /// Who vouches for it.
    pub vouched: Vouched,
    /// Its number to the group.
    pub sequence: Sequence,
    /// What a signature of it is for.
    pub scope: Scope,
}

impl Announced {
    /// Who claims to have signed it; `None` where it is not signed.
    pub fn signer(&self) -> Option<PublicKey> {
        self.vouched.signer()
    }

    /// Checks the signature, if there is one.
    ///
    /// # Errors
    /// [`Discard::BadSignature`]
    pub fn verify(&self) -> Result<(), Discard> {
        self.vouched.verify(self.scope)
    }
}

impl Announce {
    /// Writes the sealed datagram, signed if there is a key for it.
    pub fn seal(&self, cipher: &Cipher, signer: Option<Signer<'_>>, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Announce, tag: self.session.tag(), sequence };
        let envelope = Envelope { cipher, sequence, signer };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.session.0);
        };
        envelope.seal(out, clear, |out| {
            self.emit(out);
            Vouched::emit(signer, out);
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
        let vouched = Vouched::parse(rest, body, datagram)?;
        Ok(Announced { announce, vouched, sequence, scope: key.scope(session) })
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.u32(u32::try_from(self.time.0.saturating_sub(self.started.0)).unwrap_or(u32::MAX));
        out.u64(self.geometry.object_bytes());
        out.u8(self.geometry.block_log2());
        out.u16(self.geometry.symbol_size());
        out.address(self.reply_to);
        out.u32(u32::try_from(self.spread.as_millis()).unwrap_or(u32::MAX));
        self.audience.emit(out);
        out.bytes(&self.agreement.0);
        out.text(self.name.as_str());
        out.text(self.image_id.as_deref().unwrap_or(""));
        self.format.emit(out);
        self.pin.emit(out);
        out.bool(self.one_way);
        out.text(self.base.as_ref().map_or("", BaseName::as_str));
        let pages = self.data_bytes.map(|bytes| bytes.div_ceil(PAGE_BYTES) as u32);
        out.u32(pages.unwrap_or(DATA_UNKNOWN));
    }

    fn parse(session: SessionId, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let time = WallClock(body.u64()?);
        let started = time.0.checked_sub(u64::from(body.u32()?)).ok_or(Discard::Malformed)?;
        let geometry = Geometry::new(body.u64()?, body.u8()?, body.u16()?).map_err(|_| Discard::Malformed)?;
        let reply_to = body.address()?;
        let spread = Duration::from_millis(u64::from(body.u32()?)).min(FEEDBACK_CYCLE_MAX);
        let audience = Audience::parse(body)?;
        let agreement = AgreementPublic(body.array()?);
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
        let data_bytes = match body.u32()? {
            DATA_UNKNOWN => None,
            pages if u64::from(pages) <= geometry.object_bytes().div_ceil(PAGE_BYTES) => {
                Some((u64::from(pages) * PAGE_BYTES).min(geometry.object_bytes()))
            }
            _ => return Err(Discard::Malformed),
        };
        Ok(Self {
            session,
            time,
            started: WallClock(started),
            geometry,
            name,
            image_id,
            format,
            pin,
            reply_to,
            spread,
            audience,
            agreement,
            one_way,
            base,
            data_bytes,
        })
    }
}

/// Unit in which the amount of data is announced: what file systems give to a file at a time.
const PAGE_BYTES: u64 = 4_096;
/// The amount of data of an object that the sender has not read yet.
const DATA_UNKNOWN: u32 = u32::MAX;
const _: () = assert!(OBJECT_BYTES_MAX / PAGE_BYTES < DATA_UNKNOWN as u64);

fields! {
    Body {
        TIME: WallClock::BYTES,
        AGE: 4,
        OBJECT_BYTES: 8,
        BLOCK_LOG2: 1,
        SYMBOL_SIZE: 2,
        REPLY_TO: ADDRESS,
        SPREAD: 4,
        AUDIENCE: Audience::BYTES,
        AGREEMENT: AgreementPublic::BYTES,
        NAME: text(OBJECT_NAME_MAX),
        IMAGE: IMAGE_ID,
        FORMAT: DiskFormat::BYTES,
        PIN: Pin::BYTES,
        ONE_WAY: 1,
        BASE: text(BASE_NAME_MAX),
        DATA: 4,
        VOUCHED: VOUCHED,
    }
}

/// The longest announcement.
pub(super) const ROOM: usize = sealed_signed(SESSION_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "an announcement fits every path");
