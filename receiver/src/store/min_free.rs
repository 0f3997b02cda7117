//! The room that stays free for the guests of this host, whatever is pushed.
//!
//! It is a share of the file system or a number of bytes, whichever is less: a small disk keeps its share, a large one
//! the bytes.

use std::fmt;
use std::str::FromStr;

/// How much of its file system a store leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinFree {
    /// Share of the whole file system, 0 to 100.
    pub percent: u8,
    /// The most that stays free, in bytes.
    pub bytes: u64,
}

impl MinFree {
    /// 5 % and at most 10 GiB.
    pub const DEFAULT: Self = Self { percent: 5, bytes: 10 << 30 };

    /// Nothing stays free.
    pub const NONE: Self = Self { percent: 0, bytes: 0 };

    /// Returns the bytes that stay free on a file system of `total` bytes.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        let share = u128::from(total) * u128::from(self.percent.min(100)) / 100;
        self.bytes.min(share as u64) // no more than `total`
    }
}

impl Default for MinFree {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Parses `5%`, `10GiB`, or both with a comma between them, whichever is less; `0` for nothing.
impl FromStr for MinFree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a reserve: write 5%, 10GiB, 5%,10GiB, or 0 for none");
        let (mut percent, mut bytes) = (None, None);
        for part in text.split(',').map(str::trim) {
            let (was_there, value) = match part.strip_suffix('%') {
                Some(share) => {
                    let share = share.parse().ok().filter(|share| *share <= 100).ok_or_else(bad)?;
                    (percent.replace(share).is_some(), u64::from(share))
                }
                None => {
                    let value = bytes_of(part).ok_or_else(bad)?;
                    (bytes.replace(value).is_some(), value)
                }
            };
            if was_there || part.starts_with('+') || (value == 0 && text.contains(',')) {
                return Err(bad());
            }
        }
        Ok(match (percent, bytes) {
            (Some(0), None) | (None, Some(0)) => Self::NONE,
            (percent, bytes) => Self { percent: percent.unwrap_or(100), bytes: bytes.unwrap_or(u64::MAX) },
        })
    }
}

/// Parses a number of bytes with a binary unit, `B` to `TiB`; `0` needs none. Decimal units are refused: half of those
/// who write `GB` mean the binary one.
fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let shift = UNITS.iter().position(|known| unit.trim_start().eq_ignore_ascii_case(known));
    match shift {
        Some(shift) => number.checked_mul(1 << (10 * shift)),
        None => (unit.is_empty() && number == 0).then_some(0),
    }
}

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_bytes = |f: &mut fmt::Formatter<'_>| {
            let unit = (self.bytes.trailing_zeros() / 10).min(UNITS.len() as u32 - 1);
            write!(f, "{}{}", self.bytes >> (10 * unit), UNITS[unit as usize])
        };
        match (self.percent, self.bytes) {
            (0, _) | (_, 0) => f.write_str("0"),
            (100.., _) => of_bytes(f),
            (percent, u64::MAX) => write!(f, "{percent}%"),
            (percent, _) => {
                write!(f, "{percent}%,")?;
                of_bytes(f)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_keeps_its_share_and_a_large_one_the_bytes() {
        for (min_free, total, kept) in [
            (MinFree::DEFAULT, 100 << 20, 5 << 20),
            (MinFree::DEFAULT, 200 << 30, 10 << 30),
            (MinFree::DEFAULT, (200 << 30) - 20, (10 << 30) - 1),
            (MinFree::DEFAULT, u64::MAX, 10 << 30),
            (MinFree::DEFAULT, 0, 0),
            (MinFree::NONE, 1 << 40, 0),
            (MinFree { percent: 200, bytes: u64::MAX }, 1_000, 1_000),
            (MinFree { percent: 100, bytes: 7 }, 1_000, 7),
        ] {
            assert_eq!(min_free.of(total), kept, "{min_free:?} of {total}");
        }
    }

    #[test]
    fn what_an_operator_writes_is_read_and_written_back() {
        for (text, min_free) in [
            ("0", MinFree::NONE),
            ("5%", MinFree { percent: 5, bytes: u64::MAX }),
            ("100%", MinFree { percent: 100, bytes: u64::MAX }),
            ("10GiB", MinFree { percent: 100, bytes: 10 << 30 }),
            ("7B", MinFree { percent: 100, bytes: 7 }),
            ("1KiB", MinFree { percent: 100, bytes: 1 << 10 }),
            ("3MiB", MinFree { percent: 100, bytes: 3 << 20 }),
            ("2TiB", MinFree { percent: 100, bytes: 2 << 40 }),
            ("5%,10GiB", MinFree::DEFAULT),
        ] {
            assert_eq!(text.parse(), Ok(min_free), "{text}");
            if text != "100%" {
                assert_eq!(min_free.to_string(), text);
            }
        }
        for (text, min_free) in
            [("10gib, 5%", MinFree::DEFAULT), ("0%", MinFree::NONE), ("0GiB", MinFree::NONE)]
        {
            assert_eq!(text.parse(), Ok(min_free), "{text}");
        }
    }

    #[test]
    fn what_is_no_reserve_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            ",",
            "5",
            "101%",
            "-5%",
            "+5%",
            "5%%",
            "%",
            "10GB",
            "10G",
            "GiB",
            "5%,5%",
            "1GiB,1GiB",
            "5%,",
            "0,5%",
            "0%,1GiB",
            "1.5GiB",
            "16777216TiB",
            "5%,10GiB,0",
            "5 %",
        ] {
            let error = text.parse::<MinFree>().expect_err(text);
            assert!(error.contains("5%,10GiB"), "{error}");
        }
    }
}
