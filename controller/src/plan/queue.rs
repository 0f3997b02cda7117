//! What begins in each group: of the images that are due and the pushes of people that wait, the first.
//!
//! A group has two places: one push is multicast, and beside it one is sent by unicast to hosts that are late. An image is
//! pushed once to all hosts that lack it and may get it now. A host takes part in one push of a policy at a time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use glancecast_platform::units::RateChoice;
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use super::actual::{Actual, By, Memory, PushId, QueuedPush, Way};
use super::catalog::Record;
use super::survey::{Seen, View};
use super::why::Why;
use super::{PushOrder, Start, Waiting, Waits};
use crate::policy::limits::{LATE_HOSTS_MAX, LATE_RATE};
use crate::policy::{Group, ImageId, PolicyName};

/// An image that is due in a group: what all policies together want.
pub(super) struct Due<'a> {
    record: &'a Record,
    name: Option<&'a str>,
    /// Each host with the policies that want it there.
    hosts: BTreeMap<&'a HostName, BTreeSet<&'a PolicyName>>,
    policies: BTreeSet<&'a PolicyName>,
    priority: i32,
    rate: Option<RateChoice>,
    closes: Option<WallClock>,
    since: WallClock,
    /// Hosts that hold it, of all policies that want it.
    holders: BTreeSet<&'a HostName>,
}

/// The images that are due, by group.
pub(super) type AllDue<'a> = BTreeMap<&'a Group, BTreeMap<&'a ImageId, Due<'a>>>;

impl Due<'_> {
    /// Few hosts lack what more hosts hold: they are late, and the group is not troubled with them.
    fn way(&self) -> Way {
        match self.hosts.len() <= LATE_HOSTS_MAX && self.hosts.len() < self.holders.len() {
            true => Way::Unicast,
            false => Way::Group,
        }
    }

    fn rate(&self) -> Option<RateChoice> {
        match self.way() {
            Way::Group => self.rate,
            Way::Unicast => slower(self.rate, Some(RateChoice::AutoUpTo(LATE_RATE))),
        }
    }
}

/// Unites what the policies have due.
pub(super) fn due<'a>(views: &[View<'a>], actual: &Actual, now: WallClock) -> AllDue<'a> {
    let mut all = AllDue::new();
    for view in views {
        let policy = &view.goal.policy;
        for (image, host) in view.due() {
            let wanted = &view.goal.images[image];
            let record = wanted.record.as_ref().expect("an image without a record is refused");
            let since = actual.memory.0.get(&(policy.group.clone(), image.clone())).copied();
            let due = all.entry(&policy.group).or_default().entry(image).or_insert_with(|| Due {
                record,
                name: wanted.name.as_deref(),
                hosts: BTreeMap::new(),
                policies: BTreeSet::new(),
                priority: policy.priority,
                rate: None,
                closes: None,
                since: since.unwrap_or(now).min(now),
                holders: BTreeSet::new(),
            });
            due.hosts.entry(host).or_default().insert(&policy.name);
            if due.policies.insert(&policy.name) {
                due.priority = due.priority.max(policy.priority);
                due.rate = slower(due.rate, policy.rate);
                let closes = policy.window.as_ref().and_then(|window| window.closes(now));
                due.closes = due.closes.into_iter().chain(closes).min();
            }
        }
    }
    for view in views {
        let Some(group) = all.get_mut(&view.goal.policy.group) else { continue };
        for (image, hosts) in &view.images {
            let Some(due) = group.get_mut(image) else { continue };
            due.holders.extend(
                hosts.iter().filter(|(_, seen)| **seen == Seen::Settled(Why::Holds)).map(|(host, _)| *host),
            );
        }
    }
    all
}

/// Returns since when each image has been due.
pub(super) fn memory(all: &AllDue<'_>) -> Memory {
    let of_group = |(group, images): (&&Group, &BTreeMap<&ImageId, Due<'_>>)| {
        let group = (*group).clone();
        let since = images.iter().map(move |(image, due)| ((group.clone(), (*image).clone()), due.since));
        since.collect::<Vec<_>>()
    };
    Memory(all.iter().flat_map(of_group).collect())
}

