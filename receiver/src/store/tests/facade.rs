//! The store as its users see it.

use std::fs;
use std::path::Path;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, Root, VerifiedBlock};
use glancecast_proto::wire::{Announce, BaseName, FailureKind, Pin};

use super::{OBJECT, announce};
use crate::store::{Begun, Store, StoreError, StoreOptions, StoreSpec, Unpublished, Verified};

#[test]
fn an_unfinished_file_is_hidden_and_gone_when_dropped() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let partial = begin(&open(dir.path()), "image");
    let names = names(dir.path());
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with(".glancecast-")), "{names:?}");
    drop(partial);
    assert_eq!(self::names(dir.path()), [""; 0]);
}

#[test]
fn a_directory_is_no_cache_and_nothing_in_it_is_refreshed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    assert_eq!(open(dir.path()).0.refresh_interval(), None);
}

#[test]
fn what_somebody_removed_is_forgotten_though_nobody_asks_for_it() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (store, root) = (open(dir.path()), Root(*blake3::hash(OBJECT).as_bytes()));
    for name in ["stays", "goes"] {
        fs::write(dir.path().join(name), OBJECT).expect("writable");
        let Ok(Begun::Existing(existing)) = store.begin(&announce(name)) else { panic!("it is there") };
        existing.compare(root, &|| true).expect("the same");
    }
    let records = || names(&dir.path().join(".glancecast"));
    assert_eq!(records().len(), 2);
    fs::remove_file(dir.path().join("goes")).expect("writable");
    store.clean().expect("readable");
    let left = records();
    assert!(left.len() == 1 && left[0].starts_with("stays"), "{left:?}");
}

#[test]
fn a_file_of_this_name_is_never_replaced() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    fs::write(dir.path().join("image"), b"something else").expect("writable");
    let error = store.begin(&announce("image")).expect_err("another length");
    assert_eq!(error.kind(), FailureKind::Exists);

    fs::write(dir.path().join("image"), OBJECT).expect("writable");
    let Ok(Begun::Existing(existing)) = store.begin(&announce("image")) else { panic!("of this length") };
    existing.compare(Root(*blake3::hash(OBJECT).as_bytes()), &|| true).expect("the same");
    assert!(existing.compare(Root([0; 32]), &|| true).is_err());
    assert_eq!(fs::read(dir.path().join("image")).expect("there"), OBJECT);
}

#[test]
fn blocks_are_written_in_their_places() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let partial = begin(&open(dir.path()), "image");
    write(&partial);
    let name = names(dir.path()).into_iter().find(|name| name.ends_with(".part")).expect("unfinished");
    assert_eq!(fs::read(dir.path().join(name)).expect("there"), OBJECT);
}

#[test]
fn a_file_that_was_proven_is_listed_and_proven_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (store, path) = (open(dir.path()), dir.path().join("image"));
    assert_eq!(store.verify("image").expect("readable"), Verified::NotHeld);
    fs::write(&path, OBJECT).expect("writable");
    assert_eq!(store.inventory(), [], "only what was compared");
    let root = Root(*blake3::hash(OBJECT).as_bytes());
    let Ok(Begun::Existing(existing)) = store.begin(&announce("image")) else { panic!("it is there") };
    existing.compare(root, &|| true).expect("the same");
    assert_eq!(store.held("image")[0].root, root);
    assert_eq!(store.held("another"), []);
    assert_eq!(store.verify("image").expect("readable"), Verified::Proven(root));

    let mut bytes = OBJECT.to_vec();
    bytes[3] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let other = Root(*blake3::hash(&bytes).as_bytes());
    assert_eq!(store.verify("image").expect("readable"), Verified::Differs(other));
}

#[test]
fn an_image_is_meant_by_its_id_in_glance_or_else_by_its_name() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &Announce { image_id: Some(ID.to_owned()), ..announce("one") });
    place(&store, dir.path(), &announce("two"));
    place(&store, dir.path(), &announce(ID));
    let files = |image| store.held(image).into_iter().map(|held| held.file).collect::<Vec<_>>();
    assert_eq!(files(ID), ["one"], "an id before a name");
    assert_eq!(files("one"), ["one"]);
    assert_eq!(files("two"), ["two"]);
    assert_eq!(files("three"), [""; 0]);
    assert_eq!(store.inventory().len(), 3);
    assert_eq!(store.to_string(), format!("directory:{}", dir.path().display()));
}

