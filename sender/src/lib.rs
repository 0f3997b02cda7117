//! `glancecast`: reads an image once, multicasts it with forward error correction, and says the truth about every host.
//!
//! ```text
//! source -> read (blocks, hashed, spooled) -> drive (sealed, paced, sent) -> socket
//!                     spool -> encode (repair symbols) -^   ^- feedback: proto::Sender decides
//! ```

pub(crate) mod cloud;
pub(crate) mod convert;
pub mod data;
pub mod face;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
