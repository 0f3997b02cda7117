//! The receive loop: the thread that owns the sockets, the machine and the session's memory. It waits only for
//! datagrams, workers' answers and the clock. It decrypts each symbol straight to its place and leaves everything slow
//! to the workers.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::{Clock, wall};
use glancecast_platform::interface::Interface;
use glancecast_platform::locks::lock;
use glancecast_platform::transport::{self, Buffer, Inlet, SocketError};
use glancecast_platform::units::Rate;
use glancecast_platform::wake::{Sleeper, Waker};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::limits::DATAGRAM_MAX;
use glancecast_proto::query::{Responder, ResponderConfig};
use glancecast_proto::receiver::{
    Admission, Attempt, Effect, Leftover, Opened, Receiver, ReceiverConfig, ReceiverEvent, Work, buffer_bytes,
};
use glancecast_proto::relay::RelayConfig;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Announce, Discard, Kind, SymbolHeader};

use crate::base::{self, BaseThread};
use crate::coalesce::Coalescer;
use crate::events::{self, Context};
use crate::network::{Network, Tended};
use crate::on_published::Hook;
use crate::own_address::{self, OwnAddress};
use crate::pool::Pool;
use crate::query_worker::QueryWorkers;
use crate::rate_limit::{ReadLimits, ReadRate};
use crate::rebuild::failure;
use crate::relay::{Forwarder, Gathering, Read};
use crate::settings::Settings;
use crate::stages::{Clocks, Stage, clocks};
use crate::store::{BaseFile, Begun, Existing, Store, Unpublished};
use crate::workers::{Answer, Task, Workers};
use crate::write_limit::WriteLimit;

/// What is called with the interface on which the group is joined first, and where this host is reached by unicast.
pub type Listening = Box<dyn FnOnce(&Interface, transport::Listening) + Send>;

/// What the receive loop is made of.
pub struct Setup {
    /// The sockets and their interface: datagrams come in and answers go out here.
    pub network: Network,
    /// Called once, when the group is joined for the first time.
    pub listening: Listening,
    /// Where objects are published.
    pub store: Store,
    /// The directory where group keys are kept that senders give this host.
    pub state: PathBuf,
    /// Cap on writes to the store.
    pub write_rate: Option<Rate>,
    /// Cap on reads from the store that hash data again.
    pub read_rate: ReadRate,
    /// The receiver's identity and limits.
    pub receiver: ReceiverConfig,
    /// The responder's identity and limits.
    pub responder: ResponderConfig,
    /// Whether and for whom this host forwards.
    pub relay: RelayConfig,
    /// Runs a command for each image that is published.
    pub on_published: Option<Hook>,
    /// Whether the loop ends after one object.
    pub once: bool,
}

/// How the receive loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A [`Stopper`] stopped it.
    Stopped,
    /// With `once`: the object was published.
    Published,
    /// With `once`: the object could not be published.
    Failed,
}

/// Stops the receive loop, which notifies the sender first, and gives it other settings.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    settings: Arc<Mutex<Option<Settings>>>,
    waker: Waker,
}

impl Stopper {
    /// Gives the loop other group keys and senders, and returns at once. Of several that come at the same time the last
    /// counts.
    pub fn set(&self, settings: Settings) {
        *lock(&self.settings) = Some(settings);
        self.waker.wake();
    }

