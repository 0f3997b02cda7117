//! Compression of blocks: each block travels as it is or as a zstd frame. A small sample of a block decides whether
//! compression is tried, so that data without redundancy costs next to nothing. The policy decides how hard to try.

use std::time::Instant;

use super::effort::Effort;
pub use super::effort::{Compression, LEVELS};
use super::policy::{LADDER, Policy};

/// The compressor of one worker.
pub(crate) struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    /// The current setting of `zstd`.
    effort: Effort,
    sampler: zstd::bulk::Compressor<'static>,
    sample: Vec<u8>,
    sampled: Vec<u8>,
    /// Unpromising blocks since the last try, and the number of them after which one is tried in spite of its sample.
    untried: u32,
    try_after: u32,
    /// Consecutive blocks that look incompressible.
    dull: u32,
    /// Number of blocks that are still tried without a sample, because a sample was wrong.
    distrust: u32,
}

impl Compressor {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            zstd: LADDER[0].compressor()?,
            effort: LADDER[0],
            sampler: Effort::Level(1).compressor()?,
            sample: Vec::with_capacity(SAMPLE_PIECES * SAMPLE_PIECE_BYTES),
            sampled: vec![0; SAMPLE_PIECES * SAMPLE_PIECE_BYTES],
            untried: 0,
            try_after: TRY_EVERY,
            dull: 0,
            distrust: 0,
        })
    }

    /// Writes the zstd frame of `block` into `frame`. Returns false if the block is to travel as it is.
    pub(crate) fn compress(&mut self, policy: &Policy, block: &[u8], frame: &mut Vec<u8>) -> bool {
        let Some(effort) = policy.effort() else { return false };
        let distrusts = self.distrust > 0;
        let promising = !policy.samples() || self.is_promising(block);
        if !promising && self.untried < self.try_after {
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
        // Tries become rarer with each one that gains nothing.
        self.try_after = if smaller { TRY_EVERY } else { (2 * self.try_after).min(TRY_AFTER_MAX) };
        smaller
    }

    fn try_whole(&mut self, effort: Effort, block: &[u8], frame: &mut Vec<u8>) -> bool {
        if effort != self.effort {
            effort.set(&mut self.zstd).expect("what zstd has");
            self.effort = effort;
        }
        let max = worth_it(block.len());
        frame.clear();
        // The capacity bounds the frame, and a recycled buffer has more: `max` is checked again below.
        frame.reserve(max);
        let compressed = self.zstd.compress_to_buffer(block, frame);
        compressed.is_ok_and(|len| (1..=max).contains(&len))
    }

    /// Whether a sample from all parts of the block has redundancy.
    fn is_promising(&mut self, block: &[u8]) -> bool {
        if self.distrust > 0 {
            self.distrust -= 1;
            return true;
        }
        if block.len() < 2 * SAMPLE_PIECES * SAMPLE_PIECE_BYTES {
            return true;
        }
        if self.dull >= DULL_MIN && !self.dull.is_multiple_of(LOOK_EVERY) {
            self.dull += 1;
            return false;
        }
        self.sample.clear();
        let stride = block.len() / SAMPLE_PIECES;
        for i in 0..SAMPLE_PIECES {
            // The offset within the stride varies, so that not every piece starts at a sector or a page.
            let at = i * stride + (stride - SAMPLE_PIECE_BYTES) * i / SAMPLE_PIECES;
            self.sample.extend_from_slice(&block[at..at + SAMPLE_PIECE_BYTES]);
        }
        let max = worth_it(self.sample.len());
        let promising = self.sampler.compress_to_buffer(&self.sample, &mut self.sampled[..max]).is_ok();
        self.dull = if promising { 0 } else { self.dull + 1 };
        promising
    }
}

/// Returns the longest frame that is worth its decompression: a block that shrinks by less than 5 % travels as it is.
fn worth_it(len: usize) -> usize {
    len - len.div_ceil(20)
}

/// The sample: 8 KiB of a block. Without redundancy zstd takes some 15 us for it, 1 % of the other work on a block.
const SAMPLE_PIECES: usize = 8;
const SAMPLE_PIECE_BYTES: usize = 1024;
/// One unpromising block in this many is tried: a sample does not show repetitions that are far apart.
const TRY_EVERY: u32 = 64;
const TRY_AFTER_MAX: u32 = 512;
/// After this many incompressible blocks in a row only one in `LOOK_EVERY` is sampled: images have such data in long
/// runs.
const DULL_MIN: u32 = 16;
const LOOK_EVERY: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::policy::Purpose;
    use glancecast_testkit::Rng;

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
    fn after_long_runs_without_redundancy_it_is_found_a_few_blocks_later() {
        let (policy, mut compressor) = both(Compression::Auto);
        let (dull, text, mut frame) = (noise(BLOCK), text(), Vec::new());
        assert!((0..300).all(|_| !compressor.compress(&policy, &dull, &mut frame)));
        let late = (0..100).take_while(|_| !compressor.compress(&policy, &text, &mut frame)).count();
        assert!(late < LOOK_EVERY as usize, "{late} blocks were missed");
        assert!((0..100).all(|_| compressor.compress(&policy, &text, &mut frame)));
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

    /// Returns short words in random order: nothing but short repetitions, near and far.
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

    /// Returns a policy that ignores how long a try takes, which depends on the load of this machine, and a compressor.
    fn both(compression: Compression) -> (Policy, Compressor) {
        (Policy::new(compression, 1, Purpose::Offer, 1_000_000_000), Compressor::new().expect("memory"))
    }

    fn text() -> Vec<u8> {
        (0u32..).flat_map(|i| format!("line {i} of many\n").into_bytes()).take(BLOCK).collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        Rng::new(7).noise(len)
    }
}
