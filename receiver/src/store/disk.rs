//! What the store asks of a file system, in one place: so that tests put a model of a disk under the very code that runs
//! on a host, and cut its power, fill it or break it at every step.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Whence, lseek};

use super::direct::Direct;

/// A file system.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// Makes a file that is not there yet, for its owner alone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// What bears a name, itself and not what it points to.
    fn look(&self, path: &Path) -> io::Result<Entry>;

    /// Gives a file a second name that nothing has yet.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name away.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Bytes that this process may still write below a directory.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub(super) trait DiskFile: std::fmt::Debug + Send + Sync {
    /// Locks it against other processes; false if one of them has it.
    fn try_lock(&self) -> io::Result<bool>;

    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Writes all of it; nothing of it is durable before a sync.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads until `bytes` is full or the file ends; gives how much it was.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes a range zeros, without space where the file system can.
    fn clear(&self, range: Range<u64>) -> io::Result<()>;

    /// The next range from `offset` on that is not a hole.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>>;

    /// Makes the bytes durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the bytes and all that is known of the file durable.
    fn sync_all(&self) -> io::Result<()>;

    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// Does something with the file of the system, if it is one.
    fn with_file(&self, act: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()>;

    /// Hands the pages of a range (an empty one: of all) back: the guests of this host need them more.
    fn forget_pages(&self, range: Range<u64>);
}

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) is_file: bool,
    pub(super) bytes: u64,
    /// Bytes of it that take space.
    pub(super) allocated: u64,
    /// Names that it has.
    pub(super) names: u64,
    pub(super) changed: SystemTime,
}

/// The disk of this host.
#[derive(Debug)]
pub(super) struct System;

#[derive(Debug)]
struct SystemFile {
    file: File,
    /// The same file, written past the page cache.
    direct: Direct,
}

impl Disk for System {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(SystemFile { file, direct: Direct::open(path) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(SystemFile { file, direct: Direct::open(path) }))
    }

    fn look(&self, path: &Path) -> io::Result<Entry> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Entry {
            is_file: metadata.is_file(),
            bytes: metadata.len(),
            allocated: metadata.blocks() * STAT_BLOCK,
            names: metadata.nlink(),
            changed: metadata.modified()?,
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(path)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = statvfs(path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

impl DiskFile for SystemFile {
    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.direct.write(bytes, offset) {
            Some(result) => result,
            None => self.file.write_all_at(bytes, offset),
        }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        read_full(&self.file, bytes, offset)
    }

    fn clear(&self, range: Range<u64>) -> io::Result<()> {
        let (offset, len) = (range.start as i64, (range.end - range.start) as i64);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(self.file.as_fd(), flags, offset, len) {
            Err(Errno::EOPNOTSUPP) => {
                let zeros = vec![0; (range.end - range.start) as usize];
                self.file.write_all_at(&zeros, range.start)
            }
            result => Ok(result?),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let start = match lseek(self.file.as_fd(), offset as i64, Whence::SeekData) {
            Err(Errno::ENXIO) => return Ok(None),
            start => start?,
        };
        let end = lseek(self.file.as_fd(), start, Whence::SeekHole)?;
        Ok(Some(start as u64..end as u64))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(mode))
    }

    fn with_file(&self, act: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()> {
        act(&self.file)
    }

    fn forget_pages(&self, range: Range<u64>) {
        let (offset, len) = (range.start as i64, (range.end - range.start) as i64);
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        // It is advice: nothing depends on it.
        let _ = posix_fadvise(self.file.as_fd(), offset, len, advice);
    }
}

/// Reads until `bytes` is full or the file ends; gives how much it was.
pub(super) fn read_full(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Unit of `st_blocks` (stat(3type)).
const STAT_BLOCK: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cleared_is_zeros_and_a_hole() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("file");
        let file = System.create(&path).expect("writable");
        file.set_len(3 << 20).expect("room");
        file.write_at(&[7; 1 << 20], 1 << 20).expect("room");
        assert_eq!(file.next_data(0).expect("there"), Some(1 << 20..2 << 20));
        file.clear(1 << 20..2 << 20).expect("room");
        let mut bytes = vec![1; 1 << 20];
        assert_eq!(file.read_at(&mut bytes, 1 << 20).expect("there"), 1 << 20);
        assert!(bytes.iter().all(|&byte| byte == 0));
        assert_eq!(file.next_data(0).expect("there"), None);
    }

    #[test]
    fn reading_ends_with_the_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = System.create(&dir.path().join("file")).expect("writable");
        file.write_at(b"abc", 0).expect("room");
        let mut bytes = [0; 8];
        assert_eq!(file.read_at(&mut bytes, 1).expect("there"), 2);
        assert_eq!(&bytes[..2], b"bc");
    }

    #[test]
    fn a_file_that_is_locked_is_not_locked_again() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("file");
        let first = System.create(&path).expect("writable");
        assert!(first.try_lock().expect("no error"));
        let second = System.open(&path).expect("there");
        assert!(!second.try_lock().expect("no error"));
        drop(first);
        assert!(second.try_lock().expect("no error"));
    }
}
