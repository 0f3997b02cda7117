//! The choices of a test: random numbers from a printed seed, so that a failure can be repeated, or the bytes of a
//! fuzzer, which are finite.
#![allow(dead_code, reason = "each test uses some of it")]

use glancecast_testkit::Rng;

pub(crate) struct Dice(Source);

enum Source {
    Seed(Rng),
    /// Zeros follow the last byte.
    Bytes {
        bytes: Vec<u8>,
        at: usize,
    },
}

impl Dice {
    /// Returns dice with this seed, which is printed. `GLANCECAST_SEED` overrides it.
    pub(crate) fn of(what: &str, seed: u64) -> Self {
        let seed = std::env::var("GLANCECAST_SEED").map_or(seed, |text| text.parse().expect("a number"));
        println!("{what}: seed {seed}");
        Self(Source::Seed(Rng::from_product(seed.wrapping_add(1))))
    }

    /// Returns dice from a fuzzer's bytes. Each choice consumes as many bytes as it needs.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(Source::Bytes { bytes: bytes.to_vec(), at: 0 })
    }

    /// Whether all bytes are consumed; a seed never is.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(&self.0, Source::Bytes { bytes, at } if *at >= bytes.len())
    }

    pub(crate) fn number(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(rng) => rng.number(),
            Source::Bytes { .. } => self.take(8),
        }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        match &mut self.0 {
            Source::Seed(rng) => rng.below(bound),
            Source::Bytes { .. } => self.take(needed(bound)) % bound,
        }
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// Returns the bytes with a few changes: bits, whole fields of ones or zeros, the length.
    pub(crate) fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len().max(1) as u64) as usize;
            match self.below(5) {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
                1 => bytes.iter_mut().skip(at).take(1 << (at % 4)).for_each(|byte| *byte = 0xFF),
                2 => bytes.iter_mut().skip(at).take(1 << (at % 4)).for_each(|byte| *byte = 0),
                3 => bytes.truncate(at),
                _ => {
                    let more = self.below(20) as usize;
                    bytes.extend(self.bytes(more));
                }
            }
        }
        bytes
    }

    fn byte(&mut self) -> u8 {
        match self.0 {
            Source::Seed(_) => self.number() as u8,
            Source::Bytes { .. } => self.take(1) as u8,
        }
    }

    fn take(&mut self, count: u32) -> u64 {
        let Source::Bytes { bytes, at } = &mut self.0 else { unreachable!("a seed has no bytes") };
        (0..count).fold(0, |number, _| {
            let byte = bytes.get(*at).copied().unwrap_or(0);
            *at += 1;
            number << 8 | u64::from(byte)
        })
    }
}

/// Bytes that make [`Dice`] choose what is wanted: a seed for a fuzzer.
pub(crate) struct Choices(pub(crate) Vec<u8>);

impl Choices {
    /// Has the dice choose this number below `bound`.
    pub(crate) fn choose(mut self, number: u64, bound: u64) -> Self {
        self.0.extend(&number.to_be_bytes()[8 - needed(bound) as usize..]);
        self
    }

    /// Has [`Dice::mutated`] leave these bytes as they are: one change, which appends nothing.
    pub(crate) fn leave(self, bytes: &[u8]) -> Self {
        self.choose(0, 3).choose(0, bytes.len().max(1) as u64).choose(4, 5).choose(0, 20)
    }
}

/// Bytes that a choice below `bound` takes.
fn needed(bound: u64) -> u32 {
    8 - (bound - 1).leading_zeros() / 8
}
