//! One start of one receiver, as far as the settlement goes.

use crate::ids::HostName;
use crate::sender::hosts::results::HostState;
use crate::time::Moment;
use crate::wire::FailureKind;

/// The standing of one start of one receiver.
pub(in crate::sender::hosts) struct Start {
    pub(super) name: HostName,
    pub(super) state: HostState,
    /// Whether another start of its name counts in its place.
    pub(super) is_superseded: bool,
    /// When it was superseded, if it was not settled by then and was not heard since.
    pub(super) missed_since: Option<Moment>,
    /// Whether another start of its name was heard while this one counted.
    pub(super) is_twin: bool,
    /// What its failure means for later starts.
    pub(super) failure: Option<Failure>,
    /// Whether it began after a start of its name had failed for good.
    pub(super) follows_failure: bool,
}

/// What the failure of one start means for others of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It stays: no later start of this host undoes it in this push.
    ForGood,
    /// It counts only while no other start of the host does: the host was told to stop, or it refuses the sender. A
    /// start that takes part shows that the host does list the sender. What another start has refused may be an
    /// announcement that somebody has made up with this session's id.
    OfOneStart,
}

impl Failure {
    pub(super) fn of(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Stopping | FailureKind::UnknownSender => Self::OfOneStart,
            FailureKind::Exists
            | FailureKind::NoSpace
            | FailureKind::Store
            | FailureKind::Root
            | FailureKind::Refused
            | FailureKind::Corrupt => Self::ForGood,
        }
    }
}

impl Start {
    pub(super) fn new(name: HostName, state: HostState, follows_failure: bool) -> Self {
        Self {
            name,
            state,
            is_superseded: false,
            missed_since: None,
            is_twin: false,
            failure: None,
            follows_failure,
        }
    }

    pub(in crate::sender::hosts) fn name(&self) -> &HostName {
        &self.name
    }

    pub(in crate::sender::hosts) fn state(&self) -> HostState {
        self.state
    }

    pub(in crate::sender::hosts) fn is_twin(&self) -> bool {
        self.is_twin
    }

    pub(in crate::sender::hosts) fn follows_failure(&self) -> bool {
        self.follows_failure
    }

    /// Whether it counts: no other start of its name does in its place.
    pub(in crate::sender::hosts) fn counts(&self) -> bool {
        !self.is_superseded
    }

    /// Whether it counts and takes part in the push.
    pub(in crate::sender::hosts) fn is_receiving(&self) -> bool {
        self.state == HostState::Receiving && !self.is_superseded
    }

    /// Whether it counts and is expected to send more.
    pub(in crate::sender::hosts) fn is_awaited(&self) -> bool {
        matches!(self.state, HostState::Receiving | HostState::Busy) && !self.is_superseded
    }

    pub(super) fn has_failed_for_good(&self) -> bool {
        self.failure == Some(Failure::ForGood)
    }

    /// Whether it has failed in a way that says nothing about other starts: it is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.failure == Some(Failure::OfOneStart)
    }
}
