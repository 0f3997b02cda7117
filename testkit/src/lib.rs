//! What the tests and benchmarks of all crates share: random numbers from a seed ([`Rng`]), [`hex`], and the inputs that
//! the fuzzers found worth keeping ([`corpus`]).
//!
//! A helper belongs here when a second crate needs it and it depends on nothing of glancecast. Scenarios with real
//! programs have their helpers in the crate `tests`, the machines theirs in `proto/tests`.

pub mod corpus;
pub mod hex;
mod rng;

pub use rng::Rng;
