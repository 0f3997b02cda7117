//! The host's own key: `host.key` in its state directory, one line of text that only its owner may read. It is made once
//! and never replaced, because senders know the host by it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use glancecast_proto::hex::Hex;
use glancecast_proto::sign::SigningKey;
use nix::unistd::{Uid, geteuid};

use super::access::Access;
use super::secret_line::{Drawn, SecretLine};
use crate::keyfile::{self, KeyFileError};
use crate::random;

/// The name of the file in the state directory.
pub const FILE: &str = "host.key";

/// A host's key, and where it comes from.
#[derive(Debug)]
pub struct HostKey {
    /// The secret key.
    pub key: SigningKey,
    /// Whether this call has made it.
    pub origin: Origin,
}

/// Where a host's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was drawn and written by this call.
    Made,
    /// It was there.
    Found,
}

/// Reads the key in the state directory `state`, or makes one. At any moment the file is missing or whole, also after a
/// crash. Processes that start at the same time end with one key. A directory that cannot be written is enough where
/// the key is there.
///
/// # Errors
/// [`HostKeyError`]: the directory is missing or unusable, the key is unusable, or it cannot be made. Whatever is
/// under the key's name is left as it is.
pub fn load_or_create(state: &Path) -> Result<HostKey, HostKeyError> {
    let path = state.join(FILE);
    for _ in 0..TRIES {
        check_directory(state)?;
        let found = match is_there(&path)? {
            true => Some(HostKey { key: load(&path)?, origin: Origin::Found }),
            false => create(state, &path)?.map(|key| HostKey { key, origin: Origin::Made }),
        };
        if let Some(key) = found {
            remove_unfinished(state);
            return Ok(key);
        }
    }
    Err(HostKeyError::Unsettled { path })
}

/// Checks that the state directory can have the key, and that the key is usable if it is there. Makes nothing.
///
/// # Errors
/// [`HostKeyError`]
pub fn check(state: &Path) -> Result<(), HostKeyError> {
    let path = state.join(FILE);
    check_directory(state)?;
    if is_there(&path)? {
        load(&path)?;
    }
    Ok(())
}

/// Parses the content of a key file; `None` if it is not a host key.
pub fn parse(file: &[u8]) -> Option<SigningKey> {
    LINE.parse(file)
}

/// Checks that the state directory is one, and that only this user and root can put another key there.
fn check_directory(state: &Path) -> Result<(), HostKeyError> {
    let path = || state.to_owned();
    let metadata = state.metadata().map_err(|error| directory_error(state, error))?;
    if !metadata.is_dir() {
        return Err(HostKeyError::NotADirectory { path: path() });
    }
    let (access, user) = (Access::of_directory(&metadata), geteuid());
    if access.others_may_change(user) {
        let Access { owner, mode, .. } = access;
        return Err(HostKeyError::ChangeableByOthers { path: path(), owner, mode, user });
    }
    Ok(())
}

/// Whether there is something under this name, also a link that leads nowhere.
fn is_there(path: &Path) -> Result<bool, HostKeyError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(directory_error(path.parent().unwrap_or(path), error)),
    }
}

fn load(path: &Path) -> Result<SigningKey, HostKeyError> {
    let text = match keyfile::read_private(path, LINE.bytes()) {
        Ok(text) => text,
        Err(KeyFileError::Missing { path }) => return Err(HostKeyError::LeadsNowhere { path }),
        Err(KeyFileError::Length { path, .. }) => return Err(HostKeyError::NoHostKey { path }),
        Err(error) => return Err(error.into()),
    };
    parse(&text).ok_or_else(|| HostKeyError::NoHostKey { path: path.to_owned() })
}

