//! The kernel of any machine: 64-bit words, no instruction set assumed. The others are compared with it.

#![allow(clippy::multiple_unsafe_ops_per_block)] // a load and its address are one step
#![allow(clippy::needless_range_loop)] // registers are indexed, so that loops over them unroll

use super::body::kernel_operations;
use crate::octet;

const NAME: &str = "portable";
const WIDTH: usize = 16;
const TWO_ROWS: bool = false;
const DENSE_MAX: usize = 6;

type Vector = [u64; 2];
type Operand = Vector;
/// The products of the factor with each power of alpha below 8, in every octet of a word.
type Factor = [u64; 8];

const LOW_BITS: u64 = 0x0101_0101_0101_0101;

kernel_operations! {
    attributes: [],
    tiles: [1 => 1, 2 => 1],
    most: 2
}

const fn splat(octet: u8) -> u64 {
    octet as u64 * LOW_BITS
}

#[inline]
fn zero() -> Vector {
    [0; 2]
}

/// # Safety
/// 16 bytes can be read.
#[inline]
unsafe fn load(from: *const u8) -> Vector {
    // SAFETY: the caller vouches; any bits are a word.
    unsafe { from.cast::<Vector>().read_unaligned() }
}

/// # Safety
/// 16 bytes can be written.
#[inline]
unsafe fn store(to: *mut u8, vector: Vector) {
    // SAFETY: the caller vouches.
    unsafe { to.cast::<Vector>().write_unaligned(vector) }
}

#[inline]
fn prefetch(_: *const u8) {}

#[inline]
fn prefetch_later(_: *const u8) {}

#[inline]
fn xor(a: Vector, b: Vector) -> Vector {
    [a[0] ^ b[0], a[1] ^ b[1]]
}

#[inline]
fn times_alpha(vector: Vector) -> Vector {
    vector.map(|word| {
        let carries = (word >> 7) & LOW_BITS;
        ((word & !(LOW_BITS << 7)) << 1) ^ (carries * 0x1D)
    })
}

#[inline]
fn operand(vector: Vector) -> Operand {
    vector
}

#[inline]
fn factor(octet: u8) -> Factor {
    let mut power = octet;
    let mut factor = [0; 8];
    for place in &mut factor {
        *place = splat(power);
        power = octet::times_alpha(power);
    }
    factor
}

#[inline]
fn product(operand: Operand, factor: Factor) -> Vector {
    operand.map(|word| {
        let mut sum = 0;
        for bit in 0..8 {
            // 0xFF in each octet that has the bit.
            let chosen = ((word >> bit) & LOW_BITS) * 0xFF;
            sum ^= chosen & factor[bit];
        }
        sum
    })
}
