//! The network: transport in both directions, interfaces, batches of datagrams, and sleep until one arrives. This is
//! the only module that opens sockets.

pub mod batch;
pub mod downlink;
pub mod interface;
pub mod links;
pub mod multicast;
mod netlink;
mod options;
pub mod path;
pub mod queriers;
mod refusals;
pub mod reverse_path;
mod socket;
pub mod trains;
pub mod transport;
mod uplink;
pub mod wake;
