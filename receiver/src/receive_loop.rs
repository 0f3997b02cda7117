//! The receive loop: the thread that owns the sockets, the machine and the session's memory. It waits only for
//! datagrams, workers' answers and the clock. It decrypts each symbol straight to its place and leaves everything slow
//! to the workers.

mod drops;
mod intake;
mod telling;
mod work;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::Clock;
use glancecast_platform::interface::Interface;
use glancecast_platform::locks::lock;
use glancecast_platform::notify::{Notifier, Service};
use glancecast_platform::transport::{self, Inlet, SocketError};
use glancecast_platform::units::Rate;
use glancecast_platform::wake::{Sleeper, Waker};
use glancecast_proto::limits::DATAGRAM_MAX;
use glancecast_proto::query::{Responder, ResponderConfig};
use glancecast_proto::receiver::{Attempt, Receiver, ReceiverConfig};
use glancecast_proto::relay::RelayConfig;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::DiscardCounts;

use drops::Drops;
use intake::Came;
use telling::log_short_buffer;

use crate::base::BaseThread;
use crate::coalesce::Coalescer;
use crate::diagnosis::{Diagnosis, OwnCounts};
use crate::network::{About, Network, Tended};
use crate::observe::{Board, Identity, Nudge, Surveyor, Tally};
use crate::on_published::Hook;
use crate::own_address::OwnAddress;
use crate::pool::Pool;
use crate::query_worker::QueryWorkers;
use crate::rate_limit::{ReadLimits, ReadRate};
use crate::relay::Forwarder;
use crate::settings::{Settings, SettingsError};
use crate::stages::{Clocks, clocks};
use crate::store::{BaseFile, Existing, Store, Unpublished};
use crate::workers::Workers;
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
            self.network.send(now, &self.out, to, self.asked_by(to));
        }
    }

    fn transmit(&mut self) {
        let now = self.clock.now();
        while let Some(to) = self.machine.poll_transmit(now, &mut self.out) {
            self.network.send(now, &self.out, to, About::Push(to));
        }
    }

    /// Returns what an answer to a query or a lease is about: the push of this host, if that has the same sender.
    fn asked_by(&self, to: SocketAddr) -> About {
        let answers = self.machine.session().map(|push| push.reply_to);
        match answers.filter(|answers| answers.ip() == to.ip()) {
            Some(answers) => About::Push(answers),
            None => About::Other(to.ip()),
        }
    }

    /// Sends what waits to be forwarded, and the acknowledgements of leases.
    fn tend_relay(&mut self) {
        let now = self.clock.now();
        self.forwarder.send_waiting(now, &mut self.network);
        while let Some(to) = self.forwarder.machine().poll_transmit(now, &mut self.out) {
            self.network.send(now, &self.out, to, self.asked_by(to));
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

/// Time between two cleanings of the store.
const CLEAN_GAP: Duration = Duration::from_secs(60);

/// Longest sleep with nothing to wait for; a wake-up ends it.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

/// How long a stopping receiver waits for the sender's acknowledgement.
const STOP_WAIT_MAX: Duration = Duration::from_millis(500);
const STOPPING_SLEEP: Duration = Duration::from_millis(20);
