//! To whom files are given: Nova runs as a user of its own, and has to remove what is placed for it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown};
use std::path::Path;
use std::str::FromStr;

use nix::unistd::{Group, User};

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Whom a file or directory belongs to.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { uid: metadata.uid(), gid: metadata.gid() })
    }

    /// Gives it an open file.
    pub(super) fn take(self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) == (self.uid, self.gid) {
            return Ok(());
        }
        fchown(file, Some(self.uid), Some(self.gid))
    }

    /// Makes a directory of its own where there is none.
    pub(super) fn make_directory(self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Ok(()) => {
                // Whatever the umask is.
                fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))?;
                if Self::of(path)? == self {
                    return Ok(());
                }
                chown(path, Some(self.uid), Some(self.gid))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// `USER`, `USER:GROUP`, or numbers instead of names; a user alone stands for its own group.
impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let known = || User::from_name(user).ok().flatten();
        let (uid, own) = match (user.parse::<u32>(), known()) {
            (_, Some(user)) => (user.uid.as_raw(), Some(user.gid.as_raw())),
            (Ok(uid), None) => (uid, None),
            (Err(_), None) => return Err(format!("owner {text:?}: there is no user {user:?} here")),
        };
        let gid = match group {
            None => {
                own.ok_or_else(|| format!("owner {text:?}: a number needs a group too, as in 42436:42436"))?
            }
            Some(group) => match (group.parse(), Group::from_name(group).ok().flatten()) {
                (_, Some(group)) => group.gid.as_raw(),
                (Ok(gid), None) => gid,
                (Err(_), None) => return Err(format!("owner {text:?}: there is no group {group:?} here")),
            },
        };
        Ok(Self { uid, gid })
    }
}

/// As Nova's own directories.
const DIRECTORY_MODE: u32 = 0o755;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        let root = Owner { uid: 0, gid: 0 };
        assert_eq!("root".parse(), Ok(root));
        assert_eq!("root:root".parse(), Ok(root));
        assert_eq!("42436:42437".parse(), Ok(Owner { uid: 42_436, gid: 42_437 }));
        assert_eq!("root:7".parse(), Ok(Owner { uid: 0, gid: 7 }));
        for bad in ["", ":", "no such user", "root:no such group", "42436", "-1:0"] {
            assert!(bad.parse::<Owner>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_that_is_there_is_left_as_it_is() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("locks");
        let owner = Owner::of(dir.path()).expect("there");
        owner.make_directory(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, DIRECTORY_MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
        owner.make_directory(&path).expect("there");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o700);
    }
}
