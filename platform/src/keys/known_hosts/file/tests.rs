use std::env;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::{Command, Stdio};

use glancecast_proto::sign::PublicKey;
use glancecast_proto::time::WallClock;
use tempfile::TempDir;

use super::super::{KNOWN_HOSTS_MAX, LineError, Occasion};
use super::*;

#[test]
fn a_file_that_is_missing_knows_no_host_and_is_made_for_the_first() {
    let (_dir, path) = place();
    assert_eq!(KnownHosts::load(&path).expect("none"), KnownHosts::default());
    let added = add(&path, &[host("c1", 1), host("c2", 2)], FIRST).expect("room");
    assert_eq!(added, Added { added: vec![host("c1", 1), host("c2", 2)], conflicts: vec![] });
    assert_eq!(KnownHosts::load(&path).expect("there").keys().len(), 2);
    assert_eq!((mode(&path), mode(&lock_of(&path))), (0o644, 0o600));
    assert_eq!(names(&path), ["known_hosts", "known_hosts.lock"]);
}

#[test]
fn a_missing_directory_is_made_for_this_user_alone() {
    let (_dir, path) = place();
    let path = path.with_file_name("state").join("glancecast/known_hosts");
    assert_eq!(KnownHosts::load(&path).expect("none"), KnownHosts::default());
    assert_eq!(forget(&path, &[name("c1")]).expect("none").not_known, [name("c1")]);
    assert!(!path.parent().expect("a directory").exists(), "reading makes nothing");
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    for directory in path.ancestors().skip(1).take(2) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
}

#[test]
fn a_known_key_is_a_conflict_and_stays_while_the_others_are_added() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    let added = add(&path, &[host("c1", 9), host("c2", 2), host("c2", 3)], FIRST).expect("room");
    assert_eq!(added.added, [host("c2", 2)]);
    let conflict = |name, known, offered| Conflict { name, known, offered };
    assert_eq!(added.conflicts, [conflict(name("c1"), key(1), key(9)), conflict(name("c2"), key(2), key(3))]);
    let known = KnownHosts::load(&path).expect("there");
    assert_eq!(known.keys().clone(), [(name("c1"), key(1)), (name("c2"), key(2))].into());
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    let before = path.metadata().expect("there").ino();
    add(&path, &[host("c1", 1), host("c1", 2)], FIRST).expect("readable");
    replace(&path, &[host("c1", 1)], FIRST).expect("readable");
    forget(&path, &[name("c2")]).expect("readable");
    assert_eq!(path.metadata().expect("there").ino(), before);
    add(&path, &[host("c2", 2)], FIRST).expect("room");
    assert_ne!(path.metadata().expect("there").ino(), before, "a new file takes its place");
}

#[test]
fn what_changes_nothing_needs_no_lock() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    let _held = Place::of(&path).and_then(|place| place.lock(Duration::ZERO)).expect("free");
    assert_eq!(add(&path, &[host("c1", 2)], FIRST).expect("readable").conflicts.len(), 1);
    assert_eq!(replace(&path, &[host("c1", 1)], FIRST).expect("readable"), []);
    assert_eq!(forget(&path, &[name("c2")]).expect("readable").not_known, [name("c2")]);
}

#[test]
fn what_another_process_changes_while_the_lock_is_waited_for_counts() {
    let (_dir, path) = place();
    let held = Place::of(&path).and_then(|place| place.lock(Duration::ZERO)).expect("free");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| add(&path, &[host("c1", 1)], FIRST));
        thread::sleep(Duration::from_millis(100));
        fs::write(&path, format!("c1 {}\n", key(9))).expect("room");
        drop(held);
        let added = waiting.join().expect("no panic").expect("its turn");
        assert_eq!((added.added, added.conflicts[0].known), (vec![], key(9)));
    });
    assert_eq!(fs::read_to_string(&path).expect("there"), format!("c1 {}\n", key(9)));
}

