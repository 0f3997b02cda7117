//! Rates and durations as written on the command line and in configuration files.

use std::str::FromStr;
use std::time::Duration;

pub use glancecast_proto::units::Rate;
use glancecast_proto::units::RateError;

/// How the sending rate is chosen, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChoice {
    /// A fixed rate: `390mbit`.
    Fixed(Rate),
    /// `auto`: the rate that the network and the hosts can handle, up to a share of the interface's speed.
    Auto,
    /// `auto:5gbit`: the same, up to this rate.
    AutoUpTo(Rate),
}

impl FromStr for RateChoice {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.strip_prefix("auto") {
            Some("") => Ok(Self::Auto),
            Some(rest) => {
                let max = rest.strip_prefix(':').ok_or_else(|| RateError::Form(text.to_owned()))?;
                Ok(Self::AutoUpTo(max.parse()?))
            }
            None => Ok(Self::Fixed(text.parse()?)),
        }
    }
}

/// Parses a duration: `500ms`, `15s`, `5m`, `2h`, `7d`, or several parts as in `1m30s`.
///
/// # Errors
/// [`UnitError::Duration`] for any other text, and for zero.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let bad = || UnitError::Duration(text.to_owned());
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        total = total.saturating_add(Duration::from_millis(number.checked_mul(millis).ok_or_else(bad)?));
        rest = tail;
    }
    if total.is_zero() || total > DURATION_MAX { Err(bad()) } else { Ok(total) }
}

const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A text that is neither a rate nor a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a rate.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// Not a duration.
    #[error("{0:?} is not a duration: write 500ms, 15s, 5m or 1h30m")]
    Duration(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_units() {
        for (text, millis) in
            [("500ms", 500), ("15s", 15_000), ("5m", 300_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "s", "0s", "-1s", "1.5s", "15 s", "99999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_of_more_parts_than_time_has_is_refused() {
        assert!(parse_duration(&"18446744073709551615ms".repeat(1_100)).is_err());
    }
}
