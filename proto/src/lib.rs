//! The protocol between `glancecast` and `glancecastd`: how an object is divided, what proves it, the datagrams byte by
//! byte, and the behaviour of both sides.
//!
//! Everything here is pure. [`Sender`](sender::Sender) and [`Receiver`](receiver::Receiver) are plain structs:
//! `handle_*` takes what happened, `poll_*` returns what to do next; time and randomness are arguments. The bytes of
//! symbols do not pass through the machines, which see headers and counts and request heavy work as effects.

mod enums;
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
mod text;
pub mod time;
pub mod units;
pub mod wire;
