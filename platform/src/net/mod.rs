//! The network as both programs use it: the ways out and in, the interface, many datagrams in one call, and sleep until
//! one comes. The only place that opens a socket.

pub mod batch;
pub mod interface;
pub mod multicast;
mod options;
mod socket;
pub mod transport;
pub mod wake;
