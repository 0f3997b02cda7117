//! The query workers, threads apart from the receive loop: one lists copies and ends pins, one hashes copies, one query
//! at a time. Their queues are short; a query that finds one full is answered with "busy".

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_platform::keyring_file;
use glancecast_platform::wake::Waker;
use glancecast_proto::ids::ObjectName;
use glancecast_proto::integrity::Root;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::query::{Lookup, LookupId, Reply, Responder};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{AnswerState, Finding, Held, HeldDigest, Kept, Query, Sought};

use crate::rate_limit::RateLimit;
use crate::store::{self, Pinned, Store, StoreError, Verified};

/// The two threads and the channels to and from them.
pub(crate) struct QueryWorkers {
    listing: SyncSender<Job>,
    replies: Receiver<(LookupId, Reply)>,
    kept: Receiver<(LookupId, Result<Keyring, String>)>,
    /// Replies that need no thread.
    at_once: VecDeque<(LookupId, Reply)>,
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
    given_up: Arc<AtomicBool>,
}

/// Copies to hash: `reply` has an entry for each, `files` the file of each.
struct HashTask {
    task: Task,
    reply: Reply,
    files: Vec<String>,
}

/// What both threads share.
#[derive(Clone)]
struct QueryWorker {
    store: Store,
    /// The directory where a keyring is kept.
    state: PathBuf,
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
            state: state.to_owned(),
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
        let (at_once, given_up) = (VecDeque::new(), BTreeMap::new());
        let (replies, kept, store) = (taken, taken_kept, store.to_string());
        Ok(Self { listing, replies, kept, at_once, given_up, store, at_work, threads })
    }

    /// Queues a query, or replies "busy" if the queue is full. Never blocks.
    fn open(&mut self, id: LookupId, query: Query) {
        let given_up = Arc::new(AtomicBool::new(false));
        let task = Task { id, query, given_up: Arc::clone(&given_up) };
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
                Lookup::Open(id, query) => self.open(id, query),
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
                Job::Answer(task) if task.query == Query::Rekey => self.make_ready_for_key(task.id),
                Job::Answer(task) => self.answer_one(task, hashing),
                Job::Keep(id, keys) => self.keep(id, keys),
            }
        }
    }

    /// Replies that a new group key can come, if it can be kept.
    fn make_ready_for_key(&self, id: LookupId) {
        let state = match keyring_file::check(&self.state) {
            Ok(()) => AnswerState::AwaitingKey,
            Err(error) => {
                tracing::error!("no new group key can be taken: {error}");
                AnswerState::Failed(NOT_KEPT.to_owned())
            }
        };
        self.reply(id, empty_reply(&self.store.to_string(), state));
    }

    /// Keeps a keyring. The machine uses it once it is on the disk.
    fn keep(&self, id: LookupId, keys: Keyring) {
        let result = match keyring_file::store(&self.state, &keys.stored()) {
            Ok(()) => Ok(keys),
            Err(error) => {
                tracing::error!("the new group key is not taken: {error}");
                Err(NOT_KEPT.to_owned())
            }
        };
        let _ = self.kept.send((id, result));
        self.waker.wake();
    }

    fn answer_one(&self, task: Task, hashing: &SyncSender<HashTask>) {
        let inventory = self.store.inventory();
        let pinned = inventory.iter().filter(|held| held.pinned != Pinned::No).count();
        let mut reply = Reply {
            free_bytes: self.store.free_bytes(),
            held: count(inventory.len()),
            pinned: count(pinned),
            digest: digest(&inventory),
            ..empty_reply(&self.store.to_string(), AnswerState::Final)
        };
        let is_meant = |held: &store::Held| {
            task.query.sought().is_none_or(|sought| sought.matches(&held.name, held.image_id.as_deref()))
        };
        let meant: Vec<store::Held> = inventory.into_iter().filter(is_meant).collect();
        match &task.query {
            Query::Hosts | Query::Status(_) => {
                reply.objects = meant.iter().filter_map(|held| entry(held, Finding::Listed)).collect();
            }
            Query::Unpin(sought) => {
                reply.objects = meant.iter().filter_map(|held| self.unpin(held, sought)).collect();
                let let_go = meant.iter().filter(|held| held.pinned != Pinned::No).count();
                reply.pinned = count(pinned - let_go);
            }
            Query::Verify(_) => {
                let listed =
                    meant.iter().filter_map(|held| Some((held.file.clone(), entry(held, Finding::Pending)?)));
                let files;
                (files, reply.objects) = listed.unzip();
                if !reply.objects.is_empty() {
                    return self.give_to_hash(HashTask { task, reply, files }, hashing);
                }
            }
            Query::Rekey => unreachable!("it is no query about copies"),
            Query::Remove(_) | Query::Diagnose { .. } | Query::Retire => {
                unreachable!("the machine answers these itself")
            }
        }
        self.reply(task.id, reply);
    }

    fn unpin(&self, held: &store::Held, sought: &Sought) -> Option<Held> {
        let was = kept(held.pinned);
        self.store.unpin(&held.file);
        tracing::info!(file = held.file, name = held.name, %sought, "let go of, as somebody asked for");
        let listed = entry(held, Finding::LetGo(was))?;
        Some(Held { kept: Kept::ByRule, ..listed })
    }

    fn give_to_hash(&self, task: HashTask, hashing: &SyncSender<HashTask>) {
        let (id, reply) = (task.task.id, task.reply.clone());
        // Send this before the task is handed over, so that it does not overtake the final reply.
        self.reply(
            id,
            Reply { state: AnswerState::Verifying { done: 0, of: total(&reply) }, ..reply.clone() },
        );
        if hashing.try_send(task).is_err() {
            self.reply(id, Reply { state: AnswerState::Busy, objects: Vec::new(), ..reply });
        }
    }

    /// Runs the thread that hashes.
    fn verify(&self, tasks: &Receiver<HashTask>) {
        for HashTask { task, mut reply, files } in tasks {
            let (mut before, of) = (0, total(&reply));
            for (i, file) in files.iter().enumerate() {
                let progress = |done| Reply {
                    state: AnswerState::Verifying { done: before + done, of },
                    ..reply.clone()
                };
                let Some(result) = self.hash(&task, file, progress).transpose() else { break };
                let object = &mut reply.objects[i];
                object.finding = finding(result);
                if object.finding == Finding::Intact {
                    object.proven = wall();
                }
                before += object.bytes;
            }
            if !task.is_given_up() {
                reply.objects.retain(|object| object.finding != Finding::Pending);
                self.reply(task.id, Reply { state: AnswerState::Final, ..reply });
            }
        }
    }

    /// Hashes a copy; returns `None` if the query was cancelled.
    fn hash(
        &self,
        task: &Task,
        file: &str,
        progress: impl Fn(u64) -> Reply,
    ) -> Result<Option<Verified>, StoreError> {
        let mut reported = Instant::now();
        let (mut piece, mut before) = (Instant::now(), 0);
        self.store.verify_in_steps(file, |done| {
            if reported.elapsed() >= PROGRESS_GAP {
                reported = Instant::now();
                self.reply(task.id, progress(done));
            }
            let read = done.saturating_sub(std::mem::replace(&mut before, done));
            let at_work = self.at_work.load(Ordering::Relaxed);
            if at_work {
                thread::sleep(piece.elapsed().min(PAUSE_MAX));
            }
            let go_on = self.limit.wait(if at_work { 2 * read } else { read }, || !task.is_given_up());
            piece = Instant::now();
            go_on
        })
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

/// Returns an object's entry in a reply, or `None` if no object can have its name.
fn entry(held: &store::Held, finding: Finding) -> Option<Held> {
    Some(Held {
        name: ObjectName::new(&held.name).ok()?,
        image_id: held.image_id.clone(),
        bytes: held.bytes,
        root: held.root,
        proven: held.proven,
        kept: kept(held.pinned),
        finding,
    })
}

fn kept(pinned: Pinned) -> Kept {
    match pinned {
        Pinned::No => Kept::ByRule,
        Pinned::Until(until) => Kept::Until(until),
        Pinned::Forever => Kept::Forever,
    }
}

/// Returns the finding for a result of hashing. A file that has gone meanwhile stays pending and gets no entry.
fn finding(result: Result<Verified, StoreError>) -> Finding {
    match result {
        Ok(Verified::Proven(_)) => Finding::Intact,
        Ok(Verified::Differs(root)) => Finding::Differs(root),
        Ok(Verified::NotHeld) => Finding::Pending,
        Err(error) => Finding::Failed(error.to_string()),
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

/// Returns the digest of all that the host holds, whatever the query is about.
fn digest(inventory: &[store::Held]) -> HeldDigest {
    let named = |held: &store::Held| Some((ObjectName::new(&held.name).ok()?, held.root));
    let named: Vec<(ObjectName, Root)> = inventory.iter().filter_map(named).collect();
    HeldDigest::of(named.iter().map(|(name, root)| (name, *root)))
}

fn total(reply: &Reply) -> u64 {
    reply.objects.iter().map(|object| object.bytes).sum()
}

fn count(objects: usize) -> u32 {
    u32::try_from(objects).unwrap_or(u32::MAX)
}

/// Queries that wait for the listing thread: as many as may be open, and a keyring.
const LISTINGS_MAX: usize = glancecast_proto::limits::QUERIES_OPEN_MAX + 1;

/// Why a group key is not taken, for the sender's table.
const NOT_KEPT: &str = "its state directory takes no file, so it cannot keep a group key: see its log";
const NO_TURN: &str = "it has too many queries at the same time: ask again";

/// Queries that wait for the hashing thread.
const VERIFICATIONS_MAX: usize = 2;

/// Time between two progress replies of a verification.
const PROGRESS_GAP: Duration = Duration::from_secs(1);

/// Longest pause of hashing while a push is received; otherwise a pause is as long as the last step took.
const PAUSE_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Begun, StoreOptions, StoreSpec};
    use glancecast_platform::wake::Sleeper;
    use glancecast_proto::agree::{AgreementKey, StartSecret};
    use glancecast_proto::geometry::Geometry;
    use glancecast_proto::ids::{HostName, SessionId};
    use glancecast_proto::query::ResponderConfig;
    use glancecast_proto::seal::{Cipher, GroupKey};
    use glancecast_proto::senders::Senders;
    use glancecast_proto::sign::SigningKey;
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::{Announce, Ask, Audience, DiskFormat, Pin};
    use std::fs;

    #[test]
    fn a_listing_counts_all_and_names_what_is_sought() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        ["a", "b", "c"].iter().for_each(|name| hold(&store, &dir, name, Pin::None));
        let mut workers = QueryWorkers::start(&store, dir.path(), &waker(), unlimited()).expect("threads");
        workers.open(lookup(), Query::Status(sought("b")));
        let reply = final_reply(&mut workers);
        assert_eq!((reply.held, reply.pinned, reply.state), (3, 0, AnswerState::Final));
        assert_eq!(reply.objects.len(), 1);
        assert_eq!((reply.objects[0].name.as_str(), reply.objects[0].root), ("b", root(BYTES)));
        assert!(reply.free_bytes.is_some() && reply.store.starts_with("directory:/"), "{}", reply.store);
        workers.join();
    }

    #[test]
    fn a_copy_is_intact_until_a_byte_of_it_flips() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        hold(&store, &dir, "image", Pin::None);
        let mut workers = QueryWorkers::start(&store, dir.path(), &waker(), unlimited()).expect("threads");
        workers.open(lookup(), Query::Verify(sought("image")));
        assert_eq!(final_reply(&mut workers).objects[0].finding, Finding::Intact);
        fs::write(dir.path().join("image"), FLIPPED).expect("writable");
        workers.open(lookup(), Query::Verify(sought("image")));
        assert_eq!(final_reply(&mut workers).objects[0].finding, Finding::Differs(root(FLIPPED)));
        workers.open(lookup(), Query::Verify(sought("another")));
        let reply = final_reply(&mut workers);
        assert_eq!((reply.objects.len(), reply.state), (0, AnswerState::Final));
        workers.join();
    }

    #[test]
    fn letting_go_says_what_it_was_and_is_done() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        hold(&store, &dir, "image", Pin::Forever);
        hold(&store, &dir, "other", Pin::Forever);
        let mut workers = QueryWorkers::start(&store, dir.path(), &waker(), unlimited()).expect("threads");
        for (was, pinned) in [(Kept::Forever, 1), (Kept::ByRule, 1)] {
            workers.open(lookup(), Query::Unpin(sought("image")));
            let reply = final_reply(&mut workers);
            assert_eq!(
                (&reply.objects[0].finding, reply.objects[0].kept),
                (&Finding::LetGo(was), Kept::ByRule)
            );
            assert_eq!(reply.pinned, pinned);
        }
        workers.join();
    }

    #[test]
    fn more_verifications_than_may_wait_are_told_that_this_host_is_busy() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        hold(&store, &dir, "image", Pin::None);
        // No hashing thread runs: a task that is handed over to it stays in the queue.
        let (worker, replies) = worker(&store);
        let (hashing, _tasks) = sync_channel(VERIFICATIONS_MAX);
        for id in lookups(VERIFICATIONS_MAX as u8 + 1) {
            let query = Query::Verify(sought("image"));
            worker.answer_one(Task { id, query, given_up: Arc::default() }, &hashing);
        }
        let states: Vec<_> = replies.try_iter().map(|(_, reply)| reply.state).collect();
        let of = BYTES.len() as u64;
        let mut expected = vec![AnswerState::Verifying { done: 0, of }; VERIFICATIONS_MAX + 1];
        expected.push(AnswerState::Busy);
        assert_eq!(states, expected);
    }

    #[test]
    fn copies_are_hashed_no_faster_than_the_read_rate_and_half_as_fast_during_a_push() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        hold(&store, &dir, "image", Pin::None);
        let (mut worker, _replies) = worker(&store);
        let task = Task { id: lookup(), query: Query::Hosts, given_up: Arc::default() };
        // 23 bytes at 8000 bytes a second, a hundred times; a delay of 50 ms may be caught up.
        for (at_work, least) in [(false, 230), (true, 510)] {
            worker.limit = Arc::new(RateLimit::new(Some("64kbit".parse().expect("a rate"))));
            worker.at_work.store(at_work, Ordering::Relaxed);
            let started = Instant::now();
            for _ in 0..100 {
                let verified = worker.hash(&task, "image", |_| empty_reply("", AnswerState::Final));
                assert_eq!(verified.expect("readable"), Some(Verified::Proven(root(BYTES))));
            }
            let took = started.elapsed();
            assert!(took >= Duration::from_millis(least), "{took:?}, at work: {at_work}");
        }
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_hashed_to_its_end() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = store(&dir);
        hold(&store, &dir, "image", Pin::None);
        let (worker, replies) = worker(&store);
        let task = Task { id: lookup(), query: Query::Hosts, given_up: Arc::new(AtomicBool::new(true)) };
        let nothing = |_| empty_reply("", AnswerState::Final);
        assert_eq!(worker.hash(&task, "image", nothing).expect("readable"), None);
        assert!(replies.try_recv().is_err());
    }

    fn worker(store: &Store) -> (QueryWorker, Receiver<(LookupId, Reply)>) {
        let (replies, taken) = channel();
        (
            QueryWorker {
                store: store.clone(),
                state: PathBuf::new(),
                replies,
                kept: channel().0,
                waker: waker(),
                at_work: Arc::default(),
                limit: unlimited(),
            },
            taken,
        )
    }

    /// Adds a file to the store and its publication log.
    fn hold(store: &Store, dir: &tempfile::TempDir, name: &str, pin: Pin) {
        fs::write(dir.path().join(name), BYTES).expect("writable");
        let announce = Announce {
            session: SessionId([3; 16]),
            time: WallClock(0),
            geometry: Geometry::for_path(BYTES.len() as u64, 1500, 20).expect("in range"),
            name: ObjectName::new(name).expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin,
            reply_to: ([127, 0, 0, 1], 1).into(),
            spread: Duration::ZERO,
            audience: Audience::Everyone,
            agreement: AgreementKey::from_seed(&[3; 32].into()).public(),
            one_way: false,
            base: None,
            data_bytes: None,
        };
        let Ok(Begun::Existing(existing)) = store.begin(&announce) else { panic!("it is there") };
        existing.compare(root(BYTES), &|| true).expect("the same");
    }

    fn root(bytes: &[u8]) -> Root {
        Root(*blake3::hash(bytes).as_bytes())
    }

    const BYTES: &[u8] = b"what a node boots from";
    const FLIPPED: &[u8] = b"what a node bootz from";

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&StoreSpec::Directory(dir.path().to_owned()), StoreOptions::DEFAULT).expect("a directory")
    }

    fn unlimited() -> Arc<RateLimit> {
        Arc::new(RateLimit::new(None))
    }

    fn waker() -> Waker {
        Sleeper::new().expect("an event descriptor").1
    }

    fn sought(name: &str) -> Sought {
        Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
    }

    fn final_reply(workers: &mut QueryWorkers) -> Reply {
        let start = Instant::now();
        loop {
            match workers.next_reply() {
                Some((_, reply)) if !matches!(reply.state, AnswerState::Verifying { .. }) => return reply,
                _ => thread::sleep(Duration::from_millis(1)),
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no final reply");
        }
    }

    fn lookup() -> LookupId {
        lookups(1)[0]
    }

    /// Lookup ids, which only a machine can make.
    fn lookups(count: u8) -> Vec<LookupId> {
        let key = GroupKey::new([7; 32]);
        let mut machine = Responder::new(ResponderConfig {
            name: HostName::new("host").expect("plain"),
            software: String::new(),
            keys: Keyring::of(vec![key.clone()]),
            senders: Senders::any(),
            host_key: SigningKey::from_seed(&[1; 32].into()),
            secret: StartSecret::new([2; 32]),
            start: [0; 16],
            seed: [0; 32],
            started: WallClock(0),
        });
        (0..count).for_each(|id| {
            let ask = Ask {
                id: SessionId([id; 16]),
                time: WallClock(0),
                round: 1,
                reply_to: ([127, 0, 0, 1], 1).into(),
                spread: Duration::ZERO,
                answer_bytes_max: 1_232,
                audience: Audience::Everyone,
                agreement: AgreementKey::from_seed(&[3; 32].into()).public(),
                query: Query::Hosts,
            };
            let mut out = Vec::new();
            ask.seal(
                &Cipher::downward(&key, ask.id),
                None,
                glancecast_proto::ids::Sequence::default(),
                &mut out,
            );
            machine
                .handle_datagram(Moment::default(), WallClock(0), ([127, 0, 0, id + 1], 1).into(), &out)
                .expect("fresh");
        });
        std::iter::from_fn(|| machine.poll_lookup())
            .map(|lookup| match lookup {
                Lookup::Open(id, _) | Lookup::Forget(id) | Lookup::Keep(id, _) => id,
            })
            .collect()
    }
}
