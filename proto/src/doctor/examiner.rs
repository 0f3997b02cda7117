//! The machine of a diagnosis: queries and trains, one after the other, and what they have shown.
//!
//! ```text
//! reach: snapshot --> train 1 --> report --> deaf hosts: join again, train 2, report
//!   |                               |           '--> still deaf: snapshot; one host of each network passes on what it
//!   |                               |                gets to the group there, train 3, report
//!   |                               |------> lossy hosts: snapshot, train by both ways, report
//!   '- silent hosts are asked       '------> rates, if they are asked for: snapshot, train, report, each
//!      at their own addresses
//! ```
//!
//! Everything goes to the group, and to the addresses of hosts that have not answered the group: they are examined, not
//! merely missing. [`ExaminerConfig::bounds`] says how much is sent at most.

mod absorbing;
pub(super) mod agenda;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::asking::Asking;
use super::evidence::{Echo, HostEvidence};
use super::plans::{Place, Plans};
use super::sending::{Indices, Pace, Sending, TrainToSend};
use crate::agree::AgreementKey;
use crate::ids::{HostName, Sequence, SessionId};
use crate::known::KnownHosts;
use crate::limits::ANSWERS_PER_SECOND_MAX;
use crate::query::{Querier, QuerierConfig, Standing};
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::sender::Expected;
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Discard, Kind, Notice, Query, Step};

/// The configuration of a diagnosis.
#[derive(Clone, Debug)]
pub struct ExaminerConfig {
    /// The group's secret.
    pub key: GroupKey,
    /// Signs the queries.
    pub signer: Option<SigningKey>,
    /// The keys of the hosts, as far as they are known.
    pub known: KnownHosts,
    /// 32 random bytes.
    pub seed: [u8; 32],
    /// The address to which hosts answer.
    pub reply_to: SocketAddr,
    /// As [`QuerierConfig::answer_bytes_max`].
    pub answer_bytes_max: u16,
    /// The civil time at the start.
    pub started: WallClock,
    /// The hosts that should answer.
    pub expected: Expected,
    /// Addresses of hosts, with the port at which they receive.
    pub addresses: BTreeMap<HostName, SocketAddr>,
    /// The TTL of datagrams to the group.
    pub ttl: u8,
    /// Whether hosts may be in other networks, so that higher TTLs are worth trying.
    pub is_routed: bool,
    /// Lengths of long probes, of UDP payload, ascending; at most three.
    pub lengths: Vec<u16>,
    /// How far the diagnosis goes.
    pub extent: Extent,
    /// Bits per second at which trains are sent, ascending; none unless they are asked for.
    pub rates: Vec<u64>,
}

/// How far a diagnosis goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Who answers the group, and who at its own address.
    Reach,
    /// All steps.
    Whole,
}

/// What a diagnosis is at, for a person who waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Hosts are asked who they are.
    #[default]
    Reach,
    /// Probes are sent to the group and to hosts.
    Ladder,
    /// Hosts that hear nothing join the group again.
    JoinAgain,
    /// One host of each network that the group does not reach passes probes on to the group there.
    Islands,
    /// Probes go by both ways to hosts that lose some.
    Control,
    /// Probes are sent at this rate, in bits per second.
    Rate(u64),
    /// It is over.
    Done,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The host that it is for; `None` for the group.
    pub to: Option<SocketAddr>,
    /// The TTL if it is for the group.
    pub ttl: u8,
    /// Its kind.
    pub kind: Kind,
    /// Whether the next datagram leaves with the same call, as one batch: it has the same length and destination.
    pub is_followed: bool,
}

impl ExaminerConfig {
    /// Returns the datagrams and the bytes of UDP payload that are sent at most to this number of hosts, without
    /// acknowledgements.
    pub fn bounds(&self, hosts: u32) -> (u64, u64) {
        self.plans().bounds(hosts)
    }

    fn plans(&self) -> Plans {
        let (lengths, rates) = (self.lengths.clone(), self.rates.clone());
        let Self { ttl, is_routed, answer_bytes_max: page_bytes, .. } = *self;
        Plans { ttl, is_routed, lengths, rates, page_bytes }
    }
}

/// One diagnosis.
pub struct Examiner {
    config: ExaminerConfig,
    plans: Plans,
    rng: Rng,
    begun: Moment,
    stage: Stage,
    work: Work,
    tasks: VecDeque<Task>,
    hosts: BTreeMap<HostName, HostEvidence>,
    /// The query under whose keys the probes of a train are sealed.
    of_train: Option<SessionId>,
    trains: u16,
    /// The hosts to whose own addresses the last train went, in the order of their indices.
    by_unicast_to: BTreeSet<HostName>,
    probes: u64,
    /// Addresses from which notices came that the group's key does not open, at most [`OTHER_KEYS_MAX`].
    other_keys: BTreeSet<IpAddr>,
    sent: (u64, u64),
}

/// What is under way.
enum Work {
    Idle,
    Asking(Box<Asking>),
    Sending(Box<Sending>),
    Waiting(Moment),
}

