//! NEON: 16 octets are multiplied by looking up the products of their halves.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vcltzq_s8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vreinterpretq_s8_u8,
    vshlq_n_u8, vshrq_n_u8, vst1q_u8,
};

use super::body::kernel_operations;
use crate::octet::HALVES;

const NAME: &str = "neon";
const WIDTH: usize = 16;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 7;

type Vector = uint8x16_t;
/// The low and the high halves of the octets.
type Operand = (Vector, Vector);
/// What the factor makes of each low half and of each high half.
type Factor = (Vector, Vector);

kernel_operations! {
    attributes: [#[target_feature(enable = "neon")]],
    tiles: [1 => 4, 2 => 4, 3 => 4, 4 => 2, 5 => 2, 6 => 2, 7 => 2, 8 => 2],
    most: 8
}

#[inline]
#[target_feature(enable = "neon")]
fn zero() -> Vector {
    vdupq_n_u8(0)
}

/// # Safety
/// 16 bytes can be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load(from: *const u8) -> Vector {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { vld1q_u8(from) }
}

/// # Safety
/// 16 bytes can be written.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(to: *mut u8, vector: Vector) {
    // SAFETY: the caller vouches; no alignment is asked for.
    unsafe { vst1q_u8(to, vector) }
}

/// Left to the processor: the instruction is not available on a stable compiler.
#[inline]
fn prefetch(_: *const u8) {}

#[inline]
fn prefetch_later(_: *const u8) {}

#[inline]
#[target_feature(enable = "neon")]
fn xor(a: Vector, b: Vector) -> Vector {
    veorq_u8(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn times_alpha(vector: Vector) -> Vector {
    let carries = vcltzq_s8(vreinterpretq_s8_u8(vector));
    veorq_u8(vshlq_n_u8::<1>(vector), vandq_u8(carries, vdupq_n_u8(0x1D)))
}

#[inline]
#[target_feature(enable = "neon")]
fn operand(vector: Vector) -> Operand {
    (vandq_u8(vector, vdupq_n_u8(0x0F)), vshrq_n_u8::<4>(vector))
}

#[inline]
#[target_feature(enable = "neon")]
fn factor(octet: u8) -> Factor {
    let halves = HALVES[usize::from(octet)].as_ptr();
    // SAFETY: a row of the table is 32 bytes.
    unsafe { (vld1q_u8(halves), vld1q_u8(halves.add(16))) }
}

#[inline]
#[target_feature(enable = "neon")]
fn product(operand: Operand, factor: Factor) -> Vector {
    veorq_u8(vqtbl1q_u8(factor.0, operand.0), vqtbl1q_u8(factor.1, operand.1))
}
