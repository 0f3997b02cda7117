//! A file on its way: written block by block under a hidden name, locked (flock(2)) as long as its receiver lives.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use glancecast_proto::integrity::VerifiedBlock;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::StoreError;
use super::direct::Direct;
use super::format::START_BYTES;

/// An object on its way. Dropping it removes it.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    /// The same file, written past the page cache.
    direct: Direct,
    /// Its hidden name.
    path: PathBuf,
}

impl PartialFile {
    /// Makes an empty place of so many bytes.
    pub(super) fn create(path: PathBuf, bytes: u64) -> Result<Self, StoreError> {
        let at = |what| {
            let path = path.clone();
            move |error| StoreError::Io { what, path, error }
        };
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = open.map_err(at("create"))?;
        let direct = Direct::open(&path);
        let partial = Self { file, direct, path: path.clone() };
        partial.file.try_lock().map_err(|error| at("lock")(error.into()))?;
        partial.file.set_len(bytes).map_err(at("give its length to"))?;
        Ok(partial)
    }

    /// Writes a block at its place.
    ///
    /// # Errors
    /// What pwrite(2) says.
    pub fn write(&self, block: &VerifiedBlock<'_>) -> Result<(), StoreError> {
        if let Some(result) = self.direct.write(block) {
            return result.map_err(|error| self.error("write to", error));
        }
        self.file.write_all_at(block.bytes(), block.offset()).map_err(|error| self.error("write to", error))
    }

    /// Leaves a block of zeros as the hole that it is since the file was made.
    pub fn leave_hole(&self, block: VerifiedBlock<'_>) {
        debug_assert!(block.bytes().iter().all(|&byte| byte == 0));
    }

    /// Gives the file the mode of a published one and makes its data durable.
    pub(super) fn finish(&self, mode: u32) -> Result<(), StoreError> {
        let mode = fs::Permissions::from_mode(mode);
        self.file.set_permissions(mode).map_err(|error| self.error("set the mode of", error))?;
        self.file.sync_all().map_err(|error| self.error("sync", error))?;
        // The guests of this host need the page cache more than a file that nobody reads now.
        let _ = posix_fadvise(self.file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        Ok(())
    }

    /// The file's first bytes.
    pub(super) fn start(&self) -> Result<Vec<u8>, StoreError> {
        let mut start = vec![0; START_BYTES];
        let mut filled = 0;
        while filled < START_BYTES {
            match self.file.read_at(&mut start[filled..], filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error("read", error)),
            }
        }
        start.truncate(filled);
        Ok(start)
    }

    /// Gives the file to another owner.
    pub(super) fn give_to(&self, take: impl FnOnce(&File) -> io::Result<()>) -> Result<(), StoreError> {
        take(&self.file).map_err(|error| self.error("change the owner of", error))
    }

    /// Its time of change is now.
    pub(super) fn touch(&self) -> Result<(), StoreError> {
        self.file.set_modified(SystemTime::now()).map_err(|error| self.error("set the time of", error))
    }

    /// Its hidden name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path.clone(), error }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the unfinished file");
        }
    }
}

/// The name of the `serial`th unfinished file of an object in this process.
pub(super) fn partial_name(object: &str, session: impl std::fmt::Display, serial: u64) -> String {
    format!("{PREFIX}{object}.{session}.{serial}{SUFFIX}")
}

/// Removes unfinished files that nobody holds a lock on: their receiver is gone.
pub(super) fn remove_leftovers(directory: &Path) -> Result<(), StoreError> {
    let at = |error| StoreError::Io { what: "list", path: directory.to_owned(), error };
    let entries = fs::read_dir(directory).map_err(at)?;
    for entry in entries.flatten().filter(|entry| is_partial(&entry.file_name())) {
        let path = entry.path();
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() {
            tracing::info!(path = %path.display(), "removed what an earlier receiver left unfinished");
            fs::remove_file(&path).map_err(|error| StoreError::Io { what: "remove", path, error })?;
        }
    }
    Ok(())
}

fn is_partial(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Hidden from people; `ObjectName` allows no leading dot, so no object can have such a name. No underscore and never 40
/// characters, by which Nova's cache manager knows its own files.
pub(super) const PREFIX: &str = ".glancecast-";
const SUFFIX: &str = ".part";
