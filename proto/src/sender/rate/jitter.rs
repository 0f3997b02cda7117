//! By how much the delays of a path vary without a queue of the push's own, as found while the rate is searched for.
//!
//! A queue that the push fills shows at the rate that fills it, and not at half of it. So the delays at lower rates say
//! what is usual on the path, and only more than that is a queue.

use std::time::Duration;

use super::RoundLoss;

/// What the rounds of the search have shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jitter {
    /// The most delay beyond the shortest one, at lower rates than this one.
    usual: Duration,
    /// The same at this rate.
    here: Duration,
    /// Consecutive rounds with more delay than is usual.
    exceeded: u32,
    /// Consecutive rounds without.
    calm: u32,
    /// Rounds of the search, up to [`FIRST_ROUNDS`].
    rounds: u32,
    /// Datagrams that have arrived in the rounds with more delay, and the time that this took.
    arrived: (f64, Duration),
}

impl Jitter {
    /// Notes that the answers of a round took `beyond` longer than the fastest ones, where the datagrams of this push in
    /// front of a poll take `own`.
    pub(super) fn note(&mut self, beyond: Duration, own: Duration, loss: RoundLoss) {
        self.here = self.here.max(beyond);
        if self.rounds < FIRST_ROUNDS {
            self.rounds += 1;
            self.usual = self.usual.max(beyond.min(FIRST_USUAL_MAX));
        }
        let is_more = beyond > self.usual.min(USUAL_MAX) + SEARCH_QUEUE.max(own);
        self.exceeded = if is_more { self.exceeded + 1 } else { 0 };
        let (datagrams, took) = if is_more { self.arrived } else { (0.0, Duration::ZERO) };
        self.arrived = (datagrams + loss.datagrams as f64 * (1.0 - loss.share), took + loss.took);
        let is_calm = beyond <= self.usual.min(USUAL_MAX) + CALM.max(own);
        self.calm = if is_calm { self.calm + 1 } else { 0 };
    }

    /// Whether no queue builds up at this rate, as far as can be seen.
    pub(super) fn is_calm(&self) -> bool {
        self.calm >= CALM_ROUNDS && self.rounds == FIRST_ROUNDS
    }

    /// Whether a queue stands at this rate.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded >= ROUNDS
    }

    /// The rate at which datagrams of `frame_bits` bits have arrived while the queue stood, in bits per second.
    pub(super) fn arrived(&self, frame_bits: f64) -> Option<f64> {
        let (datagrams, took) = self.arrived;
        (self.is_exceeded() && !took.is_zero()).then(|| datagrams * frame_bits / took.as_secs_f64())
    }

    /// Notes that the rate was doubled.
    pub(super) fn note_doubled(&mut self) {
        self.usual = self.usual.max(std::mem::take(&mut self.here));
        self.calm = 0;
    }
}

/// Rounds at the first rate of all, whose delays are taken for usual: there is no lower rate to compare them with. Of a path
/// that varies its delays they show four fifths of the range.
const FIRST_ROUNDS: u32 = 4;
/// The most of it: with this and [`SEARCH_QUEUE`] a queue of ten milliseconds is still one.
const FIRST_USUAL_MAX: Duration = Duration::from_millis(4);
/// Delay beyond the usual one that is a queue.
const SEARCH_QUEUE: Duration = Duration::from_millis(6);
/// Delay beyond the usual one that may be a queue which builds up.
const CALM: Duration = Duration::from_millis(2);
/// Consecutive rounds without, after which the rate may be doubled. The first round of all shows nothing: what it takes
/// is the shortest delay so far.
const CALM_ROUNDS: u32 = 2;
/// The most that is taken for usual: more is a queue, if perhaps somebody else's.
const USUAL_MAX: Duration = Duration::from_millis(10);
/// Consecutive rounds with a queue that end the search.
const ROUNDS: u32 = 2;