    /// Requests the stop and returns at once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

/// The receive loop before it runs.
pub struct ReceiveLoop {
    own_address: OwnAddress,
    network: Network,
    listening: Option<Listening>,
    machine: Machine,
    responder: Responder,
    forwarder: Forwarder,
    queries: QueryWorkers,
    bases: BaseThread,
    store: Store,
    workers: Workers,
    /// The attempt whose symbols go to the pool.
    attempt: Option<Attempt>,
    pool: Pool,
    /// The base that the sender names, once it is found and indexed.
    base: Option<Arc<BaseFile>>,
    clocks: Clocks,
    coalescer: Coalescer,
    scratch: Vec<u8>,
    out: Vec<u8>,
    sleeper: Sleeper,
    stop: Arc<AtomicBool>,
    settings: Arc<Mutex<Option<Settings>>>,
    clock: Clock,
    once: bool,
    outcome: Option<Ended>,
    stopping: Option<Moment>,
    drops: Drops,
    cleaned: Moment,
}

/// The machine; it holds the session's file.
type Machine = Receiver<Arc<Unpublished>, Existing>;

/// What the sockets have dropped: the kernel counts from the opening of each socket, the machine from the start of the
/// session.
#[derive(Default)]
struct Drops {
    /// The kernel's last counts.
    everyone: u32,
    host: u32,
    since_join: u64,
}

impl Drops {
    /// Notes the kernel's count of one socket; returns the drops of both since the session began.
    fn note(&mut self, inlet: Inlet, count: Option<u32>) -> u64 {
        let last = match inlet {
            Inlet::Everyone => &mut self.everyone,
            Inlet::Host => &mut self.host,
        };
        let count = count.unwrap_or(0);
        // A socket that was opened anew counts from zero.
        self.since_join += u64::from(count.checked_sub(*last).unwrap_or(count));
        *last = count;
        self.since_join
    }
}

/// What a receive call found in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Nothing,
    /// The socket is empty now.
    All,
    /// The socket may hold more.
    More,
}

impl Came {
    fn of(batch: &Batch) -> Self {
        if batch.was_full() { Self::More } else { Self::All }
    }
}

impl ReceiveLoop {
    /// Starts the workers and returns the loop with its [`Stopper`].
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(setup: Setup) -> Result<(Self, Stopper), SocketError> {
        let step = SocketError::at;
        let (sleeper, waker) = Sleeper::new().map_err(step("make an event descriptor"))?;
        let clocks = clocks();
        let limit = WriteLimit::new(setup.write_rate);
        let reads = ReadLimits::new(setup.read_rate);
        let workers = Workers::start(&waker, &clocks, limit, &reads.pushes, setup.on_published)
            .map_err(step("start a thread"))?;
        let queries = QueryWorkers::start(&setup.store, &setup.state, &waker, reads.verifications)
            .map_err(step("start a thread"))?;
        let (stop, settings) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let buffer = setup.network.buffer();
        log_short_buffer(buffer);
        let receive_loop = Self {
            own_address: OwnAddress::of(setup.network.source()),
            network: setup.network,
            listening: Some(setup.listening),
            machine: Receiver::new(setup.receiver),
            responder: Responder::new(setup.responder),
            forwarder: Forwarder::new(setup.relay),
            queries,
            bases: BaseThread::start(&waker, reads.pushes).map_err(step("start a thread"))?,
            store: setup.store,
            workers,
            attempt: None,
            pool: Pool::none(),
            base: None,
            clocks,
            coalescer: Coalescer::new(buffer),
            scratch: vec![0; DATAGRAM_MAX],
            out: Vec::new(),
            sleeper,
            stop: Arc::clone(&stop),
            settings: Arc::clone(&settings),
            clock: Clock::start(),
            once: setup.once,
            outcome: None,
            stopping: None,
            drops: Drops::default(),
            cleaned: Moment::default(),
        };
        Ok((receive_loop, Stopper { stop, settings, waker }))
    }

