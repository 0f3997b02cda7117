//! By which ways the datagrams of a push reach its hosts.

mod reach;
mod set;
mod view;

use super::{Job, To};

pub use reach::{Reach, Segment};
pub use set::{PathAddrs, PathSet};
pub use view::{PlanRow, PlanView, SegmentView, Via};

/// The paths of a push.
pub(super) struct Paths {
    addrs: PathAddrs,
}

impl Paths {
    pub(super) fn new(reach: &Reach) -> Self {
        let mut addrs = PathAddrs::default();
        for &addr in reach.group.iter().chain(&reach.fixed) {
            addrs.add(addr);
        }
        Self { addrs }
    }

    pub(super) fn addrs(&self) -> &PathAddrs {
        &self.addrs
    }

    /// Returns where the symbols of a job are needed.
    pub(super) fn aim(&self, job: Job) -> To {
        match job {
            Job::Source { .. } | Job::Repair { .. } => To::Everyone,
        }
    }

    pub(super) fn copies(&self) -> u32 {
        self.addrs.all().len().max(1)
    }

    pub(super) fn view(&self) -> PlanView {
        PlanView { copies: self.copies(), ..PlanView::default() }
    }
}
