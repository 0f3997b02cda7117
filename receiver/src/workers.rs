//! The worker threads, which do everything slow or blocking for the receive loop.
//!
//! Several workers handle blocks; one more handles whole files, so that an fsync does not delay blocks of another
//! object. The receive loop bounds the queues: it hands out at most [`QUEUE_MAX`] jobs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glancecast_platform::locks::lock;
use glancecast_platform::units::Rate;
use glancecast_platform::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::{
    Attempt, BlockOutcome, BlockRoom, Failure, Proof, Published, Returned, Work,
};
use glancecast_proto::wire::{CommandOutcome, FailureKind};

use crate::on_published::Hook;
use crate::pool::Pages;
use crate::rate_limit::RateLimit;
use crate::rebuild::{Rebuilder, failure};
use crate::stages::{Clocks, Stage};
use crate::store::{BaseFile, Existing, PartialFile, Publication, Store, Unpublished};
use crate::write_limit::WriteLimit;

/// Most jobs handed out and not answered yet. More would only tie up buffers.
pub(crate) const QUEUE_MAX: usize = 32;

/// A job for a worker.
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
    /// Compare a file that exists already.
    Compare { attempt: Attempt, file: Existing, root: Root },
    /// Put an unfinished file away: dropping its last reference makes it durable.
    PutAway { file: Arc<Unpublished>, store: Store },
    /// Remove unfinished files that are too old.
    Clean { store: Store },
}

/// The result of a task.
pub(crate) enum Answer {
    /// The outcome of a block.
    Block { attempt: Attempt, block: BlockIndex, buffer: Option<(Returned, Pages)>, outcome: BlockOutcome },
    /// An unfinished file is put away, and nothing refers to it any more.
    PutAway,
    /// The outcome of [`Task::Publish`] or [`Task::Compare`].
    Published { attempt: Attempt, result: Result<Published, Failure>, command: CommandOutcome },
}

/// Caps on the threads' reads and writes, so that the guests of this host keep their disk.
#[derive(Clone)]
struct Rates {
    writes: Arc<WriteLimit>,
    reads: Arc<RateLimit>,
}

/// The threads and the channels to and from them.
pub(crate) struct Workers {
    blocks: SyncSender<Task>,
    files: SyncSender<Task>,
    answers: Receiver<Answer>,
    outstanding: usize,
    limit: Arc<WriteLimit>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads. Each answer triggers `waker`. `limit` caps how fast blocks are written, `reads` how fast
    /// existing files are read. `hook` runs a command for each image that is published.
    pub(crate) fn start(
        waker: &Waker,
        clocks: &Clocks,
        limit: WriteLimit,
        reads: &Arc<RateLimit>,
        hook: Option<Hook>,
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
            let work = move || work(&tasks, &answer, &waker, &clocks, &rates, None);
            threads.push(thread::Builder::new().name(format!("block-{i}")).spawn(work)?);
        }
        let (tasks, waker, clocks) = (Arc::new(Mutex::new(file_tasks)), waker.clone(), Arc::clone(clocks));
        let limit = Arc::clone(&rates.writes);
        let work = move || work(&tasks, &answer, &waker, &clocks, &rates, hook.as_ref());
        threads.push(thread::Builder::new().name("publish".into()).spawn(work)?);
        Ok(Self { blocks, files, answers, outstanding: 0, limit, threads })
    }

    /// Whether another block may be handed out.
    pub(crate) fn room(&self) -> BlockRoom {
        if self.outstanding < QUEUE_MAX { BlockRoom::Free } else { BlockRoom::Full }
    }

    /// Queues a task. Never blocks: the caller checks [`Workers::room`], and files come one at a time.
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

    /// Queues the removal of unfinished files that are too old, unless the queue for files is full.
    pub(crate) fn clean(&self, store: &Store) {
        if self.files.try_send(Task::Clean { store: store.clone() }).is_err() {
            tracing::debug!("the store is not looked over: its worker is busy");
        }
    }

    /// Puts another cap on writes in the place of the old one.
    pub(crate) fn set_write_rate(&self, rate: Option<Rate>) {
        self.limit.set(rate);
    }

    /// Ends all writes for an attempt: its blocks that still wait are answered at once.
    pub(crate) fn give_up(&self, attempt: Attempt) {
        self.limit.give_up(attempt.number());
    }

    /// Ends the threads and waits for them, so that none holds a file any more.
    pub(crate) fn join(self) {
        let Self { blocks, files, answers, threads, .. } = self;
        drop((blocks, files, answers));
        threads.into_iter().for_each(|thread| thread.join().expect("a panic ends the program"));
    }

    /// Returns the next answer, if there is one.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        if matches!(answer, Answer::Block { .. }) {
            self.outstanding -= 1;
        }
        Some(answer)
    }
}