    /// Receives until stopped, or until one object is done if `once` is set.
    ///
    /// # Errors
    /// If the process cannot sleep on its sockets.
    pub fn run(mut self) -> io::Result<Ended> {
        let mut group_batch = Batch::default();
        let mut own_batch = Batch::default();
        let ended = loop {
            self.tend_network();
            let from_group = self.receive_from(Inlet::Everyone, &mut group_batch);
            let alone = self.receive_from(Inlet::Host, &mut own_batch);
            while let Some(answer) = self.workers.next_answer() {
                self.take_answer(answer);
            }
            self.take_base();
            self.note_stop();
            self.take_settings();
            self.machine.handle_timeout(self.clock.now());
            self.perform_effects();
            self.answer_queries();
            self.transmit();
            self.tend_relay();
            self.log_events();
            self.clean_sometimes();
            if let Some(ended) = self.ended() {
                break ended;
            }
            match from_group.max(alone) {
                Came::More => {}
                // Datagrams that arrive during the delay are read with one call; a wake-up for each would cost more
                // than all the other work.
                Came::All if self.attempt.is_some() || self.forwarder.is_at_work() => {
                    let bytes = group_batch.bytes() + own_batch.bytes();
                    let delay = self.coalescer.next_delay(bytes, self.machine.window());
                    let delay = delay.min(self.forwarder.patience());
                    self.sleeper.sleep([], self.sleep_time().min(delay))?;
                }
                Came::All | Came::Nothing => {
                    self.sleeper.sleep(self.network.sockets(), self.sleep_time())?;
                }
            }
        };
        self.log_discards();
        self.queries.join();
        self.bases.join();
        self.workers.join();
        Ok(ended)
    }

    /// Keeps the sockets on their interface.
    fn tend_network(&mut self) {
        let Tended::Attached(on) = self.network.tend(self.clock.now(), self.attempt.is_some()) else {
            return;
        };
        self.machine.handle_mtu(u16::try_from(on.mtu).ok());
        let unicast = self.network.listening();
        let is_reached = matches!(unicast, transport::Listening::AtGroupPort(_));
        self.machine.set_relaying(self.forwarder.is_allowed() && is_reached);
        self.forwarder.handle_network_change();
        if let Some(listening) = self.listening.take() {
            listening(&on, unicast);
        }
    }

    /// Receives what is sent to everyone or to this host alone. A whole push may come either way, and a flood of either
    /// keeps nothing else waiting for longer than this.
    fn receive_from(&mut self, inlet: Inlet, batch: &mut Batch) -> Came {
        let mut came = Came::Nothing;
        for _ in 0..BATCHES_IN_A_ROW {
            if self.receive_batch(batch, inlet) == 0 {
                break;
            }
            let drops = self.drops.note(inlet, batch.drops());
            self.machine.note_socket_drops(drops);
            self.take_batch(batch, inlet);
            came = Came::of(batch);
            if came == Came::All {
                break;
            }
        }
        if came != Came::Nothing && inlet == Inlet::Everyone {
            self.network.note_heard(self.clock.now());
        }
        came
    }

    fn receive_batch(&mut self, batch: &mut Batch, inlet: Inlet) -> usize {
        let start = Instant::now();
        let received = self.network.receive(inlet, batch);
        self.clocks.add(Stage::Receive as usize, start, batch.bytes());
        received
    }

    fn take_batch(&mut self, batch: &Batch, inlet: Inlet) {
        let start = Instant::now();
        let now = self.clock.now();
        let mut gathering = Gathering::default();
        for (from, datagram) in batch.datagrams() {
            // What came by multicast is never forwarded, nor what is for this host alone.
            let candidate = match inlet {
                Inlet::Host if !own_address::is_for_this_one(datagram) => {
                    self.forwarder.expects(now, from, datagram)
                }
                Inlet::Host | Inlet::Everyone => None,
            };
            let read = self.take_datagram(now, from, datagram, inlet);
            if let Some(candidate) = candidate {
                let Self { forwarder, network, .. } = self;
                forwarder.forward(now, candidate, read, datagram, &mut gathering, network);
            }
        }
        self.forwarder.flush(now, &mut gathering, &mut self.network);
        self.clocks.add(Stage::Open as usize, start, batch.bytes());
    }

