//! A query to the group, and the acknowledgement of what a host answered.
//!
//! A query is a session of its own kind: 16 bytes drawn at random, from which its keys follow as those of a push do.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{Reader, Writer};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram};
use super::header::{HEADER_BYTES, Header, Kind};
use crate::ids::{ObjectName, ReceiverId, Sequence, SessionId, SessionTag, is_image_id};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, OBJECT_NAME_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::time::WallClock;

/// A query, said in rounds until enough hosts have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which query; the keys follow from it.
    pub id: SessionId,
    /// When it was first said, the same in every round. Refused when far from the host's own time.
    pub time: WallClock,
    /// Counted up from 1.
    pub round: u16,
    /// Where hosts answer: inside the seal, so that nobody else can draw them off.
    pub reply_to: SocketAddr,
    /// Hosts spread their first answers evenly over this time.
    pub spread: Duration,
    /// Bytes that an answer may have, of UDP payload: [`CONTROL_SMALL`] to [`CONTROL_MAX`].
    pub answer_bytes_max: u16,
    /// What is asked.
    pub query: Query,
}

/// What is asked of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Who it is and all that it holds.
    Hosts,
    /// What it holds of this.
    Status(Sought),
    /// To hash its copies of this again.
    Verify(Sought),
    /// To keep this no longer than its rules say. The only query that changes something.
    Unpin(Sought),
}

/// An object as a person calls it: by its name on the hosts, by Glance's id, or by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    name: Option<ObjectName>,
    image_id: Option<String>,
}

/// Acknowledges a page of an answer, and asks for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whose.
    pub receiver: ReceiverId,
    /// Which of its answers.
    pub edition: u32,
    /// Which page.
    pub page: u16,
}

impl Sought {
    /// What bears this name and, where a host knows the ids of what it holds, this id; `None` if neither is given or
    /// the id is no UUID in Glance's form.
    pub fn new(name: Option<ObjectName>, image_id: Option<String>) -> Option<Self> {
        let possible = (name.is_some() || image_id.is_some()) && image_id.as_deref().is_none_or(is_image_id);
        possible.then_some(Self { name, image_id })
    }

    /// The name.
    pub fn name(&self) -> Option<&ObjectName> {
        self.name.as_ref()
    }

    /// Glance's id.
    pub fn image_id(&self) -> Option<&str> {
        self.image_id.as_deref()
    }

    /// Whether an object is meant. Ids decide where both sides know one; else names do.
    pub fn matches(&self, name: &str, image_id: Option<&str>) -> bool {
        match (self.image_id(), image_id) {
            (Some(sought), Some(held)) => sought == held,
            _ => self.name.as_ref().is_some_and(|sought| sought.as_str() == name),
        }
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.text(self.name.as_ref().map_or("", ObjectName::as_str));
        out.text(self.image_id().unwrap_or(""));
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let name = match body.text(OBJECT_NAME_MAX)? {
            "" => None,
            name => Some(ObjectName::new(name).map_err(|_| Discard::Malformed)?),
        };
        let image_id = body.image_id()?;
        Self::new(name, image_id).ok_or(Discard::Malformed)
    }
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.image_id) {
            (Some(name), Some(id)) if name.as_str() != id => write!(f, "{name} ({id})"),
            (Some(name), _) => name.fmt(f),
            (None, id) => f.write_str(id.as_deref().unwrap_or_default()),
        }
    }
}

impl Query {
    /// The object that is asked for.
    pub fn sought(&self) -> Option<&Sought> {
        match self {
            Self::Hosts => None,
            Self::Status(sought) | Self::Verify(sought) | Self::Unpin(sought) => Some(sought),
        }
    }

