//! Tells the symbols of a block that somebody forged from those of its sender, by the hashes that the sender gave.
//!
//! The bytes belong to the shell, which calls [`Collected::sift`] on another thread. Nothing is hashed before a block
//! was found not to match the manifest.

use glancecast_fec::Esi;

use super::collect::Collected;
use crate::wire::{Proofs, SymbolHash};

/// The hashes that the sender gave of the symbols that are held of one block.
#[derive(Debug)]
pub struct SymbolHashes {
    /// By position in the buffer.
    by_position: Vec<Option<SymbolHash>>,
    /// Held symbols without a hash.
    missing: u32,
    /// K: the sender names all source symbols.
    source_symbols: u32,
    /// One past the highest ESI of which a hash came; 0 if none came. The sender names the repair symbols up to the last
    /// that it has sent, so one beyond is not its own.
    end: u32,
}

impl SymbolHashes {
    /// Returns the record of a block of which no hash has come.
    pub(super) fn none(collected: &Collected) -> Self {
        let (held, repair) = (collected.held(), collected.repair());
        let positions = held.bound() as usize + repair.len();
        let missing = held.count() + repair.len() as u32;
        Self { by_position: vec![None; positions], missing, source_symbols: held.bound(), end: 0 }
    }

    /// Takes in hashes of the block's symbols. The first hash of a symbol counts.
    pub(super) fn note(&mut self, collected: &Collected, proofs: &Proofs) {
        let first = proofs.first.value();
        let end = first + proofs.hashes.len() as u32;
        let k = collected.held().bound();
        let held = (first..end.min(k)).filter(|&esi| collected.held().contains(esi));
        let source = held.map(|esi| (esi as usize, esi));
        let repair = collected.repair().iter().zip(k as usize..).map(|(esi, at)| (at, esi.value()));
        for (position, esi) in source.chain(repair.filter(|(_, esi)| (first..end).contains(esi))) {
            let hash = proofs.hashes[(esi - first) as usize];
            if self.by_position[position].is_none() {
                self.by_position[position] = Some(hash);
                self.missing -= 1;
            }
        }
        self.end = self.end.max(end);
    }

    /// One past the highest ESI of which a hash came.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Whether no hash of the block has come.
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether the hash of each held symbol is here.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Whether a hash is missing of a held symbol that the sender has sent, as far as it has named them: a datagram with
    /// hashes was lost.
    pub(super) fn has_gap(&self, collected: &Collected) -> bool {
        let k = collected.held().bound();
        let source = (0..k).filter(|&esi| collected.held().contains(esi)).map(|esi| (esi as usize, esi));
        let repair = collected.repair().iter().zip(k as usize..).map(|(esi, at)| (at, esi.value()));
        let is_sent = |esi: u32| esi < self.source_symbols || esi < self.end;
        source.chain(repair).any(|(position, esi)| self.by_position[position].is_none() && is_sent(esi))
    }

    fn verdict(&self, position: u32, esi: Esi, symbol: &[u8]) -> Verdict {
        match self.by_position.get(position as usize).copied().flatten() {
            Some(hash) if hash == SymbolHash::of(symbol) => Verdict::Sent,
            Some(_) => Verdict::Forged,
            None if esi.value() >= self.end.max(self.source_symbols) => Verdict::Forged,
            None => Verdict::Unproven,
        }
    }
}

/// Whether a symbol is its sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sent,
    Forged,
    /// Its hash did not arrive.
    Unproven,
}

/// What was dropped of a block that did not match the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// Symbols that are not what the sender sent under their numbers.
    pub forged: u32,
    /// Symbols whose hashes did not arrive.
    pub unproven: u32,
    /// The numbers of the first few forged symbols.
    pub first_forged: Vec<Esi>,
}

impl Sifted {
    /// Whether every symbol was the sender's.
    pub fn is_clean(&self) -> bool {
        self.forged + self.unproven == 0
    }

    /// Notes a symbol; returns whether it is kept.
    fn note(&mut self, verdict: Verdict, esi: Esi) -> bool {
        match verdict {
            Verdict::Sent => return true,
            Verdict::Unproven => self.unproven += 1,
            Verdict::Forged => {
                self.forged += 1;
                if self.first_forged.len() < FORGED_NAMED_MAX {
                    self.first_forged.push(esi);
                }
            }
        }
        false
    }
}

