//! What a process needs to run: command line, clocks, randomness, files, locks, and counters of where the time goes.

pub mod cli;
pub mod clock;
pub mod files;
pub mod locks;
pub mod random;
pub mod stages;