    fn emit(&self, out: &mut Writer<'_>) {
        let code = match self {
            Self::Hosts => HOSTS,
            Self::Status(_) => STATUS,
            Self::Verify(_) => VERIFY,
            Self::Unpin(_) => UNPIN,
        };
        out.u8(code);
        if let Some(sought) = self.sought() {
            sought.emit(out);
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match body.u8()? {
            HOSTS => Ok(Self::Hosts),
            STATUS => Sought::parse(body).map(Self::Status),
            VERIFY => Sought::parse(body).map(Self::Verify),
            UNPIN => Sought::parse(body).map(Self::Unpin),
            _ => Err(Discard::Malformed),
        }
    }
}

impl Ask {
    /// Writes the sealed datagram.
    pub fn seal(&self, cipher: &Cipher, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Ask, tag: self.id.tag(), sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.id.0);
        };
        seal_datagram(cipher, sequence, out, clear, |out| self.emit(out));
    }

    /// The query that a datagram of this kind asks; nothing is proven yet.
    ///
    /// # Errors
    /// Not a query, or too short for one.
    pub fn id_of(datagram: &[u8]) -> Result<SessionId, Discard> {
        let header = Header::parse(datagram)?;
        if header.kind != Kind::Ask {
            return Err(Discard::UnknownKind);
        }
        let id = datagram.get(HEADER_BYTES..).and_then(|rest| rest.first_chunk()).ok_or(Discard::TooShort)?;
        let id = SessionId(*id);
        if id.tag() == header.tag { Ok(id) } else { Err(Discard::Malformed) }
    }

    /// Opens and reads a query under the group's key.
    ///
    /// # Errors
    /// [`Discard::WrongKey`] when the group's key does not open it, or why it is no query.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<Self, Discard> {
        let id = Self::id_of(datagram)?;
        let header = Header::parse(datagram)?;
        let cipher = Cipher::downward(key, id);
        let mut plain = [0; CONTROL_MAX];
        let body = open_body(&cipher, header.sequence, datagram, CLEAR_BYTES, &mut plain)
            .map_err(|reason| if reason == Discard::Forged { Discard::WrongKey } else { reason })?;
        Self::parse(id, body)
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.u16(self.round);
        out.address(self.reply_to);
        out.u32(u32::try_from(self.spread.as_millis()).unwrap_or(u32::MAX));
        out.u16(self.answer_bytes_max);
        self.query.emit(out);
        out.u8(SCHEME_GROUP_KEY);
    }

    fn parse(id: SessionId, body: &[u8]) -> Result<Self, Discard> {
        let mut body = Reader::new(body);
        let time = WallClock(body.u64()?);
        let round = body.u16()?;
        let reply_to = body.address()?;
        let spread = Duration::from_millis(u64::from(body.u32()?)).min(SPREAD_MAX);
        let answer_bytes_max = body.u16()?;
        if !(CONTROL_SMALL..=CONTROL_MAX).contains(&usize::from(answer_bytes_max)) {
            return Err(Discard::Malformed);
        }
        let query = Query::parse(&mut body)?;
        if body.u8()? != SCHEME_GROUP_KEY {
            return Err(Discard::Malformed);
        }
        body.end()?;
        Ok(Self { id, time, round, reply_to, spread, answer_bytes_max, query })
    }
}

impl Heard {
    /// Writes the sealed datagram.
    pub fn seal(&self, cipher: &Cipher, tag: SessionTag, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Heard, tag, sequence };
        seal_datagram(
            cipher,
            sequence,
            out,
            |out| header.emit(out),
            |out| {
                out.bytes(&self.receiver.0);
                out.u32(self.edition);
                out.u16(self.page);
            },
        );
    }

    /// Opens and reads a datagram of this query.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse(datagram)?;
        if header.kind != Kind::Heard {
            return Err(Discard::UnknownKind);
        }
        let mut plain = [0; CONTROL_MAX];
        let mut body = Reader::new(open_body(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?);
        let heard = Self { receiver: ReceiverId(body.array()?), edition: body.u32()?, page: body.u16()? };
        body.end()?;
        Ok(heard)
    }
}

const HOSTS: u8 = 0;
const STATUS: u8 = 1;
const VERIFY: u8 = 2;
const UNPIN: u8 = 3;

/// Query id after the header.
const CLEAR_BYTES: usize = HEADER_BYTES + 16;

/// No host waits longer than this before it answers, whatever is said.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// How the query is vouched for: by the group key alone.
const SCHEME_GROUP_KEY: u8 = 0;

const _: () = {
    let longest = CLEAR_BYTES + 8 + 2 + 19 + 4 + 2 + 1 + (1 + OBJECT_NAME_MAX) + (1 + 36) + 1 + 16;
    assert!(longest <= CONTROL_SMALL);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_decide_where_both_sides_know_one_and_names_where_not() {
        let sought = |name: Option<&str>, id: Option<&str>| {
            let name = name.map(|name| ObjectName::new(name).expect("plain"));
            Sought::new(name, id.map(str::to_owned)).expect("something")
        };
        let both = sought(Some("ubuntu"), Some(ID));
        assert!(both.matches("ubuntu", None));
        assert!(both.matches("renamed", Some(ID)));
        assert!(!both.matches("ubuntu", Some(OTHER)), "an older image of this name");
        assert!(sought(Some("ubuntu"), None).matches("ubuntu", Some(OTHER)));
        assert!(!sought(None, Some(ID)).matches("ubuntu", None));
        assert_eq!(Sought::new(None, None), None);
        assert_eq!(Sought::new(None, Some("ubuntu".into())), None);
    }

    const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
    const OTHER: &str = "1b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
}
