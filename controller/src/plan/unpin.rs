//! What is let go: copies that a policy has placed, that no policy wants any more, and whose successors have arrived.
//!
//! Each of these keeps a copy: a policy that wants it; a policy that may want it, because its selection is in doubt; a policy
//! that has placed it and says `remove = "keep"`, or whose images have not reached their quorum, or which selects no image at
//! all; the deletion of the policy. A copy that no push of a policy has placed is never touched.

use std::collections::{BTreeMap, BTreeSet};

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use super::actual::{Actual, Placement};
use super::desired::{Desired, Goal, Problem};
use super::failures::Task;
use super::inventory::Pinned;
use super::{PolicyStatus, Unpin};
use crate::policy::{Group, ImageId, Remove};

/// Returns what is let go, an order for each image and group.
pub(super) fn unpins(
    desired: &Desired,
    statuses: &[PolicyStatus],
    actual: &Actual,
    now: WallClock,
) -> Vec<Unpin> {
    let mut orders: BTreeMap<(&Group, &ImageId), BTreeSet<HostName>> = BTreeMap::new();
    for (group, image, host, placement) in actual.placements.iter() {
        let goals = || desired.goals.iter().filter(|goal| goal.policy.group == *group);
        let is_let_go = goals().all(|goal| !may_want(goal, image, host))
            && is_released(desired, statuses, placement)
            && is_there(actual, group, image, host, placement, now)
            && is_undisturbed(actual, group, image, host, now);
        if is_let_go {
            orders.entry((group, image)).or_default().insert(host.clone());
        }
    }
    let order = |((group, image), hosts): ((&Group, &ImageId), _)| Unpin {
        group: group.clone(),
        image: image.clone(),
        hosts,
    };
    orders.into_iter().map(order).collect()
}

fn may_want(goal: &Goal, image: &ImageId, host: &HostName) -> bool {
    let wants = goal.images.contains_key(image) && goal.hosts.contains_key(host);
    wants || goal.problems.iter().any(Problem::leaves_doubt)
}

/// Whether each policy that has placed the copy, of those that are left, lets it go.
fn is_released(desired: &Desired, statuses: &[PolicyStatus], placement: &Placement) -> bool {
    let mut left = desired
        .goals
        .iter()
        .zip(statuses)
        .filter(|(goal, _)| placement.policies.contains(&goal.policy.name))
        .peekable();
    left.peek().is_some()
        && left.all(|(goal, status)| {
            goal.policy.remove == Remove::Unpin && has_successors(status, placement.name.as_deref())
        })
}

/// Whether the images that take the place of one with this name have their quorum: those of the same name, and all images of
/// the policy if there is none.
fn has_successors(status: &PolicyStatus, name: Option<&str>) -> bool {
    let is_namesake = |image: &&super::ImageProgress| name.is_some() && image.name.as_deref() == name;
    let namesakes = status.images.iter().filter(is_namesake).count();
    let mut successors = status.images.iter().filter(|image| namesakes == 0 || is_namesake(image)).peekable();
    successors.peek().is_some() && successors.all(|image| image.has_quorum)
}

/// Whether the host has said lately that it holds the placed copy, pinned.
fn is_there(
    actual: &Actual,
    group: &Group,
    image: &ImageId,
    host: &HostName,
    placement: &Placement,
    now: WallClock,
) -> bool {
    let known = actual.inventories.get(group).and_then(|inventory| inventory.host(host));
    let copy = known.and_then(|known| known.counted_copy(image, now));
    copy.is_some_and(|copy| copy.root == placement.root && copy.pinned == Pinned::Yes)
}

/// Whether no push of the image runs to the host, no query ends this pin, and no failure of one is recent.
fn is_undisturbed(actual: &Actual, group: &Group, image: &ImageId, host: &HostName, now: WallClock) -> bool {
    let brings = |push: &super::ActivePush| {
        push.group == *group && push.image == *image && (push.hosts.is_empty() || push.hosts.contains(host))
    };
    let failure = actual.failures.of_host(Task::Unpin, image, host).and_then(|failure| failure.again(now));
    !actual.active.iter().any(brings)
        && failure.is_none()
        && !actual.unpinning.contains(&(group.clone(), image.clone(), host.clone()))
}
