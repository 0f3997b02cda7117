//! Keys in files: the group's secret key, the senders' key pairs, the host's own key and those that
//! it was given, and the hosts that a sender knows.

mod access;
pub mod host_key;
pub mod keyfile;
pub mod keyring_file;
pub mod known_hosts;
mod secret_line;
pub mod sender_keys;
