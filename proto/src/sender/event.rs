//! What the machine returns besides bytes, and what the shell asks it for.

use std::net::SocketAddr;

use super::hosts::Sideline;
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
    /// Every host: the datagram goes to each destination of the downlink.
    Everyone,
    /// The host with this address alone.
    Host(SocketAddr),
}

impl To {
    /// Returns the address if the datagram is for one host alone.
    pub fn host(self) -> Option<SocketAddr> {
        match self {
            Self::Everyone => None,
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
    /// A host was not heard for a while.
    Silent(HostName),
    /// A host cannot keep up, and is served after the others.
    Sidelined(HostName, Sideline),
    /// A host speaks another version of the protocol.
    OtherVersion(HostName, String),
    /// A host whose key was not known takes part. It is known by this key from now on.
    FirstUse(HostName, PublicKey),
    /// Somebody with this key, which is not the one that is known for it, claims to be this host, and does not take
    /// part.
    KeyChanged(HostName, PublicKey),
    /// A host with this key, which is not known, does not take part, as only known hosts do.
    UnknownKey(HostName, PublicKey),
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
    /// The end is to be sent again.
    End,
    /// The push has lasted as long as it may.
    Timeout,
}
