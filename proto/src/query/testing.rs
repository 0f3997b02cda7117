//! Helpers that the tests of both machines share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::{QuerierConfig, ResponderConfig};
use crate::agree::{AgreementKey, StartSecret};
use crate::audience::Pages;
use crate::ids::{HostName, ObjectName, Sequence, SessionId};
use crate::keyring::Keyring;
use crate::known::{KnownHosts, UnknownHosts};
use crate::limits::CONTROL_SMALL;
use crate::seal::{Cipher, GroupKey};
use crate::sender::Expected;
use crate::senders::Senders;
use crate::sign::{PublicKey, SigningKey};
use crate::time::{Moment, WallClock};
use crate::wire::{Ask, Audience, AudiencePage, Down, Query, Sought};

pub(super) const ID: SessionId = SessionId([3; 16]);
pub(super) const STARTED: WallClock = WallClock(1_000_000_000);

/// The configuration of the host with this number, which takes the queries of everybody.
pub(super) fn host_config(number: u8) -> ResponderConfig {
    ResponderConfig {
        name: name(number),
        software: "test".into(),
        keys: Keyring::of(vec![group()]),
        host_key: host_key(number),
        secret: StartSecret::new([number; 32]),
        senders: Senders::any(),
        start: [number; 16],
        seed: [number; 32],
        started: STARTED,
    }
}

/// The configuration of a query for all that the hosts hold.
pub(super) fn querier_config(expected: Expected) -> QuerierConfig {
    QuerierConfig {
        id: ID,
        key: group(),
        signer: None,
        agreement: agreement(),
        known: KnownHosts::default(),
        query: Query::Hosts,
        new_key: None,
        reply_to: querier_address(),
        answer_bytes_max: CONTROL_SMALL as u16,
        started: STARTED,
        wait: Duration::from_secs(2),
        expected,
    }
}

/// A round of the query with this id, for everyone.
pub(super) fn ask(id: SessionId, query: Query) -> Ask {
    Ask {
        id,
        time: STARTED,
        round: 1,
        reply_to: querier_address(),
        spread: Duration::ZERO,
        answer_bytes_max: CONTROL_SMALL as u16,
        audience: Audience::Everyone,
        agreement: agreement().public(),
        query,
    }
}

/// A round of a query, signed if there is a key for it.
pub(super) fn sealed_ask(ask: &Ask, signer: Option<&SigningKey>, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let signer = signer.map(|key| key.within(group().scope(ask.id)));
    ask.seal(&Cipher::downward(&group(), ask.id), signer, sequence(number), &mut out);
    out
}

/// The pages of the audience of these hosts.
pub(super) fn pages(id: SessionId, hosts: &[u8]) -> Vec<AudiencePage> {
    let names: BTreeSet<HostName> = hosts.iter().map(|&number| name(number)).collect();
    let mut pages = Pages::new(id, Some(names.iter()), CONTROL_SMALL);
    (0..pages.len()).filter_map(|_| pages.next()).collect()
}

/// A page of an audience, signed if there is a key for it.
pub(super) fn sealed_page(
    id: SessionId,
    page: &AudiencePage,
    signer: Option<&SigningKey>,
    number: u64,
) -> Vec<u8> {
    let mut out = Vec::new();
    let signer = signer.map(|key| key.within(group().scope(id)));
    let cipher = Cipher::downward(&group(), id);
    Down::Audience(page.clone()).seal(&cipher, signer, id, sequence(number), &mut out);
    out
}

/// Hosts that are known by their keys.
pub(super) fn known(hosts: &[u8], unknown: UnknownHosts) -> KnownHosts {
    let key = |&number: &u8| (name(number), host_key(number).public());
    KnownHosts { keys: hosts.iter().map(key).collect(), unknown }
}

pub(super) fn named(hosts: &[u8]) -> Expected {
    Expected::Named(hosts.iter().map(|&number| name(number)).collect())
}

pub(super) fn name(number: u8) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

pub(super) fn host_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32].into())
}

/// The key of the sender with this number, which is no host's.
pub(super) fn sender_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number + 100; 32].into())
}

pub(super) fn sender(number: u8) -> PublicKey {
    sender_key(number).public()
}

pub(super) fn agreement() -> AgreementKey {
    AgreementKey::from_seed(&[5; 32].into())
}

pub(super) fn group() -> GroupKey {
    GroupKey::new([7; 32])
}

pub(super) fn sought(name: &str) -> Sought {
    Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
}

pub(super) fn querier_address() -> SocketAddr {
    ([10, 0, 0, 1], 7168).into()
}

/// The address of the host with this number, or of anybody else.
pub(super) fn address(number: u8) -> SocketAddr {
    ([10, 0, 1, number], 40_000).into()
}

pub(super) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}

/// The moment `ms` milliseconds after the start.
pub(super) fn at(ms: u64) -> Moment {
    Moment::from_micros(1_000 * ms)
}
