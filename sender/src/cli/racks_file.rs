//! The file that `glancecast doctor --write` makes of the networks that it has found, for `glancecast send --relays`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::request::{DoctorResult, Rack};

/// Where the file goes.
#[derive(Clone, Debug)]
pub(crate) struct RacksFile {
    pub(crate) path: PathBuf,
    /// Whether a file that is there is replaced.
    pub(crate) is_replaced: bool,
}

/// The file is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RacksFileError {
    /// Somebody may have written it by hand.
    #[error("{path} is there already: --force replaces it, another name keeps it", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A directory or a device cannot be replaced by a file.
    #[error("{path} is no file: give the name of a file", path = path.display())]
    NoFile {
        /// What is there.
        path: PathBuf,
    },
    /// The system does not write it.
    #[error("{path} cannot be written: {error}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl RacksFile {
    /// Refuses a file that is there, or a directory that is not, before anything is sent.
    ///
    /// # Errors
    /// [`RacksFileError`] with what is wrong.
    pub(super) fn check(&self) -> Result<(), RacksFileError> {
        let path = || self.path.clone();
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                return Err(RacksFileError::NoFile { path: path() });
            }
            Ok(_) if !self.is_replaced => return Err(RacksFileError::Exists { path: path() }),
            Ok(_) | Err(_) => {}
        }
        let found = fs::metadata(self.directory());
        found.map(drop).map_err(|error| RacksFileError::Write { path: path(), error })
    }

    fn directory(&self) -> &Path {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    /// Writes the racks of a diagnosis, if it has found some. Returns what to do next, or why there is nothing to
    /// write.
    ///
    /// # Errors
    /// [`RacksFileError`]; a file that is there is as it was then.
    pub(super) fn write(&self, result: &DoctorResult) -> Result<String, RacksFileError> {
        let (racks, path) = (result.racks(), self.path.display());
        if racks.is_empty() {
            return Ok(format!("{path} is not written: {}", why_not(result)));
        }
        self.put(&(heading(result) + &Rack::to_text(&racks)))?;
        let count = if racks.len() == 1 { "1 rack".to_owned() } else { format!("{} racks", racks.len()) };
        Ok(format!(
            "{path} has {count}; look at the plan: glancecast send IMAGE --relays {path} --dry-run, with the same hosts and \
             addresses; or set relays in glancecast.toml"
        ))
    }

    /// Puts the text in place as a whole: into a file beside it, which then takes its name.
    fn put(&self, text: &str) -> Result<(), RacksFileError> {
        let failed = |error| RacksFileError::Write { path: self.path.clone(), error };
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(self.directory())
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let persisted = match self.is_replaced {
            true => file.persist(&self.path),
            false => file.persist_noclobber(&self.path),
        };
        match persisted {
            Ok(_) => Ok(()),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RacksFileError::Exists { path: self.path.clone() })
            }
            Err(refused) => Err(failed(refused.error)),
        }
    }
}

fn heading(result: &DoctorResult) -> String {
    let sender = &result.evidence.sender;
    let from = sender.reply_to.map_or_else(String::new, |to| format!(" ({})", to.ip()));
    let without: Vec<String> = result
        .islands
        .iter()
        .filter(|island| island.relays.is_empty())
        .map(|island| island.network.to_string())
        .collect();
    let mut text = format!(
        "# Networks that multicast from {}{from} does not reach, as glancecast doctor found them: for glancecast send --relays.\n\
         # A push gives the image once to the first relay that answers. docs/networks.md describes the keys.\n",
        sender.interface
    );
    if !without.is_empty() {
        text.push_str(&format!(
            "# Left out, as no host may relay there ([relay] in glancecastd.toml): {}\n",
            without.join(", ")
        ));
    }
    text
}

fn why_not(result: &DoctorResult) -> &'static str {
    match result.islands.is_empty() {
        true => "no host that answers is in a network which the group does not reach",
        false => {
            "no host may relay where the group does not reach ([relay] in glancecastd.toml: mode = \"on\")"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("relays.toml");
        let file = |is_replaced| RacksFile { path: path.clone(), is_replaced };
        assert!(file(false).check().is_ok());
        file(false).put("first").expect("there is none");
        assert!(matches!(file(false).check(), Err(RacksFileError::Exists { .. })));
        // Somebody may have made it while hosts were examined.
        assert!(matches!(file(false).put("second"), Err(RacksFileError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "first");
        assert!(file(true).check().is_ok());
        file(true).put("second").expect("it is replaced");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "second");
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn what_is_no_file_is_told_with_a_way_on_that_works() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in [directory.path(), Path::new("/dev/null")] {
            for is_replaced in [false, true] {
                let error = RacksFile { path: path.into(), is_replaced }.check().expect_err("no file");
                assert!(error.to_string().contains("give the name of a file"), "{error}");
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told_before_hosts_are_examined() {
        let file = RacksFile { path: "/nowhere/relays.toml".into(), is_replaced: true };
        assert!(
            file.check()
                .is_err_and(|error| error.to_string().contains("/nowhere/relays.toml cannot be written"))
        );
    }
}