#[test]
fn keys_are_set_and_forgotten_and_the_rest_of_the_file_and_its_mode_stay() {
    let (_dir, path) = place();
    fs::write(&path, format!("# ours\nc1 {}\n\nc2 {}\n", key(1), key(2))).expect("room");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
    let replaced = replace(&path, &[host("c2", 9)], FIRST).expect("room");
    assert_eq!(replaced, [Replaced { name: name("c2"), before: Some(key(2)), key: key(9) }]);
    assert_eq!(forget(&path, &[name("c1")]).expect("there").removed, [host("c1", 1)]);
    let text = fs::read_to_string(&path).expect("readable");
    assert_eq!(text, format!("# ours\n\nc2 {}  # first use 1970-01-01T00:00:00Z\n", key(9)));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_lost_file_means_that_every_host_is_new_again() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    fs::remove_file(&path).expect("ours");
    assert_eq!(KnownHosts::load(&path).expect("none").keys().len(), 0);
    assert_eq!(add(&path, &[host("c1", 2)], FIRST).expect("room").added, [host("c1", 2)]);
}

#[test]
fn a_damaged_file_is_refused_with_its_line_and_stays() {
    let (_dir, path) = place();
    let text = format!("c1 {}\nc2 {}\nc1 {}\n", key(1), key(2), key(3));
    fs::write(&path, &text).expect("room");
    let error = KnownHosts::load(&path).expect_err("twice");
    assert!(
        matches!(&error, KnownHostsError::Line { bad, .. } if bad.error == LineError::Again { first: 1 })
    );
    refused(&path, "line 3: names the same host as line 1");
    assert_eq!(fs::read_to_string(&path).expect("readable"), text);
    fs::write(&path, [b'c', 0xFF, b'\n']).expect("room");
    refused(&path, "not a text");
    File::create(&path).and_then(|file| file.set_len(FILE_BYTES_MAX as u64 + 1)).expect("a hole");
    refused(&path, "more than 67108864 bytes");
}

#[test]
fn a_file_that_others_may_change_is_refused() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    for refused_mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(refused_mode)).expect("ours");
        refused(&path, "chmod go-w");
    }
    for good in [0o644, 0o600, 0o444] {
        fs::set_permissions(&path, Permissions::from_mode(good)).expect("ours");
        KnownHosts::load(&path).expect("others may read it");
    }
    if geteuid().is_root() {
        // Only root can give a file away.
        chown(&path, Some(12_345), None).expect("root");
        refused(&path, "user 12345");
    }
}

#[test]
fn a_directory_in_which_others_may_put_a_file_is_refused() {
    let (dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    for (directory_mode, is_taken) in [(0o777, false), (0o775, false), (0o1777, true), (0o755, true)] {
        fs::set_permissions(dir.path(), Permissions::from_mode(directory_mode)).expect("ours");
        assert_eq!(KnownHosts::load(&path).is_ok(), is_taken, "{directory_mode:o}");
        assert_eq!(add(&path, &[host("c2", 2)], FIRST).is_ok(), is_taken, "{directory_mode:o}");
    }
}

#[test]
fn a_lock_that_others_may_change_is_refused() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    fs::set_permissions(lock_of(&path), Permissions::from_mode(0o666)).expect("ours");
    let error = add(&path, &[host("c2", 2)], FIRST).expect_err("open to others").to_string();
    assert!(error.contains("known_hosts.lock") && error.contains("chmod go-w"), "{error}");
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let (dir, path) = place();
    let target = dir.path().join("target");
    fs::write(&target, "").expect("room");
    symlink(&target, &path).expect("room");
    refused(&path, "a symbolic link");
    fs::remove_file(&target).expect("ours");
    refused(&path, "a symbolic link");
    assert!(!target.exists(), "nothing is written through it");
    fs::remove_file(&path).expect("ours");
    fs::create_dir(&path).expect("room");
    refused(&path, "not a regular file");
    fs::remove_dir(&path).expect("ours");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("room");
    refused(&path, "not a regular file");
    refused(Path::new("/"), "not a regular file");
    refused(&dir.path().join(".."), "not a regular file");
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let (dir, path) = place();
    let target = dir.path().join("target");
    symlink(&target, lock_of(&path)).expect("room");
    assert!(matches!(add(&path, &[host("c1", 1)], FIRST), Err(KnownHostsError::Link { .. })));
    assert!(!target.exists());
}

#[test]
fn what_the_system_reports_becomes_what_to_do() {
    for (errno, says) in [
        (nix::libc::EROFS, "read-only here; name another file"),
        (nix::libc::EACCES, "give its directory to that user"),
        (nix::libc::ELOOP, "a symbolic link"),
        (nix::libc::EISDIR, "not a regular file"),
        (nix::libc::ENOSPC, "No space left"),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        let text = KnownHostsError::of_system(Path::new("/etc/known"), error).to_string();
        assert!(text.starts_with("known hosts /etc/known: ") && text.contains(says), "{text}");
    }
    assert!(sync_directory(Path::new("/nowhere")).is_err());
}

