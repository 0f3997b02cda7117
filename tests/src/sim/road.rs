//! Paths unlike a laboratory's, which a share of the seeds draws: round trips to 200 ms, delays that reorder everything,
//! stores that are slower than the line, racks that lose together, and outages of the sender's own network.
//!
//! The dice are those of the roads alone, so a seed that draws none of them has the run that it would have without them.

use std::time::Duration;

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::host::WORK_MAX;
use super::plan::{Bursts, Plan};

/// What a plan has of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Road {
    /// Hosts are a long way off.
    pub(crate) is_far: bool,
    /// Delays differ by more than the time between two datagrams.
    pub(crate) is_uneven: bool,
    /// Stores of some hosts are slower than the line.
    pub(crate) slow_stores: u32,
    pub(crate) racks: Option<RackPlan>,
    /// When the sender's own network takes nothing, in order.
    pub(crate) away: Vec<Away>,
}

/// Hosts that lose the same datagrams of the sender, before the calm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RackPlan {
    /// The hosts of a rack; the last one may have fewer.
    pub(crate) hosts: usize,
    pub(crate) losses: Bursts,
}

/// A time in which the sender's own network takes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Road {
    /// Draws a road, and lays it through the plan. `pass` is the time of the object alone at the highest rate.
    pub(crate) fn lay(dice: &mut Dice, plan: &mut Plan, pass: Duration) {
        let mut road = Self::default();
        if dice.chance(0.15) {
            road.is_far = true;
            let way = dice.log_within(0.001, 0.1);
            for host in &mut plan.hosts {
                host.weather.delay = Duration::from_secs_f64((way * dice.within(0.7, 1.3)).min(0.1));
            }
        }
        if dice.chance(0.1) {
            road.is_uneven = true;
            let most = dice.log_within(0.001, 0.03);
            plan.hosts.iter_mut().for_each(|host| host.weather.jitter = Duration::from_secs_f64(most));
        }
        if dice.chance(0.15) {
            road.slow_stores = slow_stores(dice, plan, pass);
        }
        if dice.chance(0.1) {
            let hosts = 2 + dice.below(3) as usize;
            let (begin, end) = (dice.log_within(0.001, 0.1), dice.log_within(0.02, 0.8));
            road.racks = Some(RackPlan { hosts, losses: Bursts { begin, end, loss: dice.within(0.5, 1.0) } });
        }
        if dice.chance(0.1) {
            road.away = away(dice, plan, pass);
        }
        plan.road = road;
    }

    /// Whether the sender's own network takes nothing at this time.
    pub(crate) fn is_away(&self, at: Duration) -> bool {
        self.away.iter().any(|away| (away.from..away.to).contains(&at))
    }

    /// Counts what it has.
    pub(crate) fn note(&self, hosts: usize, counts: &mut Counts) {
        let hosts = hosts as u64;
        counts.note_times(Fault::Far, if self.is_far { hosts } else { 0 });
        counts.note_times(Fault::Uneven, if self.is_uneven { hosts } else { 0 });
        counts.note_times(Fault::SlowStore, u64::from(self.slow_stores));
    }
}

/// Makes some or all stores as slow as a share of the line; returns how many.
fn slow_stores(dice: &mut Dice, plan: &mut Plan, pass: Duration) -> u32 {
    let blocks = plan.object.blocks.len().max(1) as u32;
    let share = dice.log_within(0.05, 0.9);
    // No store takes so long that the push would end before it, even with a buffer for one block at a time.
    let time = (pass / blocks * WORK_MAX).div_f64(share).min(STORE_TIME_MAX / blocks);
    let chance = if dice.chance(0.5) { 1.0 } else { 0.3 };
    let mut count = 0;
    for host in plan.hosts.iter_mut().filter(|_| dice.chance(chance)) {
        host.block_time = host.block_time.max(time);
        count += 1;
    }
    count
}

/// Draws outages, all of them over before the calm.
fn away(dice: &mut Dice, plan: &Plan, pass: Duration) -> Vec<Away> {
    let mut away = Vec::new();
    let span = if dice.chance(0.6) { (pass * 2).min(plan.calm) } else { plan.calm };
    let mut from = dice.time(span);
    while away.len() < 3 && from < plan.calm {
        let to = (from + Duration::from_secs_f64(dice.log_within(0.002, 25.0))).min(plan.calm);
        away.push(Away { from, to });
        if dice.chance(0.6) {
            break;
        }
        from = to + dice.time(span);
    }
    away
}

/// What racks lose.
pub(crate) struct Racks {
    plan: RackPlan,
    bursting: Vec<bool>,
    /// The hosts that lose the present datagram: a flag for each rack.
    lose: Vec<bool>,
    dice: Dice,
}

impl Racks {
    pub(crate) fn new(plan: RackPlan, hosts: usize, dice: Dice) -> Self {
        let racks = hosts.div_ceil(plan.hosts);
        Self { plan, bursting: vec![false; racks], lose: vec![false; racks], dice }
    }

    /// Draws which racks lose the next datagram.
    pub(crate) fn draw(&mut self) {
        let Bursts { begin, end, loss } = self.plan.losses;
        for (bursting, lose) in self.bursting.iter_mut().zip(&mut self.lose) {
            *bursting = if *bursting { !self.dice.chance(end) } else { self.dice.chance(begin) };
            *lose = *bursting && self.dice.chance(loss);
        }
    }

    /// Whether a host loses the datagram that was drawn for last.
    pub(crate) fn lose(&self, host: usize) -> bool {
        self.lose[host / self.plan.hosts]
    }
}

/// The longest time that a store takes for the object, one block after the other.
const STORE_TIME_MAX: Duration = Duration::from_secs(20);
