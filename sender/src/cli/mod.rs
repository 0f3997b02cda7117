//! The command line: options, signals, standard output, exit codes.

pub mod args;
mod doctor;
mod follow;
mod forget;
mod images;
mod keygen;
mod query;
mod rekey;
mod send;

use std::io;
use std::process::ExitCode;

use args::{Args, Command};
use glancecast_platform::cli;
use glancecast_proto::wire::printable;
use query::Enrol;

use crate::openstack::Namesakes;
use crate::request::{ErrorKind, QueryKind, RequestError};

/// Runs a command and returns its exit code.
pub fn run(args: Args) -> ExitCode {
    let result = match args.command {
        Command::Send(args) => send::run(*args),
        Command::Images(args) => images::run(&args),
        Command::Hosts(args) if !args.forget.is_empty() => forget::run(&args),
        Command::Hosts(args) => {
            let enrol = if args.enroll { Enrol::Yes } else { Enrol::No };
            query::run(args.query, QueryKind::Hosts, Namesakes::Refused, enrol)
        }
        Command::Status(args) => query::about_image(*args, QueryKind::Status),
        Command::Verify(args) => query::about_image(*args, QueryKind::Verify),
        Command::Unpin(args) => query::about_image(*args, QueryKind::Unpin),
        Command::Doctor(args) => doctor::run(*args),
        Command::Rekey(args) => rekey::run(*args),
        Command::Keygen(args) => keygen::run(&args),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        cli::tell(&format!("glancecast: {}", failure.message()));
        failure.code()
    }))
}

/// A command that ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Keys(#[from] keygen::KeysError),
    #[error("interrupted before anything was sent")]
    Interrupted,
    #[error("interrupted: the replacement of the key goes on where it is with: glancecast rekey --resume")]
    RekeyInterrupted,
    /// What was asked for was done, and nobody can read what came of it.
    #[error("the result cannot be written to standard output: {0}")]
    Output(io::Error),
    /// The system cannot provide a runtime or signal handlers.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Keys(_) => cli::EXIT_USAGE,
            Self::Request(error) if error.kind() == ErrorKind::Usage => cli::EXIT_USAGE,
            Self::Request(_)
            | Self::Interrupted
            | Self::RekeyInterrupted
            | Self::Output(_)
            | Self::System(_) => cli::EXIT_FAILED,
        }
    }

    /// Returns the error as one printable line: parts of it are untrusted text, such as Glance's.
    fn message(&self) -> String {
        let mut message = printable(&self.to_string());
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message
    }
}

/// Prints the result of a command.
fn print(text: &str) -> Result<(), Failure> {
    cli::print(text).map_err(Failure::Output)
}

/// Prints the result of a command that has changed something: its exit code says how that went, and stays what it is.
fn print_outcome(text: &str) {
    if let Err(failure) = print(text) {
        cli::tell(&format!("glancecast: {}", failure.message()));
    }
}

/// Runs `future` in its own runtime. Tasks that are left at the end, such as a download, are dropped.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// A few lines of a terminal.
const MESSAGE_BYTES_MAX: usize = 4000;
