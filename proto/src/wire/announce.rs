//! The announcement: all that a host needs to take part, at any moment of the session.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{Reader, Writer};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram, seal_signed};
use super::header::{HEADER_BYTES, Header, Kind};
use super::keeping::{DiskFormat, Pin};
use crate::geometry::Geometry;
use crate::ids::{IMAGE_ID_BYTES, ObjectName, Sequence, SessionId, is_image_id};
use crate::limits::{BASE_NAME_MAX, CONTROL_MAX, CONTROL_SMALL, OBJECT_NAME_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::{PublicKey, SIGNATURE_BYTES, SigningKey};
use crate::time::WallClock;

/// What is being sent in which session, and where to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The session; the keys follow from it.
    pub session: SessionId,
    /// When it was said. Refused when far from the host's own time.
    pub time: WallClock,
    /// The object's length and how it is cut.
    pub geometry: Geometry,
    /// The file name.
    pub name: ObjectName,
    /// Glance's id of the image (a UUID as text), where it comes from Glance.
    pub image_id: Option<String>,
    /// What the bytes are.
    pub format: DiskFormat,
    /// How long hosts keep it.
    pub pin: Pin,
    /// Where hosts send their hellos and reports: inside the seal, so that nobody else can draw them off.
    pub reply_to: SocketAddr,
    /// Hosts spread their hellos evenly over this time.
    pub spread: Duration,
    /// Hosts that the push waits for; 0: whoever answers.
    pub expected_hosts: u32,
    /// Hosts are not to answer: nothing that they say would reach the sender.
    pub one_way: bool,
    /// An older object of which hosts may hold many blocks. Nothing is sent then that nobody asks for, and each manifest
    /// entry has a fingerprint.
    pub base: Option<BaseName>,
}

/// How stores name an older object: its id in Glance, or the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseName(ObjectName);

impl BaseName {
    /// Checks that the name is one that an announcement has room for.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn new(name: &str) -> Result<Self, String> {
        if name.len() > BASE_NAME_MAX {
            return Err(format!("a name of {} bytes; at most {BASE_NAME_MAX} can be announced", name.len()));
        }
        ObjectName::new(name).map(Self).map_err(|error| error.to_string())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as an id in Glance, if it is one.
    pub fn image_id(&self) -> Option<&str> {
        Some(self.as_str()).filter(|name| is_image_id(name))
    }
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An announcement as it came: opened under the group's key, and signed by whom it names, if by anybody. Nobody has
/// looked at the signature yet, as that takes longer than to see that the signer is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What it says.
    pub announce: Announce,
    /// Who says to have signed it.
    pub signer: Option<PublicKey>,
    /// Its number to the group.
    pub sequence: Sequence,
    header: [u8; CLEAR_BYTES],
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
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.session.0);
        };
        let emit = |out: &mut Writer<'_>| match signer {
            None => {
                self.emit(out);
                out.u8(SCHEME_GROUP_KEY);
            }
            Some(key) => {
                self.emit(out);
                out.u8(SCHEME_ED25519);
                out.bytes(&key.public().0);
            }
        };
        match signer {
            None => seal_datagram(cipher, sequence, out, clear, emit),
            Some(key) => seal_signed(cipher, key, self.session, sequence, out, clear, emit),
        }
    }

    /// The session that a datagram of this kind announces; nothing is proven yet.
    ///
    /// # Errors
    /// Not an announcement, or too short for one.
    pub fn session_of(datagram: &[u8]) -> Result<SessionId, Discard> {
        let header = Header::parse(datagram)?;
        if header.kind != Kind::Announce {
            return Err(Discard::UnknownKind);
        }
        let id = datagram.get(HEADER_BYTES..).and_then(|rest| rest.first_chunk()).ok_or(Discard::TooShort)?;
        let session = SessionId(*id);
        if session.tag() == header.tag { Ok(session) } else { Err(Discard::Malformed) }
    }

    /// Opens and reads an announcement under the group's key.
    ///
    /// # Errors
    /// [`Discard::WrongKey`] when the group's key does not open it, or why it is no announcement.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<Announced, Discard> {
        let session = Self::session_of(datagram)?;
        let at = Header::parse(datagram)?;
        let cipher = Cipher::downward(key, session);
        let mut plain = [0; CONTROL_MAX];
        let body = open_body(&cipher, at.sequence, datagram, CLEAR_BYTES, &mut plain)
            .map_err(|reason| if reason == Discard::Forged { Discard::WrongKey } else { reason })?;
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
        Ok(Announced { announce, signer, sequence: at.sequence, header, signed: signed.to_vec(), signature })
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
        out.u8(u8::from(self.one_way));
        out.text(self.base.as_ref().map_or("", BaseName::as_str));
    }

    fn parse(session: SessionId, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let time = WallClock(body.u64()?);
        let geometry = Geometry::new(body.u64()?, body.u8()?, body.u16()?).map_err(|_| Discard::Malformed)?;
        let reply_to = body.address()?;
        let spread = Duration::from_millis(u64::from(body.u32()?)).min(SPREAD_MAX);
        let expected_hosts = body.u32()?;
        let name = ObjectName::new(body.text(OBJECT_NAME_MAX)?).map_err(|_| Discard::Malformed)?;
        let image_id = body.image_id()?;
        let format = DiskFormat::parse(body)?;
        let pin = Pin::parse(body)?;
        let one_way = body.bool()?;
        let base = match body.text(BASE_NAME_MAX)? {
            "" => None,
            // Who asks for nothing would get nothing.
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

/// Session id after the header.
const CLEAR_BYTES: usize = HEADER_BYTES + 16;

/// No host waits longer than this before its hello, whatever is announced.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// How the announcement is vouched for: by the group key alone, or by a public key and a signature that follow.
const SCHEME_GROUP_KEY: u8 = 0;
const SCHEME_ED25519: u8 = 1;

const _: () = {
    let longest = CLEAR_BYTES
        + 8
        + 8
        + 1
        + 2
        + 17
        + 2
        + 4
        + 4
        + (1 + OBJECT_NAME_MAX)
        + (1 + IMAGE_ID_BYTES)
        + 1
        + 5
        + 1
        + (1 + BASE_NAME_MAX)
        + (1 + PublicKey::BYTES + SIGNATURE_BYTES)
        + 16;
    assert!(longest <= CONTROL_SMALL);
};
