//! AVX-512 with GFNI: 64 octets are multiplied by one instruction.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::affine::MATRICES;
use super::body::{Block, DENSE_GROUP_BYTES, DENSE_GROUP_MIN, GATHER_AHEAD, kernel_operations, touch};
use super::{Dense, Gather};
use crate::program::{HDPC_PARTS, Hdpc, Program};

const NAME: &str = "avx512-gfni";
const WIDTH: usize = 64;
const TWO_ROWS: bool = true;
const DENSE_MAX: usize = 19;

type Vector = __m512i;
type Operand = Vector;
/// The factor's matrix, in every 64 bits.
type Factor = Vector;

kernel_operations! {
    attributes: [#[target_feature(enable = "avx512f,avx512bw,gfni")]],
    tiles: [1 => 8, 2 => 8, 3 => 8, 4 => 4, 5 => 4, 6 => 4, 7 => 2, 8 => 2, 9 => 2, 10 => 2, 11 => 2, 12 => 2],
    most: 12
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> Vector {
    _mm512_setzero_si512()
}

/// # Safety
/// 64 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(from: *const u8) -> Vector {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// # Safety
/// 64 bytes can be written.
#[inline]
#[target_feature(enable = "avx512f")]
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
#[target_feature(enable = "avx512f")]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn times_alpha(vector: Vector) -> Vector {
    product(vector, factor(2))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn operand(vector: Vector) -> Operand {
    vector
}

#[inline]
#[target_feature(enable = "avx512f")]
fn factor(octet: u8) -> Factor {
    _mm512_set1_epi64(MATRICES[usize::from(octet)])
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn product(operand: Operand, factor: Factor) -> Vector {
    _mm512_gf2p8affine_epi64_epi8::<0>(operand, factor)
}
