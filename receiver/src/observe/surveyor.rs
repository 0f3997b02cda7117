//! The thread that looks at the store for the status, and that writes the metrics to a file. Both may wait for a disk,
//! which neither the receive loop nor a reader of the status should.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, process};

use glancecast_platform::clock::wall;

use super::board::Board;
use super::metrics;
use super::snapshot::StoreFacts;
use crate::store::{Pinned, Store};

/// Asks the surveyor to look at the store again.
#[derive(Debug)]
pub(crate) struct Nudge(SyncSender<()>);

impl Nudge {
    /// Has the store be looked at soon. Never waits.
    pub(crate) fn nudge(&self) {
        match self.0.try_send(()) {
            // It has not come to the last nudge yet, which is as good.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => tracing::debug!("the surveyor has ended"),
        }
    }
}

/// What the thread works with.
pub(crate) struct Surveyor {
    pub(crate) store: Store,
    pub(crate) board: Board,
    pub(crate) file: Option<PathBuf>,
}

impl Surveyor {
    /// Starts the thread. It ends when the [`Nudge`] is dropped; nothing waits for that, as a disk may hang.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(self) -> io::Result<Nudge> {
        let (nudge, nudges) = sync_channel(1);
        thread::Builder::new().name("survey".into()).spawn(move || self.run(&nudges))?;
        Ok(Nudge(nudge))
    }

    fn run(self, nudges: &Receiver<()>) {
        let mut looked: Option<Instant> = None;
        let mut told = false;
        let mut nudged = true;
        loop {
            if nudged || looked.is_none_or(|at| at.elapsed() >= LOOK_GAP) {
                self.board.note_store(look_at(&self.store));
                looked = Some(Instant::now());
            }
            if let Some(file) = &self.file {
                let written = replace(file, metrics::text(&self.board.read()).as_bytes());
                match &written {
                    Err(error) if !told => {
                        tracing::warn!("metrics_file {}: {error}: its content grows old", file.display());
                    }
                    _ => {}
                }
                told = written.is_err();
            }
            nudged = match nudges.recv_timeout(FILE_GAP) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => break,
            };
        }
        // A file that stays behind would say for ever that all is well.
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

fn look_at(store: &Store) -> StoreFacts {
    let held = store.inventory();
    StoreFacts {
        at_ms: wall().0,
        free_bytes: store.free_bytes(),
        images: held.len() as u64,
        bytes: held.iter().map(|held| held.bytes).sum(),
        pinned: held.iter().filter(|held| held.pinned != Pinned::No).count() as u64,
    }
}

/// Puts a file with these bytes, mode 0644, in the place of `path` in one step: node_exporter reads it at any time.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // node_exporter reads what ends in .prom, which this does not.
    let fresh = directory.join(format!(".{name}.{}", process::id()));
    let _ = fs::remove_file(&fresh);
    let written = write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(bytes)
}

/// Time between two looks at the store without a push in between.
const LOOK_GAP: Duration = Duration::from_secs(60);

/// Time between two versions of the file: Prometheus scrapes node_exporter every 15 s or less often.
const FILE_GAP: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_in_one_step_readable_by_all_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, other) = (dir.path().join("glancecast.prom"), dir.path().join("other"));
        fs::write(&other, "theirs").expect("writable");
        let fresh = dir.path().join(format!(".glancecast.prom.{}", process::id()));
        std::os::unix::fs::symlink(&other, &fresh).expect("writable");
        replace(&path, b"one 1\n").expect("writable");
        replace(&path, b"two 2\n").expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two 2\n");
        assert_eq!(fs::read_to_string(&other).expect("there"), "theirs");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 2, "nothing is left");
        replace(&dir.path().join("no/file"), b"").expect_err("no such directory");
    }
}
