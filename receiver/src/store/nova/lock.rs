//! The lock that Nova takes around an image: a POSIX record lock (fcntl(2), F_SETLK) on `locks/nova-NAME`, which neither
//! flock(2) nor an open-file-description lock excludes.
//!
//! Nova removes the file after it has removed the image, so what was locked may not be what the next one locks: the lock
//! counts only while its file is the one at the path. And a process loses its record locks on a file with the first
//! descriptor of it that is closed, whichever that is: nothing but this file opens one, one at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use super::super::StoreError;
use super::owner::Owner;

/// Nova's lock of one file of its cache, held until it is dropped.
#[derive(Debug)]
pub(super) struct NovaLock {
    // Closed, which unlocks, before the next one may open it: fields are dropped in order.
    _file: File,
    _only: MutexGuard<'static, ()>,
}

/// How long a lock is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    /// So long.
    pub(super) time: Duration,
    /// Or until this is set.
    pub(super) stop: &'a AtomicBool,
}

impl NovaLock {
    /// Takes the lock of a file of the cache, waiting for whoever holds it. `locks` is made where it is missing, and
    /// belongs to `owner` then, as the lock's file does: else Nova could not open it.
    pub(super) fn take(
        locks: &Path,
        name: &str,
        owner: Owner,
        patience: Patience<'_>,
    ) -> Result<Self, StoreError> {
        let path = locks.join(format!("nova-{name}"));
        let at = |what| {
            let path = path.clone();
            move |error| StoreError::Io { what, path, error }
        };
        owner.make_directory(locks).map_err(at("make the directory of"))?;
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let mut tell_at = TELL_AFTER;
        loop {
            let file = open(&path, owner).map_err(at("open the lock"))?;
            match try_lock(&file) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { _file: file, _only: only }),
                // Nova has removed it meanwhile: whoever comes next locks another file.
                Ok(()) => continue,
                Err(Errno::EAGAIN | Errno::EACCES) => {}
                Err(error) => return Err(at("lock")(error.into())),
            }
            let waited = start.elapsed();
            if patience.stop.load(Ordering::Relaxed) || waited >= patience.time {
                return Err(StoreError::Locked { path, seconds: waited.as_secs() });
            }
            if waited >= tell_at {
                tell_at = waited + TELL_EVERY;
                let holder = holder(&file);
                tracing::warn!(path = %path.display(), holder, seconds = waited.as_secs(), "waiting for Nova's lock");
            }
            drop(file);
            thread::sleep(RETRY);
        }
    }
}

fn open(path: &Path, owner: Owner) -> io::Result<File> {
    loop {
        let options =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path);
        match options {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, owner)?,
            result => return result,
        }
    }
}

/// Makes a lock's file that is Nova's from its first moment: Nova would fail an instance over one that it may not open.
fn create(path: &Path, owner: Owner) -> io::Result<()> {
    let unfinished = unfinished(path);
    let _ = fs::remove_file(&unfinished);
    let file = OpenOptions::new().write(true).create_new(true).mode(LOCK_MODE).open(&unfinished)?;
    file.set_permissions(fs::Permissions::from_mode(LOCK_MODE))?;
    let linked = owner.take(&file).and_then(|()| fs::hard_link(&unfinished, path));
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Removes what a crash between the making of a lock's file and its naming has left.
pub(super) fn remove_leftovers(locks: &Path) {
    for entry in fs::read_dir(locks).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&leftover())) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn leftover() -> String {
    format!("{}lock.", super::super::partial::PREFIX)
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}{}", leftover(), std::process::id()))
}

fn try_lock(file: &File) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))).map(drop)
}

/// The process that holds the lock, 0 where the kernel does not say.
fn holder(file: &File) -> i32 {
    let mut lock = whole(libc::F_WRLCK);
    match fcntl(file, FcntlArg::F_GETLK(&mut lock)) {
        Ok(_) if i32::from(lock.l_type) != libc::F_UNLCK => lock.l_pid,
        _ => 0,
    }
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

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// A process has one record lock on a file, whichever of its threads took it.
static ONLY: Mutex<()> = Mutex::new(());

/// As Nova makes them.
const LOCK_MODE: u32 = 0o644;

const RETRY: Duration = Duration::from_millis(50);
const TELL_AFTER: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
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
    fn a_lock_whosefile_was_replaced_is_not_waited_for() {
        let locks = Locks::new();
        drop(locks.take(SOON).expect("free"));
        let _holder = Holder::start(&locks.path());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let lock = locks.take(SOON).expect("the new file is free");
                is_at(&lock._file, &locks.path())
            });
            thread::sleep(Duration::from_millis(100));
            fs::remove_file(locks.path()).expect("as Nova does");
            assert!(waiting.join().expect("no panic"), "the file that others see");
        });
    }

    #[test]
    fn afile_that_is_gone_or_another_is_not_the_locked_one() {
        let locks = Locks::new();
        let lock = locks.take(SOON).expect("free");
        fs::rename(locks.path(), locks.path().with_extension("old")).expect("ours");
        assert!(!is_at(&lock._file, &locks.path()));
        fs::write(locks.path(), b"").expect("writable");
        assert!(!is_at(&lock._file, &locks.path()));
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
    fn thefile_is_readable_by_all_and_nothing_else_is_left() {
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

    /// The other process of these tests: locks the file that it is told, as Nova does, until its input ends.
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
                .args(["--exact", "store::nova::lock::tests::hold", "--ignored", "--nocapture"])
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
            let owner = Owner::of(self.0.path()).expect("there");
            NovaLock::take(&self.directory(), "image", owner, Patience { time, stop })
        }
    }

    const HOLD: &str = "GLANCECAST_TEST_HOLD";
    const HELD: &str = "the lock is held";
    const SOON: Duration = Duration::from_secs(30);
}
