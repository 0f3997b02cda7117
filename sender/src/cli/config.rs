//! `glancecast config`: prints the settings in force, and where each comes from.

use std::path::Path;

use clap::Command;
use glancecast_platform::cli;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::args::{ConfigArgs, Places, command};
use super::failure::Failure;
use super::{print, settle};
use crate::output::columns::{Room, Side, columns};
use crate::output::json;
use crate::settings::{self, Asked, Entry, Found, Origin, SETTINGS, Setting, SettingsError};

/// Prints the settings, or what is wrong with them.
pub(super) fn run(args: &ConfigArgs, places: &Places) -> Result<u8, Failure> {
    let asked = Asked { config: places.config.clone(), profile: places.profile.clone() };
    let checked = settings::load(&asked).and_then(|found| {
        let in_force = settings::merge(found.layers.iter().cloned());
        let mistakes = settle::check_all(in_force.values());
        if mistakes.is_empty() { Ok((found, in_force)) } else { Err(mistakes) }
    });
    match checked {
        Ok(_) if args.check => Ok(cli::EXIT_OK),
        Ok((found, in_force)) => {
            let whole = command();
            let rows: Vec<Row> =
                SETTINGS.iter().map(|one| Row::new(one, in_force.get(one.name), &whole)).collect();
            match args.output.json {
                true => print(&json::line(&Report::new(&found, &rows, &[])))?,
                false => print(&text(&found, &rows))?,
            }
            Ok(cli::EXIT_OK)
        }
        Err(mistakes) => {
            if args.output.json {
                print(&json::line(&Report::new(&Found::default(), &[], &mistakes)))?;
            }
            for mistake in &mistakes {
                cli::tell(&format!("glancecast: {}", printable(&mistake.to_string())));
            }
            Ok(cli::EXIT_USAGE)
        }
    }
}

/// A setting as it is shown.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    /// Null if there is neither a value nor a default.
    value: Option<String>,
    from: From,
}

/// Where a value comes from.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum From {
    Default,
    File { path: String, line: usize, profile: Option<String> },
    Environment { variable: String },
}

impl Row {
    fn new(setting: &Setting, entry: Option<&Entry>, command: &Command) -> Self {
        let (value, from) = match entry {
            Some(entry) => (Some(entry.values.join(",")), From::new(&entry.origin)),
            None => (default_of(setting, command), From::Default),
        };
        Self { name: setting.name, value, from }
    }

    fn place(&self) -> String {
        match &self.from {
            From::Default => "default".to_owned(),
            From::File { path, line, profile: None } => format!("{path} line {line}"),
            From::File { path, line, profile: Some(profile) } => {
                format!("{path} line {line}, profile {profile}")
            }
            From::Environment { variable } => variable.clone(),
        }
    }
}

impl From {
    fn new(origin: &Origin) -> Self {
        match origin {
            Origin::File { path, line, profile } => {
                Self::File { path: path.display().to_string(), line: *line, profile: profile.clone() }
            }
            Origin::Environment(variable) => Self::Environment { variable: variable.clone() },
            Origin::Flag => unreachable!("this command takes no setting as an option"),
        }
    }
}

/// Returns the default of a push, which has almost all settings, or of another command.
fn default_of(setting: &Setting, command: &Command) -> Option<String> {
    let flag = setting.flag();
    let mut arguments = command.get_subcommands().flat_map(Command::get_arguments);
    let argument = arguments.find(|argument| argument.get_long() == Some(&flag))?;
    let values = argument.get_default_values();
    let shown: Vec<String> = values.iter().map(|value| value.to_string_lossy().into_owned()).collect();
    (!shown.is_empty()).then(|| shown.join(","))
}

fn text(found: &Found, rows: &[Row]) -> String {
    let cells = |row: &Row| {
        [row.name.to_owned(), row.value.as_deref().map_or("-".to_owned(), printable), printable(&row.place())]
    };
    let (set, unset): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| !matches!(row.from, From::Default));
    let rows: Vec<[String; 3]> = set.into_iter().chain(unset).map(cells).collect();
    let mut text = columns(Room::Unbounded, ["SETTING", "VALUE", "FROM"], [Side::Left; 3], &rows);
    let path = |path: &Path| printable(&path.display().to_string());
    let files: Vec<String> = found.files.iter().map(|file| path(file)).collect();
    text.push_str(&match files.is_empty() {
        true => "\nno configuration file\n".to_owned(),
        false => format!("\nread: {}\n", files.join(", ")),
    });
    if let Some(profile) = &found.profile {
        text.push_str(&format!("profile: {}\n", printable(profile)));
    }
    text
}

/// The output of `--json`; docs/json.md describes it.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    exit_code: u8,
    files: Vec<String>,
    profile: Option<&'a str>,
    settings: &'a [Row],
    mistakes: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(found: &'a Found, settings: &'a [Row], mistakes: &[SettingsError]) -> Self {
        Self {
            schema: 1,
            glancecast: env!("CARGO_PKG_VERSION"),
            exit_code: if mistakes.is_empty() { cli::EXIT_OK } else { cli::EXIT_USAGE },
            files: found.files.iter().map(|file| file.display().to_string()).collect(),
            profile: found.profile.as_deref(),
            settings,
            mistakes: mistakes.iter().map(ToString::to_string).collect(),
        }
    }
}