/// Runs a worker until the receive loop drops its queue.
fn work(
    tasks: &Mutex<Receiver<Task>>,
    answers: &Sender<Answer>,
    waker: &Waker,
    clocks: &Clocks,
    rates: &Rates,
    hook: Option<&Hook>,
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
                let (result, command) =
                    match clocks.time(Stage::Publish as usize, 0, || publish(file, &proof, hook)) {
                        Ok((published, command)) => (Ok(published), command),
                        Err(failure) => (Err(failure), CommandOutcome::None),
                    };
                Answer::Published { attempt, result, command }
            }
            Task::PutAway { mut file, store } => {
                // The attempt is given up, so its blocks that are being written end soon.
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
                Answer::Published { attempt, result, command: CommandOutcome::None }
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
        Work::Zero { .. } | Work::Recheck { .. } | Work::Sift { .. } => 0,
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
        Work::Sift { block, buffer: id, mut collected, hashes } => {
            let mut bytes = buffer.expect("a block with symbols has its buffer");
            let outcome = rebuilder.sift(&mut collected, &hashes, &mut bytes);
            let returned = Returned { buffer: id, collected };
            Answer::Block { attempt, block, buffer: Some((returned, bytes)), outcome }
        }
        Work::Rebuild { block, entry, buffer: id, collected } => {
            let mut bytes = buffer.expect("a block with symbols has its buffer");
            let outcome = rebuilder.block(geometry, block, &entry, &collected, &mut bytes, file);
            let returned = Returned { buffer: id, collected };
            Answer::Block { attempt, block, buffer: Some((returned, bytes)), outcome }
        }
    }
}

/// Returns the answer for a block whose attempt was given up.
fn given_up(attempt: Attempt, work: Work, buffer: Option<Pages>) -> Answer {
    let outcome = BlockOutcome::Failed(Failure::new(FailureKind::Stopping, "given up"));
    match work {
        Work::Zero { block } | Work::Recheck { block, .. } | Work::Reuse { block, .. } => {
            Answer::Block { attempt, block, buffer: None, outcome }
        }
        Work::Rebuild { block, buffer: id, collected, .. }
        | Work::Sift { block, buffer: id, collected, .. } => {
            let buffer = buffer.map(|bytes| (Returned { buffer: id, collected }, bytes));
            Answer::Block { attempt, block, buffer, outcome }
        }
    }
}

/// Publishes a file. This is its last reference: workers drop theirs before they answer, and the machine asks to
/// publish only when all blocks were answered.
fn publish(
    file: Arc<Unpublished>,
    proof: &Proof,
    hook: Option<&Hook>,
) -> Result<(Published, CommandOutcome), Failure> {
    let file = Arc::try_unwrap(file).expect("no block of this file is being written");
    let image = hook.map(|_| file.describe(proof));
    match file.publish(proof).map_err(failure)? {
        Publication::New => {
            let command = hook.zip(image).map(|(hook, image)| hook.run_for(image));
            Ok((Published::New, command.unwrap_or_default()))
        }
        Publication::Existing => Ok((Published::Existing, CommandOutcome::None)),
    }
}

fn clean(store: &Store) {
    if let Err(error) = store.clean() {
        tracing::warn!("cannot clear away what is unfinished: {error}");
    }
}

const LET_GO_POLL: Duration = Duration::from_millis(1);

/// Returns the number of block workers: one for each core but the receive loop's, at most four, which keep a disk busy,
/// and at least two, as one waits for the disk. On two cores, a receiver with two workers took 9.2 Gbit/s; with one it
/// refused a fifth of 8 Gbit/s.
fn block_workers() -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).clamp(2, 4)
}
