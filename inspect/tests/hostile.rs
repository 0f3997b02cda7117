//! Whatever the bytes, the inspectors come to an end without a panic, and the judgement of a whole image and of its
//! beginning never contradict each other.

mod images;
mod judge;

use glancecast_testkit::Rng;
use glancecast_testkit::corpus::replay;
use judge::{bases, judge};

#[test]
fn every_truncation_is_judged() {
    for image in bases() {
        for len in (0..2100).chain((2100..image.len()).step_by(509)).filter(|&len| len <= image.len()) {
            judge(&image[..len]);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_judged() {
    for mut image in bases() {
        for bit in 0..1024 * 8 {
            image[bit / 8] ^= 1 << (bit % 8);
            judge(&image);
            image[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn random_damage_is_judged() {
    println!("seed {SEED:#x}");
    let mut random = Rng::new(SEED);
    let bases = bases();
    for round in 0..20_000 {
        let mut image = bases[random.index(bases.len())].clone();
        for _ in 0..1 + random.index(8) {
            // Where the tables are, as often as in the first sector.
            let places = [512, 4096, image.len()];
            let at = random.index(places[round % 3].min(image.len()));
            let value = random.number().to_le_bytes();
            let len = (1 + random.index(8)).min(image.len() - at);
            let extreme = [[0; 8], [0xFF; 8], value][random.index(3)];
            image[at..at + len].copy_from_slice(&extreme[..len]);
        }
        judge(&image);
    }
}

#[test]
fn images_of_the_fuzzer_are_judged() {
    replay("formats", judge::fuzzed);
}

const SEED: u64 = 0x6C61_6E63_6563_6173;
