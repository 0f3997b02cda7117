//! The announcement: all that a host needs to take part, at any moment of the session.

use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{Reader, Writer};
use super::{Discard, DiskFormat, HEADER_BYTES, Header, Kind, Pin, open_body, seal_datagram};
use crate::geometry::Geometry;
use crate::ids::{ObjectName, Sequence, SessionId};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, OBJECT_NAME_MAX};
use crate::seal::{Cipher, GroupKey};
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
}

impl Announce {
    /// Writes the sealed datagram.
    pub fn seal(&self, cipher: &Cipher, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Announce, tag: self.session.tag(), sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.session.0);
        };
        seal_datagram(cipher, sequence, out, clear, |out| self.emit(out));
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
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<Self, Discard> {
        let session = Self::session_of(datagram)?;
        let header = Header::parse(datagram)?;
        let cipher = Cipher::downward(key, session);
        let mut plain = [0; CONTROL_MAX];
        let body = open_body(&cipher, header.sequence, datagram, CLEAR_BYTES, &mut plain)
            .map_err(|reason| if reason == Discard::Forged { Discard::WrongKey } else { reason })?;
        Self::parse(session, body)
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
        out.u8(SCHEME_GROUP_KEY);
    }

    fn parse(session: SessionId, body: &[u8]) -> Result<Self, Discard> {
        let mut body = Reader::new(body);
        let time = WallClock(body.u64()?);
        let geometry = Geometry::new(body.u64()?, body.u8()?, body.u16()?).map_err(|_| Discard::Malformed)?;
        let reply_to = body.address()?;
        let spread = Duration::from_millis(u64::from(body.u32()?)).min(SPREAD_MAX);
        let expected_hosts = body.u32()?;
        let name = ObjectName::new(body.text(OBJECT_NAME_MAX)?).map_err(|_| Discard::Malformed)?;
        let image_id = body.image_id()?;
        let format = DiskFormat::parse(&mut body)?;
        let pin = Pin::parse(&mut body)?;
        let one_way = body.bool()?;
        if body.u8()? != SCHEME_GROUP_KEY {
            return Err(Discard::Malformed);
        }
        body.end()?;
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
        })
    }
}

/// Length of a UUID as text, 8-4-4-4-12 lower-case hex digits as Glance prints it.
pub(super) const IMAGE_ID_BYTES: usize = 36;

/// Whether a text is an image id as Glance prints it.
pub fn is_image_id(text: &str) -> bool {
    text.len() == IMAGE_ID_BYTES
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Session id after the header.
const CLEAR_BYTES: usize = HEADER_BYTES + 16;

/// No host waits longer than this before its hello, whatever is announced.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// How the announcement is vouched for: by the group key alone.
const SCHEME_GROUP_KEY: u8 = 0;

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
        + 1
        + 16;
    assert!(longest <= CONTROL_SMALL);
};
