//! The query to a group. It is a session of its own kind: 16 random bytes, from which its keys follow as those of a
//! push do.
//!
//! ```text
//!   0  10       header, kind 8                                clear
//!  10  16       query id                                     signed
//!  26   8       time: ms since 1970 (UTC)                     sealed, signed
//!  34   2       round, from 1
//!  36   7 | 19  reply to: family 4 | 6, address, port
//!   +   4       spread in ms
//!   +   2       largest answer in bytes of UDP payload
//!   +   5       audience: 0 everyone | 1 named; number of names, 0 for everyone
//!   +  32       the querier's agreement key for this query
//!   +   1       query: 0 hosts | 1 status | 2 verify | 3 unpin | 4 remove | 5 diagnose | 6 rekey | 7 retire
//!             | 8 set aside | 9 remove though pinned | 10 pin
//!   +   1+n     name of the object, n <= 200, 0: any          of status to remove, 8 to 10
//!   +   1+n     image id, n = 0 | 36                          of status to remove, 8 to 10
//!   +   1+4     1 for so many seconds | 2 for ever: seconds, 0     of pin
//!   +   1+2     step 0 snapshot | 1 join again | 2 report, train   of diagnose
//!   +  ..       who vouches for it (vouched.rs)
//!   +  16       tag
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::audience::Audience;
use super::bytes::{ADDRESS, IMAGE_ID, Reader, Writer, fields, text};
use super::discard::Discard;
use super::envelope::{Envelope, open_for_group, sealed_signed};
use super::header::{Header, SESSION_CLEAR_BYTES};
use super::keeping::PinTime;
use super::kind::Kind;
use super::vouched::{VOUCHED, Vouched};
use crate::agree::AgreementPublic;
use crate::ids::{ObjectName, Sequence, SessionId, is_image_id};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, OBJECT_NAME_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::Signer;
use crate::time::WallClock;

/// A query, repeated in rounds until enough hosts have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which query; the keys follow from it.
    pub id: SessionId,
    /// When it was first sent, the same in every round. A host refuses one that is far from its own time.
    pub time: WallClock,
    /// Counted up from 1.
    pub round: u16,
    /// Where hosts answer. It is sealed, so that nobody else can divert the answers.
    pub reply_to: SocketAddr,
    /// Hosts spread their first answers evenly over this time.
    pub spread: Duration,
    /// Bytes that an answer may have, of UDP payload: [`CONTROL_SMALL`] to [`CONTROL_MAX`].
    pub answer_bytes_max: u16,
    /// Which hosts the query is for.
    pub audience: Audience,
    /// The querier's half of the key that it shares with each host.
    pub agreement: AgreementPublic,
    /// What is asked.
    pub query: Query,
}

/// What is asked of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Who it is and all that it holds.
    Hosts,
    /// What it holds of this object.
    Status(Sought),
    /// To hash its copies of this object again.
    Verify(Sought),
    /// To keep this object no longer than its rules say.
    Unpin(Sought),
    /// To keep this object for this time from now on, or for ever, however it was kept until now.
    Pin(Sought, PinTime),
    /// To remove this object, unless something uses it or it is pinned.
    Remove(Sought),
    /// To remove this object also if it is pinned, unless something uses it.
    RemovePinned(Sought),
    /// To hash its copies of this object again, and to take the names of those that differ, unless something uses them.
    SetAside(Sought),
    /// To take a step of a diagnosis of the path.
    Diagnose {
        /// Which step.
        step: Step,
        /// The train of probes that it is about.
        train: u16,
    },
    /// To make ready for a new group key.
    Rekey,
    /// To accept no longer the group keys that a newer one has superseded.
    Retire,
}

crate::named_enum! {
    /// A step of a diagnosis of the path from a sender to a host.
    pub enum Step: u8 {
        /// Remember the counters of the network.
        Snapshot = 0 => "snapshot",
        /// Leave the group and join it again.
        JoinAgain = 1 => "join_again",
        /// Report how far the counters have risen, and what came of the train.
        Report = 2 => "report",
        /// Pass on to the group, with a TTL of 1, what comes of the train to the host's own address.
        PassOn = 3 => "pass_on",
    }
}

