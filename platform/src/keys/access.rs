//! Who may change a file or a directory: its owner and its permission bits.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Uid};

/// The owner and the permission bits of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) owner: Uid,
    pub(crate) group: Gid,
    pub(crate) mode: u32,
}

impl Access {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            owner: Uid::from_raw(metadata.uid()),
            group: Gid::from_raw(metadata.gid()),
            mode: metadata.mode() & 0o777,
        }
    }

    /// Returns those of a directory, as far as its entries are concerned. Where the sticky bit is set, others can
    /// neither remove nor rename an entry that is not theirs (unlink(2)), so their right to write does not count.
    pub(crate) fn of_directory(metadata: &Metadata) -> Self {
        let all = Self::of(metadata);
        let counted = if metadata.mode() & STICKY == 0 { 0o777 } else { !OTHERS_WRITE };
        Self { mode: all.mode & counted, ..all }
    }

    /// Whether users other than `us` and root may change it.
    pub(crate) fn others_may_change(self, us: Uid) -> bool {
        self.owner != us && !self.owner.is_root() || self.mode & OTHERS_WRITE != 0
    }
}

/// The right to write, of the group and of all others.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_changed_by_its_user_and_root_alone() {
        let may_change = |owner, mode, us| {
            Access { owner: Uid::from_raw(owner), group: Gid::from_raw(0), mode }
                .others_may_change(Uid::from_raw(us))
        };
        for (owner, mode, us) in [(990, 0o644, 990), (0, 0o644, 990), (0, 0o600, 0), (990, 0o444, 990)] {
            assert!(!may_change(owner, mode, us), "{owner} {mode:o} {us}");
        }
        for (owner, mode, us) in
            [(1_000, 0o644, 990), (990, 0o644, 0), (1_000, 0o600, 0), (0, 0o664, 990), (990, 0o646, 990)]
        {
            assert!(may_change(owner, mode, us), "{owner} {mode:o} {us}");
        }
    }

    #[test]
    fn in_a_sticky_directory_others_cannot_touch_an_entry() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ours = dir.path().metadata().map(|metadata| Access::of(&metadata).owner).expect("there");
        for (mode, changeable) in [(0o755, false), (0o775, true), (0o1777, false), (0o1755, false)] {
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).expect("ours");
            let access = Access::of_directory(&dir.path().metadata().expect("there"));
            assert_eq!(access.others_may_change(ours), changeable, "{mode:o}");
        }
    }
}
