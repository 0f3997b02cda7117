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

    /// Returns the bytes outside of holes; `None` where holes are not believed.
    pub(crate) fn data_bytes(&self, file: &File) -> Option<u64> {
        let (mut at, mut data) = (0, 0);
        for _ in 0..RUNS_MAX {
            let run = match self.next_data(file, at) {
                _ if !self.believed => return None,
                Ok(Some(run)) => run,
                Ok(None) => return Some(data),
                Err(_) => return None,
            };
            data += run.end - run.start;
            at = run.end;
        }
        Some(data + self.bytes.saturating_sub(at)) // what is not looked at counts as data
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
        [self.hole.start, end.saturating_sub(PAGE as u64).max(self.hole.start)].into_iter().all(|at| {
            let mut page = [0; PAGE];
            let bytes = end.saturating_sub(at).min(PAGE as u64) as usize;
            // A page that cannot be read is left to the reader, which reports the error.
            file.read_exact_at(&mut page[..bytes], at).is_ok() && page == [0; PAGE]
        })
    }
}

/// File systems that report as data what was written, on the disk or not: ext2 to ext4, XFS and tmpfs find it in their
/// own extents or in the page cache (`mapping_seek_hole_data` in the kernel's mm/filemap.c).
const BELIEVED: [FsType; 3] = [statfs::EXT4_SUPER_MAGIC, statfs::XFS_SUPER_MAGIC, statfs::TMPFS_MAGIC];

/// Most runs of data that are counted before a push, in some hundredths of a second.
const RUNS_MAX: u32 = 16_384;

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
            assert_eq!(holes.data_bytes(&file), Some(2 * BLOCK));
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
            assert_eq!(holes.data_bytes(&file), None, "its data is not known before it is read");
        }
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
