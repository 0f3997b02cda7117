//! What PyYAML makes of a plain scalar, as `yaml.safe_load` resolves it: nothing, yes or no, or something whose text is
//! another one than was written. Pure.
//!
//! The settings of a cloud are texts, and they are used as they were written. PyYAML takes some plain scalars for
//! numbers, dates and booleans, and openstacksdk turns those into text again: `01234567` becomes `342391`. The reader of
//! such a file means what is written there, so this program uses that, and warns of the difference.

/// What PyYAML reads where a plain scalar stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The text that was written, or a number that is written as Python writes it.
    Text,
    Null,
    Bool(bool),
    /// A number or a date whose text in Python is, or may be, another one.
    Other,
}

impl Reading {
    /// Whether openstacksdk makes another text of it than was written.
    pub(super) fn differs(self) -> bool {
        matches!(self, Self::Bool(_) | Self::Other)
    }

    /// Resolves a plain scalar by the rules of `yaml/resolver.py` (YAML 1.1).
    pub(super) fn of(plain: &str) -> Self {
        match plain {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Self::Bool(true),
            "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Self::Bool(false),
            _ if is_python_number(plain) => Self::Text,
            _ if is_integer(plain) || is_float(plain) || is_date(plain) => Self::Other,
            _ => Self::Text,
        }
    }
}

/// Whether Python prints a number as it is written here: `12`, `-7`, `2.5`.
fn is_python_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_count = |digits: &str| {
        is_digits(digits) && (digits == "0" || !digits.starts_with('0')) && digits.len() <= PLAIN_DIGITS_MAX
    };
    match digits.split_once('.') {
        Some((whole, rest)) => {
            is_count(whole)
                && is_digits(rest)
                && rest.len() + whole.len() <= PLAIN_DIGITS_MAX
                && (rest == "0" || !rest.ends_with('0'))
        }
        None => is_count(digits) && text != "-0",
    }
}

/// `tag:yaml.org,2002:int`: decimal, binary, octal (with a leading zero), hexadecimal, and sexagesimal.
fn is_integer(text: &str) -> bool {
    let digits = unsigned(text);
    let all = |digits: &str, radix: u32| {
        !digits.is_empty() && digits.chars().all(|digit| digit == '_' || digit.is_digit(radix))
    };
    match digits.strip_prefix('0') {
        Some("") => true,
        Some(rest) => match rest.as_bytes()[0] {
            b'b' => all(&rest[1..], 2),
            b'x' => all(&rest[1..], 16),
            _ => all(rest, 8),
        },
        None => {
            let (first, sixtieths) = digits.split_once(':').unwrap_or((digits, "0"));
            first.starts_with(|digit: char| digit.is_ascii_digit())
                && all(first, 10)
                && sixtieths.split(':').all(is_sixtieth)
        }
    }
}

/// `tag:yaml.org,2002:float`: with a point always; an exponent has a sign.
fn is_float(text: &str) -> bool {
    if matches!(unsigned(text), ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = unsigned(text).split_once('.') else { return false };
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let is_exponent = exponent.is_none_or(|text| text.strip_prefix(['+', '-']).is_some_and(is_digits));
    let in_digits = |text: &str| text.chars().all(|digit| digit == '_' || digit.is_ascii_digit());
    let (first, sixtieths) = whole.split_once(':').map_or((whole, None), |(first, rest)| (first, Some(rest)));
    let is_whole = match first.chars().next() {
        // `.5`: no sign, and a digit after the point.
        None => {
            sixtieths.is_none() && text.starts_with('.') && rest.starts_with(|c: char| c.is_ascii_digit())
        }
        Some(digit) => digit.is_ascii_digit() && in_digits(first),
    };
    is_whole
        && in_digits(fraction)
        && is_exponent
        && sixtieths.is_none_or(|rest| exponent.is_none() && rest.split(':').all(is_sixtieth))
}

/// `tag:yaml.org,2002:timestamp`: a date, alone or with a time behind it.
fn is_date(text: &str) -> bool {
    let date = text.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let mut parts = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let in_digits = [year, month, day].into_iter().all(is_digits);
    let is_long = date.len() == text.len();
    in_digits
        && year.len() == 4
        && match is_long {
            true => month.len() == 2 && day.len() == 2,
            false => month.len() <= 2 && day.len() <= 2 && text.contains(':'),
        }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    }
}

/// Longer numbers are written by Python with an exponent, or rounded.
const PLAIN_DIGITS_MAX: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_resolved_as_pyyaml_resolves_them() {
        for (reading, texts) in [
            (Reading::Null, "~ null Null NULL"),
            (Reading::Bool(true), "yes Yes YES true True TRUE on On ON"),
            (Reading::Bool(false), "no No NO false False FALSE off Off OFF"),
            (
                Reading::Text,
                "nUll yEs y n 0123456789 089 1e3 1e+3 1.5e3 12 0 -7 2.5 0.0 12:60 a1 0o17 2026-1-1 pa-ss",
            ),
            (Reading::Text, "0xg 0b2 1.2.3 :12 12: 1:2:x - + . _1 http://ks 10.0.0.1 12:30:45a .e3 -.5"),
            (
                Reading::Other,
                "01234567 007 1_000 +5 -0 0x1F 0b101 12:30:45 190:20:30 -1:5 .5 1. 1.50 1.0e+3 6.8523015e+5",
            ),
            (
                Reading::Other,
                ".inf -.Inf .NaN 190:20:30.15 2026-11-29 2001-12-14t21:59:43.10-05:00 00 0_7 1__2",
            ),
        ] {
            for text in texts.split(' ') {
                assert_eq!(Reading::of(text), reading, "{text}");
            }
        }
        assert_eq!(Reading::of(""), Reading::Null);
        assert_eq!(Reading::of("2001-12-14 21:59:43.10 -5"), Reading::Other);
    }
}