/// An object as a person names it: by its name on the hosts, by Glance's id, or by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    name: Option<ObjectName>,
    image_id: Option<String>,
}

impl Sought {
    /// The object of this name and, on hosts that know the ids of what they hold, of this id. `None` if neither is
    /// given or the id is no UUID in Glance's form.
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

    /// Whether an object is the one sought. Ids decide where both sides know one, else names do.
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
        Self::new(name, body.image_id()?).ok_or(Discard::Malformed)
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
            Self::Hosts | Self::Diagnose { .. } | Self::Rekey | Self::Retire => None,
            Self::Status(sought)
            | Self::Verify(sought)
            | Self::Unpin(sought)
            | Self::Pin(sought, _)
            | Self::Remove(sought)
            | Self::RemovePinned(sought)
            | Self::SetAside(sought) => Some(sought),
        }
    }

    /// Whether it is a step of a diagnosis.
    pub fn is_diagnosis(&self) -> bool {
        matches!(self, Self::Diagnose { .. })
    }

    /// Whether it changes something on the hosts.
    pub fn changes_something(&self) -> bool {
        match self {
            Self::Hosts | Self::Status(_) | Self::Verify(_) | Self::Diagnose { .. } => false,
            Self::Unpin(_)
            | Self::Pin(..)
            | Self::Remove(_)
            | Self::RemovePinned(_)
            | Self::SetAside(_)
            | Self::Rekey
            | Self::Retire => true,
        }
    }

    fn emit(&self, out: &mut Writer<'_>) {
        let code = match self {
            Self::Hosts => HOSTS,
            Self::Status(_) => STATUS,
            Self::Verify(_) => VERIFY,
            Self::Unpin(_) => UNPIN,
            Self::Pin(..) => PIN,
            Self::Remove(_) => REMOVE,
            Self::Diagnose { .. } => DIAGNOSE,
            Self::Rekey => REKEY,
            Self::Retire => RETIRE,
            Self::SetAside(_) => SET_ASIDE,
            Self::RemovePinned(_) => REMOVE_PINNED,
        };
        out.u8(code);
        if let Some(sought) = self.sought() {
            sought.emit(out);
        }
        match self {
            Self::Diagnose { step, train } => {
                out.u8(*step as u8);
                out.u16(*train);
            }
            Self::Pin(_, time) => time.emit(out),
            _ => {}
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match body.u8()? {
            HOSTS => Ok(Self::Hosts),
            STATUS => Sought::parse(body).map(Self::Status),
            VERIFY => Sought::parse(body).map(Self::Verify),
            UNPIN => Sought::parse(body).map(Self::Unpin),
            PIN => Ok(Self::Pin(Sought::parse(body)?, PinTime::parse(body)?)),
            REMOVE => Sought::parse(body).map(Self::Remove),
            DIAGNOSE => {
                let step = Step::from_byte(body.u8()?).ok_or(Discard::Malformed)?;
                Ok(Self::Diagnose { step, train: body.u16()? })
            }
            REKEY => Ok(Self::Rekey),
            RETIRE => Ok(Self::Retire),
            SET_ASIDE => Sought::parse(body).map(Self::SetAside),
            REMOVE_PINNED => Sought::parse(body).map(Self::RemovePinned),
            _ => Err(Discard::Malformed),
        }
    }
}

