//! From the words of the command line to options: settings of other places are put in as if they had been typed.
//!
//! ```text
//! words -> scan: which command, which options -> load, merge with the other places -> check each value where it stands
//!       -> words with the settings that the command takes -> clap
//! ```
//!
//! A value is thus parsed by one parser, wherever it comes from.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command, FromArgMatches};
use glancecast_platform::cli::{self, EXIT_USAGE};
use glancecast_proto::wire::printable;

use super::args::{Args, command};
use super::failure::Problem;
use crate::settings::{self, Asked, Entry, Layer, Origin, SETTINGS, Setting, SettingsError};

/// Parses the command line of this process, together with the configuration and the environment.
///
/// # Errors
/// The exit code, after help or a message was printed.
pub fn parse() -> Result<Args, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let line = Line::scan(&words);
    settle(&words, &line).map_err(|stopped| match stopped {
        Stopped::Help(error) => cli::shown(&error),
        Stopped::Mistake(message) => {
            let problem = Problem { code: EXIT_USAGE, message, rule: None };
            problem.print(line.wants_json);
            ExitCode::from(problem.code)
        }
    })
}

/// Why there are no options.
enum Stopped {
    /// Help or the version was asked for.
    Help(Box<clap::Error>),
    Mistake(String),
}

fn settle(words: &[OsString], line: &Line) -> Result<Args, Stopped> {
    let entries = match line.command.as_ref().filter(|_| !line.wants_help) {
        Some((_, name)) => wanted(name, line).map_err(Stopped::Mistake)?,
        None => Vec::new(),
    };
    let matches = command().try_get_matches_from(line.with(words, &entries));
    let args = matches.and_then(|matches: ArgMatches| Args::from_arg_matches(&matches));
    args.map_err(|error| match cli::message(&error) {
        None => Stopped::Help(Box::new(error)),
        Some(message) => Stopped::Mistake(hinted(&message, words, line) + &origins(&message, &entries)),
    })
}

/// Returns the settings that are put in for a command: those that it takes and the command line does not have.
fn wanted(name: &str, line: &Line) -> Result<Vec<Entry>, String> {
    let whole = command();
    let Some(command) = whole.find_subcommand(name).filter(|command| takes_settings(command)) else {
        return Ok(Vec::new());
    };
    let mut found = settings::load(&line.asked).map_err(|errors| first(&errors))?;
    found.layers.push(line.given.clone());
    let in_force = settings::merge(found.layers).into_values().filter(|entry| entry.origin != Origin::Flag);
    let entries: Vec<Entry> =
        in_force.filter(|entry| takes(command, &entry.name) && !entry.is_off()).collect();
    for entry in &entries {
        check(name, entry).map_err(|error| error.to_string())?;
    }
    Ok(entries)
}

/// Returns the first mistake of several, and how to see the others.
fn first(errors: &[SettingsError]) -> String {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    match errors.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more: glancecast config --check)", more - 1),
    }
}

fn takes_settings(command: &Command) -> bool {
    SETTINGS.iter().any(|setting| takes(command, setting.name))
}

fn takes(command: &Command, name: &str) -> bool {
    let has = command.get_arguments().any(|arg| arg.get_long() == Some(&*name.replace('_', "-")));
    has && settings::is_for(name, command.get_name())
}

/// Checks the values of settings where they stand, for a command that takes them all or for some that takes each.
///
/// # Errors
/// The first value that its option does not take.
pub(super) fn check_all<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<SettingsError> {
    let whole = command();
    let check = |entry: &&Entry| {
        let command = whole.get_subcommands().find(|command| takes(command, &entry.name))?;
        check(command.get_name(), entry).err()
    };
    entries.into_iter().filter(|entry| !entry.is_off()).filter_map(|entry| check(&entry)).collect()
}

