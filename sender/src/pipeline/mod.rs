//! The data plane: plain threads with bounded queues between them, from the source's bytes to the socket.

pub mod compress;
pub mod content;
mod encode;
mod gso_batch;
mod holes;
mod load;
mod pace;
mod pack;
mod policy;
pub mod push;
pub(crate) mod query;
mod read;
mod send_loop;
pub mod source;
mod spool;
pub mod stages;
pub(crate) mod stream;
pub mod wire_counts;
