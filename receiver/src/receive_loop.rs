//! The thread that receives: it owns the sockets, the machine and the session's memory, and waits for nothing but
//! datagrams, answers of the workers and the clock. A datagram's symbol is opened straight to its place; everything that
//! takes long is handed to the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glancecast_platform::args::Rate;
use glancecast_platform::batch::Batch;
use glancecast_platform::clock::{Clock, wall};
use glancecast_platform::transport::{Buffer, Inlet, SocketError, Uplink};
use glancecast_platform::wake::{Sleeper, Waker};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::SessionId;
use glancecast_proto::limits::DATAGRAM_MAX;
use glancecast_proto::query::{Lookup, Responder, ResponderConfig};
use glancecast_proto::receiver::{
    Admission, Attempt, Effect, Opened, Receiver, ReceiverConfig, ReceiverEvent, Work, buffer_bytes,
};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Announce, Kind, SymbolHeader};

use crate::base::{self, BaseThread};
use crate::coalesce::Nap;
use crate::pool::Pool;
use crate::query_worker::Desk;
use crate::rate_limit::{ReadLimits, ReadRate};
use crate::stages::{Clocks, Stage, clocks};
use crate::store::{BaseFile, Begun, Existing, Store, Unpublished};
use crate::workers::{Answer, Task, Workers};
use crate::write_limit::WriteLimit;

/// What the thread works with.
pub struct Setup {
    /// Where datagrams come from and answers go.
    pub uplink: Uplink,
    /// Where objects go.
    pub store: Store,
    /// What is written there at most.
    pub write_rate: Option<Rate>,
    /// What is read there at most, to be hashed again.
    pub read_rate: ReadRate,
    /// Who this host is.
    pub receiver: ReceiverConfig,
    /// Who answers queries.
    pub responder: ResponderConfig,
    /// Ends after one object.
    pub once: bool,
}

/// How the thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// One object was published, as was asked for.
    Published,
    /// The one object that was asked for could not be published.
    Failed,
}

/// Tells the thread to stop; it says so to the sender first.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Stopper {
    /// Stops it soon.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

/// The receiving thread before it runs.
pub struct ReceiveLoop {
    uplink: Uplink,
    machine: Receiver,
    responder: Responder,
    desk: Desk,
    bases: BaseThread,
    store: Store,
    workers: Workers,
    session: Option<Active>,
    pool: Pool,
    clocks: Clocks,
    nap: Nap,
    scratch: Vec<u8>,
    out: Vec<u8>,
    sleeper: Sleeper,
    stop: Arc<AtomicBool>,
    clock: Clock,
    once: bool,
    outcome: Option<Ended>,
    stopping: Option<Moment>,
    drops: Drops,
    cleaned: Moment,
    /// Unfinished files on their way to be put away.
    putting_away: u32,
    /// The session waits for that, and has no place yet.
    to_open: Option<Box<Announce>>,
}

/// What the store holds of the session.
struct Active {
    session: SessionId,
    attempt: Attempt,
    geometry: Geometry,
    place: Place,
    /// The older object that the sender names, if it is here and was looked through.
    base: Option<Arc<BaseFile>>,
}

enum Place {
    Partial(Arc<Unpublished>),
    Existing(Existing),
    /// With the worker that publishes or compares.
    GivenAway,
    /// The store had none.
    Nowhere,
}

/// Drops of the socket: the kernel counts since the socket was opened, we since the session began.
#[derive(Default)]
struct Drops {
    total: u32,
    at_join: u32,
}

/// What a socket had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Nothing,
    /// It is empty now.
    All,
    /// It may have more.
    More,
}

impl Came {
    fn of(batch: &Batch) -> Self {
        if batch.was_full() { Self::More } else { Self::All }
    }
}

