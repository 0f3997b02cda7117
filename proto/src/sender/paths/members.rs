//! The hosts that the sender's own group does not reach: what each of them has said about where it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::ids::{HostName, ReceiverId};
use crate::time::Moment;

/// A host that the sender's own group does not reach, as far as is known.
pub(super) struct Member {
    pub(super) name: HostName,
    pub(super) addr: SocketAddr,
    /// Whether it is reached at its address, by the echo in its last report.
    pub(super) is_proven: bool,
    /// Whether it relays if it is asked to.
    pub(super) can_relay: bool,
    /// Where it hears the group from, by its last word.
    pub(super) via: Option<SocketAddr>,
    /// Reports in a row that name nobody whose multicast it hears.
    pub(super) deaf_reports: u32,
    /// When its last report came.
    pub(super) reported: Moment,
    /// Whether it was a relay and is not to be one again.
    pub(super) is_spent: bool,
    /// The segment that it belongs to.
    pub(super) segment: Option<usize>,
    /// Whether it has sent its final report.
    pub(super) is_settled: bool,
    /// Symbols that it has found to be forged, and how many before it was served by its present relay.
    pub(super) forged: u64,
    pub(super) forged_before: u64,
    /// Whether its hello was handled.
    pub(super) is_greeted: bool,
    /// Bytes that it has received, by its last report, and what its relay had forwarded by then.
    pub(super) bytes: u64,
    pub(super) fed: Option<(u64, u64)>,
    /// Reports in a row by which it received far less than its relay has forwarded.
    pub(super) starved_reports: u32,
}

/// What a host has said in a hello or a report.
#[derive(Clone, Copy, Debug)]
pub(in crate::sender) struct Word {
    pub(in crate::sender) addr: SocketAddr,
    pub(in crate::sender) via: Option<SocketAddr>,
    /// Whether it was a report, and then whether it is reached at its address.
    pub(in crate::sender) report: Option<Reported>,
}

/// What is known by a report.
#[derive(Clone, Copy, Debug)]
pub(in crate::sender) struct Reported {
    pub(in crate::sender) is_proven: bool,
    pub(in crate::sender) forged: u64,
    /// Bytes that it has received.
    pub(in crate::sender) bytes: u64,
}

/// The members, and the addresses of relays that they may hear.
#[derive(Default)]
pub(super) struct Members {
    by_id: BTreeMap<ReceiverId, Member>,
    /// Addresses at which a relay multicasts or did: what a host hears from there is not the sender's own group.
    relays: BTreeSet<SocketAddr>,
}

impl Members {
    pub(super) fn get(&self, id: ReceiverId) -> Option<&Member> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ReceiverId) -> Option<&mut Member> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ReceiverId, &Member)> {
        self.by_id.iter().map(|(&id, member)| (id, member))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ReceiverId, &mut Member)> {
        self.by_id.iter_mut().map(|(&id, member)| (id, member))
    }

    /// Notes that the host at this address multicasts.
    pub(super) fn note_relay(&mut self, addr: SocketAddr) {
        self.relays.insert(addr);
    }

    /// Whether a host that hears multicast from there hears the sender's own group.
    pub(super) fn is_own_group(&self, via: SocketAddr) -> bool {
        !self.relays.contains(&via)
    }

    /// Handles the word of a host; returns whether it is a member afterwards, and whether that has changed anything.
    pub(super) fn note(&mut self, now: Moment, id: ReceiverId, name: &HostName, word: Word) -> Noted {
        if word.via.is_some_and(|via| self.is_own_group(via)) {
            return if self.by_id.remove(&id).is_some() { Noted::Left } else { Noted::NoMember };
        }
        let is_new = !self.by_id.contains_key(&id);
        let member = self.by_id.entry(id).or_insert_with(|| Member::new(now, name, word.addr));
        let is_news = is_new || member.via != word.via;
        member.via = word.via;
        if let Some(Reported { is_proven, forged, bytes }) = word.report {
            member.reported = now;
            (member.forged, member.bytes) = (forged, bytes);
            member.is_proven = is_proven;
            member.deaf_reports = if word.via.is_none() { member.deaf_reports + 1 } else { 0 };
        }
        let is_news = is_news || word.report.is_some() && member.deaf_reports == DEAF_AFTER;
        if is_news { Noted::News } else { Noted::Known }
    }

    /// Forgets a host, such as one whose receiver has begun anew.
    pub(super) fn forget(&mut self, id: ReceiverId) -> Option<Member> {
        self.by_id.remove(&id)
    }

    /// Returns the earlier starts of a host.
    pub(super) fn others_of(&self, id: ReceiverId, name: &HostName) -> Vec<ReceiverId> {
        let of_it = self.by_id.iter().filter(|&(&other, member)| other != id && member.name == *name);
        of_it.map(|(&other, _)| other).collect()
    }
}

/// What a word has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// The host hears the sender's own group.
    NoMember,
    /// It does, and did not before.
    Left,
    /// Nothing new.
    Known,
    /// Something about where it hears.
    News,
}

impl Member {
    fn new(now: Moment, name: &HostName, addr: SocketAddr) -> Self {
        Self {
            name: name.clone(),
            addr,
            is_proven: false,
            can_relay: false,
            via: None,
            deaf_reports: 0,
            reported: now,
            is_spent: false,
            segment: None,
            is_settled: false,
            forged: 0,
            forged_before: 0,
            is_greeted: false,
            bytes: 0,
            fed: None,
            starved_reports: 0,
        }
    }

    /// Whether it has said often enough that it hears no group at all.
    pub(super) fn is_deaf(&self) -> bool {
        self.via.is_none() && self.deaf_reports >= DEAF_AFTER
    }

    /// Compares what it has received with what its relay had `forwarded`, in bytes. The latter is known later and in
    /// larger steps, so that one report shows nothing.
    pub(super) fn note_fed(&mut self, forwarded: u64) {
        let Some((before, received)) = self.fed.filter(|&(before, _)| before <= forwarded) else {
            self.fed = Some((forwarded, self.bytes));
            return;
        };
        let (forwarded_since, received_since) = (forwarded - before, self.bytes.saturating_sub(received));
        if forwarded_since >= FED_MIN {
            self.starved_reports =
                if received_since < forwarded_since / 4 { self.starved_reports + 1 } else { 0 };
            self.fed = Some((forwarded, self.bytes));
        }
    }

    /// Whether nearly nothing of what its relay forwards is of use to it.
    pub(super) fn is_starved(&self) -> bool {
        self.starved_reports >= STARVED_AFTER
    }

    /// Whether it may be given a lease.
    pub(super) fn may_relay(&self) -> bool {
        self.can_relay && self.is_proven && !self.is_spent && !self.is_settled
    }
}

/// Bytes that a relay has forwarded between two reports, from which on they show anything: some hundred datagrams.
const FED_MIN: u64 = 100_000;
/// Reports in a row that show that a host gets nearly nothing, before its relay is blamed for it.
const STARVED_AFTER: u32 = 3;

/// Reports in a row after which a host counts as one that hears no group. It has missed as many polls and several
/// announcements by then, so that losses alone hardly explain it.
const DEAF_AFTER: u32 = 2;
