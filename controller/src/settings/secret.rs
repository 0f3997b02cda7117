//! Secrets in files of their own, and systemd's credentials.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::text_of;

/// A secret that no log and no debug output has.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads the first line of a file that only its owner and its group may read.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let fault = |reason: String| format!("{}: {reason}", path.display());
        let metadata = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?;
        if metadata.mode() & 0o007 != 0 {
            return Err(fault("everybody may use this file; chmod o= it, as it has a secret".to_owned()));
        }
        let text = text_of(path).map_err(fault)?;
        match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
            Some(line) => Ok(Self(line.to_owned())),
            None => Err(fault("its first line is empty".to_owned())),
        }
    }

    /// Returns the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Returns the path of a setting that names a file, where `credential:NAME` stands for a file of systemd's credentials.
///
/// # Errors
/// One line that names the setting.
pub fn credential(setting: &str, path: PathBuf) -> Result<PathBuf, String> {
    let Some(name) = path.to_str().and_then(|text| text.strip_prefix("credential:")) else {
        return Ok(path);
    };
    if name.is_empty() || name.contains('/') {
        return Err(format!("{setting} credential:{name}: a credential has a name without slashes"));
    }
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => Err(format!(
            "{setting} credential:{name}: systemd gives this process no credentials; the unit needs \
             LoadCredential={name}:/etc/glancecast/{name}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_a_line_of_a_file_that_is_not_everybodys() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        fs::write(&path, "hunter2\n").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
        let secret = Secret::read(&path).expect("a secret");
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("hunter2", "Secret"));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
        assert!(Secret::read(&path).expect_err("everybody's").contains("chmod o="));
    }
}
