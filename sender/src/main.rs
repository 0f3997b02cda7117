//! The operator's command.

#![deny(clippy::print_stdout, clippy::print_stderr)] // a closed pipe would end the program

use std::process::ExitCode;

use glancecast_platform::cli as program;
use glancecast_sender::cli::{self, args::Args};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Before there is anything to give away.
    glancecast_sandbox::enter();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(cli::AboveTheLine)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        // By default a line that cannot be written is reported by `eprintln!`, which ends the program.
        .log_internal_errors(false)
        .init();
    match program::parse::<Args>("glancecast") {
        Ok(args) => cli::run(args),
        Err(code) => code,
    }
}

/// Failures are lines of our own, with the next step; libraries speak of what they cannot recover from.
const FILTER: &str = "error,glancecast_sender=warn";
