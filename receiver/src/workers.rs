//! The worker threads: what takes long or blocks, away from the thread that receives.
//!
//! Blocks go to several workers, what is about a whole file to one of its own, so that an fsync does not keep blocks
//! of another object waiting. The queues are bounded by the receive loop: it hands out no more than [`QUEUE_MAX`] jobs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glancecast_platform::locks::lock;
use glancecast_platform::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::{
    Attempt, BlockOutcome, BlockRoom, Failure, Proof, Published, Returned, Work,
};
use glancecast_proto::wire::FailureKind;

use crate::pool::Pages;
use crate::rate_limit::RateLimit;
use crate::rebuild::{Rebuilder, failure};
use crate::stages::{Clocks, Stage};
use crate::store::{BaseFile, Existing, PartialFile, Publication, Store, Unpublished};
use crate::write_limit::WriteLimit;

/// Jobs that are handed out and not answered, at most. More would only hold buffers.
pub(crate) const QUEUE_MAX: usize = 32;

/// Something for a worker.
pub(crate) enum Task {
    /// Prove and write a block.
    Block {
        attempt: Attempt,
        geometry: Geometry,
        work: Work,
        buffer: Option<Pages>,
        file: Arc<Unpublished>,
        base: Option<Arc<BaseFile>>,
    },
    /// Publish a file.
    Publish { attempt: Attempt, file: Arc<Unpublished>, proof: Proof },
    /// Compare a file that is there.
    Compare { attempt: Attempt, file: Existing, root: Root },
    /// Put an unfinished file away: whoever holds it last makes it durable.
    PutAway { file: Arc<Unpublished>, store: Store },
    /// Remove unfinished files that are too old.
    Clean { store: Store },
}

/// What came of it.
pub(crate) enum Answer {
    /// Of a block.
    Block { attempt: Attempt, block: BlockIndex, buffer: Option<(Returned, Pages)>, outcome: BlockOutcome },
    /// An unfinished file is put away, and nobody holds it.
    PutAway,
    /// Of a file.
    Published { attempt: Attempt, result: Result<Published, Failure> },
}

/// What the threads are held to, so that the guests of this host keep their disk.
#[derive(Clone)]
struct Rates {
    writes: Arc<WriteLimit>,
    reads: Arc<RateLimit>,
}

/// The threads, and the way to them and back.
pub(crate) struct Workers {
    blocks: SyncSender<Task>,
    files: SyncSender<Task>,
    answers: Receiver<Answer>,
    outstanding: usize,
    limit: Arc<WriteLimit>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads; `waker` is used for each answer. Blocks are written no faster than `limit` says, and a file that
    /// is there already is read no faster than `reads` says.
    pub(crate) fn start(
        waker: &Waker,
        clocks: &Clocks,
        limit: WriteLimit,
        reads: &Arc<RateLimit>,
    ) -> std::io::Result<Self> {
        let rates = Rates { writes: Arc::new(limit), reads: Arc::clone(reads) };
        let mut threads = Vec::new();
        let (blocks, block_tasks) = sync_channel(QUEUE_MAX);
        let (files, file_tasks) = sync_channel(QUEUE_MAX);
        let (answer, answers) = channel();
        let block_tasks = Arc::new(Mutex::new(block_tasks));
        for i in 0..block_workers() {
            let (tasks, answer, waker) = (Arc::clone(&block_tasks), answer.clone(), waker.clone());
            let (clocks, rates) = (Arc::clone(clocks), rates.clone());
            let work = move || work(&tasks, &answer, &waker, &clocks, &rates);
            threads.push(thread::Builder::new().name(format!("block-{i}")).spawn(work)?);
        }
        let (tasks, waker, clocks) = (Arc::new(Mutex::new(file_tasks)), waker.clone(), Arc::clone(clocks));
        let limit = Arc::clone(&rates.writes);
        let work = move || work(&tasks, &answer, &waker, &clocks, &rates);
        threads.push(thread::Builder::new().name("publish".into()).spawn(work)?);
        Ok(Self { blocks, files, answers, outstanding: 0, limit, threads })
    }

    /// Whether another block may be handed out.
    pub(crate) fn room(&self) -> BlockRoom {
        if self.outstanding < QUEUE_MAX { BlockRoom::Free } else { BlockRoom::Full }
    }

    /// Hands a task out. Never waits: there is room, see [`Workers::room`], and files come one at a time.
    pub(crate) fn give(&mut self, task: Task) {
        let queue = match task {
            Task::Block { .. } => {
                self.outstanding += 1;
                &self.blocks
            }
            Task::Publish { .. } | Task::Compare { .. } | Task::PutAway { .. } | Task::Clean { .. } => {
                &self.files
            }
        };
        queue.send(task).expect("workers live as long as their queue");
    }

    /// Has unfinished files that are too old removed, unless that waits already.
    pub(crate) fn clean(&self, store: &Store) {
        if self.files.try_send(Task::Clean { store: store.clone() }).is_err() {
            tracing::debug!("the store is not looked over: its worker is busy");
        }
    }

    /// Nothing more is written for this attempt: blocks of it that still wait are answered at once.
    pub(crate) fn give_up(&self, attempt: Attempt) {
        self.limit.give_up(attempt.number());
    }

    /// Ends the threads and waits for them, so that nobody holds a file any more.
    pub(crate) fn join(self) {
        let Self { blocks, files, answers, threads, .. } = self;
        drop((blocks, files, answers));
        threads.into_iter().for_each(|thread| thread.join().expect("a panic ends the program"));
    }

