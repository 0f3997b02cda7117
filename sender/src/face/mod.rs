//! What a person or a script meets: the command line, progress, the table, the JSON report, exit codes.

pub mod args;
mod columns;
mod confirm;
mod expected;
mod images;
mod keygen;
mod notices;
mod origin;
mod progress;
mod report;
mod send;
mod table;

use std::process::ExitCode;

use args::{Args, Command};
use glancecast_host::cli;

/// Runs a command to its exit code.
pub fn run(args: Args) -> ExitCode {
    let result = match args.command {
        Command::Send(send) => send::run(&send),
        Command::Images(images) => images::run(&images),
        Command::Keygen(keygen) => keygen::run(&keygen),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, message }) => {
            eprintln!("glancecast: {message}");
            ExitCode::from(code)
        }
    }
}

/// A command that ended early, in one line.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A mistake in what was asked for.
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self { code: cli::EXIT_USAGE, message: message.to_string() }
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self { code: cli::EXIT_FAILED, message: message.to_string() }
    }
}
