//! The operator's command.

use std::process::ExitCode;

use glancecast_host::cli;
use glancecast_sender::face::{self, args::Args};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,glancecast_sender=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
    match cli::parse::<Args>("glancecast") {
        Ok(args) => face::run(args),
        Err(code) => code,
    }
}
