//! The pipeline: plain threads with bounded queues between them, from the source's bytes to the socket.

pub mod changes;
pub mod compress;
pub mod content;
pub mod doctor;
mod echo;
mod effort;
mod encode;
mod gso_batch;
pub mod line;
mod load;
mod pace;
mod pack;
mod policy;
pub mod push;
pub mod query;
mod read;
mod refused;
pub mod relays;
pub mod running;
pub mod send_loop;
pub mod source;
mod spool;
pub mod stages;
pub mod wire_counts;
