//! What has failed, how often, and when it is tried again: 1 min * 2^n, at most 6 h.

use std::collections::BTreeMap;

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use super::{after, brief};
use crate::policy::limits::{BACKOFF_FIRST, BACKOFF_MAX, FAILURES_MAX};
use crate::policy::{Group, ImageId};

/// Failures of hosts with images, and of images with all hosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failures {
    hosts: BTreeMap<(Task, ImageId, HostName), Failure>,
    images: BTreeMap<(Group, ImageId), Failure>,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The image should come to the host.
    Push,
    /// Its pin on the host should end.
    Unpin,
}

/// Failures in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many.
    pub times: u32,
    /// When the last one was.
    pub last: WallClock,
    /// The cause of the last one, for people.
    pub reason: String,
}

impl Failures {
    /// Records that a host has failed with an image.
    pub fn record(&mut self, task: Task, image: &ImageId, host: &HostName, now: WallClock, reason: &str) {
        let key = (task, image.clone(), host.clone());
        if self.hosts.len() >= FAILURES_MAX && !self.hosts.contains_key(&key) {
            let oldest =
                self.hosts.iter().min_by_key(|(_, failure)| failure.last).map(|(key, _)| key.clone());
            oldest.map(|oldest| self.hosts.remove(&oldest));
        }
        Failure::add(self.hosts.entry(key), now, reason);
    }

    /// Records that a push of an image has failed as a whole: Glance was away, the sender ended without a verdict.
    pub fn record_image(&mut self, group: &Group, image: &ImageId, now: WallClock, reason: &str) {
        Failure::add(self.images.entry((group.clone(), image.clone())), now, reason);
    }

    /// Records a success of a host with an image.
    pub fn clear(&mut self, task: Task, image: &ImageId, host: &HostName) {
        self.hosts.remove(&(task, image.clone(), host.clone()));
    }

    /// Records that a push of an image has come to a verdict.
    pub fn clear_image(&mut self, group: &Group, image: &ImageId) {
        self.images.remove(&(group.clone(), image.clone()));
    }

    /// Forgets what images that are gone have failed with.
    pub fn retain(&mut self, is_there: impl Fn(&ImageId) -> bool) {
        self.hosts.retain(|(_, image, _), _| is_there(image));
        self.images.retain(|(_, image), _| is_there(image));
    }

    /// Returns the failure of a host with an image.
    pub fn of_host(&self, task: Task, image: &ImageId, host: &HostName) -> Option<&Failure> {
        self.hosts.get(&(task, image.clone(), host.clone()))
    }

    /// Returns the failure of an image with all hosts.
    pub fn of_image(&self, group: &Group, image: &ImageId) -> Option<&Failure> {
        self.images.get(&(group.clone(), image.clone()))
    }

    /// Puts a failure that was stored back.
    pub fn restore(&mut self, task: Task, image: ImageId, host: HostName, failure: Failure) {
        self.hosts.insert((task, image, host), failure);
    }
}

impl Failure {
    fn add<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Self>, now: WallClock, reason: &str) {
        let failure = entry.or_insert(Self { times: 0, last: now, reason: String::new() });
        failure.times = failure.times.saturating_add(1);
        failure.last = now;
        failure.reason = brief(reason);
    }

    /// Returns when it is tried again, if that is later than now. A failure in the future is that of a clock that was set:
    /// it holds nothing back.
    pub fn again(&self, now: WallClock) -> Option<WallClock> {
        let doublings = self.times.saturating_sub(1).min(31);
        let wait = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        let again = after(self.last, wait);
        (self.last <= now && now < again).then_some(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_six_hours() {
        let minutes: Vec<u64> = (1..=12)
            .map(|times| {
                let failure = Failure { times, last: WallClock(0), reason: String::new() };
                failure.again(WallClock(0)).expect("a wait").0 / 60_000
            })
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
        let worst = Failure { times: u32::MAX, last: WallClock(u64::MAX - 5), reason: String::new() };
        assert_eq!(worst.again(WallClock(u64::MAX - 1)), Some(WallClock(u64::MAX)), "nothing overflows");
    }

    #[test]
    fn the_wait_ends_to_the_millisecond_and_a_clock_that_was_set_back_holds_nothing_up() {
        let failure = Failure { times: 1, last: WallClock(1_000), reason: String::new() };
        assert_eq!(failure.again(WallClock(60_999)), Some(WallClock(61_000)));
        assert_eq!((failure.again(WallClock(61_000)), failure.again(WallClock(999))), (None, None));
    }
}
