//! Unfinished files of earlier receivers: which one a session resumes, and which are removed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::dir::Access;
use super::disk::{Disk, DiskFile, Entry};
use super::error::StoreError;
use super::journal::{Identity, Journal, Old};
use super::partial::Names;
use super::spec::StoreOptions;

/// An unfinished file that no receiver works on. This value holds its lock.
#[derive(Debug)]
pub(super) struct Resumable {
    pub(super) names: Names,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) entry: Entry,
}

/// Returns all resumable files, the newest first. Removes unfinished files that cannot be resumed. `path` is for
/// messages.
pub(super) fn find(disk: &dyn Disk, path: &Path) -> Result<Vec<Resumable>, StoreError> {
    let at = |error| StoreError::Io { what: "list", path: path.to_owned(), error };
    let mut found: Vec<Resumable> = Vec::new();
    let mut names: Vec<Names> = disk.list().map_err(at)?.iter().filter_map(Names::of).collect();
    names.sort_by(|a, b| a.file.cmp(&b.file));
    names.dedup_by(|a, b| a.file == b.file);
    for names in names {
        // Open first, then inspect: the name may lead to something else the next moment.
        let file = match disk.open(&names.file, Access::Write) {
            Ok(file) => file,
            Err(error) => {
                cannot_open(disk, &names, &error);
                continue;
            }
        };
        if !file.try_lock().unwrap_or(false) {
            continue; // its receiver is running
        }
        match file.entry() {
            // A file with two names is published: a crash kept the hidden one from being removed.
            Ok(entry) if entry.names == 1 && disk.look(&names.journal).is_ok() => {
                found.push(Resumable { names, file: file.into(), entry });
            }
            Ok(_) => {
                tracing::info!(name = %names.file, "removed what an earlier receiver left");
                names.remove(disk);
            }
            Err(_) => {}
        }
    }
    found.sort_by_key(|partial| std::cmp::Reverse(partial.entry.changed));
    Ok(found)
}

/// Removes a journal without its file. Removes a foreign entry under one of our names after [`FOREIGN_AGE_MAX`]: no
/// other program uses such names.
fn cannot_open(disk: &dyn Disk, names: &Names, error: &io::Error) {
    match disk.look(&names.file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => names.remove(disk),
        Ok(entry) if age(&entry) >= FOREIGN_AGE_MAX => {
            tracing::warn!(name = %names.file, %error, "removed what cannot be gone on with");
            names.remove(disk);
        }
        Ok(_) | Err(_) => {}
    }
}

/// Returns the time since the last write; zero if the clock has jumped back.
fn age(entry: &Entry) -> Duration {
    SystemTime::now().duration_since(entry.changed).unwrap_or_default()
}

/// Removes unfinished files that are too old, too many, or in the room that stays free.
pub(super) fn clean(disk: &dyn Disk, path: &Path, options: StoreOptions) -> Result<(), StoreError> {
    let mut partials = find(disk, path)?;
    let mut at = 0;
    partials.retain(|partial| {
        let age = age(&partial.entry);
        at += 1;
        if at <= PARTIALS_MAX && age < options.keep_unfinished.time {
            return true;
        }
        tracing::info!(
            name = %partial.names.file, hours = age.as_secs() / 3600,
            "removed an unfinished image that nobody went on with"
        );
        partial.names.remove(disk);
        false
    });
    while let Some(oldest) = partials.pop() {
        let at = |error| StoreError::Io { what: "ask for the free space of", path: path.to_owned(), error };
        let room = disk.room().map_err(at)?;
        if room.free >= options.min_free.of(room.total) {
            break;
        }
        tracing::info!(name = %oldest.names.file, "removed an unfinished image: too little room is free");
        oldest.names.remove(disk);
    }
    Ok(())
}

