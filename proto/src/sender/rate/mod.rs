//! How fast to send: at a fixed rate, or at one that follows what the network and the hosts can take.
//!
//! The signal is the share of datagrams that a *quantile* of the hosts lost between two of their reports, so that a few
//! degraded hosts change nothing. Loss that has been there in most rounds for a while, at any rate, belongs to the path
//! and is left to the repair. Loss on top of it is congestion, and the rate dips below what still arrived:
//!
//! - If the queue drains (polls are answered at once again), it was the push's own. The rate goes back to where
//!   congestion began, lingers there, and grows faster and faster beyond it, so that it soon finds a bottleneck that
//!   has widened.
//! - If a queue stands although the rate is below what filled it, another flow fills it. Half of the rate is left to
//!   that flow, and the rate grows as that of one more TCP flow would ([`curve`]) until no queue has stood for a
//!   second.
//!
//! What found no buffer on the hosts says nothing about the path: flow control holds it back, and the rate stays. Steps
//! of the rate are as long as it takes to see their effect, whatever the number of rounds in this time.
//!
//! While a queue builds up the rate grows slowly, so that little is lost when it is full, and after a second a dip
//! shows whose queue it is. The rate does not stay low for a queue alone, or it would leave everything to flows that
//! fill queues.

mod curve;
mod history;
mod jitter;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Moment;
use crate::units::Rate;
use curve::Curve;
use history::History;
use jitter::Jitter;

/// How the rate is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Always this rate.
    Fixed(Rate),
    /// What the network and the hosts can take, up to a cap.
    Auto {
        /// The cap.
        max: Rate,
    },
}

impl Pace {
    /// The rate that is never exceeded.
    pub const fn cap(self) -> Rate {
        match self {
            Self::Fixed(rate) | Self::Auto { max: rate } => rate,
        }
    }
}

/// What one round of reports says about the quantile host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RoundLoss {
    /// Share of the datagrams that did not arrive, 0 to 1.
    pub(super) share: f64,
    /// Number of datagrams of which that is the share.
    pub(super) datagrams: u64,
    /// Number of the datagram before the first of them.
    pub(super) since: u64,
    /// The time in which they came: from one report of the host to the next.
    pub(super) took: Duration,
    /// The shortest time from a poll to an answer, without the answer's slot.
    pub(super) delay: Option<Duration>,
}

impl RoundLoss {
    /// The rate at which datagrams of `frame_bits` bits have arrived, if the time is long enough to say.
    fn arrived(self, frame_bits: f64) -> Option<f64> {
        let bits = self.datagrams as f64 * (1.0 - self.share) * frame_bits;
        (self.took >= ARRIVED_OVER).then(|| bits / self.took.as_secs_f64())
    }
}

/// What a push has sent to its group since it began.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    /// Datagrams to the group.
    pub(super) datagrams: u64,
    /// Bytes of each as a whole frame.
    pub(super) frame_bytes: u64,
    /// Datagrams to some of the paths alone, which have other numbers.
    pub(super) others: u64,
}

impl Sent {
    fn frame_bits(self) -> f64 {
        (8 * self.frame_bytes) as f64
    }

    fn bits(self) -> f64 {
        (8 * (self.datagrams + self.others) * self.frame_bytes) as f64
    }
}

/// The controller. Inside, rates are in bits per second of whole frames.
pub(super) struct RateControl {
    pace: Pace,
    rate: f64,
    phase: Phase,
    /// The rate at which congestion began last.
    ceiling: f64,
    /// Set while the ceiling is presumed, from what arrived as the search ended: a rate below it that was not too much.
    presumed_from: Option<f64>,
    dip: Option<Dip>,
    /// Since when a queue has stood at a rate that had not filled it, or at one above the ceiling.
    stood: Option<Moment>,
    /// Since when there was no queue.
    empty: Option<Moment>,
    /// Growth in the next step beyond the ceiling, as a share of the rate.
    growth: f64,
    /// When the rate last grew.
    grew_at: Moment,
    /// Reports about datagrams before this one are ignored: they describe the time before the last change of the rate.
    /// Behind a full queue they keep coming for several rounds after it.
    ignores_loss_until: u64,
    history: History,
    /// Decreases since the last round without much loss.
    falls: u32,
    /// The state before the first of the last decreases, for when their cause turns out to be none of the rate's.
    before_fall: Option<BeforeFall>,
    /// The shortest delay so far: that of empty queues.
    base_delay: Option<Duration>,
    /// By how much delays vary on this path, as found during the search.
    jitter: Jitter,
    /// Time and bits sent at the last round.
    sent_at: Option<(Moment, f64)>,
    /// What the ways to the hosts bear by plan.
    limit: f64,
}

