//! Holes in a file, whose zeros need not be read.

use std::fs::File;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// The known holes of a file near the position of a reader that moves from front to back.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    /// The last hole found.
    hole: Range<u64>,
    /// The end of the range that was searched; from the reader's position up to here, `hole` is the only hole.
    asked: u64,
}

impl Holes {
    /// Whether the bytes from `at` to `end` are a hole. On a file system that does not report holes there are none.
    pub(crate) fn cover(&mut self, file: &File, at: u64, end: u64) -> bool {
        if at >= self.asked {
            self.ask(file, at);
        }
        self.hole.start <= at && end <= self.hole.end
    }

    fn ask(&mut self, file: &File, at: u64) {
        let seek = |whence| {
            let offset = i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?;
            lseek(file, offset, whence).map(i64::cast_unsigned)
        };
        match seek(Whence::SeekData) {
            Ok(data) if data > at => (self.hole, self.asked) = (at..data, data),
            Ok(_) => self.asked = seek(Whence::SeekHole).unwrap_or(u64::MAX),
            // No data up to the end of the file.
            Err(Errno::ENXIO) => (self.hole, self.asked) = (at..u64::MAX, u64::MAX),
            Err(_) => self.asked = u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_found_before_between_and_after_data() {
        const BLOCK: u64 = 1 << 20;
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(6 * BLOCK).expect("its length");
        for block in [1, 4] {
            file.write_all_at(&[7; 1 << 20], block * BLOCK).expect("a block");
        }
        let mut holes = Holes::default();
        let found: Vec<bool> =
            (0..6).map(|block| holes.cover(&file, block * BLOCK, (block + 1) * BLOCK)).collect();
        // A file system may not report holes; but it must not report one where there is data.
        assert!(!found[1] && !found[4], "{found:?}");
        if found[0] {
            assert_eq!(found, [true, false, true, true, false, true]);
        }
        assert!(!holes.cover(&file, 4 * BLOCK - 10, 4 * BLOCK + 10), "half of it is data");
    }
}
