//! The owner of a store against a receiver that uses it as root: while the store opens, resumes, publishes, locks and
//! reads its records, somebody with the owner's rights exchanges names there with links to root's files, in a loop.
//! Nothing outside the store may be opened, written, renamed, removed or given away; inotify(7) reports each opening.
//!
//! Each race is also run against what a path-based store would do at that place. There the attacker wins, which shows
//! that it is a real one. `GLANCECAST_RACES=10000` sets how often each is run (`make races`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, Root, VerifiedBlock};
use glancecast_proto::wire::{Announce, Pin};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tempfile::TempDir;

use super::{OBJECT, announce, is_root};
use crate::store::acting::Acting;
use crate::store::backend::Backend;
use crate::store::backends::directory;
use crate::store::backends::nova::{NovaSettings, NovaStore, cache_name};
use crate::store::owner::Owner;
use crate::store::{Publication, StoreOptions};

#[test]
fn a_link_in_the_place_of_the_probe_is_never_followed() {
    if !is_root() {
        return;
    }
    let arena = Arena::new();
    let base = arena.directory("_base");
    let probe = base.join(format!(".glancecast-probe.{}", std::process::id()));
    let victim = arena.victim();
    // The store itself removes the probe, before it creates its own and after it.
    let attack = move || symlink(&victim, &probe).is_ok();
    let settings = NovaSettings::at(&arena.store);
    Attacker::start(attack.clone())
        .against("the probe", |_| NovaStore::open(settings.clone(), None, StoreOptions::DEFAULT).is_err());
    arena.assert_untouched();

    let path = base.join(format!(".glancecast-probe.{}", std::process::id()));
    arena.assert_lost_by(attack, || {
        if let Ok(file) = File::create(&path) {
            let _ = std::os::unix::fs::fchown(&file, Some(OTHER.uid), Some(OTHER.gid));
        }
        let _ = fs::remove_file(&path);
    });
}

#[test]
fn an_unfinished_file_that_is_exchanged_with_a_link_is_never_opened_or_written_by_its_name() {
    if !is_root() {
        return;
    }
    let arena = Arena::new();
    let attack = exchange_unfinished(arena.store.clone(), arena.victim());
    let store = directory::open(&arena.store, StoreOptions::DEFAULT).expect("a directory");
    let (mut published, mut resumed) = (0, 0);
    Attacker::start(attack.clone()).against("unfinished files", |round| {
        // The first of two rounds leaves its file for the second to resume.
        let name = format!("image-{}", round / 2);
        let Ok(Some(file)) = store.begin(&announce(&name)) else { return false };
        resumed += u64::from(!file.kept().is_empty());
        thread::yield_now();
        let mut elsewhere = file.path().is_symlink();
        write(&file, &name);
        if round % 2 == 1 {
            thread::yield_now();
            elsewhere |= file.path().is_symlink();
            if let Ok(Publication::New) = store.publish(&announce(&name), file, root()) {
                published += 1;
                let path = arena.store.join(&name);
                assert!(!path.is_symlink() && fs::read(&path).expect("there") == OBJECT, "round {round}");
                fs::remove_file(&path).expect("root may");
            }
            arena.remove_hidden();
        }
        elsewhere
    });
    println!("{resumed} resumed, {published} published");
    assert!(published > 0 && resumed > 0, "{published} published, {resumed} resumed");
    arena.assert_untouched();

    let path = arena.store.join(".glancecast-control.part");
    arena.assert_lost_by(attack, || {
        let _ = fs::write(&path, b"unfinished");
        let _ = File::options().write(true).open(&path).and_then(|mut file| file.write_all(OBJECT));
    });
}

#[test]
fn a_directory_of_records_that_is_exchanged_with_a_link_is_never_read_or_written_behind_it() {
    if !is_root() {
        return;
    }
    let arena = Arena::new();
    let attack = arena.exchange_with_link(".glancecast");
    let mut written = 0;
    Attacker::start(attack.clone()).against("records", |round| {
        let Ok(store) = directory::open(&arena.store, StoreOptions::DEFAULT) else { return true };
        written += 1;
        let name = format!("image-{}", round % 8);
        fs::write(arena.store.join(&name), OBJECT).expect("root may");
        let announce = Announce { pin: Pin::Forever, ..announce(&name) };
        store.compare(&announce, root(), &|| true).expect("the same");
        store.parts().expect("open").log.unpin(&name, glancecast_platform::clock::wall());
        false
    });
    assert!(written > 0, "each start was refused");
    arena.assert_untouched();

    let directory = arena.store.join(".glancecast");
    arena.assert_lost_by(attack, || {
        for path in fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("toml") => drop(fs::rename(&path, path.with_extension("damaged"))),
                Some("new") => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
    });
}

