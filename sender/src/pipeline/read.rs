//! The reading threads: from source to blocks. They take turns reading the source, and each packs the block that it has
//! read. So a block is processed while it is in one core's cache, and all cores can work. The order of the object is
//! kept: a worker takes a slot in the send loop's queue during its turn, and fills it when the block is packed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use glancecast_platform::locks::lock;
use glancecast_platform::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;

use super::compress::Compression;
use super::pack::{Content, Packed, Packer};
use super::policy::Policy;
use super::policy::Purpose;
use super::source::{Source, SourceError};
use super::spool::Spool;
use super::stages::{Clocks, Stage};

/// An item from the reader, in the order of the object.
pub(crate) enum Read {
    /// The spool; it comes first, so that repairs can be made as soon as there are blocks.
    Spool(Spool),
    /// A block.
    Block(Packed),
    /// All blocks were handed over, and the source's final check has passed.
    Proven,
    /// The source's check failed, or it could not be read.
    Failed(String),
}

/// A slot in the send loop's queue, to be filled once.
type Slot = Receiver<Read>;

/// The send loop's end of the reader.
pub(crate) struct Reader {
    slots: Receiver<Slot>,
    /// The next slot, if it is not filled yet.
    head: Option<Slot>,
    empty: Sender<Vec<u8>>,
    ahead: Arc<AtomicU32>,
    policy: Arc<Policy>,
}

/// The parameters of a reader, apart from the object's geometry.
pub(crate) struct Reading {
    pub(crate) source: Box<dyn Source>,
    /// The spool's directory.
    pub(crate) spool: PathBuf,
    pub(crate) compression: Compression,
    /// The initial rate of the line, in bits per second.
    pub(crate) rate: u64,
    /// The initial number of repair symbols that are made with each whole block.
    pub(crate) ahead: u32,
    pub(crate) purpose: Purpose,
}

impl Reader {
    /// Starts the threads.
    pub(crate) fn start(
        reading: Reading,
        geometry: Geometry,
        waker: &Waker,
        clocks: &Clocks,
    ) -> std::io::Result<Self> {
        let workers = workers();
        let (to_send_loop, slots) = sync_channel(SLOTS_PER_WORKER * workers);
        let (empty, empties) = channel();
        let ahead = Arc::new(AtomicU32::new(reading.ahead));
        let policy = Arc::new(Policy::new(reading.compression, workers, reading.purpose, reading.rate));
        let reader = Self { slots, head: None, empty, ahead, policy };
        let again = reading.source.again().map(std::fs::File::try_clone).transpose()?;
        let input = Input {
            source: reading.source,
            geometry,
            next: 0,
            ended: false,
            to_send_loop,
            empties,
            waker: waker.clone(),
        };
        let spool = match Spool::new(geometry, again, reading.spool) {
            Ok(spool) => spool,
            Err(error) => {
                let reason =
                    format!("cannot make a spool for repairs: {error} (choose its directory with --spool)");
                let _ = input.put(Read::Failed(reason));
                return Ok(reader);
            }
        };
        let _ = input.put(Read::Spool(spool.clone()));
        let input = Arc::new(Mutex::new(input));
        for i in 0..workers {
            let (policy, ahead) = (Arc::clone(&reader.policy), Arc::clone(&reader.ahead));
            let (clocks_too, purpose) = (Arc::clone(clocks), reading.purpose);
            let packer = Packer::new(geometry, spool.clone(), policy, clocks_too, ahead, purpose)?;
            let worker = Worker {
                input: Arc::clone(&input),
                packer,
                waker: waker.clone(),
                clocks: Arc::clone(clocks),
            };
            thread::Builder::new().name(format!("read-{i}")).spawn(move || worker.run())?;
        }
        Ok(reader)
    }

    /// Sets the number of repair symbols that are made with each whole block, from the next block on.
    pub(crate) fn make_ahead(&self, repair: u32) {
        self.ahead.store(repair, Ordering::Relaxed);
    }

    /// Sets the line's current rate, in bits per second.
    pub(crate) fn set_rate(&self, bits_per_second: u64) {
        self.policy.set_rate(bits_per_second);
    }

