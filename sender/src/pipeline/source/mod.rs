//! The image's bytes as the reading thread sees them: a `file` on this machine, or a `stream` from Glance. `convert`
//! first makes a raw image from other formats.

pub(crate) mod convert;
mod file;
mod holes;
pub(crate) mod stream;

use std::fs::File;
use std::io;

pub use file::{FileSource, OpenError};

use crate::openstack::{CloudError, SignatureError};

/// An image that is read once, from front to back.
pub trait Source: Send {
    /// Fills `buffer` and returns the number of bytes. It is less than the buffer's length only at the end.
    ///
    /// # Errors
    /// [`SourceError`], with which the push is aborted.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Skips `bytes` bytes if they are known to be zero without reading them, as in a hole of a sparse file. Returns
    /// whether it did.
    fn skip_hole(&mut self, _bytes: usize) -> bool {
        false
    }

    /// Checks what can be checked only at the end: length, digest, signature, and that nothing changed. Called once,
    /// after the last byte.
    ///
    /// # Errors
    /// [`SourceError`]: the object must not be published.
    fn finish(&mut self) -> Result<(), SourceError>;

    /// Returns a file with the same bytes that can be read again for repairs; with `None` the spool keeps all blocks.
    fn again(&self) -> Option<&File>;
}

/// Why the source cannot be used, in a sentence that names it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A read failed.
    #[error("{name}: {error}")]
    Read {
        /// The source.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The source changed while it was read.
    #[error(
        "{name} was changed while it was being sent: nothing is published; push it again when it is at rest"
    )]
    Changed {
        /// The source.
        name: String,
    },
    /// The source is not as long as announced.
    #[error("{name} ended after {got} bytes instead of {expected}")]
    Length {
        /// The source.
        name: String,
        /// Bytes that arrived.
        got: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// Glance, or the way to it, failed.
    #[error(transparent)]
    Glance(#[from] CloudError),
    /// The bytes are not those of Glance's record.
    #[error("{name}: {error}")]
    Content {
        /// The source.
        name: String,
        /// The difference.
        error: CloudError,
    },
    /// The bytes are not those that were signed.
    #[error("{name} is refused: {error} (rule {rule})", rule = error.rule())]
    Signature {
        /// The source.
        name: String,
        /// Why the signature is not accepted.
        error: SignatureError,
    },
}
