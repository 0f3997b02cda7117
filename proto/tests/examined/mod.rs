//! A world for diagnoses: the real machines of both sides, under virtual time. Hosts hear the group or not, live on
//! islands that the group does not reach, are off, or have a wrong clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::agree::StartSecret;
use glancecast_proto::doctor::{
    Counters, Evidence, Examiner, ExaminerConfig, Extent, Gauge, SenderEvidence, Way,
};
use glancecast_proto::ids::HostName;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::query::{Lookup, Probed, Responder, ResponderConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::Expected;
use glancecast_proto::senders::Senders;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{Kind, Step};

/// How a host hears the group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ear {
    /// All that reaches its network.
    Open,
    /// Nothing until it joins again.
    Forgotten,
    /// Nothing.
    Deaf,
}

/// A host, and what is wrong with it.
pub(crate) struct Host {
    responder: Responder,
    pub(crate) address: SocketAddr,
    pub(crate) ear: Ear,
    /// The network that it is in, if the sender's multicast does not reach that.
    pub(crate) island: Option<u8>,
    pub(crate) can_relay: bool,
    pub(crate) is_off: bool,
    pub(crate) wall_ms: i64,
    pub(crate) lost_of_group_percent: u32,
    /// Whether what leaves in batches does not reach it.
    pub(crate) loses_batches: bool,
    heard_of_group: u64,
    came: u64,
    before: u64,
}

/// A sender, its hosts, and what was sent.
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) config: ExaminerConfig,
    pub(crate) examiner: Examiner,
    /// By number, from 1.
    hosts: BTreeMap<usize, Host>,
    out: Vec<u8>,
    pub(crate) probes: u64,
    /// Probes that hosts have passed on.
    pub(crate) passed_on: u64,
    pub(crate) busiest_ms: u32,
}

impl World {
    pub(crate) fn new(count: usize, extent: Extent) -> Self {
        let hosts: BTreeMap<usize, Host> = (1..=count).map(|number| (number, Host::new(number))).collect();
        let names: BTreeSet<HostName> = hosts.keys().map(|&number| name(number)).collect();
        let config = ExaminerConfig {
            key: group(),
            signer: None,
            known: KnownHosts::default(),
            seed: [3; 32],
            reply_to: sender(),
            answer_bytes_max: 1_252,
            started: STARTED,
            expected: Expected::Named(names),
            addresses: BTreeMap::new(),
            ttl: 1,
            is_routed: false,
            lengths: vec![548, 1_252, 1_472],
            extent,
            rates: Vec::new(),
        };
        let now = Moment::default();
        let examiner = Examiner::new(now, config.clone());
        let (out, probes, passed_on, busiest_ms) = (Vec::new(), 0, 0, 0);
        Self { now, config, examiner, hosts, out, probes, passed_on, busiest_ms }
    }

    pub(crate) fn host(&mut self, number: usize) -> &mut Host {
        self.hosts.get_mut(&number).expect("a host")
    }

    /// Puts hosts on an island, where they have other addresses.
    pub(crate) fn strand(&mut self, numbers: impl IntoIterator<Item = usize>, island: u8) {
        for number in numbers {
            let host = self.host(number);
            host.island = Some(island);
            host.address = SocketAddr::from(([10, 9, island, (number % 250) as u8], 7167));
        }
    }

    /// Begins anew with the addresses that the hosts have by now.
    pub(crate) fn begin(&mut self) {
        let addresses = self.hosts.iter().map(|(&number, host)| (name(number), host.address));
        self.config.addresses = addresses.collect();
        self.examiner = Examiner::new(self.now, self.config.clone());
    }

    /// Runs to the end and returns the time that it took.
    pub(crate) fn run(&mut self) -> Duration {
        self.begin();
        while !self.examiner.is_finished() {
            self.step();
            assert!(self.now < Moment::from_micros(60_000_000), "at {:?} still", self.examiner.stage());
        }
        self.now.since(Moment::default())
    }

