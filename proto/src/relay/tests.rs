//! What a relay forwards, and what it never does.

use super::*;
use crate::seal::Cipher;
use crate::wire::{Down, End, SymbolHeader};
use glancecast_fec::Esi;
use zeroize::Zeroizing;

#[test]
fn a_relay_without_a_lease_forwards_nothing() {
    let mut relay = relay();
    assert_eq!(pass(&mut relay, at(0), PARENT, &symbol(1)), Err(Refused::NoLease));
    assert_eq!(relay.counts().came, 0);
}

#[test]
fn a_relay_forwards_to_its_group_and_its_children_what_its_parent_sends() {
    let mut relay = leased(route(1));
    let targets = pass(&mut relay, at(10), PARENT, &symbol(1)).expect("it is leased");
    assert_eq!(targets, (Some(GROUP), vec![CHILD]));
    let end = control(2);
    assert!(pass(&mut relay, at(11), PARENT, &end).is_ok(), "not only symbols");
    relay.note_sent(SESSION.tag(), 2, 1_500);
    let counts = relay.counts();
    assert_eq!((counts.came, counts.forwarded, counts.copies), (2, 2, 4));
}

#[test]
fn a_relay_forwards_nothing_after_its_lease_has_expired() {
    let mut relay = leased(route(1));
    assert!(pass(&mut relay, at(2_999), PARENT, &symbol(1)).is_ok());
    assert_eq!(pass(&mut relay, at(3_000), PARENT, &symbol(2)), Err(Refused::Expired));
    renew(&mut relay, at(3_100), &route(1), 2).expect("the receiver has left, and the lease is known");
    assert!(pass(&mut relay, at(3_200), PARENT, &symbol(3)).is_ok());
}

#[test]
fn only_the_leases_parent_is_forwarded() {
    let mut relay = leased(route(1));
    for foreign in ["10.0.0.9:7167", "10.0.0.1:7168"] {
        let from = foreign.parse().expect("an address");
        assert_eq!(pass(&mut relay, at(1), from, &symbol(1)), Err(Refused::ForeignParent));
    }
    assert_eq!(relay.counts().refused.of(Refused::ForeignParent), 2);
}

#[test]
fn what_came_before_is_not_forwarded_again() {
    let mut relay = leased(route(1));
    let first = symbol(10);
    assert!(pass(&mut relay, at(1), PARENT, &first).is_ok());
    assert_eq!(pass(&mut relay, at(2), PARENT, &first), Err(Refused::Replayed));
    assert_eq!(
        pass(&mut relay, at(2), PARENT, &symbol(9)),
        Err(Refused::Replayed),
        "it may have come before"
    );
    assert!(pass(&mut relay, at(3), PARENT, &symbol(70_000)).is_ok());
    assert!(pass(&mut relay, at(4), PARENT, &symbol(69_999)).is_ok(), "it was only late");
    assert_eq!(pass(&mut relay, at(5), PARENT, &symbol(69_999)), Err(Refused::Replayed));
    assert_eq!(pass(&mut relay, at(5), PARENT, &symbol(11)), Err(Refused::Replayed), "too old to tell");
}

#[test]
fn what_the_sessions_key_does_not_open_is_not_forwarded() {
    let mut relay = leased(route(1));
    let mut damaged = symbol(5);
    damaged[30] ^= 1;
    assert_eq!(pass(&mut relay, at(1), PARENT, &damaged), Err(Refused::Unopened));
    let mut announced = symbol(6);
    announced[1] = Kind::Poll as u8;
    assert_eq!(pass(&mut relay, at(1), PARENT, &announced), Err(Refused::Unopened));
    assert!(pass(&mut relay, at(1), PARENT, &symbol(5)).is_ok(), "a forgery takes no number away");
}

