//! Sizes and shares as policies write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `100GiB`. Only binary units are taken, as 100 GB means two things to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let shift =
            UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, shift)| *shift).ok_or(FORM)?;
        let number: u64 = digits.parse().map_err(|_| FORM)?;
        number.checked_mul(1 << shift).map(Self).ok_or("is more than there are bytes")
    }
}

impl fmt::Display for Size {
    /// The largest unit that needs no fraction, so that the text parses to the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |shift: u32| self.0.trailing_zeros() >= shift && self.0 != 0;
        let (unit, shift) = UNITS.iter().rfind(|(_, shift)| fits(*shift)).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

const FORM: &str = "write a whole number of KiB, MiB, GiB or TiB, as in \"100GiB\"";
const UNITS: [(&str, u32); 6] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)];

/// A share in hundredths of a per cent, above 0 and at most all: `95%`, `99.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quorum(u16);

impl Quorum {
    /// Returns the share; `None` outside of 1 to 10 000 hundredths of a per cent.
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths >= 1 && hundredths <= ALL { Some(Self(hundredths)) } else { None }
    }

    /// Returns how many of `counted` hosts have to hold an image: the share, rounded up. It is at least 1, so that no host at
    /// all is never enough, and 95 % of 3 hosts are 3 hosts.
    pub const fn needed(self, counted: usize) -> usize {
        let needed = (counted as u64 * self.0 as u64).div_ceil(ALL as u64) as usize;
        if needed == 0 { 1 } else { needed }
    }

    /// Whether `holding` of `counted` hosts are enough.
    pub const fn is_reached(self, holding: usize, counted: usize) -> bool {
        holding >= self.needed(counted)
    }
}

impl FromStr for Quorum {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').ok_or(QUORUM_FORM)?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) || whole.len() > 3 || part.len() > 2 {
            return Err(QUORUM_FORM);
        }
        let number = |text: &str| text.parse::<u32>().expect("at most three digits");
        let hundredths = 100 * number(whole) + number(part) * if part.len() == 1 { 10 } else { 1 };
        u16::try_from(hundredths).ok().and_then(Self::from_hundredths).ok_or(QUORUM_FORM)
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

const ALL: u16 = 10_000;
const QUORUM_FORM: &str = "write a share from 0.01% to 100%, as in \"95%\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_of_binary_units() {
        for (text, bytes, shown) in [
            ("100GiB", 100 << 30, "100GiB"),
            ("1024 MiB", 1 << 30, "1GiB"),
            ("0B", 0, "0B"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("7B", 7, "7B"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "100", "100GB", "GiB", "1.5GiB", "-1GiB", "99999999PiB", "100gib", "1 G iB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_quorum_of_few_hosts_is_rounded_up_and_of_none_is_never_reached() {
        let quorum: Quorum = "95%".parse().expect("a quorum");
        for (counted, needed) in
            [(0, 1), (1, 1), (2, 2), (3, 3), (19, 19), (20, 19), (21, 20), (100, 95), (1_000, 950)]
        {
            assert_eq!(quorum.needed(counted), needed, "of {counted}");
            assert!(quorum.is_reached(needed, counted) && !quorum.is_reached(needed - 1, counted));
        }
        assert!(!Quorum::from_hundredths(1).expect("a share").is_reached(0, 0));
    }

    #[test]
    fn a_quorum_is_a_share_above_nothing() {
        for text in ["95%", "99.5%", "0.01%", "100%", "33.33%", "5.05%"] {
            assert_eq!(text.parse::<Quorum>().expect(text).to_string(), text);
        }
        for text in ["", "95", "0%", "0.00%", "100.01%", "101%", "-5%", "1e1%", "9.999%", "%", ".5%", "5.%"] {
            assert!(text.parse::<Quorum>().is_err(), "{text}");
        }
    }
}