/// What was decided in one group.
#[derive(Default)]
pub(super) struct Decided<'a> {
    pub(super) starts: Vec<Start>,
    pub(super) waiting: Vec<Waiting>,
    /// Of each image that is due, the hosts to which it begins.
    begun: BTreeMap<&'a ImageId, BTreeSet<&'a HostName>>,
    /// Of each image that waits, how many come before it.
    ahead: BTreeMap<&'a ImageId, usize>,
    lane: Lane<'a>,
}

impl Decided<'_> {
    /// Returns why a host that is due for an image gets it now, or does not.
    pub(super) fn why(&self, image: &ImageId, host: &HostName) -> Why {
        if self.begun.get(image).is_some_and(|hosts| hosts.contains(host)) {
            return Why::Begins;
        }
        if let Some(push) = self.lane.images.get(image) {
            return Why::SameImage((*push).clone());
        }
        match self.lane.push_of(host) {
            Some(push) => Why::Busy(push.clone()),
            None => Why::Queue { ahead: self.ahead.get(image).copied().unwrap_or(0) },
        }
    }
}

/// What runs in a group.
#[derive(Default)]
struct Lane<'a> {
    group: Option<&'a PushId>,
    unicast: Option<&'a PushId>,
    images: BTreeMap<&'a ImageId, &'a PushId>,
    hosts: BTreeMap<&'a HostName, &'a PushId>,
    /// A push to everyone.
    everyone: Option<&'a PushId>,
}

impl<'a> Lane<'a> {
    fn new(group: &Group, actual: &'a Actual) -> Self {
        let mut lane = Self::default();
        for push in actual.active_in(group) {
            match push.way {
                Way::Group => lane.group = Some(&push.id),
                Way::Unicast => lane.unicast = Some(&push.id),
            }
            lane.images.insert(&push.image, &push.id);
            lane.hosts.extend(push.hosts.iter().map(|host| (host, &push.id)));
            if push.hosts.is_empty() {
                lane.everyone = Some(&push.id);
            }
        }
        lane
    }

    fn is_free(&self, way: Way) -> bool {
        match way {
            Way::Group => self.group.is_none(),
            Way::Unicast => self.unicast.is_none(),
        }
    }

    fn push_of(&self, host: &HostName) -> Option<&'a PushId> {
        self.everyone.or_else(|| self.hosts.get(host).copied())
    }
}

/// An entry of the queue of a group. The order of its fields' keys is that of the queue.
struct Entry<'a, 'd> {
    priority: i32,
    since: WallClock,
    what: What<'a, 'd>,
}

#[derive(Clone, Copy)]
enum What<'a, 'd> {
    OfPerson(&'a QueuedPush),
    OfPolicies(&'a ImageId, &'d Due<'a>),
}

impl Entry<'_, '_> {
    fn key(&self) -> (Reverse<i32>, WallClock, u8, &str) {
        let (rank, id) = match self.what {
            What::OfPerson(push) => (0, push.id.0.as_str()),
            What::OfPolicies(image, _) => (1, image.as_str()),
        };
        (Reverse(self.priority), self.since, rank, id)
    }

    fn way(&self) -> Way {
        match self.what {
            What::OfPerson(_) => Way::Group,
            What::OfPolicies(_, due) => due.way(),
        }
    }
}

/// Decides what begins in a group, and why the rest waits.
pub(super) fn decide<'a>(
    group: &Group,
    due: Option<&BTreeMap<&'a ImageId, Due<'a>>>,
    actual: &'a Actual,
    now: WallClock,
) -> Decided<'a> {
    let mut decided = Decided { lane: Lane::new(group, actual), ..Decided::default() };
    let of_person = |push: &'a QueuedPush| Entry {
        priority: push.priority,
        since: push.submitted,
        what: What::OfPerson(push),
    };
    let persons = actual.queued.iter().filter(|push| push.group == *group).map(of_person);
    let policies = due.into_iter().flatten().map(|(image, due)| Entry {
        priority: due.priority,
        since: due.since,
        what: What::OfPolicies(image, due),
    });
    let mut entries: Vec<Entry<'a, '_>> = persons.chain(policies).collect();
    entries.sort_by(|a, b| a.key().cmp(&b.key()));
    // One pass for both ways: a host that both would take goes to the push of the higher priority.
    let mut free: Vec<Way> =
        [Way::Group, Way::Unicast].into_iter().filter(|way| decided.lane.is_free(*way)).collect();
    let mut ahead: BTreeMap<Way, usize> = BTreeMap::new();
    for entry in &entries {
        let way = entry.way();
        if free.contains(&way) && decided.begin(group, entry, now) {
            free.retain(|other| *other != way);
        } else {
            let ahead = ahead.entry(way).or_default();
            decided.wait(group, entry, *ahead, now);
            *ahead += 1;
        }
    }
    decided
}

