//! `glancecast`: reads an image once, multicasts it with forward error correction, and says the truth about every host.
//!
//! ```text
//! source -> read (blocks, hashed, spooled) -> send loop (sealed, paced, sent) -> socket
//!                     spool -> encode (repair symbols) -^   ^- feedback: proto::Sender decides
//! ```

pub mod cli;
pub(crate) mod convert;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub(crate) mod openstack;
pub mod pipeline;
