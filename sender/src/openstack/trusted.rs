//! Whether a settings file can be trusted: only this user and root can change or replace it. It determines where the
//! password is sent and whose images are sent to every host. The first place where it is searched is the working
//! directory, which may belong to another user.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::error::CloudError;

/// Checks a file that is to be read.
///
/// # Errors
/// `UntrustedFile` with the reason.
pub(super) fn check(file: &Path) -> Result<(), CloudError> {
    let reason = match doubt(file, geteuid().as_raw()) {
        Ok(None) => return Ok(()),
        Ok(Some(reason)) => reason,
        Err(error) => error.to_string(),
    };
    Err(CloudError::UntrustedFile { file: file.display().to_string(), reason })
}

/// Returns why a user other than `user` and root could have written the file, or could replace it now.
fn doubt(file: &Path, user: u32) -> io::Result<Option<String>> {
    let link = file.symlink_metadata()?;
    let real = file.canonicalize()?;
    if link.is_symlink() {
        if let Some(reason) = doubt_owner("the link", link.uid(), user) {
            return Ok(Some(reason));
        }
        if let Some(reason) = doubt_directory(&parent(file), user)? {
            return Ok(Some(reason));
        }
    }
    let metadata = real.metadata()?;
    if let Some(reason) = doubt_owner("it", metadata.uid(), user) {
        return Ok(Some(reason));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        let mode = metadata.mode() & 0o7777;
        return Ok(Some(format!("others can write it (mode {mode:04o}); chmod go-w {}", real.display())));
    }
    doubt_directory(&parent(&real), user)
}

/// Returns why others can replace files in a directory. With the sticky bit they cannot touch files of other owners.
fn doubt_directory(directory: &Path, user: u32) -> io::Result<Option<String>> {
    let metadata = directory.metadata()?;
    let name = format!("its directory {}", directory.display());
    if let Some(reason) = doubt_owner(&name, metadata.uid(), user) {
        return Ok(Some(reason));
    }
    let mode = metadata.mode() & 0o7777;
    let open = mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
    Ok(open.then(|| {
        let path = directory.display();
        format!("others can put another one in its place: {name} has mode {mode:04o}; chmod go-w {path}")
    }))
}

fn doubt_owner(what: &str, owner: u32, user: u32) -> Option<String> {
    (owner != user && owner != 0).then(|| {
        format!(
            "{what} belongs to the user with the number {owner}, neither to you (number {user}) nor to root"
        )
    })
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
    }

    fn me() -> u32 {
        geteuid().as_raw()
    }

    /// Returns a directory of mode 0755 with a file of mode 0644.
    fn settings() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("temporary directory");
        chmod(directory.path(), 0o755);
        let file = directory.path().join("clouds.yaml");
        fs::write(&file, "clouds: {}\n").expect("writable");
        chmod(&file, 0o644);
        (directory, file)
    }

    #[test]
    fn a_file_that_only_this_user_and_root_can_change_is_believed() {
        let (directory, file) = settings();
        assert_eq!(doubt(&file, me()).expect("readable"), None);
        chmod(&file, 0o600);
        chmod(directory.path(), 0o1777);
        assert_eq!(doubt(&file, me()).expect("readable"), None, "the sticky bit keeps others off");
    }

    #[test]
    fn a_file_or_a_directory_that_others_can_write_is_not() {
        let (directory, file) = settings();
        for mode in [0o664, 0o646, 0o666] {
            chmod(&file, mode);
            let reason = doubt(&file, me()).expect("readable").expect("a reason");
            assert!(reason.contains(&format!("{mode:04o}")) && reason.contains("chmod go-w"), "{reason}");
        }
        chmod(&file, 0o644);
        for mode in [0o775, 0o757, 0o777] {
            chmod(directory.path(), mode);
            let reason = doubt(&file, me()).expect("readable").expect("a reason");
            assert!(reason.contains("directory") && reason.contains(&format!("{mode:04o}")), "{reason}");
        }
    }

    #[test]
    fn a_link_is_believed_as_far_as_what_it_leads_to() {
        let (_far, target) = settings();
        let (near, file) = settings();
        fs::remove_file(&file).expect("ours");
        symlink(&target, &file).expect("a link");
        assert_eq!(doubt(&file, me()).expect("readable"), None);
        chmod(&target, 0o666);
        assert!(doubt(&file, me()).expect("readable").is_some());
        chmod(&target, 0o644);
        chmod(near.path(), 0o777);
        assert!(doubt(&file, me()).expect("readable").is_some());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_believed() {
        assert!(doubt_owner("it", 1000, 0).is_some_and(|reason| reason.contains("1000")));
        assert!(doubt_owner("it", 1000, 1001).is_some());
        assert_eq!((doubt_owner("it", 0, 1001), doubt_owner("it", 1001, 1001)), (None, None));
        if me() != 0 {
            println!("not root: a file cannot be given away here");
            return;
        }
        let (directory, file) = settings();
        chown(&file, Some(4321), None).expect("root gives files away");
        assert!(check(&file).unwrap_err().to_string().contains("4321"));
        chown(&file, Some(0), None).expect("root");
        chown(directory.path(), Some(4321), None).expect("root");
        assert!(check(&file).unwrap_err().to_string().contains("its directory"));
    }
}
