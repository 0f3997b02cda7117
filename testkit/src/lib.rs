//! Helpers for the tests and benchmarks of all crates: random numbers from a seed ([`Rng`]), [`hex`], the fuzzers'
//! corpora ([`corpus`]), and the records of a run: skipped tests ([`skip()`]) and measured figures ([`measured!`]).
//!
//! A helper belongs here if a second crate needs it and it depends on nothing of glancecast. The helpers of scenarios
//! with real programs are in the crate `tests`, those of the machines in `proto/tests`.

mod at_exit;
pub mod corpus;
pub mod hex;
pub mod record;
mod rng;
mod skip;

pub use rng::Rng;
pub use skip::{in_ci, skip};
