//! What a person or a script meets: the command line, progress, the table, the JSON report, exit codes.

pub mod args;
mod columns;
mod confirm;
mod expected;
mod formats;
mod images;
mod json;
mod keygen;
mod notices;
mod origin;
mod progress;
mod query;
mod report;
mod send;
mod table;

use std::process::ExitCode;

use args::{Args, Command};
use glancecast_platform::cli;
use glancecast_proto::wire::printable;

/// Runs a command to its exit code.
pub fn run(args: Args) -> ExitCode {
    let (result, as_json) = match args.command {
        Command::Send(send) => (send::run(&send), send.json),
        Command::Images(images) => (images::run(&images), false),
        Command::Hosts(hosts) => (query::hosts(&hosts), false),
        Command::Status(about) => (query::status(&about), false),
        Command::Verify(about) => (query::verify(&about), false),
        Command::Unpin(about) => (query::unpin(&about), false),
        Command::Keygen(keygen) => (keygen::run(&keygen), false),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if let (true, Some(refused)) = (as_json, report::Refused::new(&failure)) {
                println!("{}", json::to_string(&refused));
            }
            eprintln!("glancecast: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// A command that ended early, in one line.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    /// The rule by which an image was refused, in its word.
    rule: Option<&'static str>,
}

impl Failure {
    /// A mistake in what was asked for.
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self::new(cli::EXIT_USAGE, message, None)
    }

    /// The image itself must not be sent.
    pub(crate) fn refused(message: impl ToString, rule: &'static str) -> Self {
        Self::new(cli::EXIT_USAGE, message, Some(rule))
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::new(cli::EXIT_FAILED, message, None)
    }

    /// Much of what is told is foreign text, of Glance for one.
    fn new(code: u8, message: impl ToString, rule: Option<&'static str>) -> Self {
        let mut message = printable(&message.to_string());
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Self { code, message, rule }
    }
}

/// Whatever stands in it: some lines of a terminal.
const MESSAGE_BYTES_MAX: usize = 4000;