fn check(command_name: &str, entry: &Entry) -> Result<(), SettingsError> {
    use clap::error::ErrorKind;
    let words = [OsStr::new("glancecast"), OsStr::new(command_name)].into_iter().map(OsString::from);
    let Err(error) = command().try_get_matches_from(words.chain(typed(entry))) else { return Ok(()) };
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return Ok(()); // something else is missing, such as the image
    }
    let reason = error.source().map(ToString::to_string).or_else(|| possible(&error));
    let value = printable(&entry.values.join(","));
    let error = format!("{value:?}: {}", reason.unwrap_or_else(|| "not a value of it".to_owned()));
    Err(SettingsError::Value { origin: entry.origin.clone(), name: entry.name.clone(), error })
}

fn possible(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) => Some(format!("write {}", values.join(", "))),
        _ => None,
    }
}

/// Returns a setting as it would be typed.
fn typed(entry: &Entry) -> Vec<OsString> {
    let flag = format!("--{}", entry.name.replace('_', "-"));
    let is_switch = Setting::of(&entry.name).is_some_and(|setting| setting.kind == settings::Kind::Switch);
    match is_switch {
        true => vec![flag.into()],
        false => entry.values.iter().map(|value| format!("{flag}={value}").into()).collect(),
    }
}

/// Names the places of the settings that a message is about.
fn origins(message: &str, entries: &[Entry]) -> String {
    let is_named = |entry: &&Entry| {
        let flag = format!("--{}", entry.name.replace('_', "-"));
        message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == flag)
    };
    let place = |entry: &Entry| format!("; --{} comes from {}", entry.name.replace('_', "-"), entry.origin);
    entries.iter().filter(is_named).map(place).collect()
}

/// Returns a message with the remedy for a list that was written with blanks.
fn hinted(message: &str, words: &[OsString], line: &Line) -> String {
    let text = |at: usize| words.get(at).and_then(|word| word.to_str()).filter(|word| !word.starts_with('-'));
    let lists = ["--hosts", "--exclude", "--to", "--without"];
    let begins = |at: &usize| words[*at].to_str().is_some_and(|word| lists.contains(&word));
    for at in (0..words.len()).filter(begins) {
        let (Some(first), Some(second)) = (text(at + 1), text(at + 2)) else { continue };
        let flag = words[at].to_string_lossy();
        if line.has("file") && message.contains("--file") && message.contains("IMAGE") {
            return format!(
                "{:?}: IMAGE and --file exclude each other. More hosts? Commas: {flag} {},{}",
                printable(second),
                printable(first),
                printable(second)
            );
        }
        if message.contains(&format!("'{second}'")) {
            return format!(
                "{message}. More hosts? Commas: {flag} {},{}",
                printable(first),
                printable(second)
            );
        }
    }
    message.to_owned()
}

/// What is found in the words without their meaning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    /// Where the command stands, and its name.
    command: Option<(usize, String)>,
    asked: Asked,
    /// The options that are given, as a layer.
    given: Layer,
    wants_help: bool,
    wants_json: bool,
}

impl Line {
    fn scan(words: &[OsString]) -> Self {
        let mut line = Self::default();
        let mut given: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut words = words.iter().enumerate().skip(1).peekable();
        while let Some((at, word)) = words.next() {
            let text = word.to_string_lossy();
            if text == "--" {
                break;
            }
            let next = words.peek().map(|(_, word)| (*word).clone());
            let Some(option) = text.strip_prefix("--") else {
                match text.strip_prefix('-') {
                    Some(short) => line.wants_help |= matches!(short, "h" | "V"),
                    None if line.command.is_none() => line.command = Some((at, text.into_owned())),
                    None => {}
                }
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (option, next),
            };
            match name {
                "config" => line.asked.config = value.clone().map(Into::into),
                "profile" => {
                    line.asked.profile = value.as_ref().map(|name| name.to_string_lossy().into_owned());
                }
                "help" | "version" => line.wants_help = true,
                "json" => line.wants_json = true,
                _ => {}
            }
            if matches!(name, "config" | "profile") && !option.contains('=') {
                words.next();
            }
            given.insert(name.replace('-', "_"), value.map(|value| value.to_string_lossy().into_owned()));
        }
        let entry = |(name, value): (String, Option<String>)| Entry {
            name,
            values: value.into_iter().collect(),
            origin: Origin::Flag,
        };
        line.given = Layer(given.into_iter().map(entry).collect());
        line
    }

