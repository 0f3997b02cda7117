//! The reconciler's decisions: what to push, what to let go, and the state of each image on each host.
//!
//! ```text
//! policies + Glance + Nova --select--> Desired --+
//!                                               +--plan(now)--> Plan: begin, cancel, unpin; state and reason of each host
//! hosts, pushes, memory ---------------> Actual --+
//! ```
//!
//! [`plan`] is a pure function of what should be, what is so, and the time: the same arguments give the same plan. It is
//! called again and again, compares anew each time, and does not depend on having seen an event. Its first step looks at each
//! image on each host of a policy (`survey.rs`) and holds back what the guard, a person or the window says. The second unites
//! what the policies have due, and decides what begins in each group (`queue.rs`). The last names what is let go (`unpin.rs`).
//!
//! What holds for every plan, and is tested on random clouds (`controller/tests/reconciler`): a host gets only what it lacks,
//! as far as it has said; one push is multicast in a group; nothing is let go that no policy has placed, or before its
//! successors have their quorum; all hosts hold what they should once they stop failing.

mod actual;
mod catalog;
mod desired;
mod failures;
mod guard;
mod inventory;
mod queue;
mod roots;
mod status;
mod survey;
mod unpin;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use glancecast_platform::units::RateChoice;
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::printable;

pub use actual::{ActivePush, Actual, By, Cancelled, Memory, Placement, Placements, PushId, QueuedPush, Way};
pub use catalog::{Catalog, Compute, Image, ImageStatus, Record, Service, ServiceState};
pub use desired::{Counting, Desired, Goal, Problem, WantedImage, select};
pub use failures::{Failure, Failures, Task};
pub use guard::{Approval, Pending};
pub use inventory::{Answer, HeldCopy, HostInventory, Inventory, Pinned};
pub use roots::KnownRoots;
pub use status::{ImageProgress, PolicyStatus};
pub use why::{Class, Why};

use crate::policy::limits::REASON_MAX;
use crate::policy::{Group, ImageId, PolicyName};
use survey::View;

/// What to do, and what is so.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Pushes that begin, at most one of each [`Way`] in a group.
    pub start: Vec<Start>,
    /// Pushes of policies that no policy wants any more. Their hosts keep what they have of it for a while.
    pub cancel: Vec<PushId>,
    /// Pins that end.
    pub unpin: Vec<Unpin>,
    /// Pushes and images that wait for their group, in the order in which they begin.
    pub waiting: Vec<Waiting>,
    /// What is so, by policy.
    pub policies: Vec<PolicyStatus>,
    /// What the next plan is given.
    pub memory: Memory,
    /// When time alone changes the plan; `None` if nothing waits for a time.
    pub wake_at: Option<WallClock>,
}

/// A push that begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// One of a person that has waited.
    Queued(PushId),
    /// One of policies.
    New(PushOrder),
}

/// A push of policies. Its hosts keep the image until it is unpinned.
#[derive(Clone, Debug, PartialEq)]
pub struct PushOrder {
    /// The group.
    pub group: Group,
    /// The image.
    pub image: ImageId,
    /// The name of the image.
    pub name: Option<String>,
    /// The record that the bytes have to match.
    pub record: Record,
    /// The hosts, at least one, each with the policies that want it there: those that its placement is recorded with.
    pub hosts: BTreeMap<HostName, BTreeSet<PolicyName>>,
    /// How it is sent.
    pub way: Way,
    /// The rate; `None`: as the settings of `glancecast` say.
    pub rate: Option<RateChoice>,
    /// The highest priority of its policies.
    pub priority: i32,
    /// When the first of their windows closes. The push goes on then.
    pub window_closes: Option<WallClock>,
}

/// Pins of an image that end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpin {
    /// The group.
    pub group: Group,
    /// The image.
    pub image: ImageId,
    /// The hosts, at least one.
    pub hosts: BTreeSet<HostName>,
}

/// A push or an image that waits for its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The group.
    pub group: Group,
    /// What waits.
    pub what: Waits,
    /// Whose it is.
    pub by: By,
    /// Its priority.
    pub priority: i32,
    /// How many come before it.
    pub ahead: usize,
    /// When its window opens, if that is closed.
    pub opens: Option<WallClock>,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A push of a person.
    Queued(PushId),
    /// An image that policies want.
    Image(ImageId),
}