#[test]
fn nothing_is_admitted_by_the_opening_of_another_datagram() {
    let mut relay = leased(route(1));
    let (one, other) = (symbol(1), symbol(2));
    let candidate = relay.expects(at(1), PARENT, &one).expect("it would be forwarded");
    let second = relay.expects(at(1), PARENT, &other).expect("it would be forwarded");
    let opened = relay.open(&second, &other, &mut [0; 2_000]).expect("the session's");
    assert_eq!(relay.admit(at(1), candidate, opened).err(), Some(Refused::Unopened));
}

#[test]
fn what_is_for_one_host_alone_is_never_forwarded() {
    let mut relay = leased(route(1));
    let mut word = symbol(Sequence::FOR_SOME + 1);
    assert!(pass(&mut relay, at(1), PARENT, &word).is_ok(), "a symbol that some hosts lack");
    for kind in [Kind::Ack, Kind::Poll, Kind::Route, Kind::Hello, Kind::Ask] {
        word[1] = kind as u8;
        assert_eq!(pass(&mut relay, at(2), PARENT, &word), Err(Refused::Kind), "{kind}");
    }
}

#[test]
fn a_lease_is_taken_only_for_a_session_that_the_host_is_in_and_from_its_sender() {
    let mut relay = relay();
    let good = sealed(&route(1), 1, Some(&sender_key()));
    assert_eq!(relay.handle_route(at(0), WALL, None, &good), Err(Refused::NotInSession));
    let elsewhere = Membership { session: SessionId([9; 16]), ..member() };
    assert_eq!(relay.handle_route(at(0), WALL, Some(elsewhere), &good), Err(Refused::NotInSession));
    for signer in [None, Some(key(8))] {
        let bad = sealed(&route(1), 1, signer.as_ref());
        assert_eq!(relay.handle_route(at(0), WALL, Some(member()), &bad), Err(Refused::BadSignature));
    }
    let mut claimed = Route { time: WallClock(WALL.0 + 1), ..route(1) };
    claimed.generation = 9;
    let mut bent = sealed(&claimed, 1, Some(&sender_key()));
    bent[40] ^= 1;
    assert_eq!(relay.handle_route(at(0), WALL, Some(member()), &bent), Err(Refused::Unopened));
    let old = WallClock(WALL.0 + 600_000);
    assert_eq!(relay.handle_route(at(0), old, Some(member()), &good), Err(Refused::Stale));
    assert_eq!(relay.leases(at(0)).count(), 0);
    relay.handle_route(at(0), WALL, Some(member()), &good).expect("the sender's");
    assert_eq!(relay.leases(at(0)).count(), 1);
}

#[test]
fn a_lease_that_was_recorded_changes_nothing() {
    let mut relay = leased(route(3));
    for (generation, number) in [(3, 1), (2, 5), (4, 1)] {
        assert_eq!(renew(&mut relay, at(10), &route(generation), number), Err(Refused::Outdated));
    }
    let other = Route { children: vec![], group: None, ..route(4) };
    renew(&mut relay, at(20), &other, 6).expect("newer");
    assert_eq!(pass(&mut relay, at(21), PARENT, &symbol(1)), Ok((None, vec![])));
}

#[test]
fn leases_that_loop_pass_nothing_twice() {
    // Each has the other one as parent and as child.
    let (one, two) = (addr(21), addr(22));
    let lease = |parent, child| Route { parent, children: vec![child], group: None, ..route(1) };
    let mut relays = [leased(lease(two, addr(9))), leased(lease(one, addr(9)))];
    renew(&mut relays[0], at(1), &lease(addr(1), two), 2).expect("newer");
    let datagram = symbol(1);
    assert!(pass(&mut relays[0], at(2), addr(1), &datagram).is_ok());
    renew(&mut relays[0], at(3), &Route { generation: 2, ..lease(two, addr(9)) }, 3).expect("newer");
    assert!(pass(&mut relays[1], at(4), one, &datagram).is_ok());
    assert_eq!(pass(&mut relays[0], at(5), two, &datagram), Err(Refused::Replayed));
}

