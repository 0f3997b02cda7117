//! What a diagnosis sends: the trains of its trials, and how much that is at most.

use std::time::Duration;

use super::train::TrainPlan;
use crate::limits::PROBES_MAX;
use crate::wire::{NameHash, names_in};

/// Where the report of a train is kept: what the train was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the group and to each host.
    First,
    /// To the group, after some hosts have joined it again.
    Again,
    /// To one host of each network that the group does not reach, which passes it on to the group there.
    Islands,
    /// By both ways at the same pace, for hosts that lose some.
    Control,
    /// At this rate, in bits per second.
    Rate(u64),
}

/// The plans of all trains of one diagnosis.
#[derive(Clone, Debug)]
pub(super) struct Plans {
    /// The TTL of datagrams to the group.
    pub(super) ttl: u8,
    /// Whether higher TTLs are worth trying.
    pub(super) is_routed: bool,
    /// Lengths of long probes, of UDP payload, ascending.
    pub(super) lengths: Vec<u16>,
    /// Bits per second at which trains are sent.
    pub(super) rates: Vec<u64>,
    /// UDP payload of the longest page of an audience.
    pub(super) page_bytes: u16,
}

impl Plans {
    /// Returns the trains of a trial: the one to the group, and the one to each host's own address.
    pub(super) fn of(&self, place: Place) -> (TrainPlan, TrainPlan) {
        match place {
            Place::First => (self.first(), self.first_by_unicast()),
            Place::Again => (self.again(), TrainPlan::default()),
            Place::Islands => (TrainPlan::default(), islands()),
            Place::Control => (control(), control()),
            Place::Rate(rate) => {
                let plan = self.at_rate(rate);
                (plan.clone(), plan)
            }
        }
    }

    /// Returns the datagrams and the bytes of UDP payload that are sent at most to this number of hosts, without
    /// acknowledgements.
    pub(super) fn bounds(&self, hosts: u32) -> (u64, u64) {
        let hosts = u64::from(hosts);
        let controls = 1 + hosts.min(CONTROLS_MAX as u64);
        let mut sent = Sum::default();
        self.add_queries(&mut sent, hosts);
        sent.add(&self.first(), 1);
        sent.add(&self.first_by_unicast(), hosts);
        sent.add(&self.again(), 1);
        sent.add(&islands(), hosts.min(ISLANDS_MAX as u64));
        sent.add(&control(), controls);
        for &rate in &self.rates {
            sent.add(&self.at_rate(rate), controls);
        }
        (sent.datagrams, sent.bytes)
    }

    /// Adds the queries with the pages of their audience: all to the group, and a few rounds of each to each host, with
    /// the page that the host is on.
    fn add_queries(&self, sent: &mut Sum, hosts: u64) {
        let queries = QUERIES_MAX + 2 * self.rates.len() as u64;
        let rounds = ROUNDS_MAX + hosts / HOSTS_IN_A_ROUND;
        let page = names_in(self.page_bytes.into()) as u64;
        let pages = hosts.div_ceil(page);
        let times = if pages <= FEW_PAGES { 2 } else { 1 };
        let page_bytes = PAGE_BYTES + hosts.min(page) * NameHash::BYTES as u64;
        sent.add_datagrams(queries * rounds, ASK_BYTES);
        sent.add_datagrams(queries * rounds * times * pages, page_bytes);
        sent.add_datagrams(queries * ROUNDS_COPIED_MAX * hosts, ASK_BYTES);
        sent.add_datagrams(queries * ROUNDS_COPIED_MAX * hosts * times, page_bytes);
    }

    fn first(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(PROBES, SHORT, self.ttl);
        let plan = plan.with_batches(BATCHES * BATCH, BATCH_BYTES, self.ttl, BATCH);
        self.lengths().fold(plan, |plan, bytes| plan.with(LONG_PROBES, bytes, self.ttl))
    }

    fn first_by_unicast(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(UNICAST_PROBES, SHORT, UNICAST_TTL);
        self.lengths().fold(plan, |plan, bytes| plan.with(LONG_UNICAST, bytes, UNICAST_TTL))
    }

    fn again(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(PROBES, SHORT, self.ttl);
        let higher = TTLS.into_iter().filter(|&ttl| self.is_routed && ttl > self.ttl);
        higher.fold(plan, |plan, ttl| plan.with(LONG_PROBES, SHORT, ttl))
    }

    /// Returns the train for a rate: what it sends in [`RATE_TIME`], as far as a host counts.
    fn at_rate(&self, rate: u64) -> TrainPlan {
        let bytes = self.longest();
        let count = u128::from(rate) * RATE_TIME.as_millis() / 8_000 / u128::from(bytes);
        TrainPlan::default().with(count.clamp(20, PROBES_MAX as u128) as u16, bytes, self.ttl)
    }

