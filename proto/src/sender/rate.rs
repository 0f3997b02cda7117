//! How fast to send: a fixed pace, or one that follows what the network and the hosts can take.
//!
//! The signal is the share of datagrams that a *quantile* of the hosts lost between two of their reports, so that a few
//! sick hosts change nothing. Loss that has been there in most rounds for a while, whatever the rate did, belongs to
//! the path and is left to the repair; what comes on top of it is congestion. Then the rate falls below what still
//! arrived, returns towards the rate at which this happened, lingers there, and grows faster and faster beyond it: as
//! CUBIC does (RFC 9438 §4.1), so that it shares a queue with TCP, and finds out soon that a bottleneck has widened.
//! While a queue builds up (polls take longer to be answered) it grows slowly, so that little is lost when the queue is
//! full; it does not fall for that alone, or it would leave everything to flows that fill queues.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// How the rate is chosen. Bits per second of whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Always this.
    Fixed(u64),
    /// What is found, up to this.
    Auto {
        /// The cap.
        max: u64,
    },
}

impl Pace {
    /// The rate that is never exceeded.
    pub const fn cap(self) -> u64 {
        match self {
            Self::Fixed(rate) | Self::Auto { max: rate } => rate,
        }
    }
}

/// What one round of reports says of the quantile host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RoundLoss {
    /// Share of the datagrams that did not come, 0 to 1.
    pub(super) share: f64,
    /// Datagrams that this is about.
    pub(super) datagrams: u64,
    /// Number of the datagram before the first of them.
    pub(super) since: u64,
    /// The shortest time from a poll to an answer, its slot aside.
    pub(super) delay: Option<Duration>,
}

/// The controller.
pub(super) struct RateControl {
    pace: Pace,
    rate: f64,
    phase: Phase,
    /// Where congestion began last.
    ceiling: f64,
    /// Growth in the next round beyond the ceiling, as a share of the rate.
    growth: f64,
    /// What is said of datagrams before this one is about the time before the last change. Behind a full queue that is
    /// said for several rounds after it.
    deaf_until: u64,
    /// What the last rounds lost, the newest last.
    history: VecDeque<RoundLoss>,
    /// Falls since the last round without much loss.
    falls: u32,
    /// The shortest delay so far: that of empty queues.
    base_delay: Option<Duration>,
    sent_at: Option<(Moment, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Doubling until the first congestion.
    Start,
    Steady,
}

impl RateControl {
    pub(super) fn new(pace: Pace) -> Self {
        let rate = match pace {
            Pace::Fixed(rate) => rate as f64,
            Pace::Auto { max } => (max as f64 * START_SHARE).max(RATE_MIN).min(max as f64),
        };
        Self {
            pace,
            rate,
            phase: Phase::Start,
            ceiling: pace.cap() as f64,
            growth: GROWTH_MIN,
            deaf_until: 0,
            history: VecDeque::with_capacity(HISTORY_ROUNDS),
            falls: 0,
            base_delay: None,
            sent_at: None,
        }
    }

    /// Bits per second of whole frames.
    pub(super) fn rate(&self) -> u64 {
        self.rate as u64
    }

    /// Whether the rate is still being searched for: then rounds should be short.
    pub(super) fn is_searching(&self) -> bool {
        matches!(self.pace, Pace::Auto { .. }) && self.phase == Phase::Start
    }

    /// A round of reports is in. `datagrams` were sent to the group since the start of the push, each of `bits`.
    pub(super) fn note_round(&mut self, now: Moment, datagrams: u64, bits: u64, loss: Option<RoundLoss>) {
        let Pace::Auto { max } = self.pace else { return };
        let sent = self.sending_rate(now, datagrams * bits);
        let Some(loss) = loss else { return };
        let (own, queued) = (self.path_loss(), self.queueing(loss.delay));
        // With a queue on the way loss is what does not fit in it, however long it has been there: another flow fills it.
        if queued <= QUEUE_MIN {
            self.remember(loss);
        }
        if loss.since < self.deaf_until {
            return;
        }
        if loss.share - own > self.noise(own, loss.datagrams) {
            self.fall(sent, loss.share);
            self.deaf_until = datagrams;
        } else {
            if loss.share > CONGESTION_LOSS && self.falls >= FALLS_IN_VAIN && queued <= QUEUE_MIN {
                self.phase = Phase::Start; // they cured nothing: it was not the rate
            }
            self.falls = 0;
            if sent.is_none_or(|sent| sent >= self.rate * USED_SHARE) {
                // A queue that a doubling fills is seen in the answers to the poll after next.
                let unseen = self.rate * SEARCH_ROUND.as_secs_f64() * 2.0 / bits as f64;
                self.grow(queued, datagrams, unseen as u64);
            }
        }
        self.rate = self.rate.clamp(RATE_MIN.min(max as f64), max as f64);
    }

