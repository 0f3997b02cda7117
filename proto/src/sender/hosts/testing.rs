//! What the tests of the hosts share.

use super::*;
use crate::agree::AgreementKey;
use crate::echo::Echo;
use crate::ids::{BlockIndex, SessionId};
use crate::integrity::Root;
use crate::seal::{Cipher, GroupKey};
use crate::sign::SigningKey;
use crate::time::WallClock;
use crate::wire::{CommandOutcome, DeficitRun, FailureKind, Outcome, Receipt, Totals};

pub(super) fn named<const N: usize>(names: [&str; N]) -> Expected {
    Expected::Named(names.into_iter().map(name).collect())
}

pub(super) fn join(hosts: &mut Hosts, host: u8, called: &str, now: Moment) {
    let hello = hello(called);
    hosts.join(now, address(host), id(host), link(host), &hello).expect("room");
}

pub(super) fn hosts_of(expected: Expected) -> Hosts {
    Hosts::new(at(0), expected, KnownHosts::default(), 733, &[7; 32])
}

pub(super) fn hello(called: &str) -> Hello {
    Hello {
        agreement: agreement(1).public(),
        name: name(called),
        software: String::new(),
        busy: None,
        can_relay: false,
        mtu: None,
        via: None,
        kept: Vec::new(),
    }
}

/// What a start of the host `host` is spoken to by. All hosts have one key here: whose name is whose is tested
/// elsewhere.
pub(super) fn link(host: u8) -> Link {
    let (group, session, id) = (GroupKey::new([1; 32]), SessionId([1; 16]), id(host));
    let shared = agreement(1).agree(&agreement(2).public()).expect("a point");
    Link {
        key: key().public(),
        agreement: agreement(1).public(),
        software: String::new(),
        hello: Cipher::upward(&group, session, id),
        up: Cipher::private_up(&group, session, id, &shared),
        down: Cipher::private_down(&group, session, id, &shared),
    }
}

pub(super) fn receipt(outcome: Outcome) -> Receipt {
    let scope = GroupKey::new([1; 32]).scope(SessionId([1; 16]));
    Receipt::sign(&key(), scope, name("a"), WallClock(1), outcome)
}

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32].into())
}

pub(super) fn agreement(seed: u8) -> AgreementKey {
    AgreementKey::from_seed(&[seed; 32].into())
}

/// Returns the report of a host that lacks `symbols` symbols of the first block and has received nothing.
pub(super) fn report(symbols: u16) -> Report {
    Report {
        round: 1,
        highest: sequence(1),
        blocks_held: 0,
        covered: 1,
        deficits: vec![DeficitRun { first: BlockIndex(0), blocks: 1, symbols }],
        gaps: Vec::new(),
        kept: Vec::new(),
        suspects: Vec::new(),
        echo: Echo::default(),
        buffers: 64,
        free: 64,
        via: None,
        totals: Totals::default(),
    }
}

pub(super) fn done(hosts: &mut Hosts, host: u8) {
    let done = ending(false);
    hosts.note_done(at(1), id(host), &done, 1);
}

pub(super) fn existing(hosts: &mut Hosts, host: u8) {
    let done = ending(true);
    hosts.note_done(at(1), id(host), &done, 1);
}

pub(super) fn ending(existing: bool) -> Done {
    let (root, totals) = (Root([0; 32]), Totals::default());
    let (receipt, command) = (receipt(Outcome::Published(root)), CommandOutcome::None);
    Done { root, existing, totals, receipt, command }
}

pub(super) fn failed(hosts: &mut Hosts, host: u8) {
    failed_with(hosts, host, FailureKind::NoSpace);
}

pub(super) fn failed_with(hosts: &mut Hosts, host: u8, kind: FailureKind) {
    let (reason, totals) = ("no space".to_owned(), Totals::default());
    let failed = Failed { kind, reason, totals, receipt: receipt(Outcome::Failed(kind)) };
    hosts.note_failed(at(1), id(host), &failed);
}

pub(super) fn states(hosts: &Hosts) -> Vec<(String, HostState)> {
    hosts.rows(at(0), 1).into_iter().map(|row| (row.name.to_string(), row.state)).collect()
}

pub(super) fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

pub(super) fn address(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 1).into()
}

pub(super) fn id(host: u8) -> ReceiverId {
    ReceiverId([host; 8])
}

pub(super) fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

pub(super) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}
