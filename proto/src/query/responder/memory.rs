//! Queries that were settled, so that further rounds of them do nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::asked::opens;
use crate::ids::{GroupId, SessionId, SessionTag};
use crate::keyring::Keyring;
use crate::limits::{ANNOUNCE_SKEW_MAX, QUERIES_REMEMBERED_MAX};
use crate::seal::Cipher;
use crate::time::WallClock;
use crate::wire::Discard;

/// At most [`QUERIES_REMEMBERED_MAX`] queries, each as long as its time is fresh.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<SessionId, Remembered>);

/// A query that was settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    pub(super) time: WallClock,
    /// The group key that it came under.
    pub(super) key: GroupId,
    /// Where it came from.
    pub(super) from: IpAddr,
    pub(super) settled: Settled,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is or was answered.
    Accepted,
    /// It is for other hosts.
    NotForUs,
}

impl Settled {
    /// What becomes of a further datagram.
    pub(super) fn verdict(self) -> Result<(), Discard> {
        match self {
            Self::Accepted => Ok(()),
            Self::NotForUs => Err(Discard::NotForUs),
        }
    }
}

impl Memory {
    /// What became of a query.
    pub(super) fn of(&self, query: SessionId) -> Option<Settled> {
        self.0.get(&query).map(|remembered| remembered.settled)
    }

    /// Forgets what would be refused for its age.
    pub(super) fn forget_stale(&mut self, wall: WallClock) {
        self.0.retain(|_, &mut Remembered { time, .. }| {
            wall.0 <= time.0 || time.distance(wall) <= ANNOUNCE_SKEW_MAX
        });
    }

    /// Whether another query fits, of which `of_one` may come from one address.
    pub(super) fn has_room(&self, from: IpAddr, of_one: usize) -> bool {
        let of_it = || self.0.values().filter(|remembered| remembered.from == from).count();
        self.0.len() < QUERIES_REMEMBERED_MAX && (of_one >= QUERIES_REMEMBERED_MAX || of_it() < of_one)
    }

    pub(super) fn note(&mut self, query: SessionId, remembered: Remembered) {
        self.0.insert(query, remembered);
    }

    /// What became of the query that a datagram to the group with this tag is of.
    pub(super) fn of_datagram(&self, keys: &Keyring, tag: SessionTag, datagram: &[u8]) -> Option<Settled> {
        let bound = |fill| {
            let mut id = [fill; SessionId::BYTES];
            id[..SessionTag::BYTES].copy_from_slice(&tag.0);
            SessionId(id)
        };
        let with_tag = self.0.range(bound(0)..=bound(u8::MAX));
        let opens_it = |id, remembered: &Remembered| {
            let key = keys.find(remembered.key);
            key.is_some_and(|key| opens(&Cipher::downward(key, id), datagram))
        };
        let of_it = with_tag.take(SAME_TAG_MAX).find(|&(&id, remembered)| opens_it(id, remembered));
        of_it.map(|(_, remembered)| remembered.settled)
    }
}

/// Queries with one tag that are tried: two have it by chance once in 16 million.
const SAME_TAG_MAX: usize = 4;
