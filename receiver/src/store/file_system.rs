//! What the file system of a store can do. It is tried when the store is opened, with a file that exists only for the
//! trial: what fails there would otherwise fail at the end of a transfer.
//!
//! - **How a file gets its name** without replacing another: by a hard link (linkat(2)), which is made by descriptor; or,
//!   where there are none (FAT, exFAT, some FUSE and SMB file systems), by renameat2(2) with `RENAME_NOREPLACE`.
//! - **Whether it keeps holes.** If it does, an object takes the room of its data; if not, of its length.
//! - All else that a publication needs: locks (flock(2)) and modes.

use std::io;

use super::disk::{Disk, DiskFile};
use super::error::StoreError;
use super::name::Name;
use super::partial::PREFIX;

/// What a file system can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSystem {
    pub(super) naming: Naming,
    pub(super) holes: Holes,
}

/// How a finished file gets its name, which replaces no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By a further name for the open file.
    Link,
    /// By renaming it.
    Rename,
}

/// What becomes of the parts of a file that are never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holes {
    /// They take no room.
    Kept,
    /// They take as much room as data.
    Filled,
}

impl FileSystem {
    /// Tries all that a store asks of its file system.
    ///
    /// # Errors
    /// What a store cannot do without, with the path `path` of its directory.
    pub(super) fn probe(disk: &dyn Disk, path: &std::path::Path) -> Result<Self, StoreError> {
        let probe = Probe::new(disk).map_err(|error| at(path, "write to", error))?;
        let holes = probe.holes().map_err(|error| at(path, "write to", error))?;
        probe.file.try_lock().map_err(|error| at(path, "lock a file (flock) in", error))?;
        probe.file.set_mode(PROBE_MODE).map_err(|error| at(path, "set the mode of a file in", error))?;
        probe.file.sync_all().map_err(|error| at(path, "sync a file in", error))?;
        let naming = probe.naming().map_err(|(link, rename)| StoreError::NoNaming {
            path: path.to_owned(),
            link,
            rename,
        })?;
        Ok(Self { naming, holes })
    }

    /// Returns the room that an object of `bytes` bytes takes here, `data` of which are no holes, with what the file system
    /// keeps about them and a journal of `journal` bytes.
    pub(super) fn room_for(self, bytes: u64, data: u64, journal: u64) -> u64 {
        let data = match self.holes {
            Holes::Kept => data.min(bytes),
            Holes::Filled => bytes,
        };
        data.saturating_add(data / METADATA_SHARE).saturating_add(journal)
    }
}

fn at(path: &std::path::Path, what: &'static str, error: io::Error) -> StoreError {
    StoreError::Io { what, path: path.to_owned(), error }
}

/// A file of its own, removed when dropped.
struct Probe<'a> {
    disk: &'a dyn Disk,
    file: Box<dyn DiskFile>,
    name: Name,
    second: Name,
}

impl<'a> Probe<'a> {
    fn new(disk: &'a dyn Disk) -> io::Result<Self> {
        let name = Name::new(format!("{PREFIX}probe.{}", std::process::id()))?;
        let second = Name::new(format!("{name}.2"))?;
        for left in [&name, &second] {
            let _ = disk.remove(left); // left by a process with our pid that was killed right here
        }
        Ok(Self { file: disk.create(&name)?, disk, name, second })
    }

    fn holes(&self) -> io::Result<Holes> {
        match self.file.set_len(HOLE_BYTES) {
            Ok(()) => {}
            // A disk without room for this has not kept the hole either.
            Err(error) if is_full(&error) => return Ok(Holes::Filled),
            Err(error) => return Err(error),
        }
        let allocated = self.file.entry()?.allocated;
        Ok(if allocated < HOLE_BYTES / 2 { Holes::Kept } else { Holes::Filled })
    }

    /// Tries both ways; returns both errors if neither works.
    fn naming(&self) -> Result<Naming, (io::Error, io::Error)> {
        let Err(link) = self.file.link(&self.second) else { return Ok(Naming::Link) };
        match self.disk.rename_new(&self.name, &self.second) {
            Ok(()) => Ok(Naming::Rename),
            Err(rename) => Err((link, rename)),
        }
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        for name in [&self.name, &self.second] {
            let _ = self.disk.remove(name); // one of them need not be there
        }
    }
}

/// Whether an error says that there is no room, on the disk or in this user's quota.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Length of the hole that is tried; larger than the unit in which any file system allocates.
const HOLE_BYTES: u64 = 1 << 20;

/// Share of the data that its metadata take: checksums of Btrfs are a thousandth, extents of a fragmented ext4 or XFS
/// file some 16 bytes for each 4 KiB.
const METADATA_SHARE: u64 = 128;

const PROBE_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::disk::tests::disk;
    use super::super::folder::Folder;
    use super::super::spec::StoreOptions;
    use super::super::tests::disk_model::{Lacking, Model};
    use super::*;

    #[test]
    fn a_disk_of_this_host_has_links_keeps_holes_and_nothing_is_left_of_the_trial() {
        let (dir, disk) = disk();
        let found = FileSystem::probe(&disk, dir.path()).expect("a disk");
        assert_eq!(found.naming, Naming::Link);
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0);
    }

    #[test]
    fn a_store_without_hard_links_renames_and_one_without_either_is_refused_when_it_is_opened() {
        for (lacking, naming) in [(Lacking::Nothing, Naming::Link), (Lacking::Links, Naming::Rename)] {
            let model = Model::lacking(lacking);
            let found = FileSystem::probe(&model, Path::new("/images")).expect("it can be used");
            assert_eq!((found.naming, model.all_names()), (naming, Vec::new()), "{lacking:?}");
        }
        let model = Model::lacking(Lacking::LinksAndRename);
        let error = FileSystem::probe(&model, Path::new("/images")).expect_err("no way").to_string();
        assert!(error.contains("/images") && error.contains("neither hard links"), "{error}");
        assert_eq!(model.all_names(), Vec::<String>::new());
    }

    #[test]
    fn locks_and_directories_that_cannot_be_synced_are_found_out_when_the_store_is_opened() {
        for (lacking, what) in [
            (Lacking::Locks, "lock a file"),
            (Lacking::Modes, "set the mode"),
            (Lacking::DirectorySync, "sync the directory"),
        ] {
            let model = Model::lacking(lacking);
            let disk = Arc::new(model.clone());
            let opened = Folder::on(disk, Path::new("/images"), StoreOptions::DEFAULT, None);
            let error = opened.expect_err("unusable").to_string();
            assert!(error.starts_with(what) && error.contains("/images"), "{error}");
            assert_eq!(model.all_names(), Vec::<String>::new(), "{lacking:?}");
        }
    }

    #[test]
    fn where_holes_are_filled_an_object_needs_its_length_and_elsewhere_its_data() {
        let (mib, gib) = (1 << 20, 1 << 30);
        for (lacking, holes, room) in [
            (Lacking::Nothing, Holes::Kept, mib + mib / 128 + 100),
            (Lacking::Holes, Holes::Filled, gib + gib / 128 + 100),
        ] {
            let model = Model::lacking(lacking);
            let found = FileSystem::probe(&model, Path::new("/images")).expect("it can be used");
            assert_eq!((found.holes, found.room_for(gib, mib, 100)), (holes, room));
        }
    }
}
