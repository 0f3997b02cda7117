//! The stages of the receiver's data path, for the clocks of [`glancecast_platform::stages`].

use std::sync::Arc;

/// The clocks, shared by the threads.
pub(crate) type Clocks = Arc<glancecast_platform::stages::Stages<COUNT>>;

/// A stage between the socket and the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The system call that receives.
    Receive,
    /// Finding a symbol's place and decrypting to it.
    Open,
    /// Restoring lost symbols.
    Decode,
    /// Decompressing.
    Decompress,
    /// Hashing.
    Verify,
    /// Writing to the store.
    Write,
    /// Making the file durable and giving it its name.
    Publish,
}

const NAMES: [&str; COUNT] = ["receive", "open", "decode", "decompress", "verify", "write", "publish"];
const COUNT: usize = Stage::Publish as usize + 1;

/// Returns clocks at zero.
pub(crate) fn clocks() -> Clocks {
    Arc::new(glancecast_platform::stages::Stages::new(NAMES))
}