impl ReceiveLoop {
    /// Starts the workers.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(setup: Setup) -> Result<(Self, Stopper), SocketError> {
        let step = SocketError::at;
        let (sleeper, waker) = Sleeper::new().map_err(step("make an event descriptor"))?;
        let clocks = clocks();
        let limit = WriteLimit::new(setup.write_rate);
        let reads = ReadLimits::new(setup.read_rate);
        let workers =
            Workers::start(&waker, &clocks, limit, &reads.pushes).map_err(step("start a thread"))?;
        let desk = Desk::start(&setup.store, &waker, reads.verifications).map_err(step("start a thread"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let buffer = setup.uplink.buffer();
        tell_of_buffer(buffer);
        let receive_loop = Self {
            uplink: setup.uplink,
            machine: Receiver::new(setup.receiver),
            responder: Responder::new(setup.responder),
            desk,
            bases: BaseThread::start(&waker, reads.pushes).map_err(step("start a thread"))?,
            store: setup.store,
            workers,
            session: None,
            pool: Pool::none(),
            clocks,
            nap: Nap::new(buffer),
            scratch: vec![0; DATAGRAM_MAX],
            out: Vec::new(),
            sleeper,
            stop: Arc::clone(&stop),
            clock: Clock::start(),
            once: setup.once,
            outcome: None,
            stopping: None,
            drops: Drops::default(),
            cleaned: Moment::default(),
            putting_away: 0,
            to_open: None,
        };
        Ok((receive_loop, Stopper { stop, waker }))
    }

    /// Receives until told to stop, or until one object is done where that was asked for.
    ///
    /// # Errors
    /// When a socket fails for good.
    pub fn run(mut self) -> io::Result<Ended> {
        let mut group_batch = Batch::default();
        let mut answer_batch = Batch::default();
        let ended = loop {
            let from_group = self.receive_from_group(&mut group_batch)?;
            let from_sender = self.receive_from_sender(&mut answer_batch)?;
            while let Some(answer) = self.workers.next_answer() {
                self.take_answer(answer);
            }
            self.take_base();
            self.note_stop();
            self.machine.handle_timeout(self.clock.now());
            self.perform_effects();
            self.answer_queries();
            self.transmit();
            self.tell_events();
            self.clean_sometimes();
            if let Some(ended) = self.ended() {
                break ended;
            }
            match from_group.max(from_sender) {
                Came::More => {}
                // Datagrams that come during a nap are taken in together: one call for many of them, where waking for each
                // would cost more than all the rest.
                Came::All if self.session.is_some() => {
                    let nap = self.nap.take(group_batch.bytes(), self.machine.window());
                    self.sleeper.sleep([], self.sleep_time().min(nap))?;
                }
                Came::All | Came::Nothing => {
                    self.sleeper.sleep(self.uplink.sockets(), self.sleep_time())?;
                }
            }
        };
        self.tell_discards();
        self.forget_session();
        self.desk.join();
        self.bases.join();
        self.workers.join();
        Ok(ended)
    }

    fn receive_from_group(&mut self, batch: &mut Batch) -> io::Result<Came> {
        let mut came = Came::Nothing;
        for _ in 0..BATCHES_IN_A_ROW {
            if self.receive_batch(batch, Inlet::Everyone)? == 0 {
                break;
            }
            self.drops.total = batch.drops().unwrap_or(0);
            self.machine.note_socket_drops(u64::from(self.drops.total.wrapping_sub(self.drops.at_join)));
            self.take_batch(batch);
            came = Came::of(batch);
            if came == Came::All {
                break;
            }
        }
        Ok(came)
    }

    /// What is sent to this host alone: acknowledgements, and symbols where it is the last one.
    fn receive_from_sender(&mut self, batch: &mut Batch) -> io::Result<Came> {
        let mut came = Came::Nothing;
        for _ in 0..ANSWER_BATCHES_IN_A_ROW {
            if self.receive_batch(batch, Inlet::Host)? == 0 {
                break;
            }
            self.take_batch(batch);
            came = Came::of(batch);
            if came == Came::All {
                break;
            }
        }
        Ok(came)
    }

    fn receive_batch(&self, batch: &mut Batch, inlet: Inlet) -> io::Result<usize> {
        let start = Instant::now();
        let received = self.uplink.receive(inlet, batch)?;
        self.clocks.add(Stage::Receive as usize, start, batch.bytes());
        Ok(received)
    }

    fn take_batch(&mut self, batch: &Batch) {
        let start = Instant::now();
        let now = self.clock.now();
        for (from, datagram) in batch.datagrams() {
            if datagram.get(1) == Some(&(Kind::Symbol as u8)) {
                self.take_symbol(now, datagram);
            } else if Responder::is_for(datagram) {
                let _ = self.responder.handle_datagram(now, wall(), datagram);
            } else {
                // The reason is counted where it is found.
                let _ = self.machine.handle_datagram(now, wall(), from, datagram);
                // A session that was just joined has its memory before its first symbol, which may be the next datagram.
                self.perform_effects();
            }
        }
        self.clocks.add(Stage::Open as usize, start, batch.bytes());
    }

    /// The way of nearly every datagram: header, place, open to the place, count.
    fn take_symbol(&mut self, now: Moment, datagram: &[u8]) {
        let header = match SymbolHeader::parse(datagram) {
            Ok(header) => header,
            Err(reason) => {
                self.machine.drop(reason);
                return;
            }
        };
        let Ok(admission) = self.machine.admit(&header) else { return };
        let Some(cipher) = self.machine.cipher() else { return };
        let opened = match admission {
            Admission::To(place) => header.open(cipher, datagram, self.pool.place(place)),
            Admission::Spare(_) => {
                let len = self.machine.session().map_or(0, |(announce, _)| announce.geometry.symbol_size());
                header.open(cipher, datagram, &mut self.scratch[..usize::from(len)])
            }
        };
        match (opened, admission) {
            (Ok(()), Admission::To(place)) => self.machine.accept(now, &header, place, datagram.len()),
            (Ok(()), Admission::Spare(reason)) => {
                self.machine.note_spare(now, &header, datagram.len(), reason);
            }
            (Err(reason), _) => {
                self.machine.drop(reason);
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        let now = self.clock.now();
        match answer {
            Answer::Block { attempt, block, buffer, outcome } => {
                let mine = self.session.as_ref().is_some_and(|active| active.attempt == attempt);
                let returned = buffer.map(|(id, collected, bytes)| {
                    if mine {
                        self.pool.take_back(id, bytes);
                    }
                    (id, collected)
                });
                self.machine.handle_block(now, attempt, block, returned, outcome);
            }
            Answer::PutAway => {
                self.putting_away -= 1;
                self.open_place();
            }
            Answer::Published { attempt, result } => self.machine.handle_published(now, attempt, result),
        }
    }

    /// A base was looked through: what of the object is in it need not be asked for.
    fn take_base(&mut self) {
        while let Some(found) = self.bases.next() {
            if let Some(active) = self.session.as_mut().filter(|active| active.attempt == found.attempt) {
                active.base = found.file;
                self.machine.handle_base(found.attempt, found.index);
            }
        }
    }

    fn perform_effects(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.workers.has_room()) {
            match effect {
                Effect::Open(attempt, announce, buffers) => self.open(attempt, &announce, buffers),
                Effect::Block(attempt, work) => self.give_block(attempt, work),
                Effect::Publish(attempt, proof) => {
                    let active = self.active(attempt);
                    let Place::Partial(file) = std::mem::replace(&mut active.place, Place::GivenAway) else {
                        unreachable!("only a new file is published")
                    };
                    self.workers.give(Task::Publish { attempt, file, proof });
                }
                Effect::Compare(attempt, root) => {
                    let active = self.active(attempt);
                    let Place::Existing(file) = std::mem::replace(&mut active.place, Place::GivenAway) else {
                        unreachable!("only an existing file is compared")
                    };
                    self.workers.give(Task::Compare { attempt, file, root });
                }
                Effect::Discard(attempt) => {
                    if let Some(active) = self.session.as_ref().filter(|active| active.attempt == attempt) {
                        if let Place::Partial(file) = &active.place {
                            file.file().discard();
                        }
                        self.forget_session();
                    }
                }
                Effect::Suspend(attempt) => {
                    if self.session.as_ref().is_some_and(|active| active.attempt == attempt) {
                        self.forget_session();
                    }
                }
            }
        }
    }

    fn open(&mut self, attempt: Attempt, announce: &Announce, buffers: u16) {
        let geometry = announce.geometry;
        self.drops.at_join = self.drops.total;
        self.pool = Pool::new(buffers, buffer_bytes(announce), usize::from(geometry.symbol_size()));
        let (session, place) = (announce.session, Place::Nowhere);
        self.session = Some(Active { session, attempt, geometry, place, base: None });
        self.to_open = Some(Box::new(announce.clone()));
        self.open_place();
    }

    /// Asks the store for the place of a session that has none yet, once what was put away before is: it may be the same.
    fn open_place(&mut self) {
        if self.putting_away > 0 {
            return;
        }
        let (Some(announce), Some(active)) = (self.to_open.take(), &mut self.session) else { return };
        let (place, result) = match self.store.begin(&announce) {
            Ok(Begun::New(file)) => {
                let opened = opened(&file, active.geometry);
                if let Some(name) = announce.base.clone() {
                    let (attempt, geometry, store) = (active.attempt, active.geometry, self.store.clone());
                    self.bases.begin(base::Task { attempt, geometry, name, store });
                }
                (Place::Partial(Arc::new(file)), Ok(opened))
            }
            Ok(Begun::Existing(file)) => (Place::Existing(file), Ok(Opened::Existing)),
            Err(error) => (Place::Nowhere, Err((error.kind(), error.to_string()))),
        };
        active.place = place;
        let attempt = active.attempt;
        self.machine.handle_opened(self.clock.now(), attempt, result);
    }

    fn give_block(&mut self, attempt: Attempt, work: Work) {
        let buffer = match &work {
            Work::Rebuild { buffer, .. } => Some(self.pool.lend(*buffer)),
            Work::Zero { .. } | Work::Recheck { .. } | Work::Reuse { .. } => None,
        };
        let active = self.active(attempt);
        let Place::Partial(file) = &active.place else { unreachable!("blocks are of new files") };
        let (geometry, file, base) = (active.geometry, Arc::clone(file), active.base.clone());
        let task = Task::Block { attempt, geometry, work, buffer, file, base };
        self.workers.give(task);
    }

    fn active(&mut self, attempt: Attempt) -> &mut Active {
        let active = self.session.as_mut().expect("the machine asks for work in its session only");
        assert_eq!(active.attempt, attempt);
        active
    }

    fn forget_session(&mut self) {
        if let Some(active) = self.session.take() {
            self.workers.give_up(active.attempt);
            self.bases.give_up();
            self.to_open = None;
            if let Place::Partial(file) = active.place {
                self.putting_away += 1;
                self.workers.give(Task::PutAway { file, store: self.store.clone() });
            }
        }
        self.pool = Pool::none();
    }

    /// Hands queries to the desk and its replies to the machine.
    fn answer_queries(&mut self) {
        let now = self.clock.now();
        self.responder.handle_timeout(now);
        while let Some(lookup) = self.responder.poll_lookup() {
            match lookup {
                Lookup::Open(id, query) => self.desk.open(id, query),
                Lookup::Forget(id) => self.desk.forget(id),
            }
        }
        self.desk.set_at_work(self.session.is_some());
        while let Some((id, reply)) = self.desk.next_reply() {
            self.responder.handle_reply(now, id, reply);
        }
        while let Some(to) = self.responder.poll_transmit(now, &mut self.out) {
            if let Err(error) = self.uplink.send(&self.out, to) {
                tracing::debug!(%to, %error, "an answer could not be sent");
            }
        }
    }

    fn transmit(&mut self) {
        let now = self.clock.now();
        while let Some(to) = self.machine.poll_transmit(now, &mut self.out) {
            // Whatever happens to it on the way: it is said again if it matters.
            if let Err(error) = self.uplink.send(&self.out, to) {
                tracing::debug!(%to, %error, "a datagram to the sender could not be sent");
            }
        }
    }

    fn note_stop(&mut self) {
        if self.stopping.is_none() && self.stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            self.stopping = Some(now);
            self.machine.handle_stop(now);
            self.store.stop();
        }
    }

    /// Unfinished images grow old while nothing happens.
    fn clean_sometimes(&mut self) {
        let now = self.clock.now();
        if now.since(self.cleaned) >= CLEAN_GAP {
            self.cleaned = now;
            self.workers.clean(&self.store);
        }
    }

    fn ended(&self) -> Option<Ended> {
        let idle = self.machine.session().is_none();
        // What is being published is not left half done: its worker answers when the disk has.
        let publishing = self.session.as_ref().is_some_and(|active| matches!(active.place, Place::GivenAway));
        if let Some(since) = self.stopping
            && !publishing
            && (idle || self.clock.now().since(since) >= LAST_WORDS)
        {
            return Some(Ended::Stopped);
        }
        if idle { self.outcome } else { None }
    }

    fn sleep_time(&self) -> Duration {
        let next = [self.machine.poll_timeout(), self.responder.poll_timeout()].into_iter().flatten().min();
        let until = next.map_or(IDLE_SLEEP, |at| at.since(self.clock.now()));
        let stopping = if self.stopping.is_some() { STOPPING_SLEEP } else { IDLE_SLEEP };
        until.min(stopping)
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                ReceiverEvent::Joined(announce) => {
                    tracing::info!(
                        session = %announce.session, name = %announce.name, bytes = announce.geometry.object_bytes(),
                        sender = %announce.reply_to, "receiving"
                    );
                }
                ReceiverEvent::Corrupt(session, block) => {
                    if self.machine.corrupt_blocks() <= CORRUPT_TOLD_MAX {
                        tracing::warn!(%session, %block, "a block does not match its hash and is asked for again");
                    }
                }
                ReceiverEvent::Published { session, root, existing } => {
                    let mine = self.machine.session().filter(|(announce, _)| announce.session == session);
                    let (name, reused) = mine
                        .map(|(announce, _)| (announce.name.to_string(), self.machine.reused()))
                        .unwrap_or_default();
                    match reused {
                        0 => tracing::info!(%session, name, %root, existing, "published"),
                        _ => tracing::info!(%session, name, %root, existing, reused, "published"),
                    }
                    self.finish(session, Ended::Published);
                }
                ReceiverEvent::Failed(session, reason) => {
                    tracing::error!(%session, "nothing is published: {reason}");
                    self.finish(session, Ended::Failed);
                }
                ReceiverEvent::WrongKey(from) => {
                    tracing::warn!(
                        sender = %from,
                        "this group carries datagrams sealed under another key, which are dropped: check --key and --group"
                    );
                }
                ReceiverEvent::UnknownSender(from, Some(key)) => {
                    tracing::warn!(
                        sender = %from,
                        "pushes signed by {key} are refused, as this host does not list it: if it is a sender of yours, add it with \
                         --sender or to senders"
                    );
                }
                ReceiverEvent::UnknownSender(from, None) => {
                    tracing::warn!(
                        sender = %from,
                        "pushes that are not signed are refused, as this host lists its senders: send with --sender-key, and list \
                         that key here"
                    );
                }
                ReceiverEvent::Stale(from, skew) => {
                    tracing::warn!(
                        sender = %from,
                        "the sender's clock and this host's are {} s apart, so its announcements are refused: set the clocks",
                        skew.as_secs()
                    );
                }
                ReceiverEvent::OtherVersion(from, version) => {
                    tracing::warn!(sender = %from, "a sender speaks version {version} of the protocol, this program does not");
                }
            }
        }
    }

    fn tell_discards(&self) {
        tracing::info!("discarded datagrams by reason: {}", self.machine.discards());
        if self.responder.discards().seen().next().is_some() {
            tracing::info!("discarded queries by reason: {}", self.responder.discards());
        }
    }

    /// An event is told when the batch that it came with is taken in, and by then the next session may be open.
    fn finish(&mut self, session: SessionId, outcome: Ended) {
        for time in self.clocks.times() {
            let seconds = time.nanos as f64 / 1e9;
            tracing::debug!(stage = time.name, seconds, bytes = time.bytes, "time since the start");
        }
        self.tell_discards();
        if self.machine.corrupt_blocks() > 0 {
            tracing::warn!(
                "{} blocks since the start did not match their hash: somebody with the group key sends bad symbols, or \
                 memory is failing",
                self.machine.corrupt_blocks()
            );
        }
        if self.session.as_ref().is_some_and(|active| active.session == session) {
            self.forget_session();
        }
        if self.once {
            self.outcome = Some(outcome);
        }
    }
}

