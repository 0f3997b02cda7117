//! The stages of the pipeline, for the clocks of [`glancecast_platform::stages`].

use std::sync::Arc;

/// The clocks, shared by the threads.
pub(crate) type Clocks = Arc<glancecast_platform::stages::Stages<COUNT>>;

/// The stages, from the source's bytes to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Reading the source, which includes waiting for it.
    Read,
    /// Testing for zeros, and hashing.
    Hash,
    /// Compressing, and sampling whether it is worthwhile.
    Compress,
    /// Keeping a copy for repairs.
    Spool,
    /// Making repair symbols, and reading back their source symbols.
    Encode,
    /// Encrypting into the GSO batch.
    Seal,
    /// The system call that sends.
    Send,
}

const NAMES: [&str; COUNT] = ["read", "hash", "compress", "spool", "encode", "seal", "send"];
const COUNT: usize = Stage::Send as usize + 1;

/// Returns clocks at zero.
pub(crate) fn clocks() -> Clocks {
    Arc::new(glancecast_platform::stages::Stages::new(NAMES))
}
