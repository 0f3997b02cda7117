//! Scenarios that compare times and need both cores; nextest repeats them (`.config/nextest.toml`).

mod causes;
mod joining;
mod many;
mod memory;
mod pipeline;
mod rate;
mod relays;
mod stragglers;
