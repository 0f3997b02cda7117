//! The reading threads: source to blocks. They take turns at the source, and each packs what it has read, so that a
//! block is looked at while it is in one core's cache and all cores can be at work. What they give the send loop is in
//! the order of the object: a slot in its queue is taken with the turn, and filled when the block is packed.

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

/// What comes out of the reader, in the order of the object.
pub(crate) enum Read {
    /// The spool, first of all: repairs can be made as soon as blocks are there.
    Spool(Spool),
    /// A block.
    Block(Packed),
    /// All blocks were handed over, and the source is what it should be.
    Proven,
    /// It is not, or it cannot be read.
    Failed(String),
}

/// A slot in the send loop's queue, to be filled once.
type Slot = Receiver<Read>;

/// The send loop's end of the reader.
pub(crate) struct Reader {
    slots: Receiver<Slot>,
    /// The next one, where it is not filled yet.
    head: Option<Slot>,
    empty: Sender<Vec<u8>>,
    ahead: Arc<AtomicU32>,
    policy: Arc<Policy>,
}

/// What a reader needs besides the object.
pub(crate) struct Reading {
    pub(crate) source: Box<dyn Source>,
    /// The directory for what repairs are made from.
    pub(crate) spool: PathBuf,
    pub(crate) compression: Compression,
    /// What the line takes to begin with, in bits per second.
    pub(crate) rate: u64,
    /// Repair symbols with each whole block, from the first one on.
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

    /// Sets the bits per second that the line takes now.
    pub(crate) fn set_rate(&self, bits_per_second: u64) {
        self.policy.set_rate(bits_per_second);
    }

    /// What was read next, if it is there.
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

    /// Takes a block's buffer back for another block.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        let _ = self.empty.send(buffer); // at the end nobody wants it any more
    }
}

/// What the workers take turns at.
struct Input {
    source: Box<dyn Source>,
    geometry: Geometry,
    /// The block to be read next.
    next: u32,
    /// There is nothing more to read, or nobody wants it.
    ended: bool,
    to_send_loop: SyncSender<Slot>,
    empties: Receiver<Vec<u8>>,
    waker: Waker,
}

/// The send loop has ended; nobody wants more.
struct Unwanted;

/// A block that was read, and where it goes.
struct Taken {
    block: BlockIndex,
    content: Content,
    slot: SyncSender<Read>,
}

impl Input {
    /// Reads the next block and takes its slot in the send loop's queue, waiting while that is full.
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
        let _ = slot.send(read); // it has room for one
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

/// One for each core: the others of the sender are idle most of the time, and on a slow line these are too.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get).clamp(2, 8)
}

/// Blocks that are read and have not left the send loop's queue. With those being sent they bound the sender's memory:
/// some 4 MiB for each worker.
const SLOTS_PER_WORKER: usize = 3;
