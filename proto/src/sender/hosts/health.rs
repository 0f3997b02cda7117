//! How well one host receives what is sent, by the counters of its reports: what share it loses and why, and whether it
//! is so much worse than the others that it is side-lined. It is then served after them, and never instead of them.

use std::fmt;
use std::time::Duration;

use crate::ids::Sequence;
use crate::time::Moment;
use crate::wire::Totals;

/// The reason why a host cannot keep up with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Datagrams are lost on the way to it.
    Network,
    /// Its own socket drops them: its CPU or its receive buffer does not suffice.
    Socket,
    /// Its store does not write as fast as data come.
    Store,
}

impl Cause {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network_loss",
            Self::Socket => "socket_drops",
            Self::Store => "slow_store",
        }
    }
}

/// The reason why a host was side-lined. It stays in the table after the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sideline {
    /// What keeps it back.
    pub cause: Cause,
    /// The percentage of datagrams that it could not use when this was found.
    pub percent: u8,
}

impl fmt::Display for Sideline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.percent;
        match self.cause {
            Cause::Network => write!(f, "{percent} % of the datagrams are lost on the way to it"),
            Cause::Socket => {
                write!(f, "its socket drops {percent} % of the datagrams: CPU or net.core.rmem_max")
            }
            Cause::Store => write!(f, "its store is too slow for {percent} % of the data"),
        }
    }
}

/// What a host lost between two of its reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interval {
    /// Datagrams to the group in this time, as far as the host saw.
    pub(super) datagrams: u64,
    /// Number of the datagram before the first of them.
    pub(super) since: u64,
    /// The time between the two reports.
    pub(super) took: Duration,
    /// Share that did not arrive.
    pub(super) lost: f64,
    /// Share that arrived and found no buffer.
    pub(super) refused: f64,
    /// Share that the socket dropped; part of `lost`.
    pub(super) dropped: f64,
}

/// The intervals in a row that speak for a change of the verdict.
#[derive(Clone, Copy, Debug, Default)]
struct Contrary {
    intervals: u32,
    since: Moment,
    /// Datagrams that found no buffer in them.
    refused: u64,
}

/// The record of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// The last report: when it came, and its counters.
    last: Option<(Moment, Sequence, Totals)>,
    /// Losses of datagrams before this one are not the host's own.
    excused_until: Sequence,
    smooth: Interval,
    /// The interval of the current round.
    pub(super) latest: Option<Interval>,
    /// What was refused for want of a buffer in the last interval, in datagrams.
    newly_refused: u64,
    contrary: Contrary,
    sidelined: Option<Sideline>,
    /// The first verdict, which stays.
    pub(super) was_sidelined: Option<Sideline>,
}

impl Health {
    /// Handles the counters of a report that came now: what they show of the time since the report before.
    pub(super) fn note(&mut self, now: Moment, highest: Sequence, totals: Totals) {
        let Some((at, before, old)) = self.last else {
            self.last = Some((now, highest, totals));
            return;
        };
        let datagrams = highest.value().saturating_sub(before.value());
        if datagrams < DATAGRAMS_MIN {
            return; // too few to judge: they count with the next ones
        }
        // What was late is no longer lost once it has come, and others take its place. Only more of them than ever are
        // a loss.
        let symbols_lost = totals.symbols_lost.max(old.symbols_lost);
        self.last = Some((now, highest, Totals { symbols_lost, ..totals }));
        if before < self.excused_until {
            return;
        }
        let share = |new: u64, old: u64| (new.saturating_sub(old) as f64 / datagrams as f64).min(1.0);
        let interval = Interval {
            datagrams,
            since: before.value(),
            took: now.since(at),
            lost: share(totals.symbols_lost, old.symbols_lost),
            refused: share(totals.store_drops, old.store_drops),
            dropped: share(totals.socket_drops, old.socket_drops),
        };
        let mix = |smooth: f64, new: f64| smooth + (new - smooth) * SMOOTHING;
        let first = self.smooth.datagrams == 0;
        self.smooth = Interval {
            datagrams: self.smooth.datagrams + datagrams,
            since: self.smooth.since,
            took: self.smooth.took + interval.took,
            lost: if first { interval.lost } else { mix(self.smooth.lost, interval.lost) },
            refused: if first { interval.refused } else { mix(self.smooth.refused, interval.refused) },
            dropped: if first { interval.dropped } else { mix(self.smooth.dropped, interval.dropped) },
        };
        self.newly_refused = totals.store_drops.saturating_sub(old.store_drops);
        self.latest = Some(interval);
    }

    /// Ignores the losses of datagrams before the one with this number: what served the host has failed.
    pub(super) fn excuse(&mut self, until: Sequence) {
        self.excused_until = self.excused_until.max(until);
        self.latest = None;
    }