/// What a decrease has changed.
#[derive(Clone, Copy)]
struct BeforeFall {
    at: Moment,
    rate: f64,
    ceiling: f64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The search: doubling until the first congestion.
    Start,
    Steady,
    /// Another flow fills the queue.
    Shared(Curve),
}

/// A round without congestion.
#[derive(Clone, Copy)]
struct Round {
    queued: Duration,
    delay: Duration,
    sent: Sent,
}

/// The rate stays low after congestion until it is clear whose queue it was.
#[derive(Clone, Copy, Debug)]
struct Dip {
    since: Moment,
    /// When the push's own part of the queue has drained.
    drained: Moment,
    /// The rate as a share of the ceiling.
    share: f64,
    /// Whether the queue has overflowed.
    is_overflow: bool,
}

impl RateControl {
    pub(super) fn new(pace: Pace) -> Self {
        let rate = match pace {
            Pace::Fixed(rate) => rate.bits() as f64,
            Pace::Auto { max } => {
                let max = max.bits() as f64;
                (max * START_SHARE).max(RATE_MIN).min(max)
            }
        };
        Self {
            pace,
            rate,
            phase: Phase::Start,
            ceiling: pace.cap().bits() as f64,
            presumed_from: None,
            dip: None,
            stood: None,
            empty: None,
            growth: GROWTH_MIN,
            grew_at: Moment::default(),
            ignores_loss_until: 0,
            history: History::default(),
            falls: 0,
            before_fall: None,
            base_delay: None,
            jitter: Jitter::default(),
            sent_at: None,
            limit: f64::INFINITY,
        }
    }

    /// The rate to send at.
    pub(super) fn rate(&self) -> Rate {
        Rate::from_bits(self.rate.min(self.limit.max(RATE_MIN)) as u64)
            .expect("no rate falls below that of its cap or RATE_MIN")
    }

    fn cap(&self) -> f64 {
        (self.pace.cap().bits() as f64).min(self.limit)
    }

    /// Keeps a rate that adapts at or below `bits` in a second, which is what the ways to the hosts bear.
    pub(super) fn limit(&mut self, bits: u64) {
        if matches!(self.pace, Pace::Auto { .. }) {
            self.limit = (bits as f64).max(RATE_MIN);
        }
    }

    /// Whether the rate is still being searched for; rounds should be short then.
    pub(super) fn is_searching(&self) -> bool {
        matches!(self.pace, Pace::Auto { .. }) && self.phase == Phase::Start
    }

