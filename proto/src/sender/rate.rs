//! How fast to send: a fixed pace, or one that follows what the network and the hosts can take.
//!
//! The signal is the share of datagrams that a *quantile* of the hosts lost between two of their reports, so that a few
//! degraded hosts change nothing. Loss that has been there in most rounds for a while, whatever the rate did, belongs to
//! the path and is left to the repair; what comes on top of it is congestion. Then the rate dips below what still arrived.
//! If the queue goes (polls are answered at once again), it was ours: the rate goes back to where this happened, lingers
//! there, and grows faster and faster beyond it, so that it finds out soon that a bottleneck has widened. If a queue stands
//! although the rate is below what filled it, somebody else fills it: half of the rate is left to them, and it grows as that
//! of one more TCP flow would ([`curve`]), until no queue has stood for a second.
//!
//! While a queue builds up the rate grows slowly, so that little is lost when it is full, and after a second there is a dip
//! to see whose it is. It does not stay low for a queue alone, or it would leave everything to flows that fill queues.

mod curve;
#[cfg(test)]
mod path;
#[cfg(test)]
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;
use curve::Curve;

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
    dip: Option<Dip>,
    /// Rounds in a row in which a queue stood at a rate that had not filled it, or at one that was grown to.
    stood: u32,
    /// Rounds in a row without a queue.
    empty: u32,
    /// Growth in the next round beyond the ceiling, as a share of the rate.
    growth: f64,
    /// What is said of datagrams before this one is about the time before the last change. Behind a full queue that is
    /// said for several rounds after it.
    ignores_loss_until: u64,
    /// What the last rounds lost, the newest last.
    history: VecDeque<RoundLoss>,
    /// Falls since the last round without much loss.
    falls: u32,
    /// The shortest delay so far: that of empty queues.
    base_delay: Option<Duration>,
    sent_at: Option<(Moment, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Doubling until the first congestion.
    Start,
    Steady,
    /// Somebody else fills the queue.
    Shared(Curve),
}

/// What a round without congestion says.
#[derive(Clone, Copy)]
struct Round {
    queued: Duration,
    delay: Duration,
    /// Sent so far, each of `bits`.
    datagrams: u64,
    bits: u64,
}

