//! Helpers that the tests of several modules share.

use std::time::Duration;

use super::ReceiverConfig;
use crate::agree::{AgreementKey, StartSecret};
use crate::geometry::Geometry;
use crate::ids::{HostName, ObjectName, SessionId};
use crate::seal::GroupKey;
use crate::senders::Senders;
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Audience, DiskFormat, Pin};

/// Returns the announcement of an object of four blocks.
pub(super) fn announce() -> Announce {
    Announce {
        session: SessionId([1; 16]),
        time: WallClock(0),
        started: WallClock(0),
        geometry: Geometry::new(4 << 20, 20, 1432).expect("in range"),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: ([10, 0, 0, 1], 7167).into(),
        spread: Duration::ZERO,
        audience: Audience::Everyone,
        agreement: sender_agreement().public(),
        one_way: false,
        base: None,
        data_bytes: None,
    }
}

/// Returns the configuration of a host that takes part in every push of its group.
pub(super) fn config() -> ReceiverConfig {
    ReceiverConfig {
        name: HostName::new("compute-1").expect("plain"),
        software: "test".into(),
        keys: vec![GroupKey::new([7; 32])],
        host_key: SigningKey::from_seed(&[3; 32].into()),
        secret: StartSecret::new([4; 32]),
        mtu: Some(1_500),
        senders: Senders::any(),
        start: [1; 16],
        seed: [2; 32],
        buffer_bytes: 0,
        can_relay: false,
    }
}

/// Returns the sender's half of the keys that it shares with hosts.
pub(super) fn sender_agreement() -> AgreementKey {
    AgreementKey::from_seed(&[5; 32].into())
}

/// Returns the moment `ms` milliseconds after the start.
pub(super) fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}
