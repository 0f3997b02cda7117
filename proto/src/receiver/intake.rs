//! What a host takes in of a push: for the log, the status and the metrics of its program.

use std::time::Duration;

use super::Receiver;
use super::session::{Session, Stage};
use crate::ids::ObjectName;
use crate::time::Moment;
use crate::wire::{FailureKind, Totals};

/// What a host has taken in of one push so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// The object's name.
    pub name: ObjectName,
    /// The object's length in bytes.
    pub bytes: u64,
    /// The number of its blocks.
    pub blocks: u32,
    /// The number of blocks that are proven and written.
    pub blocks_held: u32,
    /// The time since the host joined.
    pub took: Duration,
    /// What came, was lost, dropped, repaired and reused.
    pub totals: Totals,
    /// What the host is at.
    pub phase: Phase,
}

crate::named_enum! {
    /// What a host is at in a push. The name is the one in logs and in the status.
    pub enum Phase {
        /// It takes in symbols; blocks are proven and written.
        Receiving => "receiving",
        /// It compares a file of this name that it has already.
        Comparing => "comparing",
        /// Every block is proven, and the store publishes.
        Publishing => "publishing",
        /// It is done or has failed, and repeats that until the sender acknowledges it.
        Closing => "closing",
    }
}

/// Why a push published nothing on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// The host itself gave up.
    Failed(FailureKind),
    /// The sender ended the push.
    SenderEnded,
    /// The sender was not heard any more.
    SenderSilent,
}

impl GaveUp {
    /// Returns the name for scripts: that of the kind of failure, `sender_ended` or `sender_silent`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed(kind) => kind.name(),
            Self::SenderEnded => "sender_ended",
            Self::SenderSilent => "sender_silent",
        }
    }
}

impl<U: Clone, E> Receiver<U, E> {
    /// Returns what this host has taken in of the session that it takes part in, if there is one.
    pub fn intake(&self, now: Moment) -> Option<Intake> {
        self.session.as_ref().map(|active| active.intake(now))
    }
}

impl Session {
    pub(super) fn intake(&self, now: Moment) -> Intake {
        let announce = self.announce();
        Intake {
            name: announce.name.clone(),
            bytes: announce.geometry.object_bytes(),
            blocks: announce.geometry.blocks(),
            blocks_held: self.held(),
            took: now.since(self.joined()),
            totals: self.final_totals(),
            phase: match self.stage() {
                Stage::Opening | Stage::Receiving => Phase::Receiving,
                Stage::Existing | Stage::Comparing => Phase::Comparing,
                Stage::Publishing => Phase::Publishing,
                Stage::Closing { .. } => Phase::Closing,
            },
        }
    }
}
