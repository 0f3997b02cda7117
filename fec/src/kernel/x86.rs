//! What the kernels of x86-64 have in common, as macros: a kernel file names its intrinsics and its target features.

/// Defines `Vector` with `zero`, `load`, `store` and `xor`, and the prefetches into both caches.
macro_rules! vectors {
    (
        attribute: #[$attr:meta],
        vector: $Vector:ident,
        zero: $zero:ident,
        load: $load:ident,
        store: $store:ident,
        xor: $xor:ident
    ) => {
        use std::arch::x86_64::{
            _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, $Vector, $load, $store, $xor, $zero,
        };

        type Vector = $Vector;

        #[inline]
        #[$attr]
        fn zero() -> Vector {
            $zero()
        }

        /// # Safety
        /// The bytes of a vector can be read.
        #[inline]
        #[$attr]
        unsafe fn load(from: *const u8) -> Vector {
            // SAFETY: the caller vouches; no alignment is asked for.
            unsafe { $load(from.cast()) }
        }

        /// # Safety
        /// The bytes of a vector can be written.
        #[inline]
        #[$attr]
        unsafe fn store(to: *mut u8, vector: Vector) {
            // SAFETY: the caller vouches; no alignment is asked for.
            unsafe { $store(to.cast(), vector) }
        }

        #[inline]
        #[$attr]
        fn xor(a: Vector, b: Vector) -> Vector {
            $xor(a, b)
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
    };
}

/// Defines multiplication by looking up the products of the octets' halves, four bits each.
macro_rules! products_of_halves {
    (
        attribute: #[$attr:meta],
        splat: $splat:ident,
        and: $and:ident,
        shift_right: $shift_right:ident,
        look_up: $look_up:ident,
        repeat: $repeat:ident
    ) => {
        use std::arch::x86_64::{_mm_loadu_si128, $and, $look_up, $repeat, $shift_right, $splat};

        /// The low and the high halves of the octets.
        type Operand = (Vector, Vector);
        /// What the factor makes of each low half and of each high half.
        type Factor = (Vector, Vector);

        #[inline]
        #[$attr]
        fn operand(vector: Vector) -> Operand {
            let low = $splat(0x0F);
            ($and(vector, low), $and($shift_right::<4>(vector), low))
        }

        #[inline]
        #[$attr]
        fn factor(octet: u8) -> Factor {
            let row = $crate::octet::HALVES[usize::from(octet)].as_ptr();
            // SAFETY: a row of the table is 32 bytes.
            let (low, high) = unsafe { (_mm_loadu_si128(row.cast()), _mm_loadu_si128(row.add(16).cast())) };
            ($repeat(low), $repeat(high))
        }

        #[inline]
        #[$attr]
        fn product(operand: Operand, factor: Factor) -> Vector {
            xor($look_up(factor.0, operand.0), $look_up(factor.1, operand.1))
        }
    };
}

/// Defines multiplication by GFNI's affine instruction.
macro_rules! affine_products {
    (attribute: #[$attr:meta], splat: $splat:ident, affine: $affine:ident) => {
        use std::arch::x86_64::{$affine, $splat};

        type Operand = Vector;
        /// The factor's matrix, in every 64 bits.
        type Factor = Vector;

        #[inline]
        #[$attr]
        fn times_alpha(vector: Vector) -> Vector {
            product(vector, factor(2))
        }

        #[inline]
        fn operand(vector: Vector) -> Operand {
            vector
        }

        #[inline]
        #[$attr]
        fn factor(octet: u8) -> Factor {
            $splat($crate::kernel::affine::MATRICES[usize::from(octet)])
        }

        #[inline]
        #[$attr]
        fn product(operand: Operand, factor: Factor) -> Vector {
            $affine::<0>(operand, factor)
        }
    };
}

pub(super) use {affine_products, products_of_halves, vectors};
