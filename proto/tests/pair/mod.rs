//! A sender and a host, and helpers for the datagrams between them.
#![allow(dead_code, reason = "each test uses some of it")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::receiver::{
    Attempt, BlockOutcome, BlockRoom, Effect, Leftover, Opened, Receiver, ReceiverConfig, Work,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, Pace, Reach, Sender, SenderConfig};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, Kind, ManifestEntry, Pin};

/// The time at which the push began.
pub(crate) const WALL: WallClock = WallClock(1_700_000_000_000);
pub(crate) const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 7167);
/// The seed of the key of the host compute-1.
pub(crate) const HOST_KEY: u8 = 33;
pub(crate) const HOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 40_000);

/// Returns the configuration of a push of `bytes` bytes to anyone, in the session whose id is `session` 16 times.
pub(crate) fn push_of(session: u8, bytes: u64) -> SenderConfig {
    SenderConfig {
        session: SessionId([session; 16]),
        key: group_key(),
        signer: None,
        agreement: AgreementKey::from_seed(&[session; 32].into()),
        geometry: Geometry::for_path(bytes, 1500, 20).expect("in range"),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: SENDER,
        reach: Reach::default(),
        expected: Expected::Anyone,
        known: KnownHosts::default(),
        timeout: Duration::from_secs(600),
        join_timeout: None,
        started: WALL,
        pace: Pace::Fixed(Rate::mbit(1_000)),
        header_bytes: 42,
        one_way: None,
        base: None,
        data_bytes: None,
    }
}

/// Returns the configuration of the host compute-1.
pub(crate) fn host_config() -> ReceiverConfig {
    ReceiverConfig {
        name: HostName::new("compute-1").expect("plain"),
        software: "glancecastd 1.0".into(),
        keys: vec![group_key()],
        host_key: key(HOST_KEY),
        secret: StartSecret::new([4; 32]),
        mtu: None,
        senders: Vec::new().into(),
        start: [1; 16],
        seed: [2; 32],
        buffer_bytes: 16 << 20,
        can_relay: false,
    }
}

pub(crate) fn group_key() -> GroupKey {
    GroupKey::new([7; 32])
}

/// Returns the key of a sender or of a host.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}

/// Returns the next announcement; the datagrams before it are lost.
pub(crate) fn announcement(sender: &mut Sender, now: Moment) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(transmit) = sender.poll_transmit(now, &mut out) {
        if transmit.kind == Kind::Announce {
            return out;
        }
    }
    panic!("no announcement is due at {now}")
}

/// Delivers all datagrams that are due at the sender to the host.
pub(crate) fn deliver(sender: &mut Sender, host: &mut Receiver, now: Moment) {
    let mut out = Vec::new();
    while sender.poll_transmit(now, &mut out).is_some() {
        let _ = host.handle_datagram(now, wall(now), SENDER, &out);
    }
}

/// Delivers all datagrams that are due at the host to all senders: each handles its own.
pub(crate) fn pass_on<const N: usize>(host: &mut Receiver, mut senders: [&mut Sender; N], now: Moment) {
    while let Some((_, datagram)) = said(host, now) {
        for sender in &mut senders {
            let _ = sender.handle_datagram(now, HOST, &datagram);
        }
    }
}

/// Returns the next datagram of the host, and its address.
pub(crate) fn said(host: &mut Receiver, now: Moment) -> Option<(SocketAddr, Vec<u8>)> {
    let mut out = Vec::new();
    host.poll_transmit(now, &mut out).map(|to| (to, out))
}

/// Returns the next work that the host asks for.
pub(crate) fn effect(host: &mut Receiver) -> Option<Effect<(), ()>> {
    host.poll_effect(BlockRoom::Free)
}

/// Has the host hear an announcement, and its store make a new place.
pub(crate) fn join(host: &mut Receiver, sender: &mut Sender, now: Moment) -> Attempt {
    let datagram = announcement(sender, now);
    host.handle_datagram(now, wall(now), SENDER, &datagram).expect("fresh");
    open(host, now)
}

/// Has the store make a new place for the session that the host has joined.
pub(crate) fn open(host: &mut Receiver, now: Moment) -> Attempt {
    let attempt = search(host);
    host.handle_opened(now, attempt, Ok(Opened::Unfinished { file: (), kept: Vec::new() }));
    attempt
}

/// Has the store begin to search for a place.
pub(crate) fn search(host: &mut Receiver) -> Attempt {
    loop {
        match effect(host).expect("it joins") {
            Effect::Open(attempt, _) => return attempt,
            Effect::PutAway(..) => host.handle_put_away(),
            Effect::Prepare(..) | Effect::Leave(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Returns the attempt that the host leaves, and what becomes of its file, which is put away at once.
pub(crate) fn left(host: &mut Receiver) -> Option<(Attempt, Option<Leftover>)> {
    let Some(Effect::Leave(attempt)) = effect(host) else { return None };
    let leftover = match effect(host) {
        Some(Effect::PutAway((), leftover)) => {
            host.handle_put_away();
            Some(leftover)
        }
        None => None,
        other => panic!("{other:?}"),
    };
    Some((attempt, leftover))
}

/// Has a sender of one block of zeros read it, and vouch for it.
pub(crate) fn read_zeros(sender: &mut Sender, now: Moment) {
    let hash = zeros(sender);
    sender.handle_block(ManifestEntry { encoding: Encoding::Zero, hash }, 0);
    sender.handle_source_proven(now);
}

/// Has the host write the only block of its session, which it finds to have this hash.
pub(crate) fn take_zeros(host: &mut Receiver, now: Moment, hash: BlockHash) {
    let Some(Effect::Block(attempt, Work::Zero { block }, ())) = effect(host) else { panic!("a zero block") };
    host.handle_block(now, attempt, block, None, BlockOutcome::Zeros(hash));
}

/// Returns the hash of a push's only block, which is all zeros.
pub(crate) fn zeros(sender: &Sender) -> BlockHash {
    let geometry = sender.config().geometry;
    BlockHash::of(geometry, BlockIndex(0), &vec![0; geometry.object_bytes() as usize])
}

/// Returns the moment `ms` milliseconds after the start of the push.
pub(crate) fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

pub(crate) fn wall(now: Moment) -> WallClock {
    WallClock(WALL.0 + now.micros() / 1_000)
}