    fn take_datagram(&mut self, now: Moment, from: SocketAddr, datagram: &[u8], inlet: Inlet) -> Read {
        let kind = Kind::peek(datagram);
        if !self.own_address.takes(inlet, from, datagram) {
            self.machine.count_discard(Discard::UnknownKind);
        } else if kind == Some(Kind::Symbol) {
            return self.take_symbol(now, from, datagram);
        } else if kind == Some(Kind::Route) && inlet == Inlet::Host {
            let member = self.machine.membership();
            self.forwarder.handle_route(now, wall(), member, datagram);
        } else if self.responder.is_for(datagram) {
            let _ = self.responder.handle_datagram(now, wall(), from, datagram);
        } else {
            // The machine counts the reason of a discard.
            let _ = match inlet {
                Inlet::Everyone => self.machine.handle_datagram(now, wall(), from, datagram),
                Inlet::Host => self.machine.handle_unicast(now, wall(), from, datagram),
            };
            // A session that was just joined needs its memory before its first symbol, which may be the next
            // datagram.
            self.perform_effects();
        }
        Read::Unread
    }

    /// Handles a symbol, the kind of nearly every datagram: parse, admit, decrypt to its place, count.
    fn take_symbol(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Read {
        let header = match SymbolHeader::parse(datagram) {
            Ok(header) => header,
            Err(reason) => {
                self.machine.count_discard(reason);
                return Read::Unread;
            }
        };
        let Ok(admission) = self.machine.admit(&header) else { return Read::Unread };
        let Some(cipher) = self.machine.cipher() else { return Read::Unread };
        let opened = match admission {
            Admission::To(place) => header.open(cipher, datagram, self.pool.place(place)),
            Admission::Spare(_) => {
                let len = self.machine.session().map_or(0, |announce| announce.geometry.symbol_size());
                header.open(cipher, datagram, &mut self.scratch[..usize::from(len)])
            }
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                self.machine.count_discard(reason);
                return Read::Forged;
            }
        };
        match admission {
            Admission::To(place) => {
                self.machine.accept(now, &header, place, datagram.len());
                self.machine.note_source(from);
            }
            Admission::Spare(reason) => self.machine.note_spare(now, &header, datagram.len(), reason),
        }
        Read::Opened(opened)
    }

    fn take_answer(&mut self, answer: Answer) {
        let now = self.clock.now();
        match answer {
            Answer::Block { attempt, block, buffer, outcome } => {
                let returned = buffer.map(|(returned, bytes)| {
                    if self.attempt == Some(attempt) {
                        self.pool.take_back(returned.buffer, bytes);
                    }
                    returned
                });
                self.machine.handle_block(now, attempt, block, returned, outcome);
            }
            Answer::PutAway => self.machine.handle_put_away(),
            Answer::Published { attempt, result } => self.machine.handle_published(now, attempt, result),
        }
    }

    /// Passes the index of a base to the machine, so that blocks found there are not requested.
    fn take_base(&mut self) {
        while let Some(found) = self.bases.next() {
            if self.attempt == Some(found.attempt) {
                self.base = found.file;
                self.machine.handle_base(found.attempt, found.index);
            }
        }
    }

