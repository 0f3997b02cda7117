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
use glancecast_platform::notify::{Notifier, Service};
use glancecast_platform::transport::{self, Buffer, Inlet, SocketError};
use glancecast_platform::units::Rate;
use glancecast_platform::wake::{Sleeper, Waker};
use glancecast_proto::doctor::Way;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::limits::DATAGRAM_MAX;
use glancecast_proto::query::{Probed, Responder, ResponderConfig};
use glancecast_proto::receiver::{
    Admission, Attempt, BlockOutcome, Effect, Leftover, Opened, Receiver, ReceiverConfig, ReceiverEvent,
    Work, buffer_bytes,
};
use glancecast_proto::relay::RelayConfig;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Announce, Discard, DiscardCounts, Kind, SymbolHeader};

use crate::base::{self, BaseThread};
use crate::coalesce::Coalescer;
use crate::diagnosis::{Diagnosis, OwnCounts};
use crate::events::{self, Context};
use crate::network::{Network, Tended};
use crate::observe::{Board, Identity, Nudge, Surveyor, Tally, Turn};
use crate::on_published::Hook;
use crate::own_address::{self, OwnAddress};
use crate::pool::Pool;
use crate::query_worker::QueryWorkers;
use crate::rate_limit::{ReadLimits, ReadRate};
use crate::rebuild::failure;
use crate::relay::{Forwarder, Gathering, Read};
use crate::settings::{Settings, SettingsError};
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
    /// How long unfinished images are kept, for the log.
    pub kept_for: Duration,
    /// The way to the service manager.
    pub notifier: Notifier,
    /// Where the state of this host is left for others to see.
    pub board: Board,
    /// The group, as the operator writes it.
    pub group: String,
    /// The file that metrics are written to.
    pub metrics_file: Option<PathBuf>,
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
    settings: Reloaded,
    waker: Waker,
}

/// What a reload has found, until the loop takes it.
type Reloaded = Arc<Mutex<Option<Result<Settings, SettingsError>>>>;

impl Stopper {
    /// Gives the loop other settings, or the reason why the old ones stay, and returns at once. Of several that come at the
    /// same time the last counts.
    pub fn set(&self, settings: Result<Settings, SettingsError>) {
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
    diagnosis: Diagnosis,
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
    settings: Reloaded,
    reads: ReadLimits,
    clock: Clock,
    once: bool,
    outcome: Option<Ended>,
    stopping: Option<Moment>,
    drops: Drops,
    cleaned: Moment,
    service: Service,
    tally: Tally,
    survey: Nudge,
    kept_for: Duration,
    /// What was discarded before the push that is under way.
    discarded_before: DiscardCounts,
    /// Whether something of the group was heard since the last snapshot.
    was_heard: bool,
    /// When that was last so, in milliseconds since 1970.
    heard_ms: Option<u64>,
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
    since_start: u64,
}

impl Drops {
    /// Returns the kernel's counts of both sockets.
    fn since_start(&self) -> u64 {
        u64::from(self.everyone) + u64::from(self.host)
    }