    /// Returns the probes in a [`TICK`] at this rate.
    pub(super) fn per_tick(&self, rate: u64) -> u16 {
        let count = u128::from(rate) * TICK.as_millis() / 8_000 / u128::from(self.longest());
        count.clamp(1, PROBES_MAX as u128) as u16
    }

    fn lengths(&self) -> impl Iterator<Item = u16> {
        self.lengths.iter().copied().take(LENGTHS_MAX)
    }

    fn longest(&self) -> u16 {
        self.lengths().last().unwrap_or(SHORT)
    }
}

fn control() -> TrainPlan {
    TrainPlan::default().with(PROBES, SHORT, UNICAST_TTL)
}

fn islands() -> TrainPlan {
    TrainPlan::default().with(PASSED_PROBES, SHORT, UNICAST_TTL)
}

/// Datagrams and their bytes.
#[derive(Default)]
struct Sum {
    datagrams: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, plan: &TrainPlan, times: u64) {
        self.datagrams += times * u64::from(plan.count());
        self.bytes += times * plan.bytes();
    }

    fn add_datagrams(&mut self, datagrams: u64, bytes: u64) {
        self.datagrams += datagrams;
        self.bytes += datagrams * bytes;
    }
}

/// Probes of a train, and their length: one lost probe is half a per cent.
const PROBES: u16 = 200;
const SHORT: u16 = 100;
const LONG_PROBES: u16 = 10;
/// Batches to the group, the probes of each, and the length of those: a batch is a packet of 6 kB where the kernel
/// leaves it whole, and each of its datagrams fits every network.
const BATCHES: u16 = 3;
const BATCH: u16 = 16;
const BATCH_BYTES: u16 = 400;
/// Probes to each host's own address.
const UNICAST_PROBES: u16 = 20;
const LONG_UNICAST: u16 = 3;
const UNICAST_TTL: u8 = 64;
const LENGTHS_MAX: usize = 3;
const TTLS: [u8; 4] = [2, 4, 8, 32];

/// Probes that one host passes on to the group, and the hosts that do so at most: a host counts that many probes.
pub(super) const PASSED_PROBES: u16 = 4;
pub(super) const ISLANDS_MAX: usize = PROBES_MAX / PASSED_PROBES as usize;
const _: () = assert!(PASSED_PROBES <= crate::limits::PASSED_ON_MAX);

/// Hosts that lose some and get a train by both ways.
pub(super) const CONTROLS_MAX: usize = 16;
/// How long a train at a rate lasts, where a host counts that many probes.
const RATE_TIME: Duration = Duration::from_millis(200);
/// The pace of all trains: a probe to the group in each, unless a rate asks for more.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Rounds of a query that are copied to hosts' own addresses: a host that has not answered then hears the group alone.
pub(super) const ROUNDS_COPIED_MAX: u64 = 3;

/// For the bounds that are stated: queries without those of rates. They are the one of the reach step, its report, two
/// for hosts that join again, three for islands, of which a host of a control takes part in none.
const QUERIES_MAX: u64 = 7;
/// Rounds of a query to the group, and one more for the time in which so many hosts answer.
const ROUNDS_MAX: u64 = 8;
const HOSTS_IN_A_ROUND: u64 = 500;
/// The longest query, and a page of its audience without the names.
const ASK_BYTES: u64 = 250;
const PAGE_BYTES: u64 = 150;
/// Pages up to which each is sent twice in a round.
const FEW_PAGES: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_at_a_rate_lasts_a_fifth_of_a_second_as_far_as_a_host_counts() {
        let plans = plans();
        let count = |rate| plans.of(Place::Rate(rate)).0.count();
        assert_eq!((count(1_000_000), count(100_000_000)), (20, 1_698));
        assert_eq!(usize::from(count(10_000_000_000)), PROBES_MAX);
        assert_eq!((plans.per_tick(1_000), plans.per_tick(1_000_000_000)), (1, 84));
    }

    #[test]
    fn higher_ttls_are_tried_only_where_a_host_may_be_behind_a_router() {
        let count = |is_routed| Plans { is_routed, ..plans() }.of(Place::Again).0.count();
        assert_eq!((count(false), count(true)), (200, 240));
    }

    #[test]
    fn more_hosts_and_higher_rates_never_lower_the_bounds() {
        let (plain, fast) = (plans(), Plans { rates: vec![1_000_000_000], ..plans() });
        for hosts in [0, 1, 15, 16, 17, 1_000, 10_000] {
            let (here, more) = (plain.bounds(hosts), plain.bounds(hosts + 1));
            assert!(here.0 < more.0 && here.1 < more.1, "{hosts} hosts");
            assert!(fast.bounds(hosts).1 > here.1, "{hosts} hosts");
        }
    }

    fn plans() -> Plans {
        let lengths = vec![548, 1_252, 1_472];
        Plans { ttl: 1, is_routed: false, lengths, rates: Vec::new(), page_bytes: 1_252 }
    }
}
