//! How a published file loses its name: removed for good, or set aside as a damaged copy.
//!
//! ```text
//!   Nova's lock -> users: disks that are overlays on it -> pin -> at no push's work, locked by no program
//!     -> its name becomes a hidden one -> removed, or kept as an unfinished file with a journal of no block
//! ```
//!
//! The name goes in one step, under the lock that a push enters its file by ([`super::at_work`]): a push that was first
//! keeps the file, and one that comes later finds none. The same holds for a pin, by the lock of the publication log.
//! The record of the publication goes after the name; after a crash in between, the record is dropped as that of any
//! file that is gone.
//!
//! A copy that is set aside is an unfinished file of its object, whose blocks are all to be proven: the next push of the
//! object reads each of them, and asks for those that are damaged. It is kept as long as unfinished files are.

use std::io;
use std::os::fd::AsFd;

use glancecast_platform::clock::wall;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::backend::{Backend, Parts, Wait};
use super::error::StoreError;
use super::folder::Aside;
use super::publications::{Held, Pinned};

/// What came of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The name is gone.
    Done,
    /// It was not published here, or it is another file by now.
    NotHeld,
    /// Its pin keeps it.
    Pinned,
    /// This uses it, in words for the sender's table.
    InUse(String),
}

/// Whether a pin keeps a file from being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pins {
    /// It does.
    Heeded,
    /// It ends with the file.
    Ended,
}

/// What becomes of a file whose name is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is removed.
    Removed(Pins),
    /// It is kept under a hidden name, as a push can mend it. A pin does not keep a damaged copy.
    SetAside,
}

/// Takes the name of a published file away.
///
/// # Errors
/// The error of the file system. The file has its name then, unless the error is that of removing the hidden one.
pub(super) fn take_away(store: &dyn Backend, file: &str, fate: Fate) -> Result<Removal, StoreError> {
    let parts = store.parts()?;
    let Some(held) = find(parts, file) else { return Ok(Removal::NotHeld) };
    // Nova makes disks of a file under this lock too.
    let _lock = match store.lock(file, Wait::Briefly) {
        Ok(lock) => lock,
        Err(StoreError::Locked { .. }) => return Ok(Removal::InUse(NOVA.to_owned())),
        Err(error) => return Err(error),
    };
    if let Some(user) = store.user(file)? {
        return Ok(Removal::InUse(user));
    }
    if fate == Fate::Removed(Pins::Heeded) && held.pinned != Pinned::No {
        return Ok(Removal::Pinned);
    }
    let taken = parts.at_work.unless(file, || take_name(parts, &held, fate));
    match taken {
        None => Ok(Removal::InUse(PUSH.to_owned())),
        Some(Err(error)) => Err(error),
        Some(Ok(Taken::Not(removal))) => Ok(removal),
        Some(Ok(Taken::Aside(aside))) => {
            if fate != Fate::SetAside {
                parts.folder.remove_aside(&aside, file)?;
            }
            Ok(Removal::Done)
        }
    }
}

/// What came of the step itself.
enum Taken {
    Aside(Aside),
    Not(Removal),
}

/// Renames the file to a hidden name and forgets its record, if it is the proven one and nothing has locked it.
fn take_name(parts: &Parts, held: &Held, fate: Fate) -> Result<Taken, StoreError> {
    let (folder, file) = (&parts.folder, &held.file);
    let open = folder.open_to_read(file)?;
    let entry = open.entry().map_err(|error| StoreError::Io {
        what: "look at",
        path: folder.path().join(file),
        error,
    })?;
    if !parts.log.is_proven(file, &entry) {
        return Ok(Taken::Not(Removal::NotHeld));
    }
    // Nobody looks for the other name: the bytes would stay, and a damaged copy would still be found.
    if entry.names > 1 {
        return Ok(Taken::Not(Removal::InUse(format!(
            "{} other name(s) of it (hard links)",
            entry.names - 1
        ))));
    }
    let mut is_locked = false;
    let looked = open.with_file(&mut |file| {
        is_locked = is_locked_by_another(file)?;
        Ok(())
    });
    looked.map_err(|error| StoreError::Io {
        what: "look for locks of",
        path: folder.path().join(file),
        error,
    })?;
    if is_locked {
        return Ok(Taken::Not(Removal::InUse(LOCKED.to_owned())));
    }
    let (pins, kept_for_a_push) = match fate {
        Fate::Removed(pins) => (pins, None),
        Fate::SetAside => (Pins::Ended, Some(held)),
    };
    let taken = parts.log.take(file, pins, wall(), || folder.hide(file, &*open, kept_for_a_push))?;
    Ok(taken.map_or(Taken::Not(Removal::Pinned), Taken::Aside))
}

fn find(parts: &Parts, file: &str) -> Option<Held> {
    parts.log.list(parts.folder.disk(), wall()).into_iter().find(|held| held.file == file)
}

/// Whether another program has locked a part of the file: QEMU does so with each image that it has open, its backing files
/// included (docs/system/images.rst, "Disk image file locking"), from any container.
fn is_locked_by_another(file: &std::fs::File) -> io::Result<bool> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0, // to the end, wherever that is
        l_pid: 0,
    };
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

const NOVA: &str = "Nova, which holds its lock of this image at the moment";
const PUSH: &str = "a push of it that is under way";
const LOCKED: &str = "a program that has it open and locked, as QEMU does";
