//! Identity of a file beyond its name, so that a foreign file of the same name and length is never taken for the proven
//! one.
//!
//! A file system reuses an inode number as soon as it is free: a file that is removed and written again under the same
//! name often has the same one. So a file is identified by its inode number **and the time of its birth** (statx(2),
//! `stx_btime`), which ext4, XFS, Btrfs and tmpfs keep in nanoseconds and nobody can set. The time of the last change
//! (`ctime`) would be too strict there: Nova sets the modification time of a base file that is in use, libvirt changes
//! owners and labels, and a refresh of a pin sets the modification time. Each of these changes `ctime` although the
//! content is the same.
//!
//! If a file system keeps no time of birth (older NFS), `ctime` has to do: a file that anybody touched is no longer
//! recognised, its proof and its pin are forgotten, and the next push compares it again. That is the safe side. Changes
//! by the store itself are recorded again by descriptor ([`super::publications`]).
//!
//! The device number is compared only within one process: file systems without a disk of their own (NFS, Btrfs,
//! overlayfs) get another one with each mount, and a record outlives a reboot.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Identifies a file on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) since: Since,
}

/// Since when the inode has been this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// Since its birth, at this time.
    Birth(Nanos),
    /// At least since its last change, at this time.
    Change(Nanos),
}

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nanos(pub(super) i128);

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let since = match metadata.created() {
            Ok(birth) => Since::Birth(Nanos::of(birth)),
            Err(_) => Since::Change(Nanos::new(metadata.ctime(), metadata.ctime_nsec())),
        };
        Self { device: metadata.dev(), inode: metadata.ino(), since }
    }

    /// Whether both are the same file. One of them must be open, so that its inode number is not reused.
    pub(super) fn is_open_as(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Nanos {
    fn new(seconds: i64, nanos: i64) -> Self {
        Self(i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos))
    }

    fn of(time: SystemTime) -> Self {
        let nanos = |duration: Duration| duration.as_nanos() as i128; // at most u64 seconds
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(nanos(after)),
            Err(before) => Self(-nanos(before.duration())),
        }
    }
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_touched_given_a_mode_and_linked_is_still_the_same() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("image");
        fs::write(&path, b"image").expect("writable");
        let before = FileId::of(&fs::metadata(&path).expect("there"));
        let Since::Birth(_) = before.since else {
            println!("skipped: this file system keeps no time of birth");
            return;
        };
        let file = fs::File::options().write(true).open(&path).expect("ours");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("ours");
        file.set_permissions(fs::metadata(dir.path()).expect("there").permissions()).expect("ours");
        fs::hard_link(&path, dir.path().join("second")).expect("the same disk");
        let after = FileId::of(&fs::metadata(&path).expect("there"));
        assert_eq!(before, after);
        assert!(after.is_open_as(before));
    }

    #[test]
    fn an_open_file_is_known_by_its_inode_and_its_device() {
        let file = FileId { device: 1, inode: 2, since: Since::Birth(Nanos(3)) };
        assert!(file.is_open_as(FileId { since: Since::Change(Nanos(9)), ..file }));
        assert!(!file.is_open_as(FileId { device: 9, ..file }));
        assert!(!file.is_open_as(FileId { inode: 9, ..file }));
    }

    #[test]
    fn times_before_and_after_1970_are_told_apart() {
        let second = Duration::new(1, 5);
        assert_eq!(Nanos::of(SystemTime::UNIX_EPOCH + second), Nanos(1_000_000_005));
        assert_eq!(Nanos::of(SystemTime::UNIX_EPOCH - second), Nanos(-1_000_000_005));
        assert_eq!(Nanos::new(3, 5), Nanos(3_000_000_005), "of a stat");
    }
}
