//! The segments that the sender's group does not reach, and which host relays for each.
//!
//! Hosts are first sorted as the configuration says, or by their network prefix. A host that the configuration does not name
//! belongs to the segment whose relays are in its prefix. One host of each segment relays, and the others say whether they
//! hear it: what carries its multicast is one segment, and hosts that hear nothing get a copy of their own.

use std::net::SocketAddr;
use std::time::Duration;

use super::members::{Member, Members};
use super::reach;
use crate::ids::ReceiverId;
use crate::relay::Prefix;
use crate::time::Moment;

/// A segment.
pub(super) struct Segment {
    pub(super) name: String,
    area: Area,
    pub(super) state: State,
    /// When its first member was heard.
    pub(super) since: Moment,
    /// The configured relays, the preferred one first.
    preferred: Vec<SocketAddr>,
    /// Bits in a second that the way to it bears; 0 where that is not known.
    pub(super) line: u64,
    /// How often another host was given the place of a relay that works badly.
    pub(super) moves: u32,
}

/// Which hosts are in a segment.
enum Area {
    Prefix(Prefix),
    /// The hosts with these addresses, and those in the prefixes of its relays that no other segment names.
    Listed {
        addrs: Vec<SocketAddr>,
        around: Vec<Prefix>,
    },
}

/// Where a host belongs by its address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// To this segment.
    Segment(usize),
    /// To one of these configured segments: each has a relay in the host's prefix.
    OneOf(Vec<usize>),
    /// To none that is known.
    Unknown,
}

/// Whether a segment carries its relay's multicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No host relays for it.
    Bare,
    /// A host relays.
    Relayed(Relayed),
    /// It carries no multicast: its hosts are served one by one.
    Mute,
    /// Its hosts hear the relay of this other segment: the two are one.
    Part(usize),
}

/// The relay of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relayed {
    pub(super) relay: ReceiverId,
    /// When it had forwarded something for the first time.
    pub(super) since: Option<Moment>,
    /// Whether other hosts were found to hear it, or the configuration says that they do.
    pub(super) is_heard: bool,
}

impl Segment {
    pub(super) fn relay(&self) -> Option<ReceiverId> {
        match self.state {
            State::Relayed(relayed) => Some(relayed.relay),
            State::Bare | State::Mute | State::Part(_) => None,
        }
    }

    /// Has this host relay.
    pub(super) fn give_to(&mut self, relay: ReceiverId) {
        let was_heard = matches!(self.state, State::Relayed(Relayed { is_heard: true, .. }));
        let is_heard = was_heard || self.is_configured();
        self.state = State::Relayed(Relayed { relay, since: None, is_heard });
    }

    /// Whether the configuration names it, so that one host of it is enough to relay.
    pub(super) fn is_configured(&self) -> bool {
        matches!(self.area, Area::Listed { .. })
    }
}

/// All segments that were met.
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// Returns the configured segments.
    pub(super) fn new(now: Moment, configured: &[reach::Segment]) -> Self {
        let segment = |segment: &reach::Segment| Segment {
            name: segment.name.clone(),
            area: Area::Listed {
                addrs: segment.relays.iter().chain(&segment.hosts).copied().collect(),
                around: segment.relays.iter().map(|relay| prefix_of(*relay)).collect(),
            },
            state: if segment.multicast { State::Bare } else { State::Mute },
            since: now,
            preferred: segment.relays.clone(),
            line: segment.uplink.unwrap_or(0),
            moves: 0,
        };
        Self(configured.iter().map(segment).collect())
    }

    pub(super) fn get(&self, at: usize) -> &Segment {
        &self.0[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Segment {
        &mut self.0[at]
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns where a host with this address belongs.
    pub(super) fn home(&self, addr: SocketAddr) -> Home {
        let names = |segment: &Segment| match &segment.area {
            Area::Listed { addrs, .. } => addrs.iter().any(|listed| listed.ip() == addr.ip()),
            Area::Prefix(prefix) => prefix.contains(addr.ip()),
        };
        if let Some(at) = self.0.iter().position(names) {
            return Home::Segment(self.whole(at));
        }
        let is_around = |segment: &Segment| match &segment.area {
            Area::Listed { around, .. } => around.iter().any(|prefix| prefix.contains(addr.ip())),
            Area::Prefix(_) => false,
        };
        let all: Vec<usize> = (0..self.0.len()).filter(|&at| is_around(&self.0[at])).collect();
        match all[..] {
            [] => Home::Unknown,
            [at] => Home::Segment(self.whole(at)),
            _ => Home::OneOf(all),
        }
    }

    /// Adds a segment of the hosts in the prefix of this address.
    pub(super) fn add(&mut self, now: Moment, addr: SocketAddr) -> usize {
        let prefix = prefix_of(addr);
        self.0.push(Segment {
            name: prefix.to_string(),
            area: Area::Prefix(prefix),
            state: State::Bare,
            since: now,
            preferred: Vec::new(),
            line: 0,
            moves: 0,
        });
        self.0.len() - 1
    }

    /// Returns the segment that this one is a part of, or itself.
    fn whole(&self, at: usize) -> usize {
        match self.0[at].state {
            State::Part(whole) => whole,
            State::Bare | State::Relayed(_) | State::Mute => at,
        }
    }

    /// Returns the host that relays next for a segment: the preferred one, or that with the lowest address.
    /// `is_silent` is whether a host has not answered lately.
    pub(super) fn candidate(
        &self,
        at: usize,
        members: &Members,
        is_silent: impl Fn(&Member) -> bool,
    ) -> Option<ReceiverId> {
        let segment = &self.0[at];
        let rank = |addr: SocketAddr| {
            let listed = segment.preferred.iter().position(|preferred| preferred.ip() == addr.ip());
            (listed.unwrap_or(usize::MAX), addr)
        };
        let may = |member: &Member| member.segment == Some(at) && member.may_relay() && !is_silent(member);
        let of_it = members.iter().filter(|(_, member)| may(member));
        of_it.min_by_key(|(_, member)| rank(member.addr)).map(|(id, _)| id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Segment)> {
        self.0.iter().enumerate()
    }
}

fn prefix_of(addr: SocketAddr) -> Prefix {
    Prefix::of(addr.ip(), if addr.is_ipv4() { PREFIX_V4 } else { PREFIX_V6 })
}

/// Hosts whose addresses agree in these bits are taken for neighbours until they say otherwise.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 64;

/// How long further hosts of a segment are awaited before its only one is served on its own.
pub(super) const NEIGHBOURS_WAIT: Duration = Duration::from_millis(150);
