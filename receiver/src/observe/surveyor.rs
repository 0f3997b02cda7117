//! The thread that looks at the store for the status, and that writes the metrics to a file. Both may wait for a disk,
//! which neither the receive loop nor a reader of the status should.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_platform::exposition::replace_file;

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
                let written = replace_file(file, metrics::text(&self.board.read()).as_bytes());
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

/// Time between two looks at the store without a push in between.
const LOOK_GAP: Duration = Duration::from_secs(60);

/// Time between two versions of the file: Prometheus scrapes node_exporter every 15 s or less often.
const FILE_GAP: Duration = Duration::from_secs(15);
