//! Whatever the bytes, the inspectors come to an end without a panic, and the judgement of a whole image and of its
//! beginning never contradict each other.

mod images;

use std::io::Cursor;

use glancecast_inspect::{CheckError, Claim, DiskFormat, HEAD_BYTES, Limits, check, check_head, detect};
use images::{DESCRIPTOR, iso, mbr, qcow2, stream_vmdk, vdi, vhd, vhdx, vmdk};

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
    let mut random = Random(SEED);
    let bases = bases();
    for round in 0..20_000 {
        let mut image = bases[random.below(bases.len())].clone();
        for _ in 0..1 + random.below(8) {
            // Where the tables are, as often as in the first sector.
            let places = [512, 4096, image.len()];
            let at = random.below(places[round % 3].min(image.len()));
            let value = random.next().to_le_bytes();
            let len = (1 + random.below(8)).min(image.len() - at);
            let extreme = [[0; 8], [0xFF; 8], value][random.below(3)];
            image[at..at + len].copy_from_slice(&extreme[..len]);
        }
        judge(&image);
    }
}

fn judge(image: &[u8]) {
    let formats = detect(&mut Cursor::new(image)).expect("memory can be read");
    assert!(!formats.is_empty());
    let limits = Limits { vhd: true, ..Limits::default() };
    for claim in [Claim::Nothing, Claim::Disk, Claim::Format(DiskFormat::Raw)] {
        let whole = check(&mut Cursor::new(image), claim, &limits);
        let head = &image[..HEAD_BYTES.min(image.len())];
        match check_head(head, image.len() as u64, claim, &limits) {
            Ok(None) => {}
            Ok(Some(facts)) => assert_eq!(facts, whole.expect("both pass"), "seed {SEED:#x}"),
            Err(refusal) => {
                assert!(
                    matches!(whole, Err(CheckError::Refused(ref other)) if *other == refusal),
                    "seed {SEED:#x}"
                );
            }
        }
    }
}

fn bases() -> Vec<Vec<u8>> {
    let text = DESCRIPTOR.as_bytes().repeat(6);
    vec![qcow2(), vmdk(DESCRIPTOR), stream_vmdk(), vhd(), vdi(), vhdx(), iso(), mbr(), text, vec![0; 4096]]
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

const SEED: u64 = 0x6C61_6E63_6563_6173;
