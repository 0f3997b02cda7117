//! How each block travels: as it is, or as a zstd frame of a level that keeps up with the line.
//!
//! A small sample of a block decides whether it is worth a try, so that data without redundancy costs next to nothing. The
//! level follows from what a few tries took: all workers together must make frames in less time than the line needs for
//! them. Where they need far less, spare cores buy a better level. Where the fastest way takes them longer than half of what
//! the line needs for the blocks as they are, these go as they are, unless so many wait that the line is busy meanwhile.
//! Blocks that nobody tried to compress, such as those of zeros, count for nothing: they would look like idle workers, and the level would be
//! too high for those that follow.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zstd::zstd_safe::CParameter;

use super::pack::Purpose;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As hard as the cores can without holding up the line.
    Auto,
    /// Not at all.
    Off,
    /// At this level of zstd.
    Level(i32),
}

/// The levels of zstd that can be asked for.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

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
    /// Compressed is only while at least so many blocks wait, where even the lowest step takes too long for more.
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

    /// The line takes so many bits per second now.
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
    fn effort(&self) -> Option<Effort> {
        match self.compression {
            Compression::Off => None,
            Compression::Level(level) => Some(Effort::Level(level)),
            Compression::Auto => (!self.gives_up()).then(|| LADDER[self.step.load(Ordering::Relaxed)]),
        }
    }

    /// Whether the next block goes as it is because the line waits. Now and then what is known of that is forgotten: it may
    /// have been something else that kept the workers from their work.
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
    fn tried(&self, work: Duration, plain: usize, encoded: usize) {
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
        // The part of the line's time for so many bytes that the workers were at work.
        let load = |bytes: u64| {
            let line_seconds = bytes as f64 * 8.0 / rate;
            window.work.as_secs_f64() / (line_seconds * f64::from(self.workers)).max(f64::MIN_POSITIVE)
        };
        let (step, mut expected) = (self.step.load(Ordering::Relaxed), load(window.encoded));
        let mut next = step;
        if expected * STEP_COST_MAX < LOAD_MAX {
            next = (step + 1).min(LADDER.len() - 1);
        }
        while expected > LOAD_MAX && next > 0 {
            next -= 1;
            expected /= STEP_COST_MIN;
        }
        self.step.store(next, Ordering::Relaxed);
        let as_they_are = load(window.plain);
        let overloaded = step == 0 && as_they_are > OVERLOAD;
        // While one is compressed, so many leave as they are.
        let leave = (as_they_are * f64::from(self.workers)).ceil();
        self.reserve.store(if overloaded { leave as u32 } else { 0 }, Ordering::Relaxed);
    }

    fn samples(&self) -> bool {
        self.compression == Compression::Auto
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's compressor.
pub(crate) struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    /// What `zstd` is set to.
    effort: Effort,
    sampler: zstd::bulk::Compressor<'static>,
    sample: Vec<u8>,
    sampled: Vec<u8>,
    /// Blocks since one was tried whatever its sample said.
    untried: u32,
    /// So many blocks more are tried whatever their samples say, as samples have been wrong.
    distrust: u32,
}

impl Compressor {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            zstd: LADDER[0].compressor()?,
            effort: LADDER[0],
            sampler: LADDER[0].compressor()?,
            sample: Vec::with_capacity(SAMPLE_PIECES * SAMPLE_PIECE_BYTES),
            sampled: vec![0; SAMPLE_PIECES * SAMPLE_PIECE_BYTES],
            untried: 0,
            distrust: 0,
        })
    }

    /// Puts a block's frame into `frame`; false if the block is to go as it is.
    pub(crate) fn compress(&mut self, policy: &Policy, block: &[u8], frame: &mut Vec<u8>) -> bool {
        let Some(effort) = policy.effort() else { return false };
        let distrusts = self.distrust > 0;
        let promising = !policy.samples() || self.is_promising(block);
        if !promising && self.untried < TRY_EVERY {
            self.untried += 1;
            return false;
        }
        self.untried = 0;
        let start = Instant::now();
        let smaller = self.try_whole(effort, block, frame);
        policy.tried(start.elapsed(), block.len(), if smaller { frame.len() } else { block.len() });
        if smaller && (distrusts || !promising) {
            self.distrust = TRY_EVERY;
        }
        smaller
    }

    fn try_whole(&mut self, effort: Effort, block: &[u8], frame: &mut Vec<u8>) -> bool {
        if effort != self.effort {
            effort.set(&mut self.zstd).expect("what zstd has");
            self.effort = effort;
        }
        let max = worth_it(block.len());
        frame.clear();
        // It is the capacity that bounds the frame; a recycled buffer has more.
        frame.reserve(max);
        let compressed = self.zstd.compress_to_buffer(block, frame);
        compressed.is_ok_and(|len| (1..=max).contains(&len))
    }

    /// Whether pieces from all over the block have redundancy.
    fn is_promising(&mut self, block: &[u8]) -> bool {
        if self.distrust > 0 {
            self.distrust -= 1;
            return true;
        }
        if block.len() < 2 * SAMPLE_PIECES * SAMPLE_PIECE_BYTES {
            return true;
        }
        self.sample.clear();
        let stride = block.len() / SAMPLE_PIECES;
        for i in 0..SAMPLE_PIECES {
            // Not always at the start of a sector or a page.
            let at = i * stride + (stride - SAMPLE_PIECE_BYTES) * i / SAMPLE_PIECES;
            self.sample.extend_from_slice(&block[at..at + SAMPLE_PIECE_BYTES]);
        }
        let max = worth_it(self.sample.len());
        self.sampler.compress_to_buffer(&self.sample, &mut self.sampled[..max]).is_ok()
    }
}

