//! The spool: what repairs are made from, kept until the push is over, so that the source is read and compressed only
//! once. It holds the frames of compressed blocks and, if the source cannot be read again, the stored blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use glancecast_platform::locks::lock;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::VerifiedBlock;
use glancecast_proto::wire::{Encoding, ManifestEntry};

/// All blocks read so far, in the form in which they travel.
#[derive(Clone, Debug)]
pub(crate) struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    geometry: Geometry,
    /// The source, if it can be read again.
    source: Option<File>,
    own: Mutex<Own>,
}

/// A temporary file without a name: it disappears with the process, however that ends. Blocks and frames lie in it one
/// after the other, so that it takes no more of the disk than what was sent, on a file system without holes too.
#[derive(Debug)]
struct Own {
    directory: PathBuf,
    /// Created when the first block or frame is kept.
    file: Option<Arc<File>>,
    /// The length of the file.
    end: u64,
    /// Where blocks and frames lie in it, by block.
    offsets: HashMap<u32, u64>,
    /// The digests of frames: the manifest's hashes cover only the uncompressed blocks.
    digests: HashMap<u32, Digest>,
}

/// The first half of a BLAKE3 hash: it is only compared with what this process wrote itself.
type Digest = [u8; 16];

/// Why a block could not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// The bytes are not those that were sent.
    #[error(
        "the image was changed while it was being sent: nothing is published; push it again when it is at rest"
    )]
    Changed,
    /// The file could not be read or written.
    #[error("the local copy of the image for repairs: {0} (choose its directory with --spool)")]
    Io(#[from] io::Error),
}

impl Spool {
    /// Returns a spool whose file is created in `directory`. Without `again`, a source that can be read again, the file
    /// is created at once, so that a faulty directory is known before anything is sent.
    pub(crate) fn new(geometry: Geometry, again: Option<File>, directory: PathBuf) -> io::Result<Self> {
        let at_once = again.is_none();
        let own = Own { directory, file: None, end: 0, offsets: HashMap::new(), digests: HashMap::new() };
        let spool = Self(Arc::new(Inner { geometry, source: again, own: Mutex::new(own) }));
        if at_once {
            spool.own_file()?;
        }
        Ok(spool)
    }

    /// Keeps a block that travels as it is.
    pub(crate) fn keep(&self, block: BlockIndex, bytes: &[u8]) -> Result<(), SpoolError> {
        if self.0.source.is_none() {
            self.append(block, bytes)?;
        }
        Ok(())
    }

    /// Keeps the frame of a block that travels compressed.
    pub(crate) fn keep_frame(&self, block: BlockIndex, frame: &[u8]) -> Result<(), SpoolError> {
        self.append(block, frame)?;
        self.own().digests.insert(block.0, digest(frame));
        Ok(())
    }

    /// Reads the bytes that travel of a block into `buffer`, and checks that they are those that were sent first.
    pub(crate) fn read(
        &self,
        block: BlockIndex,
        entry: &ManifestEntry,
        buffer: &mut [u8],
    ) -> Result<(), SpoolError> {
        let geometry = self.0.geometry;
        let framed = matches!(entry.encoding, Encoding::Zstd { .. });
        let read = match &self.0.source {
            Some(source) if !framed => source.read_exact_at(buffer, geometry.offset(block)),
            _ => {
                let offset = self.own().offsets.get(&block.0).copied().ok_or(SpoolError::Changed)?;
                self.own_file()?.read_exact_at(buffer, offset)
            }
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SpoolError::Changed,
            _ => SpoolError::Io(error),
        })?;
        let right = if framed {
            self.own().digests.get(&block.0) == Some(&digest(buffer))
        } else {
            VerifiedBlock::verify(geometry, block, buffer, entry.hash).is_ok()
        };
        if right { Ok(()) } else { Err(SpoolError::Changed) }
    }

    /// Writes what travels of a block to the end of the file.
    fn append(&self, block: BlockIndex, bytes: &[u8]) -> io::Result<()> {
        let file = self.own_file()?;
        let offset = {
            let mut own = self.own();
            let offset = own.end;
            own.end += bytes.len() as u64;
            own.offsets.insert(block.0, offset);
            offset
        };
        file.write_all_at(bytes, offset)
    }

    fn own_file(&self) -> io::Result<Arc<File>> {
        let mut own = self.own();
        if let Some(file) = &own.file {
            return Ok(Arc::clone(file));
        }
        let file = tempfile::tempfile_in(&own.directory)?;
        Ok(Arc::clone(own.file.insert(Arc::new(file))))
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        lock(&self.0.own)
    }
}

