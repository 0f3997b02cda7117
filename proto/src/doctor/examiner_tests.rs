//! Whole diagnoses with the real machines of both sides, under virtual time: what a thousand hosts cost, and what is
//! found where some of them hear nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::agree::StartSecret;
use crate::ids::HostName;
use crate::keyring::Keyring;
use crate::known::KnownHosts;
use crate::query::{Lookup, Responder, ResponderConfig};
use crate::seal::GroupKey;
use crate::sender::Expected;
use crate::senders::Senders;
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Kind, Step};

#[test]
fn a_thousand_sound_hosts_take_seconds_and_no_more_than_the_stated_datagrams() {
    let mut world = World::new(1_000, Extent::Whole);
    let time = world.run();
    assert_eq!(findings(&world.evidence()), []);
    assert!(time < Duration::from_secs(10), "{time:?}");
    let (datagrams, bytes) = world.examiner.sent();
    let (most_datagrams, most_bytes) = world.config.bounds(1_000);
    // Acknowledgements: two pages of each of two answers.
    assert!(datagrams <= most_datagrams + 6_000 && bytes <= most_bytes + 6_000 * 200, "{datagrams}, {bytes}");
    assert!(world.busiest_ms <= 64, "{} datagrams in a millisecond", world.busiest_ms);
    println!("{datagrams} datagrams, {bytes} bytes in {time:?}");
}

#[test]
fn of_a_thousand_hosts_the_forgotten_the_deaf_the_late_and_the_refusing_are_told_apart() {
    let mut world = World::new(1_000, Extent::Whole);
    for number in 1..=40 {
        world.host(number).ear = Ear::Forgotten;
    }
    for number in 41..=43 {
        world.host(number).ear = Ear::Deaf;
    }
    for number in 100..=199 {
        world.host(number).wall_ms = -3_600_000;
    }
    world.host(500).is_off = true;
    world.host(600).lost_of_group_percent = 60;
    let time = world.run();
    assert!(time < Duration::from_secs(30), "{time:?}");
    let found = findings(&world.evidence());
    let rows: Vec<String> = found.iter().map(|row| format!("{} {}", row.id, folded(&row.hosts))).collect();
    let expected = [
        "M01 compute-[1-40]",
        "M05 compute-[41-43]",
        "M24 compute-[100-199]",
        "M35 compute-500",
        "M11 compute-600",
    ];
    assert_eq!(rows, expected);
    // The summary fits a screen.
    assert!(found.iter().map(|row| 3 + row.mends.len()).sum::<usize>() < 40);
}

#[test]
fn the_reach_step_alone_takes_a_second_and_moves_nothing_but_queries() {
    let mut world = World::new(20, Extent::Reach);
    world.host(3).ear = Ear::Deaf;
    let time = world.run();
    assert!(time <= Duration::from_millis(1_200), "{time:?}");
    assert_eq!(world.probes, 0);
    let hosts = world.examiner.hosts();
    assert!(hosts.iter().all(HostEvidence::answered), "{hosts:?}");
    let late: Vec<&str> =
        hosts.iter().filter(|host| !host.answered_the_group).map(|host| host.name.as_str()).collect();
    assert_eq!(late, ["compute-3"], "it is asked at its own address");
}

#[test]
fn a_diagnosis_that_is_stopped_tells_what_it_knows() {
    let mut world = World::new(5, Extent::Whole);
    while world.now < Moment::from_micros(600_000) {
        world.step();
    }
    world.examiner.handle_stop();
    assert!(world.examiner.is_finished());
    assert!(world.examiner.hosts().iter().all(|host| host.at_start.is_some()));
}

#[test]
fn rates_are_tried_one_after_the_other_and_no_faster_than_asked_for() {
    let mut world = World::new(3, Extent::Whole);
    world.config.rates = vec![10_000_000, 20_000_000];
    world.examiner = Examiner::new(world.now, world.config.clone());
    world.run();
    for host in world.examiner.hosts() {
        let rates: Vec<u64> = host.rates.iter().map(|(rate, _)| *rate).collect();
        assert_eq!(rates, [10_000_000, 20_000_000]);
        assert!(host.rates.iter().all(|(_, trial)| trial.heard(Way::Group).lost_percent() == 0));
    }
    assert!(world.busiest_ms <= 64, "{}", world.busiest_ms);
}

