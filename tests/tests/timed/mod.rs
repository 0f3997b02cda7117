//! Scenarios that compare times and share the machine; nextest repeats them (`.config/nextest.toml`).

mod crash;
mod disk;
