//! Nova's lock of an image: a POSIX record lock (fcntl(2), F_SETLK) on `locks/nova-NAME`, which neither flock(2) nor an
//! open-file-description lock excludes.
//!
//! Nova removes the lock file after it has removed the image, so the next process may lock another file: a lock counts
//! only while its file is the one at the path. And a process loses its record locks on a file when it closes any
//! descriptor of that file: only this module opens lock files, one at a time. (A descriptor opened with `O_PATH`, to
//! look at the name, does not count.)
//!
//! The directory of the locks is Nova's, and may be replaced at any moment: it is opened below the instances without
//! following a link, and the lock is opened in it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::store::anchor::Anchor;
use crate::store::dir::{Access, Dir};
use crate::store::error::StoreError;
use crate::store::name::Name;
use crate::store::owner::Owner;
use crate::store::partial::PREFIX;

/// Nova's lock of one file in its cache, held until dropped.
#[derive(Debug)]
pub(super) struct NovaLock {
    // Fields are dropped in order: closing the file, which unlocks it, comes before another thread may open it.
    _file: File,
    _only: MutexGuard<'static, ()>,
}

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    /// The longest wait.
    pub(super) time: Duration,
    /// Ends the wait when set.
    pub(super) stop: &'a AtomicBool,
}

impl NovaLock {
    /// Takes the lock of a file in the cache, waiting for its holder. Creates the directory of the locks and the lock
    /// file if they are missing; both belong to `owner` then, else Nova could not open them.
    pub(super) fn take(
        instances: &Anchor,
        name: &str,
        owner: Owner,
        patience: Patience<'_>,
    ) -> Result<Self, StoreError> {
        let locks = locks(instances, Some(owner)).map_err(|error| StoreError::Io {
            what: "make the directory of the lock of",
            path: name.into(),
            error,
        })?;
        let path = locks.path().join(format!("nova-{name}"));
        let at = |what| {
            let path = path.clone();
            move |error| StoreError::Io { what, path, error }
        };
        let lock = Name::new(format!("nova-{name}")).map_err(at("lock"))?;
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let mut tell_at = TELL_AFTER;
        loop {
            let file = open(&locks, &lock, owner).map_err(at("open the lock"))?;
            let mut holder = 0;
            if let Some(file) = file {
                match attempt(&file, &locks, &lock).map_err(at("lock"))? {
                    Attempt::Locked => return Ok(Self { _file: file, _only: only }),
                    Attempt::Replaced => {}
                    Attempt::HeldBy(process) => holder = process,
                }
            }
            let waited = start.elapsed();
            if patience.stop.load(Ordering::Relaxed) || waited >= patience.time {
                return Err(StoreError::Locked { path, seconds: waited.as_secs() });
            }
            if waited >= tell_at {
                tell_at = waited + TELL_EVERY;
                tracing::warn!(path = %path.display(), holder, seconds = waited.as_secs(), "waiting for Nova's lock");
            }
            thread::sleep(RETRY);
        }
    }
}

/// Opens the directory of the locks. If an owner is given, creates a missing one.
fn locks(instances: &Anchor, owner: Option<Owner>) -> io::Result<Dir> {
    let (instances, name) = (instances.dir()?, Name::new("locks")?);
    match owner {
        Some(owner) => instances.make(&name, Some(owner), DIRECTORY_MODE),
        None => instances.below(&name),
    }
}

/// Opens a lock file, creating it if it is missing; `None` if it was removed again at once.
fn open(locks: &Dir, name: &Name, owner: Owner) -> io::Result<Option<File>> {
    for _ in 0..2 {
        match locks.open_file(name, Access::Lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(locks, name, owner)?,
            result => return result.map(Some),
        }
    }
    Ok(None)
}

/// Creates a lock file that is Nova's from its first moment: Nova would fail an instance over one that it may not open.
fn create(locks: &Dir, name: &Name, owner: Owner) -> io::Result<()> {
    let unfinished = Name::new(format!("{}{}", unfinished_prefix(), std::process::id()))?;
    let _ = locks.remove(&unfinished);
    let file = locks.create_file(&unfinished)?;
    let made = file.set_permissions(Permissions::from_mode(LOCK_MODE)).and_then(|()| owner.take(&file));
    match made.and_then(|()| locks.name(&file, &unfinished, name)) {
        Ok(()) => Ok(()),
        Err(error) => {
            locks.remove(&unfinished)?;
            if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
        }
    }
}

/// Removes what a crash between the creation of a lock file and its naming has left.
pub(super) fn remove_unfinished(instances: &Anchor) {
    let Ok(locks) = locks(instances, None) else { return };
    for name in locks.list().unwrap_or_default() {
        if name.as_str().starts_with(&unfinished_prefix()) {
            let _ = locks.remove(&name); // tried again at the next start
        }
    }
}

fn unfinished_prefix() -> String {
    format!("{PREFIX}lock.")
}

