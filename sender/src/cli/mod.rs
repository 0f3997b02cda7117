//! The command line: options, signals, standard output, exit codes.

pub mod args;
mod config;
mod doctor;
mod failure;
mod follow;
mod forget;
mod images;
mod keygen;
mod query;
pub(crate) mod racks_file;
mod rekey;
mod remove;
mod repair;
mod send;
mod settle;
mod turn;

use std::io;
use std::process::ExitCode;

pub use crate::output::status_line::AboveTheLine;
use args::{Args, Command};
use failure::Failure;
use glancecast_platform::cli;
use query::Enrol;

pub use settle::parse;

use crate::openstack::Namesakes;
use crate::output::formats::Listing;
use crate::request::QueryKind;

/// Runs a command and returns its exit code.
pub fn run(args: Args) -> ExitCode {
    let (places, wants_json) = (args.places, args.command.wants_json());
    let result = match args.command {
        Command::Send(args) => send::run(*args),
        Command::Images(args) => images::run(&args),
        Command::Hosts(args) if !args.forget.is_empty() => forget::run(&args),
        Command::Hosts(args) => {
            let enrol = if args.enroll { Enrol::Yes } else { Enrol::No };
            query::run(args.query, QueryKind::Hosts, Namesakes::Refused, enrol)
        }
        Command::Status(args) => query::status(*args),
        Command::Verify(args) if args.quarantine => query::about_image(args.image, QueryKind::SetAside),
        Command::Verify(args) => query::about_image(args.image, QueryKind::Verify),
        Command::Unpin(args) => query::about_image(*args, QueryKind::Unpin),
        Command::Pin(args) => {
            let time = args.time;
            query::about_image(args.image, |image| QueryKind::Pin(image, time))
        }
        Command::Remove(args) => remove::run(*args),
        Command::Doctor(args) => doctor::run(*args),
        Command::Rekey(args) => rekey::run(*args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Config(args) => config::run(&args, &places),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        let problem = failure.problem();
        // What cannot be written does not become readable as JSON.
        problem.print(wants_json && !matches!(failure, Failure::Output(_)));
        problem.code
    }))
}

/// Prints the result of a command.
fn print(text: &str) -> Result<(), Failure> {
    cli::print(text).map_err(Failure::Output)
}

/// Prints the result of a command that has changed something: its exit code says how that went, and stays what it is.
fn print_outcome(text: &str) {
    tell_failure(print(text));
}

/// Tells that the result of such a command was not printed.
fn tell_failure(printed: Result<(), Failure>) {
    if let Err(failure) = printed {
        cli::tell(&format!("glancecast: {}", failure.message()));
    }
}

/// Prints a list, and what is to be known besides its rows. A list for programs has standard output to itself.
fn print_list(listing: &Listing, list: &str, below: &str) -> Result<(), Failure> {
    match (listing.is_table(), list.is_empty() || below.is_empty()) {
        (true, true) => print(&format!("{list}{below}")),
        (true, false) => print(&format!("{list}\n{below}")),
        (false, _) => {
            below.lines().for_each(cli::tell);
            print(list)
        }
    }
}

/// Runs `future` in its own runtime. Tasks that are left at the end, such as a download, are dropped.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