/// What comes next.
enum Task {
    Ask { step: Step, whom: Option<BTreeSet<HostName>>, wait: Duration, place: Place },
    Train { place: Place, to: BTreeSet<HostName>, pace: Pace },
    Wait(Duration),
    Decide(Place),
    LateNotices,
}

impl Examiner {
    /// Returns a diagnosis that begins now.
    pub fn new(now: Moment, config: ExaminerConfig) -> Self {
        let mut hosts = BTreeMap::new();
        if let Expected::Named(names) = &config.expected {
            for name in names {
                let expected = HostEvidence { expected: true, ..HostEvidence::new(name.clone()) };
                hosts.insert(name.clone(), expected);
            }
        }
        for (name, &address) in &config.addresses {
            if let Some(host) = hosts.get_mut(name) {
                host.address = Some(address);
            }
        }
        let reach = Task::Ask { step: Step::Snapshot, whom: None, wait: REACH, place: Place::First };
        let next = match config.extent {
            Extent::Whole => Task::Decide(Place::First),
            Extent::Reach => Task::LateNotices,
        };
        Self {
            rng: Rng::new(&config.seed),
            plans: config.plans(),
            begun: now,
            stage: Stage::Reach,
            work: Work::Idle,
            tasks: VecDeque::from([reach, next]),
            hosts,
            of_train: None,
            trains: 0,
            by_unicast_to: BTreeSet::new(),
            probes: 0,
            other_keys: BTreeSet::new(),
            sent: (0, 0),
            config,
        }
    }

    /// Handles a datagram that came in at the examiner's address.
    ///
    /// # Errors
    /// The reason why it was dropped.
    pub fn handle_datagram(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        if Notice::is(datagram) && Notice::open(&self.config.key, datagram).is_err() {
            if self.other_keys.len() < OTHER_KEYS_MAX {
                self.other_keys.insert(from.ip().to_canonical());
            }
            return Err(Discard::Forged);
        }
        match &mut self.work {
            Work::Asking(asking) => asking.handle_datagram(now, from, datagram),
            Work::Idle | Work::Sending(_) | Work::Waiting(_) => Err(Discard::OtherSession),
        }
    }

    /// Ends the diagnosis with what is known by now.
    pub fn handle_stop(&mut self) {
        self.tasks.clear();
        if let Work::Asking(asking) = std::mem::replace(&mut self.work, Work::Idle) {
            self.absorb(*asking);
        }
    }