    /// What was sent since the last round, where that was long enough ago to say.
    fn sending_rate(&mut self, now: Moment, sent_bits: u64) -> Option<f64> {
        let (before, bits) = self.sent_at.replace((now, sent_bits))?;
        let elapsed = now.since(before).as_secs_f64();
        (elapsed > 0.0).then(|| (sent_bits - bits) as f64 / elapsed)
    }

    /// Loss that is not for the rate, where the rate is adapted.
    pub(super) fn lasting_loss(&self) -> Option<f64> {
        matches!(self.pace, Pace::Auto { .. }).then(|| self.path_loss())
    }

    /// Loss that no lower rate has cured: that of all rounds but the worst, once there are enough of them.
    fn path_loss(&self) -> f64 {
        if self.history.len() < HISTORY_ROUNDS {
            return 0.0;
        }
        let mut rounds: Vec<RoundLoss> = self.history.iter().copied().collect();
        rounds.sort_by(|a, b| a.share.total_cmp(&b.share));
        let (lost, all) =
            rounds[..HISTORY_ROUNDS - WORST_ROUNDS].iter().fold((0.0, 0), |(lost, all), round| {
                (lost + round.share * round.datagrams as f64, all + round.datagrams)
            });
        (lost / all.max(1) as f64).min(PATH_LOSS_MAX)
    }

    /// What a round's loss may differ from the path's `own` without meaning anything.
    fn noise(&self, own: f64, datagrams: u64) -> f64 {
        let deviations = 4.0 * (own * (1.0 - own) / datagrams.max(1) as f64).sqrt();
        let least = if self.phase == Phase::Start { SEARCH_LOSS } else { CONGESTION_LOSS };
        deviations.max(least)
    }

    /// How much longer than at best answers take.
    fn queueing(&mut self, delay: Option<Duration>) -> Duration {
        let Some(delay) = delay else { return Duration::ZERO };
        let base = self.base_delay.map_or(delay, |base| base.min(delay));
        self.base_delay = Some(base);
        delay - base
    }

    fn remember(&mut self, loss: RoundLoss) {
        if self.history.len() == HISTORY_ROUNDS {
            self.history.pop_front();
        }
        self.history.push_back(loss);
    }

    fn fall(&mut self, sent: Option<f64>, lost: f64) {
        let arrived = sent.unwrap_or(self.rate).min(self.rate) * (1.0 - lost);
        self.ceiling = match self.phase {
            Phase::Start => arrived,
            // Less than last time: another flow has come, and is given way to.
            Phase::Steady if self.rate < self.ceiling * 0.98 => arrived * (1.0 + FALL) / 2.0,
            Phase::Steady => arrived,
        };
        self.rate = match self.phase {
            Phase::Start => arrived * START_FALL,
            Phase::Steady => arrived * FALL,
        };
        self.phase = Phase::Steady;
        self.growth = GROWTH_MIN;
        self.falls += 1;
    }

