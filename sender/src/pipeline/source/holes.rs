//! Holes in a file, whose zeros need not be read.
//!
//! A hole is believed only where the file system is known to report it rightly even while written data is not on the
//! disk yet. Elsewhere the whole file is read, and zeros are found by reading. OpenZFS reported holes where a file had
//! data that was just written (openzfs issue 15526), and network, FUSE and stacked file systems pass on what some other
//! file system says. Where a hole is believed, its first and its last page are still read: one that is not zeros ends
//! the belief in this file's holes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::statfs::{self, FsType, fstatfs};
use nix::unistd::{Whence, lseek};

/// What is asked of a file system.
pub(crate) trait Seek: std::fmt::Debug + Send {
    /// Returns the type of the file system, as in statfs(2).
    fn file_system(&self, file: &File) -> nix::Result<FsType>;

    /// Returns the next data (`SeekData`) or hole (`SeekHole`) from `at` on, as lseek(2).
    fn seek(&self, file: &File, at: i64, whence: Whence) -> nix::Result<i64>;
}

/// The kernel.
#[derive(Debug)]
struct Kernel;

impl Seek for Kernel {
    fn file_system(&self, file: &File) -> nix::Result<FsType> {
        fstatfs(file).map(|stat| stat.filesystem_type())
    }

    fn seek(&self, file: &File, at: i64, whence: Whence) -> nix::Result<i64> {
        lseek(file, at, whence)
    }
}

/// The known holes of a file near the position of a reader that moves from front to back.
#[derive(Debug)]
pub(crate) struct Holes {
    kernel: Box<dyn Seek>,
    /// Whether the file's holes are believed.
    believed: bool,
    bytes: u64,
    /// The last hole found.
    hole: Range<u64>,
    /// The end of the range that was searched; from the reader's position up to here, `hole` is the only hole.
    asked: u64,
}

impl Holes {
    /// Returns the holes of a file of `bytes` bytes.
    pub(crate) fn of(file: &File, bytes: u64) -> Self {
        Self::asking(Box::new(Kernel), file, bytes)
    }

    pub(crate) fn asking(kernel: Box<dyn Seek>, file: &File, bytes: u64) -> Self {
        let believed = kernel.file_system(file).is_ok_and(|kind| BELIEVED.contains(&kind));
        Self { kernel, believed, bytes, hole: 0..0, asked: 0 }
    }

    /// Whether the bytes from `at` to `end` are a hole. On a file system that does not report holes there are none.
    pub(crate) fn cover(&mut self, file: &File, at: u64, end: u64) -> bool {
        if at >= self.asked {
            self.ask(file, at);
        }
        self.hole.start <= at && end <= self.hole.end
    }

    /// Returns about how many bytes of a file are data: those outside of holes, less the share of them that is zeros by
    /// [`SAMPLES`] pages. A file that was written without holes may be zeros for the most part.
    pub(crate) fn data_bytes(&self, file: &File) -> u64 {
        let runs = self.data_runs(file);
        let data: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let sample = |number: u64| {
            let mut rest = (u128::from(data) * u128::from(2 * number + 1) / u128::from(2 * SAMPLES)) as u64;
            let mut before = |run: &&Range<u64>| {
                let bytes = run.end - run.start;
                let is_before = rest >= bytes;
                rest -= if is_before { bytes } else { 0 };
                is_before
            };
            let run = runs.iter().find(|run| !before(run))?;
            Some(run.start + rest)
        };
        let offsets = (0..SAMPLES).filter_map(sample);
        let full = offsets.filter(|&at| !self.is_zero(file, at..at + PAGE as u64)).count() as u64;
        (u128::from(data) * u128::from(full) / u128::from(SAMPLES)) as u64
    }

