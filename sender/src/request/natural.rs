//! The order in which people look for names: compute-2 before compute-10.

use std::cmp::Ordering;

/// Compares names: runs of digits by their value, everything else by its bytes. Names that differ in leading zeros alone
/// have an order too.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(&x), Some(&y)) = (left.first(), right.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (digits(&mut left), digits(&mut right));
            match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
                Ordering::Equal => {}
                other => return other,
            }
        } else if x != y {
            return x.cmp(&y);
        } else {
            (left, right) = (&left[1..], &right[1..]);
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes a number from the beginning, and returns its digits without leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    &number[number.iter().position(|&byte| byte != b'0').unwrap_or(number.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_value() {
        let sorted = [
            "compute",
            "compute-1",
            "compute-2",
            "compute-02",
            "compute-10",
            "compute-99999999999999999999998",
            "compute-99999999999999999999999",
            "compute-a",
            "n1-r2",
            "n1-r10",
            "n2-r1",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                // compute-02 and compute-2 have one value: their bytes decide.
                if a.replace('0', "") != b.replace('0', "") || i == j {
                    assert_eq!(natural(a, b), i.cmp(&j), "{a} {b}");
                }
            }
        }
        assert_ne!(natural("c02", "c2"), Ordering::Equal);
        assert_eq!(natural("c02", "c2"), natural("c2", "c02").reverse());
    }
}