    fn grow(&mut self, queued: Duration, datagrams: u64, unseen: u64) {
        if self.phase == Phase::Start && queued > SEARCH_QUEUE {
            // The bottleneck is found before its queue is full: below this rate, of which half was not too much.
            self.phase = Phase::Steady;
            self.rate /= 2.0;
            self.ceiling = self.rate;
            self.deaf_until = datagrams;
        } else if self.phase == Phase::Start {
            self.rate *= 2.0;
            self.deaf_until = datagrams + unseen;
            if self.rate >= self.pace.cap() as f64 {
                self.phase = Phase::Steady;
            }
        } else if self.rate < self.ceiling * LINGER_SHARE {
            self.rate += (self.ceiling - self.rate) * RETURN_SHARE;
        } else {
            if queued > QUEUE_MIN {
                if self.growth > GROWTH_CAREFUL {
                    // It grew fast, and what is said of the last steps is still under way.
                    self.rate = self.ceiling.max(self.rate / (1.0 + self.growth).powi(STEPS_UNDONE));
                    self.ceiling = self.rate;
                    self.deaf_until = datagrams;
                    self.growth = GROWTH_MIN;
                    return;
                }
                self.growth = GROWTH_MIN;
            }
            self.rate *= 1.0 + self.growth;
            self.growth = (self.growth * GROWTH_FACTOR).min(GROWTH_MAX);
        }
    }
}

/// The first rate, of the cap; doubled each other round.
const START_SHARE: f64 = 1.0 / 8.0;
/// Never slower than this, unless the cap is.
const RATE_MIN: f64 = 1e6;
/// Of what arrived: after the search, and after congestion later on.
const START_FALL: f64 = 0.9;
const FALL: f64 = 0.75;
/// Loss beyond the path's own from which on there is congestion; in the search it comes in tens of per cent.
const CONGESTION_LOSS: f64 = 0.005;
const SEARCH_LOSS: f64 = 0.05;
/// Falls in a row, each with loss after it, that show that loss is not for the rate.
const FALLS_IN_VAIN: u32 = 3;
/// Longer than any scheduler keeps all hosts from answering, far shorter than what routers and switches queue.
const QUEUE_MIN: Duration = Duration::from_millis(5);
const SEARCH_QUEUE: Duration = Duration::from_millis(6);
/// More than this is never taken for the path's own.
const PATH_LOSS_MAX: f64 = 0.5;
/// Rounds that the path's own loss is taken from, the worst left out: falls and their effect fit in, and the moments in
/// which a queue overflows are among those left out.
const HISTORY_ROUNDS: usize = 8;
const WORST_ROUNDS: usize = 3;
/// Of the way back to the ceiling, in one round: most of a second in all, in which other flows take what was left to them.
const RETURN_SHARE: f64 = 0.15;
/// From this share of the ceiling on the rate lingers, then grows: a tenth of a per cent in the first round.
const LINGER_SHARE: f64 = 0.97;
const GROWTH_MIN: f64 = 0.001;
const GROWTH_FACTOR: f64 = 1.25;
const GROWTH_MAX: f64 = 0.15;
/// Growth from which on a queue that builds up makes the last steps undone.
const GROWTH_CAREFUL: f64 = 0.01;
const STEPS_UNDONE: i32 = 3;
/// A sender that does not use its rate learns nothing about a higher one.
const USED_SHARE: f64 = 0.8;

/// Rounds while the rate is searched for.
pub(super) const SEARCH_ROUND: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const MBIT: f64 = 1e6;
    const DATAGRAM_BITS: u64 = 12_000;

    #[test]
    fn a_fixed_pace_is_kept_whatever_is_lost() {
        let mut path = Path::new(Pace::Fixed(1_000_000_000), 100.0 * MBIT);
        path.run(100);
        assert_eq!(path.control.rate(), 1_000_000_000);
    }

    #[test]
    fn a_bottleneck_is_found_within_two_seconds_and_held_without_persistent_loss() {
        for bottleneck in [100.0 * MBIT, 1_000.0 * MBIT] {
            let mut path = Path::new(Pace::Auto { max: 7_000_000_000 }, bottleneck);
            path.run(40);
            let (mean, lost) = path.run(400);
            println!(
                "{:.0} Mbit/s: {:.3} of it used, {:.4} lost",
                bottleneck / MBIT,
                mean / bottleneck,
                lost
            );
            assert!(mean > 0.88 * bottleneck && lost < 0.01, "{mean} {lost}");
        }
    }

