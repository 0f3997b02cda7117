//! Hosts behind routers, as the sender hears of them.

use super::*;
use crate::ids::BlockIndex;
use crate::limits::PATHS_MAX;
use crate::sender::hosts::Expected;
use crate::sender::testing::{at, config};
use crate::units::Rate;
use glancecast_fec::Esi;

#[test]
fn hosts_that_the_group_reaches_need_nothing() {
    let mut net = Net::new(&[]);
    net.hosts.extend((0..3).map(|n| Fake::new(0, n)));
    net.hosts.iter_mut().for_each(|host| host.hears_sender = true);
    net.run(0, 1_000);
    assert!(!net.paths.has_members() && net.paths.next_lease(at(1_000)).is_none());
    assert_eq!((net.paths.copies(), net.paths.addrs().all()), (1, PathSet::of(0)));
}

#[test]
fn one_host_of_a_segment_relays_and_the_others_hear_it() {
    let mut net = Net::new(&[(1, 4), (2, 3)]);
    net.run(0, 1_500);
    let relays: Vec<u8> = net.relays().iter().map(|relay| relay.0).collect();
    assert_eq!(relays, [1, 2], "one in each segment");
    assert!(net.hosts.iter().all(|host| net.paths.is_served(host.id())));
    assert_eq!(net.paths.copies(), 2, "nobody hears the sender's own group");
    assert!(!net.paths.is_settling());
    let view = net.paths.view();
    let hosts: Vec<u32> =
        view.rows.iter().filter_map(|row| row.segment.as_ref()).map(|segment| segment.hosts).collect();
    assert_eq!((view.copies, hosts.iter().sum::<u32>()), (2, 7));
}

#[test]
fn hosts_that_hear_no_relay_are_served_one_by_one() {
    let mut net = Net::new(&[(1, 5)]);
    net.is_mute = true;
    net.run(0, 2_500);
    assert!(net.relays().iter().all(|relay| relay.1.is_none()), "none multicasts any more");
    assert!(net.hosts.iter().all(|host| net.paths.tree.get(host.id()).is_some()));
    assert_eq!(net.paths.tree.by_level().len(), 5);
    assert!(!net.paths.is_settling());
}

#[test]
fn a_host_that_is_alone_in_its_segment_is_served_by_itself() {
    let mut net = Net::new(&[(1, 1)]);
    net.run(0, 1_000);
    assert_eq!((net.relays().len(), net.paths.copies()), (0, 1));
    assert!(net.paths.is_served(net.hosts[0].id()));
}

#[test]
fn another_host_takes_the_place_of_a_relay_that_is_gone() {
    let mut net = Net::new(&[(1, 4)]);
    net.run(0, 1_500);
    net.paths.note_begun();
    let first = net.relays()[0].0;
    let gone = net.relay_at();
    net.hosts[gone].is_dead = true;
    net.run(1_500, 3_900);
    let next = net.relay_at();
    assert!(next != gone, "{first}");
    let lost = net.events.iter().find_map(|event| match event {
        SenderEvent::RelayLost { served, fault, next } => Some((served.relay.clone(), *fault, next.clone())),
        _ => None,
    });
    let expected = (net.hosts[gone].name(), RelayFault::Silent, Some(net.hosts[next].name()));
    assert_eq!(lost, Some(expected));
    let living = net.hosts.iter().filter(|host| !host.is_dead);
    assert!(living.into_iter().all(|host| net.paths.is_served(host.id())));
}

#[test]
fn where_no_other_host_relays_those_behind_it_are_named_with_the_cause_or_served_alone() {
    let mut net = Net::new(&[(1, 3)]);
    net.hosts[1].can_relay = false;
    net.hosts[2].can_relay = false;
    net.run(0, 1_500);
    net.paths.note_begun();
    net.hosts[0].is_dead = true;
    net.run(1_500, 6_000);
    let ways = net.paths.ways();
    assert_eq!(ways[&net.hosts[0].name()].lost, Some(RelayFault::Silent));
    for host in &net.hosts[1..] {
        let way = &ways[&host.name()];
        assert!(way.lost.is_some() || way.via == Some(Via::Unicast), "{way:?}");
    }
}

#[test]
fn the_later_of_two_relays_in_one_segment_is_withdrawn() {
    // Two network prefixes, and one segment.
    let mut net = Net::new(&[(1, 3), (2, 3)]);
    net.hosts.iter_mut().for_each(|host| host.segment = 1);
    net.run(0, 3_000);
    assert_eq!(net.relays().iter().filter(|relay| relay.1.is_some()).count(), 1);
    assert!(net.hosts.iter().all(|host| net.paths.is_served(host.id())), "{:?}", net.paths.view());
}