impl Ask {
    /// Writes the sealed datagram, signed if there is a key for it.
    pub fn seal(&self, cipher: &Cipher, signer: Option<Signer<'_>>, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Ask, tag: self.id.tag(), sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.id.0);
        };
        Envelope { cipher, sequence, signer }.seal(out, clear, |out| {
            self.emit(out);
            Vouched::emit(signer, out);
        });
    }

    /// The query that a datagram of this kind asks; nothing is proven yet.
    ///
    /// # Errors
    /// Not a query, or too short for one.
    pub fn id_of(datagram: &[u8]) -> Result<SessionId, Discard> {
        Header::parse_with_session(Kind::Ask, datagram).map(|(_, id)| id)
    }

    /// Opens and reads a query under the group's key; its signature is not checked yet.
    ///
    /// # Errors
    /// [`Discard::WrongKey`] when the group's key does not open it, or why it is no query.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<(Self, Vouched), Discard> {
        let (header, id) = Header::parse_with_session(Kind::Ask, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open_for_group(key, id, header.sequence, datagram, &mut plain)?;
        let mut rest = Reader::new(body);
        let ask = Self::parse(id, &mut rest)?;
        Ok((ask, Vouched::parse(rest, body, datagram)?))
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.u16(self.round);
        out.address(self.reply_to);
        out.u32(u32::try_from(self.spread.as_millis()).unwrap_or(u32::MAX));
        out.u16(self.answer_bytes_max);
        self.audience.emit(out);
        out.bytes(&self.agreement.0);
        self.query.emit(out);
    }

    fn parse(id: SessionId, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let ask = Self {
            id,
            time: WallClock(body.u64()?),
            round: body.u16()?,
            reply_to: body.address()?,
            spread: Duration::from_millis(u64::from(body.u32()?)).min(SPREAD_MAX),
            answer_bytes_max: body.u16()?,
            audience: Audience::parse(body)?,
            agreement: AgreementPublic(body.array()?),
            query: Query::parse(body)?,
        };
        let fits = (CONTROL_SMALL..=CONTROL_MAX).contains(&usize::from(ask.answer_bytes_max));
        if fits { Ok(ask) } else { Err(Discard::Malformed) }
    }
}

const HOSTS: u8 = 0;
const STATUS: u8 = 1;
const VERIFY: u8 = 2;
const UNPIN: u8 = 3;
const REMOVE: u8 = 4;
const DIAGNOSE: u8 = 5;
const REKEY: u8 = 6;
const RETIRE: u8 = 7;
const SET_ASIDE: u8 = 8;
const REMOVE_PINNED: u8 = 9;
const PIN: u8 = 10;

/// The longest time that a host waits before its first answer, whatever is asked.
const SPREAD_MAX: Duration = Duration::from_secs(30);

fields! {
    Body {
        TIME: WallClock::BYTES,
        ROUND: 2,
        REPLY_TO: ADDRESS,
        SPREAD: 4,
        ANSWER_BYTES_MAX: 2,
        AUDIENCE: Audience::BYTES,
        AGREEMENT: AgreementPublic::BYTES,
        QUERY: 1,
        NAME: text(OBJECT_NAME_MAX),
        IMAGE: IMAGE_ID,
        PIN_TIME: PinTime::BYTES,
        VOUCHED: VOUCHED,
    }
}

/// The longest query.
pub(super) const ROOM: usize = sealed_signed(SESSION_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a query fits every path");

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

    #[test]
    fn an_object_is_shown_by_its_name_with_its_id_where_that_says_more() {
        let shown = |name: Option<&str>, id: Option<&str>| {
            let name = name.map(|name| ObjectName::new(name).expect("plain"));
            let sought = Sought::new(name.clone(), id.map(str::to_owned)).expect("something");
            assert_eq!((sought.name(), sought.image_id()), (name.as_ref(), id));
            sought.to_string()
        };
        assert_eq!(shown(Some("ubuntu"), None), "ubuntu");
        assert_eq!(shown(None, Some(ID)), ID);
        assert_eq!(shown(Some("ubuntu"), Some(ID)), format!("ubuntu ({ID})"));
        assert_eq!(shown(Some(ID), Some(ID)), ID, "named by its id");
    }

    #[test]
    fn what_lets_go_removes_or_replaces_a_key_changes_something() {
        let about = Sought::new(None, Some(ID.to_owned())).expect("an id");
        let asking = [
            Query::Hosts,
            Query::Status(about.clone()),
            Query::Verify(about.clone()),
            Query::Diagnose { step: Step::Report, train: 1 },
        ];
        let changing = [
            Query::Unpin(about.clone()),
            Query::Pin(about.clone(), PinTime::Forever),
            Query::Remove(about.clone()),
            Query::RemovePinned(about.clone()),
            Query::SetAside(about),
            Query::Rekey,
            Query::Retire,
        ];
        assert!(!asking.iter().any(Query::changes_something));
        assert!(changing.iter().all(Query::changes_something));
    }

    const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
    const OTHER: &str = "1b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
}
