//! Which intermediate symbols an encoding symbol is the sum of: RFC 6330 §5.3.5.2 to §5.3.5.4.

use crate::rand::rand;
use crate::tables::Params;

/// `Deg[v]` (RFC 6330 §5.3.5.2): the number of LT symbols, from v in `0..2^20`.
fn degree(v: u32, w: u32) -> u32 {
    let d = DEGREES.partition_point(|&f| f <= v) as u32;
    d.min(w - 2)
}

/// Table 1 of RFC 6330 §5.3.5.2, from d = 0 on: `Deg[v]` is d where `f[d - 1] <= v < f[d]`.
const DEGREES: [u32; 31] = [
    0, 5243, 529531, 704294, 791675, 844104, 879057, 904023, 922747, 937311, 948962, 958494, 966438, 973160,
    978921, 983914, 988283, 992138, 995565, 998631, 1001391, 1003887, 1006157, 1008229, 1010129, 1011876,
    1013490, 1014983, 1016370, 1017662, 1048576,
];

/// (d, a, b, d1, a1, b1) of RFC 6330 §5.3.5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuple {
    d: u32,
    a: u32,
    b: u32,
    d1: u32,
    a1: u32,
    b1: u32,
}

impl Tuple {
    /// `Tuple[K', X]`.
    fn new(params: &Params, isi: u32) -> Self {
        let (w, p1) = (params.w as u32, params.p1 as u32);
        let a = (53_591 + params.j * 997) | 1;
        let b = 10_267 * (params.j + 1);
        let y = b.wrapping_add(isi.wrapping_mul(a));
        let d = degree(rand(y, 0, 1 << 20), w);
        Self {
            d,
            a: 1 + rand(y, 1, w - 1),
            b: rand(y, 2, w),
            d1: if d < 4 { 2 + rand(isi, 3, 2) } else { 2 },
            a1: 1 + rand(isi, 4, p1 - 1),
            b1: rand(isi, 5, p1),
        }
    }
}

/// `Enc[]` of RFC 6330 §5.3.5.3, as the indices of the intermediate symbols that it adds up, each once: those of the
/// encoding symbol with internal symbol id `isi`.
pub(crate) fn intermediate_indices(params: &Params, isi: u32, mut visit: impl FnMut(usize)) {
    let Tuple { d, a, mut b, d1, a1, mut b1 } = Tuple::new(params, isi);
    let (w, p, p1) = (params.w as u32, params.p as u32, params.p1 as u32);
    visit(b as usize);
    for _ in 1..d {
        b = step(b, a, w);
        visit(b as usize);
    }
    while b1 >= p {
        b1 = step(b1, a1, p1);
    }
    visit((w + b1) as usize);
    for _ in 1..d1 {
        b1 = step(b1, a1, p1);
        while b1 >= p {
            b1 = step(b1, a1, p1);
        }
        visit((w + b1) as usize);
    }
}

/// `(x + step) mod modulus`, both below it.
fn step(x: u32, step: u32, modulus: u32) -> u32 {
    let sum = x + step;
    if sum >= modulus { sum - modulus } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_degree_follows_table_1() {
        for (d, bounds) in DEGREES.windows(2).enumerate() {
            assert_eq!(degree(bounds[0], 10_000), d as u32 + 1);
            assert_eq!(degree(bounds[1] - 1, 10_000), d as u32 + 1);
        }
        assert_eq!(degree((1 << 20) - 1, 17), 15, "W - 2 at most");
    }

    #[test]
    fn an_encoding_symbol_names_no_intermediate_symbol_twice() {
        for k in [1, 10, 100, 1_000, 10_000, 56_403] {
            let params = Params::of(k);
            for isi in (0..2_000).chain((1 << 24)..(1 << 24) + 50) {
                let mut seen = Vec::new();
                intermediate_indices(&params, isi, |index| seen.push(index));
                assert!(seen.iter().all(|&index| index < params.l));
                seen.sort_unstable();
                assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "K = {k}, ISI {isi}: {seen:?}");
            }
        }
    }
}