/// How a host hears the group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ear {
    Open,
    /// Until it joins again.
    Forgotten,
    Deaf,
}

struct Host {
    responder: Responder,
    address: SocketAddr,
    ear: Ear,
    is_off: bool,
    wall_ms: i64,
    lost_of_group_percent: u32,
    heard_of_group: u64,
    came: u64,
    before: u64,
}

struct World {
    now: Moment,
    config: ExaminerConfig,
    examiner: Examiner,
    /// By number, from 1.
    hosts: BTreeMap<usize, Host>,
    by_address: BTreeMap<SocketAddr, usize>,
    out: Vec<u8>,
    probes: u64,
    busiest_ms: u32,
}

impl World {
    fn new(count: usize, extent: Extent) -> Self {
        let mut hosts = BTreeMap::new();
        for number in 1..=count {
            hosts.insert(number, Host::new(number));
        }
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
            addresses: hosts.iter().map(|(&number, host)| (name(number), host.address)).collect(),
            ttl: 1,
            is_routed: false,
            lengths: vec![548, 1_252, 1_472],
            extent,
            rates: Vec::new(),
        };
        let now = Moment::default();
        let by_address = hosts.iter().map(|(&number, host)| (host.address, number)).collect();
        let examiner = Examiner::new(now, config.clone());
        Self { now, config, examiner, hosts, by_address, out: Vec::new(), probes: 0, busiest_ms: 0 }
    }

    fn host(&mut self, number: usize) -> &mut Host {
        self.hosts.get_mut(&number).expect("a host")
    }

    /// Runs to the end and returns the time that it took.
    fn run(&mut self) -> Duration {
        while !self.examiner.is_finished() {
            self.step();
            assert!(self.now < Moment::from_micros(60_000_000), "at {:?} still", self.examiner.stage());
        }
        self.now.since(Moment::default())
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        let mut sent = 0;
        while let Some(outgoing) = self.examiner.poll_transmit(self.now, &mut self.out) {
            self.probes += u64::from(outgoing.kind == Kind::Probe);
            sent += 1;
            let datagram = std::mem::take(&mut self.out);
            match outgoing.to {
                Some(to) => {
                    let number = self.by_address[&to];
                    self.deliver(number, Way::Unicast, &datagram);
                }
                None => (1..=self.hosts.len()).for_each(|number| self.deliver(number, Way::Group, &datagram)),
            }
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
        let host = self.hosts.get_mut(&number).expect("a host");
        if host.is_off || way == Way::Group && host.ear != Ear::Open {
            return;
        }
        let is_probe = Kind::peek(datagram) == Some(Kind::Probe);
        if is_probe && way == Way::Group {
            host.heard_of_group += 1;
            if host.heard_of_group % 100 < u64::from(host.lost_of_group_percent) {
                return;
            }
            host.came += 1;
        }
        let wall = WallClock(
            (STARTED.0 + self.now.micros() / 1_000).checked_add_signed(host.wall_ms).expect("a time"),
        );
        let _ = match is_probe {
            true => host.responder.handle_probe(way, datagram),
            false => host.responder.handle_datagram(self.now, wall, sender(), datagram),
        };
        host.examine(self.now);
    }

    fn evidence(&self) -> Evidence {
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
            is_off: false,
            wall_ms: 0,
            lost_of_group_percent: 0,
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
            if examination.step == Step::Report {
                measured.set(Gauge::IpMulticastIn, self.came - self.before);
                measured.set(Gauge::IpMulticastOut, 2);
            } else {
                self.before = self.came;
            }
            if examination.step == Step::JoinAgain && self.ear == Ear::Forgotten {
                self.ear = Ear::Open;
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
