//! Names of hosts, many at a time.

pub mod ranges;
