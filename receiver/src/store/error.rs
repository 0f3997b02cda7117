//! Errors of a store.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use glancecast_proto::wire::FailureKind;

use super::file_system::is_full;

/// Why a store could not do something, with the path and the system's error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the object's name exists and is something else.
    #[error("{path} exists with other content, and a published file is never replaced: remove it, or push under another --name",
        path = path.display())]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// Nova has another file for this image.
    #[error("{path} exists with other content, and a base file is never replaced: if no instance uses it, remove it and push again",
        path = path.display())]
    Taken {
        /// Its path.
        path: PathBuf,
    },
    /// The rules of this host do not admit the object.
    #[error(transparent)]
    Refused(Box<dyn Error + Send + Sync>),
    /// Nova did not release an image's lock.
    #[error("{path} is locked by Nova, for {seconds} s by now: push again when it has finished", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long the store waited for it.
        seconds: u64,
    },
    /// Files cannot be given to the store's owner.
    #[error("files in {path} cannot be given to user {uid}, group {gid}: run as that user or as root, or see --owner ({error})",
        path = path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// The error of the system call.
        error: io::Error,
    },
    /// The object does not fit.
    #[error("{path} has {free} bytes free, of which {reserve} stay free (min_free), and the object needs {needed}",
        path = path.display())]
    NoSpace {
        /// The store's directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
        /// Bytes that the object takes here, as far as that is known.
        needed: u64,
    },
    /// While an object arrived, others have taken so much room that too little is left.
    #[error("{path} has {free} bytes free by now, and {reserve} stay free (min_free): what had arrived is removed",
        path = path.display())]
    Reserve {
        /// The store's directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// The disk, or the quota of this user, was used up while an object arrived.
    #[error("{path} is full ({error}): what had arrived is removed; make room there and push again", path = path.display())]
    Full {
        /// The store's directory.
        path: PathBuf,
        /// The error of the system call.
        error: io::Error,
    },
    /// A file cannot get its name here without the danger of replacing another.
    #[error("{path}: its file system has neither hard links ({link}) nor renameat2 with RENAME_NOREPLACE ({rename}), and without both \
             a file cannot be published safely: use a directory on another file system, such as ext4 or XFS",
        path = path.display())]
    NoNaming {
        /// The store's directory.
        path: PathBuf,
        /// The error of the link.
        link: io::Error,
        /// The error of the renaming.
        rename: io::Error,
    },
    /// Nova's directory of instances does not exist.
    #[error("instances_path {path} does not exist: is Nova in a container? Give the path that its volume has on this host, as in {example}",
        path = path.display())]
    NoInstances {
        /// `instances_path`.
        path: PathBuf,
        /// A store that exists here, or could.
        example: String,
    },
    /// Another receiver on this machine uses the store.
    #[error("{path} is locked: the receiver with process {} uses this store; give each receiver a store of its own",
        holder.map_or_else(|| "id unknown".to_owned(), |id| id.to_string()), path = path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// The process id of the other receiver, where it is known.
        holder: Option<u32>,
    },
    /// The receiver is stopping.
    #[error("{path} was not compared to its end: the receiver stops", path = path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// The directory of the publication log is not this store's own.
    #[error("{path}: {error}. The store's records are kept there: remove it, or give the store's owner a directory of this name that nobody else may write to",
        path = path.display())]
    LogDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the directory.
        error: io::Error,
    },
    /// A system call failed.
    #[error("{what} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory it was tried with.
        path: PathBuf,
        /// The error of the system call.
        error: io::Error,
    },
}

impl StoreError {
    /// Returns [`StoreError::Refused`] for this reason.
    pub(super) fn refused(why: impl Error + Send + Sync + 'static) -> Self {
        Self::Refused(Box::new(why))
    }

    /// Returns the kind of failure that is reported to the sender.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Exists { .. } | Self::Taken { .. } => FailureKind::Exists,
            Self::Refused(_) => FailureKind::Refused,
            Self::NoSpace { .. } | Self::Reserve { .. } | Self::Full { .. } => FailureKind::NoSpace,
            Self::Stopped { .. } => FailureKind::Stopping,
            Self::Io { error, .. } if is_full(error) => FailureKind::NoSpace,
            Self::Io { .. }
            | Self::Locked { .. }
            | Self::InUse { .. }
            | Self::Owner { .. }
            | Self::LogDir { .. }
            | Self::NoNaming { .. }
            | Self::NoInstances { .. } => FailureKind::Store,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_no_space() {
        for (number, kind) in [
            (nix::errno::Errno::ENOSPC, FailureKind::NoSpace),
            (nix::errno::Errno::EDQUOT, FailureKind::NoSpace),
            (nix::errno::Errno::EIO, FailureKind::Store),
        ] {
            let error = StoreError::Io { what: "write to", path: PathBuf::new(), error: number.into() };
            assert_eq!(error.kind(), kind, "{number}");
        }
    }
}
