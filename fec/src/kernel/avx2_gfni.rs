//! AVX2 with GFNI: 32 octets are multiplied by one instruction.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use super::body::kernel_operations;
use super::x86::{affine_products, vectors};

const NAME: &str = "avx2-gfni";
const WIDTH: usize = 32;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 15;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx2,gfni")]],
    tiles: [1 => 4, 2 => 4, 3 => 2, 4 => 2, 5 => 2, 6 => 2],
    most: 6
}

vectors! {
    attribute: #[target_feature(enable = "avx2,gfni")],
    vector: __m256i,
    zero: _mm256_setzero_si256,
    load: _mm256_loadu_si256,
    store: _mm256_storeu_si256,
    xor: _mm256_xor_si256
}

affine_products! {
    attribute: #[target_feature(enable = "avx2,gfni")],
    splat: _mm256_set1_epi64x,
    affine: _mm256_gf2p8affine_epi64_epi8
}
