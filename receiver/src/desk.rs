//! Where questions are looked into, away from the thread that receives: one thread lists and lets go, one hashes copies,
//! one question at a time. Their queues are short, and a question that finds one full is told that this host is busy.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glancecast_host::clock::wall;
use glancecast_host::wake::Waker;
use glancecast_proto::questions::{InquiryId, Reply};
use glancecast_proto::wire::{AnswerState, Finding, Question, Sought};

use crate::store::{Inventory, Store, Stored};

/// The threads, and the way to them and back.
pub(crate) struct Desk {
    listing: SyncSender<Case>,
    replies: Receiver<(InquiryId, Reply)>,
    /// Replies that nobody had to look for.
    at_once: VecDeque<(InquiryId, Reply)>,
    /// How to end what is being looked into.
    given_up: BTreeMap<InquiryId, Arc<AtomicBool>>,
    store: String,
    at_work: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A question.
struct Case {
    id: InquiryId,
    question: Question,
    given_up: Arc<AtomicBool>,
}

/// Copies to hash.
struct HashCase {
    case: Case,
    reply: Reply,
    copies: Vec<Stored>,
}

/// What both threads have.
#[derive(Clone)]
struct Clerk {
    store: Store,
    replies: Sender<(InquiryId, Reply)>,
    waker: Waker,
    /// A push is being received.
    at_work: Arc<AtomicBool>,
}

impl Desk {
    /// Starts the threads; `waker` is used for each reply.
    pub(crate) fn start(store: &Store, waker: &Waker) -> io::Result<Self> {
        let (replies, taken) = channel();
        let at_work = Arc::new(AtomicBool::new(false));
        let clerk =
            Clerk { store: store.clone(), replies, waker: waker.clone(), at_work: Arc::clone(&at_work) };
        let (listing, cases) = sync_channel(LISTINGS_MAX);
        let (hashing, hash_cases) = sync_channel(VERIFICATIONS_MAX);
        let hasher = clerk.clone();
        let threads = vec![
            thread::Builder::new().name("answer".into()).spawn(move || clerk.answer(&cases, &hashing))?,
            thread::Builder::new().name("verify".into()).spawn(move || hasher.verify(&hash_cases))?,
        ];
        let (at_once, given_up) = (VecDeque::new(), BTreeMap::new());
        Ok(Self { listing, replies: taken, at_once, given_up, store: store.to_string(), at_work, threads })
    }

    /// Has a question looked into. Never waits.
    pub(crate) fn open(&mut self, id: InquiryId, question: Question) {
        let given_up = Arc::new(AtomicBool::new(false));
        let case = Case { id, question, given_up: Arc::clone(&given_up) };
        match self.listing.try_send(case) {
            Ok(()) => drop(self.given_up.insert(id, given_up)),
            Err(_) => self.at_once.push_back((id, empty_reply(&self.store, AnswerState::Busy))),
        }
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget(&mut self, id: InquiryId) {
        if let Some(given_up) = self.given_up.remove(&id) {
            given_up.store(true, Ordering::Relaxed);
        }
    }

    /// A push is being received, or not: hashing leaves it half of the time.
    pub(crate) fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::Relaxed);
    }

