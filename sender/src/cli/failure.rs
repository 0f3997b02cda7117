//! Commands that end early: the message, the exit code, and both as JSON.

use std::io;

use glancecast_platform::cli;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::follow::Caught;
use super::racks_file::RacksFileError;
use super::{keygen, print_outcome, remove};
use crate::output::json;
use crate::request::{ErrorKind, RequestError};

/// A command that ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Keys(#[from] keygen::KeysError),
    #[error(transparent)]
    RacksFile(#[from] RacksFileError),
    #[error("interrupted before anything was sent")]
    Interrupted(Caught),
    #[error("nothing was removed: {0}")]
    NotRemoved(&'static str),
    #[error("interrupted: the replacement of the key goes on where it is with: glancecast rekey --resume")]
    RekeyInterrupted(Caught),
    #[error(
        "{0} is under way on this machine; without --no-wait this push waits for it, with --no-lock it goes beside it"
    )]
    Taken(String),
    /// What was asked for was done, and nobody can read what came of it.
    #[error("the result cannot be written to standard output: {0}")]
    Output(io::Error),
    /// The system cannot provide a runtime or signal handlers.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Keys(_)
            | Self::RacksFile(RacksFileError::Exists { .. } | RacksFileError::NoFile { .. }) => {
                cli::EXIT_USAGE
            }
            Self::Request(error) if error.kind() == ErrorKind::Usage => cli::EXIT_USAGE,
            Self::Interrupted(caught) | Self::RekeyInterrupted(caught) => caught.exit_code(),
            Self::NotRemoved(remove::NOBODY_TO_ASK) => cli::EXIT_USAGE,
            Self::NotRemoved(_)
            | Self::Request(_)
            | Self::RacksFile(RacksFileError::Write { .. })
            | Self::Taken(_)
            | Self::Output(_)
            | Self::System(_) => cli::EXIT_FAILED,
        }
    }

    /// Returns the error as one printable line: parts of it are untrusted text, such as Glance's.
    pub(super) fn message(&self) -> String {
        let mut message = printable(&self.to_string());
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message
    }

    pub(super) fn problem(&self) -> Problem {
        let rule = if let Self::Request(error) = self { error.rule() } else { None };
        Problem { code: self.code(), message: self.message(), rule }
    }
}

/// What is printed of a command that did not do what it was to do.
pub(super) struct Problem {
    pub(super) code: u8,
    pub(super) message: String,
    /// The rule that an image breaks.
    pub(super) rule: Option<&'static str>,
}

impl Problem {
    /// Prints the message, and with `--json` an object on standard output, so that a script has one thing to read.
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            print_outcome(&json::line(&self.report()));
        }
        cli::tell(&format!("glancecast: {}", self.message));
    }

    fn report(&self) -> Report<'_> {
        let kind = match (self.rule, self.code) {
            (Some(_), _) => "refused",
            (None, cli::EXIT_USAGE) => "usage",
            (None, cli::EXIT_FAILED) => "failed",
            (None, _) => "interrupted",
        };
        Report {
            schema: 1,
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: if self.rule.is_some() { "refused" } else { "failed" },
            exit_code: self.code,
            reason: &self.message,
            rule: self.rule,
            error: Detail { kind, message: &self.message },
        }
    }
}

/// The output of `--json`; docs/json.md describes it.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    kind: &'static str,
    message: &'a str,
}

/// A few lines of a terminal.
const MESSAGE_BYTES_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_an_object_with_its_exit_code_and_kind() {
        for (failure, code, kind, outcome) in [
            (Failure::Request(RequestError::NoKey), 2, "usage", "failed"),
            (Failure::System(io::Error::other("no threads")), 1, "failed", "failed"),
            (Failure::Interrupted(Caught::Interrupt), 130, "interrupted", "failed"),
            (Failure::Interrupted(Caught::Terminate), 143, "interrupted", "failed"),
            (Failure::Interrupted(Caught::Hangup), 129, "interrupted", "failed"),
        ] {
            let problem = failure.problem();
            let report = serde_json::to_value(problem.report()).expect("JSON");
            assert_eq!(report["exit_code"], code, "{report}");
            assert_eq!((&report["error"]["kind"], &report["outcome"]), (&kind.into(), &outcome.into()));
            assert_eq!(report["error"]["message"], failure.message());
            assert!(report.get("rule").is_none() && report["schema"] == 1);
        }
        let refused = Problem { code: 2, message: "x".into(), rule: Some("qcow2-backing-file") };
        let report = serde_json::to_value(refused.report()).expect("JSON");
        assert_eq!((&report["outcome"], &report["rule"]), (&"refused".into(), &"qcow2-backing-file".into()));
    }
}