    /// The share that was lost from when the host joined to its last report. The number of datagrams is estimated from
    /// their bytes, as the number of the first one is not known.
    pub(super) fn loss_since_joining(&self) -> Option<f64> {
        let (_, _, totals) = self.last?;
        let came = totals.bytes_received / DATAGRAM_BYTES_GUESSED;
        let all = came + totals.symbols_lost;
        (all >= DATAGRAMS_MIN).then(|| totals.symbols_lost as f64 / all as f64)
    }

    /// The smoothed share that is lost on the way to this host, once it is known.
    pub(super) fn loss(&self) -> Option<f64> {
        (self.smooth.datagrams > 0).then_some(self.smooth.lost)
    }

    /// The smoothed share that this host cannot use: lost on the way, or without a buffer.
    pub(super) fn useless(&self) -> Option<f64> {
        (self.smooth.datagrams > 0).then_some((self.smooth.lost + self.smooth.refused).min(1.0))
    }

    pub(super) fn sidelined(&self) -> Option<Sideline> {
        self.sidelined
    }

    /// Judges the host by comparison with the quantile of the hosts, which cannot use the share `usual`. Blocks have
    /// `block_symbols` symbols at most. Returns whether it was just side-lined.
    pub(super) fn judge(&mut self, now: Moment, usual: f64, block_symbols: u32) -> bool {
        let Interval { lost, refused, dropped, .. } = self.smooth;
        let degraded_from = LOST_MIN + LOST_FACTOR * usual;
        let share = (lost + refused).min(1.0);
        let wrong = match self.sidelined {
            None => share >= degraded_from,
            Some(_) => share < degraded_from / 2.0,
        };
        self.contrary = match (wrong, self.contrary) {
            (false, _) => Contrary { since: now, ..Contrary::default() },
            (true, Contrary { intervals: 0, .. }) => {
                Contrary { intervals: 1, since: now, refused: self.newly_refused }
            }
            (true, Contrary { intervals, since, refused }) => {
                Contrary { intervals: intervals + 1, since, refused: refused + self.newly_refused }
            }
        };
        match self.sidelined {
            None if self.is_contrary_for(now, CONTRARY_TO_SIDELINE) => {
                // Loss is looked at first: a host that loses many symbols completes its blocks in bursts, and no store
                // is fast enough for those.
                let cause = if lost < degraded_from && refused > lost {
                    Cause::Store
                } else if dropped > lost / 2.0 {
                    Cause::Socket
                } else {
                    Cause::Network
                };
                if cause == Cause::Store && !self.has_refused_often(block_symbols) {
                    return false;
                }
                let sideline = Sideline { cause, percent: (share * 100.0).round() as u8 };
                self.sidelined = Some(sideline);
                self.was_sidelined.get_or_insert(sideline);
                self.contrary = Contrary { since: now, ..Contrary::default() };
                true
            }
            Some(_) if self.is_contrary_for(now, CONTRARY_TO_RESTORE) => {
                self.sidelined = None;
                self.contrary = Contrary { since: now, ..Contrary::default() };
                false
            }
            _ => false,
        }
    }

    /// Whether the store has refused more than a block now and then, which weighs on the smoothed shares for long: several
    /// in a row, or a part of all that came.
    fn has_refused_often(&self, block_symbols: u32) -> bool {
        let all = self.last.map_or(0, |(_, _, totals)| totals.store_drops);
        let is_a_part = all as f64 >= REFUSED_SHARE * self.smooth.datagrams as f64;
        self.contrary.refused > u64::from(REFUSED_BLOCKS * block_symbols)
            || all > u64::from(block_symbols) && is_a_part
    }

    fn is_contrary_for(&self, now: Moment, time: Duration) -> bool {
        let Contrary { intervals, since, .. } = self.contrary;
        intervals >= CONTRARY_INTERVALS && now.since(since) >= time
    }
}

/// Returns the item of `losses` at the upper quartile by `key`, rounded down: it is never the worst of several.
pub(super) fn quantile<T: Copy>(mut losses: Vec<T>, key: impl Fn(&T) -> f64) -> Option<T> {
    losses.sort_by(|a, b| key(a).total_cmp(&key(b)));
    losses.get((losses.len().max(1) - 1) * 3 / 4).copied()
}

