//! The rights with which a directory is used. A receiver that runs as root uses a store of another owner with that
//! owner's rights (`setfsuid`, setfsuid(2)). Whatever a name there is exchanged for, nothing is opened, created,
//! renamed or removed that the owner could not have handled itself; and new files belong to the owner from their first
//! moment.
//!
//! - The identity belongs to the thread, as long as a guard lives: around each use of a name, and no longer. Operations
//!   on an open descriptor need no name and no right: reads and writes, `fsync`, `fchmod`, file locks (flock(2),
//!   fcntl(2)). So the journal writer and the path of a block are not concerned.
//! - Opening the same file again for `O_DIRECT` goes by `/proc/self/fd`, and is done as the owner too.
//! - A file that is to belong to somebody other than the directory's owner (`--owner`) is given away by its descriptor
//!   right after it was created, by root.
//! - Supplementary groups belong to the process, and setfsuid(2) does not change them: root's own would open what
//!   belongs to them. They are dropped for the whole process before the first use; root needs none.
//! - A directory that root owns is used as root: nobody else may exchange names there. A receiver that is not root has
//!   one identity, and this does nothing.
//! - If root may not change its identity (no CAP_SETUID), a warning is logged once, and the store goes on: no link is
//!   followed in any case.

use std::fs::Metadata;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::sync::Once;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid, setgroups};

use super::owner::Owner;

/// The rights with which a directory is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acting {
    /// Those of this process.
    AsWeAre,
    /// Those of the directory's owner.
    As(Owner),
}

/// Keeps the thread's identity as long as it lives; it cannot be sent to another thread.
#[must_use]
pub(super) struct Guard {
    before: Option<(Uid, Gid)>,
    _this_thread: PhantomData<*const ()>,
}

impl Acting {
    /// Returns the rights for operations in a directory.
    pub(super) fn within(directory: &Metadata) -> Self {
        Self::of(geteuid(), Owner { uid: directory.uid(), gid: directory.gid() })
    }

    fn of(us: Uid, owner: Owner) -> Self {
        if us.is_root() && owner.uid != 0 { Self::As(owner) } else { Self::AsWeAre }
    }

    /// Returns the user that new files belong to.
    pub(super) fn uid(self) -> u32 {
        match self {
            Self::AsWeAre => geteuid().as_raw(),
            Self::As(owner) => owner.uid,
        }
    }

    /// Switches this thread to these rights.
    pub(super) fn begin(self) -> Guard {
        let before = match self {
            Self::AsWeAre => None,
            Self::As(owner) => {
                drop_groups();
                let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                // The group first: changing it takes a right that the other user does not have.
                let gid_before = setfsgid(gid);
                let uid_before = setfsuid(uid);
                if (current_uid(), current_gid()) != (uid, gid) {
                    say_once(owner);
                }
                Some((uid_before, gid_before))
            }
        };
        Guard { before, _this_thread: PhantomData }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            setfsuid(uid);
            setfsgid(gid);
            assert!((current_uid(), current_gid()) == (uid, gid), "this thread is what it was");
        }
    }
}

/// Returns the current id: an invalid id changes nothing (setfsuid(2)).
fn current_uid() -> Uid {
    setfsuid(Uid::from_raw(u32::MAX))
}

fn current_gid() -> Gid {
    setfsgid(Gid::from_raw(u32::MAX))
}

fn drop_groups() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = setgroups(&[]) {
            tracing::debug!(%error, "supplementary groups cannot be dropped");
        }
    });
}

fn say_once(owner: Owner) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            uid = owner.uid, gid = owner.gid,
            "the store's owner cannot be acted for: this process may not change its identity (CAP_SETUID, CAP_SETGID)"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_root;
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;

    const OTHER: Owner = Owner { uid: 42_436, gid: 42_437 };

    #[test]
    fn only_root_acts_for_somebody_and_only_for_somebody_else() {
        let root = Owner { uid: 0, gid: 0 };
        assert_eq!(Acting::of(Uid::from_raw(0), OTHER), Acting::As(OTHER));
        assert_eq!(Acting::of(Uid::from_raw(0), root), Acting::AsWeAre);
        assert_eq!(Acting::of(Uid::from_raw(0), Owner { gid: 7, ..root }), Acting::AsWeAre);
        assert_eq!(Acting::of(Uid::from_raw(7), OTHER), Acting::AsWeAre);
        assert_eq!(Acting::of(Uid::from_raw(7), root), Acting::AsWeAre);
        assert_eq!(Acting::As(OTHER).uid(), OTHER.uid);
        assert_eq!(Acting::AsWeAre.uid(), geteuid().as_raw());
    }

    #[test]
    fn root_that_acts_for_a_user_makes_files_of_that_user_and_opens_none_of_its_own() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
        fs::write(&ours, b"root's alone").expect("writable");
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o600)).expect("ours");
        let (go, may_go) = std::sync::mpsc::channel();
        let path = ours.clone();
        let other_thread = std::thread::spawn(move || {
            may_go.recv().expect("sent");
            File::open(path).map(drop)
        });
        let acting = Acting::As(OTHER).begin();
        File::create(&theirs).expect("writable by all");
        assert_eq!(File::open(&ours).expect_err("it is root's").kind(), std::io::ErrorKind::PermissionDenied);
        go.send(()).expect("it waits");
        other_thread.join().expect("no panic").expect("another thread is root as ever");
        {
            let _again = Acting::As(Owner { uid: 7, gid: 7 }).begin();
            assert_eq!(current_uid(), Uid::from_raw(7));
        }
        assert_eq!((current_uid(), current_gid()), (Uid::from_raw(OTHER.uid), Gid::from_raw(OTHER.gid)));
        drop(acting);
        File::open(&ours).expect("root again");
        let made = fs::metadata(&theirs).expect("there");
        assert_eq!((made.uid(), made.gid()), (OTHER.uid, OTHER.gid));
    }

    #[test]
    fn root_that_acts_for_a_user_has_no_group_of_its_own() {
        if !is_root() {
            return;
        }
        let _acting = Acting::As(OTHER).begin();
        assert_eq!(nix::unistd::getgroups().expect("asked"), []);
    }
}