    /// Lets a millisecond pass.
    pub(crate) fn step(&mut self) {
        let (mut sent, mut is_batch) = (0, false);
        while let Some(outgoing) = self.examiner.poll_transmit(self.now, &mut self.out) {
            self.probes += u64::from(outgoing.kind == Kind::Probe);
            sent += 1;
            is_batch |= outgoing.is_followed;
            let datagram = std::mem::take(&mut self.out);
            match outgoing.to {
                Some(to) => {
                    let is_it = |(_, host): &(&usize, &Host)| host.address == to;
                    let number = self.hosts.iter().find(is_it).map(|(&number, _)| number);
                    self.deliver(number.expect("an address"), Way::Unicast, &datagram);
                }
                None => {
                    for number in 1..=self.hosts.len() {
                        let host = self.host(number);
                        if host.island.is_none() && !(host.loses_batches && is_batch) {
                            self.deliver(number, Way::Group, &datagram);
                        }
                    }
                }
            }
            is_batch &= outgoing.is_followed;
            self.out = datagram;
        }
        self.busiest_ms = self.busiest_ms.max(sent);
        let mut answers = Vec::new();
        for host in self.hosts.values_mut() {
            host.responder.handle_timeout(self.now);
            host.examine(self.now);
            while host.responder.poll_transmit(self.now, &mut self.out).is_some() {
                answers.push((host.address, self.out.clone()));
            }
        }
        for (from, answer) in answers {
            let _ = self.examiner.handle_datagram(self.now, from, &answer);
        }
        self.now = self.now + Duration::from_millis(1);
    }

    fn deliver(&mut self, number: usize, way: Way, datagram: &[u8]) {
        let now = self.now;
        let host = self.host(number);
        if host.is_off || way == Way::Group && host.ear != Ear::Open {
            return;
        }
        if Kind::peek(datagram) == Some(Kind::Probe) {
            if way == Way::Group {
                host.heard_of_group += 1;
                if host.heard_of_group % 100 < u64::from(host.lost_of_group_percent) {
                    return;
                }
                host.came += 1;
            }
            let island = host.island;
            if host.responder.handle_probe(way, datagram) == Ok(Probed::ToPassOn) {
                self.passed_on += 1;
                for other in (1..=self.hosts.len()).filter(|&other| other != number) {
                    if self.host(other).island == island {
                        self.deliver(other, Way::Group, datagram);
                    }
                }
            }
            return;
        }
        let wall = (STARTED.0 + now.micros() / 1_000).checked_add_signed(host.wall_ms).expect("a time");
        let _ = host.responder.handle_datagram(now, WallClock(wall), sender(), datagram);
        host.examine(now);
    }

    pub(crate) fn evidence(&self) -> Evidence {
        let sender = SenderEvidence {
            interface: "eth0".into(),
            reply_to: Some(sender()),
            group: Some(([239, 255, 71, 67], 7167).into()),
            mtu: 1500,
            ttl: 1,
            prefix: Some(16),
            ..SenderEvidence::default()
        };
        Evidence { sender, hosts: self.examiner.hosts(), sent: self.examiner.sent() }
    }
}

impl Host {
    fn new(number: usize) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let start: [u8; 16] = seed[..16].try_into().expect("16 bytes");
        let responder = Responder::new(ResponderConfig {
            name: name(number),
            software: "test".into(),
            keys: Keyring::of(vec![group()]),
            host_key: SigningKey::from_seed(&seed.into()),
            secret: StartSecret::new(seed),
            senders: Senders::any(),
            start,
            seed,
            started: WallClock(STARTED.0 - 60_000),
        });
        let address = SocketAddr::from(([10, 0, 1 + (number / 250) as u8, (number % 250) as u8], 7167));
        Self {
            responder,
            address,
            ear: Ear::Open,
            island: None,
            can_relay: true,
            is_off: false,
            wall_ms: 0,
            lost_of_group_percent: 0,
            loses_batches: false,
            heard_of_group: 0,
            came: 0,
            before: 0,
        }
    }

    /// Does what the shell of a host does with a step.
    fn examine(&mut self, now: Moment) {
        while let Some(lookup) = self.responder.poll_lookup() {
            let Lookup::Examine(id, examination) = lookup else { continue };
            let mut measured = Counters::default();
            match (examination.step, examination.train) {
                (Step::Report, _) => {
                    measured.set(Gauge::IpMulticastIn, self.came - self.before);
                    measured.set(Gauge::IpMulticastOut, 2);
                }
                (Step::PassOn, Some(train)) if self.can_relay => self.responder.handle_passing_on(train),
                (Step::PassOn, _) => {}
                (Step::JoinAgain, _) if self.ear == Ear::Forgotten => {
                    (self.ear, self.before) = (Ear::Open, self.came);
                }
                (Step::Snapshot | Step::JoinAgain, _) => self.before = self.came,
            }
            measured.set(Gauge::Mtu, 1500);
            self.responder.handle_measured(now, id, examination, measured);
        }
    }
}

fn name(number: usize) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

fn group() -> GroupKey {
    GroupKey::new([7; 32])
}

fn sender() -> SocketAddr {
    ([10, 0, 0, 1], 40_000).into()
}

const STARTED: WallClock = WallClock(1_700_000_000_000);
