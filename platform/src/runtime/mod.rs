//! What a process needs to run: command line, clocks, randomness, files, locks, turns of pushes, the firewall's rules, metrics,
//! counters of where the time goes, the log, and the service manager's notices.

pub mod cli;
pub mod clock;
pub mod exposition;
pub mod files;
pub mod firewall;
pub mod locks;
pub mod logging;
pub mod notify;
pub mod random;
pub mod stages;
pub mod toml_error;
pub mod turn;
