//! An announcement for tests and fuzzers.

use std::time::Duration;

use glancecast_proto::agree::AgreementKey;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{ObjectName, SessionId};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, Audience, DiskFormat, Pin};

/// The session of [`announcement`].
pub(crate) const SESSION: SessionId = SessionId([3; 16]);

/// Returns an announcement of `name` without optional fields.
pub(crate) fn announcement(name: &str, geometry: Geometry) -> Announce {
    Announce {
        session: SESSION,
        time: WallClock(0),
        started: WallClock(0),
        geometry,
        name: ObjectName::new(name).expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: ([127, 0, 0, 1], 1).into(),
        spread: Duration::ZERO,
        audience: Audience::Everyone,
        agreement: AgreementKey::from_seed(&[3; 32].into()).public(),
        one_way: false,
        base: None,
        data_bytes: Some(geometry.object_bytes()),
    }
}