    fn perform_effects(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.workers.room()) {
            match effect {
                Effect::Prepare(attempt, announce, buffers) => self.prepare(attempt, &announce, buffers),
                Effect::Open(attempt, announce) => self.open(attempt, &announce),
                Effect::LookThrough(attempt, name) => {
                    let (geometry, store) = (self.geometry(), self.store.clone());
                    self.bases.begin(base::Task { attempt, geometry, name, store });
                }
                Effect::Block(attempt, work, file) => self.give_block(attempt, work, file),
                Effect::Publish(attempt, file, proof) => {
                    self.workers.give(Task::Publish { attempt, file, proof });
                }
                Effect::Compare(attempt, file, root) => {
                    self.workers.give(Task::Compare { attempt, file, root });
                }
                Effect::Leave(attempt) => self.leave(attempt),
                Effect::PutAway(file, leftover) => {
                    if leftover == Leftover::Discarded {
                        file.file().discard();
                    }
                    self.workers.give(Task::PutAway { file, store: self.store.clone() });
                }
            }
        }
    }

    fn prepare(&mut self, attempt: Attempt, announce: &Announce, buffers: u16) {
        let symbol_size = usize::from(announce.geometry.symbol_size());
        self.drops.since_join = 0;
        self.pool = Pool::new(buffers, buffer_bytes(announce), symbol_size);
        self.attempt = Some(attempt);
    }

    fn open(&mut self, attempt: Attempt, announce: &Announce) {
        let opened = self.store.begin(announce).map(|begun| match begun {
            Begun::New(file) => opened(file, announce.geometry),
            Begun::Existing(file) => Opened::Existing(file),
        });
        self.machine.handle_opened(self.clock.now(), attempt, opened.map_err(failure));
    }

    fn give_block(&mut self, attempt: Attempt, work: Work, file: Arc<Unpublished>) {
        let buffer = match &work {
            Work::Rebuild { buffer, .. } | Work::Sift { buffer, .. } => Some(self.pool.lend(*buffer)),
            Work::Zero { .. } | Work::Recheck { .. } | Work::Reuse { .. } => None,
        };
        let (geometry, base) = (self.geometry(), self.base.clone());
        self.workers.give(Task::Block { attempt, geometry, work, buffer, file, base });
    }

    /// Returns the geometry of the session's object.
    fn geometry(&self) -> Geometry {
        self.machine.session().expect("the machine asks for work in its session only").geometry
    }

    fn leave(&mut self, attempt: Attempt) {
        self.workers.give_up(attempt);
        self.bases.give_up();
        self.pool = Pool::none();
        (self.attempt, self.base) = (None, None);
    }

    fn answer_queries(&mut self) {
        let now = self.clock.now();
        self.queries.set_at_work(self.attempt.is_some());
        self.queries.serve(now, &mut self.responder);
        if let Some(keys) = self.responder.poll_keys() {
            tracing::info!(keys = keys.len(), "the group keys have changed");
            self.machine.handle_keys(keys);
        }
        while let Some(to) = self.responder.poll_transmit(now, &mut self.out) {
            self.network.send(now, &self.out, to);
        }
    }

    fn transmit(&mut self) {
        let now = self.clock.now();
        while let Some(to) = self.machine.poll_transmit(now, &mut self.out) {
            self.network.send(now, &self.out, to);
        }
    }

    /// Sends what waits to be forwarded, and the acknowledgements of leases.
    fn tend_relay(&mut self) {
        let now = self.clock.now();
        self.forwarder.send_waiting(now, &mut self.network);
        while let Some(to) = self.forwarder.machine().poll_transmit(now, &mut self.out) {
            self.network.send(now, &self.out, to);
        }
        self.forwarder.tend(now);
    }

    fn note_stop(&mut self) {
        if self.stopping.is_none() && self.stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            self.stopping = Some(now);
            self.machine.handle_stop(now);
            self.store.stop();
        }
    }

    /// Takes over keys and senders that were read anew.
    fn take_settings(&mut self) {
        let Some(Settings { keys, senders }) = lock(&self.settings).take() else { return };
        if self.responder.handle_configured_keys(keys) {
            self.responder.handle_senders(senders.clone());
            self.machine.handle_senders(self.clock.now(), senders);
            tracing::info!("group keys and senders were read anew");
        } else {
            tracing::error!(
                "every group key that is configured was retired, so that the old keys and senders stay: configure the present key"
            );
        }
    }

    /// Cleans the store every [`CLEAN_GAP`]: unfinished images also expire while nothing happens.
    fn clean_sometimes(&mut self) {
        let now = self.clock.now();
        if now.since(self.cleaned) >= CLEAN_GAP {
            self.cleaned = now;
            self.workers.clean(&self.store);
        }
    }

    fn ended(&self) -> Option<Ended> {
        let idle = self.machine.session().is_none();
        // Do not leave a publication half done: its worker answers when the disk has.
        if let Some(since) = self.stopping
            && !self.machine.is_publishing()
            && (idle || self.clock.now().since(since) >= STOP_WAIT_MAX)
        {
            return Some(Ended::Stopped);
        }
        if idle { self.outcome } else { None }
    }

    fn sleep_time(&self) -> Duration {
        let machine = self.machine.poll_timeout().map(|(at, _)| at);
        let relay = self.forwarder.poll_timeout();
        let next = [machine, self.responder.poll_timeout(), relay].into_iter().flatten().min();
        let until = next.map_or(IDLE_SLEEP, |at| at.since(self.clock.now()));
        let stopping = if self.stopping.is_some() { STOPPING_SLEEP } else { IDLE_SLEEP };
        until.min(stopping)
    }

    fn log_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            events::log(&event, &self.context(&event));
            match event {
                ReceiverEvent::Published { .. } => self.finish(Ended::Published),
                ReceiverEvent::Failed(..) => self.finish(Ended::Failed),
                _ => {}
            }
        }
    }

    /// Returns what the log adds to an event. Events are polled after the whole batch was handled, and by then the next
    /// session may have begun.
    fn context(&self, event: &ReceiverEvent) -> Context {
        let corrupt = self.machine.corrupt_blocks();
        match (event, self.machine.session()) {
            (ReceiverEvent::Published { session, .. }, Some(announce)) if announce.session == *session => {
                Context { name: announce.name.to_string(), reused: self.machine.reused(), corrupt }
            }
            _ => Context { corrupt, ..Context::default() },
        }
    }

    fn log_discards(&self) {
        self.forwarder.log_counts();
        tracing::info!("discarded datagrams by reason: {}", self.machine.discards());
        if self.responder.discards().seen().next().is_some() {
            tracing::info!("discarded queries by reason: {}", self.responder.discards());
        }
    }

    fn finish(&mut self, outcome: Ended) {
        for time in self.clocks.times() {
            let seconds = time.nanos as f64 / 1e9;
            tracing::debug!(stage = time.name, seconds, bytes = time.bytes, "time since the start");
        }
        self.log_discards();
        if self.machine.corrupt_blocks() > 0 {
            tracing::warn!(
                "{} blocks since the start did not match their hash: somebody with the group key sends bad symbols, or \
                 memory is failing",
                self.machine.corrupt_blocks()
            );
        }
        if self.once {
            self.outcome = Some(outcome);
        }
    }
}

