//! What a process needs to run: command line, clocks, randomness, files, locks, turns of pushes, and counters of where
//! the time goes, metrics.

pub mod cli;
pub mod clock;
pub mod exposition;
pub mod files;
pub mod locks;
pub mod random;
pub mod stages;
pub mod turn;
