//! The network between the sender and the hosts: a bottleneck that all share, and what each host loses and waits for.
//!
//! A loss is drawn from the seed, the host (or its rack) and the number of what is sent. So it does not matter when a
//! host is asked for it, and hosts of one rack lose the same.

use std::time::Duration;

use glancecast_proto::time::Moment;

use super::{Path, frame_bits};
use crate::sim::dice::{Binomial, Dice};

/// The network of one push.
pub(super) struct Fabric {
    bottleneck: Option<Bottleneck>,
    losses: Binomial,
    /// Whether anything is lost at all.
    is_lossy: bool,
    /// Datagrams that are lost in a row.
    burst: u32,
    /// Hosts that lose the same datagrams; 0 if each loses on its own.
    rack: u32,
    /// The most by which anything is delayed on its way to a host, beyond half of the round trip.
    jitter: Duration,
    seed: u64,
}

impl Fabric {
    pub(super) fn new(path: Path) -> Self {
        Self {
            bottleneck: path.bottleneck.map(|(rate, queue)| Bottleneck::new(rate, queue)),
            losses: Binomial::new(path.loss / f64::from(path.burst)),
            is_lossy: path.loss > 0.0,
            burst: path.burst,
            rack: path.rack,
            jitter: path.jitter,
            seed: path.seed,
        }
    }

    /// Passes `count` datagrams through the bottleneck at `at`; returns for how long they wait in its queue, and how many
    /// find no room in it.
    pub(super) fn pass(&mut self, at: Moment, count: u32, bytes: usize) -> (Duration, u32) {
        match &mut self.bottleneck {
            Some(bottleneck) => bottleneck.pass(at, count, frame_bits(bytes) as f64),
            None => (Duration::ZERO, 0),
        }
    }

    /// Returns how many of the `count` datagrams of this number a host loses.
    pub(super) fn lost(&mut self, host: u32, number: u64, count: u32) -> u32 {
        if !self.is_lossy {
            return 0;
        }
        let who = host.checked_div(self.rack).unwrap_or(host);
        let mut dice = self.dice(LOSS, who, number);
        (self.losses.draw(&mut dice, count) * self.burst).min(count)
    }

    /// Whether delays vary from host to host and from datagram to datagram.
    pub(super) fn has_jitter(&self) -> bool {
        !self.jitter.is_zero()
    }

    /// Returns by how much what is sent under this number is delayed on its way to a host.
    pub(super) fn jitter(&self, host: u32, number: u64) -> Duration {
        self.jitter.mul_f64(self.dice(DELAY, host, number).unit())
    }

    fn dice(&self, what: u64, who: u32, number: u64) -> Dice {
        Dice::new(what.wrapping_mul(self.seed + 1) ^ u64::from(who) << 40 ^ number)
    }
}

/// A queue that drains at one rate.
struct Bottleneck {
    rate: f64,
    /// The most bits in the queue.
    room: f64,
    queued: f64,
    /// The time for which `queued` holds.
    at: Moment,
}

impl Bottleneck {
    fn new(rate: u64, queue: Duration) -> Self {
        let rate = rate as f64;
        Self { rate, room: queue.as_secs_f64() * rate, queued: 0.0, at: Moment::default() }
    }

    fn pass(&mut self, at: Moment, count: u32, frame_bits: f64) -> (Duration, u32) {
        let drained = at.since(self.at).as_secs_f64() * self.rate;
        self.queued = (self.queued - drained).max(0.0);
        self.at = self.at.max(at);
        let room = ((self.room - self.queued) / frame_bits).max(0.0) as u32;
        let taken = count.min(room.max(u32::from(self.queued <= 0.0)));
        self.queued += f64::from(taken) * frame_bits;
        (Duration::from_secs_f64(self.queued / self.rate), count - taken)
    }
}

/// Separate the draws for losses from those for delays.
const LOSS: u64 = 0xD6E8_FEB8_6659_FD93;
const DELAY: u64 = 0xA076_1D64_78BD_642F;
