//! What both programs need of their machine: the network, key files, and the process's command line, clocks and files.
//! The folders sort the modules by subject; callers name the modules without the folder.

mod keys;
mod net;
mod runtime;
pub mod units;

pub use keys::{host_key, keyfile, keyring_file, known_hosts, sender_keys};
pub use net::{
    batch, downlink, interface, links, multicast, path, queriers, reverse_path, trains, transport, wake,
};
pub use runtime::{
    cli, clock, exposition, files, firewall, locks, logging, notify, random, stages, toml_error, turn,
};
