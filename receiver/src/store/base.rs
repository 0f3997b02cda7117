//! An older object that the sender of a push names because hosts may hold many blocks of the new one in it. It is found
//! in the store, indexed once, and read block by block. Nothing in it is trusted: blocks copied from it are verified
//! like blocks from the network.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Fingerprint;
use glancecast_proto::limits::BLOCKS_MAX;
use glancecast_proto::receiver::BaseIndex;

use super::disk::DiskFile;
use super::runs::data_runs;

/// An open base. It stays readable whatever happens to its name.
#[derive(Debug)]
pub struct BaseFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
}

impl BaseFile {
    /// Returns the base in a regular file of the store that was opened without following a link. `path` is for
    /// messages.
    pub(super) fn new(file: Box<dyn DiskFile>, path: PathBuf) -> io::Result<Self> {
        let bytes = file.entry()?.bytes;
        Ok(Self { file, path, bytes })
    }

    /// Returns the path that it was found at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns an index of the fingerprints of its pieces, without those of zeros. A piece is as long as a block of the
    /// new object. `step` is called after each piece; if it returns false, the result is `None`.
    ///
    /// # Errors
    /// The error of reading it.
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
                self.file.forget_pages(forgotten..offset);
                forgotten = offset;
            }
            if !step() {
                return Ok(None);
            }
        }
        self.file.forget_pages(forgotten..self.bytes);
        Ok(Some(BaseIndex::new(pieces)))
    }

    /// Reads from `offset` on until `bytes` is full or the file ends; returns the number of bytes read.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    /// Returns the range from the next data at or after `offset` to the end; from `offset` on if the file system cannot
    /// tell.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.bytes {
            return Ok(None);
        }
        match self.file.next_data(offset) {
            Ok(data) => Ok(data.map(|data| data.start..self.bytes)),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Some(offset..self.bytes)),
            Err(error) => Err(error),
        }
    }
}

/// Bytes read between two releases of the page cache.
const FORGET_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::dir::Access;
    use super::super::disk::Disk;
    use super::super::disk::tests::{disk, name};
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    const BLOCK: u64 = 1 << 20;

    #[test]
    fn pieces_of_a_base_are_found_by_their_bytes_and_zeros_are_left_out() {
        let (dir, disk) = disk();
        let path = dir.path().join("base");
        let file = File::create(&path).expect("writable");
        file.set_len(8 * BLOCK + 100).expect("room");
        for (piece, byte) in [(1, 7), (4, 8), (6, 7)] {
            file.write_all_at(&[byte; BLOCK as usize], piece * BLOCK).expect("room");
        }
        file.write_all_at(&[9; 100], 8 * BLOCK).expect("room");
        file.write_all_at(&[0; BLOCK as usize], 2 * BLOCK).expect("room");
        let open = disk.open(&name("base"), Access::Read).expect("readable");
        let base = BaseFile::new(open, path).expect("readable");
        let index = base.look_through(geometry(), || true).expect("readable").expect("to the end");
        assert_eq!(index.len(), 3, "7s, 8s, and the short end");
        assert!(base.look_through(geometry(), || false).expect("readable").is_none());
        let mut bytes = vec![0; 200];
        assert_eq!(base.read(8 * BLOCK, &mut bytes).expect("readable"), 100);
    }

    fn geometry() -> Geometry {
        Geometry::new(20 * BLOCK, 20, 1432).expect("in range")
    }
}
