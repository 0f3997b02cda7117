//! AVX-512 with GFNI: 64 octets are multiplied by one instruction.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use super::body::kernel_operations;
use super::x86::{affine_products, vectors};

const NAME: &str = "avx512-gfni";
const WIDTH: usize = 64;
const TWO_ROWS: bool = true;
const DENSE_MAX: usize = 19;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx512f,avx512bw,gfni")]],
    tiles: [1 => 8, 2 => 8, 3 => 8, 4 => 4, 5 => 4, 6 => 4, 7 => 2, 8 => 2, 9 => 2, 10 => 2, 11 => 2, 12 => 2],
    most: 12
}

vectors! {
    attribute: #[target_feature(enable = "avx512f,avx512bw,gfni")],
    vector: __m512i,
    zero: _mm512_setzero_si512,
    load: _mm512_loadu_si512,
    store: _mm512_storeu_si512,
    xor: _mm512_xor_si512
}

affine_products! {
    attribute: #[target_feature(enable = "avx512f,avx512bw,gfni")],
    splat: _mm512_set1_epi64,
    affine: _mm512_gf2p8affine_epi64_epi8
}
