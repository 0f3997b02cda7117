//! Values on command lines.

/// A number of bytes, with `k`, `m` or `g` for a power of 1024.
///
/// # Errors
/// What is wrong with it.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [('k', 10), ('m', 20), ('g', 30)];
    let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
    let (digits, shift) = unit.map_or((text, 0), |(_, shift)| (&text[..text.len() - 1], *shift));
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a number of bytes such as 256m"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too much"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_power_of_1024() {
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("256m"), Ok(256 << 20));
        assert_eq!(bytes("8g"), Ok(8 << 30));
        for wrong in ["", "g", "1t", "-1", "99999999999g"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