impl<'a> Decided<'a> {
    /// Begins a push, unless all of its hosts take part in others, or its window is closed.
    fn begin(&mut self, group: &Group, entry: &Entry<'a, '_>, now: WallClock) -> bool {
        let (image, due) = match entry.what {
            What::OfPerson(push) if push.window.as_ref().is_none_or(|window| window.is_open(now)) => {
                self.starts.push(Start::Queued(push.id.clone()));
                return true;
            }
            What::OfPerson(_) => return false,
            What::OfPolicies(image, due) => (image, due),
        };
        let is_taken = |host: &HostName| self.begun.values().any(|hosts| hosts.contains(host));
        let is_free = |host: &HostName| self.lane.push_of(host).is_none() && !is_taken(host);
        let owned =
            |policies: &BTreeSet<&PolicyName>| policies.iter().map(|policy| (*policy).clone()).collect();
        let free = due.hosts.iter().filter(|(host, _)| is_free(host));
        let hosts: BTreeMap<HostName, BTreeSet<PolicyName>> =
            free.map(|(host, policies)| ((*host).clone(), owned(policies))).collect();
        if hosts.is_empty() || self.lane.images.contains_key(image) {
            return false;
        }
        self.begun
            .insert(image, due.hosts.keys().filter(|host| hosts.contains_key(**host)).copied().collect());
        self.starts.push(Start::New(PushOrder {
            group: group.clone(),
            image: image.clone(),
            name: due.name.map(str::to_owned),
            record: due.record.clone(),
            hosts,
            way: due.way(),
            rate: due.rate(),
            priority: due.priority,
            window_closes: due.closes,
        }));
        true
    }

    fn wait(&mut self, group: &Group, entry: &Entry<'a, '_>, ahead: usize, now: WallClock) {
        let (what, opens) = match entry.what {
            What::OfPerson(push) => {
                let opens = push.window.as_ref().and_then(|window| window.opens(now));
                (Waits::Queued(push.id.clone()), opens)
            }
            What::OfPolicies(image, _) => {
                self.ahead.insert(image, ahead);
                (Waits::Image(image.clone()), None)
            }
        };
        let by = match entry.what {
            What::OfPerson(_) => By::Person,
            What::OfPolicies(..) => By::Policy,
        };
        self.waiting.push(Waiting { group: group.clone(), what, by, priority: entry.priority, ahead, opens });
    }
}

/// Returns the choice that sends more slowly; of equal ones the one that adapts. No choice is faster than any.
fn slower(one: Option<RateChoice>, other: Option<RateChoice>) -> Option<RateChoice> {
    let key = |rate: &RateChoice| match rate {
        RateChoice::AutoUpTo(rate) => (rate.bits(), 0),
        RateChoice::Fixed(rate) => (rate.bits(), 1),
        RateChoice::Auto => (u64::MAX, 0),
    };
    one.into_iter().chain(other).min_by_key(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_rate_of_two_policies_counts() {
        let rate = |text: &str| text.parse::<RateChoice>().ok();
        for (one, other, slow) in [
            ("1gbit", "2gbit", "1gbit"),
            ("auto", "2gbit", "2gbit"),
            ("auto:1gbit", "1gbit", "auto:1gbit"),
            ("2gbit", "auto:1gbit", "auto:1gbit"),
        ] {
            assert_eq!(slower(rate(one), rate(other)), rate(slow));
            assert_eq!(slower(rate(other), rate(one)), rate(slow));
        }
        assert_eq!((slower(None, rate("auto")), slower(None, None)), (rate("auto"), None));
    }
}