#[test]
fn a_directory_of_locks_that_is_exchanged_with_a_link_is_never_used_behind_it() {
    if !is_root() {
        return;
    }
    let arena = Arena::new();
    let attack = arena.exchange_with_link("locks");
    let store =
        NovaStore::open(NovaSettings::at(&arena.store), None, StoreOptions::DEFAULT).expect("a cache");
    let image = Announce { image_id: Some(ID.to_owned()), ..announce("image") };
    let path = arena.store.join("_base").join(cache_name(ID));
    let mut published = 0;
    Attacker::start(attack.clone()).against("locks", |_| {
        let Ok(Some(file)) = store.begin(&image) else { panic!("nothing is there") };
        write(&file, "image");
        let Ok(_) = store.publish(&image, file, root()) else { return true };
        published += 1;
        fs::remove_file(&path).expect("root may");
        false
    });
    assert!(published > 0, "each lock was refused");
    arena.assert_untouched();

    let lock = arena.store.join("locks/nova-control");
    arena.assert_lost_by(attack, || {
        let _ = File::options().create(true).append(true).open(&lock);
    });
}

/// Returns an attack that exchanges each unfinished file with a link, and back.
fn exchange_unfinished(store: PathBuf, victim: PathBuf) -> impl FnMut() -> bool + Clone + Send + 'static {
    let evil = store.join("evil");
    move || {
        let is_part = |name: &OsString| name.as_encoded_bytes().ends_with(b".part");
        let names = fs::read_dir(&store).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let Some(name) = names.into_iter().find(is_part) else { return false };
        let part = store.join(name);
        if !evil.is_symlink() && !part.is_symlink() {
            let _ = fs::remove_file(&evil);
            let _ = symlink(&victim, &evil);
        }
        exchange(&evil, &part)
    }
}

fn exchange(one: &Path, other: &Path) -> bool {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok()
}

fn write(file: &crate::store::PartialFile, name: &str) {
    let geometry = announce(name).geometry;
    let hash = BlockHash::of(geometry, BlockIndex(0), OBJECT);
    let block = VerifiedBlock::verify(geometry, BlockIndex(0), OBJECT, hash).expect("its hash");
    file.write(&block).expect("room");
}

/// A store that another user owns, and root's files next to it.
struct Arena {
    store: PathBuf,
    victims: PathBuf,
    before: Vec<State>,
    watch: Inotify,
    // Dropped last, as it contains the others.
    _dir: TempDir,
}

type State = (OsString, u32, u32, u32, i64, i64, u64, Option<Vec<u8>>);

impl Arena {
    fn new() -> Self {
        let memory = Path::new("/dev/shm"); // thousands of fsyncs
        let dir = tempfile::tempdir_in(if memory.is_dir() { memory } else { Path::new("/var/tmp") });
        let dir = dir.expect("temporary directory");
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("ours");
        let (store, victims) = (dir.path().join("store"), dir.path().join("victims"));
        let mut arena = Self { store, victims, before: Vec::new(), watch: watch(), _dir: dir };
        arena.make_owned(&arena.store);
        arena.set_up();
        arena
    }

