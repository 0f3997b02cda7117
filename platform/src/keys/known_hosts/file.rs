//! The file of known hosts. Processes change it one after the other, under a lock (flock(2)) on a file beside it, and a
//! changed file takes the old one's place in one step: a reader sees one or the other.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_proto::ids::HostName;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::content::{Addition, Conflict, Forgotten, Full, KnownHost, KnownHosts, Note, Replaced};
use super::error::KnownHostsError;
use crate::keys::access::Access;

/// Bytes of a file: as many hosts as there may be, each with the longest name and a comment of its own.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// What became of hosts that were to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The hosts that were not known before.
    pub added: Vec<KnownHost>,
    /// The hosts that are known by another key, which stays.
    pub conflicts: Vec<Conflict>,
}

impl KnownHosts {
    /// Reads a file. One that is missing knows no host.
    ///
    /// # Errors
    /// [`KnownHostsError`]: it cannot be read, is damaged, or others may change it.
    pub fn load(path: &Path) -> Result<Self, KnownHostsError> {
        let place = Place::of(path)?;
        if !place.check_directory()? {
            return Ok(Self::default());
        }
        Ok(place.read()?.map_or_else(Self::default, |stored| stored.hosts))
    }
}

/// Adds hosts to a file, which is made with its directory if it is missing. A key that is there is never replaced.
///
/// # Errors
/// [`KnownHostsError`]; no host has been added then.
pub fn add(path: &Path, hosts: &[KnownHost], note: Note) -> Result<Added, KnownHostsError> {
    update(path, LOCK_PATIENCE, |known| {
        let mut result = Added::default();
        for host in hosts {
            match known.add(host, note)? {
                Addition::Added => result.added.push(host.clone()),
                Addition::Known => {}
                Addition::Conflict(key) => {
                    let (name, offered) = (host.name.clone(), host.key);
                    result.conflicts.push(Conflict { name, known: key, offered });
                }
            }
        }
        Ok(result)
    })
}

/// Sets the keys of hosts in a file, whatever keys they had, and returns those that changed.
///
/// # Errors
/// [`KnownHostsError`]; no key has been set then.
pub fn replace(path: &Path, hosts: &[KnownHost], note: Note) -> Result<Vec<Replaced>, KnownHostsError> {
    update(path, LOCK_PATIENCE, |known| known.replace(hosts, note))
}

/// Removes hosts from a file.
///
/// # Errors
/// [`KnownHostsError`]; no host has been removed then.
pub fn forget(path: &Path, names: &[HostName]) -> Result<Forgotten, KnownHostsError> {
    update(path, LOCK_PATIENCE, |known| Ok(known.forget(names)))
}

/// Reads, changes and writes a file under its lock. What changes nothing needs no lock, and no place that can be written.
fn update<T>(
    path: &Path,
    patience: Duration,
    change: impl Fn(&mut KnownHosts) -> Result<T, Full>,
) -> Result<T, KnownHostsError> {
    let changed = |before: &KnownHosts| {
        let mut after = before.clone();
        let result =
            change(&mut after).map_err(|full| KnownHostsError::Full { path: path.to_owned(), full })?;
        Ok((result, Some(after).filter(|after| after != before)))
    };
    let (result, after) = changed(&KnownHosts::load(path)?)?;
    if after.is_none() {
        return Ok(result);
    }
    let place = Place::of(path)?;
    place.make_directory()?;
    let _lock = place.lock(patience)?;
    // Another process may have changed it meanwhile.
    let Stored { hosts, mode } = place.read()?.unwrap_or_default();
    let (result, after) = changed(&hosts)?;
    after.map_or(Ok(()), |after| place.write(&after, mode))?;
    Ok(result)
}

/// The file's paths.
struct Place {
    directory: PathBuf,
    file: PathBuf,
    lock: PathBuf,
    /// The name under which a changed file is written. Only the holder of the lock uses it.
    fresh: PathBuf,
}

/// What is in the file, and its permission bits.
struct Stored {
    hosts: KnownHosts,
    mode: u32,
}

impl Default for Stored {
    fn default() -> Self {
        Self { hosts: KnownHosts::default(), mode: FILE_MODE }
    }
}

impl Place {
    fn of(path: &Path) -> Result<Self, KnownHostsError> {
        let no_file = || KnownHostsError::NotAFile { path: path.to_owned() };
        let name = path.file_name().ok_or_else(no_file)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let beside = |suffix: &str| {
            let mut name = name.to_owned();
            name.push(suffix);
            directory.join(name)
        };
        let (lock, fresh) = (beside(".lock"), beside(".new"));
        Ok(Self { file: directory.join(name), lock, fresh, directory })
    }

