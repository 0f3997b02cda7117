//! The hosts that must hold the object, and what became of each host: the results of a push.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::health::Sideline;
use crate::ids::HostName;
use crate::sender::paths::Via;
use crate::sign::PublicKey;
use crate::wire::{CommandOutcome, Hello, Outcome, Receipt, Totals};

/// The hosts that must hold the object for the push to be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These hosts.
    Named(BTreeSet<HostName>),
    /// This number of hosts, of any names.
    Count(u32),
    /// Every host that answers, and at least one.
    Anyone,
}

/// What became of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its name.
    pub name: HostName,
    /// What became of it.
    pub state: HostState,
    /// The reason, if it is not done.
    pub reason: Option<String>,
    /// Time from the start of the push to its last message, or to when it was done.
    pub time: Option<Duration>,
    /// Blocks that it holds, of the whole object.
    pub blocks_held: u32,
    /// The cause, if it was served after the others at some time.
    pub sidelined: Option<Sideline>,
    /// Its counters.
    pub totals: Totals,
    /// The key that it has proven to hold. In the row of a changed or unknown key, that is the wrong one.
    pub key: Option<PublicKey>,
    /// Name and version of its program, if it takes part.
    pub software: Option<String>,
    /// Blocks that it can collect at a time, by its last report.
    pub buffers: Option<u16>,
    /// The address that its hellos came from; `None` if it does not take part.
    pub addr: Option<SocketAddr>,
    /// Where what it receives comes from, by its last report: the sender, or a relay.
    pub via: Option<SocketAddr>,
    /// By which way it is served, as far as that is known.
    pub served: Option<Via>,
    /// What it has signed at the end.
    pub receipt: Option<HostReceipt>,
    /// What came of the command that it ran after the publication.
    pub command: CommandOutcome,
}

/// What a host has signed at the end. With the group's id, the session and the host's name and key, anybody can check
/// it: see [`Receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReceipt {
    /// What became of the object there.
    pub outcome: Outcome,
    /// The receipt.
    pub receipt: Receipt,
}

/// What became of a host, in the words of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// It takes part.
    Receiving,
    /// It is at work on another push and will take part.
    Busy,
    /// It holds a proven, published copy.
    Done,
    /// It held the same bytes already.
    Existing,
    /// It gave up.
    Failed,
    /// It took part and has not been heard for a while.
    Silent,
    /// It was expected and never heard.
    NeverAnswered,
    /// It speaks another version of the protocol.
    OtherVersion,
    /// Only somebody with another key than the one that is known for this name was heard.
    KeyChanged,
    /// Its key is not known, and only known hosts take part.
    UnknownKey,
}

impl HostRow {
    /// Returns the row of a host of which no start is known.
    pub(super) fn absent(name: &HostName, state: HostState, reason: &str) -> Self {
        Self {
            name: name.clone(),
            state,
            reason: Some(reason.to_owned()),
            time: None,
            blocks_held: 0,
            sidelined: None,
            totals: Totals::default(),
            key: None,
            software: None,
            buffers: None,
            addr: None,
            via: None,
            served: None,
            receipt: None,
            command: CommandOutcome::None,
        }
    }
}

impl HostState {
    /// Returns the state of a host by its hello.
    pub(super) fn of(hello: &Hello) -> Self {
        if hello.busy.is_some() { Self::Busy } else { Self::Receiving }
    }

    /// Whether the host holds a proven copy.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Existing)
    }

    /// Whether the host has sent its final report.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Existing | Self::Failed)
    }

    /// The word in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiving => "incomplete",
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Existing => "existing",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::NeverAnswered => "never_answered",
            Self::OtherVersion => "other_version",
            Self::KeyChanged => "key_changed",
            Self::UnknownKey => "unknown_key",
        }
    }
}

/// How many hosts there are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Heard, and not replaced by a later start of the same host.
    pub heard: u32,
    /// Hold a proven copy.
    pub done: u32,
    /// Gave up.
    pub failed: u32,
    /// Stopped answering.
    pub silent: u32,
    /// Are at work on another push.
    pub busy: u32,
    /// Are served after the others at the moment.
    pub sidelined: u32,
    /// Expected, or heard if that is more.
    pub expected: u32,
}
