//! Repair symbols are, bit for bit, those that another implementation of RFC 6330 makes.

mod common;

use common::{Block, their_symbols};
use glancecast_fec::Codec;
use glancecast_testkit::Rng;

/// Compares a few symbols at the start, at random and at the end of the ids, in numbers for which each of the two ways
/// to compute them is used.
fn compare(codec: &mut Codec, k: u32, t: u16, numbers: &mut Rng) {
    let block = Block::new(k, t);
    let theirs = block.theirs();
    for (place, count) in [(0, 5), (0, 27), (numbers.below_u32(1 << 23), 2), (block.offset_max() - 25, 26)] {
        let ours = block.ours(codec, place, count);
        assert!(
            ours == their_symbols(&theirs, place, count),
            "K = {k}, T = {t}, {count} symbols from K + {place}"
        );
    }
}

/// Every K' of RFC 6330 §5.6 up to 56 403, divided among several tests so that they run in parallel.
fn every_k_prime(part: usize, parts: usize) {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(1));
    let mut k_primes = Vec::new();
    let mut k = 1;
    while k <= glancecast_fec::K_MAX {
        k_primes.push(raptorq::extended_source_block_symbols(k));
        k = k_primes.last().expect("just pushed") + 1;
    }
    assert_eq!(k_primes.len(), 477);
    for &k_prime in k_primes.iter().skip(part).step_by(parts) {
        compare(&mut codec, k_prime, 3, &mut numbers);
    }
}

#[test]
fn every_k_prime_first_part() {
    every_k_prime(0, 2);
}

#[test]
fn every_k_prime_second_part() {
    every_k_prime(1, 2);
}

#[test]
fn five_hundred_random_k() {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(2));
    for _ in 0..500 {
        // As many small ones as large ones.
        let bits = 1 + numbers.below_u32(12);
        let k = 1 + numbers.below_u32(1 << bits);
        compare(&mut codec, k, 1 + (numbers.number() % 40) as u16, &mut numbers);
    }
}

#[test]
fn symbols_of_every_size() {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(3));
    for t in (1..=300).chain([1_280, 1_407, 1_408, 1_433, 8_832, 8_999, 9_000]) {
        compare(&mut codec, 1 + numbers.below_u32(40), t, &mut numbers);
    }
}