/// The rate stays low after congestion until it is clear whose queue it is.
#[derive(Clone, Copy, Debug)]
struct Dip {
    since: Moment,
    /// Our own part of the queue is gone.
    drained: Moment,
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
            dip: None,
            stood: 0,
            empty: 0,
            growth: GROWTH_MIN,
            ignores_loss_until: 0,
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
        self.empty = if queued > QUEUE_MIN { 0 } else { self.empty + 1 };
        // With a queue on the way loss is what does not fit in it, however long it has been there: another flow fills it.
        if queued <= QUEUE_MIN {
            self.remember(loss);
        }
        if loss.since < self.ignores_loss_until {
            return;
        }
        if loss.share - own > self.noise(own, loss.datagrams) {
            if self.fell_at().is_some_and(|at| now.since(at) < ONE_OVERFLOW) {
                return; // both flows still fall
            }
            self.fall(now, sent, loss, queued, bits);
            self.ignores_loss_until = datagrams;
        } else {
            if loss.share > CONGESTION_LOSS && self.falls >= FALLS_IN_VAIN && queued <= QUEUE_MIN {
                self.phase = Phase::Start; // they cured nothing: it was not the rate
                self.dip = None;
            }
            self.falls = 0;
            if sent.is_none_or(|sent| sent >= self.rate * USED_SHARE) {
                // A queue that a doubling fills is seen in the answers to the poll after next.
                let unseen = self.rate * SEARCH_ROUND.as_secs_f64() * 2.0 / bits as f64;
                self.grow(
                    now,
                    Round { queued, delay: loss.delay.unwrap_or_default(), datagrams, bits },
                    unseen as u64,
                );
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
        if self.phase == Phase::Start { delay.saturating_sub(base.min(BASE_PRESUMED)) } else { delay - base }
    }

    fn remember(&mut self, loss: RoundLoss) {
        if self.history.len() == HISTORY_ROUNDS {
            self.history.pop_front();
        }
        self.history.push_back(loss);
    }

    fn fall(&mut self, now: Moment, sent: Option<f64>, loss: RoundLoss, queued: Duration, bits: u64) {
        let arrived = sent.unwrap_or(self.rate).min(self.rate) * (1.0 - loss.share);
        self.ceiling = match self.phase {
            // Less than last time: another flow has come, and is given way to.
            Phase::Steady if self.rate < self.ceiling * 0.98 => arrived * (1.0 + FALL) / 2.0,
            Phase::Start | Phase::Steady | Phase::Shared(_) => arrived,
        };
        self.rate = arrived;
        match self.phase {
            Phase::Start => self.dip(now, START_FALL, queued),
            Phase::Steady => self.dip(now, FALL, queued),
            Phase::Shared(_) => {
                self.rate = arrived * FALL;
                let round_trip = loss.delay.unwrap_or_default();
                self.phase = Phase::Shared(Curve::new(now, self.rate, self.ceiling, round_trip, bits));
            }
        }
        self.falls += 1;
    }

    /// When the rate fell last, while that is not over.
    fn fell_at(&self) -> Option<Moment> {
        match self.phase {
            Phase::Shared(curve) => Some(curve.since),
            Phase::Start | Phase::Steady => self.dip.map(|dip| dip.since),
        }
    }

    /// Down to this share of the rate, until it is clear whose queue it is.
    fn dip(&mut self, now: Moment, share: f64, queued: Duration) {
        self.rate *= share;
        self.phase = Phase::Steady;
        self.growth = GROWTH_MIN;
        self.stood = 0;
        // The last poll before it is gone waited in it as long.
        let drained = queued.mul_f64(1.0 / (1.0 - share) + 1.0);
        self.dip = Some(Dip { since: now, drained: now + DIP_MIN.max(drained) });
    }

    /// The queue is not ours: half of the rate at which it overflowed is left to whoever fills it.
    fn share(&mut self, now: Moment, round: Round) {
        self.rate = self.rate.min(self.ceiling * SHARED_FROM);
        self.ceiling *= SHARED_TO;
        self.phase = Phase::Shared(Curve::new(now, self.rate, self.ceiling, round.delay, round.bits));
        self.dip = None;
    }

    fn grow(&mut self, now: Moment, round: Round, unseen: u64) {
        match self.phase {
            Phase::Start if round.queued > SEARCH_QUEUE => {
                // The bottleneck is found before its queue is full: below this rate, of which half was not too much.
                self.phase = Phase::Steady;
                self.rate /= 2.0;
                self.ceiling = self.rate;
                self.ignores_loss_until = round.datagrams;
            }
            Phase::Start => {
                self.rate *= 2.0;
                self.ignores_loss_until = round.datagrams + unseen;
                if self.rate >= self.pace.cap() as f64 {
                    self.phase = Phase::Steady;
                }
            }
            Phase::Steady => self.grow_steadily(now, round),
            Phase::Shared(curve) => {
                self.rate = curve.at(now, self.ceiling).clamp(self.rate, self.rate * (1.0 + GROWTH_MAX));
                if self.empty >= EMPTY_ROUNDS {
                    self.phase = Phase::Steady; // they have gone
                    self.growth = GROWTH_MIN;
                }
            }
        }
    }

    fn grow_steadily(&mut self, now: Moment, round: Round) {
        let Round { queued, datagrams, .. } = round;
        let stands = queued > QUEUE_MIN;
        self.stood = if stands { self.stood + 1 } else { 0 };
        if let Some(dip) = self.dip {
            if !stands && now.since(dip.since) >= DIP_MIN {
                self.rate = self.ceiling * DIP_END;
                self.dip = None;
            } else if now >= dip.drained && self.stood >= STOOD_ROUNDS {
                self.share(now, round);
            }
        } else if self.rate < self.ceiling * LINGER_SHARE {
            if self.stood >= STOOD_ROUNDS {
                self.share(now, round);
            } else if !stands {
                self.rate += (self.ceiling - self.rate) * RETURN_SHARE;
            }
        } else if self.stood >= LOOK_ROUNDS && self.rate < self.pace.cap() as f64 {
            self.ceiling = self.rate;
            self.dip(now, FALL, queued);
            self.ignores_loss_until = datagrams;
        } else if stands && self.growth > GROWTH_CAREFUL {
            // It grew fast, and what is said of the last steps is still under way.
            self.rate = self.ceiling.max(self.rate / (1.0 + self.growth).powi(STEPS_UNDONE));
            self.ceiling = self.rate;
            self.ignores_loss_until = datagrams;
            self.growth = GROWTH_MIN;
        } else {
            if stands {
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
const START_FALL: f64 = 0.5;
const FALL: f64 = 0.75;
/// Loss beyond the path's own from which on there is congestion; in the search it comes in tens of per cent.
const CONGESTION_LOSS: f64 = 0.005;
const SEARCH_LOSS: f64 = 0.05;
/// Falls in a row, each with loss after it, that show that loss is not for the rate.
const FALLS_IN_VAIN: u32 = 3;
/// Longer than any scheduler keeps all hosts from answering, far shorter than what routers and switches queue.
const QUEUE_MIN: Duration = Duration::from_millis(5);
const SEARCH_QUEUE: Duration = Duration::from_millis(6);
/// While it is searched for, there may not have been an empty queue yet: no way within a site takes longer than this.
const BASE_PRESUMED: Duration = Duration::from_millis(5);
/// More than this is never taken for the path's own.
const PATH_LOSS_MAX: f64 = 0.5;
/// Rounds that the path's own loss is taken from, the worst left out: falls and their effect fit in, and the moments in
/// which a queue overflows are among those left out.
const HISTORY_ROUNDS: usize = 8;
const WORST_ROUNDS: usize = 3;
/// A dip lasts long enough for other flows to take what is left to them. What follows takes it back in one step, so that
/// they are seen by the queue that this makes.
const DIP_MIN: Duration = Duration::from_millis(150);
const DIP_END: f64 = 0.9;
/// Rounds in which a queue stands below the rate that filled it, and it is not ours.
const STOOD_ROUNDS: u32 = 3;
/// After so many rounds with a queue at a rate that was grown to, one second, it is looked into.
const LOOK_ROUNDS: u32 = 20;
/// Beside others: of the last ceiling, the rate to begin with, and the new ceiling.
const SHARED_FROM: f64 = 0.5;
const SHARED_TO: f64 = 0.85;
/// What is lost in so short a time is one loss: others take a round-trip or two to fall, too.
const ONE_OVERFLOW: Duration = Duration::from_millis(400);
/// Rounds without a queue, one second, after which the others have gone.
const EMPTY_ROUNDS: u32 = 20;
/// Of the way back to the ceiling, in one round.
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
