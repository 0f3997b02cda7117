//! The thread that searches a base, one at a time, while the receive loop goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use glancecast_platform::wake::Waker;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::receiver::{Attempt, BaseIndex};
use glancecast_proto::wire::BaseName;

use crate::rate_limit::RateLimit;
use crate::store::{BaseFile, Store};

/// The thread and the channels to and from it.
pub(crate) struct BaseThread {
    tasks: SyncSender<Task>,
    found: Receiver<Found>,
    /// For the empty result that [`BaseThread::begin`] sends itself if the thread's queue is full.
    at_once: Sender<Found>,
    /// Number of the wanted attempt; 0 for none.
    wanted: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

/// A base to index.
pub(crate) struct Task {
    pub(crate) attempt: Attempt,
    pub(crate) geometry: Geometry,
    pub(crate) name: BaseName,
    pub(crate) store: Store,
}

/// The result of a task.
pub(crate) struct Found {
    pub(crate) attempt: Attempt,
    /// `None` if the store does not hold the base, or cannot read it.
    pub(crate) file: Option<Arc<BaseFile>>,
    pub(crate) index: BaseIndex,
}

impl BaseThread {
    /// Starts the thread. Each result triggers `waker`; `limit` caps how fast bases are read.
    pub(crate) fn start(waker: &Waker, limit: Arc<RateLimit>) -> io::Result<Self> {
        let (tasks, queue) = sync_channel::<Task>(QUEUE_MAX);
        let (to_loop, found) = channel();
        let at_once = to_loop.clone();
        let wanted = Arc::new(AtomicU64::new(0));
        let (still_wanted, waker) = (Arc::clone(&wanted), waker.clone());
        let work = move || {
            for task in queue {
                let attempt = task.attempt;
                let is_wanted = || still_wanted.load(Ordering::Relaxed) == attempt.number();
                let Some((file, index)) = look(&task, &limit, is_wanted) else { continue };
                if to_loop.send(Found { attempt, file, index }).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        let thread = thread::Builder::new().name("base".into()).spawn(work)?;
        Ok(Self { tasks, found, at_once, wanted, thread })
    }

    /// Queues a base and cancels all earlier ones. Never blocks: if the queue is full, the result is that nothing was
    /// found.
    pub(crate) fn begin(&self, task: Task) {
        let attempt = task.attempt;
        self.wanted.store(attempt.number(), Ordering::Relaxed);
        if self.tasks.try_send(task).is_err() {
            let _ = self.at_once.send(Found { attempt, file: None, index: BaseIndex::default() });
        }
    }

    /// Cancels the base in progress and all that wait.
    pub(crate) fn give_up(&self) {
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// Returns the next result, if there is one.
    pub(crate) fn next(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }

    /// Ends the thread and waits for it.
    pub(crate) fn join(self) {
        self.give_up();
        drop(self.tasks);
        self.thread.join().expect("a panic ends the program");
    }
}

/// Finds and indexes a base; returns `None` if its attempt was given up.
fn look(
    task: &Task,
    limit: &RateLimit,
    is_wanted: impl Fn() -> bool,
) -> Option<(Option<Arc<BaseFile>>, BaseIndex)> {
    if !is_wanted() {
        return None;
    }
    let start = Instant::now();
    let base = match task.store.base(&task.name) {
        Ok(Some(base)) => base,
        Ok(None) => {
            tracing::info!(base = %task.name, "this store has no such image: nothing is made of it");
            return Some((None, BaseIndex::default()));
        }
        Err(error) => {
            tracing::warn!(base = %task.name, %error, "cannot be opened: nothing is made of it");
            return Some((None, BaseIndex::default()));
        }
    };
    let go_on = || limit.wait(task.geometry.block_bytes(), &is_wanted);
    match base.look_through(task.geometry, go_on) {
        Ok(None) => None,
        Ok(Some(index)) => {
            let (path, seconds) = (base.path().display(), start.elapsed().as_secs_f64());
            tracing::info!(%path, pieces = index.len(), seconds, "looked through the base");
            Some((Some(Arc::new(base)), index))
        }
        Err(error) => {
            let path = base.path().display();
            tracing::warn!(%path, %error, "cannot be read: nothing is made of it");
            Some((None, BaseIndex::default()))
        }
    }
}

/// Bases that wait while one of an earlier session is being cancelled.
const QUEUE_MAX: usize = 4;
