//! `glancecastd`: listens to a group, rebuilds what is pushed, proves it and publishes it.
//!
//! ```text
//! socket -> receive loop (opens symbols into buffers) -> workers (decode, verify, write) -> store (publish)
//!              | proto::Receiver decides |            bounded queues between them
//! ```

#![cfg_attr(not(any(test, fuzzing)), deny(clippy::print_stdout, clippy::print_stderr))] // a closed pipe would end the program

#[cfg(any(test, fuzzing))]
mod announcement;
mod base;
pub mod check;
mod coalesce;
pub mod config;
mod diagnosis;
pub mod doctor;
mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod heap;
pub mod network;
pub mod observe;
pub mod on_published;
mod own_address;
mod pool;
mod query_worker;
pub mod rate_limit;
mod rebuild;
pub mod receive_loop;
mod relay;
pub mod relay_settings;
pub mod rights;
pub mod settings;
mod stages;
pub mod state;
pub mod store;
mod workers;
mod write_limit;
