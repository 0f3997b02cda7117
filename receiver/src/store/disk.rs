//! Everything the store asks of a directory and its files, in one place: tests put a model of a disk under the very
//! code that runs on a host, and cut its power, fill it or break it at every step.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::time::SystemTime;

use glancecast_platform::files::read_full;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;
use nix::unistd::{Whence, lseek};

use super::anchor::Anchor;
use super::dir::{Access, Dir, Room};
use super::direct::Direct;
use super::file_id::FileId;
use super::name::Name;

/// A directory on a disk. Its files have plain names.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// Creates a new file that only its owner may access.
    fn create(&self, name: &Name) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a regular file; a link to one is refused.
    fn open(&self, name: &Name, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Returns the entry of a name; a link itself is meant, not its target.
    fn look(&self, name: &Name) -> io::Result<Entry>;

    /// Renames a file; no existing name is replaced.
    fn rename_new(&self, from: &Name, to: &Name) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, name: &Name) -> io::Result<()>;

    /// Makes the names durable.
    fn sync(&self) -> io::Result<()>;

    /// Returns the names.
    fn list(&self) -> io::Result<Vec<Name>>;

    /// Returns the room of its file system.
    fn room(&self) -> io::Result<Room>;
}

/// An open file.
pub(super) trait DiskFile: std::fmt::Debug + Send + Sync {
    /// Returns its current entry.
    fn entry(&self) -> io::Result<Entry>;

    /// Gives it a further name in its directory; no existing name is replaced.
    fn link(&self, name: &Name) -> io::Result<()>;

    /// Sets its modification time to now.
    fn touch(&self) -> io::Result<()>;

    /// Locks it against other processes; returns false if one of them holds the lock.
    fn try_lock(&self) -> io::Result<bool>;

    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Writes all of `bytes`; nothing is durable before a sync.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads until `bytes` is full or the file ends; returns the number of bytes read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Turns a range into zeros, without space if the file system can do that.
    fn clear(&self, range: Range<u64>) -> io::Result<()>;

    /// Returns the next range from `offset` on that is not a hole.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>>;

    /// Makes the bytes durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the bytes and the metadata durable.
    fn sync_all(&self) -> io::Result<()>;

    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// Calls `act` with the file of the system, if it is one.
    fn with_file(&self, act: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()>;

    /// Releases the page cache of a range, or of the whole file if the range is empty: the guests of this host need it
    /// more.
    fn forget_pages(&self, range: Range<u64>);
}

/// Metadata of a name or of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) is_file: bool,
    pub(super) id: FileId,
    pub(super) bytes: u64,
    /// Allocated bytes.
    pub(super) allocated: u64,
    /// Number of its names.
    pub(super) names: u64,
    pub(super) changed: SystemTime,
}

/// A directory of this host.
#[derive(Debug)]
pub(super) struct System(pub(super) Anchor);

#[derive(Debug)]
struct SystemFile {
    file: File,
    /// The same file, for writes past the page cache.
    direct: Direct,
    dir: Arc<Dir>,
}

impl Disk for System {
    fn create(&self, name: &Name) -> io::Result<Box<dyn DiskFile>> {
        let dir = self.0.dir()?;
        let file = dir.create_file(name)?;
        Ok(Box::new(SystemFile { direct: Direct::open(&dir, &file), file, dir }))
    }

    fn open(&self, name: &Name, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let dir = self.0.dir()?;
        let file = dir.open_file(name, access)?;
        let direct = match access {
            Access::Write => Direct::open(&dir, &file),
            Access::Read | Access::Lock => Direct::none(),
        };
        Ok(Box::new(SystemFile { file, direct, dir }))
    }

    fn look(&self, name: &Name) -> io::Result<Entry> {
        Entry::of(&self.0.dir()?.look(name)?)
    }

    fn rename_new(&self, from: &Name, to: &Name) -> io::Result<()> {
        self.0.dir()?.rename_new(from, to)
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        self.0.dir()?.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.dir()?.sync()
    }

    fn list(&self) -> io::Result<Vec<Name>> {
        self.0.dir()?.list()
    }

    fn room(&self) -> io::Result<Room> {
        self.0.dir()?.room()
    }
}

impl Entry {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            is_file: metadata.is_file(),
            id: FileId::of(metadata),
            bytes: metadata.len(),
            allocated: metadata.blocks() * STAT_BLOCK,
            names: metadata.nlink(),
            changed: metadata.modified()?,
        })
    }
}

