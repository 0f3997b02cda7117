//! The reading thread: source to blocks. Each block is looked at once while it is in cache: zero or not, its hash, its
//! copy in the spool, the repair symbols that will be needed; then it goes to the drive, which is slower than this thread
//! or is kept waiting by it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

use glancecast_fec::{Codec, Esi};
use glancecast_host::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::wire::{Encoding, ManifestEntry};

use super::encode::append_repair;
use super::source::{Source, SourceError};
use super::spool::Spool;
use super::stages::{Clocks, Stage};

/// Blocks between the reader and the drive. With those being sent it bounds the sender's memory: some 12 MiB.
const QUEUE_BLOCKS: usize = 8;

/// What comes out of the reader, in the order of the object.
pub(crate) enum Read {
    /// The spool, first of all: repairs can be made as soon as blocks are there.
    Spool(Spool),
    /// A block with symbols, or zeros.
    Block(ManifestEntry, Option<Symbols>),
    /// All blocks were handed over, and the source is what it should be.
    Proven,
    /// It is not, or it cannot be read.
    Failed(String),
}

/// A block's K source symbols, the last one with zero padding, and the first repair symbols behind them.
pub(crate) struct Symbols {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ahead: u32,
}

/// The drive's end of the reader.
pub(crate) struct Reader {
    blocks: Receiver<Read>,
    empty: Sender<Vec<u8>>,
    ahead: Arc<AtomicU32>,
}

impl Reader {
    /// Starts the thread. `spool` is the directory for the spool where the source cannot be read again.
    pub(crate) fn start(
        source: Box<dyn Source>,
        geometry: Geometry,
        spool: PathBuf,
        waker: Waker,
        clocks: Clocks,
    ) -> std::io::Result<Self> {
        let (to_drive, blocks) = sync_channel(QUEUE_BLOCKS);
        let (empty, empties) = channel();
        let ahead = Arc::new(AtomicU32::new(0));
        let worker = Worker {
            source,
            geometry,
            to_drive,
            empties,
            waker,
            clocks,
            ahead: Arc::clone(&ahead),
            codec: Codec::new(),
        };
        thread::Builder::new().name("read".into()).spawn(move || worker.run(spool))?;
        Ok(Self { blocks, empty, ahead })
    }

    /// From the next block on, so many repair symbols are made with each whole block.
    pub(crate) fn make_ahead(&self, repair: u32) {
        self.ahead.store(repair, Ordering::Relaxed);
    }

    /// What was read next, if it is there.
    pub(crate) fn next(&self) -> Option<Read> {
        self.blocks.try_recv().ok()
    }

    /// Gives a block's buffer back for another block.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        let _ = self.empty.send(buffer); // at the end nobody wants it any more
    }
}

struct Worker {
    source: Box<dyn Source>,
    geometry: Geometry,
    to_drive: SyncSender<Read>,
    empties: Receiver<Vec<u8>>,
    waker: Waker,
    clocks: Clocks,
    ahead: Arc<AtomicU32>,
    codec: Codec,
}

impl Worker {
    fn run(mut self, spool: PathBuf) {
        let last = match self.read_all(spool) {
            Ok(()) => Read::Proven,
            Err(Stop::Failed(reason)) => Read::Failed(reason),
            Err(Stop::Unwanted) => return,
        };
        let _ = self.give(last);
    }

    fn read_all(&mut self, spool: PathBuf) -> Result<(), Stop> {
        let spool = match self.source.again() {
            Some(file) => Spool::over(self.geometry, file),
            None => Spool::create(self.geometry, &spool),
        };
        let spool = spool.map_err(|error| {
            Stop::Failed(format!(
                "cannot make a spool for repairs: {error} (choose its directory with --spool)"
            ))
        })?;
        self.give(Read::Spool(spool.clone()))?;
        for block in self.geometry.indices() {
            let read = self.read_block(block, &spool)?;
            self.give(read)?;
        }
        Ok(self.source.finish()?)
    }

    fn read_block(&mut self, block: BlockIndex, spool: &Spool) -> Result<Read, Stop> {
        let len = self.geometry.block_len(block) as usize;
        let mut buffer = self.empties.try_recv().unwrap_or_default();
        buffer.resize(len, 0);
        let got = self.clocks.time(Stage::Read as usize, len, || self.source.fill(&mut buffer))?;
        if got < len {
            let expected = self.geometry.object_bytes();
            let got = self.geometry.offset(block) + got as u64;
            return Err(SourceError::Length { name: "the image".into(), got, expected }.into());
        }
        let look = || (BlockHash::of(self.geometry, block, &buffer), is_zero(&buffer));
        let (hash, zero) = self.clocks.time(Stage::Hash as usize, len, look);
        if zero {
            return Ok(Read::Block(ManifestEntry { encoding: Encoding::Zero, hash }, None));
        }
        let keep = || spool.keep(block, &buffer);
        self.clocks
            .time(Stage::Spool as usize, len, keep)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let shape = self.geometry.shape(len as u32);
        buffer.resize(shape.source_bytes(), 0);
        let wanted = self.ahead.load(Ordering::Relaxed) * shape.source_symbols();
        let ahead = wanted.div_ceil(self.geometry.symbols_max());
        let start = Instant::now();
        append_repair(&mut self.codec, shape, &mut buffer, Esi::first_repair(shape), ahead);
        self.clocks.add(Stage::Encode as usize, start, if ahead > 0 { len } else { 0 });
        let symbols = Symbols { bytes: buffer, ahead };
        Ok(Read::Block(ManifestEntry { encoding: Encoding::Stored, hash }, Some(symbols)))
    }

    /// Waits while the drive is busy; ends when it is gone.
    fn give(&mut self, read: Read) -> Result<(), Stop> {
        self.to_drive.send(read).map_err(|_| Stop::Unwanted)?;
        self.waker.wake();
        Ok(())
    }
}

enum Stop {
    Failed(String),
    /// The drive has ended; nobody wants more.
    Unwanted,
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Compared in pieces that `memcmp` runs through at memory speed.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| piece == &ZEROS[..piece.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_makes_a_block_not_zero() {
        let mut bytes = vec![0; 10_000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 4095, 4096, 9_999] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