/// Makes a key under a name of its own and links it to `path` when it is on the disk; `None` if another process was
/// faster.
fn create(state: &Path, path: &Path) -> Result<Option<SigningKey>, HostKeyError> {
    let at = |error| directory_error(state, error);
    let suffix = random::bytes::<8>().map_err(at)?;
    let fresh = state.join(format!("{UNFINISHED}{}", Hex(&suffix)));
    let Drawn { key, text } = LINE.draw().map_err(at)?;
    let linked = match keyfile::write_private(&fresh, &text) {
        Ok(()) => link(&fresh, path),
        Err(KeyFileError::Io { error, .. }) => Err(at(error)),
        Err(error) => Err(error.into()),
    };
    let _ = fs::remove_file(&fresh);
    match linked? {
        Linked::Ours => {
            sync_directory(state).map_err(at)?;
            Ok(Some(key))
        }
        Linked::Theirs => Ok(None),
    }
}

/// Whose file has the name.
enum Linked {
    Ours,
    Theirs,
}

/// Gives the file `fresh` its name, which never replaces a file (link(2)).
fn link(fresh: &Path, path: &Path) -> Result<Linked, HostKeyError> {
    let state = path.parent().unwrap_or(path);
    match fs::hard_link(fresh, path) {
        Ok(()) => Ok(Linked::Ours),
        Err(error) => match error.kind() {
            // A process that has its key has removed our name.
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => Ok(Linked::Theirs),
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => {
                Err(HostKeyError::NoLinks { path: state.to_owned() })
            }
            _ => Err(directory_error(state, error)),
        },
    }
}

/// Removes what processes have left that ended before they had linked their key. Once there is a key nobody needs it. A
/// directory that cannot be read or written keeps it.
fn remove_unfinished(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the error for what the system reports of the state directory.
fn directory_error(state: &Path, error: io::Error) -> HostKeyError {
    let (path, user) = (state.to_owned(), geteuid());
    match error.kind() {
        io::ErrorKind::NotFound => HostKeyError::NoDirectory { path, user },
        io::ErrorKind::NotADirectory => HostKeyError::NotADirectory { path },
        io::ErrorKind::ReadOnlyFilesystem => HostKeyError::ReadOnly { path },
        io::ErrorKind::PermissionDenied => HostKeyError::Forbidden { path, user },
        _ => HostKeyError::Io { path, error },
    }
}

/// Why a host has no key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The state directory does not exist.
    #[error(
        "state directory {path}: there is no such directory, and this host's key is kept there; make it with: \
         install -d -m 0700 -o {user} {path}, or name another with --state DIR",
        path = path.display()
    )]
    NoDirectory {
        /// Its path.
        path: PathBuf,
        /// The user of this process.
        user: Uid,
    },
    /// The state directory is a file.
    #[error("state directory {path}: not a directory; name another with --state DIR", path = path.display())]
    NotADirectory {
        /// Its path.
        path: PathBuf,
    },
    /// The file system does not take a key.
    #[error(
        "state directory {path}: its file system is read-only here, and this host's key has to be made there; make it \
         writable (StateDirectory= in a unit of systemd), or name another with --state DIR",
        path = path.display()
    )]
    ReadOnly {
        /// Its path.
        path: PathBuf,
    },
    /// The file system has no hard links.
    #[error("state directory {path}: its file system takes no hard link; name another with --state DIR", path = path.display())]
    NoLinks {
        /// Its path.
        path: PathBuf,
    },
    /// This user may not look into the directory, or not write there.
    #[error(
        "state directory {path}: user {user} may not make this host's key there; give it to that user: chown {user} {path}",
        path = path.display()
    )]
    Forbidden {
        /// Its path.
        path: PathBuf,
        /// The user of this process.
        user: Uid,
    },
    /// Others could put another key there, or take it away.
    #[error(
        "state directory {path}: others may change it (user {owner}, mode {mode:04o}), and so replace this host's key; close \
         it with: chown {user} {path}; chmod go-w {path}",
        path = path.display()
    )]
    ChangeableByOthers {
        /// Its path.
        path: PathBuf,
        /// Its owner.
        owner: Uid,
        /// Its permission bits.
        mode: u32,
        /// The user of this process.
        user: Uid,
    },
    /// The file is damaged, or holds a key of another kind.
    #[error(
        "host key {path}: this is no host key, or a damaged one, and none is made in its place; restore it, or remove it to \
         have a new one, which senders take after: glancecast hosts --forget NAME",
        path = path.display()
    )]
    NoHostKey {
        /// Its path.
        path: PathBuf,
    },
    /// The file is a link without a target.
    #[error("host key {path}: a link that leads nowhere; restore its target, or remove it", path = path.display())]
    LeadsNowhere {
        /// Its path.
        path: PathBuf,
    },
    /// The file violates what applies to all key files.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Other processes make and remove the file all the time.
    #[error("host key {path}: other processes make and remove it; stop them", path = path.display())]
    Unsettled {
        /// Its path.
        path: PathBuf,
    },
    /// The system reported an error.
    #[error("state directory {path}: {error}", path = path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

