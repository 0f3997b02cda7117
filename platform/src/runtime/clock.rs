//! Clocks: monotonic time as the machines count it, and wall-clock time for announcements.

use std::time::{Duration, Instant, SystemTime};

use glancecast_proto::time::{Moment, WallClock};

/// A monotonic clock that starts at zero when it is created.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Creates a clock that reads zero now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn now(self) -> Moment {
        Moment::from_micros(self.0.elapsed().as_micros() as u64)
    }

    /// Returns the nanoseconds since the start, for pacing.
    pub fn nanos(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Returns the wall-clock time, or 1970 if the clock is set before that.
pub fn wall() -> WallClock {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallClock(since.as_millis() as u64)
}