/// Compares what should be with what is so.
pub fn plan(desired: &Desired, actual: &Actual, now: WallClock) -> Plan {
    let views: Vec<View<'_>> = desired.goals.iter().map(|goal| View::new(goal, actual, now)).collect();
    let due = queue::due(&views, actual, now);
    let groups: BTreeSet<&Group> =
        due.keys().copied().chain(actual.queued.iter().map(|push| &push.group)).collect();
    let decided: BTreeMap<&Group, queue::Decided<'_>> =
        groups.into_iter().map(|group| (group, queue::decide(group, due.get(group), actual, now))).collect();
    let policies: Vec<PolicyStatus> = views
        .iter()
        .map(|view| PolicyStatus::of(view, decided.get(&view.goal.policy.group), actual))
        .collect();
    let unpin = unpin::unpins(desired, &policies, actual, now);
    let wake_at = wake_at(desired, &policies, &decided, actual, now);
    let memory = queue::memory(&due);
    let (mut start, mut waiting) = (Vec::new(), Vec::new());
    for (_, group) in decided {
        start.extend(group.starts);
        waiting.extend(group.waiting);
    }
    Plan { start, cancel: cancels(desired, actual), unpin, waiting, policies, memory, wake_at }
}

/// Returns the pushes of policies whose image no policy of the group wants any more.
fn cancels(desired: &Desired, actual: &Actual) -> Vec<PushId> {
    let is_wanted = |push: &&ActivePush| {
        let goals = desired.goals.iter().filter(|goal| goal.policy.group == push.group);
        goals.into_iter().any(|goal| {
            goal.images.contains_key(&push.image) || goal.problems.iter().any(Problem::leaves_doubt)
        })
    };
    let unwanted = actual.active.iter().filter(|push| push.by == By::Policy && !is_wanted(push));
    let mut ids: Vec<PushId> = unwanted.map(|push| push.id.clone()).collect();
    ids.sort();
    ids
}

/// Returns the first moment at which time alone changes something.
fn wake_at(
    desired: &Desired,
    statuses: &[PolicyStatus],
    decided: &BTreeMap<&Group, queue::Decided<'_>>,
    actual: &Actual,
    now: WallClock,
) -> Option<WallClock> {
    let whys = statuses.iter().flat_map(|status| &status.images).flat_map(|image| image.hosts.values());
    let windows = desired.goals.iter().filter_map(|goal| goal.policy.window.as_ref());
    let windows = windows.chain(actual.queued.iter().filter_map(|push| push.window.as_ref()));
    let closings = windows.filter_map(|window| window.closes(now));
    let openings = decided.values().flat_map(|group| &group.waiting).filter_map(|waiting| waiting.opens);
    let stale =
        actual.inventories.values().flat_map(Inventory::hosts).flat_map(|(_, known)| known.stale_at());
    let unpins = actual.placements.iter().filter_map(|(_, image, host, _)| {
        actual.failures.of_host(Task::Unpin, image, host).and_then(|failure| failure.again(now))
    });
    let approvals = actual.approvals.values().map(Approval::ends);
    let times = whys
        .filter_map(Why::ends)
        .chain(closings)
        .chain(openings)
        .chain(stale)
        .chain(unpins)
        .chain(approvals);
    times.filter(|time| *time > now).min()
}

/// Returns the time after a duration; the end of time if it is later.
fn after(at: WallClock, by: Duration) -> WallClock {
    WallClock(at.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// Returns what of a stranger's text goes into a reason.
fn brief(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(REASON_MAX)];
    printable(cut) + if cut.len() < text.len() { "…" } else { "" }
}

/// Shows a time in UTC, to the second.
fn shown(at: WallClock) -> impl fmt::Display {
    let seconds =
        i64::try_from(at.0 / 1_000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    seconds.map_or_else(|| "the end of time".to_owned(), |seconds| seconds.to_string())
}

#[cfg(test)]
mod tests;