/// Takes out of `partials` the one that a session of this object resumes: the newest. Removes the others of this
/// object, and those whose journal cannot be used.
pub(super) fn take(
    disk: &dyn Disk,
    partials: &mut Vec<Resumable>,
    identity: &Identity,
    bytes: u64,
) -> Option<(Resumable, Old)> {
    let mut taken = None;
    for partial in std::mem::take(partials) {
        let name = &partial.names.journal;
        match read(disk, &partial) {
            Err(error) => {
                tracing::warn!(%name, "an unfinished image begins afresh, as its journal cannot be used: {error}");
                partial.names.remove(disk);
            }
            Ok(old) if old.identity != *identity => partials.push(partial),
            // A crash came before the file had its length, or a newer file was taken.
            Ok(_) if partial.entry.bytes != bytes || taken.is_some() => partial.names.remove(disk),
            Ok(old) => {
                if old.damaged {
                    let records = old.records.len();
                    tracing::warn!(
                        %name, records,
                        "a journal is cut off or damaged at its end; what was written is looked for in the image itself"
                    );
                }
                taken = Some((partial, old));
            }
        }
    }
    taken
}

fn read(disk: &dyn Disk, partial: &Resumable) -> io::Result<Old> {
    Journal::read(disk.open(&partial.names.journal, Access::Write)?)
}

/// Most unfinished files that are kept; a host takes part in one push at a time.
const PARTIALS_MAX: usize = 4;

