//! A routed network, and what goes wrong in it.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::time::Moment;

use crate::sim::dice::Dice;

/// A network of segments between which no multicast is forwarded. Hosts are numbered: those of the sender's own segment
/// first, then those of each rack, then those that hear no multicast.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Hosts in the sender's own segment.
    pub near: u32,
    /// Racks that carry multicast, and the hosts in each.
    pub racks: u32,
    /// See `racks`.
    pub rack_hosts: u32,
    /// Hosts that hear no multicast, 40 to a network prefix.
    pub lonely: u32,
    /// Whether the sender uses multicast at all.
    pub group: bool,
    /// Of how many hosts one does not relay; 0 if all do.
    pub unwilling: u32,
    /// Bits in a second of each line.
    pub line: u64,
    /// The rate of one copy; `None` if it adapts.
    pub rate: Option<u64>,
    /// The time from one host to another.
    pub delay: Duration,
    /// The share of datagrams that each host loses.
    pub loss: f64,
    /// Bytes of the object.
    pub object_bytes: u64,
    /// Its blocks.
    pub block_log2: u8,
    /// Symbols that are one event.
    pub chunk: u32,
    /// Whether the push is signed.
    pub signed: bool,
    /// Chooses the losses.
    pub seed: u64,
}

impl Network {
    /// The number of hosts.
    pub fn hosts(&self) -> u32 {
        self.near + self.racks * self.rack_hosts + self.lonely
    }

    /// Returns the segment of a host: a rack, or a number beyond those for hosts that hear no multicast.
    pub(super) fn segment(&self, host: u32) -> Option<u32> {
        let behind = host.checked_sub(self.near)?;
        let racked = self.racks * self.rack_hosts;
        Some(if behind < racked { behind / self.rack_hosts } else { self.racks + (behind - racked) / 40 })
    }

    pub(super) fn carries_multicast(&self, host: u32) -> bool {
        self.segment(host).map_or(self.group, |segment| segment < self.racks)
    }

    pub(super) fn can_relay(&self, host: u32) -> bool {
        self.unwilling == 0 || !host.is_multiple_of(self.unwilling)
    }

    /// Returns the address of a host: each segment has a prefix of its own.
    pub fn address(&self, host: u32) -> SocketAddr {
        let net = self.segment(host).map_or(0, |segment| segment + 1);
        let first = match self.segment(host) {
            None => 0,
            Some(segment) if segment < self.racks => self.near + segment * self.rack_hosts,
            Some(segment) => self.near + self.racks * self.rack_hosts + (segment - self.racks) * 40,
        };
        ([10, (net >> 8) as u8, net as u8, (host - first + 10) as u8], 7167).into()
    }

    pub(super) fn sender(&self) -> SocketAddr {
        ([10, 0, 0, 1], 7167).into()
    }

    /// Whether it is one of the large ones, of which only the time is of interest.
    pub(super) fn is_large(&self) -> bool {
        self.chunk == u32::MAX
    }

    /// The longest time that a push may take here.
    pub(super) fn longest(&self) -> Duration {
        let line = Duration::from_secs_f64(8.0 * self.object_bytes as f64 / self.line as f64);
        Duration::from_secs(40) + 20 * line
    }
}

/// What goes wrong in a push.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// When hosts die, and which.
    pub deaths: Vec<(Moment, usize)>,
    /// Hosts that lose more of what comes by unicast, and the share.
    pub lossy: Vec<(usize, f64)>,
    /// Hosts that forward slowly, in bits a second.
    pub slow: Vec<(usize, u64)>,
    /// Hosts that send symbols that do not open when they relay.
    pub liars: Vec<usize>,
    /// When the sender crashes and begins anew.
    pub sender_restarts: Option<Moment>,
}

impl Trouble {
    pub(super) fn lives(&self, host: usize) -> bool {
        self.deaths.iter().all(|&(_, dead)| dead != host)
    }

    /// Returns the hosts that are dead by now.
    pub(super) fn due(&self, now: Moment) -> Vec<usize> {
        self.deaths.iter().filter(|&&(at, _)| at <= now).map(|&(_, host)| host).collect()
    }

    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        let deaths = self.deaths.iter().map(|&(at, _)| at);
        deaths.chain(self.sender_restarts).filter(|&at| at > now).min()
    }

    pub(super) fn uplink_loss(&self, host: usize) -> f64 {
        self.lossy.iter().find(|&&(lossy, _)| lossy == host).map_or(0.0, |&(_, share)| share)
    }

    pub(super) fn pace(&self, host: usize) -> Option<u64> {
        self.slow.iter().find(|&&(slow, _)| slow == host).map(|&(_, pace)| pace)
    }

    pub(super) fn lies(&self, host: usize) -> bool {
        self.liars.contains(&host)
    }
}

/// Returns the push that a seed draws.
pub(super) fn draw(seed: u64) -> (Network, Trouble) {
    let mut dice = Dice::new(seed);
    let group = dice.below(5) > 0;
    let network = Network {
        near: if group { dice.below_u32(4) } else { 0 },
        racks: if group { dice.below_u32(4) } else { 0 },
        rack_hosts: 2 + dice.below_u32(4),
        lonely: 1 + dice.below_u32(7),
        group,
        unwilling: if dice.below(4) == 0 { 3 } else { 0 },
        line: [5, 20, 100][dice.index(3)] * 1_000_000,
        rate: None,
        delay: Duration::from_micros(50 + dice.below(3_000)),
        loss: [0.0, 0.001, 0.01, 0.05][dice.index(4)],
        object_bytes: 20_000 + dice.below(6_000_000),
        block_log2: 19,
        chunk: 8,
        signed: dice.below(2) == 0,
        seed,
    };
    // A rate that adapts takes losses of 5 % at each level of a tree for congestion.
    let is_fixed = network.loss >= 0.05 || dice.below(2) == 0;
    let network = Network { rate: is_fixed.then_some(network.line / 4), ..network };
    let mut trouble = Trouble::default();
    let hosts = network.hosts() as usize;
    let line_time = Duration::from_secs_f64(8.0 * network.object_bytes as f64 / network.line as f64);
    let some = |dice: &mut Dice| dice.index(hosts);
    for _ in 0..dice.below(4) {
        let at = Moment::default() + dice.time(Duration::from_secs(1) + 2 * line_time);
        match dice.below(6) {
            // Not all of them.
            0 | 1 if trouble.deaths.len() + 1 < hosts / 2 => trouble.deaths.push((at, some(&mut dice))),
            2 => trouble.lossy.push((some(&mut dice), 0.1 + 0.2 * dice.unit())),
            3 => trouble.slow.push((some(&mut dice), network.line / (2 + dice.below(8)))),
            4 if network.unwilling == 0 => trouble.liars.push(some(&mut dice)),
            5 => trouble.sender_restarts = Some(at),
            _ => {}
        }
    }
    (network, trouble)
}