    /// Returns the next item, if it is ready.
    pub(crate) fn next(&mut self) -> Option<Read> {
        let head = match self.head.take() {
            Some(head) => head,
            None => self.slots.try_recv().ok()?,
        };
        match head.try_recv() {
            Ok(read) => {
                if matches!(read, Read::Block(..)) {
                    self.policy.taken();
                }
                Some(read)
            }
            Err(TryRecvError::Empty) => {
                self.head = Some(head);
                None
            }
            Err(TryRecvError::Disconnected) => unreachable!("who takes a slot fills it"),
        }
    }

    /// Takes a block's buffer back for reuse.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        let _ = self.empty.send(buffer); // the workers may have ended
    }
}

/// The state that the workers share, one at a time.
struct Input {
    source: Box<dyn Source>,
    geometry: Geometry,
    /// The next block to read.
    next: u32,
    /// Whether there is nothing more to read, or the send loop has ended.
    ended: bool,
    to_send_loop: SyncSender<Slot>,
    empties: Receiver<Vec<u8>>,
    waker: Waker,
}

/// The send loop has ended, and needs no more blocks.
struct Unwanted;

/// A block that was read, and the slot for its result.
struct Taken {
    block: BlockIndex,
    content: Content,
    slot: SyncSender<Read>,
}

impl Input {
    /// Reads the next block and takes its slot in the send loop's queue; blocks while that is full.
    fn take(&mut self, clocks: &Clocks) -> Option<Taken> {
        if self.ended {
            return None;
        }
        if self.next == self.geometry.blocks() {
            let last = match self.source.finish() {
                Ok(()) => Read::Proven,
                Err(error) => Read::Failed(error.to_string()),
            };
            self.end(last);
            return None;
        }
        let block = BlockIndex(self.next);
        self.next += 1;
        match self.read(block, clocks) {
            Ok(content) => match self.reserve() {
                Ok(slot) => Some(Taken { block, content, slot }),
                Err(Unwanted) => {
                    self.ended = true;
                    None
                }
            },
            Err(error) => {
                self.end(Read::Failed(error.to_string()));
                None
            }
        }
    }

    fn read(&mut self, block: BlockIndex, clocks: &Clocks) -> Result<Content, SourceError> {
        let len = self.geometry.block_len(block) as usize;
        if self.source.skip_hole(len) {
            return Ok(Content::Hole);
        }
        let mut buffer = self.empties.try_recv().unwrap_or_default();
        buffer.resize(len, 0);
        let got = clocks.time(Stage::Read as usize, len, || self.source.fill(&mut buffer))?;
        if got < len {
            let expected = self.geometry.object_bytes();
            let got = self.geometry.offset(block) + got as u64;
            return Err(SourceError::Length { name: "the image".into(), got, expected });
        }
        Ok(Content::Bytes(buffer))
    }

    fn end(&mut self, last: Read) {
        self.ended = true;
        let _ = self.put(last);
    }

    fn reserve(&self) -> Result<SyncSender<Read>, Unwanted> {
        let (fill, slot) = sync_channel(1);
        self.to_send_loop.send(slot).map_err(|_| Unwanted)?;
        Ok(fill)
    }

    fn put(&self, read: Read) -> Result<(), Unwanted> {
        let slot = self.reserve()?;
        let _ = slot.send(read); // the slot has room for one
        self.waker.wake();
        Ok(())
    }
}

struct Worker {
    input: Arc<Mutex<Input>>,
    packer: Packer,
    waker: Waker,
    clocks: Clocks,
}

impl Worker {
    fn run(mut self) {
        while let Some(Taken { block, content, slot }) = self.take() {
            let read = match self.packer.pack(block, content) {
                Ok(packed) => Read::Block(packed),
                Err(error) => {
                    self.lock().ended = true;
                    Read::Failed(error.to_string())
                }
            };
            if slot.send(read).is_err() {
                return; // the send loop has ended
            }
            self.waker.wake();
        }
    }

    fn take(&self) -> Option<Taken> {
        self.lock().take(&self.clocks)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Input> {
        lock(&self.input)
    }
}

/// The number of workers: one per core. The sender's other threads are idle most of the time, and on a slow line the
/// workers are too.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get).clamp(2, 8)
}

/// Slots in the send loop's queue per worker. With the blocks being sent they bound the sender's memory: some 4 MiB per
/// worker.
const SLOTS_PER_WORKER: usize = 3;