    /// Makes a missing directory, as ssh does with its own: the first push of a user must not fail for it.
    fn make_directory(&self) -> Result<(), KnownHostsError> {
        if !self.check_directory()? {
            let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.directory);
            made.map_err(|error| self.at(error))?;
            self.check_directory()?;
        }
        Ok(())
    }

    /// Checks that no other user can put another file in this one's place. Returns whether there is a directory.
    fn check_directory(&self) -> Result<bool, KnownHostsError> {
        let metadata = match self.directory.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.at(error)),
        };
        ours(&self.directory, Access::of_directory(&metadata))?;
        Ok(true)
    }

    /// Locks the file that is under the lock's name. One that was removed or replaced while it was waited for keeps
    /// nobody out.
    fn lock(&self, patience: Duration) -> Result<File, KnownHostsError> {
        let begin = Instant::now();
        loop {
            let (file, _) =
                self.open(OpenOptions::new().write(true).create(true).mode(LOCK_MODE), &self.lock)?;
            self.wait_for(&file, begin, patience)?;
            if self.is_locks(&file) {
                return Ok(file);
            }
        }
    }

    /// Waits until this file is locked by nobody else, and locks it.
    fn wait_for(&self, file: &File, begin: Instant, patience: Duration) -> Result<(), KnownHostsError> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if begin.elapsed() < patience => thread::sleep(LOCK_RETRY),
                Err(TryLockError::WouldBlock) => {
                    return Err(KnownHostsError::Busy { path: self.file.clone(), lock: self.lock.clone() });
                }
                Err(TryLockError::Error(error)) => return Err(self.at(error)),
            }
        }
    }

    /// Whether this file is the one under the lock's name.
    fn is_locks(&self, file: &File) -> bool {
        let inode = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (file.metadata(), self.lock.symlink_metadata()) {
            (Ok(ours), Ok(there)) => inode(ours) == inode(there),
            _ => false,
        }
    }

    /// Reads the file; `None` if there is none.
    fn read(&self) -> Result<Option<Stored>, KnownHostsError> {
        let (file, access) = match self.open(OpenOptions::new().read(true), &self.file) {
            Err(KnownHostsError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            opened => opened?,
        };
        let path = || self.file.clone();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.at(error))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(KnownHostsError::TooLong { path: path() });
        }
        let text = String::from_utf8(bytes).map_err(|_| KnownHostsError::NotText { path: path() })?;
        let hosts = KnownHosts::parse(&text).map_err(|bad| KnownHostsError::Line { path: path(), bad })?;
        Ok(Some(Stored { hosts, mode: access.mode }))
    }

    /// Puts a file with this content in the old one's place when it is on the disk.
    fn write(&self, hosts: &KnownHosts, mode: u32) -> Result<(), KnownHostsError> {
        let text = hosts.to_string();
        if text.len() > FILE_BYTES_MAX {
            return Err(KnownHostsError::TooLong { path: self.file.clone() });
        }
        // Of a process that was killed here.
        let _ = fs::remove_file(&self.fresh);
        let written = self.write_fresh(&text, mode).and_then(|()| fs::rename(&self.fresh, &self.file));
        if written.is_err() {
            let _ = fs::remove_file(&self.fresh);
        }
        written.and_then(|()| sync_directory(&self.directory)).map_err(|error| self.at(error))
    }

    fn write_fresh(&self, text: &str, mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.fresh)?;
        // Regardless of the umask.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Opens a regular file that no other user may change. It follows no link, and waits for nobody at a pipe.
    fn open(&self, options: &mut OpenOptions, path: &Path) -> Result<(File, Access), KnownHostsError> {
        let at = |error| KnownHostsError::of_system(path, error);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = options.custom_flags(flags.bits()).open(path).map_err(at)?;
        let metadata = file.metadata().map_err(at)?;
        if !metadata.is_file() {
            return Err(KnownHostsError::NotAFile { path: path.to_owned() });
        }
        let access = Access::of(&metadata);
        ours(path, access)?;
        Ok((file, access))
    }

    fn at(&self, error: io::Error) -> KnownHostsError {
        KnownHostsError::of_system(&self.file, error)
    }
}

/// Checks that nobody but this user and root may change what is at `path`.
fn ours(path: &Path, access: Access) -> Result<(), KnownHostsError> {
    let user = geteuid();
    if access.others_may_change(user) {
        let Access { owner, mode, .. } = access;
        return Err(KnownHostsError::ChangeableByOthers { path: path.to_owned(), owner, mode, user });
    }
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The mode of a new file: public keys are no secret. A file that is there keeps its own.
const FILE_MODE: u32 = 0o644;
/// The mode of a lock. Whoever may read it could hold it for ever.
const LOCK_MODE: u32 = 0o600;
/// The mode of a new directory, as the XDG Base Directory Specification has it.
const DIRECTORY_MODE: u32 = 0o700;

/// How long a lock is waited for. Its holder reads and writes one file.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
