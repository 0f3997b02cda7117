//! The owner of files: Nova runs as its own user, and must be able to remove what is placed in its cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::str::FromStr;

use nix::unistd::{Group, User};

/// A user and a group, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The user.
    pub(super) uid: u32,
    /// The group.
    pub(super) gid: u32,
}

impl Owner {
    /// Makes this the owner of an open file.
    pub(super) fn take(self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) == (self.uid, self.gid) {
            return Ok(());
        }
        fchown(file, Some(self.uid), Some(self.gid))
    }
}

/// The setting names no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("owner {owner:?}: {why}")]
pub(super) struct OwnerError {
    owner: String,
    why: NoOwner,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NoOwner {
    #[error("there is no user {0:?} here")]
    User(String),
    #[error("a number needs a group too, as in 42436:42436")]
    NeedsGroup,
    #[error("there is no group {0:?} here")]
    Group(String),
}

/// Parses `USER`, `USER:GROUP`, or numbers instead of names; a user alone stands for its own group too.
impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let no_owner = |why| OwnerError { owner: text.to_owned(), why };
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let (uid, own_group) = match User::from_name(user).ok().flatten() {
            Some(user) => (user.uid.as_raw(), Some(user.gid.as_raw())),
            None => (user.parse().map_err(|_| no_owner(NoOwner::User(user.to_owned())))?, None),
        };
        let gid = match (group, own_group) {
            (None, own_group) => own_group.ok_or_else(|| no_owner(NoOwner::NeedsGroup))?,
            (Some(name), _) => match Group::from_name(name).ok().flatten() {
                Some(group) => group.gid.as_raw(),
                None => name.parse().map_err(|_| no_owner(NoOwner::Group(name.to_owned())))?,
            },
        };
        Ok(Self { uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_root;
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
    fn an_open_file_is_given_to_its_owner_once() {
        if !is_root() {
            return;
        }
        let file = tempfile::tempfile().expect("temporary file");
        for owner in [(42_436, 42_437), (42_436, 42_436), (42_437, 42_436)] {
            let owner = Owner { uid: owner.0, gid: owner.1 };
            owner.take(&file).expect("root may");
            let metadata = file.metadata().expect("open");
            assert_eq!((metadata.uid(), metadata.gid()), (owner.uid, owner.gid));
        }
    }
}
