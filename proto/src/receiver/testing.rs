//! Helpers that the tests of several modules share.

use std::time::Duration;

use crate::geometry::Geometry;
use crate::ids::{ObjectName, SessionId};
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, DiskFormat, Pin};

/// Returns the announcement of an object of four blocks.
pub(super) fn announce() -> Announce {
    Announce {
        session: SessionId([1; 16]),
        time: WallClock(0),
        geometry: Geometry::new(4 << 20, 20, 1432).expect("in range"),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: ([10, 0, 0, 1], 7167).into(),
        spread: Duration::ZERO,
        expected_hosts: 0,
        one_way: false,
        base: None,
    }
}

/// Returns the moment `ms` milliseconds after the start.
pub(super) fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}
