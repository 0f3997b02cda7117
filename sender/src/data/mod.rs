//! The data plane: plain threads with bounded queues between them, from the source's bytes to the socket.

pub mod compress;
pub mod content;
mod drive;
mod encode;
mod holes;
mod load;
mod pace;
mod pack;
mod policy;
pub mod push;
pub(crate) mod question;
mod read;
pub mod source;
mod spool;
pub mod stages;
pub(crate) mod stream;
mod train;
pub mod wire_counts;
