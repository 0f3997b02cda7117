//! Bytes as hexadecimal digits: how ids, hashes and keys are shown and read.

use std::fmt;

/// Shows bytes as lower-case digits, two for each byte.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The bytes of exactly two digits each, in either case.
pub fn parse<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let mut bytes = [0; N];
    for (byte, &pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    rest.is_empty().then_some(bytes)
}

/// Shows newtypes of byte arrays as their digits.
macro_rules! display_as_hex {
    ($($name:ident),*) => {$(
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::hex::Hex(&self.0).fmt(f)
            }
        }
    )*};
}

/// Shows newtypes as their name around what they display.
macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

pub(crate) use {debug_as_display, display_as_hex};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        let bytes = [0, 1, 0x7F, 0x80, 0xFF];
        assert_eq!(Hex(&bytes).to_string(), "00017f80ff");
        assert_eq!(parse("00017f80ff"), Some(bytes));
        assert_eq!(parse("00017F80FF"), Some(bytes));
    }

    #[test]
    fn other_texts_are_no_bytes() {
        for text in ["", "00", "0000000", "00 0", "+1-1", "000g", "\u{e9}00"] {
            assert_eq!(parse::<2>(text), None, "{text:?}");
        }
    }
}
