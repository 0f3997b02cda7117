//! The files in which measurements keep their results: JSON, which the next run reads again, and a page for people.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The results of earlier runs in `directory/NAME.json`; none when there are none, or when they are of another version.
///
/// # Errors
/// If they cannot be read.
pub fn read<T: DeserializeOwned + Default>(directory: &Path, name: &str) -> Result<T> {
    let path = directory.join(format!("{name}.json"));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(serde_json::from_str(&text).unwrap_or_else(|_| {
            println!("{} is not of this version and is replaced", path.display());
            T::default()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes `directory/NAME.json` and, for people, `directory/NAME.md`.
///
/// # Errors
/// If they cannot be written.
pub fn write<T: Serialize>(directory: &Path, name: &str, results: &T, page: &str) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let json = serde_json::to_string_pretty(results).context("results are plain data")? + "\n";
    for (ending, text) in [("json", json.as_str()), ("md", page)] {
        let path = directory.join(format!("{name}.{ending}"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_what_is_of_another_version_is_nothing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let read = || read::<Vec<u32>>(directory.path(), "some").expect("readable");
        assert_eq!(read(), [0; 0]);
        write(directory.path(), "some", &vec![1, 2], "one and two").expect("writable");
        assert_eq!(read(), [1, 2]);
        assert_eq!(fs::read_to_string(directory.path().join("some.md")).expect("written"), "one and two");
        fs::write(directory.path().join("some.json"), "{\"old\": 1}").expect("writable");
        assert_eq!(read(), [0; 0]);
    }
}