#[test]
fn a_file_is_proven_again_to_its_end_or_not_at_all_and_its_record_says_when() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &announce("one"));
    place(&store, dir.path(), &announce("two"));
    let proven = || store.held("two")[0].proven;
    let before = proven();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(store.verify_in_steps("two", |_| false).expect("readable"), None);
    assert_eq!(proven(), before);
    fs::write(dir.path().join("one"), [1; OBJECT.len()]).expect("writable");
    let root = Root(*blake3::hash(OBJECT).as_bytes());
    assert_eq!(store.verify("two").expect("readable"), Verified::Proven(root), "and not the other one");
    assert!(proven() > before);
}

#[test]
fn the_base_of_a_push_is_what_was_published_or_else_a_file_of_its_name() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    let base = |name: &str| {
        let found = store.base(&BaseName::new(name).expect("a name")).expect("readable");
        found.map(|base| base.path().to_owned())
    };
    assert_eq!(base("foreign"), None);
    fs::write(dir.path().join("foreign"), b"put here by somebody").expect("writable");
    assert_eq!(base("foreign"), Some(dir.path().join("foreign")));
    place(&store, dir.path(), &Announce { image_id: Some(ID.to_owned()), ..announce("one") });
    assert_eq!(base(ID), Some(dir.path().join("one")));
}

#[test]
fn a_pin_is_let_go_of_once_and_the_free_space_is_that_of_the_disk() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    place(&store, dir.path(), &Announce { pin: Pin::Forever, ..announce("one") });
    assert!(store.unpin("one"));
    assert!(!store.unpin("one") && !store.unpin("two"));
    assert!(store.free_bytes().expect("a disk") > 4096);
}

#[test]
fn a_store_that_is_stopped_compares_nothing_any_more() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open(dir.path());
    fs::write(dir.path().join("image"), OBJECT).expect("writable");
    let Ok(Begun::Existing(existing)) = store.begin(&announce("image")) else { panic!("it is there") };
    store.stop();
    let compared = existing.compare(Root([0; 32]), &|| true);
    assert!(matches!(compared, Err(StoreError::Stopped { .. })), "{compared:?}");
}

#[test]
fn an_unfinished_file_that_is_given_up_is_removed_whatever_was_written() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let partial = begin(&open(dir.path()), "image");
    write(&partial);
    assert_eq!(partial.file().flush(), 1);
    partial.file().discard();
    drop(partial);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn what_is_no_store_is_refused_with_the_kinds_that_there_are() {
    let new = |store, nova_conf: &[&str], owner| {
        let nova_conf: Vec<_> = nova_conf.iter().map(Into::into).collect();
        StoreSpec::new(store, &nova_conf, owner).map_err(|error| error.to_string())
    };
    assert_eq!(new(Some("directory:/x"), &[], None), Ok(StoreSpec::Directory("/x".into())));
    assert!(matches!(new(Some("nova:/x"), &[], None), Ok(StoreSpec::Nova(_))));
    for (store, nova_conf, owner, says) in [
        (
            None,
            &[][..],
            None,
            "give --store directory:PATH, --store nova:INSTANCES_PATH, or Nova's own files",
        ),
        (Some("directory:"), &[], None, "write directory:PATH or nova:INSTANCES_PATH"),
        (Some("/x"), &[], None, "\"/x\" is not a store"),
        (Some("ceph:/x"), &[], None, "\"ceph:/x\" is not a store"),
        (Some("directory:/x"), &["nova.conf"], None, "for nova stores"),
        (Some("directory:/x"), &[], Some("nova"), "for nova stores"),
        (Some("nova:/x"), &[], Some("no such user"), "there is no user"),
        (None, &["/missing"], None, "/missing: No such file"),
    ] {
        let error = new(store, nova_conf, owner).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
}

/// Creates a file that somebody else could have made, and compares it.
fn place(store: &Store, dir: &Path, announce: &Announce) {
    fs::write(dir.join(announce.name.as_str()), OBJECT).expect("writable");
    let Ok(Begun::Existing(existing)) = store.begin(announce) else { panic!("it is there") };
    existing.compare(Root(*blake3::hash(OBJECT).as_bytes()), &|| true).expect("the same");
}

fn write(partial: &Unpublished) {
    let geometry = announce("image").geometry;
    let hash = BlockHash::of(geometry, BlockIndex(0), OBJECT);
    let block = VerifiedBlock::verify(geometry, BlockIndex(0), OBJECT, hash).expect("its hash");
    partial.file().write(&block).expect("room");
}

fn open(path: &Path) -> Store {
    Store::open(&StoreSpec::Directory(path.to_owned()), StoreOptions::DEFAULT).expect("a directory")
}

fn begin(store: &Store, name: &str) -> Unpublished {
    match store.begin(&announce(name)) {
        Ok(Begun::New(partial)) => partial,
        other => panic!("{other:?}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("there").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
