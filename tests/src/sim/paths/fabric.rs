//! The network between the sender and the hosts: a bottleneck that all share, and what each host loses.

use std::time::Duration;

use glancecast_proto::time::Moment;

use super::{Path, frame_bits};
use crate::sim::dice::{Binomial, Dice};

/// The network of one push.
pub(super) struct Fabric {
    bottleneck: Option<Bottleneck>,
    losses: Binomial,
    /// Datagrams that are lost in a row.
    burst: u32,
    /// Hosts that lose the same datagrams; 0 if each loses on its own.
    rack: u32,
    /// What each rack loses of the datagrams that are being delivered.
    racks: Vec<u32>,
    dice: Dice,
}

impl Fabric {
    pub(super) fn new(path: Path) -> Self {
        let racks = if path.rack > 0 { path.hosts.div_ceil(path.rack) as usize } else { 0 };
        Self {
            bottleneck: path.bottleneck.map(|(rate, queue)| Bottleneck::new(rate, queue)),
            losses: Binomial::new(path.loss / f64::from(path.burst)),
            burst: path.burst,
            rack: path.rack,
            racks: vec![0; racks],
            dice: Dice::new(path.seed ^ 0x00FA_B21C),
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

    /// Draws what racks lose of `count` datagrams, before each host is asked for what it loses of them.
    pub(super) fn draw(&mut self, count: u32) {
        for rack in 0..self.racks.len() {
            self.racks[rack] = self.draw_one(count);
        }
    }

    /// Returns how many of `count` datagrams a host loses.
    pub(super) fn lost(&mut self, host: usize, count: u32) -> u32 {
        match self.rack {
            0 => self.draw_one(count),
            rack => self.racks[host / rack as usize],
        }
    }

    fn draw_one(&mut self, count: u32) -> u32 {
        (self.losses.draw(&mut self.dice, count) * self.burst).min(count)
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
