//! The controller as a service.

#![deny(clippy::print_stdout, clippy::print_stderr)] // a closed pipe would end the program

use std::process::ExitCode;

use glancecast_controller::run::{self, Unready};
use glancecast_controller::settings::Args;
use glancecast_platform::logging;
use glancecast_platform::{cli, logging::Format};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let args = match cli::parse::<Args>("glancecast-controller") {
        Ok(args) => args,
        Err(code) => return code,
    };
    if let Some(user) = &args.new_token {
        return new_token(user, &args.roles);
    }
    let config = match args.resolve() {
        Ok(config) => config,
        Err(mistakes) => return misconfigured(&mistakes),
    };
    let mistakes = run::check(&config);
    if args.check {
        return match mistakes.as_slice() {
            [] => {
                cli::tell("glancecast-controller: the configuration is good");
                ExitCode::SUCCESS
            }
            mistakes => misconfigured(mistakes),
        };
    }
    if !mistakes.is_empty() {
        return misconfigured(&mistakes);
    }
    logging::start(
        config.log_format.unwrap_or_else(Format::by_default),
        "glancecast-controller",
        &config.name,
    );
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(run::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unready::Configuration(reason)) => misconfigured(&[reason]),
        Err(Unready::System(reason)) => failed(&reason),
    }
}

/// Prints every mistake in the configuration.
fn misconfigured(mistakes: &[String]) -> ExitCode {
    for mistake in mistakes {
        logging::tell_error(&format!("glancecast-controller: {mistake}"));
    }
    ExitCode::from(cli::EXIT_CONFIG)
}

fn failed(reason: &str) -> ExitCode {
    logging::tell_error(&format!("glancecast-controller: {reason}"));
    ExitCode::from(cli::EXIT_FAILED)
}

/// Prints a token on standard output, and on standard error the line that accepts it.
fn new_token(user: &str, roles: &[String]) -> ExitCode {
    match run::new_token(user, roles) {
        Ok((token, line)) => {
            cli::tell(&format!("glancecast-controller: add this line to the file of tokens:\n{line}"));
            match cli::print(&format!("{token}\n")) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error.to_string()),
            }
        }
        Err(mistake) => {
            logging::tell_error(&format!("glancecast-controller: {mistake}"));
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
