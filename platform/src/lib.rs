//! What both programs need of the machine they run on: interfaces, multicast sockets, key files, a clock, a way to be
//! woken. The only place that opens a socket; its `unsafe` is in `batch`.

pub mod args;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod interface;
pub mod keyfile;
mod options;
pub mod random;
pub mod sender_keys;
pub mod socket;
pub mod stages;
pub mod wake;
