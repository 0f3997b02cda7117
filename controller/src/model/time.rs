//! Times as texts: UTC, in the form of RFC 3339 with milliseconds.

use chrono::{DateTime, SecondsFormat, Utc};
use glancecast_proto::time::WallClock;

/// Returns a time as `2026-11-24T20:15:07.123Z`; 1970 for a time that chrono does not have.
pub fn rfc3339(at: WallClock) -> String {
    let millis = i64::try_from(at.0).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    millis.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses a time with its zone, as RFC 3339 has it, or without a zone, as Nova and Glance print UTC. `None` for any other
/// text, and for a time before 1970.
pub fn parse_time(text: &str) -> Option<WallClock> {
    let with_zone = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    let without = || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
    let millis = with_zone.or_else(|_| without().map(|time| time.and_utc().timestamp_millis())).ok()?;
    u64::try_from(millis).ok().map(WallClock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_printed() {
        let at = WallClock(1_764_533_707_123);
        assert_eq!(rfc3339(at), "2025-11-30T20:15:07.123Z");
        assert_eq!(parse_time(&rfc3339(at)), Some(at));
        assert_eq!(parse_time("2025-11-30T21:15:07.123+01:00"), Some(at));
        assert_eq!(parse_time("2025-11-30T20:15:07"), Some(WallClock(1_764_533_707_000)));
        for odd in ["", "yesterday", "1969-01-01T00:00:00Z", "2025-11-30", "2025-13-30T20:15:07Z"] {
            assert_eq!(parse_time(odd), None, "{odd}");
        }
    }
}
