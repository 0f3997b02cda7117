//! AVX2: 32 octets are multiplied by looking up the products of their halves.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi8, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::body::{Block, DENSE_GROUP_BYTES, DENSE_GROUP_MIN, GATHER_AHEAD, kernel_operations, touch};
use super::{Dense, Gather};
use crate::octet::HALVES;
use crate::program::{HDPC_PARTS, Hdpc, Program};

const NAME: &str = "avx2";
const WIDTH: usize = 32;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 7;

type Vector = __m256i;
/// The low and the high halves of the octets.
type Operand = (Vector, Vector);
/// What the factor makes of each low half and of each high half.
type Factor = (Vector, Vector);

kernel_operations! {
    attributes: [#[target_feature(enable = "avx2")]],
    tiles: [1 => 2, 2 => 2, 3 => 2, 4 => 2],
    most: 4
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero() -> Vector {
    _mm256_setzero_si256()
}

/// # Safety
/// 32 bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(from: *const u8) -> Vector {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

/// # Safety
/// 32 bytes can be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(to: *mut u8, vector: Vector) {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { _mm256_storeu_si256(to.cast(), vector) }
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
#[target_feature(enable = "avx2")]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn times_alpha(vector: Vector) -> Vector {
    let carries = _mm256_cmpgt_epi8(_mm256_setzero_si256(), vector);
    _mm256_xor_si256(_mm256_add_epi8(vector, vector), _mm256_and_si256(carries, _mm256_set1_epi8(0x1D)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn operand(vector: Vector) -> Operand {
    let low = _mm256_set1_epi8(0x0F);
    (_mm256_and_si256(vector, low), _mm256_and_si256(_mm256_srli_epi64::<4>(vector), low))
}

#[inline]
#[target_feature(enable = "avx2")]
fn factor(octet: u8) -> Factor {
    let halves = HALVES[usize::from(octet)].as_ptr();
    // SAFETY: a row of the table is 32 bytes.
    let (low, high) = unsafe { (_mm_loadu_si128(halves.cast()), _mm_loadu_si128(halves.add(16).cast())) };
    (_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn product(operand: Operand, factor: Factor) -> Vector {
    _mm256_xor_si256(_mm256_shuffle_epi8(factor.0, operand.0), _mm256_shuffle_epi8(factor.1, operand.1))
}
