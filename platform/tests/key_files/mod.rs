//! Key files from the bytes of a fuzzer.

use std::io;
use std::path::Path;

use glancecast_platform::sender_keys;
use glancecast_proto::limits::SENDERS_MAX;

/// Reads them as each kind of key file, but for the group's, which is any 32 bytes.
///
/// # Panics
/// If what is read is not what the file says, or an error repeats what may be a secret.
pub(crate) fn read(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    if let Some(key) = sender_keys::parse(input) {
        let line = text.expect("a sender key is a text");
        assert!(input.len() == 90 && line.starts_with("glancecast-sender-secret:"));
        assert!(!format!("{key:?}").contains(&line[25..]), "secrets are not shown");
    }
    let read = |path: &Path| {
        assert_eq!(path, Path::new(NAME));
        text.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    match sender_keys::public_keys_of(&[NAME.to_owned()], read) {
        Ok(keys) => {
            assert!((1..=SENDERS_MAX).contains(&keys.len()) && keys.is_sorted());
            let again: Vec<String> = keys.iter().map(ToString::to_string).collect();
            assert_eq!(sender_keys::public_keys(&again).expect("they are keys"), keys);
        }
        Err(error) => assert_shown(&error.to_string(), NAME),
    }
    if let Some(text) = text.filter(|text| text.starts_with("ed25519:")) {
        match sender_keys::public_keys(&[text.to_owned()]) {
            Ok(keys) => assert_eq!(keys[0].to_string(), text.to_ascii_lowercase()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// One line that names the file, and repeats no secret.
///
/// # Panics
/// If it is not.
pub(crate) fn assert_shown(error: &str, path: &str) {
    assert!(error.contains(path) || error.contains("keys; at most"), "{error:?}");
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(!error.contains("sender-secret:"), "{error:?}");
}

const NAME: &str = "/etc/glancecast/senders";