    /// The next reply, if there is one.
    pub(crate) fn next_reply(&mut self) -> Option<(InquiryId, Reply)> {
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
        // A panic of one was told already, and changes nothing now.
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Clerk {
    /// The life of the thread that lists.
    fn answer(&self, cases: &Receiver<Case>, hashing: &SyncSender<HashCase>) {
        for case in cases {
            if case.is_given_up() {
                continue;
            }
            let inventory = match self.store.inventory() {
                Ok(inventory) => inventory,
                Err(error) => {
                    let state = AnswerState::Failed(error.to_string());
                    self.say(case.id, empty_reply(&self.store.to_string(), state));
                    continue;
                }
            };
            self.answer_from(case, inventory, hashing);
        }
    }

    fn answer_from(&self, case: Case, inventory: Inventory, hashing: &SyncSender<HashCase>) {
        let mut reply = Reply {
            free_bytes: inventory.free_bytes,
            held: count(inventory.objects.len()),
            pinned: count(inventory.objects.iter().filter(|stored| stored.held.kept.is_pinned()).count()),
            ..empty_reply(&self.store.to_string(), AnswerState::Final)
        };
        let mut objects = match case.question.sought() {
            None => inventory.objects,
            Some(sought) => inventory.objects.into_iter().filter(|stored| is_meant(sought, stored)).collect(),
        };
        match &case.question {
            Question::Hosts | Question::Status(_) => {}
            Question::Unpin(sought) => {
                for stored in &mut objects {
                    tracing::info!(name = %stored.held.name, %sought, "let go of, as somebody asked for");
                    self.unpin(stored);
                }
            }
            Question::Verify(_) if objects.is_empty() => {}
            Question::Verify(_) => return self.give_to_hash(case, reply, objects, hashing),
        }
        reply.objects = objects.into_iter().map(|stored| stored.held).collect();
        self.say(case.id, reply);
    }

    fn unpin(&self, stored: &mut Stored) {
        match self.store.unpin(stored) {
            Ok(was) => {
                stored.held.finding = Finding::LetGo(was);
                stored.held.kept = glancecast_proto::wire::Kept::ByRule;
            }
            Err(error) => stored.held.finding = Finding::Failed(error.to_string()),
        }
    }

    fn give_to_hash(
        &self,
        case: Case,
        mut reply: Reply,
        mut copies: Vec<Stored>,
        hashing: &SyncSender<HashCase>,
    ) {
        copies.iter_mut().for_each(|copy| copy.held.finding = Finding::Pending);
        reply.objects = copies.iter().map(|copy| copy.held.clone()).collect();
        let id = case.id;
        let verifying =
            Reply { state: AnswerState::Verifying { done: 0, of: total(&copies) }, ..reply.clone() };
        let busy = Reply { state: AnswerState::Busy, objects: Vec::new(), ..reply.clone() };
        // Said before it is handed over, so that the last word is not overtaken by it.
        self.say(id, verifying);
        if hashing.try_send(HashCase { case, reply, copies }).is_err() {
            self.say(id, busy);
        }
    }

    /// The life of the thread that hashes.
    fn verify(&self, cases: &Receiver<HashCase>) {
        for HashCase { case, mut reply, mut copies } in cases {
            let of = total(&copies);
            let mut before = 0;
            for (i, copy) in copies.iter_mut().enumerate() {
                let finding = self.hash(&case, copy, |done| Reply {
                    state: AnswerState::Verifying { done: before + done, of },
                    ..reply.clone()
                });
                let Some(finding) = finding else { break };
                if finding == Finding::Intact {
                    let now = wall();
                    self.store.note_proven(copy, now);
                    copy.held.proven = Some(now);
                }
                copy.held.finding = finding;
                reply.objects[i] = copy.held.clone();
                before += copy.held.bytes;
            }
            if !case.is_given_up() {
                self.say(case.id, Reply { state: AnswerState::Final, ..reply });
            }
        }
    }

    /// Hashes a copy; `None` if nobody wants to know any more.
    fn hash(&self, case: &Case, copy: &Stored, progress: impl Fn(u64) -> Reply) -> Option<Finding> {
        let mut told = Instant::now();
        let mut piece = Instant::now();
        let hashed = copy.hash(|done| {
            if told.elapsed() >= PROGRESS_GAP {
                told = Instant::now();
                self.say(case.id, progress(done));
            }
            if self.at_work.load(Ordering::Relaxed) {
                thread::sleep(piece.elapsed().min(PAUSE_MAX));
            }
            piece = Instant::now();
            !case.is_given_up()
        });
        Some(match (hashed, copy.held.root) {
            (Ok(None), _) => return None,
            (Ok(Some(root)), Some(proven)) if root == proven => Finding::Intact,
            (Ok(Some(root)), Some(_)) => Finding::Differs(root),
            (Ok(Some(root)), None) => Finding::Unproven(root),
            (Err(error), _) => Finding::Failed(error.to_string()),
        })
    }

    fn say(&self, id: InquiryId, reply: Reply) {
        // Nobody listens any more when the program ends.
        let _ = self.replies.send((id, reply));
        self.waker.wake();
    }
}

impl Case {
    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

fn is_meant(sought: &Sought, stored: &Stored) -> bool {
    sought.matches(stored.held.name.as_str(), stored.held.image_id.as_deref())
}

fn empty_reply(store: &str, state: AnswerState) -> Reply {
    Reply { store: store.to_owned(), free_bytes: None, held: 0, pinned: 0, objects: Vec::new(), state }
}

fn total(copies: &[Stored]) -> u64 {
    copies.iter().map(|copy| copy.held.bytes).sum()
}

fn count(objects: usize) -> u32 {
    u32::try_from(objects).unwrap_or(u32::MAX)
}

/// Questions that wait to be looked into: as many as may be open.
const LISTINGS_MAX: usize = glancecast_proto::limits::QUESTIONS_OPEN_MAX;

/// Questions that wait for the one that is being hashed for.
const VERIFICATIONS_MAX: usize = 2;

/// How often a verification says how far it is.
const PROGRESS_GAP: Duration = Duration::from_secs(1);

/// Hashing waits as long as its last piece took while a push is received, and no longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreSpec;
    use glancecast_host::wake::Sleeper;
    use glancecast_proto::ids::{HostName, ObjectName, SessionId};
    use glancecast_proto::questions::{Inquiry, Respondent, RespondentConfig};
    use glancecast_proto::seal::{Cipher, GroupKey};
    use glancecast_proto::time::{Moment, WallClock};
    use glancecast_proto::wire::Ask;
    use std::fs;

    #[test]
    fn a_listing_counts_all_and_names_what_is_sought() {
        let dir = tempfile::tempdir().expect("temporary directory");
        ["a", "b", "c"].iter().for_each(|name| fs::write(dir.path().join(name), name).expect("writable"));
        let mut desk = Desk::start(&store(&dir), &waker()).expect("threads");
        desk.open(inquiry(), Question::Status(sought("b")));
        let reply = last_word(&mut desk);
        assert_eq!((reply.held, reply.pinned, reply.state), (3, 0, AnswerState::Final));
        assert_eq!(reply.objects.len(), 1);
        assert!(reply.free_bytes.is_some() && reply.store.starts_with("directory:/"), "{}", reply.store);
        desk.join();
    }

    #[test]
    fn a_copy_without_a_proof_is_hashed_and_not_called_intact() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join("image"), b"bytes").expect("writable");
        let mut desk = Desk::start(&store(&dir), &waker()).expect("threads");
        desk.open(inquiry(), Question::Verify(sought("image")));
        let root = glancecast_proto::integrity::Root(*blake3::hash(b"bytes").as_bytes());
        assert_eq!(last_word(&mut desk).objects[0].finding, Finding::Unproven(root));
        desk.open(inquiry(), Question::Verify(sought("another")));
        let reply = last_word(&mut desk);
        assert_eq!((reply.objects.len(), reply.state), (0, AnswerState::Final));
        desk.join();
    }