/// What a place holds already.
fn opened(file: &Unpublished, geometry: Geometry) -> Opened {
    let kept = file.file().kept();
    if kept.is_empty() {
        return Opened::New;
    }
    tracing::info!(
        kept = kept.len(),
        blocks = geometry.blocks(),
        "goes on from what an earlier session kept"
    );
    Opened::Resumed(kept.to_vec())
}

fn tell_of_buffer(buffer: Buffer) {
    if buffer.is_short() {
        tracing::warn!(
            "the socket's receive buffer is {} KiB instead of {} KiB: while this host is busy for longer than that holds, \
             datagrams are dropped here and have to be repaired: {}",
            buffer.bytes >> 10,
            buffer.wanted >> 10,
            buffer.remedy()
        );
    }
}

/// Blocks that do not match their hash which are told of one by one.
const CORRUPT_TOLD_MAX: u64 = 10;

/// Batches from the group before anything else gets its turn.
const BATCHES_IN_A_ROW: u32 = 8;

/// Batches of what is said to this host alone, likewise: nobody can keep it busy with them.
const ANSWER_BATCHES_IN_A_ROW: u32 = 2;

/// How often the store is looked over.
const CLEAN_GAP: Duration = Duration::from_secs(60);

/// With nothing to wait for; a wake ends it.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

/// A stopped receiver tells its sender, and waits so long for the answer.
const LAST_WORDS: Duration = Duration::from_millis(500);
const STOPPING_SLEEP: Duration = Duration::from_millis(20);
