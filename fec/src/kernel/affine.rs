//! Multiplication by a constant as an 8 x 8 matrix of bits, in the order that GFNI's affine instruction takes.
//!
//! GFNI's own multiplication is in another field (0x11B); RFC 6330's is of the polynomial 0x11D.

use crate::octet;

/// The matrix of each octet: bit `j` of byte `7 - i` says whether bit `j` of the input goes into bit `i`.
pub(super) const MATRICES: [i64; 256] = {
    let mut table = [0; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut matrix = 0u64;
        let mut j = 0;
        while j < 8 {
            let column = octet::product(factor as u8, 1 << j);
            let mut i = 0;
            while i < 8 {
                matrix |= ((column >> i & 1) as u64) << (8 * (7 - i) + j);
                i += 1;
            }
            j += 1;
        }
        table[factor] = matrix as i64;
        factor += 1;
    }
    table
};
