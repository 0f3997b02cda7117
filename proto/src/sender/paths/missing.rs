//! Named hosts whose address is known and that were not heard: an announcement goes to each by unicast, as the group may
//! not reach it. And what is said to hosts that hear nothing else yet.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::{Allowance, Bucket};
use crate::ids::HostName;
use crate::time::Moment;
use crate::wire::Kind;

/// Datagrams to single hosts that were sealed for everyone, and the hosts that wait for them.
pub(super) struct Beacons {
    missing: BTreeMap<HostName, Missing>,
    queue: VecDeque<Beacon>,
    budget: Bucket,
    /// When to look again whether one may leave.
    next_at: Moment,
    /// When each missing host was sent an announcement once.
    all_told: Option<Moment>,
}

struct Missing {
    addr: SocketAddr,
    due: Moment,
    gap: Duration,
}

/// A datagram for one host.
pub(in crate::sender) struct Beacon {
    pub(in crate::sender) to: SocketAddr,
    pub(in crate::sender) kind: Kind,
    pub(in crate::sender) bytes: Arc<[u8]>,
}

impl Beacons {
    /// Returns the hosts that are looked for from the moment `from` on.
    pub(super) fn new(from: Moment, hosts: &[(HostName, SocketAddr)]) -> Self {
        let missing = |(name, addr): &(HostName, SocketAddr)| {
            (name.clone(), Missing { addr: *addr, due: from, gap: GAP_MIN })
        };
        let missing: BTreeMap<HostName, Missing> = hosts.iter().map(missing).collect();
        let all_told = missing.is_empty().then_some(from);
        Self { missing, queue: VecDeque::new(), budget: Bucket::default(), next_at: from, all_told }
    }

    /// Notes that a host was heard.
    pub(super) fn note_heard(&mut self, name: &HostName) {
        self.missing.remove(name);
    }

    /// Whether some host was not heard.
    pub(super) fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// When every missing host had been sent an announcement, if that is so.
    pub(super) fn all_told(&self) -> Option<Moment> {
        self.all_told
    }

    /// Queues an announcement, and what else `for_host` returns, for each host whose turn it is.
    pub(super) fn announce(
        &mut self,
        now: Moment,
        bytes: &Arc<[u8]>,
        for_host: impl Fn(&HostName) -> Option<Arc<[u8]>>,
    ) {
        let Self { missing, queue, .. } = self;
        for (name, host) in missing {
            if now < host.due || queue.len() >= QUEUE_MAX {
                continue;
            }
            host.due = now + host.gap;
            host.gap = (host.gap * 2).min(GAP_MAX);
            queue.push_back(Beacon { to: host.addr, kind: Kind::Announce, bytes: Arc::clone(bytes) });
            let page = for_host(name);
            queue.extend(page.map(|bytes| Beacon { to: host.addr, kind: Kind::Audience, bytes }));
        }
        // The last ones of this round leave when the queue before them is empty.
        let is_told = self.missing.values().all(|host| host.gap > GAP_MIN);
        if is_told && self.all_told.is_none() {
            self.all_told = Some(now + SPACING.gap * self.queue.len() as u32);
        }
    }

    /// Queues a datagram for one host.
    pub(super) fn push(&mut self, to: SocketAddr, kind: Kind, bytes: &Arc<[u8]>) {
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back(Beacon { to, kind, bytes: Arc::clone(bytes) });
        }
    }

    /// Returns the next one if it may leave now.
    pub(super) fn next(&mut self, now: Moment) -> Option<Beacon> {
        if self.queue.is_empty() {
            return None;
        }
        if !self.budget.take(now, SPACING) {
            self.next_at = now + Duration::from_millis(1);
            return None;
        }
        self.queue.pop_front()
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        (!self.queue.is_empty()).then_some(self.next_at)
    }
}

/// What leaves: ten thousand datagrams in a second, so that a thousand hosts are found in two tenths.
const SPACING: Allowance = Allowance { most: 20, gap: Duration::from_micros(100) };
/// Datagrams that wait; further ones are dropped, and their hosts hear the next ones.
const QUEUE_MAX: usize = 4_096;
/// Time between two announcements to one host: it doubles, as the host may be down.
const GAP_MIN: Duration = Duration::from_millis(50);
const GAP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_host_is_told_again_and_again_until_it_is_heard() {
        let hosts = [(name("a"), addr(1)), (name("b"), addr(2))];
        let mut beacons = Beacons::new(at(30), &hosts);
        let bytes: Arc<[u8]> = Arc::from([1, 2].as_slice());
        let mut told = Vec::new();
        for ms in 0..400 {
            if ms == 100 {
                beacons.note_heard(&name("a"));
            }
            if ms % 10 == 0 {
                beacons.announce(at(ms), &bytes, |_| None);
            }
            while let Some(beacon) = beacons.next(at(ms)) {
                told.push((ms, beacon.to));
            }
        }
        let of =
            |host| told.iter().filter(|told| told.1 == addr(host)).map(|told| told.0).collect::<Vec<_>>();
        assert_eq!((of(1), of(2)), (vec![30, 80], vec![30, 80, 180, 380]));
        assert!(beacons.all_told().is_some_and(|told| told < at(35)) && beacons.has_missing());
    }

    #[test]
    fn a_thousand_hosts_are_told_in_a_tenth_of_a_second_and_not_at_once() {
        let hosts: Vec<_> = (0..1_000_u32).map(|n| (name(&n.to_string()), addr(n as u8))).collect();
        let mut beacons = Beacons::new(at(0), &hosts);
        beacons.announce(at(0), &Arc::from([1].as_slice()), |_| None);
        let mut at_most = 0;
        let mut sent = 0;
        for ms in 0..=100 {
            let now = std::iter::from_fn(|| beacons.next(at(ms))).count();
            (at_most, sent) = (now.max(at_most), sent + now);
        }
        assert!(sent == 1_000 && at_most <= 20, "{sent}, {at_most}");
    }

    fn name(name: &str) -> HostName {
        HostName::new(name).expect("plain")
    }

    fn addr(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 7167).into()
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }
}
