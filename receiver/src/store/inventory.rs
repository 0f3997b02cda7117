//! What a store holds, for who asks: the answer to a question is made of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glancecast_proto::ids::ObjectName;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::{Finding, Held, Kept};
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use super::StoreError;
use super::record::Record;

/// A store at one moment.
#[derive(Debug)]
pub struct Inventory {
    /// Bytes that can still be written.
    pub free_bytes: Option<u64>,
    /// What is published there, by name.
    pub objects: Vec<Stored>,
}

/// A published file.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it is.
    pub path: PathBuf,
    /// What is said of it.
    pub held: Held,
}

impl Inventory {
    /// Every file with a name that an object can have.
    pub(super) fn of_directory(path: &Path, free_bytes: Option<u64>) -> Result<Self, StoreError> {
        let at = |error| StoreError::Io { what: "list", path: path.to_owned(), error };
        let mut objects = Vec::new();
        for entry in fs::read_dir(path).map_err(at)?.take(ENTRIES_MAX) {
            let entry = entry.map_err(at)?;
            // What is gone meanwhile is not held.
            objects.extend(Stored::look(&entry));
        }
        objects.sort_by(|a, b| a.held.name.cmp(&b.held.name));
        Ok(Self { free_bytes, objects })
    }
}

impl Stored {
    fn look(entry: &fs::DirEntry) -> Option<Self> {
        let name = ObjectName::new(entry.file_name().to_str()?).ok()?;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let path = entry.path();
        let (root, proven, image_id) = match Record::of(&path) {
            Some(record) => (Some(record.root), Some(record.proven), record.image_id),
            None => (None, None, None),
        };
        let bytes = metadata.len();
        let held = Held { name, image_id, bytes, root, proven, kept: Kept::ByRule, finding: Finding::Listed };
        Some(Self { path, held })
    }

    /// Hashes the file anew. `step` is called with the bytes done so far after each piece, and ends it by saying false.
    ///
    /// # Errors
    /// What opening or reading it said.
    pub fn hash(&self, mut step: impl FnMut(u64) -> bool) -> Result<Option<Root>, StoreError> {
        let at = |error| StoreError::Io { what: "read", path: self.path.clone(), error };
        // What was listed as a file is not followed to somewhere else, and does not block.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let open = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.path);
        let mut file = open.map_err(at)?;
        // What the page cache has of it may be right where the disk is not.
        let forget = |file: &File| posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let _ = forget(&file);
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        loop {
            let read = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(error)),
            };
            hasher.update(&piece[..read]);
            done += read as u64;
            if done % FORGET_BYTES < read as u64 {
                let _ = forget(&file);
            }
            if !step(done) {
                return Ok(None);
            }
        }
        let _ = forget(&file);
        Ok(Some(Root(*hasher.finalize().as_bytes())))
    }
}

/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 100_000;

const PIECE_BYTES: usize = 1 << 20;

/// The page cache is given back this often: the guests of this host need it more.
const FORGET_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_files_are_listed_by_name_and_nothing_else() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["b", "a", ".hidden", "bad\nname"] {
            fs::write(dir.path().join(name), name).expect("writable");
        }
        fs::create_dir(dir.path().join("directory")).expect("writable");
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("link")).expect("writable");
        let inventory = Inventory::of_directory(dir.path(), Some(7)).expect("readable");
        let names: Vec<_> = inventory.objects.iter().map(|stored| stored.held.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(inventory.objects[0].held.bytes, 1);
    }

    #[test]
    fn hashing_reads_all_of_a_file_and_ends_when_told_to() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let bytes = vec![5; 3 * PIECE_BYTES + 17];
        fs::write(dir.path().join("image"), &bytes).expect("writable");
        let inventory = Inventory::of_directory(dir.path(), None).expect("readable");
        let stored = &inventory.objects[0];
        let mut last = 0;
        let root = stored
            .hash(|done| {
                last = done;
                true
            })
            .expect("readable");
        assert_eq!(root, Some(Root(*blake3::hash(&bytes).as_bytes())));
        assert_eq!(last, bytes.len() as u64);
        assert_eq!(stored.hash(|_| false).expect("readable"), None);
        fs::remove_file(&stored.path).expect("ours");
        assert!(stored.hash(|_| true).is_err());
    }
}
