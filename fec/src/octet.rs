//! Arithmetic of RFC 6330 §5.7 on octets, GF(256) of the polynomial x^8 + x^4 + x^3 + x^2 + 1, one at a time: the
//! readable reference, and the source of the kernels' tables.

/// The polynomial without its leading term.
const POLYNOMIAL: u8 = 0x1D;

/// OCT_EXP of RFC 6330 §5.7.3, twice over so that sums of two logarithms need no reduction.
const EXP: [u8; 510] = {
    let mut table = [0; 510];
    let mut value = 1;
    let mut i = 0;
    while i < 510 {
        table[i] = value;
        value = times_alpha(value);
        i += 1;
    }
    table
};

/// OCT_LOG of RFC 6330 §5.7.4; that of 0 is not used.
const LOG: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 255 {
        table[EXP[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// `alpha * value`, alpha being the octet 2.
pub(crate) const fn times_alpha(value: u8) -> u8 {
    (value << 1) ^ (if value & 0x80 != 0 { POLYNOMIAL } else { 0 })
}

/// The product of two octets.
pub(crate) const fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { EXP[LOG[a as usize] as usize + LOG[b as usize] as usize] }
}

/// The octet whose product with `value` is 1.
///
/// # Panics
/// If `value` is 0.
pub(crate) const fn inverse(value: u8) -> u8 {
    assert!(value != 0, "0 has no inverse");
    EXP[255 - LOG[value as usize] as usize]
}

/// The products of each octet with the octets 0 to 15, then with 0, 16, 32, .. 240: what a multiplication by halves
/// of octets looks up.
pub(crate) const HALVES: [[u8; 32]; 256] = {
    let mut table = [[0; 32]; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut half = 0;
        while half < 16 {
            table[factor][half] = product(factor as u8, half as u8);
            table[factor][16 + half] = product(factor as u8, (half << 4) as u8);
            half += 1;
        }
        factor += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Carry-less multiplication, then reduction: the definition.
    fn by_definition(a: u8, b: u8) -> u8 {
        let mut wide =
            (0..8).filter(|bit| b >> bit & 1 == 1).fold(0u16, |sum, bit| sum ^ u16::from(a) << bit);
        for bit in (8..16).rev() {
            if wide >> bit & 1 == 1 {
                wide ^= 0x11D << (bit - 8);
            }
        }
        wide as u8
    }

    #[test]
    fn all_products_are_those_of_the_definition() {
        for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            assert_eq!(product(a, b), by_definition(a, b), "{a} * {b}");
            let halves = &HALVES[usize::from(a)];
            assert_eq!(halves[usize::from(b & 15)] ^ halves[16 + usize::from(b >> 4)], product(a, b));
        }
        (1..=255u8).for_each(|value| assert_eq!(product(value, inverse(value)), 1));
        (0..=255u8).for_each(|value| assert_eq!(times_alpha(value), product(2, value)));
    }
}
