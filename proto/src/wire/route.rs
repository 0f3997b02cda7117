//! The lease of a relay: for a short time it may forward the datagrams of a session that come from its parent.
//!
//! ```text
//!   0  10       header, kind 10                               clear, signed
//!  10  16       session id
//!  26   8       time: ms since 1970 (UTC)                     sealed, signed
//!  34   4       generation
//!  38   2       expires: ms from its arrival, 1 to 3000
//!  40   7 | 19  parent: family 4 | 6, address, port
//!   +   1 | ..  group: 0 none | as an address, multicast
//!   +   1       number of children n, <= 16
//!   +   ..      children, each an address
//!   +  ..       who vouches for it (vouched.rs)
//!   +  16       tag
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{ADDRESS, Reader, Writer, fields, list};
use super::discard::Discard;
use super::envelope::{Envelope, open_for_group, sealed_signed};
use super::header::{Header, SESSION_CLEAR_BYTES};
use super::kind::Kind;
use super::vouched::{VOUCHED, Vouched};
use crate::ids::{Sequence, SessionId};
use crate::limits::{CONTROL_MAX, LEASE_MAX, ROUTE_CHILDREN_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::Signer;
use crate::time::WallClock;

/// What a relay may forward, from where and to where, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The session whose datagrams are forwarded.
    pub session: SessionId,
    /// When the lease was sent. A relay refuses one that is far from its own time.
    pub time: WallClock,
    /// Counted up with each change; a relay follows the highest.
    pub generation: u32,
    /// Time after which the relay forwards nothing without a new lease, at most [`LEASE_MAX`].
    pub expires: Duration,
    /// The only source from which datagrams are forwarded.
    pub parent: SocketAddr,
    /// The multicast group of the relay's own segment, if it serves one.
    pub group: Option<SocketAddr>,
    /// Further destinations, at most [`ROUTE_CHILDREN_MAX`].
    pub children: Vec<SocketAddr>,
}

impl Route {
    /// Writes the sealed datagram, signed if there is a key for it.
    ///
    /// # Panics
    /// If there are too many children.
    pub fn seal(&self, cipher: &Cipher, signer: Option<Signer<'_>>, sequence: Sequence, out: &mut Vec<u8>) {
        assert!(self.children.len() <= ROUTE_CHILDREN_MAX);
        let header = Header { kind: Kind::Route, tag: self.session.tag(), sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&self.session.0);
        };
        Envelope { cipher, sequence, signer }.seal(out, clear, |out| {
            self.emit(out);
            Vouched::emit(signer, out);
        });
    }

    /// Opens and reads a lease under the group's key; its signature is not checked yet.
    ///
    /// # Errors
    /// [`Discard::WrongKey`] when the group's key does not open it, or why it is none.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<(Self, Vouched), Discard> {
        let (Header { sequence, .. }, session) = Header::parse_with_session(Kind::Route, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open_for_group(key, session, sequence, datagram, &mut plain)?;
        let mut rest = Reader::new(body);
        let route = Self::parse(session, &mut rest)?;
        Ok((route, Vouched::parse(rest, body, datagram)?))
    }

    /// Returns the session that a lease is for, from its clear header. Nothing is proven by it.
    ///
    /// # Errors
    /// If it is no lease.
    pub fn session_of(datagram: &[u8]) -> Result<SessionId, Discard> {
        Header::parse_with_session(Kind::Route, datagram).map(|(_, session)| session)
    }

    /// Returns the number of a lease, from its clear header. Nothing is proven by it.
    ///
    /// # Errors
    /// If it is no lease.
    pub fn number_of(datagram: &[u8]) -> Result<Sequence, Discard> {
        Header::parse_of(Kind::Route, datagram).map(|header| header.sequence)
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.u32(self.generation);
        out.u16(u16::try_from(self.expires.as_millis()).unwrap_or(u16::MAX));
        out.address(self.parent);
        out.maybe_address(self.group);
        out.u8(self.children.len() as u8);
        self.children.iter().for_each(|&child| out.address(child));
    }

    fn parse(session: SessionId, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let (time, generation) = (WallClock(body.u64()?), body.u32()?);
        let expires = Duration::from_millis(u64::from(body.u16()?));
        let (parent, group) = (body.address()?, body.maybe_group()?);
        let count = body.count(ROUTE_CHILDREN_MAX)?;
        let children = (0..count).map(|_| body.address()).collect::<Result<_, _>>()?;
        if expires.is_zero() || expires > LEASE_MAX {
            return Err(Discard::Malformed);
        }
        Ok(Self { session, time, generation, expires, parent, group, children })
    }
}

fields! {
    Body {
        TIME: WallClock::BYTES,
        GENERATION: 4,
        EXPIRES: 2,
        PARENT: ADDRESS,
        GROUP: ADDRESS,
        CHILDREN: list(ROUTE_CHILDREN_MAX, ADDRESS),
        VOUCHED: VOUCHED,
    }
}

/// The longest lease.
pub(super) const ROOM: usize = sealed_signed(SESSION_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= crate::limits::CONTROL_SMALL, "a lease fits every path");