/// Returns a new file and the blocks that it holds already.
fn opened(file: Unpublished, geometry: Geometry) -> Opened<Arc<Unpublished>, Existing> {
    let kept = file.file().kept().to_vec();
    if !kept.is_empty() {
        tracing::info!(
            kept = kept.len(),
            blocks = geometry.blocks(),
            "goes on from what an earlier session kept"
        );
    }
    Opened::Unfinished { file: Arc::new(file), kept }
}

fn log_short_buffer(buffer: Buffer) {
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

/// Batches read from one socket before anything else gets its turn.
const BATCHES_IN_A_ROW: u32 = 8;

/// Time between two cleanings of the store.
const CLEAN_GAP: Duration = Duration::from_secs(60);

/// Longest sleep with nothing to wait for; a wake-up ends it.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

/// How long a stopping receiver waits for the sender's acknowledgement.
const STOP_WAIT_MAX: Duration = Duration::from_millis(500);
const STOPPING_SLEEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_both_sockets_count_from_the_start_of_the_session() {
        let mut drops = Drops::default();
        assert_eq!(drops.note(Inlet::Everyone, Some(5)), 5);
        assert_eq!(drops.note(Inlet::Host, Some(3)), 8);
        drops.since_join = 0;
        assert_eq!(drops.note(Inlet::Everyone, Some(5)), 0);
        assert_eq!(drops.note(Inlet::Host, Some(4)), 1);
        assert_eq!(drops.note(Inlet::Host, Some(2)), 3, "a socket that was opened anew counts from zero");
        assert_eq!(drops.note(Inlet::Everyone, None), 3);
    }
}