    /// Adapts the rate to a round of reports. `loss` is `None` where too few hosts answered.
    pub(super) fn note_round(&mut self, now: Moment, sent: Sent, loss: Option<RoundLoss>) {
        let Pace::Auto { .. } = self.pace else { return };
        let sending = self.sending_rate(now, sent.bits());
        let Some(loss) = loss else { return };
        let (own, queued) = (self.history.path_loss(), self.queueing(loss.delay));
        self.jitter.note(queued, self.in_front(sent), loss);
        self.empty = if queued > self.queue_min(sent) { None } else { self.empty.or(Some(now)) };
        // With a queue on the path loss is what does not fit into it, however long this lasts: another flow fills the
        // queue.
        if queued <= self.queue_min(sent) {
            // The search is short, and when it ends the path's own loss has to be known.
            let span = if self.phase == Phase::Start { Duration::ZERO } else { self.step() / 2 };
            self.history.note(loss, span);
        }
        let is_congested = loss.share - own > self.noise(own, loss.datagrams);
        if loss.since < self.ignores_loss_until {
            if is_congested {
                self.correct(loss, sent);
            }
            return;
        }
        if is_congested {
            if self.fell_at().is_some_and(|at| now.since(at) < ONE_OVERFLOW + self.round_trip()) {
                return; // both flows are still slowing down
            }
            self.fall(now, sending, loss, queued, sent);
            self.ignores_loss_until = sent.datagrams;
        } else {
            if loss.share > CONGESTION_LOSS && self.falls >= FALLS_IN_VAIN && queued <= self.queue_min(sent) {
                self.phase = Phase::Start; // the decreases cured nothing: the rate is not the cause
                self.dip = None;
            }
            self.falls = 0;
            if sending.is_none_or(|sending| sending >= self.rate * USED_SHARE) {
                self.grow(now, Round { queued, delay: loss.delay.unwrap_or_default(), sent });
            }
        }
        self.keep_in_bounds();
    }

    fn keep_in_bounds(&mut self) {
        self.rate = self.rate.clamp(RATE_MIN.min(self.cap()), self.cap());
    }

    /// Ignores the losses of the first `datagrams` of the push: their cause is known, and it is not the rate.
    pub(super) fn forgive(&mut self, datagrams: u64) {
        self.ignores_loss_until = self.ignores_loss_until.max(datagrams);
    }

    /// Ignores the losses of the first `datagrams` of the push, as a relay has failed before now: most of what was lost was
    /// lost with it. A decrease of the last seconds is taken back, half of it at once.
    pub(super) fn absolve(&mut self, now: Moment, datagrams: u64) {
        self.forgive(datagrams);
        let Some(before) = self.before_fall.take().filter(|before| now.since(before.at) <= ABSOLVED_WITHIN)
        else {
            return;
        };
        self.rate = self.rate.max(before.rate / 2.0).min(self.cap());
        self.ceiling = self.ceiling.max(before.ceiling);
        self.phase = before.phase;
        (self.dip, self.falls) = (None, 0);
    }

    /// The rate at which the push has sent since the last round; `None` where no time has passed since then.
    fn sending_rate(&mut self, now: Moment, sent_bits: f64) -> Option<f64> {
        let (before, bits) = self.sent_at.replace((now, sent_bits))?;
        let elapsed = now.since(before).as_secs_f64();
        (elapsed > 0.0).then(|| (sent_bits - bits) / elapsed)
    }

    /// Loss that does not depend on the rate, where the rate is adapted. During the search congestion shows by more than
    /// what is presumed here.
    pub(super) fn lasting_loss(&self) -> Option<f64> {
        let presumed = if self.phase == Phase::Start { SEARCH_LOSS } else { 0.0 };
        matches!(self.pace, Pace::Auto { .. }).then(|| self.history.path_loss().max(presumed))
    }

    /// The shortest round trip, as far as it is known.
    fn round_trip(&self) -> Duration {
        self.base_delay.unwrap_or_default()
    }

    /// The time of a step: after it the reports show what the last one has done.
    fn step(&self) -> Duration {
        STEP_MIN + self.round_trip()
    }

    /// By how much a round's loss may exceed the path's `own` loss without being congestion: four standard deviations.
    fn noise(&self, own: f64, datagrams: u64) -> f64 {
        let deviations = 4.0 * (own * (1.0 - own) / datagrams.max(1) as f64).sqrt();
        let least = if self.phase == Phase::Start { SEARCH_LOSS } else { CONGESTION_LOSS };
        deviations.max(least)
    }

    /// How much longer answers take, at least, where a queue stands. At a low rate a poll waits behind some datagrams of this
    /// push.
    fn queue_min(&self, sent: Sent) -> Duration {
        QUEUE_MIN.max(self.in_front(sent))
    }

