//! The settings files: where they are looked for, whether they may be believed, and their values. Reads files.
//!
//! The directories are those of openstacksdk's `config/loader.py`, in its order; in each `.yaml`, `.yml` and `.json`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::{env, io};

use super::super::error::CloudError;
use super::super::trusted;
use super::environment::Environment;
use super::yaml::{Map, Value};

/// A file with its values.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) values: Map,
}

/// Which file is meant.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// Its name without a suffix, in the directories that are searched.
    stem: &'static str,
}

/// The clouds.
pub(super) const CLOUDS: Kind = Kind { variable: "OS_CLIENT_CONFIG_FILE", stem: "clouds" };
/// Their secrets, for few to read.
pub(super) const SECURE: Kind = Kind { variable: "OS_CLIENT_SECURE_FILE", stem: "secure" };
/// Profiles of clouds.
pub(super) const VENDOR: Kind = Kind { variable: "OS_CLIENT_VENDOR_FILE", stem: "clouds-public" };

/// Returns the file that the kind's variable names, else the first one that is found and that this user may read.
///
/// # Errors
/// `ConfigFileMissing` if the variable names no file, `UntrustedFile`, `BadConfigFile`.
pub(super) fn find(
    kind: Kind,
    environment: &Environment,
    directories: &[PathBuf],
) -> Result<Option<SettingsFile>, CloudError> {
    if let Some(path) = environment.get(kind.variable) {
        if path == "/dev/null" {
            return Ok(None);
        }
        let missing = |_| CloudError::ConfigFileMissing { variable: kind.variable, path: path.to_owned() };
        return match Path::new(path).metadata() {
            Ok(metadata) if metadata.is_dir() => Err(missing(ErrorKind::IsADirectory.into())),
            Ok(_) => read(Path::new(path), true).map(Some),
            Err(error) => Err(missing(error)),
        };
    }
    match candidates(kind, directories).find(|path| is_readable(path).is_ok_and(|is_readable| is_readable)) {
        Some(path) => read(&path, false).map(Some),
        None => Ok(None),
    }
}

/// Returns the files of this kind that are there and that this user may not read.
pub(super) fn forbidden(kind: Kind, directories: &[PathBuf]) -> Vec<PathBuf> {
    let is_forbidden =
        |path: &PathBuf| is_readable(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    candidates(kind, directories).filter(is_forbidden).collect()
}

/// Whether this is a file, which is opened to see whether it may be read. Others are not opened: a pipe would wait for
/// its writer.
fn is_readable(path: &Path) -> io::Result<bool> {
    if !path.metadata()?.is_file() {
        return Ok(false);
    }
    File::open(path).map(|_| true)
}

fn candidates(kind: Kind, directories: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let suffixes = ["yaml", "yml", "json"];
    directories
        .iter()
        .flat_map(move |directory| suffixes.map(|suffix| directory.join(format!("{}.{suffix}", kind.stem))))
}

/// Returns the directories that are searched: the working directory, the user's, and the system's.
pub(super) fn directories() -> Vec<PathBuf> {
    let set = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = env::home_dir();
    let of_home = home.map(|home| home.join(".config"));
    let directories = [
        Some(PathBuf::from(".")),
        set("XDG_CONFIG_HOME").or(of_home.clone()).map(|base| base.join("openstack")),
        set("SNAP_REAL_HOME").map(|home| home.join(".config")).or(of_home).map(|base| base.join("openstack")),
        Some(set("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg".into()).join("openstack")),
        Some(PathBuf::from("/etc/openstack")),
    ];
    directories.into_iter().flatten().collect()
}

/// Reads a file. What a shell hands over (`<(command)`) comes from the process that started this one, which could give
/// any settings; other files must be this user's or root's.
fn read(path: &Path, is_named: bool) -> Result<SettingsFile, CloudError> {
    let is_handed_over =
        is_named && ["/dev/fd", "/proc/self/fd"].iter().any(|directory| path.starts_with(directory));
    if !is_handed_over {
        trusted::check(path)?;
    }
    let bad = |reason: String| CloudError::BadConfigFile { file: path.display().to_string(), reason };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(bad(format!("it is larger than {} KiB", FILE_BYTES_MAX >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let value = match is_json {
        true => serde_json::from_str(&text)
            .map(of_json)
            .map_err(|error| bad(format!("line {}: it is not JSON", error.line())))?,
        false => Value::parse(&text).map_err(|fault| bad(fault.to_string()))?,
    };
    match value {
        Value::Map(values) => Ok(SettingsFile { path: path.to_owned(), values }),
        Value::Null => Ok(SettingsFile { path: path.to_owned(), values: Map::new() }),
        _ => Err(bad("it does not have the form of a clouds.yaml".to_owned())),
    }
}

fn of_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::of_bool(value),
        serde_json::Value::Number(number) => Value::text(number.to_string()),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(list) => Value::List(list.into_iter().map(of_json).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.into_iter().map(|(key, value)| (key, of_json(value))).collect())
        }
    }
}

/// A clouds.yaml of a thousand clouds has a third of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
