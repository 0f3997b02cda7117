//! `glancecast`: reads an image once, multicasts it with forward error correction, and says the truth about every host.
//!
//! ```text
//! cli -> request: a push or a query, validated, prepared, run -> output
//!
//! source -> read (blocks, hashed, spooled) -> send loop (sealed, paced, sent) -> socket
//!                     spool -> encode (repair symbols) -^   ^- feedback: proto::Sender decides
//! ```

#![cfg_attr(not(any(test, fuzzing)), deny(clippy::print_stdout, clippy::print_stderr))] // a closed pipe would end the program

pub mod cli;
pub mod cloud;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub(crate) mod openstack;
pub(crate) mod output;
pub mod pipeline;
pub mod request;
mod settings;