    /// Returns the runs of data. Where holes are not believed, that is the whole file.
    fn data_runs(&self, file: &File) -> Vec<Range<u64>> {
        let (mut runs, mut at) = (Vec::new(), 0);
        while self.believed && runs.len() < RUNS_MAX {
            match self.next_data(file, at) {
                Ok(Some(run)) => {
                    at = run.end;
                    runs.push(run);
                }
                Ok(None) => return runs,
                Err(_) => break,
            }
        }
        runs.push(at..self.bytes.max(at)); // what is not looked at counts as data
        runs
    }

    fn ask(&mut self, file: &File, at: u64) {
        (self.hole, self.asked) = (0..0, u64::MAX);
        if !self.believed {
            return;
        }
        match self.next_data(file, at) {
            Ok(Some(data)) if data.start > at => (self.hole, self.asked) = (at..data.start, data.start),
            Ok(Some(data)) => self.asked = data.end,
            Ok(None) => (self.hole, self.asked) = (at..u64::MAX, u64::MAX),
            Err(_) => {}
        }
        if !self.hole.is_empty() && !self.is_zero_at_its_ends(file) {
            tracing::warn!(
                "the file system reports a hole at byte {at} of the image where there is data: all of the image is read"
            );
            (self.believed, self.hole, self.asked) = (false, 0..0, u64::MAX);
        }
    }

    /// Returns the next run of data from `at` on.
    fn next_data(&self, file: &File, at: u64) -> nix::Result<Option<Range<u64>>> {
        let seek = |at: u64, whence| {
            let offset = i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?;
            self.kernel.seek(file, offset, whence).map(i64::cast_unsigned)
        };
        let start = match seek(at, Whence::SeekData) {
            Err(Errno::ENXIO) => return Ok(None), // no data up to the end of the file
            start => start?,
        };
        let end = seek(start, Whence::SeekHole).unwrap_or(self.bytes).max(start + 1);
        Ok(Some(start..end))
    }

    fn is_zero_at_its_ends(&self, file: &File) -> bool {
        let end = self.hole.end.min(self.bytes);
        let last = end.saturating_sub(PAGE as u64).max(self.hole.start);
        self.is_zero(file, self.hole.start..self.hole.start + PAGE as u64) && self.is_zero(file, last..end)
    }

    /// Whether a page of the file, or its part before the end of the file, is zeros. One that cannot be read is not: the
    /// reader reports the error.
    fn is_zero(&self, file: &File, page: Range<u64>) -> bool {
        let bytes = page.end.min(self.bytes).saturating_sub(page.start) as usize;
        let mut buffer = [0; PAGE];
        file.read_exact_at(&mut buffer[..bytes], page.start).is_ok() && buffer == [0; PAGE]
    }
}

/// File systems that report as data what was written, on the disk or not: ext2 to ext4, XFS and tmpfs find it in their
/// own extents or in the page cache (`mapping_seek_hole_data` in the kernel's mm/filemap.c).
const BELIEVED: [FsType; 3] = [statfs::EXT4_SUPER_MAGIC, statfs::XFS_SUPER_MAGIC, statfs::TMPFS_MAGIC];

/// Most runs of data that are counted before a push, in some hundredths of a second.
const RUNS_MAX: usize = 16_384;

/// Pages that are read before a push to learn how much of the data is zeros: enough for a tenth or so.
const SAMPLES: u64 = 64;

