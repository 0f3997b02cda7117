//! Values on the command line and in configuration files: rates, durations.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// Bits per second on the wire as `tc` counts them: whole frames, Ethernet and IP headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// From bits per second.
    pub const fn from_bits(bits_per_second: u64) -> Option<Self> {
        match NonZeroU64::new(bits_per_second) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// Bits per second.
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// The time that so many bytes take on the wire.
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(self.bits());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = ArgError;

    /// As in tc(8): a number and `bit`, `kbit`, `mbit`, `gbit`, decimal multiples; a number alone is bits per second.
    /// tc's `bps` for bytes per second is refused: nine of ten who write it mean bits.
    fn from_str(text: &str) -> Result<Self, ArgError> {
        let bad = || ArgError::Rate(text.to_owned());
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            unit if unit.ends_with("bps") => return Err(ArgError::RateUnit(text.to_owned())),
            _ => return Err(bad()),
        };
        let bits = number * factor;
        if !(RATE_MIN..=RATE_MAX).contains(&bits) {
            return Err(bad());
        }
        Self::from_bits(bits as u64).ok_or_else(bad)
    }
}

/// How a rate is chosen, as given on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChoice {
    /// Always this: `390mbit`.
    Fixed(Rate),
    /// What is found, up to a share of the interface's speed: `auto`.
    Auto,
    /// What is found, up to this: `auto:5gbit`.
    AutoUpTo(Rate),
}

impl FromStr for RateChoice {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        match text.strip_prefix("auto") {
            Some("") => Ok(Self::Auto),
            Some(rest) => {
                let max = rest.strip_prefix(':').ok_or_else(|| ArgError::Rate(text.to_owned()))?;
                max.parse().map(Self::AutoUpTo)
            }
            None => text.parse().map(Self::Fixed),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits() as f64 {
            bits if bits >= 1e9 => write!(f, "{:.2} Gbit/s", bits / 1e9),
            bits if bits >= 1e6 => write!(f, "{:.1} Mbit/s", bits / 1e6),
            bits => write!(f, "{:.1} kbit/s", bits / 1e3),
        }
    }
}

/// A duration as `500ms`, `15s`, `5m`, `2h`, `7d`; more than one part as in `1m30s`.
///
/// # Errors
/// [`ArgError::Duration`] for anything else, and for zero.
pub fn parse_duration(text: &str) -> Result<Duration, ArgError> {
    let bad = || ArgError::Duration(text.to_owned());
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

/// 64 kbit/s and 1 Tbit/s: outside of that it is a slip of the finger.
const RATE_MIN: f64 = 64e3;
const RATE_MAX: f64 = 1e12;

const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// Not a rate.
    #[error("{0:?} is not a rate: write 390mbit or 1gbit (64kbit to 1000gbit)")]
    Rate(String),
    /// bps means bytes to tc and bits to people.
    #[error("{0:?} can be read in two ways: write bits per second, as in 390mbit or 1gbit")]
    RateUnit(String),
    /// Not a duration.
    #[error("{0:?} is not a duration: write 500ms, 15s, 5m or 1h30m")]
    Duration(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_tc_writes_them() {
        for (text, bits) in
            [("390mbit", 390_000_000), ("1gbit", 1_000_000_000), ("1.5Mbit", 1_500_000), ("64000", 64_000)]
        {
            assert_eq!(text.parse::<Rate>().map(Rate::bits), Ok(bits), "{text}");
        }
        for text in [
            "", "fast", "1", "0gbit", "-1mbit", "1 gbit", "1gbps", "1Mbps", "1tbit", "1e9", "9999gbit",
            "1..2mbit",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

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
