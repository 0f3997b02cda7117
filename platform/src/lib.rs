//! What both programs need of the machine they run on: interfaces, multicast sockets, key files, a clock, a way to be
//! woken. Only `net` opens a socket; the `unsafe` is in `net::batch`.

pub mod args;
pub mod cli;
pub mod clock;
pub mod keyfile;
mod net;
pub mod random;
pub mod sender_keys;
pub mod stages;

pub use net::{batch, interface, multicast, transport, wake};
