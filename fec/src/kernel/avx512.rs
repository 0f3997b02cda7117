//! AVX-512BW: 64 octets are multiplied by looking up the products of their halves.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm512_add_epi8, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_maskz_set1_epi8, _mm512_movepi8_mask,
    _mm512_set1_epi8, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srli_epi64, _mm512_storeu_si512,
    _mm512_xor_si512,
};

use super::body::{Block, DENSE_GROUP_BYTES, DENSE_GROUP_MIN, GATHER_AHEAD, kernel_operations, touch};
use super::{Dense, Gather};
use crate::octet::HALVES;
use crate::program::{HDPC_PARTS, Hdpc, Program};

const NAME: &str = "avx512";
const WIDTH: usize = 64;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 10;

type Vector = __m512i;
/// The low and the high halves of the octets.
type Operand = (Vector, Vector);
/// What the factor makes of each low half and of each high half.
type Factor = (Vector, Vector);

kernel_operations! {
    attributes: [#[target_feature(enable = "avx512f,avx512bw")]],
    tiles: [1 => 4, 2 => 4, 3 => 4, 4 => 2, 5 => 2, 6 => 2, 7 => 2, 8 => 2, 9 => 2, 10 => 2],
    most: 10
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn zero() -> Vector {
    _mm512_setzero_si512()
}

/// # Safety
/// 64 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load(from: *const u8) -> Vector {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// # Safety
/// 64 bytes can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store(to: *mut u8, vector: Vector) {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.cast(), vector) }
}

#[inline]
fn prefetch(at: *const u8) {
    // SAFETY: a prefetch reads nothing that the program sees, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[inline]
fn prefetch_later(at: *const u8) {
    // SAFETY: as above.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn times_alpha(vector: Vector) -> Vector {
    let carries = _mm512_maskz_set1_epi8(_mm512_movepi8_mask(vector), 0x1D);
    _mm512_xor_si512(_mm512_add_epi8(vector, vector), carries)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn operand(vector: Vector) -> Operand {
    let low = _mm512_set1_epi8(0x0F);
    (_mm512_and_si512(vector, low), _mm512_and_si512(_mm512_srli_epi64::<4>(vector), low))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn factor(octet: u8) -> Factor {
    let halves = HALVES[usize::from(octet)].as_ptr();
    // SAFETY: a row of the table is 32 bytes.
    let (low, high) = unsafe { (_mm_loadu_si128(halves.cast()), _mm_loadu_si128(halves.add(16).cast())) };
    (_mm512_broadcast_i32x4(low), _mm512_broadcast_i32x4(high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn product(operand: Operand, factor: Factor) -> Vector {
    _mm512_xor_si512(_mm512_shuffle_epi8(factor.0, operand.0), _mm512_shuffle_epi8(factor.1, operand.1))
}
