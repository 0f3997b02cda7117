//! The effort of compression: as hard as the workers can without slowing the line down.
//!
//! The level follows from how long a few tries took: all workers together must compress faster than the line sends the
//! frames. If they need far less time, spare cores buy a better level. If even the fastest level takes longer than half
//! of the line's time for the uncompressed blocks, blocks are not compressed, unless enough wait to keep the line
//! busy meanwhile. Blocks that are not tried, such as those of zeros, are not counted: they would look like idle
//! workers, and the level would be too high for the blocks after them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use glancecast_platform::locks::lock;

use super::effort::{Compression, Effort};

/// What a block is packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be sent.
    Send,
    /// To be sent from the spool when a host asks for it: hosts may have it in a base, and find it by its fingerprint.
    Offer,
}

/// What the workers share: the current level, and the time of the last tries.
#[derive(Debug)]
pub(crate) struct Policy {
    compression: Compression,
    adapts: bool,
    workers: u32,
    /// The line's rate, in bits per second.
    rate: AtomicU64,
    /// The index in [`LADDER`].
    step: AtomicUsize,
    window: Mutex<Window>,
    /// The number of waiting blocks below which blocks are not compressed; zero unless even the lowest step is too
    /// slow.
    reserve: AtomicU32,
    /// Blocks that are packed and not yet taken by the send loop.
    waiting: AtomicU32,
}

/// The last few tries.
#[derive(Debug, Default)]
struct Window {
    tries: u32,
    work: Duration,
    /// Bytes that were tried, and the bytes that travel for them.
    plain: u64,
    encoded: u64,
    /// Blocks since the last try that were not compressed because the line waited.
    given_up: u32,
}

