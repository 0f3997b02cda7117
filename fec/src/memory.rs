//! Working memory that is reused from block to block.

use crate::kernel::LANE;

/// Bytes that begin on a cache line. Rows of a strip that cross two lines cost a third of the speed, because each load
/// is then two.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// Returns `len` bytes with unspecified content.
    pub(crate) fn used(&mut self, len: usize) -> &mut [u8] {
        if self.0.len() < len + LANE {
            self.0 = vec![0; len + LANE];
        }
        let start = self.0.as_ptr().align_offset(LANE);
        &mut self.0[start..][..len]
    }

    /// Returns `len` zero bytes.
    pub(crate) fn zeroed(&mut self, len: usize) -> &mut [u8] {
        let bytes = self.used(len);
        bytes.fill(0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_starts_with_a_line_whatever_its_length() {
        let mut lines = Lines::default();
        for len in [0, 1, 64, 100_000, 3, 1 << 20] {
            let bytes = lines.used(len);
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % LANE), (len, 0));
            bytes.fill(1);
            assert!(lines.zeroed(len).iter().all(|&byte| byte == 0));
        }
    }
}