    /// Creates a directory in the store.
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.store.join(name);
        self.make_owned(&path);
        path
    }

    fn make_owned(&self, path: &Path) {
        fs::create_dir(path).expect("writable");
        chown(path, Some(OTHER.uid), Some(OTHER.gid)).expect("root");
    }

    /// Removes what the attacker has left under hidden names, which a store would leave alone for a day.
    fn remove_hidden(&self) {
        for entry in fs::read_dir(&self.store).expect("there").flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".glancecast-") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn victim(&self) -> PathBuf {
        self.victims.join("victim")
    }

    fn set_up(&mut self) {
        let _ = fs::remove_dir_all(&self.victims);
        fs::create_dir(&self.victims).expect("writable");
        // Open to all, so that modes do not protect what the store must protect.
        for (name, mode) in [("victim", 0o666), ("a.toml", 0o600), ("b.new", 0o600)] {
            let path = self.victims.join(name);
            fs::write(&path, b"root's").expect("writable");
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
        }
        fs::set_permissions(&self.victims, PermissionsExt::from_mode(0o777)).expect("ours");
        self.before = self.states();
        self.watch = watch();
        for path in [&self.victims, &self.victim()] {
            self.watch.add_watch(path, AddWatchFlags::IN_ALL_EVENTS).expect("there");
        }
    }

    /// Creates a directory in the store; returns an attack that exchanges it with a link to that of the victims.
    fn exchange_with_link(&self, name: &str) -> impl FnMut() -> bool + Clone + Send + 'static {
        let (one, other) = (self.directory(name), self.store.join("evil"));
        fs::set_permissions(&one, PermissionsExt::from_mode(0o700)).expect("root");
        symlink(&self.victims, &other).expect("root may");
        move || exchange(&one, &other)
    }

    fn states(&self) -> Vec<State> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&self.victims).expect("there").flatten().map(|entry| entry.path()).collect();
        paths.push(self.victims.clone());
        paths.sort();
        let state = |path: &PathBuf| {
            let m = fs::symlink_metadata(path).expect("there");
            let content = m.is_file().then(|| fs::read(path).expect("readable"));
            (path.clone().into(), m.uid(), m.gid(), m.mode(), m.ctime(), m.ctime_nsec(), m.len(), content)
        };
        paths.iter().map(state).collect()
    }

    fn events(&self) -> usize {
        match self.watch.read_events() {
            Ok(events) => events.len(),
            Err(nix::errno::Errno::EAGAIN) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// Asserts that no victim was opened, written, renamed, removed or given away.
    fn assert_untouched(&self) {
        assert_eq!(self.events(), 0, "something was opened outside the store");
        assert_eq!(self.states(), self.before);
    }

    /// Asserts that the same attack succeeds against code that uses paths: in time something outside is touched.
    fn assert_lost_by(mut self, attack: impl FnMut() -> bool + Send + 'static, mut by_path: impl FnMut()) {
        self.set_up();
        let attacker = Attacker::start(attack);
        let start = Instant::now();
        let mut tries = 0;
        while self.events() == 0 {
            tries += 1;
            by_path();
            thread::yield_now();
            assert!(start.elapsed() < CONTROL_MAX, "the attacker never wins, in {tries} tries");
        }
        attacker.stop();
        println!("by paths it is lost at try {tries}");
    }
}

fn watch() -> Inotify {
    Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).expect("a descriptor")
}

/// A thread with the rights of the store's owner.
struct Attacker {
    stop: Arc<AtomicBool>,
    moves: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Attacker {
    fn start(mut attack: impl FnMut() -> bool + Send + 'static) -> Self {
        let (stop, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&moves));
        let thread = thread::spawn(move || {
            let _acting = Acting::As(OTHER).begin();
            while !stopped.load(Ordering::Relaxed) {
                count.fetch_add(u64::from(attack()), Ordering::Relaxed);
            }
        });
        Self { stop, moves, thread }
    }

    /// Plays the rounds, and more until the store has met the attacker; `round` returns whether it did.
    fn against(self, what: &str, mut round: impl FnMut(u64) -> bool) {
        let (start, mut played, mut met) = (Instant::now(), 0, 0_u64);
        while played < rounds() || (met == 0 && start.elapsed() < MEETING_MAX) {
            met += u64::from(round(played));
            played += 1;
            thread::yield_now();
        }
        let moves = self.stop();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "race for {what}: {played} rounds, {moves} moves of the attacker, {met} rounds met one; {seconds:.1} s"
        );
        assert!(met > 0, "the store has never met the attacker");
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.moves.load(Ordering::Relaxed)
    }
}

fn rounds() -> u64 {
    std::env::var("GLANCECAST_RACES").ok().map_or(ROUNDS, |rounds| rounds.parse().expect("a number"))
}

fn root() -> Root {
    Root(*blake3::hash(OBJECT).as_bytes())
}

const OTHER: Owner = Owner { uid: 42_436, gid: 42_437 };
const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
const ROUNDS: u64 = 300;
const MEETING_MAX: Duration = Duration::from_secs(30);
const CONTROL_MAX: Duration = Duration::from_secs(30);
