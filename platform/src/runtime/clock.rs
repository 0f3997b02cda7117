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

/// Returns a time in UTC, to the second, in the form of RFC 3339: `2026-11-29T05:00:00Z`.
pub fn utc(at: WallClock) -> String {
    let seconds = at.0 / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let Day { year, month, day } = Day::of(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A day of the Gregorian calendar.
struct Day {
    year: u64,
    month: u64,
    day: u64,
}

impl Day {
    /// Returns the day that is `days` after 1970-01-01. Years are counted from March here, so that a leap day is the last
    /// one of its year; the lengths of the months follow from 153 days in five of them (Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", `civil_from_days`).
    fn of(days: u64) -> Self {
        let days = days + 719_468; // since 0000-03-01
        let (era, of_era) = (days / 146_097, days % 146_097); // of 400 years
        let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * years + years / 4 - years / 100);
        let months = (5 * of_year + 2) / 153;
        let day = of_year - (153 * months + 2) / 5 + 1;
        let month = if months < 10 { months + 3 } else { months - 9 };
        Self { year: era * 400 + years + u64::from(month <= 2), month, day }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_date_does() {
        // date -u -d @SECONDS +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_928_400, "2026-11-29T05:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(WallClock(seconds * 1_000 + 999)), text);
        }
        assert!(utc(WallClock(u64::MAX)).ends_with('Z'));
    }
}