#[test]
fn what_a_killed_process_has_left_is_written_over() {
    let (_dir, path) = place();
    fs::write(path.with_file_name("known_hosts.new"), "half a li").expect("room");
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    assert_eq!(KnownHosts::load(&path).expect("whole").keys().len(), 1);
    assert_eq!(names(&path), ["known_hosts", "known_hosts.lock"]);
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
    let (_dir, path) = place();
    add(&path, &[host("c1", 1)], FIRST).expect("room");
    let place = Place::of(&path).expect("a file");
    // A directory with content cannot be removed, as a file that a killed process left can.
    fs::create_dir_all(place.fresh.join("more")).expect("room");
    assert!(matches!(add(&path, &[host("c2", 2)], FIRST), Err(KnownHostsError::Io { .. })));
    fs::remove_dir_all(&place.fresh).expect("ours");
    assert_eq!(KnownHosts::load(&path).expect("whole").keys().len(), 1);
    // The name is taken at the last step.
    let elsewhere = Place { file: place.directory.join("no/such"), ..place };
    assert!(elsewhere.write(&KnownHosts::default(), 0o644).is_err());
    assert_eq!(names(&path), ["known_hosts", "known_hosts.lock"]);
}

#[test]
fn a_lock_that_is_never_released_is_named() {
    let (_dir, path) = place();
    let place = Place::of(&path).expect("a file");
    let held = place.lock(Duration::ZERO).expect("free");
    let change = |known: &mut KnownHosts| known.add(&host("c1", 1), FIRST);
    let error = update(&path, Duration::from_millis(20), change).expect_err("locked").to_string();
    assert!(error.contains("fuser") && error.contains("known_hosts.lock"), "{error}");
    drop(held);
    assert_eq!(update(&path, Duration::ZERO, change).expect("free again"), Addition::Added);
}

#[test]
fn a_lock_is_waited_for() {
    let (_dir, path) = place();
    let held = Place::of(&path).and_then(|place| place.lock(Duration::ZERO)).expect("free");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| add(&path, &[host("c1", 1)], FIRST));
        thread::sleep(Duration::from_millis(100));
        assert!(!path.exists(), "it waits");
        drop(held);
        waiting.join().expect("no panic").expect("its turn");
    });
}

#[test]
fn a_lock_that_is_removed_while_it_is_waited_for_is_not_enough() {
    let (_dir, path) = place();
    let place = Place::of(&path).expect("a file");
    let removed = place.lock(Duration::ZERO).expect("free");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| add(&path, &[host("c1", 1)], FIRST));
        thread::sleep(Duration::from_millis(100));
        fs::remove_file(lock_of(&path)).expect("ours");
        let held = place.lock(Duration::ZERO).expect("a new file");
        drop(removed);
        thread::sleep(Duration::from_millis(100));
        assert!(!path.exists(), "it waits for the one that has the name");
        drop(held);
        waiting.join().expect("no panic").expect("its turn");
    });
    assert_eq!(KnownHosts::load(&path).expect("there").keys().len(), 1);
}

#[test]
fn a_file_that_is_replaced_between_the_first_look_and_the_lock_is_judged_anew() {
    let (_dir, path) = place();
    let good = format!("c7 {}\n", key(7));
    for (content, mode, says) in [
        (good.as_bytes(), 0o666, "chmod go-w"),
        (b"c7 nonsense\n", 0o644, "line 1"),
        (b"\xFF\n", 0o644, "not a text"),
    ] {
        fs::write(&path, format!("c1 {}\n", key(1))).expect("room");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
        let held = Place::of(&path).and_then(|place| place.lock(Duration::ZERO)).expect("free");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| add(&path, &[host("c2", 2)], FIRST));
            thread::sleep(Duration::from_millis(100));
            let other = path.with_file_name("other");
            fs::write(&other, content).expect("room");
            fs::set_permissions(&other, Permissions::from_mode(mode)).expect("ours");
            fs::rename(&other, &path).expect("ours");
            drop(held);
            let error = waiting.join().expect("no panic").expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        });
        assert_eq!(fs::read(&path).expect("readable"), content, "what is refused stays");
    }
}