    /// Notes the kernel's count of one socket; returns the drops of both since the session began.
    fn note(&mut self, inlet: Inlet, count: Option<u32>) -> u64 {
        let last = match inlet {
            Inlet::Everyone => &mut self.everyone,
            Inlet::Host => &mut self.host,
        };
        let count = count.unwrap_or(0);
        // A socket that was opened anew counts from zero.
        let more = u64::from(count.checked_sub(*last).unwrap_or(count));
        self.since_join += more;
        self.since_start += more;
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
        let queries =
            QueryWorkers::start(&setup.store, &setup.state, &waker, Arc::clone(&reads.verifications))
                .map_err(step("start a thread"))?;
        let (stop, settings) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let buffer = setup.network.buffer();
        log_short_buffer(buffer);
        let survey =
            Surveyor { store: setup.store.clone(), board: setup.board.clone(), file: setup.metrics_file };
        let survey = survey.start().map_err(step("start a thread"))?;
        let identity = Identity {
            name: setup.receiver.name.to_string(),
            host_key: setup.receiver.host_key.public().to_string(),
            group: setup.group,
            store: setup.store.to_string(),
        };
        let mut tally = Tally::new(identity, setup.board);
        tally.note_access(&setup.receiver.keys, &setup.receiver.senders);
        let receive_loop = Self {
            own_address: OwnAddress::of(setup.network.source()),
            network: setup.network,
            listening: Some(setup.listening),
            machine: Receiver::new(setup.receiver),
            responder: Responder::new(setup.responder),
            forwarder: Forwarder::new(setup.relay),
            queries,
            diagnosis: Diagnosis::default(),
            bases: BaseThread::start(&waker, Arc::clone(&reads.pushes)).map_err(step("start a thread"))?,
            reads,
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
            service: Service::new(setup.notifier),
            tally,
            survey,
            kept_for: setup.kept_for,
            discarded_before: DiscardCounts::default(),
            was_heard: false,
            heard_ms: None,
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
            self.tell();
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
        self.service.stopping();
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
            self.tally.hurry();
            self.service.ready();
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
            self.was_heard = true;
        }
        came
    }

    fn receive_batch(&mut self, batch: &mut Batch, inlet: Inlet) -> usize {
        let start = Instant::now();
        let received = self.network.receive(inlet, batch);
        self.clocks.add(Stage::Receive as usize, start, batch.bytes());
        self.tally.bytes += if received > 0 { batch.bytes() as u64 } else { 0 };
        received
    }

    fn take_batch(&mut self, batch: &Batch, inlet: Inlet) {
        let start = Instant::now();
        let now = self.clock.now();
        let mut gathering = Gathering::default();
        for (from, datagram) in batch.datagrams() {
            self.tally.datagrams += 1;
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
        } else if kind == Some(Kind::Probe) {
            let way = if inlet == Inlet::Host { Way::Unicast } else { Way::Group };
            if self.responder.handle_probe(way, datagram) == Ok(Probed::ToPassOn) {
                Diagnosis::pass_on(datagram, &mut self.network);
            }
        } else if kind == Some(Kind::Route) && inlet == Inlet::Host {
            let member = self.machine.membership();
            self.forwarder.handle_route(now, wall(), member, datagram);
        } else if self.responder.is_for(datagram) {
            if self.responder.handle_datagram(now, wall(), from, datagram) == Err(Discard::WrongKey) {
                // The asker may learn that a host with another key is here.
                self.machine.handle_other_key(now, from, datagram);
            }
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
                let is_proven = matches!(outcome, BlockOutcome::Written { .. } | BlockOutcome::Zeros(_));
                self.tally.blocks_proven += u64::from(is_proven);
                let returned = buffer.map(|(returned, bytes)| {
                    if self.attempt == Some(attempt) {
                        self.pool.take_back(returned.buffer, bytes);
                    }
                    returned
                });
                self.machine.handle_block(now, attempt, block, returned, outcome);
            }
            Answer::PutAway => self.machine.handle_put_away(),
            Answer::Published { attempt, result, command } => {
                self.machine.note_command(attempt, command);
                self.machine.handle_published(now, attempt, result);
            }
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
        self.discarded_before = self.machine.discards().clone();
        self.tally.hurry();
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
            self.tally.note_keys(&keys);
            self.machine.handle_keys(keys);
        }
        while let Some(step) = self.queries.next_examination() {
            let socket_drops = self.drops.since_start();
            let own = OwnCounts { socket_drops, can_relay: self.forwarder.is_allowed() };
            self.diagnosis.take(now, step, own, &mut self.network, &mut self.responder);
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
            self.service.stopping();
            self.machine.handle_stop(now);
            self.store.stop();
        }
    }

