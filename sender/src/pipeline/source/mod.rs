//! Where the image's bytes come from, as the reading thread sees it: a `file` on this machine, or a `stream` from
//! Glance. `convert` makes a raw image of what is in another format first.

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
    /// Fills `buffer` as far as there is anything left; less than all of it only at the end.
    ///
    /// # Errors
    /// [`SourceError`]: the push is aborted with it.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Passes over `bytes` bytes if they are known to be zero without being read, as in a hole of a sparse file.
    /// Returns whether it did.
    fn skip_hole(&mut self, _bytes: usize) -> bool {
        false
    }

    /// Called once, after the last byte: checks what can be checked only then (length, digest, that nobody changed it).
    ///
    /// # Errors
    /// [`SourceError`]: nothing may be published.
    fn finish(&mut self) -> Result<(), SourceError>;

    /// A file that holds the same bytes and can be read again for repairs; `None`: the reader keeps a spool.
    fn again(&self) -> Option<&File>;
}

/// Why the source is of no use, in a sentence that names it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading it failed.
    #[error("{name}: {error}")]
    Read {
        /// Which source.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// It changed while it was read.
    #[error(
        "{name} was changed while it was being sent: nothing is published; push it again when it is at rest"
    )]
    Changed {
        /// Which source.
        name: String,
    },
    /// It is not as long as it was said to be.
    #[error("{name} ended after {got} bytes instead of {expected}")]
    Length {
        /// Which source.
        name: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// Glance failed.
    #[error(transparent)]
    Glance(#[from] CloudError),
    /// Its bytes are not those of Glance's record.
    #[error("{name}: {error}")]
    Content {
        /// Which source.
        name: String,
        /// What differs.
        error: CloudError,
    },
    /// Its bytes are not those that were signed.
    #[error("{name} is refused: {error} (rule {rule})", rule = error.rule())]
    Signature {
        /// Which source.
        name: String,
        /// Why the signature proves nothing.
        error: SignatureError,
    },
}
