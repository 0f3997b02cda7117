//! What both programs need of the machine they run on: the network, key files, and what a process needs to run. The folders
//! sort the modules by subject; users name them without it.

mod keys;
mod net;
mod runtime;
pub mod units;

pub use keys::{keyfile, sender_keys};
pub use net::{batch, interface, multicast, transport, wake};
pub use runtime::{cli, clock, files, locks, random, stages};