    #[test]
    fn a_bottleneck_that_widens_is_found_again() {
        let mut path = Path::new(Pace::Auto { max: 7_000_000_000 }, 100.0 * MBIT);
        path.run(100);
        path.bottleneck = 1_000.0 * MBIT;
        path.run(80);
        assert!(path.control.rate > 800.0 * MBIT, "{}", path.control.rate);
    }

    #[test]
    fn loss_of_the_path_is_no_congestion() {
        for own_loss in [0.01, 0.05, 0.10] {
            let mut path = Path::new(Pace::Auto { max: 1_000_000_000 }, 10_000.0 * MBIT);
            path.own_loss = own_loss;
            path.run(60);
            let (mean, _) = path.run(200);
            println!("{own_loss}: {:.3} of the cap", mean / 1e9);
            assert!(mean > 0.9e9, "{own_loss}: {mean}");
        }
    }

    #[test]
    fn the_cap_is_never_exceeded() {
        let mut path = Path::new(Pace::Auto { max: 50_000_000 }, 10_000.0 * MBIT);
        for _ in 0..200 {
            path.run(1);
            assert!(path.control.rate() <= 50_000_000);
        }
        assert_eq!(path.control.rate(), 50_000_000);
    }

    #[test]
    fn a_sender_that_has_nothing_to_send_learns_nothing() {
        let mut control = RateControl::new(Pace::Auto { max: 1_000_000_000 });
        let first = control.rate();
        let quiet = Some(RoundLoss { share: 0.0, datagrams: 3, since: 0, delay: None });
        (0..50).for_each(|round| control.note_round(Moment::from_micros(round * 50_000), round, 1000, quiet));
        assert!(control.rate() <= 2 * first);
    }

    /// A bottleneck with a queue of 50 ms, and loss of its own.
    struct Path {
        control: RateControl,
        bottleneck: f64,
        own_loss: f64,
        queue_bits: f64,
        now: u64,
        datagrams: u64,
        /// Reports on their way, with the time at which they come.
        reports: VecDeque<(u64, RoundLoss)>,
        rng: Rng,
    }

    impl Path {
        fn new(pace: Pace, bottleneck: f64) -> Self {
            Self {
                control: RateControl::new(pace),
                bottleneck,
                own_loss: 0.0,
                queue_bits: 0.0,
                now: 0,
                datagrams: 0,
                reports: VecDeque::new(),
                rng: Rng::new(&[7; 32]),
            }
        }

        /// So many rounds; the mean rate that arrived and the share that was lost.
        fn run(&mut self, rounds: u32) -> (f64, f64) {
            const SECONDS: f64 = 0.05;
            let (mut arrived, mut sent) = (0.0, 0.0);
            for _ in 0..rounds {
                let bits = self.control.rate * SECONDS;
                let waiting = self.queue_bits + bits - self.bottleneck * SECONDS;
                let dropped = (waiting - self.bottleneck * 0.05).max(0.0);
                self.queue_bits = (waiting - dropped).max(0.0);
                let delay = Duration::from_secs_f64(0.001 + self.queue_bits / self.bottleneck);
                let datagrams = (bits / DATAGRAM_BITS as f64) as u64;
                let own: u64 = (0..datagrams.min(5_000))
                    .filter(|_| (self.rng.below(Duration::from_secs(1)).as_secs_f64()) < self.own_loss)
                    .count() as u64;
                let own = own as f64 / datagrams.clamp(1, 5_000) as f64;
                let share = (dropped / bits + own).min(1.0);
                sent += bits;
                arrived += bits * (1.0 - share);
                self.now += 50_000;
                // The poll at the end of the round waits in the queue behind all that was sent before.
                let report = RoundLoss { share, datagrams, since: self.datagrams, delay: Some(delay) };
                self.reports.push_back((self.now + delay.as_micros() as u64, report));
                self.datagrams += datagrams;
                let come = |report: &(u64, RoundLoss)| report.0 <= self.now;
                let report = self.reports.front().copied().filter(come).map(|(_, report)| report);
                if report.is_some() {
                    self.reports.pop_front();
                }
                let now = Moment::from_micros(self.now);
                self.control.note_round(now, self.datagrams, DATAGRAM_BITS, report);
            }
            (arrived / (SECONDS * f64::from(rounds)), 1.0 - arrived / sent)
        }
    }
}
