//! How hard to compress: as hard as the workers can without holding up the line.
//!
//! The level follows from what a few tries took: all workers together must make frames in less time than the line
//! needs for them. Where they need far less, spare cores buy a better level. Where the fastest way takes them longer
//! than half of what the line needs for the blocks as they are, these go as they are, unless so many wait that the
//! line is busy meanwhile. Blocks that nobody tried to compress, such as those of zeros, count for nothing: they would
//! look like idle workers, and the level would be too high for those that follow.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use glancecast_platform::locks::lock;

use super::effort::{Compression, Effort};

/// What becomes of a block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is sent.
    Send,
    /// It is sent when a host asks for it, from the spool: hosts may have it in a base, and find it by its fingerprint.
    Offer,
}

/// What the workers share: the level in force, and what the last tries took.
#[derive(Debug)]
pub(crate) struct Policy {
    compression: Compression,
    adapts: bool,
    workers: u32,
    /// What the line takes, in bits per second.
    rate: AtomicU64,
    /// Which of [`LADDER`].
    step: AtomicUsize,
    window: Mutex<Window>,
    /// Blocks are compressed only while at least this many wait, where even the lowest step takes too long for more.
    reserve: AtomicU32,
    /// Blocks that are packed and wait for the line.
    waiting: AtomicU32,
}

/// The last few tries.
#[derive(Debug, Default)]
struct Window {
    tries: u32,
    work: Duration,
    /// What was tried, and what travels of it.
    plain: u64,
    encoded: u64,
    /// Blocks since the last one of them that went as they are because the line waited.
    given_up: u32,
}

impl Policy {
    /// The line takes `rate` bits per second to begin with.
    /// Where blocks are only offered nothing is to be learned from how fast they leave: the first step stays.
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

    /// Sets the bits per second that the line takes now.
    pub(crate) fn set_rate(&self, bits_per_second: u64) {
        self.rate.store(bits_per_second.max(1), Ordering::Relaxed);
    }

    /// A block is packed.
    pub(crate) fn packed(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// A packed block has left.
    pub(crate) fn taken(&self) {
        let less = |waiting: u32| Some(waiting.saturating_sub(1));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// How hard to try with the next block; `None`: it goes as it is.
    pub(super) fn effort(&self) -> Option<Effort> {
        match self.compression {
            Compression::Off => None,
            Compression::Level(level) => Some(Effort::Level(level)),
            Compression::Auto => (!self.gives_up()).then(|| LADDER[self.step.load(Ordering::Relaxed)]),
        }
    }

    /// Whether the next block goes as it is because the line waits. Now and then what is known of that is forgotten:
    /// it may have been something else that kept the workers from their work.
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

    /// A try has taken a worker so much time; of `plain` bytes `encoded` travel.
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
        // The share of the line's time for these bytes in which the workers were at work.
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
        // The number of blocks that leave as they are while one is compressed.
        let leave = (as_they_are * f64::from(self.workers)).ceil();
        self.reserve.store(if overloaded { leave as u32 } else { 0 }, Ordering::Relaxed);
    }

    /// Whether a sample of a block is to say if it is worth a try.
    pub(super) fn samples(&self) -> bool {
        self.compression == Compression::Auto
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        lock(&self.window)
    }
}

/// Each at most two and a half times as slow as the one before it; the first one matters most, as it is that of fast
/// lines.
pub(super) const LADDER: [Effort; 6] =
    [Effort::Fast, Effort::Level(3), Effort::Level(5), Effort::Level(7), Effort::Level(9), Effort::Level(12)];

/// Tries that are judged together: enough to even out what blocks are like, and soon enough when a level is too high.
const WINDOW_TRIES: u32 = 8;
/// Of the line's time; workers have more to do than to compress, and what comes next may be harder.
const LOAD_MAX: f64 = 0.8;
/// What a step of [`LADDER`] costs more than the one before it.
const STEP_COST_MAX: f64 = 2.5;
const STEP_COST_MIN: f64 = 1.5;
/// Of the time that the line needs for the blocks as they are.
const OVERLOAD: f64 = 0.5;
/// Blocks that go as they are, one after the other, before compression is tried again.
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
        // The line takes 0.84 ms for a block, so that three of them leave meanwhile.
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

    /// Of one worker.
    fn policy_at(bits_per_second: u64) -> Policy {
        Policy::new(Compression::Auto, 1, Purpose::Send, bits_per_second)
    }
}
