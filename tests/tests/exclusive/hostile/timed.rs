//! A push during a flood of datagrams, compared with one without.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_testkit::Rng;
use glancecast_tests::attacker::{Attack, Attacker};
use glancecast_tests::image::Seed;
use glancecast_tests::measured;
use glancecast_tests::testbed::{SOON, Testbed};

use super::push_of;

#[test]
fn a_flood_of_recorded_bent_cut_and_forged_datagrams_does_not_slow_a_push() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let seed = Seed::draw();
    let quiet = push_of(&testbed, "quiet.raw", 12 << 20, seed, &["--hosts", "r1", "--rate", "24mbit"]);
    let (_, quiet) = quiet.complete(&receiver);

    let push =
        push_of(&testbed, "flooded.raw", 12 << 20, seed.next(), &["--hosts", "r1", "--rate", "24mbit"]);
    let flood = Attack::start(Flood::of(Attacker::join(&testbed)), Duration::from_millis(1), |flood| {
        flood.burst(FLOOD_BURST);
    });
    let (sender, flooded) = push.complete(&receiver);
    let flood = flood.stop();

    let receiver_end = receiver.process.terminate(SOON);
    let log = receiver.process.log_lines();
    let discarded =
        log.iter().rev().find(|line| line.contains("discarded datagrams")).expect("said at its end");
    let times = flood.bytes as f64 / flooded.wire.bytes as f64;
    measured!(
        "{:.2} s quiet, {:.2} s flooded by {times:.1} times the data ({:?} datagrams); resident MiB: sender {}, receiver {}",
        quiet.seconds,
        flooded.seconds,
        flood.sent,
        sender.resident_bytes_max >> 20,
        receiver_end.resident_bytes_max >> 20
    );
    measured!("{}", discarded.split_once("discarded").expect("just found").1);
    assert!(times > 5.0, "a flood worth the name");
    assert!(flooded.seconds <= 1.3 * quiet.seconds, "{} s, {} s in quiet", flooded.seconds, quiet.seconds);
    assert!(receiver_end.resident_bytes_max < 256 << 20 && sender.resident_bytes_max < 256 << 20);
    for reason in ["forged", "replayed"] {
        assert!(discarded.contains(reason), "{reason} in {discarded}");
    }
}

/// Repeats the datagrams it hears: unchanged, with one bit flipped, truncated, and masked from the seventh byte on.
struct Flood {
    attacker: Attacker,
    recorded: Vec<(std::net::SocketAddr, Vec<u8>)>,
    random: Rng,
    bytes: u64,
    /// By what was done to them.
    sent: BTreeMap<&'static str, u64>,
}

impl Flood {
    fn of(attacker: Attacker) -> Self {
        Self { attacker, recorded: Vec::new(), random: Rng::new(1), bytes: 0, sent: BTreeMap::new() }
    }

    fn burst(&mut self, count: u32) {
        for heard in self.attacker.hear() {
            if self.recorded.len() < RECORDED_MAX {
                self.recorded.push(heard);
            } else {
                let at = self.random.index(RECORDED_MAX);
                self.recorded[at] = heard;
            }
        }
        if self.recorded.is_empty() {
            return;
        }
        for _ in 0..count {
            let at = self.random.index(self.recorded.len());
            let (sender, datagram) = &self.recorded[at];
            let (sender, mut datagram) = (*sender, datagram.clone());
            let what = match self.random.index(4) {
                0 => "recorded",
                1 => {
                    let bit = self.random.index(datagram.len() * 8);
                    datagram[bit / 8] ^= 1 << (bit % 8);
                    "bent"
                }
                2 => {
                    let len = self.random.index(datagram.len());
                    datagram.truncate(len);
                    "cut"
                }
                _ => {
                    let mask = self.random.number() as u8 | 1;
                    datagram[6..].iter_mut().for_each(|byte| *byte ^= mask);
                    "forged"
                }
            };
            self.bytes += datagram.len() as u64;
            *self.sent.entry(what).or_default() += 1;
            self.attacker.say(&datagram);
            if self.random.index(10) == 0 {
                self.attacker.say_to(&datagram, sender);
            }
        }
    }
}

/// One burst a millisecond: ten times the data of 24 Mbit/s, as three of four are of full or nearly full length.
const FLOOD_BURST: u32 = 24;
const RECORDED_MAX: usize = 4_096;
