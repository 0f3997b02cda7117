//! Random numbers from a seed that is printed: what fails once fails again.

/// xorshift64*.
pub(crate) struct Dice(u64);

impl Dice {
    /// Prints the seed. `GLANCECAST_SEED` is another one.
    pub(crate) fn of(what: &str, seed: u64) -> Self {
        let seed = std::env::var("GLANCECAST_SEED").map_or(seed, |text| text.parse().expect("a number"));
        println!("{what}: seed {seed}");
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8).collect()
    }

    /// The same bytes with a few changes: bits, whole fields of ones or zeros, the length.
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
}