/// Estimated bytes of a datagram: nearly all carry a symbol at an MTU of 1500.
const DATAGRAM_BYTES_GUESSED: u64 = 1_468;
/// Fewest datagrams between two reports from which a share is computed.
const DATAGRAMS_MIN: u64 = 100;
/// Weight of the newest interval in the smoothed shares.
const SMOOTHING: f64 = 0.3;
/// A host is degraded if it loses at least [`LOST_MIN`] plus [`LOST_FACTOR`] times what the others lose.
const LOST_MIN: f64 = 0.10;
const LOST_FACTOR: f64 = 3.0;
/// Time for which the smoothed shares speak against a host before it is side-lined, and for it before it is served with
/// the others again; and the fewest intervals that do.
const CONTRARY_TO_SIDELINE: Duration = Duration::from_millis(100);
const CONTRARY_TO_RESTORE: Duration = Duration::from_secs(1);
const CONTRARY_INTERVALS: u32 = 3;
/// Blocks that a store may refuse in this time without being called too slow, and the share of all datagrams, if that is
/// more than a block.
const REFUSED_BLOCKS: u32 = 2;
const REFUSED_SHARE: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_loses_much_more_than_the_others_is_sidelined_with_its_cause() {
        let verdict = |lost: u64, dropped: u64, refused: u64| {
            let mut host = Host::new();
            (0..10).any(|_| host.round(lost, dropped, refused, 0.01));
            host.health.sidelined().map(|sideline| sideline.cause)
        };
        assert_eq!(verdict(300, 0, 0), Some(Cause::Network));
        assert_eq!(verdict(300, 290, 0), Some(Cause::Socket));
        assert_eq!(verdict(0, 0, 400), Some(Cause::Store));
        assert_eq!(verdict(300, 0, 400), Some(Cause::Network), "its buffers fill because it loses so much");
        assert_eq!(verdict(50, 0, 0), None, "repair covers that");
    }

    #[test]
    fn one_bad_moment_is_no_reason() {
        let mut host = Host::new();
        assert!(!host.round(0, 0, 0, 0.0));
        assert!(!host.round(500, 0, 0, 0.0));
        assert!((0..20).all(|_| !host.round(0, 0, 0, 0.0)));
        assert_eq!(host.health.sidelined(), None);
    }

    #[test]
    fn two_blocks_of_many_that_find_no_buffer_are_no_reason() {
        let mut host = Host::new();
        assert!((0..100).all(|_| !host.round(0, 0, 0, 0.0)));
        assert!(!host.round(0, 0, 733, 0.0) && !host.round(0, 0, 733, 0.0));
        assert!((0..20).all(|_| !host.round(0, 0, 0, 0.0)));
    }

    #[test]
    fn two_blocks_of_few_that_find_no_buffer_are_a_store_that_is_too_slow() {
        let mut host = Host::new();
        assert!((0..30).all(|_| !host.round(0, 0, 0, 0.0)));
        assert!((0..8).any(|round| host.round(0, 0, if round < 2 { 733 } else { 0 }, 0.0)));
    }

    #[test]
    fn a_store_that_refuses_a_block_in_every_fourth_interval_is_too_slow() {
        let mut host = Host::new();
        assert!((0..20).any(|round| host.round(0, 0, if round % 4 == 0 { 733 } else { 0 }, 0.0)));
        assert_eq!(host.health.sidelined().map(|sideline| sideline.cause), Some(Cause::Store));
    }

    #[test]
    fn where_all_lose_as_much_nobody_is_degraded() {
        let mut host = Host::new();
        assert!((0..20).all(|_| !host.round(300, 0, 0, 0.3)));
    }

    #[test]
    fn a_host_that_recovers_is_served_with_the_others_again_and_remembered() {
        let mut host = Host::new();
        assert!((0..10).any(|_| host.round(300, 0, 0, 0.0)));
        (0..60).for_each(|_| {
            host.round(0, 0, 0, 0.0);
        });
        assert_eq!(host.health.sidelined(), None);
        assert_eq!(host.health.was_sidelined.map(|sideline| sideline.cause), Some(Cause::Network));
    }

    #[test]
    fn the_quantile_is_not_the_worst_of_several() {
        let of = |losses: &[f64]| quantile(losses.to_vec(), |loss| *loss);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.3]), Some(0.3));
        assert_eq!(of(&[0.3, 0.0]), Some(0.0));
        assert_eq!(of(&[0.3, 0.0, 0.01, 0.02]), Some(0.02));
        assert_eq!(of(&[0.3, 0.5, 0.0, 0.0, 0.0, 0.0, 0.01, 0.0]), Some(0.01));
    }

    struct Host {
        health: Health,
        now: Moment,
        highest: u64,
        totals: Totals,
    }

    impl Host {
        fn new() -> Self {
            let mut health = Health::default();
            health.note(Moment::default(), Sequence::default(), Totals::default());
            Self { health, now: Moment::default(), highest: 0, totals: Totals::default() }
        }

        /// Hands in a report after a thousand datagrams in 50 ms; returns whether the host was just side-lined.
        fn round(&mut self, lost: u64, dropped: u64, refused: u64, usual: f64) -> bool {
            self.now = self.now + Duration::from_millis(50);
            self.highest += 1_000;
            self.totals.symbols_lost += lost;
            self.totals.socket_drops += dropped;
            self.totals.store_drops += refused;
            self.health.note(self.now, Sequence::new(self.highest).expect("small"), self.totals);
            self.health.judge(self.now, usual, 733)
        }
    }
}
