//! AVX2 with GFNI: 32 octets are multiplied by one instruction.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_gf2p8affine_epi64_epi8, _mm256_loadu_si256,
    _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::affine::MATRICES;
use super::body::{Block, DENSE_GROUP_BYTES, DENSE_GROUP_MIN, GATHER_AHEAD, kernel_operations, touch};
use super::{Dense, Gather};
use crate::program::{HDPC_PARTS, Hdpc, Program};

const NAME: &str = "avx2-gfni";
const WIDTH: usize = 32;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 15;

type Vector = __m256i;
type Operand = Vector;
/// The factor's matrix, in every 64 bits.
type Factor = Vector;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx2,gfni")]],
    tiles: [1 => 4, 2 => 4, 3 => 2, 4 => 2, 5 => 2, 6 => 2],
    most: 6
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
#[target_feature(enable = "avx2,gfni")]
fn times_alpha(vector: Vector) -> Vector {
    product(vector, factor(2))
}

#[inline]
#[target_feature(enable = "avx2")]
fn operand(vector: Vector) -> Operand {
    vector
}

#[inline]
#[target_feature(enable = "avx2")]
fn factor(octet: u8) -> Factor {
    _mm256_set1_epi64x(MATRICES[usize::from(octet)])
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn product(operand: Operand, factor: Factor) -> Vector {
    _mm256_gf2p8affine_epi64_epi8::<0>(operand, factor)
}
