//! The encoding thread: makes symbols from the spool, of blocks that have left the send loop's memory.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;

use glancecast_fec::{BlockShape, Codec, Esi};
use glancecast_platform::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::sender::Job;
use glancecast_proto::wire::{ManifestEntry, SymbolHash};

use super::spool::{Spool, SpoolError};
use super::stages::{Clocks, Stage};

/// The maximum number of jobs in the encoder's queue and at work.
pub(crate) const QUEUE_MAX: usize = 4;

/// Symbols of one block in the order of their ESIs.
pub(crate) enum Prepared {
    /// They are ready to be sealed. Only whole symbols.
    Symbols(Job, Vec<u8>),
    /// Their hashes, for hosts that suspect some of them to be forged; `None` if the block cannot be read any more.
    Hashes(Job, Option<Vec<SymbolHash>>),
}

/// What symbols are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// To be sent.
    ToSend,
    /// To be hashed.
    ToHash,
}

/// The send loop's end of the encoder.
pub(crate) struct EncoderThread {
    jobs: SyncSender<(Job, ManifestEntry, Made)>,
    prepared: Receiver<Result<Prepared, SpoolError>>,
    empty: Sender<Vec<u8>>,
    outstanding: usize,
}

impl EncoderThread {
    pub(crate) fn start(
        geometry: Geometry,
        spool: Spool,
        waker: Waker,
        clocks: Clocks,
    ) -> std::io::Result<Self> {
        let (jobs, work) = sync_channel::<(Job, ManifestEntry, Made)>(QUEUE_MAX);
        let (to_drive, prepared) = channel();
        let (empty, empties) = channel();
        let mut worker = Worker { geometry, spool, empties, source: Vec::new(), codec: Codec::new() };
        thread::Builder::new().name("encode".into()).spawn(move || {
            for (job, entry, made) in work {
                let bytes = entry.encoded_len(geometry, job.block()) as usize;
                let prepared = clocks.time(Stage::Encode as usize, bytes, || match made {
                    Made::ToSend => Ok(Prepared::Symbols(job, worker.prepare(job, &entry)?)),
                    Made::ToHash => Ok(Prepared::Hashes(job, worker.hash(job, &entry))),
                });
                if to_drive.send(prepared).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { jobs, prepared, empty, outstanding: 0 })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.outstanding < QUEUE_MAX
    }

    /// Hands a job out. Never blocks if there is room, see [`EncoderThread::has_room`].
    pub(crate) fn give(&mut self, job: Job, entry: ManifestEntry, made: Made) {
        self.outstanding += 1;
        self.jobs.send((job, entry, made)).expect("the encoder lives as long as its queue");
    }

    pub(crate) fn next(&mut self) -> Option<Result<Prepared, SpoolError>> {
        match self.prepared.try_recv() {
            Ok(prepared) => {
                self.outstanding -= 1;
                Some(prepared)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        let _ = self.empty.send(buffer);
    }
}

/// Appends `count` repair symbols to a block's source symbols, from ESI `first` on.
pub(crate) fn append_repair(
    codec: &mut Codec,
    shape: BlockShape,
    symbols: &mut Vec<u8>,
    first: Esi,
    count: u32,
) {
    if count > 0 {
        symbols.resize(shape.source_bytes() + count as usize * shape.symbol_size(), 0);
        let (source, repair) = symbols.split_at_mut(shape.source_bytes());
        codec.encode(shape, source, first, repair);
    }
}

struct Worker {
    geometry: Geometry,
    spool: Spool,
    empties: Receiver<Vec<u8>>,
    /// The source symbols from which repair symbols are made.
    source: Vec<u8>,
    codec: Codec,
}

impl Worker {
    /// Returns the hashes of the symbols of a job, unless its block cannot be read any more: then the next repair tells.
    fn hash(&mut self, job: Job, entry: &ManifestEntry) -> Option<Vec<SymbolHash>> {
        let symbols = self.prepare(job, entry).ok()?;
        let size = usize::from(self.geometry.symbol_size());
        Some(symbols.chunks_exact(size).map(SymbolHash::of).collect())
    }

    fn prepare(&mut self, job: Job, entry: &ManifestEntry) -> Result<Vec<u8>, SpoolError> {
        let block = job.block();
        let len = entry.encoded_len(self.geometry, block);
        let shape = self.geometry.shape(len);
        let mut symbols = self.empties.try_recv().unwrap_or_default();
        let source = match job {
            Job::Source { .. } => &mut symbols,
            Job::Repair { .. } => &mut self.source,
        };
        source.resize(len as usize, 0);
        self.spool.read(block, entry, source)?;
        source.resize(shape.source_bytes(), 0);
        match job {
            Job::Source { first, repair, .. } => {
                append_repair(&mut self.codec, shape, &mut symbols, first, repair);
            }
            Job::Repair { first, count, .. } => {
                symbols.resize(count as usize * shape.symbol_size(), 0);
                self.codec.encode(shape, &self.source, first, &mut symbols);
            }
        }
        Ok(symbols)
    }
}
