//! The store as its users see it.

use std::fs;
use std::path::Path;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, Root, VerifiedBlock};
use glancecast_proto::wire::FailureKind;

use super::{OBJECT, announce};
use crate::store::{Begun, Store, StoreOptions, StoreSpec, Unpublished, Verified};

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
    let geometry = announce("image").geometry;
    let hash = BlockHash::of(geometry, BlockIndex(0), OBJECT);
    let block = VerifiedBlock::verify(geometry, BlockIndex(0), OBJECT, hash).expect("its hash");
    partial.file().write(&block).expect("room");
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