/// Age at which a foreign entry under one of our names is removed.
const FOREIGN_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::super::disk::System;
    use super::super::disk::tests::{disk, name};
    use super::super::min_free::MinFree;
    use super::*;
    use crate::store::KeepUnfinished;
    use crate::store::tests::announce;
    use glancecast_proto::ids::SessionId;
    use nix::sys::stat::{UtimensatFlags, utimensat};
    use nix::sys::time::{TimeSpec, TimeValLike};
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_is_there_under_a_name_of_ours_and_is_not_ours_stays_for_a_day() {
        let (dir, disk) = disk();
        let secret = tempfile::NamedTempFile::new().expect("a file elsewhere");
        symlink(secret.path(), dir.path().join(".glancecast-a.part")).expect("writable");
        fs::write(dir.path().join(".glancecast-a.journal"), b"").expect("writable");
        assert!(found(&disk, &dir).is_empty());
        assert_eq!(names(&dir), [".glancecast-a.journal", ".glancecast-a.part"]);
        make_older(&dir, ".glancecast-a.part", DAY - Duration::from_secs(60));
        assert!(found(&disk, &dir).is_empty());
        assert_eq!(names(&dir), [".glancecast-a.journal", ".glancecast-a.part"]);
        make_old(&dir, ".glancecast-a.part");
        assert!(found(&disk, &dir).is_empty());
        assert_eq!(names(&dir), [""; 0]);
        assert!(secret.path().exists(), "the link alone is gone");
    }

    #[test]
    fn a_journal_of_nothing_is_removed() {
        let (dir, disk) = disk();
        fs::write(dir.path().join(".glancecast-a.journal"), b"").expect("writable");
        assert!(found(&disk, &dir).is_empty());
        assert_eq!(names(&dir), [""; 0]);
    }

    #[test]
    fn a_file_with_a_journal_and_one_name_is_gone_on_with_and_others_are_removed() {
        let (dir, disk) = disk();
        for stem in ["a", "b", "c"] {
            disk.create(&name(&format!(".glancecast-{stem}.part"))).expect("writable");
        }
        for stem in ["a", "b"] {
            disk.create(&name(&format!(".glancecast-{stem}.journal"))).expect("writable");
        }
        fs::hard_link(dir.path().join(".glancecast-b.part"), dir.path().join("image")).expect("writable");
        assert_eq!(found(&disk, &dir), [".glancecast-a.part"]);
        assert_eq!(names(&dir), [".glancecast-a.journal", ".glancecast-a.part", "image"]);
    }

    #[test]
    fn what_is_older_than_it_is_kept_is_removed() {
        let (dir, disk) = disk();
        for stem in ["new", "old"] {
            disk.create(&name(&format!(".glancecast-{stem}.part"))).expect("writable");
            disk.create(&name(&format!(".glancecast-{stem}.journal"))).expect("writable");
        }
        make_old(&dir, ".glancecast-old.part");
        assert_eq!(found(&disk, &dir), [".glancecast-new.part", ".glancecast-old.part"], "the newest first");
        let options = StoreOptions { keep_unfinished: KeepUnfinished::DEFAULT, min_free: MinFree::NONE };
        assert_eq!(options.keep_unfinished.time, DAY);
        clean(&disk, dir.path(), options).expect("a disk");
        assert_eq!(found(&disk, &dir), [".glancecast-new.part"]);
    }

    #[test]
    fn the_newest_few_are_kept_and_the_others_removed() {
        let (dir, disk) = disk();
        for age in 1..=6 {
            unfinished(&disk, &age.to_string(), &identity("image"), 5);
            make_older(&dir, &format!(".glancecast-{age}.part"), Duration::from_secs(100 * age));
        }
        let options = StoreOptions { keep_unfinished: KeepUnfinished::DEFAULT, min_free: MinFree::NONE };
        clean(&disk, dir.path(), options).expect("a disk");
        let newest = ["1", "2", "3", "4"].map(|age| format!(".glancecast-{age}.part"));
        assert_eq!(found(&disk, &dir), newest);
    }

    #[test]
    fn a_session_takes_the_newest_partial_of_its_object_and_removes_the_others_of_it() {
        let (dir, disk) = disk();
        for (stem, object, bytes) in
            [("a", "image", 4), ("b", "image", 5), ("c", "image", 5), ("d", "other", 5)]
        {
            unfinished(&disk, stem, &identity(object), bytes);
            let age = u64::from(stem.as_bytes()[0] - b'a');
            make_older(&dir, &format!(".glancecast-{stem}.part"), Duration::from_secs(100 * age));
        }
        let mut partials = find(&disk, dir.path()).expect("a disk");
        let (taken, old) = take(&disk, &mut partials, &identity("image"), 5).expect("it is there");
        assert_eq!(taken.names.file.as_str(), ".glancecast-b.part", "the newest of this length");
        assert!(old.identity == identity("image") && old.records.is_empty());
        assert_eq!(partials.len(), 1);
        assert_eq!(partials[0].names.file.as_str(), ".glancecast-d.part", "of another object");
        assert!(take(&disk, &mut partials, &identity("image"), 5).is_none());
        assert_eq!(
            names(&dir),
            ["b.journal", "b.part", "d.journal", "d.part"].map(|end| format!(".glancecast-{end}"))
        );
    }

    fn identity(object: &str) -> Identity {
        Identity::of(&announce(object), object)
    }

    fn unfinished(disk: &System, stem: &str, identity: &Identity, bytes: u64) {
        let create = |end: &str| disk.create(&name(&format!(".glancecast-{stem}.{end}"))).expect("writable");
        create("part").set_len(bytes).expect("room");
        Journal::begin(create("journal"), identity, SessionId([1; 16])).expect("room");
    }

    fn found(disk: &System, dir: &TempDir) -> Vec<String> {
        let found = find(disk, dir.path()).expect("a disk");
        found.iter().map(|partial| partial.names.file.to_string()).collect()
    }

    fn names(dir: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path()).expect("there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII")).collect();
        names.sort();
        names
    }

    fn make_old(dir: &TempDir, name: &str) {
        make_older(dir, name, DAY + Duration::from_secs(5));
    }

    /// Sets the modification time back by `age`; of a link itself, not of its target.
    fn make_older(dir: &TempDir, name: &str, age: Duration) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let then = TimeSpec::seconds((now - age).as_secs().cast_signed());
        let here = fs::File::open(dir.path()).expect("there");
        utimensat(&here, name, &then, &then, UtimensatFlags::NoFollowSymlink).expect("ours");
    }
}