fn digest(frame: &[u8]) -> Digest {
    *blake3::hash(frame).as_bytes().first_chunk().expect("half of 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_proto::integrity::BlockHash;
    use std::io::Write;

    const BLOCK: usize = 1 << 20;

    #[test]
    fn what_is_kept_is_read_again_from_the_source_or_from_its_own_file() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let image = [vec![1; BLOCK], vec![2; BLOCK]].concat();
        let mut source = tempfile::tempfile_in(directory.path()).expect("writable");
        source.write_all(&image).expect("room");
        for again in [None, Some(source)] {
            let spool = Spool::new(geometry(), again, directory.path().into()).expect("writable");
            let second = &image[BLOCK..];
            spool.keep(BlockIndex(0), &image[..BLOCK]).expect("room");
            spool.keep_frame(BlockIndex(1), b"a frame").expect("room");
            let stored = ManifestEntry { encoding: Encoding::Stored, hash: hash(0, &image[..BLOCK]) };
            let framed = ManifestEntry { encoding: Encoding::Zstd { encoded_len: 7 }, hash: hash(1, second) };
            let mut buffer = vec![0; BLOCK];
            spool.read(BlockIndex(0), &stored, &mut buffer).expect("as it was kept");
            assert!(buffer == image[..BLOCK]);
            spool.read(BlockIndex(1), &framed, &mut buffer[..7]).expect("as it was kept");
            assert_eq!(&buffer[..7], b"a frame");
        }
    }

    #[test]
    fn the_spool_is_no_longer_than_what_was_kept_wherever_its_blocks_lie_in_the_object() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let spool = Spool::new(geometry(), None, directory.path().into()).expect("writable");
        let second = vec![2; BLOCK];
        spool.keep(BlockIndex(1), &second).expect("room");
        spool.keep_frame(BlockIndex(0), b"a frame").expect("room");
        let bytes = spool.own_file().expect("there").metadata().expect("open").len();
        assert_eq!(bytes, (BLOCK + b"a frame".len()) as u64);
        let stored = ManifestEntry { encoding: Encoding::Stored, hash: hash(1, &second) };
        let mut buffer = vec![0; BLOCK];
        spool.read(BlockIndex(1), &stored, &mut buffer).expect("as it was kept");
        assert!(buffer == second);
    }

    #[test]
    fn a_block_or_a_frame_that_is_not_what_was_sent_is_told() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let spool = Spool::new(geometry(), None, directory.path().into()).expect("writable");
        spool.keep(BlockIndex(0), &vec![1; BLOCK]).expect("room");
        spool.keep_frame(BlockIndex(1), b"a frame").expect("room");
        spool.own_file().expect("there").write_all_at(b"?", 5).expect("room");
        spool.own_file().expect("there").write_all_at(b"?", BLOCK as u64 + 5).expect("room");
        let entry = |encoding| ManifestEntry { encoding, hash: hash(0, &vec![1; BLOCK]) };
        let mut buffer = vec![0; BLOCK];
        let stored = spool.read(BlockIndex(0), &entry(Encoding::Stored), &mut buffer);
        assert!(matches!(stored, Err(SpoolError::Changed)));
        let framed = entry(Encoding::Zstd { encoded_len: 7 });
        assert!(matches!(spool.read(BlockIndex(1), &framed, &mut buffer[..7]), Err(SpoolError::Changed)));
    }

    fn hash(block: u32, bytes: &[u8]) -> BlockHash {
        BlockHash::of(geometry(), BlockIndex(block), bytes)
    }

    fn geometry() -> Geometry {
        Geometry::new(2 * BLOCK as u64, 20, 1432).expect("in range")
    }
}