#[test]
fn hosts_that_the_configuration_does_not_name_belong_to_the_rack_with_relays_in_their_prefix() {
    let mut net = Net::new(&[(1, 4), (2, 4)]);
    net.configure(&[(1, 1), (2, 1)]);
    net.run(0, 1_500);
    assert_eq!(net.relays().len(), 2, "only the racks' relays have a lease: {:?}", net.paths.view());
    assert_eq!(net.paths.segments.len(), 2);
    assert!(net.hosts.iter().all(|host| net.paths.is_served(host.id())));
}

#[test]
fn racks_within_one_prefix_are_told_apart_by_what_their_hosts_hear() {
    let mut net = Net::new(&[(1, 9)]);
    net.hosts.iter_mut().for_each(|host| host.segment = host.number % 3);
    net.configure(&[(1, 3)]);
    net.run(0, 2_500);
    let relays: Vec<u8> =
        net.hosts.iter().filter(|host| net.is_leased(host)).map(|host| host.number).collect();
    assert_eq!(relays, [0, 1, 2], "{:?}", net.paths.view());
    for host in &net.hosts {
        let relay = net.paths.relay_of(host.id()).map(|relay| relay.0[1]);
        assert_eq!(relay, Some(host.number % 3).filter(|_| host.number > 2), "{}", host.name());
    }
}

#[test]
fn a_host_of_a_rack_that_hears_no_relay_gets_its_copy_from_the_relay() {
    let mut net = Net::new(&[(1, 4), (2, 4)]);
    net.configure(&[(1, 1), (2, 1)]);
    net.hosts[3].segment = 9;
    net.run(0, 2_500);
    let parent = net.paths.tree.get(net.hosts[3].id()).and_then(|node| node.parent);
    assert_eq!(parent, Some(net.hosts[0].id()), "{:?}", net.paths.view());
    assert_eq!(net.relays().len(), 2);
}

#[test]
fn repairs_go_to_the_racks_that_have_asked() {
    let racks: Vec<(u8, u8)> = (1..=50).map(|rack| (rack, 2)).collect();
    let mut net = Net::new(&racks);
    net.paths = Paths::new(at(0), &net.config(10_000), 1 << 33);
    net.run(0, 2_000);
    assert!(net.paths.copies() > 1 && net.hosts.iter().all(|host| net.paths.is_served(host.id())));
    net.paths.note_begun();
    let lossy = net.hosts.iter().find(|host| host.net == 7).expect("a host of rack 7").id();
    let run = |first| DeficitRun { first: BlockIndex(first), blocks: 1, symbols: 22 };
    net.paths.note_deficit(lossy, run(3));
    let repair =
        |block| Job::Repair { block: BlockIndex(block), first: Esi::new(800).expect("small"), count: 22 };
    net.paths.note_handed_out(repair(3), false);
    let To::Paths(aim) = net.paths.aim(repair(3)) else { panic!("it goes to everyone") };
    assert_eq!((aim.len(), aim), (1, net.paths.paths_to(lossy)), "one copy");
    net.paths.note_handed_out(repair(4), false);
    assert_eq!(net.paths.aim(repair(4)), To::Everyone, "of this block nobody has asked for anything");
}

#[test]
fn without_relays_each_host_gets_a_copy_up_to_the_largest_number_of_paths() {
    let mut net = Net::new(&[(1, 100)]);
    let mut config = net.config(1_000);
    config.reach.relays = false;
    net.paths = Paths::new(at(0), &config, 1 << 33);
    net.run(0, 1_500);
    assert!(net.relays().is_empty());
    assert!((50..=PATHS_MAX).contains(&net.paths.copies()), "{}", net.paths.copies());
}

/// Hosts, and what each of them hears.
struct Net {
    paths: Paths,
    hosts: Vec<Fake>,
    /// No segment carries multicast.
    is_mute: bool,
    events: Vec<SenderEvent>,
    acks: u64,
    forwarded: u64,
}

struct Fake {
    net: u8,
    segment: u8,
    number: u8,
    can_relay: bool,
    hears_sender: bool,
    is_dead: bool,
    greeted: bool,
    via: Option<SocketAddr>,
}

impl Net {
    fn new(nets: &[(u8, u8)]) -> Self {
        let hosts =
            nets.iter().flat_map(|&(net, hosts)| (0..hosts).map(move |n| Fake::new(net, n))).collect();
        let mut net = Self {
            paths: Paths::new(at(0), &config(Expected::Anyone), 1),
            hosts,
            is_mute: false,
            events: Vec::new(),
            acks: 0,
            forwarded: 0,
        };
        net.paths = Paths::new(at(0), &net.config(1_000), 1 << 33);
        net
    }

