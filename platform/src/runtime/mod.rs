//! What a process needs to run: its command line, clocks, randomness, files and locks, and where its time goes.

pub mod cli;
pub mod clock;
pub mod files;
pub mod locks;
pub mod random;
pub mod stages;
