//! The state of each image on each host of one policy, before anything is started.

use std::collections::BTreeMap;

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use super::actual::{ActivePush, Actual};
use super::catalog::Record;
use super::desired::{Counting, Goal, WantedImage};
use super::failures::{Failure, Task};
use super::guard::Pending;
use super::inventory::{HostInventory, Inventory};
use super::why::Why;
use crate::policy::{ImageId, Size};

/// One policy, seen.
pub(super) struct View<'a> {
    pub(super) goal: &'a Goal,
    pub(super) images: BTreeMap<&'a ImageId, BTreeMap<&'a HostName, Seen>>,
    /// What it would have pushed, and what of that time alone holds back.
    pub(super) pending: Pending,
    pub(super) needs_approval: bool,
}

/// The state of an image on a host, before anything is started.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// Nothing is to be done now.
    Settled(Why),
    /// The host lacks the image, and may get it now.
    Due,
}

impl<'a> View<'a> {
    pub(super) fn new(goal: &'a Goal, actual: &'a Actual, now: WallClock) -> Self {
        let of_image = |(id, image): (&'a ImageId, &'a WantedImage)| {
            let survey = Survey::new(goal, id, image, actual, now);
            (id, goal.hosts.iter().map(|(host, counting)| (host, survey.seen(host, counting))).collect())
        };
        let images = goal.images.iter().map(of_image).collect();
        let mut view = Self { goal, images, pending: Pending::default(), needs_approval: false };
        view.pending = Pending::of(view.due().filter_map(|(id, host)| Some((id, view.size(id)?, host))));
        let approval = actual.approvals.get(&goal.policy.name);
        view.needs_approval = !view.pending.is_allowed(goal.policy.guard, approval, now);
        view.hold_back(actual, now);
        view
    }

    /// Returns the pairs that are due.
    pub(super) fn due(&self) -> impl Iterator<Item = (&'a ImageId, &'a HostName)> {
        let of_image = |(id, hosts): (&&'a ImageId, &BTreeMap<&'a HostName, Seen>)| {
            let id = *id;
            let due = hosts.iter().filter(|(_, seen)| **seen == Seen::Due).map(move |(host, _)| (id, *host));
            due.collect::<Vec<_>>()
        };
        self.images.iter().flat_map(of_image)
    }

    fn size(&self, image: &ImageId) -> Option<u64> {
        self.goal.images[image].record.as_ref().ok().map(|record| record.size)
    }

    /// Holds back what is due, if the guard, a person or the window says so.
    fn hold_back(&mut self, actual: &Actual, now: WallClock) {
        let policy = &self.goal.policy;
        let closed = policy.window.as_ref().filter(|window| !window.is_open(now));
        let window = closed.map(|window| Why::Window { opens: window.opens(now) });
        for (id, hosts) in &mut self.images {
            let cancelled = actual.cancelled.get(&(policy.group.clone(), (*id).clone()));
            let rest =
                cancelled.and_then(|one| one.until(now).map(|until| Why::Cancelled { by: one.by, until }));
            let why = match self.needs_approval {
                true => Some(Why::Approval),
                false => rest.or_else(|| window.clone()),
            };
            let Some(why) = why else { continue };
            for seen in hosts.values_mut().filter(|seen| **seen == Seen::Due) {
                *seen = Seen::Settled(why.clone());
            }
        }
    }
}

/// What is the same for all hosts of an image.
struct Survey<'a> {
    goal: &'a Goal,
    id: &'a ImageId,
    record: Result<&'a Record, &'a str>,
    root: Option<glancecast_proto::integrity::Root>,
    inventory: Option<&'a Inventory>,
    pushes: Vec<&'a ActivePush>,
    actual: &'a Actual,
    now: WallClock,
}

impl<'a> Survey<'a> {
    fn new(
        goal: &'a Goal,
        id: &'a ImageId,
        image: &'a WantedImage,
        actual: &'a Actual,
        now: WallClock,
    ) -> Self {
        let group = &goal.policy.group;
        let record = image.record.as_ref().map_err(String::as_str);
        let root = record.ok().and_then(|record| actual.roots.of(id, record));
        let pushes = actual.active_in(group).into_iter().filter(|push| push.image == *id).collect();
        Self { goal, id, record, root, inventory: actual.inventories.get(group), pushes, actual, now }
    }

    /// What is certain comes first: whether the host counts, what it holds, what runs.
    fn seen(&self, host: &HostName, counting: &Counting) -> Seen {
        let known = self.inventory.and_then(|inventory| inventory.host(host));
        let settled = not_counted(counting)
            .or_else(|| self.held(known))
            .or_else(|| self.in_push(host))
            .or_else(|| self.unknown(known))
            .or_else(|| self.refused(known?))
            .or_else(|| self.failing(host));
        settled.map_or(Seen::Due, Seen::Settled)
    }

    fn held(&self, known: Option<&HostInventory>) -> Option<Why> {
        let copy = known?.counted_copy(self.id, self.now)?;
        match self.root {
            Some(root) if root != copy.root => Some(Why::OtherContent(copy.root)),
            _ => Some(Why::Holds),
        }
    }

    fn in_push(&self, host: &HostName) -> Option<Why> {
        let push = self.pushes.iter().find(|push| push.hosts.is_empty() || push.hosts.contains(host))?;
        Some(Why::InPush(push.id.clone()))
    }

    fn unknown(&self, known: Option<&HostInventory>) -> Option<Why> {
        let Some(known) = known else { return Some(Why::NeverHeard) };
        match (known.trouble(), known.answered_at()) {
            (Some(reason), _) => Some(Why::Trouble(reason.to_owned())),
            (None, None) => Some(Why::NeverHeard),
            (None, Some(at)) => (!known.has_answered_lately(self.now)).then_some(Why::NotHeardSince(at)),
        }
    }

    fn refused(&self, known: &HostInventory) -> Option<Why> {
        let record = match self.record {
            Ok(record) => record,
            Err(reason) => return Some(Why::Obstacle(reason.to_owned())),
        };
        let max = self.goal.policy.max_image;
        if record.size > max.0 {
            return Some(Why::TooLong { size: Size(record.size), max });
        }
        let free = known.free_bytes().filter(|free| *free < record.size)?;
        Some(Why::NoRoom { free, size: record.size })
    }

    fn failing(&self, host: &HostName) -> Option<Why> {
        let waiting = |failure: &Failure| {
            failure.again(self.now).map(|again| (failure.times, failure.reason.clone(), again))
        };
        let failures = &self.actual.failures;
        let of_host = failures.of_host(Task::Push, self.id, host).and_then(waiting);
        if let Some((times, reason, again)) = of_host {
            return Some(Why::HostFailed { times, reason, again });
        }
        let of_image = failures.of_image(&self.goal.policy.group, self.id).and_then(waiting);
        of_image.map(|(times, reason, again)| Why::PushFailed { times, reason, again })
    }
}

fn not_counted(counting: &Counting) -> Option<Why> {
    match counting {
        Counting::Counted => None,
        Counting::Down => Some(Why::Down),
        Counting::Disabled(reason) => Some(Why::Disabled(reason.clone())),
        Counting::Ineligible(reason) => Some(Why::Ineligible(reason.clone())),
    }
}
