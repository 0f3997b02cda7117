//! Units of measure.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// Bits per second on the wire as `tc` counts them: whole frames, Ethernet and IP headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// The rate of this number of bits per second; `None` for 0.
    pub const fn from_bits(bits_per_second: u64) -> Option<Self> {
        match NonZeroU64::new(bits_per_second) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// The rate of this number of megabits (10^6 bits) per second.
    ///
    /// # Panics
    /// For 0.
    pub const fn mbit(megabits_per_second: u32) -> Self {
        Self::from_bits(megabits_per_second as u64 * 1_000_000).expect("a rate is above 0")
    }

    /// Bits per second.
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// The time that `bytes` take on the wire at this rate.
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(self.bits());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// As in tc(8): a number and `bit`, `kbit`, `mbit`, `gbit`, decimal multiples; a number alone is bits per second.
    /// tc's `bps` for bytes per second is refused: nine of ten who write it mean bits.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let bad = || RateError::Form(text.to_owned());
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            unit if unit.ends_with("bps") => return Err(RateError::Unit(text.to_owned())),
            _ => return Err(bad()),
        };
        let bits = number * factor;
        if !(BITS_MIN..=BITS_MAX).contains(&bits) {
            return Err(bad());
        }
        Self::from_bits(bits as u64).ok_or_else(bad)
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

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number with a unit, or out of range.
    #[error("{0:?} is not a rate: write 390mbit or 1gbit (64kbit to 1000gbit)")]
    Form(String),
    /// bps means bytes to tc and bits to people.
    #[error("{0:?} can be read in two ways: write bits per second, as in 390mbit or 1gbit")]
    Unit(String),
}

/// 64 kbit/s and 1 Tbit/s: a rate outside of that is a slip of the finger.
const BITS_MIN: f64 = 64e3;
const BITS_MAX: f64 = 1e12;

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
}
