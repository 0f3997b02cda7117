//! What the tests and benchmarks of all crates share: random numbers from a seed ([`Rng`]), [`hex`], the inputs that the
//! fuzzers found worth keeping ([`corpus`]), and what a run tells of itself: tests that it skipped ([`skip()`]) and figures
//! that it measured ([`measured!`]).
//!
//! A helper belongs here when a second crate needs it and it depends on nothing of glancecast. Scenarios with real
//! programs have their helpers in the crate `tests`, the machines theirs in `proto/tests`.

mod at_exit;
pub mod corpus;
pub mod hex;
pub mod record;
mod rng;
mod skip;

pub use rng::Rng;
pub use skip::{in_ci, skip};