impl Collected {
    /// Keeps the symbols in `buffer` that match their hashes, and drops all others. Repair symbols move forward in the
    /// buffer.
    ///
    /// # Panics
    /// If `buffer` is not that of this block.
    pub fn sift(&mut self, hashes: &SymbolHashes, buffer: &mut [u8]) -> Sifted {
        let (k, size) = (self.shape().source_symbols(), self.shape().symbol_size());
        let at = |position: u32| position as usize * size..(position as usize + 1) * size;
        let mut sifted = Sifted::default();
        for position in 0..k {
            let esi = Esi::new(position).expect("K is far below 2^24");
            if self.held().contains(position)
                && !sifted.note(hashes.verdict(position, esi, &buffer[at(position)]), esi)
            {
                self.drop_source(position);
            }
        }
        let mut position = k;
        let mut free = k;
        self.retain_repair(|esi| {
            let is_kept = sifted.note(hashes.verdict(position, esi, &buffer[at(position)]), esi);
            if is_kept {
                if free < position {
                    buffer.copy_within(at(position), at(free).start);
                }
                free += 1;
            }
            position += 1;
            is_kept
        });
        sifted
    }
}

/// Forged symbols that are named one by one.
const FORGED_NAMED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BlockIndex;
    use glancecast_fec::BlockShape;

    #[test]
    fn only_what_matches_its_hash_is_kept() {
        let (mut collected, mut buffer) = collected();
        buffer[3 * T] ^= 1;
        buffer[(K as usize + 1) * T] ^= 1;
        let mut hashes = SymbolHashes::none(&collected);
        hashes.note(&collected, &proofs(0, 40));
        assert!(hashes.is_complete());
        let sifted = collected.sift(&hashes, &mut buffer);
        assert_eq!((sifted.forged, sifted.unproven), (2, 0));
        assert_eq!(sifted.first_forged, [esi(3), esi(25)]);
        assert_eq!(collected.held().missing().collect::<Vec<_>>(), [3, 9]);
        assert_eq!(collected.repair(), [esi(20), esi(30)]);
        assert_eq!(buffer[(K as usize + 1) * T..][..T], symbol(30), "it has moved forward");
        assert!(collected.sift(&SymbolHashes::of(&collected, &proofs(0, 40)), &mut buffer).is_clean());
    }

    #[test]
    fn a_symbol_beyond_the_last_one_that_was_sent_is_forged_and_one_without_a_hash_is_unproven() {
        let (mut collected, mut buffer) = collected();
        let mut hashes = SymbolHashes::none(&collected);
        hashes.note(&collected, &proofs(4, 22));
        assert!(!hashes.is_complete() && hashes.has_gap(&collected), "0 to 3 are lacking");
        let sifted = collected.sift(&hashes, &mut buffer);
        assert_eq!((sifted.forged, sifted.unproven), (1, 4), "30 was not sent");
        assert_eq!(sifted.first_forged, [esi(30)]);
        assert_eq!(collected.held().missing().collect::<Vec<_>>(), [0, 1, 2, 3, 9]);
    }

    #[test]
    fn without_any_hash_nothing_is_known() {
        let (collected, _) = collected();
        let hashes = SymbolHashes::none(&collected);
        assert!(hashes.is_empty() && !hashes.is_complete() && hashes.has_gap(&collected));
    }

    impl SymbolHashes {
        fn of(collected: &Collected, proofs: &Proofs) -> Self {
            let mut hashes = Self::none(collected);
            hashes.note(collected, proofs);
            hashes
        }
    }

    /// Returns a block of which source symbol 9 is lacking, and the repair symbols 20, 25 and 30 are here.
    fn collected() -> (Collected, Vec<u8>) {
        let shape = BlockShape::new(K, T as u16).expect("in range");
        let mut collected = Collected::new(shape);
        collected.begin(shape, K * T as u32, 0);
        let mut buffer = vec![0; (K as usize + 3) * T];
        for number in (0..9).chain([20, 25, 30]) {
            let position = collected.place_for(esi(number)).expect("room") as usize;
            buffer[position * T..][..T].copy_from_slice(&symbol(number));
            collected.insert(esi(number));
        }
        (collected, buffer)
    }

    fn proofs(first: u32, count: u32) -> Proofs {
        let hashes = (first..first + count).map(|number| SymbolHash::of(&symbol(number))).collect();
        Proofs { block: BlockIndex(0), first: esi(first), hashes }
    }

    fn symbol(number: u32) -> [u8; T] {
        [number as u8; T]
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }

    const K: u32 = 10;
    const T: usize = 64;
}