    /// The next answer, if there is one.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        if matches!(answer, Answer::Block { .. }) {
            self.outstanding -= 1;
        }
        Some(answer)
    }
}

/// One worker's life: it ends when the receive loop drops its queue.
fn work(
    tasks: &Mutex<Receiver<Task>>,
    answers: &Sender<Answer>,
    waker: &Waker,
    clocks: &Clocks,
    rates: &Rates,
) {
    let mut rebuilder: Option<(Geometry, Rebuilder)> = None;
    loop {
        let task = lock(tasks).recv();
        let Ok(task) = task else { return };
        let answer = match task {
            Task::Block { attempt, geometry, work, buffer, file, base } => {
                let answer = if rates.writes.wait(attempt.number(), bytes_to_write(geometry, &work)) {
                    let rebuilder = rebuilder_for(&mut rebuilder, geometry, clocks);
                    prove(rebuilder, attempt, geometry, work, buffer, (file.file(), base.as_deref()))
                } else {
                    given_up(attempt, work, buffer)
                };
                drop(file);
                answer
            }
            Task::Publish { attempt, file, proof } => {
                let result = clocks.time(Stage::Publish as usize, 0, || publish(file, &proof));
                Answer::Published { attempt, result }
            }
            Task::PutAway { mut file, store } => {
                // Blocks of it that are being written end soon: it is given up.
                while let Err(shared) = Arc::try_unwrap(file) {
                    file = shared;
                    thread::sleep(LET_GO_POLL);
                }
                clean(&store);
                Answer::PutAway
            }
            Task::Clean { store } => {
                clean(&store);
                continue;
            }
            Task::Compare { attempt, file, root } => {
                let is_wanted = || !rates.writes.is_given_up(attempt.number());
                let wanted = || rates.reads.wait(Existing::STEP_BYTES, is_wanted);
                let compared = file.compare(root, &wanted);
                let result = compared.map(|()| Published::Existing).map_err(failure);
                Answer::Published { attempt, result }
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
        waker.wake();
    }
}

fn bytes_to_write(geometry: Geometry, work: &Work) -> u64 {
    match work {
        Work::Zero { .. } | Work::Recheck { .. } => 0,
        Work::Rebuild { block, .. } | Work::Reuse { block, .. } => u64::from(geometry.block_len(*block)),
    }
}

fn rebuilder_for<'a>(
    kept: &'a mut Option<(Geometry, Rebuilder)>,
    geometry: Geometry,
    clocks: &Clocks,
) -> &'a mut Rebuilder {
    if kept.as_ref().is_none_or(|(of, _)| *of != geometry) {
        let rebuilder = Rebuilder::new(geometry, Arc::clone(clocks))
            .expect("a zstd context needs memory and nothing else");
        *kept = Some((geometry, rebuilder));
    }
    &mut kept.as_mut().expect("just made").1
}

fn prove(
    rebuilder: &mut Rebuilder,
    attempt: Attempt,
    geometry: Geometry,
    work: Work,
    buffer: Option<Pages>,
    (file, base): (&PartialFile, Option<&BaseFile>),
) -> Answer {
    match work {
        Work::Zero { block } => {
            let outcome = rebuilder.zero(geometry, block, file);
            Answer::Block { attempt, block, buffer: None, outcome }
        }
        Work::Reuse { block, entry, origin } => {
            let outcome = rebuilder.reuse(geometry, block, &entry, (origin, base), file);
            Answer::Block { attempt, block, buffer: None, outcome }
        }
        Work::Recheck { block, entry } => {
            let outcome = rebuilder.recheck(geometry, block, &entry, file);
            Answer::Block { attempt, block, buffer: None, outcome }
        }
        Work::Rebuild { block, entry, buffer: id, collected } => {
            let mut bytes = buffer.expect("a block with symbols has its buffer");
            let outcome = rebuilder.block(geometry, block, &entry, &collected, &mut bytes, file);
            let returned = Returned { buffer: id, collected };
            Answer::Block { attempt, block, buffer: Some((returned, bytes)), outcome }
        }
    }
}

/// What is answered of a block that nobody wants any more.
fn given_up(attempt: Attempt, work: Work, buffer: Option<Pages>) -> Answer {
    let outcome = BlockOutcome::Failed(Failure::new(FailureKind::Stopping, "given up"));
    match work {
        Work::Zero { block } | Work::Recheck { block, .. } | Work::Reuse { block, .. } => {
            Answer::Block { attempt, block, buffer: None, outcome }
        }
        Work::Rebuild { block, buffer: id, collected, .. } => {
            let buffer = buffer.map(|bytes| (Returned { buffer: id, collected }, bytes));
            Answer::Block { attempt, block, buffer, outcome }
        }
    }
}

/// A worker lets go of the file before it answers, and all blocks were answered before the machine asked to publish: so
/// this is the last one who holds it.
fn publish(file: Arc<Unpublished>, proof: &Proof) -> Result<Published, Failure> {
    let file = Arc::try_unwrap(file).expect("no block of this file is being written");
    let publication = file.publish(proof).map_err(failure)?;
    Ok(match publication {
        Publication::New => Published::New,
        Publication::Existing => Published::Existing,
    })
}

fn clean(store: &Store) {
    if let Err(error) = store.clean() {
        tracing::warn!("cannot clear away what is unfinished: {error}");
    }
}

const LET_GO_POLL: Duration = Duration::from_millis(1);

/// One for each core but the one that receives, and no more than keep a disk busy; two at least, as one waits for the disk.
/// With two, a receiver on two cores took 9.2 Gbit/s where it had refused a fifth of 8 with one.
fn block_workers() -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).clamp(2, 4)
}