    /// Takes over settings that were read anew, all of them or none.
    fn take_settings(&mut self) {
        let Some(settings) = lock(&self.settings).take() else { return };
        let refused = match settings {
            Ok(settings) if self.responder.handle_configured_keys(settings.keys.clone()) => {
                self.take_over(settings);
                None
            }
            Ok(_) => {
                Some("every group key that is configured was retired: configure the present key".to_owned())
            }
            Err(error) => Some(error.to_string()),
        };
        match &refused {
            None => tracing::info!("the settings were read anew"),
            Some(reason) => {
                tracing::warn!(
                    "all settings stay as they were, as they cannot be read anew: {reason}; then reload again"
                );
            }
        }
        self.tally.note_reload(refused);
        self.service.reloaded();
    }

    fn take_over(&mut self, settings: Settings) {
        let Settings { keys: _, senders, write_rate, read_rate, store_options, relaying } = settings;
        self.tally.senders = senders.count();
        self.responder.handle_senders(senders.clone());
        self.machine.handle_senders(self.clock.now(), senders);
        self.workers.set_write_rate(write_rate);
        self.reads.set(read_rate);
        self.store.set_options(store_options);
        self.kept_for = store_options.keep_unfinished.time;
        self.forwarder.set(&relaying);
        let is_reached = matches!(self.network.listening(), transport::Listening::AtGroupPort(_));
        self.machine.set_relaying(self.forwarder.is_allowed() && is_reached);
    }

    /// Tells the service manager that the loop turns, and once a second everybody what this host is at.
    fn tell(&mut self) {
        let now = self.clock.now();
        self.service.ping(now);
        if !self.tally.is_due(now) {
            return;
        }
        if std::mem::take(&mut self.was_heard) {
            self.heard_ms = Some(wall().0);
        }
        if !self.service.is_ready() && now.since(Moment::default()) >= READY_WAIT_MAX {
            self.service.ready();
        }
        let push = self.machine.intake(now).zip(self.machine.session());
        let turn = Turn {
            network: self.network.state(self.heard_ms),
            push: push.map(|(intake, announce)| (announce.session, announce.reply_to.to_string(), intake)),
            discards: self.machine.discards(),
            query_discards: self.responder.discards(),
            socket_drops: self.drops.since_start,
            corrupt: self.machine.corrupt_blocks(),
            clocks: &self.clocks,
            relay: self.forwarder.counts(),
            relay_allowed: self.forwarder.is_allowed(),
            relay_active: self.forwarder.is_at_work(),
        };
        let status = self.tally.publish(now, turn);
        self.service.status(status);
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
        let idle = IDLE_SLEEP.min(self.service.patience());
        let stopping = if self.stopping.is_some() { STOPPING_SLEEP } else { idle };
        until.min(stopping)
    }

    fn log_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            let context = Context { corrupt: self.machine.corrupt_blocks(), kept_for: self.kept_for };
            events::log(&event, context);
            self.tally.note_end(&event);
            match event {
                ReceiverEvent::Published { .. } => self.finish(Ended::Published),
                ReceiverEvent::Failed { .. } => self.finish(Ended::Failed),
                _ => {}
            }
        }
    }

    /// Logs what was discarded since the start, as the last words.
    fn log_discards(&self) {
        self.forwarder.log_counts();
        if self.responder.discards().seen().next().is_some() {
            tracing::info!("discarded queries by reason: {}", self.responder.discards());
        }
        tracing::info!("discarded datagrams by reason: {}", self.machine.discards());
    }

    fn finish(&mut self, outcome: Ended) {
        for time in self.clocks.times() {
            let seconds = time.nanos as f64 / 1e9;
            tracing::debug!(stage = time.name, seconds, bytes = time.bytes, "time since the start");
        }
        let discarded = self.machine.discards().since(&self.discarded_before);
        tracing::debug!("discarded during this push by reason: {discarded}");
        self.discarded_before = self.machine.discards().clone();
        self.survey.nudge();
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

/// How long a service without its interface is not ready yet. After that the boot goes on without it: it waits inside.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);

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