const PAGE: usize = 4_096;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const BLOCK: u64 = 1 << 20;

    #[test]
    fn holes_are_found_before_between_and_after_data() {
        let file = islands(6, &[1, 4]);
        let mut holes = Holes::of(&file, 6 * BLOCK);
        let found: Vec<bool> =
            (0..6).map(|block| holes.cover(&file, block * BLOCK, (block + 1) * BLOCK)).collect();
        // A file system may not report holes; but it must not report one where there is data.
        assert!(!found[1] && !found[4], "{found:?}");
        if found[0] {
            assert_eq!(found, [true, false, true, true, false, true]);
            assert_eq!(holes.data_bytes(&file), 2 * BLOCK);
        }
        assert!(!holes.cover(&file, 4 * BLOCK - 10, 4 * BLOCK + 10), "half of it is data");
    }

    #[test]
    fn a_hole_is_not_believed_where_the_file_system_is_not_known_to_report_it_rightly() {
        let file = islands(4, &[0, 1, 2, 3]);
        for kind in
            [ZFS, statfs::BTRFS_SUPER_MAGIC, statfs::NFS_SUPER_MAGIC, statfs::FUSE_SUPER_MAGIC, FsType(0)]
        {
            let mut holes = Holes::asking(Box::new(Liar { kind, data: 0..0 }), &file, 4 * BLOCK);
            assert!((0..4).all(|block| !holes.cover(&file, block * BLOCK, (block + 1) * BLOCK)), "{kind:?}");
            assert_eq!(holes.data_bytes(&file), 4 * BLOCK, "all of it is read");
        }
    }

    #[test]
    fn zeros_that_a_file_was_written_with_are_not_taken_for_data() {
        let file = islands(8, &[3]);
        for block in (0..8).filter(|&block| block != 3) {
            file.write_all_at(&[0; BLOCK as usize], block * BLOCK).expect("a block");
        }
        for kind in [statfs::EXT4_SUPER_MAGIC, ZFS] {
            let holes = Holes::asking(Box::new(Liar { kind, data: 0..8 * BLOCK as i64 }), &file, 8 * BLOCK);
            assert_eq!(holes.data_bytes(&file), BLOCK, "{kind:?}");
        }
        let empty = tempfile::tempfile().expect("a temporary file");
        assert_eq!(Holes::of(&empty, 0).data_bytes(&empty), 0);
        let short = tempfile::tempfile().expect("a temporary file");
        short.write_all_at(b"12345", 0).expect("room");
        assert_eq!(Holes::of(&short, 5).data_bytes(&short), 5);
    }

    #[test]
    fn a_hole_that_has_data_at_one_of_its_ends_ends_the_belief_in_all_others() {
        let claims = Liar { kind: statfs::EXT4_SUPER_MAGIC, data: BLOCK as i64..2 * BLOCK as i64 };
        for (islands_at, believed) in [(vec![1], true), (vec![0, 1], false), (vec![1, 3], false)] {
            let file = islands(4, &islands_at);
            let mut holes = Holes::asking(Box::new(claims.clone()), &file, 4 * BLOCK);
            let found: Vec<bool> =
                (0..4).map(|block| holes.cover(&file, block * BLOCK, (block + 1) * BLOCK)).collect();
            assert_eq!(found == [true, false, true, true], believed, "{islands_at:?}: {found:?}");
            assert!(islands_at.iter().all(|&block| !found[block as usize]), "{islands_at:?}: {found:?}");
        }
    }

    /// A file of `blocks` blocks, of which some have data.
    fn islands(blocks: u64, with_data: &[u64]) -> File {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(blocks * BLOCK).expect("its length");
        for block in with_data {
            file.write_all_at(&[7; BLOCK as usize], block * BLOCK).expect("a block");
        }
        file
    }

    /// A file system that reports data in one range alone, whatever the file holds.
    #[derive(Clone, Debug)]
    pub(crate) struct Liar {
        pub(crate) kind: FsType,
        pub(crate) data: Range<i64>,
    }

    impl Seek for Liar {
        fn file_system(&self, _: &File) -> nix::Result<FsType> {
            Ok(self.kind)
        }

        fn seek(&self, _: &File, at: i64, whence: Whence) -> nix::Result<i64> {
            match whence {
                Whence::SeekData if at < self.data.end => Ok(at.max(self.data.start)),
                Whence::SeekData => Err(Errno::ENXIO),
                _ if self.data.contains(&at) => Ok(self.data.end),
                _ => Ok(at),
            }
        }
    }

    /// OpenZFS, in the same notation as the kernel's own file systems.
    pub(crate) const ZFS: FsType = FsType(0x2fc1_2fc1);
}