#[test]
fn one_who_adds_and_one_who_forgets_at_the_same_time_lose_nothing_of_each_other() {
    let (_dir, path) = place();
    let old: Vec<KnownHost> = (0..EACH).map(|number| host(&format!("old-{number}"), 1)).collect();
    add(&path, &old, FIRST).expect("room");
    thread::scope(|scope| {
        scope.spawn(|| add_one_by_one(&path, 0));
        for KnownHost { name, .. } in &old {
            assert_eq!(forget(&path, std::slice::from_ref(name)).expect("there").removed.len(), 1);
        }
    });
    let known = KnownHosts::load(&path).expect("whole");
    assert_eq!(known.keys().len(), EACH);
    assert!(known.keys().keys().all(|name| name.as_str().starts_with("c0-")));
}

#[test]
fn to_forget_a_name_that_is_not_known_changes_nothing_of_the_file() {
    let (_dir, path) = place();
    let text = format!("# ours\nc1 {}  # by hand\n", key(1));
    fs::write(&path, &text).expect("room");
    let forgotten = forget(&path, &[name("c9"), name("C1"), name("c9")]).expect("readable");
    assert_eq!((forgotten.removed, forgotten.not_known), (vec![], vec![name("C1"), name("c9")]));
    assert_eq!(fs::read_to_string(&path).expect("readable"), text);
    assert_eq!(names(&path), ["known_hosts"], "not even a lock is made");
}

#[test]
fn threads_with_one_file_lose_nothing() {
    let (_dir, path) = place();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || add_one_by_one(path, writer));
        }
        // A reader at any moment finds a whole file.
        for _ in 0..200 {
            KnownHosts::load(&path).expect("whole");
        }
    });
    assert_eq!(KnownHosts::load(&path).expect("there").keys().len(), WRITERS * EACH);
}

#[test]
fn processes_with_one_file_lose_nothing() {
    let (_dir, path) = place();
    let this = env::current_exe().expect("a test");
    let start = |writer: usize| {
        let mut command = Command::new(&this);
        command.args(["--exact", "keys::known_hosts::file::tests::as_a_process_of_its_own", "--ignored"]);
        command.env(FILE, &path).env(WRITER, writer.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts")
    };
    let mut writers: Vec<_> = (0..WRITERS).map(start).collect();
    assert!(writers.iter_mut().all(|writer| writer.wait().expect("ours").success()));
    assert_eq!(KnownHosts::load(&path).expect("there").keys().len(), WRITERS * EACH);
}

#[test]
#[ignore = "a process of `processes_with_one_file_lose_nothing`"]
fn as_a_process_of_its_own() {
    let (Some(path), Ok(writer)) = (env::var_os(FILE), env::var(WRITER)) else { return };
    add_one_by_one(Path::new(&path), writer.parse().expect("a number"));
}

#[test]
fn a_full_file_takes_no_host_and_stays() {
    let (_dir, path) = place();
    let text: String = (0..KNOWN_HOSTS_MAX).map(|number| format!("c{number} {}\n", key(1))).collect();
    fs::write(&path, &text).expect("room");
    let error = add(&path, &[host("more", 1)], FIRST).expect_err("full").to_string();
    assert!(error.contains("100000 hosts") && error.contains("--forget"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("readable"), text);
}

fn add_one_by_one(path: &Path, writer: usize) {
    for number in 0..EACH {
        let added = add(path, &[host(&format!("c{writer}-{number}"), 1)], FIRST).expect("room");
        assert_eq!(added.added.len(), 1);
    }
}

/// Returns a directory, and the path of a file in it that does not exist.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("known_hosts");
    (dir, path)
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_file_name("known_hosts.lock")
}

/// Asserts that reading and changing fail with one line that has `says`.
#[track_caller]
fn refused(path: &Path, says: &str) {
    let read = KnownHosts::load(path).map(drop);
    for result in [read, add(path, &[host("c9", 9)], FIRST).map(drop), forget(path, &[name("c1")]).map(drop)]
    {
        let error = result.expect_err(says).to_string();
        assert!(error.contains(says) && error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().expect("a directory")).expect("readable");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("a name")
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; PublicKey::BYTES])
}

fn host(text: &str, byte: u8) -> KnownHost {
    KnownHost { name: name(text), key: key(byte) }
}

const FIRST: Note = Note { occasion: Occasion::FirstUse, at: WallClock(0) };
const WRITERS: usize = 4;
const EACH: usize = 25;
const FILE: &str = "GLANCECAST_TEST_KNOWN_HOSTS";
const WRITER: &str = "GLANCECAST_TEST_WRITER";
