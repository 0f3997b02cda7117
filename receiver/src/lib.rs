//! `glancecastd`: hears a group, rebuilds what is pushed, proves it and publishes it.
//!
//! ```text
//! socket -> drive (opens symbols into buffers) -> workers (decode, verify, write) -> store (publish)
//!              | proto::Receiver decides |            bounded queues between them
//! ```

#[cfg(any(test, fuzzing))]
mod announcement;
mod base;
mod complaint;
pub mod config;
mod desk;
pub mod drive;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod heap;
mod nap;
mod pool;
pub mod rate_limit;
mod rebuild;
pub mod rights;
mod stages;
pub mod store;
mod workers;
mod write_limit;
