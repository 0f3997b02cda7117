//! How each block travels: as it is, or as a zstd frame of a level that keeps up with the line.
//!
//! A small sample of a block decides whether it is worth a try, so that data without redundancy costs next to nothing. The
//! level follows from two measurements: whether the line waits for blocks, and the share of their time that the workers are
//! at work. While blocks wait for the line and the workers are mostly idle, spare cores buy a better level; where even the
//! fastest one holds the line up, blocks go as they are.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use glancecast_host::args::Rate;

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

/// What the workers share: the level in force, and how busy they are.
#[derive(Debug)]
pub(crate) struct Policy {
    compression: Compression,
    adapts: bool,
    workers: u32,
    /// Which of [`LADDER`].
    step: AtomicUsize,
    window: Mutex<Window>,
    /// Blocks that are packed and wait for the line.
    waiting: AtomicU32,
}

/// The last few blocks.
#[derive(Debug)]
struct Window {
    since: Instant,
    blocks: u32,
    work: Duration,
    /// Of these blocks, those that were begun while the line had none.
    starved: u32,
    /// In the window before, the line waited for the workers although they did the least that they can.
    overloaded: bool,
}

impl Window {
    fn new(overloaded: bool) -> Self {
        Self { since: Instant::now(), blocks: 0, work: Duration::ZERO, starved: 0, overloaded }
    }
}

impl Policy {
    /// `cap` is what the line takes at most.
    /// Where blocks are only offered nothing is learned from how fast they leave: the level stays as it is.
    pub(crate) fn new(compression: Compression, workers: usize, cap: Rate, purpose: Purpose) -> Self {
        Self {
            compression,
            adapts: purpose == Purpose::Send,
            workers: workers as u32,
            step: AtomicUsize::new(usize::from(cap.bits() <= SLOW_BITS)),
            window: Mutex::new(Window::new(false)),
            waiting: AtomicU32::new(0),
        }
    }

    /// A worker begins with a block.
    pub(crate) fn begin(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.window().starved += 1;
        }
    }

    /// A worker has packed a block in so much time.
    pub(crate) fn packed(&self, work: Duration) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if !self.adapts {
            return;
        }
        let mut window = self.window();
        window.blocks += 1;
        window.work += work;
        if window.blocks >= WINDOW_BLOCKS {
            let busy = window.work.as_secs_f64()
                / (window.since.elapsed().as_secs_f64() * f64::from(self.workers)).max(1e-9);
            let starves = 2 * window.starved > window.blocks;
            let step = self.step.load(Ordering::Relaxed);
            let next = match starves {
                true if busy > BUSY_MAX => step.saturating_sub(1),
                false if busy < BUSY_MIN => (step + 1).min(LADDER.len() - 1),
                true | false => step,
            };
            self.step.store(next, Ordering::Relaxed);
            *window = Window::new(starves && busy > BUSY_MAX && step == 0);
        }
    }

    /// A packed block has left.
    pub(crate) fn taken(&self) {
        let less = |waiting: u32| Some(waiting.saturating_sub(1));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// The level for the next block; `None`: it goes as it is.
    fn level(&self) -> Option<i32> {
        match self.compression {
            Compression::Off => None,
            Compression::Level(level) => Some(level),
            Compression::Auto => {
                let starves = self.waiting.load(Ordering::Relaxed) == 0 && self.window().overloaded;
                (!starves).then(|| LADDER[self.step.load(Ordering::Relaxed)])
            }
        }
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
    level: i32,
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
            zstd: zstd::bulk::Compressor::new(LADDER[0])?,
            level: LADDER[0],
            sampler: zstd::bulk::Compressor::new(LADDER[0])?,
            sample: Vec::with_capacity(SAMPLE_PIECES * SAMPLE_PIECE_BYTES),
            sampled: vec![0; SAMPLE_PIECES * SAMPLE_PIECE_BYTES],
            untried: 0,
            distrust: 0,
        })
    }

    /// Puts a block's frame into `frame`; false if the block is to go as it is.
    pub(crate) fn compress(&mut self, policy: &Policy, block: &[u8], frame: &mut Vec<u8>) -> bool {
        let Some(level) = policy.level() else { return false };
        let distrusts = self.distrust > 0;
        let promising = !policy.samples() || self.is_promising(block);
        if !promising && self.untried < TRY_EVERY {
            self.untried += 1;
            return false;
        }
        self.untried = 0;
        let smaller = self.try_whole(level, block, frame);
        if smaller && (distrusts || !promising) {
            self.distrust = TRY_EVERY;
        }
        smaller
    }

    fn try_whole(&mut self, level: i32, block: &[u8], frame: &mut Vec<u8>) -> bool {
        if level != self.level {
            self.zstd.set_compression_level(level).expect("a level that zstd has");
            self.level = level;
        }
        frame.resize(worth_it(block.len()), 0);
        // Ends with an error as soon as the frame gets longer than is worth it.
        match self.zstd.compress_to_buffer(block, &mut frame[..]) {
            Ok(len) => {
                frame.truncate(len);
                len > 0
            }
            Err(_) => false,
        }
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

/// Levels of zstd, each one at most two and a half times as slow as the one before it; the first two matter most, as they
/// are those of fast lines.
const LADDER: [i32; 6] = [1, 2, 3, 6, 9, 12];
/// Lines up to this begin with the second step.
const SLOW_BITS: u64 = 2_500_000_000;

const WINDOW_BLOCKS: u32 = 16;
/// Below this share of their time the workers can take the next level.
const BUSY_MIN: f64 = 0.35;
/// Above this they are what the line waits for, if it waits: on a machine with more to do than it can, they are kept from
/// their work for part of the time.
const BUSY_MAX: f64 = 0.5;

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
    fn the_level_rises_while_workers_are_idle_and_falls_when_they_are_not() {
        let (policy, _) = both(Compression::Auto);
        assert_eq!(policy.level(), Some(LADDER[1]));
        let pack = |work| {
            policy.begin();
            policy.packed(work);
        };
        (0..20 * WINDOW_BLOCKS).for_each(|_| pack(Duration::ZERO));
        assert_eq!(policy.level(), Some(LADDER[LADDER.len() - 1]));
        (0..20 * WINDOW_BLOCKS).for_each(|_| pack(Duration::from_secs(1)));
        assert_eq!(policy.level(), Some(LADDER[LADDER.len() - 1]), "blocks wait: the line is not held up");
        (0..40 * WINDOW_BLOCKS).for_each(|_| policy.taken());
        for _ in 0..20 * WINDOW_BLOCKS {
            pack(Duration::from_secs(1));
            policy.taken();
        }
        assert_eq!(policy.level(), None, "the line waits even for the fastest");
        policy.packed(Duration::ZERO);
        assert_eq!(policy.level(), Some(LADDER[0]), "not at the moment");
    }

    fn compressed(compression: Compression, block: &[u8]) -> Option<Vec<u8>> {
        let (policy, mut compressor) = both(compression);
        let mut frame = Vec::new();
        compressor.compress(&policy, block, &mut frame).then_some(frame)
    }

    fn both(compression: Compression) -> (Policy, Compressor) {
        let cap = "1gbit".parse().expect("a rate");
        (Policy::new(compression, 1, cap, Purpose::Send), Compressor::new().expect("memory"))
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