#[test]
fn a_lease_sends_nothing_back_to_its_parent_nor_to_what_is_no_host() {
    let children = ["10.0.0.1:7167", "239.1.1.1:7167", "255.255.255.255:7", "0.0.0.0:7", "10.0.0.7:0"];
    for child in children.map(|child| child.parse().expect("an address")) {
        let lease = sealed(&Route { children: vec![child], ..route(1) }, 1, Some(&sender_key()));
        let refused = relay().handle_route(at(0), WALL, Some(member()), &lease);
        assert!(matches!(refused, Err(Refused::BadChild | Refused::Malformed)), "{child}: {refused:?}");
    }
}

#[test]
fn a_host_relays_only_where_its_configuration_allows_it() {
    let lease = sealed(&route(1), 1, Some(&sender_key()));
    let mut off = Relay::new(RelayConfig { allowed: false, ..config() });
    assert_eq!(off.handle_route(at(0), WALL, Some(member()), &lease), Err(Refused::Off));
    let parents = |net: &str| RelayConfig { parents: vec![net.parse().expect("a network")], ..config() };
    let mut elsewhere = Relay::new(parents("192.0.2.0/24"));
    let refused = elsewhere.handle_route(at(0), WALL, Some(member()), &lease);
    assert_eq!(refused, Err(Refused::ParentNotAllowed));
    assert!(Relay::new(parents("10.0.0.0/8")).handle_route(at(0), WALL, Some(member()), &lease).is_ok());
}

#[test]
fn a_flood_of_leases_costs_a_bounded_number_of_checks() {
    let mut relay = leased(route(1));
    let leases: Vec<Vec<u8>> =
        (2..202).map(|number| sealed(&route(1), number, Some(&sender_key()))).collect();
    let taken = leases.iter().filter(|lease| relay.handle_route(at(1), WALL, None, lease).is_ok()).count();
    assert!(taken <= CHECKS.most as usize, "{taken}");
    assert!(relay.counts().refused.of(Refused::TooMany) > 100);
}

#[test]
fn a_relay_keeps_its_own_rate() {
    let mut relay = Relay::new(RelayConfig { rate_max: Some(10_000_000), ..config() });
    let lease = sealed(&route(1), 1, Some(&sender_key()));
    relay.handle_route(at(0), WALL, Some(member()), &lease).expect("the sender's");
    let mut passed = 0;
    for number in 0..10_000 {
        let now = Moment::from_micros(number * 100);
        passed += u64::from(pass(&mut relay, now, PARENT, &symbol(number)).is_ok());
    }
    let bits = passed * 2 * 8 * symbol(0).len() as u64;
    assert!((9_000_000..=10_500_000).contains(&bits), "{bits} bits left in a second");
    assert_eq!(relay.counts().dropped_rate, 10_000 - passed);
}

#[test]
fn a_relay_says_what_it_has_forwarded_as_long_as_it_is_leased() {
    let mut relay = leased(route(4));
    for number in [1, 2, 5] {
        pass(&mut relay, at(1), PARENT, &symbol(number)).expect("leased");
    }
    relay.note_sent(SESSION.tag(), 2, 3_000);
    relay.note_dropped(SESSION.tag(), 1);
    let mut out = Vec::new();
    let mut said = Vec::new();
    for ms in (0..6_000).step_by(10) {
        while let Some(to) = relay.poll_transmit(at(ms), &mut out) {
            assert_eq!(to, REPLY_TO);
            said.push(ms);
        }
    }
    assert_eq!(said, [0, 500, 1_000, 1_500, 2_000, 2_500]);
    assert_eq!(relay.poll_timeout(), None);
    let up = crate::wire::UpHeader::parse(&out).expect("an acknowledgement");
    let cipher = Cipher::upward(&group(), SESSION, RECEIVER);
    let scope = group().scope(SESSION);
    let (ack, by) = crate::wire::RouteAck::open(&cipher, scope, up, &out).expect("its own");
    assert_eq!(by, config().host_key.public());
    assert_eq!((ack.generation, ack.came, ack.forwarded, ack.dropped_queue), (4, 3, 2, 1));
}

