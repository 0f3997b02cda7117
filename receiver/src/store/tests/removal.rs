//! Removal and quarantine as the users of a store see them, also against a push at the same moment.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::{Announce, Pin, PinTime};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{OBJECT, announce};
use crate::store::{Begun, Pinned, Pins, Removal, Store, StoreOptions, StoreSpec};

#[test]
fn what_is_removed_is_gone_with_its_record_and_is_received_anew() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &announce("image"));
    assert_eq!(store.remove("other", Pins::Heeded).expect("a disk"), Removal::NotHeld);
    assert_eq!(store.remove("image", Pins::Heeded).expect("a disk"), Removal::Done);
    assert_eq!((names(dir.path()), store.inventory()), (vec![".glancecast".to_owned()], vec![]));
    assert_eq!(names(&dir.path().join(".glancecast")), [""; 0]);
    assert_eq!(open(dir.path()).inventory(), [], "also after a restart");
    assert_eq!(store.remove("image", Pins::Heeded).expect("a disk"), Removal::NotHeld);
    let Ok(Begun::New(partial)) = store.begin(&announce("image")) else { panic!("nothing is there") };
    assert_eq!(partial.file().kept(), []);
}

#[test]
fn a_file_of_somebody_else_is_never_removed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    fs::write(dir.path().join("foreign"), OBJECT).expect("writable");
    assert_eq!(store.remove("foreign", Pins::Ended).expect("a disk"), Removal::NotHeld);
    place(&store, dir.path(), &announce("image"));
    fs::remove_file(dir.path().join("image")).expect("ours");
    fs::write(dir.path().join("image"), b"another file").expect("writable");
    assert_eq!(store.remove("image", Pins::Ended).expect("a disk"), Removal::NotHeld);
    assert_eq!(fs::read(dir.path().join("image")).expect("there"), b"another file");
}

#[test]
fn a_pin_keeps_a_file_unless_it_is_not_to_be_heeded() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &Announce { pin: Pin::Forever, ..announce("image") });
    assert_eq!(store.remove("image", Pins::Heeded).expect("a disk"), Removal::Pinned);
    assert_eq!(store.inventory().len(), 1);
    assert_eq!(store.remove("image", Pins::Ended).expect("a disk"), Removal::Done);
    place(&store, dir.path(), &Announce { pin: Pin::Forever, ..announce("image") });
    assert!(store.unpin("image"));
    assert_eq!(store.remove("image", Pins::Heeded).expect("a disk"), Removal::Done);
}

#[test]
fn what_a_push_a_program_or_another_name_uses_stays() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let path = dir.path().join("image");
    place(&store, dir.path(), &announce("image"));
    let is_kept_by = |what: &str| {
        let kept = store.remove("image", Pins::Ended).expect("a disk");
        let aside = store.set_aside("image").expect("a disk");
        assert!(matches!(&kept, Removal::InUse(by) if by.contains(what)), "{what}: {kept:?}");
        assert_eq!(kept, aside);
        assert_eq!(fs::read(&path).expect("there"), OBJECT);
    };
    let push = store.begin(&announce("image"));
    is_kept_by("a push");
    drop(push);

    let second = dir.path().join("second");
    fs::hard_link(&path, &second).expect("one disk");
    is_kept_by("1 other name");
    fs::remove_file(&second).expect("ours");

    // What QEMU does with each image that it has open.
    let qemu = fs::File::open(&path).expect("there");
    let lock = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 201,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&qemu, FcntlArg::F_OFD_SETLK(&lock)).expect("nobody else locks it");
    is_kept_by("QEMU");
    drop(qemu);
    assert_eq!(store.remove("image", Pins::Heeded).expect("a disk"), Removal::Done);
}

