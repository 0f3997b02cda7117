//! How a service logs: text for people, JSON for machines, or entries of the journal.
//!
//! ```text
//! tracing --> text:    a line with time and level on standard error
//!         --> json:    an object a line on standard error
//!         --> journal: an entry with its priority and fields; if the journal does not take it,
//!                      a line with the prefix `<4>` on standard error (sd-daemon(3))
//! ```

mod journal;
mod record;

use std::io::{self, Write};
use std::str::FromStr;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::cli;
use journal::Journal;
use record::Record;

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Entries of the journal.
    Journal,
}

impl Format {
    /// Returns the form that fits standard error: the journal's if that is where it leads, else text.
    pub fn by_default() -> Self {
        if journal::is_stderr() { Self::Journal } else { Self::Text }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "journal" => Ok(Self::Journal),
            _ => Err(format!("{text:?} is none of \"text\", \"json\" and \"journal\"")),
        }
    }
}

/// Begins to log. `program` is the identifier of the journal's entries, and `host` this host's name, which each of them has
/// as a field.
pub fn start(format: Format, program: &'static str, host: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    match format {
        Format::Text => tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .with_target(false)
            // By default a line that cannot be written is reported by `eprintln!`, which ends the program.
            .log_internal_errors(false)
            .init(),
        Format::Json => tracing_subscriber::registry().with(filter).with(Lines).init(),
        Format::Journal => {
            tracing_subscriber::registry().with(filter).with(Entries(Journal::open(program, host))).init();
        }
    }
}

/// Writes why the program cannot start, as an error in whatever reads standard error.
pub fn tell_error(line: &str) {
    let prefix = if journal::is_stderr() { "<3>" } else { "" };
    cli::tell(&format!("{prefix}{line}"));
}

/// The layer that writes JSON.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Record::of(event).json();
        // Nobody can be told that this failed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The layer that writes to the journal.
struct Entries(Journal);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let record = Record::of(event);
        if self.0.send(&record).is_err() {
            let line = format!("<{}>{}\n", priority(record.level), record.text());
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

/// Returns the priority of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_that_journalctl_filters_by() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        assert_eq!(levels.map(priority), [3, 4, 6, 7, 7]);
    }

    #[test]
    fn a_form_has_one_name() {
        for (text, format) in [("text", Format::Text), ("json", Format::Json), ("journal", Format::Journal)] {
            assert_eq!(text.parse(), Ok(format));
        }
        assert!("xml".parse::<Format>().expect_err("no such form").contains("journal"));
    }
}
