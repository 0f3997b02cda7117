//! Keys in files: the group's secret key, and the senders' key pairs.

pub mod keyfile;
pub mod sender_keys;
