use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::wake::Sleeper;
use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, ObjectName, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::query::ResponderConfig;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::senders::Senders;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, Ask, Audience, DiskFormat, Finding, Kept, Pin, PinTime, Sought};

use super::*;
use crate::store::{Begun, StoreOptions, StoreSpec, Verified};

#[test]
fn a_listing_counts_all_and_names_what_is_sought() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = store(&dir);
    ["a", "b", "c"].iter().for_each(|name| hold(&store, &dir, name, Pin::None));
    let mut workers = QueryWorkers::start(&store, dir.path(), &waker(), unlimited()).expect("threads");
    workers.open(lookup(), Query::Status(sought("b")), asker());
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
    workers.open(lookup(), Query::Verify(sought("image")), asker());
    assert_eq!(final_reply(&mut workers).objects[0].finding, Finding::Intact);
    fs::write(dir.path().join("image"), FLIPPED).expect("writable");
    workers.open(lookup(), Query::Verify(sought("image")), asker());
    assert_eq!(final_reply(&mut workers).objects[0].finding, Finding::Differs(root(FLIPPED)));
    workers.open(lookup(), Query::Verify(sought("another")), asker());
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
        workers.open(lookup(), Query::Unpin(sought("image")), asker());
        let reply = final_reply(&mut workers);
        assert_eq!((&reply.objects[0].finding, reply.objects[0].kept), (&Finding::LetGo(was), Kept::ByRule));
        assert_eq!(reply.pinned, pinned);
    }
    workers.join();
}

#[test]
fn a_pin_is_set_as_asked_and_the_answer_says_what_it_was() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = store(&dir);
    hold(&store, &dir, "image", Pin::None);
    hold(&store, &dir, "other", Pin::None);
    let mut workers = QueryWorkers::start(&store, dir.path(), &waker(), unlimited()).expect("threads");
    let mut pin = |time| {
        workers.open(lookup(), Query::Pin(sought("image"), time), asker());
        let reply = final_reply(&mut workers);
        assert_eq!((reply.objects.len(), reply.pinned), (1, 1));
        (reply.objects[0].finding.clone(), reply.objects[0].kept)
    };
    assert_eq!(pin(PinTime::Forever), (Finding::PinSet(Kept::ByRule), Kept::Forever));
    let (finding, kept) = pin(PinTime::For(Duration::from_secs(3600)));
    assert_eq!(finding, Finding::PinSet(Kept::Forever));
    assert!(matches!(kept, Kept::Until(_)), "{kept:?}");
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
        worker.answer_one(Task { id, query, asker: asker(), given_up: Arc::default() }, &hashing);
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
    let task = Task { id: lookup(), query: Query::Hosts, asker: asker(), given_up: Arc::default() };
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
    let task =
        Task { id: lookup(), query: Query::Hosts, asker: asker(), given_up: Arc::new(AtomicBool::new(true)) };
    let nothing = |_| empty_reply("", AnswerState::Final);
    assert_eq!(worker.hash(&task, "image", nothing).expect("readable"), None);
    assert!(replies.try_recv().is_err());
}

fn worker(store: &Store) -> (QueryWorker, Receiver<(LookupId, Reply)>) {
    let (replies, taken) = channel();
    (
        QueryWorker {
            store: store.clone(),
            keyrings: Keyrings::new(Path::new("")),
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
        started: WallClock(0),
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

fn asker() -> Asker {
    Asker { from: [192, 0, 2, 1].into(), signer: None }
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
        ask.seal(&Cipher::downward(&key, ask.id), None, Sequence::default(), &mut out);
        machine
            .handle_datagram(Moment::default(), WallClock(0), ([127, 0, 0, id + 1], 1).into(), &out)
            .expect("fresh");
    });
    std::iter::from_fn(|| machine.poll_lookup())
        .map(|lookup| match lookup {
            Lookup::Open(id, _, _) | Lookup::Forget(id) | Lookup::Keep(id, _) => id,
            Lookup::Examine(id, _) => id,
        })
        .collect()
}
