//! The directory of a store: held open from the start, and looked up again by its path only after it was removed, as
//! nothing can be created in it then. A directory created there since is accepted if it belongs to the same user.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::dir::Dir;
use super::name::Name;

/// A directory, or one below it.
#[derive(Debug)]
pub(super) struct Anchor {
    path: PathBuf,
    below: Vec<Name>,
    held: Mutex<Arc<Dir>>,
}

impl Anchor {
    /// Opens the directory that `below` leads to from `path`.
    pub(super) fn open(path: &Path, below: Vec<Name>) -> io::Result<Self> {
        let held = Mutex::new(Arc::new(find(path, &below)?));
        Ok(Self { path: path.to_owned(), below, held })
    }

    /// Returns the open directory.
    pub(super) fn dir(&self) -> io::Result<Arc<Dir>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_gone() {
            let found = find(&self.path, &self.below)?;
            if found.owner().uid != held.owner().uid {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "it was removed and made again by another user: restart this receiver if that is meant",
                ));
            }
            *held = Arc::new(found);
        }
        Ok(Arc::clone(&held))
    }
}

fn find(path: &Path, below: &[Name]) -> io::Result<Dir> {
    below.iter().try_fold(Dir::open(path)?, |dir, name| dir.below(name))
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_root;
    use super::*;
    use std::fs;

    #[test]
    fn what_is_held_stays_the_same_directory_until_it_is_removed() {
        let temporary = tempfile::tempdir().expect("temporary directory");
        let (path, moved) = (temporary.path().join("a/b"), temporary.path().join("a/moved"));
        fs::create_dir_all(&path).expect("writable");
        let below = ["a", "b"].map(|name| Name::new(name).expect("a name"));
        let anchor = Anchor::open(temporary.path(), below.to_vec()).expect("there");
        let first = anchor.dir().expect("held");

        fs::rename(&path, &moved).expect("writable");
        fs::create_dir(&path).expect("writable");
        assert!(Arc::ptr_eq(&first, &anchor.dir().expect("held")), "another one at its path is not it");

        fs::remove_dir(&moved).expect("writable");
        let second = anchor.dir().expect("at its path again");
        assert!(!Arc::ptr_eq(&first, &second) && !second.is_gone());

        fs::remove_dir(&path).expect("writable");
        assert_eq!(anchor.dir().expect_err("nothing there").kind(), io::ErrorKind::NotFound);
        std::os::unix::fs::symlink("..", &path).expect("writable");
        assert!(anchor.dir().is_err(), "a link is not followed then either");
    }

    #[test]
    fn another_users_directory_does_not_take_its_place() {
        if !is_root() {
            return;
        }
        let temporary = tempfile::tempdir().expect("temporary directory");
        let path = temporary.path().join("store");
        fs::create_dir(&path).expect("writable");
        let anchor = Anchor::open(&path, Vec::new()).expect("there");
        fs::remove_dir(&path).expect("writable");
        fs::create_dir(&path).expect("writable");
        std::os::unix::fs::chown(&path, Some(42_436), None).expect("root");
        assert!(anchor.dir().expect_err("another user's").to_string().contains("another user"));
        std::os::unix::fs::chown(&path, Some(0), None).expect("root");
        anchor.dir().expect("the same user's");
    }
}