const LINE: SecretLine = SecretLine { prefix: "glancecast-host-secret:" };

/// The beginning of the names under which keys are made.
const UNFINISHED: &str = ".host.key.";

/// A second try finds the key of the process that was faster.
const TRIES: u32 = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::Barrier;
    use std::thread;

    use tempfile::TempDir;

    use super::*;
    use crate::sender_keys;

    #[test]
    fn the_first_start_makes_a_private_key_and_later_ones_find_it() {
        let state = state();
        let made = load_or_create(state.path()).expect("made");
        let path = state.path().join(FILE);
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("glancecast-host-secret:") && text.ends_with('\n'), "{text}");
        let found = load_or_create(state.path()).expect("found");
        assert_eq!((made.origin, found.origin), (Origin::Made, Origin::Found));
        assert_eq!(found.key.public(), made.key.public());
        assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        assert_eq!(names(&state), [FILE], "nothing else is left");
    }

    #[test]
    fn starts_at_the_same_time_end_with_one_key() {
        for _ in 0..20 {
            let (state, barrier) = (state(), Barrier::new(STARTS));
            let keys: Vec<HostKey> = thread::scope(|scope| {
                let start = || {
                    barrier.wait();
                    load_or_create(state.path()).expect("a key")
                };
                let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
                starts.into_iter().map(|start| start.join().expect("no panic")).collect()
            });
            assert!(keys.iter().all(|key| key.key.public() == keys[0].key.public()));
            assert_eq!(keys.iter().filter(|key| key.origin == Origin::Made).count(), 1);
            assert_eq!(names(&state), [FILE]);
        }
    }

    #[test]
    fn a_key_that_another_process_has_linked_meanwhile_is_not_replaced() {
        let state = state();
        let first = load_or_create(state.path()).expect("made").key.public();
        // What a process does that saw no key a moment ago.
        let second = create(state.path(), &state.path().join(FILE)).expect("no error");
        assert!(second.is_none());
        assert_eq!(load_or_create(state.path()).expect("found").key.public(), first);
        assert_eq!(names(&state), [FILE]);
    }

    #[test]
    fn what_a_crash_has_left_is_no_key_and_is_removed() {
        let state = state();
        for name in ["0011223344556677", "half"] {
            fs::write(state.path().join(format!("{UNFINISHED}{name}")), "glancecast-host-sec").expect("room");
        }
        fs::write(state.path().join("host.key.saved"), "the operator's").expect("room");
        let made = load_or_create(state.path()).expect("made");
        assert_eq!(made.origin, Origin::Made);
        assert_eq!(names(&state), [FILE, "host.key.saved"]);
    }

    #[test]
    fn a_damaged_key_or_one_of_another_kind_is_refused_and_stays() {
        let state = state();
        let path = state.path().join(FILE);
        load_or_create(state.path()).expect("made");
        let good = fs::read(&path).expect("readable");
        let mut bent = good.clone();
        bent[40] = b'x';
        let as_on_windows = [&good[..good.len() - 1], b"\r\n"].concat();
        for content in [&bent, &as_on_windows, &good[..good.len() - 1], &good[..0], &[0; 32]] {
            fs::write(&path, content).expect("ours");
            refused(state.path(), "no host key");
            assert_eq!(fs::read(&path).expect("readable"), content);
        }
        fs::remove_file(&path).expect("ours");
        sender_keys::create(&path).expect("new");
        refused(state.path(), "no host key");
        fs::remove_file(&path).expect("ours");
        keyfile::create(&path).expect("new");
        refused(state.path(), "no host key");
    }

    #[test]
    fn a_host_key_is_no_sender_key() {
        let state = state();
        load_or_create(state.path()).expect("made");
        let refused = sender_keys::load(&state.path().join(FILE));
        assert!(matches!(refused, Err(sender_keys::SenderKeyError::NoSenderKey { .. })));
    }

    #[test]
    fn a_key_that_others_may_read_or_own_is_refused() {
        let state = state();
        let path = state.path().join(FILE);
        load_or_create(state.path()).expect("made");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            refused(state.path(), "chmod 600");
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
        if geteuid().is_root() {
            // Only root can give a file away.
            std::os::unix::fs::chown(&path, Some(12_345), None).expect("root");
            refused(state.path(), "chown 0");
        }
    }

    #[test]
    fn a_directory_that_others_may_change_holds_no_key() {
        let state = state();
        for mode in [0o770, 0o707, 0o777] {
            fs::set_permissions(state.path(), PermissionsExt::from_mode(mode)).expect("ours");
            refused(state.path(), "chmod go-w");
        }
        assert_eq!(names(&state), [""; 0]);
        fs::set_permissions(state.path(), PermissionsExt::from_mode(0o755)).expect("ours");
        load_or_create(state.path()).expect("others may look");
    }

    #[test]
    fn what_is_no_directory_is_named_with_what_to_do() {
        let dir = state();
        refused(&dir.path().join("missing"), "install -d -m 0700");
        fs::write(dir.path().join("file"), "").expect("room");
        refused(&dir.path().join("file"), "not a directory");
        refused(&dir.path().join("file/below"), "not a directory");
    }

    #[test]
    fn what_the_system_reports_becomes_what_to_do() {
        for (errno, says) in [
            (nix::libc::EROFS, "read-only"),
            (nix::libc::EACCES, "chown"),
            (nix::libc::EPERM, "chown"),
            (nix::libc::ENOSPC, "No space left"),
        ] {
            let error = directory_error(Path::new("/state"), io::Error::from_raw_os_error(errno)).to_string();
            assert!(error.starts_with("state directory /state: ") && error.contains(says), "{error}");
        }
        assert!(sync_directory(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_link_to_a_key_is_followed_and_one_to_nowhere_is_not_written_through() {
        let (state, elsewhere) = (state(), state());
        let target = elsewhere.path().join(FILE);
        symlink(&target, state.path().join(FILE)).expect("room");
        refused(state.path(), "leads nowhere");
        assert!(!target.exists());
        let made = load_or_create(elsewhere.path()).expect("made").key.public();
        assert_eq!(load_or_create(state.path()).expect("found").key.public(), made);
    }

    fn state() -> TempDir {
        tempfile::tempdir().expect("temporary directory")
    }

    fn names(state: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(state.path()).expect("a directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Asserts an error of one line that has `says`, the path, and no secret.
    #[track_caller]
    fn refused(state: &Path, says: &str) {
        let error = load_or_create(state).expect_err(says).to_string();
        assert!(error.contains(says) && error.contains(&state.display().to_string()), "{error}");
        assert!(!error.contains('\n') && !error.contains("secret:"), "{error}");
    }

    const STARTS: usize = 8;
}
