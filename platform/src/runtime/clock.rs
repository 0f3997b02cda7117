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

/// Returns the end of a day in UTC, which is written as in RFC 3339: `2027-01-31`. `None` for any other text, and for a
/// day that does not exist.
pub fn end_of_day(text: &str) -> Option<WallClock> {
    let is_digit_or_dash =
        |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != "2027-01-31".len() || !text.bytes().enumerate().all(is_digit_or_dash) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse().ok();
    let day = Day { year: number(0..4)?, month: number(5..7)?, day: number(8..10)? };
    let days = day.since_1970()?;
    Some(WallClock((days + 1) * 86_400_000))
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// Returns the days since 1970-01-01 (Hinnant, `days_from_civil`); `None` if there is no such day, or it is before
    /// that.
    fn since_1970(self) -> Option<u64> {
        let Self { year, month, day } = self;
        if year < 1970 || !(1..=12).contains(&month) {
            return None;
        }
        let years = year - u64::from(month <= 2);
        let months = if month > 2 { month - 3 } else { month + 9 };
        let (era, of_era) = (years / 400, years % 400);
        let of_year = (153 * months + 2) / 5 + day.checked_sub(1)?;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        let days = days.checked_sub(719_468)?;
        (Self::of(days) == self).then_some(days)
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

    #[test]
    fn a_day_ends_where_the_next_one_begins() {
        for (day, next) in [
            ("1970-01-01", "1970-01-02T00:00:00Z"),
            ("2024-02-28", "2024-02-29T00:00:00Z"),
            ("2024-02-29", "2024-03-01T00:00:00Z"),
            ("2027-01-31", "2027-02-01T00:00:00Z"),
            ("2099-12-31", "2100-01-01T00:00:00Z"),
            ("9999-12-31", "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(end_of_day(day).map(utc).as_deref(), Some(next), "{day}");
        }
        for bad in [
            "",
            "2027-02-29",
            "2100-02-29",
            "2027-00-01",
            "2027-13-01",
            "2027-01-00",
            "2027-04-31",
            "1969-12-31",
            "2027-1-31",
            "2027-01-31T00:00:00Z",
            "+027-01-31",
            "2027/01/31",
            "never",
            "2027-01-3\u{b2}",
        ] {
            assert_eq!(end_of_day(bad), None, "{bad}");
        }
    }
}