    #[test]
    fn more_verifications_than_may_wait_are_told_that_this_host_is_busy() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = fs::File::create(dir.path().join("image")).expect("writable");
        file.set_len(64 << 30).expect("sparse");
        let mut desk = Desk::start(&store(&dir), &waker()).expect("threads");
        let ids = inquiries(5);
        ids.iter().for_each(|&id| desk.open(id, Question::Verify(sought("image"))));
        let mut busy = 0;
        let start = Instant::now();
        while busy < 2 {
            if let Some((_, reply)) = desk.next_reply() {
                busy += u32::from(reply.state == AnswerState::Busy);
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{busy} of 5 were told");
            thread::sleep(Duration::from_millis(1));
        }
        ids.iter().for_each(|&id| desk.forget(id));
        desk.join(); // ends at once, as all were forgotten
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&StoreSpec::Directory(dir.path().to_owned())).expect("a directory")
    }

    fn waker() -> Waker {
        Sleeper::new().expect("an event descriptor").1
    }

    fn sought(name: &str) -> Sought {
        Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
    }

    fn last_word(desk: &mut Desk) -> Reply {
        let start = Instant::now();
        loop {
            match desk.next_reply() {
                Some((_, reply)) if !matches!(reply.state, AnswerState::Verifying { .. }) => return reply,
                _ => thread::sleep(Duration::from_millis(1)),
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no last word");
        }
    }

    fn inquiry() -> InquiryId {
        inquiries(1)[0]
    }

    /// Only a machine makes them.
    fn inquiries(count: u8) -> Vec<InquiryId> {
        let key = GroupKey::new([7; 32]);
        let mut machine = Respondent::new(RespondentConfig {
            name: HostName::new("host").expect("plain"),
            software: String::new(),
            key: key.clone(),
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
                question: Question::Hosts,
            };
            let mut out = Vec::new();
            ask.seal(&Cipher::downward(&key, ask.id), glancecast_proto::ids::Sequence::default(), &mut out);
            machine.handle_datagram(Moment::default(), WallClock(0), &out).expect("fresh");
        });
        std::iter::from_fn(|| machine.poll_inquiry())
            .map(|inquiry| match inquiry {
                Inquiry::Open(id, _) | Inquiry::Forget(id) => id,
            })
            .collect()
    }
}
