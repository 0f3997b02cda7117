//! What a process needs to run: command line, clocks, randomness, files, locks, turns of pushes, the firewall's rules, metrics,
//! and counters of where the time goes.

pub mod cli;
pub mod clock;
pub mod exposition;
pub mod files;
pub mod firewall;
pub mod locks;
pub mod random;
pub mod stages;
pub mod turn;