    /// Writes the next datagram into `out`.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        let outgoing = self.next_datagram(now, out)?;
        self.sent = (self.sent.0 + 1, self.sent.1 + out.len() as u64);
        Some(outgoing)
    }

    fn next_datagram(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        loop {
            match &mut self.work {
                Work::Idle => {
                    let task = self.tasks.pop_front()?;
                    self.begin(now, task);
                }
                Work::Waiting(until) if now < *until => return None,
                Work::Waiting(_) => self.work = Work::Idle,
                Work::Sending(sending) => {
                    let sequence = Sequence::new(FIRST_PROBE + self.probes).expect("2^39 probes take years");
                    if let Some(outgoing) = sending.next(now, sequence, out) {
                        self.probes += 1;
                        return Some(outgoing);
                    }
                    if !sending.is_over() {
                        return None;
                    }
                    self.work = Work::Idle;
                }
                Work::Asking(asking) => {
                    if let Some(outgoing) = asking.poll_transmit(now, out) {
                        return Some(outgoing);
                    }
                    if !asking.is_finished(now) {
                        return None;
                    }
                    if let Work::Asking(asking) = std::mem::replace(&mut self.work, Work::Idle) {
                        self.absorb(*asking);
                    }
                }
            }
        }
    }

    /// Returns when to drain again.
    #[must_use]
    pub fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        match &self.work {
            Work::Idle => (!self.tasks.is_empty()).then_some(now),
            Work::Waiting(until) => Some(*until),
            Work::Sending(sending) => Some(sending.next_at()),
            Work::Asking(asking) => Some(asking.poll_timeout(now)),
        }
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.work, Work::Idle) && self.tasks.is_empty()
    }

    /// Returns what it is at.
    pub fn stage(&self) -> Stage {
        if self.is_finished() { Stage::Done } else { self.stage }
    }

    /// Returns the hosts that are expected or were heard, sorted by name.
    pub fn hosts(&self) -> Vec<HostEvidence> {
        let mut hosts: Vec<HostEvidence> = self.hosts.values().cloned().collect();
        for host in &mut hosts {
            let is_of_it = |address: SocketAddr| self.other_keys.contains(&address.ip().to_canonical());
            if host.standing == Standing::NeverAnswered && host.address.is_some_and(is_of_it) {
                host.echo = Echo::OtherKey;
            }
        }
        hosts
    }

    /// Returns the addresses from which notices came that this group's key does not open, and that are of no host here.
    pub fn strangers(&self) -> Vec<IpAddr> {
        let is_known = |ip: &&IpAddr| {
            self.hosts
                .values()
                .any(|host| host.address.is_some_and(|address| address.ip().to_canonical() == **ip))
        };
        self.other_keys.iter().filter(|ip| !is_known(ip)).copied().collect()
    }

    /// Returns the datagrams that were sent, and their bytes of UDP payload.
    pub fn sent(&self) -> (u64, u64) {
        self.sent
    }

    /// Returns the keys of the hosts, those that were taken for the first time among them.
    pub fn known(&self) -> &KnownHosts {
        &self.config.known
    }

    fn begin(&mut self, now: Moment, task: Task) {
        self.work = match task {
            Task::Wait(time) => Work::Waiting(now + time),
            Task::LateNotices => {
                // A host with another key says so within two seconds.
                let is_missing =
                    self.hosts.values().any(|host| host.standing == Standing::NeverAnswered && host.expected);
                match is_missing {
                    true => Work::Waiting(now.max(self.begun + NOTICES)),
                    false => Work::Idle,
                }
            }
            Task::Decide(after) => {
                self.decide(after);
                Work::Idle
            }
            Task::Train { place, to, pace } => self.begin_sending(now, place, to, pace),
            Task::Ask { step, whom, wait, place } => self.begin_asking(now, (step, place), whom, wait),
        };
    }

    fn begin_sending(&mut self, now: Moment, place: Place, to: BTreeSet<HostName>, pace: Pace) -> Work {
        let query = self.of_train.expect("a snapshot came first");
        let (by_group, by_unicast) = self.plans.of(place);
        let address = |name: &HostName| self.hosts.get(name)?.address;
        let train = TrainToSend {
            query,
            cipher: Cipher::downward(&self.config.key, query),
            number: self.trains,
            by_group,
            by_unicast,
            to: to.iter().filter_map(address).collect(),
            pace,
            indices: if place == Place::Islands { Indices::Own } else { Indices::Shared },
        };
        self.by_unicast_to = to;
        Work::Sending(Box::new(Sending::new(now, train)))
    }

    fn begin_asking(
        &mut self,
        now: Moment,
        (step, place): (Step, Place),
        whom: Option<BTreeSet<HostName>>,
        wait: Duration,
    ) -> Work {
        let id = SessionId(self.rng.bytes());
        let is_first = whom.is_none();
        if matches!(step, Step::Snapshot | Step::JoinAgain) {
            self.trains += 1;
            self.of_train = Some(id);
        }
        let targets: BTreeMap<HostName, SocketAddr> = match &whom {
            None => self.config.addresses.clone(),
            Some(names) => {
                names.iter().filter_map(|name| Some((name.clone(), self.hosts.get(name)?.address?))).collect()
            }
        };
        let hosts = match (&whom, &self.config.expected) {
            (Some(names), _) | (None, Expected::Named(names)) => names.len(),
            (None, Expected::Count(count)) => *count as usize,
            (None, Expected::Anyone) => UNKNOWN_HOSTS,
        };
        // All hosts together answer so fast, and a query and its pages are copied so fast.
        let spread = Duration::from_secs(hosts as u64) / ANSWERS_PER_SECOND_MAX;
        let wait = wait + spread * 2 + COPIES_TIME * targets.len() as u32;
        let elapsed = now.since(self.begun).as_millis() as u64;
        let config = QuerierConfig {
            id,
            key: self.config.key.clone(),
            signer: self.config.signer.clone(),
            agreement: AgreementKey::from_seed(&self.rng.bytes().into()),
            known: self.config.known.clone(),
            query: Query::Diagnose { step, train: self.trains },
            new_key: None,
            reply_to: self.config.reply_to,
            answer_bytes_max: self.config.answer_bytes_max,
            started: WallClock(self.config.started.0 + elapsed),
            wait,
            expected: whom.map_or_else(|| self.config.expected.clone(), Expected::Named),
        };
        let unicast_from = now + spread + if is_first { UNICAST_AFTER } else { UNICAST_SOON };
        let querier = Querier::new(now, config);
        let from = (self.config.reply_to, self.config.ttl);
        Work::Asking(Box::new(Asking::new(now, querier, (step, place), unicast_from, targets, from)))
    }
}

/// Time for which hosts are asked who they are.
const REACH: Duration = Duration::from_secs(1);
/// Time in which an answer to the group comes: hosts that have not answered then are asked at their own addresses.
const UNICAST_AFTER: Duration = Duration::from_millis(400);
const UNICAST_SOON: Duration = Duration::from_millis(50);
/// Time in which a query with its pages is copied for one more host.
const COPIES_TIME: Duration = Duration::from_millis(1);
/// Hosts that are assumed where it is not known how many there are.
const UNKNOWN_HOSTS: usize = 200;
/// Hosts spread their notices over two seconds.
const NOTICES: Duration = Duration::from_millis(2_300);

/// Numbers of probes begin beyond those of the query under whose keys they are sealed.
const FIRST_PROBE: u64 = 1 << 39;
const OTHER_KEYS_MAX: usize = 1_024;
