//! The pages of a block that are worth writing: pages of zeros stay holes.

use std::ops::Range;

use crate::pool::PAGE;

/// Returns the ranges of a block's bytes that are not whole pages of zeros, in order. The block begins at a page of its
/// file.
pub(super) fn data_runs(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && is_zero(page(bytes, at)) {
            at += PAGE;
        }
        let start = at;
        while at < bytes.len() && !is_zero(page(bytes, at)) {
            at += PAGE;
        }
        (start < bytes.len()).then(|| start..at.min(bytes.len()))
    })
}

fn page(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at..bytes.len().min(at + PAGE)]
}

fn is_zero(page: &[u8]) -> bool {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    page == &ZEROS[..page.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_zeros_are_left_out() {
        let mut bytes = vec![0; 10 * PAGE + 5];
        assert!(runs(&bytes).is_empty());
        bytes[PAGE] = 1;
        bytes[3 * PAGE - 1] = 1;
        bytes[7 * PAGE + 9] = 1;
        assert_eq!(runs(&bytes), [PAGE..3 * PAGE, 7 * PAGE..8 * PAGE]);
        bytes[10 * PAGE + 4] = 1;
        assert_eq!(runs(&bytes)[2], 10 * PAGE..10 * PAGE + 5);
        bytes.fill(1);
        assert_eq!(runs(&bytes), std::slice::from_ref(&(0..bytes.len())));
        assert!(runs(&[]).is_empty());
    }

    fn runs(bytes: &[u8]) -> Vec<Range<usize>> {
        data_runs(bytes).collect()
    }
}