    /// The time that the datagrams of this push in front of a poll take.
    fn in_front(&self, sent: Sent) -> Duration {
        Duration::from_secs_f64(FRAMES_IN_FRONT * sent.frame_bits() / self.rate)
    }

    /// How much longer answers take than with empty queues.
    fn queueing(&mut self, delay: Option<Duration>) -> Duration {
        let Some(delay) = delay else { return Duration::ZERO };
        let base = self.base_delay.map_or(delay, |base| base.min(delay));
        self.base_delay = Some(base);
        delay - base
    }

    /// Decreases the rate after congestion.
    fn fall(&mut self, now: Moment, sending: Option<f64>, loss: RoundLoss, queued: Duration, sent: Sent) {
        if self.before_fall.is_none_or(|before| now.since(before.at) > ABSOLVED_WITHIN) {
            let (rate, ceiling, phase) = (self.rate, self.ceiling, self.phase);
            self.before_fall = Some(BeforeFall { at: now, rate, ceiling, phase });
        }
        let arrived = sending.unwrap_or(self.rate).min(self.rate) * (1.0 - loss.share);
        self.ceiling = match self.phase {
            // Congestion below the last ceiling: another flow has come, and gets room.
            Phase::Steady if self.rate < self.ceiling * 0.98 => arrived * (1.0 + FALL) / 2.0,
            Phase::Start | Phase::Steady | Phase::Shared(_) => arrived,
        };
        self.rate = arrived;
        match self.phase {
            Phase::Start => self.dip(now, START_FALL, queued, true),
            Phase::Steady => self.dip(now, FALL, queued, true),
            Phase::Shared(_) => {
                self.rate = arrived * FALL;
                let round_trip = loss.delay.unwrap_or_default();
                self.phase = Phase::Shared(self.curve(now, round_trip, sent));
            }
        }
        self.falls += 1;
        self.presumed_from = None;
    }

    /// Corrects a decrease by a round that was sent before it and is reported after it: the queue was full for all of
    /// this round, so that what arrived is what the bottleneck takes.
    fn correct(&mut self, loss: RoundLoss, sent: Sent) {
        let Some(dip) = self.dip.filter(|dip| dip.is_overflow) else { return };
        if let Some(arrived) = loss.arrived(sent.frame_bits()).filter(|&arrived| arrived < self.ceiling) {
            self.ceiling = arrived;
            self.rate = self.rate.min(arrived * dip.share);
            self.keep_in_bounds(); // of some rounds nothing arrives
        }
    }

    /// When the rate was last decreased, as long as it has not recovered.
    fn fell_at(&self) -> Option<Moment> {
        match self.phase {
            Phase::Shared(curve) => Some(curve.since),
            Phase::Start | Phase::Steady => self.dip.map(|dip| dip.since),
        }
    }

    /// Lowers the rate to this share of it until it is clear whose queue it is.
    fn dip(&mut self, now: Moment, share: f64, queued: Duration, is_overflow: bool) {
        self.rate *= share;
        self.phase = Phase::Steady;
        self.growth = GROWTH_MIN;
        self.stood = None;
        // The last poll that met the queue has waited in it for as long as it takes to drain.
        let drained = queued.mul_f64(1.0 / (1.0 - share) + 1.0);
        self.dip = Some(Dip { since: now, drained: now + DIP_MIN.max(drained), share, is_overflow });
    }

    /// The queue is another flow's: leaves to it half of the rate at which the queue overflowed.
    fn share(&mut self, now: Moment, round: Round) {
        self.ceiling = self.presumed_from.take().unwrap_or(self.ceiling);
        self.rate = self.rate.min(self.ceiling * SHARED_FROM);
        self.ceiling *= SHARED_TO;
        self.phase = Phase::Shared(self.curve(now, round.delay, round.sent));
        self.dip = None;
    }

    fn curve(&self, now: Moment, round_trip: Duration, sent: Sent) -> Curve {
        Curve::new(now, self.rate, self.ceiling, round_trip, sent.frame_bits())
    }

