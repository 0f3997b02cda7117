//! The operator's command.

#![deny(clippy::print_stdout, clippy::print_stderr)] // a closed pipe would end the program

use std::process::ExitCode;

use glancecast_sender::cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Before there is anything to give away.
    glancecast_sandbox::enter();
    match cli::parse() {
        Ok(args) => {
            log(args.verbosity());
            cli::run(args)
        }
        Err(code) => code,
    }
}

/// Starts the log on standard error. `-v` wins over RUST_LOG: it was asked for now.
fn log(verbosity: u8) {
    let filter = match verbosity {
        0 => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER)),
        1 => EnvFilter::new(FILTER_VERBOSE),
        _ => EnvFilter::new(FILTER_ALL),
    };
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(cli::AboveTheLine)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()) && !is_plain)
        .with_target(false)
        // By default a line that cannot be written is reported by `eprintln!`, which ends the program.
        .log_internal_errors(false)
        .init();
}

/// Failures are lines of our own, with the next step; libraries speak of what they cannot recover from.
const FILTER: &str = "error,glancecast_sender=warn";
const FILTER_VERBOSE: &str = "error,glancecast_sender=debug,glancecast_platform=debug,glancecast_proto=debug";
const FILTER_ALL: &str = "info,glancecast_sender=trace,glancecast_platform=trace,glancecast_proto=trace";