    fn has(&self, name: &str) -> bool {
        self.given.0.iter().any(|entry| entry.name == name)
    }

    /// Returns the words with settings behind the command.
    fn with(&self, words: &[OsString], entries: &[Entry]) -> Vec<OsString> {
        let mut words = words.to_vec();
        if let Some((at, _)) = self.command {
            words.splice(at + 1..at + 1, entries.iter().flat_map(typed));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_scanned_for_the_command_its_options_and_where_settings_are() {
        let line =
            scan("glancecast --config send --profile=p send img --rate 1gbit --hosts=a --json -- --ttl");
        assert_eq!(line.command, Some((4, "send".to_owned())));
        assert_eq!(line.asked, Asked { config: Some("send".into()), profile: Some("p".into()) });
        assert!(line.has("rate") && line.has("hosts") && !line.has("ttl"));
        assert!(line.wants_json && !line.wants_help);
        assert!(scan("glancecast send -h").wants_help && scan("glancecast --version").wants_help);
        assert_eq!(scan("glancecast -v hosts").command, Some((2, "hosts".to_owned())));
    }

    #[test]
    fn settings_stand_behind_the_command_as_if_they_were_typed() {
        let line = scan("glancecast -v send img --latest");
        let words = words("glancecast -v send img --latest");
        let entries =
            [entry("dscp", &["8"]), entry("strict_hosts", &["true"]), entry("aggregate", &["a", "b"])];
        let all = line.with(&words, &entries);
        let all: Vec<&str> = all.iter().map(|word| word.to_str().expect("UTF-8")).collect();
        assert_eq!(
            all.join(" "),
            "glancecast -v send --dscp=8 --strict-hosts --aggregate=a --aggregate=b img --latest"
        );
    }

    #[test]
    fn each_setting_is_an_option_of_some_command() {
        let whole = command();
        for setting in SETTINGS {
            assert!(whole.get_subcommands().any(|command| takes(command, setting.name)), "{}", setting.name);
        }
    }

    #[test]
    fn a_value_that_its_option_does_not_take_is_named_with_its_place() {
        for (name, value, reason) in [
            ("rate", "fast", "rate"),
            ("group", "10.0.0.1:1", "group"),
            ("reach", "radio", "write auto, multicast or unicast"),
            ("hosts", "c[3-1]", "the smaller one"),
            ("ttl", "0", "ttl"),
        ] {
            let error = check("send", &entry(name, &[value])).expect_err(name).to_string();
            assert!(error.starts_with("/c.toml line 3: ") && error.contains(reason), "{error}");
            assert!(error.contains(&format!("{value:?}")), "{error}");
        }
        assert!(check("send", &entry("rate", &["1gbit"])).is_ok());
        assert!(check("rekey", &entry("key", &["/k"])).is_ok(), "another required option is missing");
    }

    #[test]
    fn hosts_with_blanks_between_them_are_explained() {
        let message = |text: &str| match settle(&words(text), &scan(text)) {
            Err(Stopped::Mistake(message)) => message,
            _ => panic!("{text}: no mistake"),
        };
        assert_eq!(
            message("glancecast send --file /x --insecure --hosts compute-1 compute-2"),
            "\"compute-2\": IMAGE and --file exclude each other. More hosts? Commas: --hosts compute-1,compute-2"
        );
        let other = message("glancecast hosts --insecure --hosts a b");
        assert!(other.contains("'b'") && other.contains("More hosts? Commas: --hosts a,b"), "{other}");
        let slip = message("glancecast sned");
        assert!(slip.contains("'sned'") && slip.contains("'send'") && slip.contains("--help"), "{slip}");
        let slip = message("glancecast send x --host a");
        assert!(slip.contains("'--host'") && slip.contains("'--hosts'"), "{slip}");
    }

    fn scan(text: &str) -> Line {
        Line::scan(&words(text))
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn entry(name: &str, values: &[&str]) -> Entry {
        let origin = Origin::File { path: "/c.toml".into(), line: 3, profile: None };
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Entry { name: name.to_owned(), values, origin }
    }
}
