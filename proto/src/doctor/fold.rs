//! Names of hosts as folded ranges: `compute-[1-40,44]`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::ids::HostName;

/// Returns names in folded form, in natural order. Names that differ in their last number alone are one range; numbers
/// of another width, because of leading zeros, are a range of their own.
pub fn folded<'a>(names: impl IntoIterator<Item = &'a HostName>) -> String {
    let mut groups: BTreeMap<(&str, &str, usize), Vec<u64>> = BTreeMap::new();
    let mut plain: Vec<&str> = Vec::new();
    for name in names {
        match last_number(name.as_str()) {
            Some((before, digits, after)) => {
                let number = digits.parse().expect("few enough digits");
                groups.entry((before, after, width(digits))).or_default().push(number);
            }
            None => plain.push(name.as_str()),
        }
    }
    plain.sort_unstable();
    plain.dedup();
    let ranges =
        groups.into_iter().map(|((before, after, width), numbers)| range(before, after, width, numbers));
    ranges.chain(plain.into_iter().map(str::to_owned)).collect::<Vec<_>>().join(",")
}

/// Returns the parts of a name around its last number.
fn last_number(name: &str) -> Option<(&str, &str, &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let digits = &name[start..end];
    (digits.len() <= DIGITS_MAX).then_some((&name[..start], digits, &name[end..]))
}

/// The width that numbers are written with; 0 where there are no leading zeros.
fn width(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { digits.len() } else { 0 }
}

fn range(before: &str, after: &str, width: usize, mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    if let [number] = numbers[..] {
        return format!("{before}{number:0width$}{after}");
    }
    let mut text = format!("{before}[");
    let mut at = 0;
    while at < numbers.len() {
        let run = numbers[at..].windows(2).take_while(|pair| pair[1] == pair[0] + 1).count();
        let (first, last) = (numbers[at], numbers[at + run]);
        if at > 0 {
            text.push(',');
        }
        let _ = match run {
            0 => write!(text, "{first:0width$}"),
            _ => write!(text, "{first:0width$}-{last:0width$}"),
        };
        at += run + 1;
    }
    text.push(']');
    text.push_str(after);
    text
}

/// Digits of a number that fits 64 bits, whatever they are.
const DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_by_their_last_number_in_natural_order() {
        for (names, text) in [
            (&["compute-10", "compute-9", "compute-11", "compute-2"][..], "compute-[2,9-11]"),
            (&["r1-n001", "r1-n002", "r2-n001"], "r1-n[001-002],r2-n001"),
            (&["c08", "c09", "c10"], "c10,c[08-09]"),
            (&["controller", "c1.example.org", "c2.example.org"], "c[1-2].example.org,controller"),
            (&["a", "a"], "a"),
            (&["x99999999999999999999999"], "x99999999999999999999999"),
        ] {
            let names: Vec<HostName> = names.iter().map(|name| HostName::new(name).expect("plain")).collect();
            assert_eq!(folded(&names), text);
        }
    }
}
