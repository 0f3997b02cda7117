//! The results of a query, host by host.

use std::net::SocketAddr;

use crate::ids::HostName;
use crate::sign::PublicKey;
use crate::wire::{About, AnswerState, Counter, Held};

/// The result of a host that answered or should have. A name has more than one of them if it was answered for with
/// different keys, or by two starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAnswer {
    /// Its name.
    pub name: HostName,
    /// Whether it was expected by name.
    pub expected: bool,
    /// How far its answer came.
    pub standing: Standing,
    /// The key that its answer is signed by; `None` if it did not answer.
    pub key: Option<PublicKey>,
    /// The address that its answer came from; `None` if it did not answer.
    pub addr: Option<SocketAddr>,
    /// What the host reports about itself; `None` if that did not arrive, or came by a key that does not count.
    pub about: Option<About>,
    /// The objects that it holds, of those asked for, in its order. Empty where it is not known which of several
    /// answers is the host's.
    pub objects: Vec<Held>,
    /// The counters of its network, in answer to a diagnosis.
    pub counters: Vec<Counter>,
    /// The number of objects and counters that came and were not kept for want of memory.
    pub left_out: u32,
    /// The reason for the standing, where the standing alone does not show it.
    pub reason: Option<String>,
}

/// How far a host's answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The whole answer is here.
    Answered,
    /// It was still hashing its copies when it was last heard.
    Verifying,
    /// It was still waiting for a new group key when it was last heard.
    AwaitingKey,
    /// It had too many other queries.
    Busy,
    /// Its store could not answer.
    Failed,
    /// A part of its answer is missing.
    Partial,
    /// It did not answer.
    NeverAnswered,
    /// It speaks another version of the protocol.
    OtherVersion,
    /// The answer is signed by another key than the one that is known for this name. It does not count.
    KeyChanged,
    /// No key is known for this name, and only known hosts count.
    UnknownKey,
    /// The name was answered for more than once, by two starts or with two keys of which none is known.
    Twice,
}

impl Standing {
    /// Returns the standing of a host whose whole answer is here.
    pub(super) fn of(state: &AnswerState) -> Self {
        match state {
            AnswerState::Final => Self::Answered,
            AnswerState::Verifying { .. } => Self::Verifying,
            AnswerState::AwaitingKey => Self::AwaitingKey,
            AnswerState::Busy => Self::Busy,
            AnswerState::Failed(_) => Self::Failed,
        }
    }

    /// The word in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Verifying => "verifying",
            Self::AwaitingKey => "awaiting_key",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::NeverAnswered => "never_answered",
            Self::OtherVersion => "other_version",
            Self::KeyChanged => "key_changed",
            Self::UnknownKey => "unknown_key",
            Self::Twice => "answered_twice",
        }
    }

    /// Whether it is a finding: somebody answers for a host and may not be it. A query with a finding fails, whatever
    /// else was answered.
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::KeyChanged | Self::Twice)
    }
}

/// How far all answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Hosts that were heard, of those whose answers count.
    pub heard: u32,
    /// Of those, the ones whose final answer is here.
    pub settled: u32,
    /// Of those heard, the ones that hash copies.
    pub verifying: u32,
    /// Bytes that these have hashed.
    pub hashed: u64,
    /// Bytes that these have to hash in all.
    pub to_hash: u64,
    /// Names that are a finding ([`Standing::is_finding`]).
    pub findings: u32,
}
