//! The query workers, threads apart from the receive loop: one lists copies, ends pins and keeps group keys, one hashes
//! copies, one query at a time. Their queues are short; a query that finds one full is answered with "busy".
//!
//! `lookups` answers queries about copies, `keyrings` keeps what a sender gives.

mod keyrings;
mod lookups;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use glancecast_platform::wake::Waker;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::query::{Asker, Examination, Lookup, LookupId, Reply, Responder};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{AnswerState, HeldDigest, Query};
use keyrings::Keyrings;
use lookups::HashTask;

use crate::rate_limit::RateLimit;
use crate::store::Store;

/// The two threads and the channels to and from them.
pub(crate) struct QueryWorkers {
    listing: SyncSender<Job>,
    replies: Receiver<(LookupId, Reply)>,
    kept: Receiver<(LookupId, Result<Keyring, String>)>,
    /// Replies that need no thread.
    at_once: VecDeque<(LookupId, Reply)>,
    /// Steps of diagnoses, which the receive loop takes itself: at most one for each open query.
    examinations: VecDeque<(LookupId, Examination)>,
    /// Flags that cancel the queries in progress.
    given_up: BTreeMap<LookupId, Arc<AtomicBool>>,
    store: String,
    at_work: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Work for the thread that lists.
enum Job {
    Answer(Task),
    Keep(LookupId, Keyring),
}

/// A query to work on.
struct Task {
    id: LookupId,
    query: Query,
    asker: Asker,
    given_up: Arc<AtomicBool>,
}

/// What both threads share.
#[derive(Clone)]
struct QueryWorker {
    store: Store,
    keyrings: Keyrings,
    replies: Sender<(LookupId, Reply)>,
    kept: Sender<(LookupId, Result<Keyring, String>)>,
    waker: Waker,
    /// Whether a push is being received.
    at_work: Arc<AtomicBool>,
    /// Cap on what is hashed.
    limit: Arc<RateLimit>,
}

impl QueryWorkers {
    /// Starts the threads. Each reply triggers `waker`; `limit` caps how fast copies are hashed.
    pub(crate) fn start(
        store: &Store,
        state: &Path,
        waker: &Waker,
        limit: Arc<RateLimit>,
    ) -> io::Result<Self> {
        let (replies, taken) = channel();
        let (kept, taken_kept) = channel();
        let at_work = Arc::new(AtomicBool::new(false));
        let worker = QueryWorker {
            store: store.clone(),
            keyrings: Keyrings::new(state),
            replies,
            kept,
            waker: waker.clone(),
            at_work: Arc::clone(&at_work),
            limit,
        };
        let (listing, tasks) = sync_channel(LISTINGS_MAX);
        let (hashing, hash_tasks) = sync_channel(VERIFICATIONS_MAX);
        let hasher = worker.clone();
        let threads = vec![
            thread::Builder::new().name("answer".into()).spawn(move || worker.answer(&tasks, &hashing))?,
            thread::Builder::new().name("verify".into()).spawn(move || hasher.verify(&hash_tasks))?,
        ];
        let (at_once, examinations, given_up) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        let (replies, kept, store) = (taken, taken_kept, store.to_string());
        Ok(Self { listing, replies, kept, at_once, examinations, given_up, store, at_work, threads })
    }

    /// Queues a query, or replies "busy" if the queue is full. Never blocks.
    fn open(&mut self, id: LookupId, query: Query, asker: Asker) {
        let given_up = Arc::new(AtomicBool::new(false));
        let task = Task { id, query, asker, given_up: Arc::clone(&given_up) };
        match self.listing.try_send(Job::Answer(task)) {
            Ok(()) => drop(self.given_up.insert(id, given_up)),
            Err(_) => self.at_once.push_back((id, empty_reply(&self.store, AnswerState::Busy))),
        }
    }

    /// Cancels a query whose querier has gone.
    fn forget(&mut self, id: LookupId) {
        if let Some(given_up) = self.given_up.remove(&id) {
            given_up.store(true, Ordering::Relaxed);
        }
    }

    /// Passes the responder's lookups to the threads, and their replies to the responder.
    pub(crate) fn serve(&mut self, now: Moment, responder: &mut Responder) {
        responder.handle_timeout(now);
        while let Some(lookup) = responder.poll_lookup() {
            match lookup {
                Lookup::Open(id, query, asker) => self.open(id, query, asker),
                Lookup::Examine(id, examination) => self.examinations.push_back((id, examination)),
                Lookup::Forget(id) => self.forget(id),
                Lookup::Keep(id, keys) => {
                    if self.listing.try_send(Job::Keep(id, keys)).is_err() {
                        responder.handle_kept(now, id, Err(NO_TURN.to_owned()));
                    }
                }
            }
        }
        while let Ok((id, kept)) = self.kept.try_recv() {
            responder.handle_kept(now, id, kept);
        }
        while let Some((id, reply)) = self.next_reply() {
            responder.handle_reply(now, id, reply);
        }
    }

    /// Returns the next step of a diagnosis.
    pub(crate) fn next_examination(&mut self) -> Option<(LookupId, Examination)> {
        self.examinations.pop_front()
    }

    /// Sets whether a push is being received. While one is, hashing works about half of the time.
    pub(crate) fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::Relaxed);
    }

    /// Returns the next reply, if there is one.
    fn next_reply(&mut self) -> Option<(LookupId, Reply)> {
        let (id, reply) = self.at_once.pop_front().or_else(|| self.replies.try_recv().ok())?;
        if !matches!(reply.state, AnswerState::Verifying { .. }) {
            self.given_up.remove(&id);
        }
        Some((id, reply))
    }

    /// Ends the threads and waits for them.
    pub(crate) fn join(self) {
        self.given_up.values().for_each(|given_up| given_up.store(true, Ordering::Relaxed));
        drop(self.listing);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a panic ends the program"));
    }
}

impl QueryWorker {
    /// Runs the thread that lists.
    fn answer(&self, jobs: &Receiver<Job>, hashing: &SyncSender<HashTask>) {
        for job in jobs {
            match job {
                Job::Answer(task) if task.is_given_up() => {}
                Job::Answer(task) if task.query == Query::Rekey => {
                    let state = self.keyrings.make_ready();
                    self.reply(task.id, empty_reply(&self.store.to_string(), state));
                }
                Job::Answer(task) => self.answer_one(task, hashing),
                Job::Keep(id, keys) => {
                    let _ = self.kept.send((id, self.keyrings.keep(keys)));
                    self.waker.wake();
                }
            }
        }
    }

    fn reply(&self, id: LookupId, reply: Reply) {
        // The receive loop has dropped the channel if the program is ending.
        let _ = self.replies.send((id, reply));
        self.waker.wake();
    }
}

impl Task {
    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

fn empty_reply(store: &str, state: AnswerState) -> Reply {
    let digest = HeldDigest::of([]);
    Reply {
        store: store.to_owned(),
        free_bytes: None,
        held: 0,
        pinned: 0,
        digest,
        objects: Vec::new(),
        state,
    }
}

/// Queries that wait for the listing thread: as many as may be open, and a keyring.
const LISTINGS_MAX: usize = glancecast_proto::limits::QUERIES_OPEN_MAX + 1;
/// Queries that wait for the hashing thread.
const VERIFICATIONS_MAX: usize = 2;

/// Why a keyring is not kept now, for the sender's table.
const NO_TURN: &str = "it has too many queries at the same time: ask again";
