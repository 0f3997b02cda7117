//! The image's bytes, kept until the push is over: repairs are made from them, so that the source is read once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::VerifiedBlock;
use glancecast_proto::wire::ManifestEntry;

/// A file that holds all blocks read so far at their offsets.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    geometry: Geometry,
    file: Arc<File>,
    /// Ours to fill, or the source itself.
    own: bool,
}

/// A block that could not be read back as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// Its bytes are not those that were sent.
    #[error(
        "the image was changed while it was being sent: nothing is published; push it again when it is at rest"
    )]
    Changed,
    /// The file cannot be read or written.
    #[error("the local copy of the image for repairs: {0} (choose its directory with --spool)")]
    Io(#[from] io::Error),
}

impl Spool {
    /// Repairs come from the source's own file.
    pub(crate) fn over(geometry: Geometry, source: &File) -> io::Result<Self> {
        Ok(Self { geometry, file: Arc::new(source.try_clone()?), own: false })
    }

    /// A nameless temporary file in `directory`: it is gone with the process, however that ends. Zero blocks take no
    /// space in it.
    pub(crate) fn create(geometry: Geometry, directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        file.set_len(geometry.object_bytes())?;
        Ok(Self { geometry, file: Arc::new(file), own: true })
    }

    /// Keeps a block that was just read.
    pub(crate) fn keep(&self, block: BlockIndex, bytes: &[u8]) -> Result<(), SpoolError> {
        if self.own {
            self.file.write_all_at(bytes, self.geometry.offset(block))?;
        }
        Ok(())
    }

    /// Reads a block again into `buffer`, and proves that it is the one that was read first.
    pub(crate) fn read(
        &self,
        block: BlockIndex,
        entry: &ManifestEntry,
        buffer: &mut [u8],
    ) -> Result<(), SpoolError> {
        self.file.read_exact_at(buffer, self.geometry.offset(block)).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SpoolError::Changed,
            _ => SpoolError::Io(error),
        })?;
        VerifiedBlock::verify(self.geometry, block, buffer, entry.hash).map_err(|_| SpoolError::Changed)?;
        Ok(())
    }
}
