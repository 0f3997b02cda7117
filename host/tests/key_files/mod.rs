//! Key files from the bytes of a fuzzer.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use glancecast_host::{keyfile, sender_keys};
use glancecast_proto::limits::SENDERS_MAX;

/// Reads them as each kind of key file.
///
/// # Panics
/// If what is read is not what the file says, or an error repeats what may be a secret.
pub(crate) fn read(input: &[u8]) {
    // Written again and again: making a file for each input would take longer than all else.
    static FILE: Mutex<Option<KeyFile>> = Mutex::new(None);
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = file.get_or_insert_with(KeyFile::create);
    file.write(input);

    let group = keyfile::load(&file.path);
    assert_eq!(group.is_ok(), input.len() == 32);

    let text = std::str::from_utf8(input).ok();
    match sender_keys::load(&file.path) {
        Ok(key) => {
            let line = text.expect("a sender key is a text");
            assert!(input.len() == 90 && line.starts_with("glancecast-sender-secret:"));
            assert!(!format!("{key:?}").contains(&line[25..]), "secrets are not shown");
        }
        Err(error) => assert_shown(&error.to_string(), &file.path),
    }
    match sender_keys::public_keys(&[file.path.display().to_string()]) {
        Ok(keys) => {
            assert!((1..=SENDERS_MAX).contains(&keys.len()) && keys.is_sorted());
            let again: Vec<String> = keys.iter().map(ToString::to_string).collect();
            assert_eq!(sender_keys::public_keys(&again).expect("they are keys"), keys);
        }
        Err(error) => assert_shown(&error.to_string(), &file.path),
    }
    if let Some(text) = text.filter(|text| text.starts_with("ed25519:")) {
        match sender_keys::public_keys(&[text.to_owned()]) {
            Ok(keys) => assert_eq!(keys[0].to_string(), text.to_ascii_lowercase()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// One line that names the file, and repeats no secret.
fn assert_shown(error: &str, path: &Path) {
    assert!(error.contains(&path.display().to_string()) || error.contains("keys; at most"), "{error:?}");
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(!error.contains("sender-secret:"), "{error:?}");
}

/// A file without a name, so that none is left behind.
struct KeyFile {
    file: File,
    path: PathBuf,
}

impl KeyFile {
    fn create() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let name = directory.join(format!("glancecast-key.{}", std::process::id()));
        let _ = fs::remove_file(&name); // of a process that had our id
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name).expect("writable");
        fs::remove_file(&name).expect("just made");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Self { file, path }
    }

    fn write(&self, bytes: &[u8]) {
        self.file.set_len(0).and_then(|()| self.file.write_all_at(bytes, 0)).expect("writable");
    }
}
