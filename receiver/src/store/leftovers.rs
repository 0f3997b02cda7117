//! What earlier receivers left unfinished in a directory: which of it a session goes on from, and what is removed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::StoreError;
use super::disk::{Disk, DiskFile, Entry};
use super::journal::{Identity, Journal, Old};
use super::partial::Names;

/// How much of the unfinished is kept for sessions to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepUnfinished {
    /// For so long after it was written last; zero: nothing is kept.
    pub time: Duration,
}

impl KeepUnfinished {
    /// For a day.
    pub const DEFAULT: Self = Self { time: Duration::from_secs(24 * 60 * 60) };
}

/// An unfinished file that nobody works on. It is locked as long as this lives.
#[derive(Debug)]
pub(super) struct Leftover {
    pub(super) names: Names,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) entry: Entry,
}

/// All of them, the newest first, without what is of no use to anybody: that is removed.
pub(super) fn find(disk: &dyn Disk, directory: &Path) -> Result<Vec<Leftover>, StoreError> {
    let at = |error| StoreError::Io { what: "list", path: directory.to_owned(), error };
    let mut found: Vec<Leftover> = Vec::new();
    let mut names: Vec<Names> =
        disk.list(directory).map_err(at)?.iter().filter_map(|name| Names::of(directory, name)).collect();
    names.sort_by(|a, b| a.file.cmp(&b.file));
    names.dedup_by(|a, b| a.file == b.file);
    for names in names {
        let Ok(file) = disk.open(&names.file) else {
            if disk.look(&names.file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                names.remove(disk); // a journal of nothing
            }
            continue;
        };
        if !file.try_lock().unwrap_or(false) {
            continue; // its receiver lives
        }
        match disk.look(&names.file) {
            // With two names it is published: the crash came before the hidden one was taken away.
            Ok(entry) if entry.names == 1 && disk.look(&names.journal).is_ok() => {
                found.push(Leftover { names, file: file.into(), entry });
            }
            Ok(_) => {
                tracing::info!(path = %names.file.display(), "removed what an earlier receiver left");
                names.remove(disk);
            }
            Err(_) => {}
        }
    }
    found.sort_by_key(|leftover| std::cmp::Reverse(leftover.entry.changed));
    Ok(found)
}

/// Removes what is too old, or too much.
pub(super) fn clean(disk: &dyn Disk, directory: &Path, keep: KeepUnfinished) -> Result<(), StoreError> {
    let now = SystemTime::now();
    for (at, leftover) in find(disk, directory)?.into_iter().enumerate() {
        // Where a clock has jumped back it is not old.
        let age = now.duration_since(leftover.entry.changed).unwrap_or_default();
        if at >= KEPT_MAX || age >= keep.time {
            tracing::info!(
                path = %leftover.names.file.display(), hours = age.as_secs() / 3600,
                "removed an unfinished image that nobody went on with"
            );
            leftover.names.remove(disk);
        }
    }
    Ok(())
}

/// Takes out of `leftovers` what a session of this object goes on from: the newest, if it has several. Others of this
/// object, and those whose journal cannot be used, are removed.
pub(super) fn take(
    disk: &dyn Disk,
    leftovers: &mut Vec<Leftover>,
    identity: &Identity,
    bytes: u64,
) -> Option<(Leftover, Old)> {
    let mut taken = None;
    for leftover in std::mem::take(leftovers) {
        let path = leftover.names.journal.display();
        match read(disk, &leftover) {
            Err(error) => {
                tracing::warn!(%path, "an unfinished image begins afresh, as its journal cannot be used: {error}");
                leftover.names.remove(disk);
            }
            Ok(old) if old.identity != *identity => leftovers.push(leftover),
            // A crash came before it had its length, or there is a better one.
            Ok(_) if leftover.entry.bytes != bytes || taken.is_some() => leftover.names.remove(disk),
            Ok(old) => {
                if old.damaged {
                    let records = old.records.len();
                    tracing::warn!(
                        %path, records,
                        "a journal is cut off or damaged at its end; what was written is looked for in the image itself"
                    );
                }
                taken = Some((leftover, old));
            }
        }
    }
    taken
}

fn read(disk: &dyn Disk, leftover: &Leftover) -> io::Result<Old> {
    Journal::read(disk.open(&leftover.names.journal)?)
}

/// Unfinished images of so many objects are kept; a host takes part in one push at a time.
const KEPT_MAX: usize = 4;
