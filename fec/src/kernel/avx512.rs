//! AVX-512BW: 64 octets are multiplied by looking up the products of their halves.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{_mm512_add_epi8, _mm512_maskz_set1_epi8, _mm512_movepi8_mask};

use super::body::kernel_operations;
use super::x86::{products_of_halves, vectors};

const NAME: &str = "avx512";
const WIDTH: usize = 64;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 10;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx512f,avx512bw")]],
    tiles: [1 => 4, 2 => 4, 3 => 4, 4 => 2, 5 => 2, 6 => 2, 7 => 2, 8 => 2, 9 => 2, 10 => 2],
    most: 10
}

vectors! {
    attribute: #[target_feature(enable = "avx512f,avx512bw")],
    vector: __m512i,
    zero: _mm512_setzero_si512,
    load: _mm512_loadu_si512,
    store: _mm512_storeu_si512,
    xor: _mm512_xor_si512
}

products_of_halves! {
    attribute: #[target_feature(enable = "avx512f,avx512bw")],
    splat: _mm512_set1_epi8,
    and: _mm512_and_si512,
    shift_right: _mm512_srli_epi64,
    look_up: _mm512_shuffle_epi8,
    repeat: _mm512_broadcast_i32x4
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn times_alpha(vector: Vector) -> Vector {
    let carries = _mm512_maskz_set1_epi8(_mm512_movepi8_mask(vector), 0x1D);
    xor(_mm512_add_epi8(vector, vector), carries)
}