/// The result of one try to lock an open file.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Locked,
    /// Nova has removed the file meanwhile: the next process locks another one.
    Replaced,
    /// Held by this process; 0 if the kernel does not report it.
    HeldBy(i32),
}

fn attempt(file: &File, locks: &Dir, name: &Name) -> io::Result<Attempt> {
    match try_lock(file) {
        Ok(()) if is_at(file, locks, name) => Ok(Attempt::Locked),
        Ok(()) => Ok(Attempt::Replaced),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(Attempt::HeldBy(holder_of(file))),
        Err(error) => Err(error.into()),
    }
}

fn try_lock(file: &File) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))).map(drop)
}

/// Tries a lock of this kind on a file that no other process uses, as network file systems may have none (fcntl(2),
/// ENOLCK).
pub(super) fn probe(file: &File) -> io::Result<()> {
    Ok(try_lock(file)?)
}

/// Returns the process that holds the lock; 0 if it was just released, as the kernel leaves the field unchanged
/// (fcntl(2)).
fn holder_of(file: &File) -> i32 {
    let mut lock = whole(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).map_or(0, |_| lock.l_pid)
}

fn whole(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn is_at(file: &File, locks: &Dir, name: &Name) -> bool {
    match (file.metadata(), locks.look(name)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// A process has one record lock on a file, whichever thread took it.
static ONLY: Mutex<()> = Mutex::new(());

/// Mode of Nova's own directories.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// Mode of Nova's own lock files.
const LOCK_MODE: u32 = 0o644;

const RETRY: Duration = Duration::from_millis(50);
const TELL_AFTER: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use tempfile::TempDir;

    #[test]
    fn who_holds_the_lock_is_waited_for() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let holder = Holder::start(&locks.path());
        let stop = AtomicBool::new(false);
        assert!(matches!(
            locks.take_until(Duration::from_millis(200), &stop),
            Err(StoreError::Locked { .. })
        ));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(locks.take(SOON).expect("it is let go of")));
            thread::sleep(Duration::from_millis(200));
            assert!(!waiting.is_finished());
            drop(holder);
            waiting.join().expect("no panic");
        });
    }

    #[test]
    fn nobody_waits_who_is_told_to_stop() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let _holder = Holder::start(&locks.path());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| locks.take_until(SOON, &stop).map(drop));
            thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
            assert!(matches!(waiting.join().expect("no panic"), Err(StoreError::Locked { .. })));
        });
    }

    #[test]
    fn a_lock_whose_file_was_replaced_is_not_waited_for() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let _holder = Holder::start(&locks.path());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let lock = locks.take(SOON).expect("the new file is free");
                locks.is_at(&lock)
            });
            thread::sleep(Duration::from_millis(100));
            fs::remove_file(locks.path()).expect("as Nova does");
            assert!(waiting.join().expect("no panic"), "the file that others see");
        });
    }

    #[test]
    fn a_file_that_is_gone_or_another_is_not_the_locked_one() {
        let locks = Locks::new();
        let lock = locks.take(SOON).expect("free");
        fs::rename(locks.path(), locks.path().with_extension("old")).expect("ours");
        assert!(!locks.is_at(&lock));
        fs::write(locks.path(), b"").expect("writable");
        assert!(!locks.is_at(&lock));
    }

    #[test]
    fn an_attempt_says_who_holds_the_lock_and_whether_what_was_locked_is_still_the_file_of_that_name() {
        let store = Locks::new();
        drop(store.take(SOON).expect("free"));
        let (locks, name) =
            (locks(&store.instances(), None).expect("there"), Name::new("nova-image").expect("a name"));
        let open = || locks.open_file(&name, Access::Lock).expect("there");
        let holder = Holder::start(&store.path());
        let expected = Attempt::HeldBy(holder.0.id().cast_signed());
        assert_eq!(attempt(&open(), &locks, &name).expect("a disk"), expected);
        drop(holder);
        let file = open();
        assert_eq!(attempt(&file, &locks, &name).expect("a disk"), Attempt::Locked);
        fs::remove_file(store.path()).expect("as Nova does");
        assert_eq!(attempt(&file, &locks, &name).expect("a disk"), Attempt::Replaced);
        drop(file);
        let read_only = File::open(store.0.path()).expect("a directory");
        assert!(attempt(&read_only, &locks, &name).is_err(), "it cannot be locked at all");
    }

    #[test]
    fn a_lock_file_that_another_process_makes_in_the_same_moment_is_used() {
        let store = Locks::new();
        drop(store.take(SOON).expect("free"));
        let (instances, name) = (store.instances(), Name::new("nova-image").expect("a name"));
        let (locks, owner) =
            (locks(&instances, None).expect("there"), instances.dir().expect("there").owner());
        let before = fs::metadata(store.path()).expect("there").ino();
        create(&locks, &name, owner).expect("it is there already");
        assert_eq!(fs::metadata(store.path()).expect("there").ino(), before);
        assert_eq!(fs::read_dir(store.directory()).expect("there").count(), 1);
    }

    #[test]
    fn one_thread_of_a_process_at_a_time_has_it() {
        let locks = Locks::new();
        let first = locks.take(SOON).expect("free");
        thread::scope(|scope| {
            let second = scope.spawn(|| drop(locks.take(SOON).expect("it is let go of")));
            thread::sleep(Duration::from_millis(100));
            assert!(!second.is_finished());
            drop(first);
        });
    }

    #[test]
    fn the_lock_file_is_readable_by_all_and_nothing_else_is_left() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        assert_eq!(fs::metadata(locks.path()).expect("there").mode() & 0o7777, LOCK_MODE);
        assert_eq!(fs::read_dir(locks.directory()).expect("there").count(), 1);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let elsewhere = locks.directory().join("elsewhere");
        fs::rename(locks.path(), &elsewhere).expect("ours");
        std::os::unix::fs::symlink(&elsewhere, locks.path()).expect("made");
        assert!(matches!(locks.take(SOON), Err(StoreError::Io { .. })));
    }

    #[test]
    fn a_directory_of_locks_that_is_a_link_is_not_followed() {
        let locks = Locks::new();
        let elsewhere = locks.0.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("writable");
        fs::write(elsewhere.join(".glancecast-lock.1"), b"not ours").expect("writable");
        std::os::unix::fs::symlink(&elsewhere, locks.directory()).expect("made");
        assert!(matches!(locks.take(SOON), Err(StoreError::Io { .. })));
        remove_unfinished(&locks.instances());
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 1);
    }

    #[test]
    fn who_keeps_replacing_the_file_is_not_waited_for_longer_than_patience_nor_at_full_speed() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let (done, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let replace = scope.spawn(|| {
                let mut times = 0_u32;
                while !done.load(Ordering::Relaxed) {
                    times += u32::from(fs::remove_file(locks.path()).is_ok());
                }
                times
            });
            let patience = Duration::from_millis(300);
            let (before, started) = (cpu_time(), Instant::now());
            let (mut taken, mut given_up) = (0, 0);
            for _ in 0..3 {
                match locks.take_until(patience, &stop) {
                    Ok(_) => taken += 1,
                    Err(StoreError::Locked { .. }) => given_up += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            let (cpu, took) = (cpu_time() - before, started.elapsed());
            done.store(true, Ordering::Relaxed);
            println!(
                "{} times removed; {taken} taken, {given_up} given up",
                replace.join().expect("no panic")
            );
            assert!(took < Duration::from_secs(3), "{took:?}");
            assert!(cpu < Duration::from_millis(150), "it pauses: {cpu:?} of {took:?}");
        });
    }

    /// Returns the CPU time of this thread.
    fn cpu_time() -> Duration {
        let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
        Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32)
    }

    /// The other process of these tests: locks the given file, as Nova does, until its input ends.
    #[test]
    #[ignore = "a process that the others start"]
    fn hold() {
        let Some(path) = std::env::var_os(HOLD) else { return };
        let file = File::options().append(true).open(path).expect("there");
        try_lock(&file).expect("free");
        println!("\n{HELD}");
        std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
    }

    struct Holder(Child);

    impl Holder {
        fn start(path: &Path) -> Self {
            let mut child = Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "store::backends::nova::lock::tests::hold", "--ignored", "--nocapture"])
                .env(HOLD, path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process");
            let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            assert!(lines.any(|line| line.expect("text") == HELD), "it holds the lock");
            Self(child)
        }
    }

    impl Drop for Holder {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            let _ = self.0.wait();
        }
    }

    struct Locks(TempDir);

    impl Locks {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("temporary directory"))
        }

        fn directory(&self) -> PathBuf {
            self.0.path().join("locks")
        }

        fn path(&self) -> PathBuf {
            self.directory().join("nova-image")
        }

        fn take(&self, time: Duration) -> Result<NovaLock, StoreError> {
            self.take_until(time, &AtomicBool::new(false))
        }

        fn take_until(&self, time: Duration, stop: &AtomicBool) -> Result<NovaLock, StoreError> {
            let instances = self.instances();
            let owner = instances.dir().expect("there").owner();
            NovaLock::take(&instances, "image", owner, Patience { time, stop })
        }

        fn instances(&self) -> Anchor {
            Anchor::open(self.0.path(), Vec::new()).expect("a directory")
        }

        fn is_at(&self, lock: &NovaLock) -> bool {
            let locks = super::locks(&self.instances(), None).expect("there");
            super::is_at(&lock._file, &locks, &Name::new("nova-image").expect("a name"))
        }
    }

    const HOLD: &str = "GLANCECAST_TEST_HOLD";
    const HELD: &str = "the lock is held";
    const SOON: Duration = Duration::from_secs(30);
}