#[test]
fn sessions_of_several_senders_are_relayed_side_by_side_up_to_a_limit() {
    let mut relay = relay();
    let lease = |number: u8| {
        let session = SessionId([number; 16]);
        let member = Membership { session, signer: None, ..member() };
        let route = Route { session, ..route(1) };
        let mut out = Vec::new();
        route.seal(&Cipher::downward(&group(), session), None, sequence(1), &mut out);
        (member, out)
    };
    let mut take = |number, ms| {
        let (member, lease) = lease(number);
        relay.handle_route(at(ms), WALL, Some(member), &lease)
    };
    (1..=SESSIONS_MAX as u8).for_each(|number| take(number, 0).expect("there is room"));
    assert_eq!(take(9, 2_999), Err(Refused::TooMany));
    assert_eq!(take(9, 3_000), Ok(()), "the others have expired");
}

fn pass(
    relay: &mut Relay,
    now: Moment,
    from: SocketAddr,
    datagram: &[u8],
) -> Result<(Option<SocketAddr>, Vec<SocketAddr>), Refused> {
    let candidate = relay.expects(now, from, datagram)?;
    let opened = relay.open(&candidate, datagram, &mut [0; 2_000])?;
    let Targets { group, children } = relay.admit(now, candidate, opened)?;
    Ok((group, children.to_vec()))
}

fn leased(route: Route) -> Relay {
    let mut relay = relay();
    let lease = sealed(&route, 1, Some(&sender_key()));
    relay.handle_route(at(0), WALL, Some(member()), &lease).expect("the sender's");
    relay
}

fn renew(relay: &mut Relay, now: Moment, route: &Route, number: u64) -> Result<(), Refused> {
    relay.handle_route(now, WALL, None, &sealed(route, number, Some(&sender_key())))
}

fn sealed(route: &Route, number: u64, signer: Option<&SigningKey>) -> Vec<u8> {
    let mut out = Vec::new();
    let signer = signer.map(|key| key.within(group().scope(SESSION)));
    route.seal(&Cipher::downward(&group(), SESSION), signer, sequence(Sequence::FOR_SOME + number), &mut out);
    out
}

fn symbol(number: u64) -> Vec<u8> {
    let esi = Esi::new(number as u32 % 1_000).expect("small");
    let header = SymbolHeader {
        tag: SESSION.tag(),
        sequence: sequence(number),
        block: crate::ids::BlockIndex(0),
        esi,
        encoded_len: 1 << 20,
    };
    let mut out = vec![0; 1_000 + crate::geometry::SYMBOL_OVERHEAD];
    header.seal(&Cipher::downward(&group(), SESSION), &[7; 1_000], &mut out);
    out
}

fn control(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let cipher = Cipher::downward(&group(), SESSION);
    Down::End(End::Over).seal(&cipher, None, SESSION, sequence(number), &mut out);
    out
}

fn route(generation: u32) -> Route {
    Route {
        session: SESSION,
        time: WALL,
        generation,
        expires: Duration::from_secs(3),
        parent: PARENT,
        group: Some(GROUP),
        children: vec![CHILD],
    }
}

fn relay() -> Relay {
    Relay::new(config())
}

fn config() -> RelayConfig {
    RelayConfig { allowed: true, rate_max: None, parents: Vec::new(), host_key: key(2) }
}

fn member() -> Membership {
    Membership {
        session: SESSION,
        key: group(),
        signer: Some(sender_key().public()),
        receiver: RECEIVER,
        reply_to: REPLY_TO,
    }
}

fn group() -> GroupKey {
    GroupKey::new([7; 32])
}

fn sender_key() -> SigningKey {
    key(1)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn addr(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 7167).into()
}

fn sequence(value: u64) -> Sequence {
    Sequence::new(value).expect("small")
}

fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

const SESSION: SessionId = SessionId([5; 16]);
const RECEIVER: ReceiverId = ReceiverId([3; 8]);
const WALL: WallClock = WallClock(1_767_225_600_000);
const PARENT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7167);
const REPLY_TO: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 40_000);
const CHILD: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7)), 7167);
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(239, 255, 71, 67)), 7167);
