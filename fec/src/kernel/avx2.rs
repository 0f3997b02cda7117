//! AVX2: 32 octets are multiplied by looking up the products of their halves.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{_mm256_add_epi8, _mm256_cmpgt_epi8};

use super::body::kernel_operations;
use super::x86::{products_of_halves, vectors};

const NAME: &str = "avx2";
const WIDTH: usize = 32;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 7;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx2")]],
    tiles: [1 => 2, 2 => 2, 3 => 2, 4 => 2],
    most: 4
}

vectors! {
    attribute: #[target_feature(enable = "avx2")],
    vector: __m256i,
    zero: _mm256_setzero_si256,
    load: _mm256_loadu_si256,
    store: _mm256_storeu_si256,
    xor: _mm256_xor_si256
}

products_of_halves! {
    attribute: #[target_feature(enable = "avx2")],
    splat: _mm256_set1_epi8,
    and: _mm256_and_si256,
    shift_right: _mm256_srli_epi64,
    look_up: _mm256_shuffle_epi8,
    repeat: _mm256_broadcastsi128_si256
}

#[inline]
#[target_feature(enable = "avx2")]
fn times_alpha(vector: Vector) -> Vector {
    let carries = _mm256_cmpgt_epi8(zero(), vector);
    xor(_mm256_add_epi8(vector, vector), _mm256_and_si256(carries, _mm256_set1_epi8(0x1D)))
}
