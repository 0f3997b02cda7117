//! The results of a query, host by host.

use crate::ids::HostName;
use crate::wire::{About, AnswerState, Held};

/// The result of a host that answered or should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAnswer {
    /// Its name.
    pub name: HostName,
    /// Whether it was expected by name.
    pub expected: bool,
    /// How far its answer came.
    pub standing: Standing,
    /// What the host reports about itself; `None` if that did not arrive.
    pub about: Option<About>,
    /// The objects that it holds, of those asked for, in its order.
    pub objects: Vec<Held>,
    /// The number of objects that came and were not kept for want of memory.
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
}

impl Standing {
    /// Returns the standing of a host whose whole answer is here.
    pub(super) fn of(state: &AnswerState) -> Self {
        match state {
            AnswerState::Final => Self::Answered,
            AnswerState::Verifying { .. } => Self::Verifying,
            AnswerState::Busy => Self::Busy,
            AnswerState::Failed(_) => Self::Failed,
        }
    }

    /// The word in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Verifying => "verifying",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::NeverAnswered => "never_answered",
            Self::OtherVersion => "other_version",
        }
    }
}

/// How far all answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Hosts that were heard.
    pub heard: u32,
    /// Of those, the ones whose final answer is here.
    pub settled: u32,
    /// Of those heard, the ones that hash copies.
    pub verifying: u32,
    /// Bytes that these have hashed.
    pub hashed: u64,
    /// Bytes that these have to hash in all.
    pub to_hash: u64,
}
