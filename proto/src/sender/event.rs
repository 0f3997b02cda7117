//! What comes out of the machine besides bytes.

use std::net::SocketAddr;

use super::hosts::Sideline;
use crate::ids::HostName;
use crate::wire::Kind;

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every expected host holds a proven copy.
    Complete,
    /// Some do not.
    Incomplete,
    /// Everything was sent; as nobody can answer, nobody knows who holds it.
    Unknown,
    /// Ended early for this reason, when hosts were free to publish already: some may hold a proven copy.
    GivenUp(String),
    /// Nobody may publish anything, for this reason.
    Aborted(String),
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Who it is for.
    pub to: To,
    /// What it is, for the counters.
    pub kind: Kind,
}

/// Who a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every host: it goes to all that the downlink leads to.
    Everyone,
    /// The host with this address alone.
    Host(SocketAddr),
}

impl To {
    /// The address, if it is for one host alone.
    pub fn host(self) -> Option<SocketAddr> {
        match self {
            Self::Everyone => None,
            Self::Host(addr) => Some(addr),
        }
    }
}

/// Something that a person may want to know.
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
    /// A host speaks another version.
    OtherVersion(HostName, String),
}

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderTimer {
    /// An announcement is due.
    Announce,
    /// A poll is due.
    Poll,
    /// More of the manifest is due, in one-way mode.
    Manifest,
    /// The end is to be said again.
    End,
    /// The push has lasted as long as it may.
    Timeout,
}