    fn config(&self, mbit: u32) -> SenderConfig {
        let hosts = self.hosts.iter().map(|host| (host.name(), host.addr())).collect();
        SenderConfig {
            reach: Reach { group: Some(GROUP.into()), hosts, relays: true, ..Reach::default() },
            pace: Pace::Auto { max: Rate::mbit(mbit) },
            expected: Expected::Named(self.hosts.iter().map(Fake::name).collect()),
            ..config(Expected::Anyone)
        }
    }

    /// Configures racks, each with one relay: of each network, its first hosts.
    fn configure(&mut self, relays: &[(u8, u8)]) {
        let of_net = |&(net, relays): &(u8, u8)| (0..relays).map(move |n| Fake::new(net, n));
        let rack = |relay: Fake| Segment {
            name: format!("rack-{}-{}", relay.net, relay.number),
            relays: vec![relay.addr()],
            uplink: Some(1_000_000_000),
            multicast: true,
            hosts: Vec::new(),
        };
        let mut config = self.config(1_000);
        config.reach.segments = relays.iter().flat_map(of_net).map(rack).collect();
        self.paths = Paths::new(at(0), &config, 1 << 33);
    }

    fn is_leased(&self, host: &Fake) -> bool {
        self.paths.leases.get(host.id()).is_some()
    }

    /// The relays, with their groups.
    fn relays(&self) -> Vec<(u8, Option<SocketAddr>)> {
        let leased =
            |host: &Fake| self.paths.leases.get(host.id()).map(|lease| (host.net, lease.terms.group));
        self.hosts.iter().filter_map(leased).collect()
    }

    fn relay_at(&self) -> usize {
        let leased =
            |host: &Fake| self.paths.leases.get(host.id()).is_some_and(|lease| lease.terms.group.is_some());
        self.hosts.iter().position(leased).expect("there is a relay")
    }

    /// Polls every 50 ms from one millisecond to another; relays acknowledge as often.
    fn run(&mut self, from: u64, to: u64) {
        for ms in (from..to).step_by(5) {
            let now = at(ms);
            if ms % 50 == 0 && ms >= 50 {
                self.paths.note_poll(now, Duration::ZERO);
                self.answer(now);
            }
            let heard = self.hosts.iter().filter(|host| host.greeted).count() as u32;
            self.paths.handle_timeout(now, heard, false);
            while self.paths.next_lease(now).is_some() {}
            self.events.extend(std::iter::from_fn(|| self.paths.next_event()));
        }
    }

    fn answer(&mut self, now: Moment) {
        let multicasting: Vec<(u8, SocketAddr)> = self
            .hosts
            .iter()
            .filter(|host| !host.is_dead)
            .filter_map(|host| {
                let lease = self.paths.leases.get(host.id()).filter(|lease| lease.acked.is_some())?;
                lease.terms.group.map(|_| (host.segment, host.addr()))
            })
            .collect();
        self.forwarded += 20;
        for host in self.hosts.iter_mut().filter(|host| !host.is_dead) {
            let heard =
                multicasting.iter().find(|&&(segment, from)| segment == host.segment && from != host.addr());
            match heard {
                _ if host.hears_sender => host.via = Some(SENDER.into()),
                Some(&(_, from)) if !self.is_mute => host.via = Some(from),
                _ => {}
            }
            let (id, name, addr) = (host.id(), host.name(), host.addr());
            let report = host.greeted.then_some(Reported {
                is_proven: true,
                forged: 0,
                bytes: 9_000 * self.forwarded,
            });
            self.paths.note(now, id, &name, Word { addr, via: host.via, report });
            if !std::mem::replace(&mut host.greeted, true) {
                self.paths.note_hello(now, id, &name, host.can_relay);
            }
            if let Some(generation) = self.paths.leases.get(id).map(|lease| lease.generation) {
                self.acks += 1;
                let ack = RouteAck {
                    generation,
                    forwarded: self.forwarded,
                    came: self.forwarded,
                    ..RouteAck::default()
                };
                self.paths.take_ack(now, id, Sequence::new(self.acks).expect("small"), ack);
            }
        }
    }
}

impl Fake {
    fn new(net: u8, number: u8) -> Self {
        Self {
            net,
            segment: net,
            number,
            can_relay: true,
            hears_sender: false,
            is_dead: false,
            greeted: false,
            via: None,
        }
    }

    fn id(&self) -> ReceiverId {
        ReceiverId([self.net, self.number, 0, 0, 0, 0, 0, 0])
    }

    fn name(&self) -> HostName {
        HostName::new(&format!("compute-{}-{}", self.net, self.number)).expect("plain")
    }

    fn addr(&self) -> SocketAddr {
        ([10, 0, self.net, 10 + self.number], 7167).into()
    }
}

const GROUP: ([u8; 4], u16) = ([239, 255, 71, 67], 7167);
const SENDER: ([u8; 4], u16) = ([10, 0, 0, 1], 7167);
