//! The hosts that a sender knows, by their public keys: a file with one host a line, in the manner of ssh's. Where the file
//! is lost, every host is new again, and nothing else happens.
//!
//! ```text
//! # comments and blank lines stay as they are
//! compute-1 ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a  # first use 2026-11-29T05:00:00Z
//! ```
//!
//! Its content, which is pure, and the file, which several processes may change at the same time, are apart.

mod content;
mod error;
mod file;

pub use content::{
    Addition, BadLine, Conflict, Forgotten, Full, KNOWN_HOSTS_MAX, KnownHost, KnownHosts, LineError, Note,
    Occasion, Replaced,
};
pub use error::KnownHostsError;
pub use file::{Added, FILE_BYTES_MAX, add, forget, replace};
