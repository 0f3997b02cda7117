//! The agreement between `glancecast` and `glancecastd`: how an object is cut, what proves it, what the datagrams say,
//! and what each side does when.
//!
//! Everything here is pure. [`Sender`](sender::Sender) and [`Receiver`](receiver::Receiver) are plain structs:
//! `handle_*` takes what happened, `poll_*` gives what to do next; time and randomness are arguments. The bytes of
//! symbols flow past them: the machines see headers and counts, and ask for heavy work as effects.

pub mod geometry;
pub mod hex;
pub mod ids;
pub mod integrity;
pub mod limits;
pub mod query;
pub mod receiver;
mod repeat;
mod rng;
pub mod seal;
pub mod sender;
pub mod sign;
pub mod time;
pub mod wire;