    /// Increases the rate after a round without congestion.
    fn grow(&mut self, now: Moment, round: Round) {
        match self.phase {
            Phase::Start if self.jitter.is_exceeded() => {
                // The bottleneck is found before its queue is full. It is below this rate, and half of it was not too
                // much. While a queue stands, what arrives is what the bottleneck takes.
                let (arrived, half) = (self.jitter.arrived(round.sent.frame_bits()), self.rate / 2.0);
                self.ceiling = arrived.unwrap_or(half).clamp(half, self.rate);
                self.rate = self.ceiling;
                self.dip(now, START_FALL, round.queued, false);
                self.presumed_from = Some(half);
                self.ignores_loss_until = round.sent.datagrams;
            }
            Phase::Start if !self.jitter.is_calm() => {}
            Phase::Start => {
                // A queue that the doubling fills shows in the answers to the poll after next.
                let unseen = self.rate * SEARCH_ROUND.as_secs_f64() * 2.0 / round.sent.frame_bits();
                self.ignores_loss_until = round.sent.datagrams + unseen as u64;
                self.rate *= 2.0;
                self.jitter.note_doubled();
                if self.rate >= self.cap() {
                    self.phase = Phase::Steady;
                }
            }
            Phase::Steady => self.grow_steadily(now, round),
            Phase::Shared(curve) => {
                self.rate = curve.at(now, self.ceiling).clamp(self.rate, self.rate * (1.0 + GROWTH_MAX));
                if self.empty.is_some_and(|since| now.since(since) >= EMPTY_FOR) {
                    self.phase = Phase::Steady; // the other flow has gone
                    self.growth = GROWTH_MIN;
                }
            }
        }
    }

    fn grow_steadily(&mut self, now: Moment, round: Round) {
        let Round { queued, sent, .. } = round;
        let stands = queued > self.queue_min(sent);
        self.stood = if stands { self.stood.or(Some(now)) } else { None };
        let stood = self.stood.map_or(Duration::ZERO, |since| now.since(since));
        let steps = self.steps(now);
        if let Some(dip) = self.dip {
            if !stands && now.since(dip.since) >= DIP_MIN {
                self.rate = self.ceiling * DIP_END;
                self.dip = None;
            } else if now >= dip.drained && stood >= STOOD_FOR {
                self.share(now, round);
            }
        } else if self.rate < self.ceiling * LINGER_SHARE {
            if stood >= STOOD_FOR {
                self.share(now, round);
            } else if !stands {
                self.rate += (self.ceiling - self.rate) * (1.0 - (1.0 - RETURN_SHARE).powf(steps));
            }
        } else if self.presumed_from.take().is_some() {
            // No other flow's queue stands at this rate.
        } else if stood >= LOOK_AFTER && self.rate < self.cap() {
            self.ceiling = self.rate;
            self.dip(now, FALL, queued, false);
            self.ignores_loss_until = sent.datagrams;
        } else if stands && self.growth > GROWTH_CAREFUL {
            // The rate has grown fast, and reports on its last steps are still on their way.
            self.rate = self.ceiling.max(self.rate / (1.0 + self.growth).powi(STEPS_UNDONE));
            self.ceiling = self.rate;
            self.ignores_loss_until = sent.datagrams;
            self.growth = GROWTH_MIN;
        } else {
            if stands {
                self.growth = GROWTH_MIN;
            }
            self.rate *= (1.0 + self.growth).powf(steps);
            self.growth = (self.growth * GROWTH_FACTOR.powf(steps)).min(GROWTH_MAX);
        }
    }

    /// The steps since the rate last grew. A round shows what one step has done; one that took far longer has shown a
    /// lasting state, and counts for some of them. So a rate at which rounds take a second is left in some seconds, too.
    fn steps(&mut self, now: Moment) -> f64 {
        let elapsed = now.since(std::mem::replace(&mut self.grew_at, now));
        let steps = elapsed.as_secs_f64() / self.step().as_secs_f64();
        steps.min(1.0).max(steps / STEPS_OF_LONG_ROUND).min(STEPS_MAX)
    }
}

