//! Key files that the fuzzer of `tests/fuzz` has found worth keeping.

mod key_files;

use std::fs;

use glancecast_platform::known_hosts::KnownHosts;
use glancecast_platform::{keyfile, sender_keys};
use glancecast_testkit::corpus::replay;

#[test]
fn key_files_of_the_fuzzer_are_read_or_refused() {
    replay("keys", key_files::read);
}

#[test]
fn key_files_of_the_fuzzer_say_the_same_on_a_disk() {
    replay("keys", |input| {
        let file = tempfile::NamedTempFile::new().expect("temporary file"); // nobody else may read it
        fs::write(&file, input).expect("writable");
        let name = file.path().display().to_string();
        assert_eq!(keyfile::load(file.path()).is_ok(), input.len() == 32);
        match (sender_keys::load(file.path()), sender_keys::parse(input)) {
            (Ok(key), Some(same)) => assert_eq!(key.public(), same.public()),
            (Err(error), None) => key_files::assert_shown(&error.to_string(), &name),
            other => panic!("{other:?}"),
        }
        match (KnownHosts::load(file.path()), str::from_utf8(input).ok().map(KnownHosts::parse)) {
            (Ok(hosts), Some(Ok(same))) => assert_eq!(hosts, same),
            (Err(error), Some(Err(_)) | None) => key_files::assert_shown(&error.to_string(), &name),
            other => panic!("{other:?}"),
        }
        if let Err(error) = sender_keys::senders(std::slice::from_ref(&name)) {
            key_files::assert_shown(&error.to_string(), &name);
        }
    });
}
