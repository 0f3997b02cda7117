//! An older object that the sender of a push names, as hosts may hold many blocks of the new one in it: found in the store,
//! looked through once, and read block by block. Nothing of it is trusted: what is made of it is verified as what comes from
//! the network is.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Fingerprint;
use glancecast_proto::limits::BLOCKS_MAX;
use glancecast_proto::receiver::BaseIndex;
use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::unistd::{Whence, lseek};

use super::disk::read_full;
use super::runs::data_runs;

/// An open base. It stays readable whatever happens to its name.
#[derive(Debug)]
pub struct BaseFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl BaseFile {
    /// Opens a file of the store; `None` if nothing has this name, or something that is no regular file.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        // A name in the store is not followed to somewhere else, and opening it does not block.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = file.metadata()?;
        let base = Self { file, path: path.to_owned(), bytes: metadata.len() };
        Ok(metadata.is_file().then_some(base))
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fingerprints of its pieces, each as long as a block of the new object, without those of zeros. `step` is called after
    /// each and ends it by saying false; then there is nothing.
    ///
    /// # Errors
    /// What reading it said.
    pub fn look_through(&self, geometry: Geometry, step: impl Fn() -> bool) -> io::Result<Option<BaseIndex>> {
        let mut bytes = vec![0; geometry.block_bytes() as usize];
        let (mut pieces, mut offset, mut forgotten) = (Vec::new(), 0, 0);
        while let Some(data) = self.next_data(offset)? {
            let piece = BlockIndex((data.start >> geometry.block_log2()).min(u64::from(BLOCKS_MAX)) as u32);
            if piece.0 == BLOCKS_MAX {
                break;
            }
            offset = geometry.offset(piece) + geometry.block_bytes();
            let read = self.read(geometry.offset(piece), &mut bytes)?;
            if data_runs(&bytes[..read]).next().is_some() {
                pieces.push((Fingerprint::of(&bytes[..read]), piece));
            }
            if offset - forgotten >= FORGET_BYTES {
                self.forget_pages(forgotten..offset);
                forgotten = offset;
            }
            if !step() {
                return Ok(None);
            }
        }
        self.forget_pages(forgotten..self.bytes);
        Ok(Some(BaseIndex::new(pieces)))
    }

    /// Reads from `offset` on until `bytes` is full or the file ends; gives how much it was.
    ///
    /// # Errors
    /// What the system said.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, bytes, offset)
    }

    /// The next range from `offset` on that is not a hole; all of the rest, where the file system cannot tell.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.bytes {
            return Ok(None);
        }
        match lseek(self.file.as_fd(), offset as i64, Whence::SeekData) {
            Ok(start) => Ok(Some(start as u64..self.bytes)),
            Err(Errno::ENXIO) => Ok(None),
            Err(Errno::EINVAL) => Ok(Some(offset..self.bytes)),
            Err(error) => Err(error.into()),
        }
    }

    /// The guests of this host need the page cache more.
    fn forget_pages(&self, range: Range<u64>) {
        let (offset, len) = (range.start as i64, (range.end - range.start) as i64);
        let _ = posix_fadvise(self.file.as_fd(), offset, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

/// The page cache is given back this often.
const FORGET_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::FileExt;

    const BLOCK: u64 = 1 << 20;

    #[test]
    fn pieces_of_a_base_are_found_by_their_bytes_and_zeros_are_left_out() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("base");
        let file = File::create(&path).expect("writable");
        file.set_len(8 * BLOCK + 100).expect("room");
        for (piece, byte) in [(1, 7), (4, 8), (6, 7)] {
            file.write_all_at(&[byte; BLOCK as usize], piece * BLOCK).expect("room");
        }
        file.write_all_at(&[9; 100], 8 * BLOCK).expect("room");
        file.write_all_at(&[0; BLOCK as usize], 2 * BLOCK).expect("room");
        let base = BaseFile::open(&path).expect("readable").expect("there");
        let index = base.look_through(geometry(), || true).expect("readable").expect("to the end");
        assert_eq!(index.len(), 3, "7s, 8s, and the short end");
        assert!(base.look_through(geometry(), || false).expect("readable").is_none());
        let mut bytes = vec![0; 200];
        assert_eq!(base.read(8 * BLOCK, &mut bytes).expect("readable"), 100);
    }

    #[test]
    fn what_is_no_file_of_the_store_is_no_base() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join("file"), b"something").expect("writable");
        std::os::unix::fs::symlink("file", dir.path().join("link")).expect("writable");
        assert!(BaseFile::open(&dir.path().join("missing")).expect("no error").is_none());
        assert!(BaseFile::open(&dir.path().join("link")).is_err());
        assert!(BaseFile::open(dir.path()).expect("no error").is_none());
    }

    fn geometry() -> Geometry {
        Geometry::new(20 * BLOCK, 20, 1432).expect("in range")
    }
}
