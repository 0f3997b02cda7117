//! Why a file of known hosts cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

use super::content::{BadLine, Full};
use super::file::FILE_BYTES_MAX;

/// Why a file of known hosts cannot be used. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
    /// A line is damaged.
    #[error("known hosts {path} {bad}; correct that line, or remove it", path = path.display())]
    Line {
        /// The file's path.
        path: PathBuf,
        /// The line, and what is wrong with it.
        bad: BadLine,
    },
    /// It is not text.
    #[error("known hosts {path}: not a text; restore it, or remove it: every host is new again then", path = path.display())]
    NotText {
        /// The file's path.
        path: PathBuf,
    },
    /// It is longer than any file of hosts has to be.
    #[error("known hosts {path}: more than {FILE_BYTES_MAX} bytes; remove comments, or hosts that are gone", path = path.display())]
    TooLong {
        /// The file's path.
        path: PathBuf,
    },
    /// There is no room for another host.
    #[error("known hosts {path}: {full}; remove those that are gone: glancecast hosts --forget NAME", path = path.display())]
    Full {
        /// The file's path.
        path: PathBuf,
        /// The limit.
        full: Full,
    },
    /// It is a symbolic link, which a rewrite would replace.
    #[error("known hosts {path}: a symbolic link; name the file that it leads to with --known-hosts", path = path.display())]
    Link {
        /// The link's path.
        path: PathBuf,
    },
    /// It is a directory or a device.
    #[error("known hosts {path}: not a regular file; name one with --known-hosts FILE", path = path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// Others could change the file, or put another in its place.
    #[error(
        "known hosts: others may change {path} (user {owner}, mode {mode:04o}), and so decide which hosts are taken for known; \
         close it with: chown {user} {path}; chmod go-w {path}",
        path = path.display()
    )]
    ChangeableByOthers {
        /// The path of the file, of its lock, or of its directory.
        path: PathBuf,
        /// The owner.
        owner: Uid,
        /// The permission bits.
        mode: u32,
        /// The user of this process.
        user: Uid,
    },
    /// The file system does not take it.
    #[error("known hosts {path}: its file system is read-only here; name another file with --known-hosts", path = path.display())]
    ReadOnly {
        /// The file's path.
        path: PathBuf,
    },
    /// This user may not read or write it.
    #[error(
        "known hosts {path}: user {user} may not read it, or not write it and files beside it; name another file with \
         --known-hosts, or give its directory to that user",
        path = path.display()
    )]
    Forbidden {
        /// The file's path.
        path: PathBuf,
        /// The user of this process.
        user: Uid,
    },
    /// Another process has kept it locked.
    #[error("known hosts {path}: another process keeps it locked; see which with: fuser {lock}",
        path = path.display(), lock = lock.display())]
    Busy {
        /// The file's path.
        path: PathBuf,
        /// The path of its lock.
        lock: PathBuf,
    },
    /// The system reported an error.
    #[error("known hosts {path}: {error}", path = path.display())]
    Io {
        /// The file's path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl KnownHostsError {
    /// Returns the error for what the system reports of the file at `path`.
    pub(super) fn of_system(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::Forbidden { path, user: geteuid() },
            io::ErrorKind::IsADirectory => Self::NotAFile { path },
            _ if error.raw_os_error() == Some(nix::libc::ELOOP) => Self::Link { path },
            _ => Self::Io { path, error },
        }
    }
}