/// The longest frame that is worth its decompression: a block that does not lose a twentieth travels as it is.
fn worth_it(len: usize) -> usize {
    len - len.div_ceil(20)
}

/// What can be asked of zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// One of its levels.
    Level(i32),
    /// Level 1, as it should be for blocks that stand alone: those of 1 MiB are 1 % larger by level 1 than a whole file is.
    /// Twice the hash table, all of the block as the window and matches from 6 bytes on make them 3 % smaller again, and
    /// take a tenth longer.
    Fast,
}

impl Effort {
    fn compressor(self) -> std::io::Result<zstd::bulk::Compressor<'static>> {
        let mut compressor = zstd::bulk::Compressor::new(1)?;
        self.set(&mut compressor)?;
        Ok(compressor)
    }

    fn set(self, compressor: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<()> {
        // Of the level's own, where it is none.
        let (level, window_log, hash_log, min_match) = match self {
            Self::Level(level) => (level, 0, 0, 0),
            Self::Fast => (1, 20, 15, 6),
        };
        compressor.set_compression_level(level)?;
        compressor.set_parameter(CParameter::WindowLog(window_log))?;
        compressor.set_parameter(CParameter::HashLog(hash_log))?;
        compressor.set_parameter(CParameter::MinMatch(min_match))
    }
}

/// Each at most two and a half times as slow as the one before it; the first one matters most, as it is that of fast lines.
const LADDER: [Effort; 6] =
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

/// 8 KiB of a block, which take zstd some 15 us where there is nothing to find: 1 % of what else is done with a block.
const SAMPLE_PIECES: usize = 8;
const SAMPLE_PIECE_BYTES: usize = 1024;
/// A sample does not see repetitions that are far apart: one block in so many is tried in spite of it.
const TRY_EVERY: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 1 << 20;

    #[test]
    fn redundant_data_travels_compressed_and_comes_back() {
        for compression in [Compression::Auto, Compression::Level(1), Compression::Level(19)] {
            let block = text();
            let frame = compressed(compression, &block).expect("it is text");
            assert!(frame.len() < BLOCK / 2, "{}", frame.len());
            assert!(zstd::bulk::decompress(&frame, BLOCK).expect("a frame") == block);
        }
    }

    #[test]
    fn data_without_redundancy_travels_as_it_is() {
        for compression in [Compression::Auto, Compression::Level(3)] {
            assert!(compressed(compression, &noise(BLOCK)).is_none());
        }
    }

    #[test]
    fn nothing_is_compressed_when_it_is_off() {
        assert!(compressed(Compression::Off, &text()).is_none());
    }

    #[test]
    fn a_block_that_loses_less_than_a_twentieth_travels_as_it_is() {
        let with_zeros = |zeros: usize| {
            let mut block = noise(BLOCK);
            block[..zeros].fill(0);
            compressed(Compression::Level(3), &block)
        };
        assert!(with_zeros(BLOCK / 25).is_none());
        assert!(with_zeros(BLOCK / 15).is_some());
    }

    #[test]
    fn repetitions_that_no_sample_sees_are_found_after_a_while() {
        let piece = noise(BLOCK / 4);
        let block = [&piece[..]; 4].concat();
        let (policy, mut compressor) = both(Compression::Auto);
        let mut frame = Vec::new();
        let tries = (0..200).filter(|_| compressor.compress(&policy, &block, &mut frame)).count();
        assert!(tries >= 100, "{tries} of 200 blocks were compressed");
    }

    #[test]
    fn the_level_rises_as_far_as_the_workers_keep_up_with_the_line() {
        let policy = policy_at(1_000_000_000);
        // The line takes 4.2 ms for half a block. Each step takes twice as long as the one before it: 0.25, 0.5, 1, 2 ms.
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

    #[test]
    fn the_first_step_finds_more_than_level_1_and_no_setting_outlives_its_block() {
        let (block, mut frame) = (words(), Vec::new());
        let (_, mut compressor) = both(Compression::Auto);
        let mut len = |effort| {
            assert!(compressor.try_whole(effort, &block, &mut frame));
            frame.len()
        };
        let efforts = [Effort::Level(1), Effort::Fast, Effort::Level(9)];
        let (first, again) = (efforts.map(&mut len), efforts.map(&mut len));
        assert_eq!(first, again);
        assert!(first[2] < first[1] && first[1] < first[0], "{first:?}");
    }

    fn tries(policy: &Policy, work: Duration, encoded: usize) {
        (0..WINDOW_TRIES).for_each(|_| policy.tried(work, BLOCK, encoded));
    }

    /// Of one worker.
    fn policy_at(bits_per_second: u64) -> Policy {
        let (policy, _) = both(Compression::Auto);
        policy.set_rate(bits_per_second);
        policy
    }

    /// Words of three letters in no order: nothing but short repetitions, near and far.
    fn words() -> Vec<u8> {
        let letters = noise(2 * BLOCK);
        let word = |pair: &[u8]| format!("{:03x}-{:02x};", u32::from(pair[0]) * 7, pair[1] & 0x3F);
        letters.chunks_exact(2).flat_map(|pair| word(pair).into_bytes()).take(BLOCK).collect()
    }

    fn compressed(compression: Compression, block: &[u8]) -> Option<Vec<u8>> {
        let (policy, mut compressor) = both(compression);
        let mut frame = Vec::new();
        compressor.compress(&policy, block, &mut frame).then_some(frame)
    }

    fn both(compression: Compression) -> (Policy, Compressor) {
        (Policy::new(compression, 1, Purpose::Send, 1_000_000_000), Compressor::new().expect("memory"))
    }

    fn text() -> Vec<u8> {
        (0u32..).flat_map(|i| format!("line {i} of many\n").into_bytes()).take(BLOCK).collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }
}
