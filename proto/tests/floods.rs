//! Floods of signed datagrams that any holder of the group key can make: what a host checks of them, and that its sender
//! is heard meanwhile.

mod pair;

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::ids::{Sequence, SessionId};
use glancecast_proto::limits::{OTHER_CHECKS_PER_SECOND_MAX, SENDER_CHECKS_PER_SECOND_MAX};
use glancecast_proto::receiver::{Receiver, ReceiverConfig};
use glancecast_proto::seal::Cipher;
use glancecast_proto::sender::{Sender, SenderConfig};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Discard, Down, Kind, Part, Poll};
use pair::{SENDER, announcement, at, group_key, host_config, push_of, said, wall};
use zeroize::Zeroizing;

#[test]
fn every_poll_of_the_sender_is_taken_while_another_host_floods_the_group_with_forged_ones() {
    let mut host = joined();
    let taken = flood(&mut host, |_| ATTACKER);
    assert_eq!(taken, polls());
    let checked = host.discards().of(Discard::BadSignature);
    assert!(checked <= u64::from(OTHER_CHECKS_PER_SECOND_MAX), "{checked} in {SECONDS} s");
    assert_eq!(checked + host.discards().of(Discard::OverBudget), FORGED);
}

#[test]
fn every_poll_of_the_sender_is_taken_while_the_flood_comes_from_all_addresses() {
    let mut host = joined();
    let taken = flood(&mut host, |number| ([10, 3, (number >> 8) as u8, number as u8], 9).into());
    assert_eq!(taken, polls());
    let checked = host.discards().of(Discard::BadSignature);
    assert!(checked <= (SECONDS + 1) * u64::from(OTHER_CHECKS_PER_SECOND_MAX), "{checked} in {SECONDS} s");
}

#[test]
fn a_flood_from_the_senders_own_address_is_checked_up_to_its_budget() {
    let mut host = joined();
    flood(&mut host, |_| SENDER);
    let checked = host.discards().of(Discard::BadSignature);
    assert!(checked <= (SECONDS + 1) * u64::from(SENDER_CHECKS_PER_SECOND_MAX), "{checked} in {SECONDS} s");
    assert!(host.discards().of(Discard::OverBudget) > 0);
}

#[test]
fn another_push_is_heard_while_forged_announcements_flood_the_group() {
    let mut host = joined();
    let forged = forged_announcement();
    let mut second = Sender::new(at(0), SenderConfig { signer: Some(key(1)), ..push_of(2, 2 << 20) });
    let second_addr = SocketAddr::from(([10, 0, 0, 77], 7167));
    let mut is_told = false;
    for ms in 0..2_000 {
        for _ in 0..25 {
            let refused = host.handle_datagram(at(ms), wall(at(ms)), ATTACKER, &forged).expect_err("forged");
            assert!(matches!(refused, Discard::BadSignature | Discard::OverBudget), "{refused}");
        }
        if ms % 100 == 0 {
            let announced = announcement(&mut second, at(ms));
            assert_eq!(host.handle_datagram(at(ms), wall(at(ms)), second_addr, &announced), Ok(()));
        }
        let mut said = std::iter::from_fn(|| said(&mut host, at(ms)));
        is_told |= said.any(|(_, datagram)| datagram[2..5] == [2; 3] && datagram[1] == Kind::Hello as u8);
    }
    assert!(is_told, "its sender learns that this host is busy");
    let checked = host.discards().of(Discard::BadSignature);
    assert!(checked <= u64::from(OTHER_CHECKS_PER_SECOND_MAX), "{checked} in 2 s");
}

/// Has a host hear 25 forged polls each millisecond, whose source `from` returns by their number, and a poll of its
/// sender every 50 ms. Returns how many of the latter were taken.
fn flood(host: &mut Receiver, from: impl Fn(u64) -> SocketAddr) -> u64 {
    let (mut number, mut taken) = (0, 0);
    let forged = poll(1 << 20, 1_000_000, key(2));
    for ms in 1..=SECONDS * 1_000 {
        let now = at(ms);
        if ms % POLL_GAP_MS == 0 {
            let round = (ms / POLL_GAP_MS) as u32;
            let genuine = poll(1_000 + u64::from(round), round, key(1));
            taken += u64::from(host.handle_datagram(now, wall(now), SENDER, &genuine).is_ok());
        }
        for _ in 0..25 {
            number += 1;
            let _ = host.handle_datagram(now, wall(now), from(number), &forged);
        }
    }
    taken
}

/// Returns a host that lists a sender, and takes part in its push.
fn joined() -> Receiver {
    let mut sender = Sender::new(at(0), SenderConfig { signer: Some(key(1)), ..push_of(1, 2 << 20) });
    let mut host = Receiver::new(ReceiverConfig { senders: vec![key(1).public()].into(), ..host_config() });
    let announced = announcement(&mut sender, at(0));
    host.handle_datagram(at(0), wall(at(0)), SENDER, &announced).expect("fresh");
    assert!(host.session().is_some());
    host
}

fn poll(number: u64, round: u32, signer: SigningKey) -> Vec<u8> {
    let window = Duration::from_millis(1);
    let down = Down::Poll(Poll {
        round,
        blocks_sent: 0,
        manifest_sent: 0,
        window,
        slots: 1,
        part: Part::ALL,
        root: None,
    });
    let (session, mut out) = (SessionId([1; 16]), Vec::new());
    let sequence = Sequence::new(number).expect("40 bits");
    let signer = signer.within(group_key().scope(session));
    down.seal(&Cipher::downward(&group_key(), session), Some(signer), session, sequence, &mut out);
    out
}

/// Returns an announcement that names a listed sender and was changed by somebody else.
fn forged_announcement() -> Vec<u8> {
    let mut sender = Sender::new(at(0), SenderConfig { signer: Some(key(1)), ..push_of(3, 2 << 20) });
    let genuine = announcement(&mut sender, Moment::default());
    let cipher = Cipher::downward(&group_key(), SessionId([3; 16]));
    let mut plain = vec![0; genuine.len() - 26 - 16];
    cipher.open(Sequence::default(), &genuine[..26], &genuine[26..], &mut plain).expect("its first");
    let last = plain.len() - 1;
    plain[last] ^= 1; // of the signature
    let mut forged = genuine[..26].to_vec();
    let mut sealed = vec![0; plain.len() + 16];
    cipher.seal(Sequence::default(), &forged, &plain, &mut sealed);
    forged.extend(sealed);
    forged
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

/// The polls of the sender in [`flood`].
fn polls() -> u64 {
    SECONDS * 1_000 / POLL_GAP_MS
}

const ATTACKER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 66)), 9);

/// How long a flood lasts.
const SECONDS: u64 = 4;
const FORGED: u64 = SECONDS * 25_000;
const POLL_GAP_MS: u64 = 50;
