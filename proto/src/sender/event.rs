//! What the machine returns besides bytes, and what the shell asks it for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::hosts::Sideline;
use super::paths::PathSet;
use crate::ids::HostName;
use crate::sign::PublicKey;
use crate::wire::Kind;

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every expected host holds a proven copy.
    Complete,
    /// Some expected host does not.
    Incomplete,
    /// Everything was sent. As no host can answer, it is unknown which hosts hold it.
    Unknown,
    /// The push ended early for this reason, after hosts were allowed to publish: some may hold a proven copy.
    GivenUp(String),
    /// No host may publish anything, for this reason.
    Aborted(String),
}

/// The kinds of job that the shell has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRoom {
    /// Blocks that have to be encoded again.
    pub repair: bool,
    /// The next block of the first pass, whose symbols were made as it was read.
    pub source: bool,
}

impl JobRoom {
    /// Room for jobs of each kind.
    pub const ANY: Self = Self { repair: true, source: true };
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Its destination.
    pub to: To,
    /// Its kind, for the counters.
    pub kind: Kind,
}

/// The destination of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every host: the datagram goes to each path of the push.
    Everyone,
    /// Every host on some of the paths.
    Paths(PathSet),
    /// The host with this address alone.
    Host(SocketAddr),
}

impl To {
    /// Returns the address if the datagram is for one host alone.
    pub fn host(self) -> Option<SocketAddr> {
        match self {
            Self::Everyone | Self::Paths(_) => None,
            Self::Host(addr) => Some(addr),
        }
    }
}

/// An event to show to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderEvent {
    /// A host takes part.
    Joined(HostName),
    /// A host holds a proven copy.
    Done(HostName),
    /// A host gave up.
    Failed(HostName, String),
    /// Hosts that are expected by name were not heard so far.
    Unheard {
        /// All of them. None is named where the push is for whoever is there, and nobody was heard.
        hosts: Vec<HostName>,
        /// The number of hosts that were heard.
        heard: u32,
        /// When they are given up, where the push waits for nobody else.
        given_up_in: Option<Duration>,
    },
    /// A host hears announcements and polls, and next to no symbols.
    Deaf(HostName),
    /// A host was not heard for a while.
    Silent(HostName),
    /// A host cannot keep up, and is served after the others.
    Sidelined(HostName, Sideline),
    /// A host speaks another version of the protocol.
    OtherVersion(HostName, String),
    /// A host at this address has another group key, or somebody pretends so.
    OtherKey(IpAddr),
    /// A host whose key was not known takes part. It is known by this key from now on.
    FirstUse(HostName, PublicKey),
    /// Somebody with this key, which is not the one that is known for it, claims to be this host, and does not take
    /// part.
    KeyChanged(HostName, PublicKey),
    /// A host with this key, which is not known, does not take part, as only known hosts do.
    UnknownKey(HostName, PublicKey),
    /// A host relays for a segment, or for hosts without multicast.
    Relaying(Relaying),
    /// A relay is given up, for this cause.
    RelayLost {
        /// What it relayed for.
        served: Relaying,
        /// Why it is given up.
        fault: RelayFault,
        /// The host that relays in its place, if there is one.
        next: Option<HostName>,
    },
}

/// What a host relays for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relaying {
    /// The relay.
    pub relay: HostName,
    /// The segment in which it multicasts, if it does.
    pub segment: Option<String>,
    /// The number of hosts that it sends to by unicast.
    pub children: u32,
}

/// Why a relay is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayFault {
    /// It does not acknowledge its lease.
    Silent,
    /// It loses what its parent sends, while its siblings do not.
    Loses,
    /// It drops what it should forward, as it is too slow.
    Overloaded,
    /// It acknowledges its lease, and none of its hosts answers.
    Unheard,
    /// Its hosts report blocks that are not what they should be.
    Spoils,
}

impl fmt::Display for RelayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "it does not answer",
            Self::Loses => "much is lost on the way to it",
            Self::Overloaded => "it cannot forward as fast as it receives",
            Self::Unheard => "the hosts that it serves do not answer",
            Self::Spoils => "the hosts that it serves receive bad symbols",
        })
    }
}

/// The reason for which the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderTimer {
    /// An announcement is due.
    Announce,
    /// A page of the audience is due.
    Audience,
    /// A poll is due.
    Poll,
    /// The first symbols stop waiting for hellos.
    FirstWait,
    /// The hosts have room for another block.
    Room,
    /// More of the manifest is due, in one-way mode.
    Manifest,
    /// Hashes of symbols are due.
    Proofs,
    /// A lease is due, or a relay may be gone.
    Paths,
    /// The end is to be sent again.
    End,
    /// The push has lasted as long as it may.
    Timeout,
}