#[test]
fn whichever_of_a_push_and_a_removal_comes_first_the_other_one_sees_it() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let (mut removed, mut kept) = (0, 0);
    for _ in 0..200 {
        place(&store, dir.path(), &announce("image"));
        let both = Barrier::new(2);
        let (removal, begun) = thread::scope(|scope| {
            let remove = scope.spawn(|| {
                both.wait();
                store.remove("image", Pins::Heeded).expect("a disk")
            });
            both.wait();
            let begun = store.begin(&announce("image")).expect("room");
            (remove.join().expect("no panic"), begun)
        });
        match (&removal, &begun) {
            (Removal::Done, Begun::New(_)) => removed += 1,
            (Removal::InUse(by), Begun::Existing(existing)) => {
                assert!(by.contains("a push"), "{by}");
                existing.compare(root(OBJECT), &|| true).expect("it is still there");
                kept += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    println!("{removed} removed before the push, {kept} kept for it");
    assert_eq!(removed + kept, 200);
}

#[test]
fn whichever_of_a_pin_and_a_removal_comes_first_the_other_one_sees_it() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let (mut removed, mut pinned) = (0, 0);
    for _ in 0..200 {
        place(&store, dir.path(), &announce("image"));
        let both = Barrier::new(2);
        let (removal, pin) = thread::scope(|scope| {
            let remove = scope.spawn(|| {
                both.wait();
                store.remove("image", Pins::Heeded).expect("a disk")
            });
            both.wait();
            let pin = store.pin("image", PinTime::Forever).expect("a disk");
            (remove.join().expect("no panic"), pin)
        });
        match (&removal, &pin) {
            (Removal::Done, None) => removed += 1,
            (Removal::Pinned, Some(_)) => {
                assert_eq!(store.inventory()[0].pinned, Pinned::Forever);
                pinned += 1;
                assert_eq!(store.remove("image", Pins::Ended).expect("a disk"), Removal::Done);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((names(dir.path()), store.inventory()), (vec![".glancecast".to_owned()], vec![]));
    }
    println!("{removed} removed before the pin, {pinned} kept by it");
    assert_eq!(removed + pinned, 200);
}

#[test]
fn a_damaged_copy_that_is_set_aside_has_no_name_and_is_gone_on_with_by_the_next_push() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &Announce { pin: Pin::Forever, ..announce("image") });
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(30 * 86_400);
    let file = fs::File::options().write(true).open(dir.path().join("image")).expect("ours");
    file.set_modified(old).expect("ours");
    assert_eq!(store.set_aside("image").expect("a disk"), Removal::Done);
    assert!(!dir.path().join("image").exists() && store.inventory().is_empty());
    store.clean().expect("a disk");

    let again = open(dir.path());
    let Ok(Begun::New(partial)) = again.begin(&announce("image")) else { panic!("it has no name") };
    assert_eq!(partial.file().kept(), [BlockIndex(0)], "what is there need only be read");
    assert!(store.begin(&announce("other")).is_ok());
}

#[test]
fn an_image_that_is_set_aside_does_not_stay_longer_than_unfinished_ones() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &announce("image"));
    assert_eq!(store.set_aside("image").expect("a disk"), Removal::Done);
    let hidden = names(dir.path()).into_iter().find(|name| name.ends_with(".part")).expect("set aside");
    let file = fs::File::options().write(true).open(dir.path().join(hidden)).expect("ours");
    file.set_modified(std::time::UNIX_EPOCH).expect("ours");
    store.clean().expect("a disk");
    assert_eq!(names(dir.path()), [".glancecast"]);
}

/// Creates a file that somebody else could have made, and compares it.
fn place(store: &Store, dir: &Path, announce: &Announce) {
    fs::write(dir.join(announce.name.as_str()), OBJECT).expect("writable");
    let Ok(Begun::Existing(existing)) = store.begin(announce) else { panic!("it is there") };
    existing.compare(root(OBJECT), &|| true).expect("the same");
}

fn root(bytes: &[u8]) -> Root {
    Root(*blake3::hash(bytes).as_bytes())
}

fn open(path: &Path) -> Store {
    Store::open(&StoreSpec::Directory(path.to_owned()), StoreOptions::DEFAULT).expect("a directory")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("there").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
