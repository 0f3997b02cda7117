//! Scenarios that compare times, for which both cores are needed; `.config/nextest.toml` repeats them.

mod joining;
mod many;
mod memory;
mod pipeline;
mod rate;
mod stragglers;