impl DiskFile for SystemFile {
    fn entry(&self) -> io::Result<Entry> {
        Entry::of(&self.file.metadata()?)
    }

    fn link(&self, name: &Name) -> io::Result<()> {
        self.dir.link(&self.file, name)
    }

    fn touch(&self) -> io::Result<()> {
        Ok(futimens(&self.file, &TimeSpec::UTIME_OMIT, &TimeSpec::UTIME_NOW)?)
    }

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
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE.union(FallocateFlags::FALLOC_FL_KEEP_SIZE);
        match fallocate(self.file.as_fd(), flags, offset, len) {
            // FUSE and emulated kernels have other words for it than fallocate(2).
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::ENODEV) => {
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
        // This is advice: nothing depends on it.
        let _ = posix_fadvise(self.file.as_fd(), offset, len, advice);
    }
}

/// Unit of `st_blocks` (stat(3type)).
const STAT_BLOCK: u64 = 512;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn what_was_cleared_is_zeros_and_a_hole() {
        let (_dir, disk) = disk();
        let file = disk.create(&name("file")).expect("writable");
        file.set_len(3 << 20).expect("room");
        file.write_at(&[7; 1 << 20], 1 << 20).expect("room");
        assert_eq!(file.next_data(0).expect("there"), Some(1 << 20..2 << 20));
        file.clear(1 << 20..2 << 20).expect("room");
        let mut bytes = vec![1; 1 << 20];
        assert_eq!(file.read_at(&mut bytes, 1 << 20).expect("there"), 1 << 20);
        assert!(bytes.iter().all(|&byte| byte == 0));
        assert_eq!(file.next_data(0).expect("there"), None);
        file.write_at(&[7; 3 << 20], 0).expect("room");
        file.clear(1 << 20..2 << 20).expect("room");
        assert_eq!(file.next_data(0).expect("there"), Some(0..1 << 20));
        assert_eq!(
            file.next_data(1 << 20).expect("there"),
            Some(2 << 20..3 << 20),
            "what is beside it stays"
        );
    }

    #[test]
    fn reading_ends_with_the_file() {
        let (_dir, disk) = disk();
        let file = disk.create(&name("file")).expect("writable");
        file.write_at(b"abc", 0).expect("room");
        let mut bytes = [0; 8];
        assert_eq!(file.read_at(&mut bytes, 1).expect("there"), 2);
        assert_eq!(&bytes[..2], b"bc");
    }

    #[test]
    fn a_file_that_is_locked_is_not_locked_again() {
        let (_dir, disk) = disk();
        let first = disk.create(&name("file")).expect("writable");
        assert!(first.try_lock().expect("no error"));
        let second = disk.open(&name("file"), Access::Write).expect("there");
        assert!(!second.try_lock().expect("no error"));
        drop(first);
        assert!(second.try_lock().expect("no error"));
    }

    #[test]
    fn an_entry_says_what_the_file_is_by_now() {
        let (dir, disk) = disk();
        let file = disk.create(&name("file")).expect("writable");
        let set =
            |times| fs::File::open(dir.path().join("file")).expect("there").set_times(times).expect("ours");
        set(fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH).set_accessed(SystemTime::UNIX_EPOCH));
        assert_eq!(file.entry().expect("open").changed, SystemTime::UNIX_EPOCH);
        file.touch().expect("ours");
        let touched = file.entry().expect("open");
        assert!(touched.changed > SystemTime::UNIX_EPOCH);
        let accessed = fs::metadata(dir.path().join("file")).expect("there").accessed().expect("a time");
        assert_eq!(accessed, SystemTime::UNIX_EPOCH, "the other time is left as it is");
        file.set_len(1 << 20).expect("room");
        file.write_at(&[1; 8192], 0).expect("room");
        file.sync_all().expect("room");
        file.link(&name("second")).expect("free");
        let entry = file.entry().expect("open");
        assert_eq!((entry.is_file, entry.bytes, entry.names), (true, 1 << 20, 2));
        assert!((8192..1 << 20).contains(&entry.allocated), "{entry:?}");
        assert_eq!(disk.look(&name("second")).expect("there"), entry);
    }

    pub(in super::super) fn disk() -> (TempDir, System) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let anchor = Anchor::open(dir.path(), Vec::new()).expect("a directory");
        (dir, System(anchor))
    }

    pub(in super::super) fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }
}