/// The first rate as a share of the cap. It doubles every other round of the search.
const START_SHARE: f64 = 1.0 / 8.0;
/// The lowest rate in bits per second, unless the cap is lower.
const RATE_MIN: f64 = 1e6;
/// Multiplicative decrease, applied to the rate that arrived, when the search ends.
const START_FALL: f64 = 0.5;
/// Multiplicative decrease, applied to the rate that arrived, on congestion after the search.
const FALL: f64 = 0.75;
/// Loss beyond the path's own that counts as congestion.
const CONGESTION_LOSS: f64 = 0.005;
/// The same during the search, in which congestion loses tens of per cent.
const SEARCH_LOSS: f64 = 0.05;
/// Consecutive decreases without effect after which loss is treated as not caused by the rate.
const FALLS_IN_VAIN: u32 = 3;
/// Delay above which a queue is taken to stand: longer than a scheduler keeps all hosts from answering, and far shorter
/// than what routers and switches queue.
const QUEUE_MIN: Duration = Duration::from_millis(5);
/// Datagrams of this push that are in front of a poll: those of one batch.
const FRAMES_IN_FRONT: f64 = 8.0;
/// Shortest dip: long enough for other flows to take what is left to them.
const DIP_MIN: Duration = Duration::from_millis(150);
/// Share of the ceiling to which the rate returns after a dip, in one step, so that other flows show by the queue that
/// this makes.
const DIP_END: f64 = 0.9;
/// Time for which a queue stands, at a rate below the one that filled it, after which the queue is another flow's.
const STOOD_FOR: Duration = Duration::from_millis(100);
/// A dip probes whose queue it is after this time of a standing queue above the last ceiling.
const LOOK_AFTER: Duration = Duration::from_millis(950);
/// Share of the last ceiling at which the rate begins beside another flow.
const SHARED_FROM: f64 = 0.5;
/// Share of the last ceiling that is the new ceiling beside another flow.
const SHARED_TO: f64 = 0.85;
/// Losses within this time are one overflow: other flows take a round trip or two to slow down, too.
const ONE_OVERFLOW: Duration = Duration::from_millis(400);
/// Time without a queue after which the other flows have gone.
const EMPTY_FOR: Duration = Duration::from_millis(950);
/// Time after a decrease in which a relay that fails explains it: such a relay is given up within some leases.
const ABSOLVED_WITHIN: Duration = Duration::from_secs(10);
/// A step of the rate: this, and a round trip.
const STEP_MIN: Duration = Duration::from_millis(50);
/// Steps of time that make one more step of growth in a long round, and the most steps in one.
const STEPS_OF_LONG_ROUND: f64 = 4.0;
const STEPS_MAX: f64 = 6.0;
/// Shortest time between two reports from which it is computed how much has arrived.
const ARRIVED_OVER: Duration = Duration::from_millis(20);
/// Share of the distance to the ceiling by which the rate returns in one step.
const RETURN_SHARE: f64 = 0.15;
/// Share of the ceiling from which on the rate lingers, then grows beyond it.
const LINGER_SHARE: f64 = 0.97;
/// Growth beyond the ceiling in the first step, as a share of the rate.
const GROWTH_MIN: f64 = 0.001;
/// Factor by which that growth increases in each step.
const GROWTH_FACTOR: f64 = 1.25;
/// The largest growth in one step.
const GROWTH_MAX: f64 = 0.15;
/// Growth above which a queue that builds up undoes the last steps.
const GROWTH_CAREFUL: f64 = 0.01;
/// The number of steps that are undone then.
const STEPS_UNDONE: i32 = 3;
/// Share of its rate that a sender must use: otherwise a round shows nothing about a higher rate.
const USED_SHARE: f64 = 0.8;

/// Length of a round while the rate is searched for.
pub(super) const SEARCH_ROUND: Duration = Duration::from_millis(10);
