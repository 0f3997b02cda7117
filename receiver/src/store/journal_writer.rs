//! The journal writer, which writes the journals of unfinished files after their data. A written block is noted at once
//! and without waiting; a thread makes the data of all noted blocks durable, then their records.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::disk::{Disk, DiskFile};
use super::journal::{BlockRecord, Journal};

/// The journal of one unfinished file, and the records still to be written to it.
#[derive(Debug)]
pub(super) struct JournalWriter {
    noted: Mutex<Noted>,
    open: Mutex<Option<Open>>,
    /// The error if data could not be made durable. fsync(2) reports it only once; publication needs it too.
    failed: Mutex<Option<io::ErrorKind>>,
    to_thread: Option<Sender<Arc<JournalWriter>>>,
    /// Whether there is no journal: the file will not be resumed.
    idle: bool,
}

/// Records not in the journal yet: at most those of the blocks that are written during one flush.
#[derive(Debug, Default)]
struct Noted {
    records: Vec<BlockRecord>,
    /// Whether the thread was asked for a flush.
    queued: bool,
}

#[derive(Debug)]
struct Open {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: Arc<dyn DiskFile>,
    journal: Journal,
    /// Whether the names of both files are durable.
    named: bool,
    records: usize,
}

impl JournalWriter {
    /// Returns the writer of a file that will not be resumed: it notes nothing and makes nothing durable before
    /// publication.
    pub(super) fn idle() -> Self {
        Self {
            noted: Mutex::default(),
            open: Mutex::new(None),
            failed: Mutex::new(None),
            to_thread: None,
            idle: true,
        }
    }

    pub(super) fn new(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        file: Arc<dyn DiskFile>,
        journal: Journal,
        to_thread: Option<Sender<Arc<JournalWriter>>>,
    ) -> Self {
        let open = Open { disk, directory, file, journal, named: false, records: 0 };
        let open = Mutex::new(Some(open));
        Self { noted: Mutex::default(), open, failed: Mutex::new(None), to_thread, idle: false }
    }

    /// Notes that a block was written.
    pub(super) fn note(self: &Arc<Self>, record: BlockRecord) {
        if self.idle {
            return;
        }
        let mut noted = lock(&self.noted);
        noted.records.push(record);
        if let Some(thread) = self.to_thread.as_ref().filter(|_| !std::mem::replace(&mut noted.queued, true))
        {
            // If the thread has ended, the last flush writes the record.
            let _ = thread.send(Arc::clone(self));
        }
    }

    /// Makes noted blocks durable: the data, then the records. Returns the number of this session's records in the
    /// journal.
    pub(super) fn flush(&self) -> usize {
        let mut open = lock(&self.open);
        let records = {
            let mut noted = lock(&self.noted);
            noted.queued = false;
            std::mem::take(&mut noted.records)
        };
        let Some(here) = open.as_mut() else { return 0 };
        if records.is_empty() {
            return here.records;
        }
        if let Err(error) = here.file.sync_data() {
            tracing::error!(directory = %here.directory.display(), %error, "cannot make received data durable");
            lock(&self.failed).get_or_insert(error.kind());
            return here.records;
        }
        if let Err(error) = here.append(&records) {
            tracing::warn!(
                directory = %here.directory.display(), %error,
                "cannot write the journal: a restart will ask for these blocks again"
            );
        }
        here.records
    }

    /// Returns the error if received data may be lost.
    pub(super) fn failure(&self) -> Option<io::Error> {
        lock(&self.failed).map(|kind| io::Error::new(kind, "earlier data could not be made durable"))
    }

    /// Closes both files; nothing is written any more.
    pub(super) fn close(&self) {
        *lock(&self.open) = None;
    }
}

impl Open {
    fn append(&mut self, records: &[BlockRecord]) -> io::Result<()> {
        self.journal.append(records)?;
        if !self.named {
            self.disk.sync()?;
            self.named = true;
        }
        self.records += records.len();
        Ok(())
    }
}

/// Starts the thread; it ends when the last sender is dropped.
pub(super) fn start() -> io::Result<Sender<Arc<JournalWriter>>> {
    let (to_thread, due) = channel();
    thread::Builder::new().name("journal".into()).spawn(move || flush_all(&due))?;
    Ok(to_thread)
}

fn flush_all(due: &Receiver<Arc<JournalWriter>>) {
    while let Ok(first) = due.recv() {
        // Journals of other objects join this flush meanwhile.
        let mut writers = vec![first];
        while let Ok(another) = due.recv_timeout(FLUSH_AFTER) {
            writers.push(another);
        }
        writers.iter().for_each(|writer| {
            writer.flush();
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pause without a new file after which the thread flushes. A power failure costs this and the time of a flush; each
/// flush costs the file system a commit.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::super::disk::tests::name;
    use super::super::journal::Identity;
    use super::super::tests::announce;
    use super::super::tests::disk_model::{Fault, Model};
    use super::*;
    use glancecast_proto::ids::{BlockIndex, SessionId};
    use glancecast_proto::integrity::BlockHash;
    use std::time::Instant;

    #[test]
    fn blocks_that_are_noted_are_in_the_journal_soon_and_the_names_of_both_files_are_durable() {
        for seed in 0..4 {
            let (disk, to_thread) = (Model::new(seed), start().expect("a thread"));
            let writer = Arc::new(writer(&disk, Some(to_thread)));
            let wait_for = |blocks| {
                let start = Instant::now();
                while recorded(&disk).len() < blocks {
                    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", recorded(&disk));
                    thread::sleep(Duration::from_millis(5));
                }
            };
            writer.note(record(0));
            wait_for(1);
            (1..3).for_each(|block| writer.note(record(block)));
            wait_for(3);
            assert_eq!(writer.flush(), 3, "nothing is left to be written");
            writer.note(record(3));
            assert_eq!((writer.flush(), writer.flush()), (4, 4));
            assert_eq!(recorded(&disk.after_power_cut()), (0..4).map(record).collect::<Vec<_>>());
            writer.close();
            writer.note(record(4));
            assert_eq!((writer.flush(), recorded(&disk).len()), (0, 4));
        }
    }

    #[test]
    fn data_that_cannot_be_made_durable_are_not_recorded_and_whoever_publishes_hears_of_it() {
        let disk = Model::new(0);
        let writer = Arc::new(writer(&disk, None));
        assert!(writer.failure().is_none());
        writer.note(record(0));
        disk.break_with(Some(Fault { from: 0, once: true, error: io::ErrorKind::StorageFull }));
        assert_eq!(writer.flush(), 0);
        assert_eq!(writer.failure().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
        assert_eq!(recorded(&disk), []);
    }

    fn writer(disk: &Model, to_thread: Option<Sender<Arc<JournalWriter>>>) -> JournalWriter {
        let create = |text| disk.create(&name(text)).expect("a good disk");
        let (file, journal) = (create("file").into(), create("journal"));
        let identity = Identity::of(&announce("image"), "image");
        let journal = Journal::begin(journal, &identity, SessionId([1; 16])).expect("a good disk");
        JournalWriter::new(Arc::new(disk.clone()), "/".into(), file, journal, to_thread)
    }

    fn recorded(disk: &Model) -> Vec<BlockRecord> {
        let journal =
            disk.open(&name("journal"), super::super::dir::Access::Write).expect("its name is durable");
        Journal::read(journal).map_or_else(|_| Vec::new(), |old| old.records)
    }

    fn record(block: u32) -> BlockRecord {
        BlockRecord { block: BlockIndex(block), hash: BlockHash([block as u8; 32]) }
    }
}
