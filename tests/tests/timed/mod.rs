//! Scenarios that compare times beside others; `.config/nextest.toml` repeats them.

mod crash;
mod disk;