impl Policy {
    /// Returns the policy for a line of `rate` bits per second to begin with. Where blocks are only offered, the first
    /// step stays: how fast they leave is no measure then.
    pub(crate) fn new(compression: Compression, workers: usize, purpose: Purpose, rate: u64) -> Self {
        Self {
            compression,
            adapts: purpose == Purpose::Send,
            workers: workers as u32,
            rate: AtomicU64::new(rate.max(1)),
            step: AtomicUsize::new(0),
            window: Mutex::default(),
            reserve: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    /// Sets the line's current rate, in bits per second.
    pub(crate) fn set_rate(&self, bits_per_second: u64) {
        self.rate.store(bits_per_second.max(1), Ordering::Relaxed);
    }

    /// Counts a block that is packed.
    pub(crate) fn packed(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a packed block that was taken by the send loop.
    pub(crate) fn taken(&self) {
        let less = |waiting: u32| Some(waiting.saturating_sub(1));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Returns the effort for the next block; `None` if it is not to be compressed.
    pub(super) fn effort(&self) -> Option<Effort> {
        match self.compression {
            Compression::Off => None,
            Compression::Level(level) => Some(Effort::Level(level)),
            Compression::Auto => (!self.gives_up()).then(|| LADDER[self.step.load(Ordering::Relaxed)]),
        }
    }

    /// Whether the next block is not compressed because the line waits. After `GIVEN_UP_MAX` such blocks the
    /// measurements are dropped, as the workers may have been slowed down by something else.
    fn gives_up(&self) -> bool {
        if self.waiting.load(Ordering::Relaxed) >= self.reserve.load(Ordering::Relaxed) {
            return false;
        }
        let mut window = self.window();
        window.given_up += 1;
        if window.given_up > GIVEN_UP_MAX {
            self.reserve.store(0, Ordering::Relaxed);
            *window = Window::default();
        }
        true
    }

    /// Records a try that took a worker the time `work`, and by which `plain` bytes became `encoded` bytes.
    pub(super) fn tried(&self, work: Duration, plain: usize, encoded: usize) {
        if !self.adapts {
            return;
        }
        let mut window = self.window();
        window.tries += 1;
        window.work += work;
        window.plain += plain as u64;
        window.encoded += encoded as u64;
        window.given_up = 0;
        if window.tries >= WINDOW_TRIES {
            self.learn(&window);
            *window = Window::default();
        }
    }

    fn learn(&self, window: &Window) {
        let rate = self.rate.load(Ordering::Relaxed) as f64;
        // The workers' load: the share of the line's time for these bytes in which they were at work.
        let load = |bytes: u64| {
            let line_seconds = bytes as f64 * 8.0 / rate;
            window.work.as_secs_f64() / (line_seconds * f64::from(self.workers)).max(f64::MIN_POSITIVE)
        };
        let (step, mut expected) = (self.step.load(Ordering::Relaxed), load(window.encoded));
        let mut next = step;
        let gains = window.encoded < window.plain;
        if gains && expected * STEP_COST_MAX < LOAD_MAX {
            next = (step + 1).min(LADDER.len() - 1);
        }
        while expected > LOAD_MAX && next > 0 {
            next -= 1;
            expected /= STEP_COST_MIN;
        }
        self.step.store(next, Ordering::Relaxed);
        let as_they_are = load(window.plain);
        let overloaded = step == 0 && as_they_are > OVERLOAD;
        // The number of uncompressed blocks that leave while one is compressed.
        let leave = (as_they_are * f64::from(self.workers)).ceil();
        self.reserve.store(if overloaded { leave as u32 } else { 0 }, Ordering::Relaxed);
    }

    /// Whether a sample of a block decides if it is tried.
    pub(super) fn samples(&self) -> bool {
        self.compression == Compression::Auto
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        lock(&self.window)
    }
}

/// The levels of [`Compression::Auto`]. Each is at most two and a half times as slow as the one before it. The first
/// one matters most, as fast lines use it.
pub(super) const LADDER: [Effort; 6] =
    [Effort::Fast, Effort::Level(3), Effort::Level(5), Effort::Level(7), Effort::Level(9), Effort::Level(12)];

/// Tries that are judged together: enough to average over blocks, and few enough to notice soon that a level is too
/// high.
const WINDOW_TRIES: u32 = 8;
/// The maximum load at a step: workers do more than compress, and the next blocks may be harder.
const LOAD_MAX: f64 = 0.8;
/// Bounds for how many times as long a step of [`LADDER`] takes as the one before it.
const STEP_COST_MAX: f64 = 2.5;
const STEP_COST_MIN: f64 = 1.5;
/// The load, relative to the line's time for uncompressed blocks, above which blocks are not compressed.
const OVERLOAD: f64 = 0.5;
/// Consecutive blocks that are not compressed before compression is tried again.
const GIVEN_UP_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 1 << 20;

    #[test]
    fn the_level_rises_as_far_as_the_workers_keep_up_with_the_line() {
        let policy = policy_at(1_000_000_000);
        // The line takes 4.2 ms for half a block. Each step takes twice as long as the one before it: 0.25, 0.5, 1, 2
        // ms.
        let mut last = 0;
        for _ in 0..10 {
            last = policy.step.load(Ordering::Relaxed);
            tries(&policy, Duration::from_micros(250 << last), BLOCK / 2);
        }
        assert_eq!(policy.effort(), Some(LADDER[last]), "it has come to rest");
        assert_eq!(last, 3, "1 ms may become 2.5 ms, which is less than 4.2; 2 ms may become 5");
    }

    #[test]
    fn the_level_falls_at_once_as_far_as_it_must() {
        let policy = policy_at(10_000_000);
        (0..9).for_each(|_| tries(&policy, Duration::from_millis(1), BLOCK / 2));
        assert_eq!(policy.effort(), Some(LADDER[LADDER.len() - 1]));
        policy.set_rate(1_000_000_000);
        tries(&policy, Duration::from_millis(50), BLOCK / 2);
        assert_eq!(policy.effort(), Some(LADDER[0]));
    }

    #[test]
    fn a_level_is_not_judged_before_some_blocks_were_tried() {
        let policy = policy_at(10_000_000);
        (1..WINDOW_TRIES).for_each(|_| policy.tried(Duration::ZERO, BLOCK, BLOCK / 2));
        assert_eq!(policy.effort(), Some(LADDER[0]));
        policy.tried(Duration::ZERO, BLOCK, BLOCK / 2);
        assert_eq!(policy.effort(), Some(LADDER[1]));
    }

    #[test]
    fn tries_in_vain_say_nothing_for_a_higher_level() {
        let policy = policy_at(10_000_000);
        (0..9).for_each(|_| tries(&policy, Duration::from_micros(100), BLOCK));
        assert_eq!(policy.effort(), Some(LADDER[0]));
    }

    #[test]
    fn blocks_that_shrink_much_are_compressed_even_if_the_line_waits_for_them() {
        let policy = policy_at(1_000_000_000);
        // The line takes 0.4 ms for what is left of a block, and 8.4 ms for the block.
        tries(&policy, Duration::from_millis(2), BLOCK / 20);
        assert_eq!(policy.effort(), Some(LADDER[0]));
    }

    #[test]
    fn where_blocks_are_sooner_sent_than_compressed_they_go_as_they_are_unless_some_wait() {
        let policy = policy_at(10_000_000_000);
        // The line takes 0.84 ms for a block, so three blocks leave during one try.
        tries(&policy, Duration::from_millis(2), BLOCK / 2);
        (0..2).for_each(|_| policy.packed());
        assert_eq!(policy.effort(), None);
        policy.packed();
        assert_eq!(policy.effort(), Some(LADDER[0]), "enough wait");
        policy.taken();
        assert_eq!(policy.effort(), None);
    }

    #[test]
    fn after_a_while_compression_is_tried_again() {
        let policy = policy_at(10_000_000_000);
        tries(&policy, Duration::from_millis(2), BLOCK / 2);
        let given_up = (0..1000).take_while(|_| policy.effort().is_none()).count();
        assert!((1..=100).contains(&given_up), "{given_up}");
    }

    #[test]
    fn what_is_only_offered_is_compressed_by_the_first_step() {
        let policy = Policy::new(Compression::Auto, 1, Purpose::Offer, 1);
        for (rate, work) in [(1_000_000, Duration::ZERO), (20_000_000_000, Duration::from_secs(1))] {
            policy.set_rate(rate);
            tries(&policy, work, BLOCK / 2);
            assert_eq!(policy.effort(), Some(LADDER[0]));
        }
    }

    fn tries(policy: &Policy, work: Duration, encoded: usize) {
        (0..WINDOW_TRIES).for_each(|_| policy.tried(work, BLOCK, encoded));
    }

    /// Returns a policy with one worker.
    fn policy_at(bits_per_second: u64) -> Policy {
        Policy::new(Compression::Auto, 1, Purpose::Send, bits_per_second)
    }
}
