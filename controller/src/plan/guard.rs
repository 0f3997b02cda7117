//! The guard: a plan that writes to more hosts, or more bytes, than its policy may without approval is held back as a whole.
//! So the first run in a large cloud, and a tag that was set by mistake, wait for a person.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;
use serde::Serialize;

use super::after;
use crate::policy::limits::APPROVAL_TIME;
use crate::policy::{Guard, ImageId};

/// What a policy would have written: each host that lacks an image and that nothing but time keeps from getting it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// The images.
    pub images: BTreeSet<ImageId>,
    /// The number of hosts.
    pub hosts: u32,
    /// Bytes that all hosts together write.
    pub written_bytes: u64,
    /// Bytes of the images, which travel once.
    pub image_bytes: u64,
}

impl Pending {
    /// Adds up the pairs of image and host that lack.
    pub(super) fn of<'a>(pairs: impl IntoIterator<Item = (&'a ImageId, u64, &'a HostName)>) -> Self {
        let (mut pending, mut hosts) = (Self::default(), BTreeSet::new());
        for (image, size, host) in pairs {
            if pending.images.insert(image.clone()) {
                pending.image_bytes = pending.image_bytes.saturating_add(size);
            }
            hosts.insert(host);
            pending.written_bytes = pending.written_bytes.saturating_add(size);
        }
        pending.hosts = hosts.len() as u32;
        pending
    }

    /// Whether it may be pushed.
    pub(super) fn is_allowed(&self, guard: Guard, approval: Option<&Approval>, now: WallClock) -> bool {
        let is_small = self.hosts <= guard.hosts && self.written_bytes <= guard.bytes.0;
        is_small || approval.is_some_and(|approval| approval.covers(self, now))
    }
}

/// A person has approved a plan of a policy. It covers what is left of the plan, too, and nothing that is larger or of other
/// images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What was approved.
    pub pending: Pending,
    /// When.
    pub at: WallClock,
}

impl Approval {
    /// When it is valid no more.
    pub(super) fn ends(&self) -> WallClock {
        after(self.at, APPROVAL_TIME)
    }

    fn covers(&self, pending: &Pending, now: WallClock) -> bool {
        self.at <= after(now, CLOCK_SLACK)
            && now < self.ends()
            && pending.images.is_subset(&self.pending.images)
            && pending.hosts <= self.pending.hosts
            && pending.written_bytes <= self.pending.written_bytes
    }
}

/// An approval may come from a controller whose clock is ahead.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Size;

    #[test]
    fn what_is_at_the_guard_passes_and_more_needs_approval() {
        let guard = Guard { hosts: 3, bytes: Size(30) };
        for (hosts, images, allowed) in
            [(3, 1, true), (4, 1, false), (3, 2, false), (0, 0, true), (1, 3, true), (1, 4, false)]
        {
            let pending = pending(hosts, images);
            assert_eq!(pending.is_allowed(guard, None, WallClock(0)), allowed, "{pending:?}");
        }
    }

    #[test]
    fn an_approval_covers_what_is_left_of_its_plan_for_a_week() {
        let guard = Guard { hosts: 1, bytes: Size(1) };
        let approval = Approval { pending: pending(10, 2), at: WallClock(1_000) };
        let end = after(approval.at, APPROVAL_TIME);
        for (plan, now, allowed) in [
            (pending(10, 2), WallClock(1_000), true),
            (pending(9, 2), WallClock(2_000), true),
            (pending(10, 1), WallClock(2_000), true),
            (pending(11, 1), WallClock(2_000), false),
            (pending(2, 3), WallClock(2_000), false),
            (pending(10, 2), WallClock(end.0 - 1), true),
            (pending(10, 2), end, false),
        ] {
            assert_eq!(plan.is_allowed(guard, Some(&approval), now), allowed, "{plan:?} at {now:?}");
        }
    }

    #[test]
    fn pending_counts_a_host_once_and_an_image_on_each_host() {
        let pending = pending(3, 2);
        assert_eq!((pending.hosts, pending.written_bytes, pending.image_bytes), (3, 60, 20));
    }

    /// Returns the plan of so many hosts that lack so many images of 10 bytes.
    fn pending(hosts: u8, images: u8) -> Pending {
        let names: Vec<HostName> =
            (0..hosts).map(|n| HostName::new(&format!("c{n}")).expect("a name")).collect();
        let ids: Vec<ImageId> = (0..images)
            .map(|n| ImageId::new(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).expect("an id"))
            .collect();
        Pending::of(ids.iter().flat_map(|id| names.iter().map(move |name| (id, 10, name))))
    }
}
