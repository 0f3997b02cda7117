//! The machine of a diagnosis: queries and trains, one after the other, and what they have shown.
//!
//! ```text
//! reach: snapshot --> train 1 --> report --> deaf hosts: join again, train 2, report
//!   |                               |------> lossy hosts: snapshot, train 3 by both ways, report
//!   '- silent hosts are asked       '------> rates, if they are asked for: snapshot, train, report, each
//!      at their own addresses
//! ```
//!
//! Everything goes to the group, and to the addresses of hosts that have not answered the group: they are examined, not
//! merely missing. [`ExaminerConfig::bounds`] says how much is sent at most.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::counters::{Counters, Gauge};
use super::evidence::{Echo, Heard, HostEvidence, Trial};
use super::train::{TrainPlan, Way};
use crate::agree::AgreementKey;
use crate::ids::{HostName, Sequence, SessionId};
use crate::known::KnownHosts;
use crate::limits::{ANSWERS_PER_SECOND_MAX, HOSTS_MAX, PROBES_MAX};
use crate::query::{Querier, QuerierConfig, Standing};
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::sender::{Expected, To};
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Discard, Kind, Notice, Probe, Query, Step};

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
}

impl ExaminerConfig {
    /// Returns the datagrams and the bytes of UDP payload that are sent at most to this number of hosts, without
    /// acknowledgements and the pages of an audience.
    pub fn bounds(&self, hosts: u32) -> (u64, u64) {
        let hosts = u64::from(hosts);
        let rounds = 3 * ROUNDS_MAX * (1 + hosts) * ASK_BYTES;
        let (group, unicast) = (self.group_plan(), self.unicast_plan());
        let (deaf, control) = (self.deaf_plan(), control_plan());
        let controls = 1 + hosts.min(CONTROLS_MAX as u64);
        let rates: Vec<TrainPlan> =
            self.rates.iter().map(|&rate| rate_plan(rate, self.longest(), self.ttl)).collect();
        let probes = u64::from(group.count()) + hosts * u64::from(unicast.count());
        let probes = probes + u64::from(deaf.count()) + controls * u64::from(control.count());
        let probes = probes + rates.iter().map(|plan| u64::from(plan.count()) * controls).sum::<u64>();
        let bytes = group.bytes() + hosts * unicast.bytes() + deaf.bytes() + controls * control.bytes();
        let bytes = bytes + rates.iter().map(|plan| plan.bytes() * controls).sum::<u64>();
        (probes + rounds / ASK_BYTES, bytes + rounds)
    }

    fn group_plan(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(PROBES, SHORT, self.ttl);
        self.lengths
            .iter()
            .take(LENGTHS_MAX)
            .fold(plan, |plan, &bytes| plan.with(LONG_PROBES, bytes, self.ttl))
    }

    fn unicast_plan(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(UNICAST_PROBES, SHORT, UNICAST_TTL);
        self.lengths
            .iter()
            .take(LENGTHS_MAX)
            .fold(plan, |plan, &bytes| plan.with(LONG_UNICAST, bytes, UNICAST_TTL))
    }

    fn deaf_plan(&self) -> TrainPlan {
        let plan = TrainPlan::default().with(PROBES, SHORT, self.ttl);
        let higher = TTLS.into_iter().filter(|&ttl| self.is_routed && ttl > self.ttl);
        higher.fold(plan, |plan, ttl| plan.with(LONG_PROBES, SHORT, ttl))
    }

    fn longest(&self) -> u16 {
        self.lengths.last().copied().unwrap_or(SHORT)
    }
}

/// One diagnosis.
pub struct Examiner {
    config: ExaminerConfig,
    rng: Rng,
    begun: Moment,
    stage: Stage,
    work: Work,
    steps: VecDeque<Plan>,
    hosts: BTreeMap<HostName, HostEvidence>,
    /// The query under whose keys the probes of a train are sealed.
    of_train: Option<SessionId>,
    trains: u16,
    /// The hosts to whose own addresses the last train went.
    by_unicast_to: BTreeSet<HostName>,
    probes: u64,
    /// Datagrams to the group that go to hosts, too, and to whom.
    copies: VecDeque<(Vec<u8>, Kind, Vec<SocketAddr>)>,
    copies_at: Moment,
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
enum Plan {
    Ask { step: Step, whom: Option<BTreeSet<HostName>>, wait: Duration, for_trial: Place },
    Train { by_group: TrainPlan, by_unicast: TrainPlan, to: BTreeSet<HostName>, pace: Pace },
    Wait(Duration),
    Decide(Place),
    LateNotices,
}

/// Where a trial is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Again,
    Control,
    Rate(u64),
}

#[derive(Clone, Copy)]
struct Pace {
    gap: Duration,
    /// Probes to the group in a gap.
    group: u16,
    /// Probes to hosts in a gap.
    unicast: usize,
    order: Order,
}

/// Which probes of a train come first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Both ways at the same time.
    Together,
    /// Those to the group, so that no more than the rate is sent.
    InTurn,
}

struct Asking {
    querier: Querier,
    step: Step,
    place: Place,
    /// When hosts that have not answered are asked at their own addresses.
    unicast_from: Moment,
    /// Those that had answered by then.
    before: Option<BTreeSet<HostName>>,
    targets: BTreeMap<HostName, SocketAddr>,
}

struct Sending {
    cipher: Cipher,
    query: SessionId,
    number: u16,
    by_group: TrainPlan,
    by_unicast: TrainPlan,
    to: Vec<SocketAddr>,
    pace: Pace,
    next_group: u16,
    /// The index of the next probe to hosts, and the next host.
    next_unicast: (u16, usize),
    next_at: Moment,
    left: (u16, usize),
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
        let reach = Plan::Ask { step: Step::Snapshot, whom: None, wait: REACH, for_trial: Place::First };
        let mut steps = VecDeque::from([reach]);
        if config.extent == Extent::Whole {
            steps.push_back(Plan::Decide(Place::First));
        } else {
            steps.push_back(Plan::LateNotices);
        }
        let rng = Rng::new(&config.seed);
        Self {
            rng,
            begun: now,
            stage: Stage::Reach,
            work: Work::Idle,
            steps,
            hosts,
            of_train: None,
            trains: 0,
            by_unicast_to: BTreeSet::new(),
            probes: 0,
            copies: VecDeque::new(),
            copies_at: now,
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
            Work::Asking(asking) => asking.querier.handle_datagram(now, from, datagram),
            Work::Idle | Work::Sending(_) | Work::Waiting(_) => Err(Discard::OtherSession),
        }
    }

    /// Ends the diagnosis with what is known by now.
    pub fn handle_stop(&mut self) {
        self.steps.clear();
        self.copies.clear();
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
            if let Some(outgoing) = self.next_copy(now, out) {
                return Some(outgoing);
            }
            match &mut self.work {
                Work::Idle => {
                    let plan = self.steps.pop_front()?;
                    self.begin(now, plan);
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
                Work::Asking(_) => {
                    if let Some(outgoing) = self.ask(now, out) {
                        return Some(outgoing);
                    }
                    if !self.ends_asking(now) {
                        return None;
                    }
                }
            }
        }
    }

    /// Returns when to drain again.
    #[must_use]
    pub fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        let work = match &self.work {
            Work::Idle => (!self.steps.is_empty()).then_some(now),
            Work::Waiting(until) => Some(*until),
            Work::Sending(sending) => Some(sending.next_at),
            Work::Asking(asking) => {
                let unicast =
                    (asking.before.is_none() && !asking.targets.is_empty()).then_some(asking.unicast_from);
                [asking.querier.poll_timeout(now), unicast].into_iter().flatten().min().or(Some(now))
            }
        };
        let copies = (!self.copies.is_empty()).then_some(self.copies_at);
        [work, copies].into_iter().flatten().min()
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.work, Work::Idle) && self.steps.is_empty()
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

    fn begin(&mut self, now: Moment, plan: Plan) {
        self.work = match plan {
            Plan::Wait(time) => Work::Waiting(now + time),
            Plan::LateNotices => {
                // A host with another key says so within two seconds.
                let is_missing =
                    self.hosts.values().any(|host| host.standing == Standing::NeverAnswered && host.expected);
                match is_missing {
                    true => Work::Waiting(now.max(self.begun + NOTICES)),
                    false => Work::Idle,
                }
            }
            Plan::Decide(after) => {
                self.decide(after);
                Work::Idle
            }
            Plan::Train { by_group, by_unicast, to, pace } => {
                let query = self.of_train.expect("a snapshot came first");
                let cipher = Cipher::downward(&self.config.key, query);
                let address = |name: &HostName| self.hosts.get(name)?.address;
                let addresses = to.iter().filter_map(address).collect();
                self.by_unicast_to = to;
                Work::Sending(Box::new(Sending {
                    cipher,
                    query,
                    number: self.trains,
                    by_group,
                    by_unicast,
                    to: addresses,
                    pace,
                    next_group: 0,
                    next_unicast: (0, 0),
                    next_at: now,
                    left: (0, 0),
                }))
            }
            Plan::Ask { step, whom, wait, for_trial } => self.begin_asking(now, step, whom, wait, for_trial),
        };
    }

    fn begin_asking(
        &mut self,
        now: Moment,
        step: Step,
        whom: Option<BTreeSet<HostName>>,
        wait: Duration,
        place: Place,
    ) -> Work {
        let id = SessionId(self.rng.bytes());
        let is_first = whom.is_none();
        if step != Step::Report {
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
        Work::Asking(Box::new(Asking { querier, step, place, unicast_from, before: None, targets }))
    }

    fn ask(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        let Work::Asking(asking) = &mut self.work else { return None };
        if now >= asking.unicast_from && asking.before.is_none() && !asking.targets.is_empty() {
            let heard = asking.querier.heard().map(|(name, _)| name.clone()).collect();
            asking.before = Some(heard);
            // A round begins at once.
            asking.querier.handle_reply_to(now, self.config.reply_to);
        }
        let transmit = asking.querier.poll_transmit(now, out)?;
        let ttl = self.config.ttl;
        if let To::Host(to) = transmit.to {
            return Some(Outgoing { to: Some(to), ttl, kind: transmit.kind });
        }
        if now >= asking.unicast_from && !asking.targets.is_empty() {
            let heard: BTreeSet<HostName> = asking.querier.heard().map(|(name, _)| name.clone()).collect();
            let silent = asking.targets.iter().filter(|(name, _)| !heard.contains(*name));
            let to: Vec<SocketAddr> = silent.map(|(_, &to)| to).take(HOSTS_MAX).collect();
            if !to.is_empty() && self.copies.len() < COPIES_MAX {
                self.copies.push_back((out.clone(), transmit.kind, to));
                self.copies_at = self.copies_at.max(now);
            }
        }
        Some(Outgoing { to: None, ttl, kind: transmit.kind })
    }

    fn next_copy(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        if now < self.copies_at {
            return None;
        }
        let (datagram, kind, to) = self.copies.front_mut()?;
        let (kind, host) = (*kind, to.pop()?);
        out.clear();
        out.extend_from_slice(datagram);
        if to.is_empty() {
            self.copies.pop_front();
        }
        self.copies_at = self.copies_at + COPY_GAP;
        Some(Outgoing { to: Some(host), ttl: self.config.ttl, kind })
    }

    /// Ends a query that waits for no more answers; returns whether it did.
    fn ends_asking(&mut self, now: Moment) -> bool {
        let Work::Asking(asking) = &self.work else { return true };
        if !asking.querier.is_finished(now) {
            return false;
        }
        self.copies.clear();
        let Work::Asking(asking) = std::mem::replace(&mut self.work, Work::Idle) else { return true };
        self.absorb(*asking);
        true
    }

    /// Takes over what a query has found.
    fn absorb(&mut self, asking: Asking) {
        let Asking { querier, step, place, before, targets, .. } = asking;
        let addresses: BTreeMap<HostName, SocketAddr> =
            querier.heard().map(|(name, at)| (name.clone(), at)).collect();
        let is_reach = place == Place::First && step == Step::Snapshot;
        let (by_group, by_unicast) = self.plans(place);
        for row in querier.rows() {
            let host =
                self.hosts.entry(row.name.clone()).or_insert_with(|| HostEvidence::new(row.name.clone()));
            let counters = Counters::from_wire(&row.counters);
            if is_reach {
                host.answered_the_group = match &before {
                    Some(before) => before.contains(&row.name) || !targets.contains_key(&row.name),
                    None => row.about.is_some(),
                };
                (host.standing, host.reason) = (row.standing, row.reason);
                host.at_start = row.about.is_some().then_some(counters);
                host.address = addresses.get(&row.name).copied().or(host.address);
            } else if step == Step::Report
                && row.standing == Standing::Answered
                && counters.is(Gauge::TrainKnown)
            {
                let has_both = self.by_unicast_to.contains(&row.name);
                let by_unicast = if has_both { by_unicast.clone() } else { TrainPlan::default() };
                let trial = Trial { by_group: by_group.clone(), by_unicast, counters };
                match place {
                    Place::First => host.first = Some(trial),
                    Place::Again => host.again = Some(trial),
                    Place::Control => host.control = Some(trial),
                    Place::Rate(rate) => host.rates.push((rate, trial)),
                }
            }
        }
        for first in querier.first_uses() {
            self.config.known.keys.insert(first.name, first.key);
        }
    }

    /// Returns what the train of a trial is made of.
    fn plans(&self, place: Place) -> (TrainPlan, TrainPlan) {
        match place {
            Place::First => (self.config.group_plan(), self.config.unicast_plan()),
            Place::Again => (self.config.deaf_plan(), TrainPlan::default()),
            Place::Control => (control_plan(), control_plan()),
            Place::Rate(rate) => {
                let plan = rate_plan(rate, self.config.longest(), self.config.ttl);
                (plan.clone(), plan)
            }
        }
    }

    /// Plans what follows after the reach step, or after a trial.
    fn decide(&mut self, after: Place) {
        let heard = |host: &HostEvidence| host.first.as_ref().map(|first| first.heard(Way::Group));
        match after {
            Place::First if self.stage == Stage::Reach => {
                let all = self.answering(|_| true);
                if all.is_empty() {
                    self.steps.push_back(Plan::LateNotices);
                    return;
                }
                self.stage = Stage::Ladder;
                let pace = Pace { gap: TICK, group: 1, unicast: UNICAST_PER_TICK, order: Order::Together };
                self.add_train(Place::First, &all, pace);
                self.add_report(Place::First, all);
                self.steps.push_back(Plan::Decide(Place::First));
            }
            Place::First => {
                let deaf = self.answering(|host| heard(host).is_some_and(Heard::is_nothing));
                if !deaf.is_empty() {
                    self.stage = Stage::JoinAgain;
                    let pace = Pace { gap: TICK, group: 1, unicast: 0, order: Order::Together };
                    self.add_trial(Place::Again, Step::JoinAgain, deaf, pace);
                }
                self.steps.push_back(Plan::Decide(Place::Again));
            }
            Place::Again => {
                self.add_control();
                self.add_rates();
                self.steps.push_back(Plan::LateNotices);
            }
            Place::Control | Place::Rate(_) => {}
        }
    }

    /// Adds a train by both ways to some of the hosts that lose a part of what the group carries.
    fn add_control(&mut self) {
        let is_lossy = |host: &HostEvidence| {
            let heard = host.first.as_ref().map(|first| first.heard(Way::Group));
            heard.is_some_and(|heard| heard.came > 0 && heard.lost_percent() >= CONTROL_FROM_PERCENT)
        };
        let lossy: BTreeSet<HostName> = self.answering(is_lossy).into_iter().take(CONTROLS_MAX).collect();
        if !lossy.is_empty() {
            self.stage = Stage::Control;
            let pace = Pace { gap: TICK, group: 1, unicast: lossy.len(), order: Order::Together };
            self.add_trial(Place::Control, Step::Snapshot, lossy, pace);
        }
    }

    fn add_rates(&mut self) {
        let hears =
            |host: &HostEvidence| host.first.as_ref().is_some_and(|first| first.heard(Way::Group).came > 0);
        let hearing = self.answering(hears);
        for rate in std::mem::take(&mut self.config.rates) {
            if hearing.is_empty() {
                return;
            }
            self.stage = Stage::Rate(rate);
            let group = per_tick(rate, self.config.longest());
            let pace = Pace { gap: TICK, group, unicast: group.into(), order: Order::InTurn };
            self.add_trial(Place::Rate(rate), Step::Snapshot, hearing.clone(), pace);
        }
    }

    /// Returns the names of hosts that take part and are such.
    fn answering(&self, is_such: impl Fn(&HostEvidence) -> bool) -> BTreeSet<HostName> {
        let hosts = self.hosts.values().filter(|host| host.answered() && is_such(host));
        hosts.map(|host| host.name.clone()).collect()
    }

    fn add_trial(&mut self, place: Place, step: Step, whom: BTreeSet<HostName>, pace: Pace) {
        let ask = Plan::Ask { step, whom: Some(whom.clone()), wait: ASK_AGAIN, for_trial: place };
        self.steps.push_back(ask);
        self.steps.push_back(Plan::Wait(SETTLE));
        self.add_train(place, &whom, pace);
        self.add_report(place, whom);
    }

    /// Adds a train to the group and to these hosts; at a rate, to one of them alone.
    fn add_train(&mut self, place: Place, whom: &BTreeSet<HostName>, pace: Pace) {
        let (by_group, by_unicast) = self.plans(place);
        let most = if matches!(place, Place::Rate(_)) { 1 } else { whom.len() };
        let has_address = |name: &&HostName| self.hosts.get(*name).is_some_and(|host| host.address.is_some());
        let to = if by_unicast == TrainPlan::default() { 0 } else { most };
        let to: BTreeSet<HostName> = whom.iter().filter(has_address).take(to).cloned().collect();
        self.steps.push_back(Plan::Train { by_group, by_unicast, to, pace });
    }

    fn add_report(&mut self, place: Place, whom: BTreeSet<HostName>) {
        self.steps.push_back(Plan::Wait(SETTLE));
        let ask = Plan::Ask { step: Step::Report, whom: Some(whom), wait: ASK_AGAIN, for_trial: place };
        self.steps.push_back(ask);
    }
}

impl Sending {
    /// Writes the next probe that is due.
    fn next(&mut self, now: Moment, sequence: Sequence, out: &mut Vec<u8>) -> Option<Outgoing> {
        while now >= self.next_at && !self.is_over() {
            if self.left.0 > 0 && !self.is_group_over() {
                self.left.0 -= 1;
                self.next_group += 1;
                return Some(self.seal(None, self.next_group - 1, sequence, out));
            }
            if self.left.1 > 0 && !self.is_unicast_over() {
                self.left.1 -= 1;
                let (index, at) = self.next_unicast;
                self.next_unicast = if at + 1 == self.to.len() { (index + 1, 0) } else { (index, at + 1) };
                return Some(self.seal(Some(self.to[at]), index, sequence, out));
            }
            let is_unicasts_turn = self.pace.order == Order::Together || self.is_group_over();
            self.left = (self.pace.group, if is_unicasts_turn { self.pace.unicast } else { 0 });
            // After a pause of this thread the pace goes on, and what was missed is not sent in a burst.
            self.next_at = (self.next_at + self.pace.gap).max(now);
        }
        None
    }

    fn seal(&self, to: Option<SocketAddr>, index: u16, sequence: Sequence, out: &mut Vec<u8>) -> Outgoing {
        let plan = if to.is_some() { &self.by_unicast } else { &self.by_group };
        let (bytes, ttl) = plan.probe(index).expect("the index is of the plan");
        let probe = Probe { train: self.number, index, count: plan.count(), ttl };
        probe.seal(&self.cipher, self.query.tag(), sequence, bytes.into(), out);
        Outgoing { to, ttl, kind: Kind::Probe }
    }

    fn is_group_over(&self) -> bool {
        self.next_group == self.by_group.count()
    }

    fn is_unicast_over(&self) -> bool {
        self.to.is_empty() || self.next_unicast.0 == self.by_unicast.count()
    }

    fn is_over(&self) -> bool {
        self.is_group_over() && self.is_unicast_over()
    }
}

fn control_plan() -> TrainPlan {
    TrainPlan::default().with(PROBES, SHORT, UNICAST_TTL)
}

/// Returns the train for a rate: what it sends in [`RATE_TIME`], as far as a host counts.
fn rate_plan(rate: u64, bytes: u16, ttl: u8) -> TrainPlan {
    let count = u128::from(rate) * RATE_TIME.as_millis() / 8_000 / u128::from(bytes);
    TrainPlan::default().with(count.clamp(20, PROBES_MAX as u128) as u16, bytes, ttl)
}

/// Returns the probes in a [`TICK`] at this rate.
fn per_tick(rate: u64, bytes: u16) -> u16 {
    (u128::from(rate) * TICK.as_millis() / 8_000 / u128::from(bytes)).clamp(1, PROBES_MAX as u128) as u16
}

/// Time for which hosts are asked who they are.
const REACH: Duration = Duration::from_secs(1);
/// Time for which hosts are asked that have answered before.
const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// Time in which an answer to the group comes: hosts that have not answered then are asked at their own addresses.
const UNICAST_AFTER: Duration = Duration::from_millis(400);
const UNICAST_SOON: Duration = Duration::from_millis(50);
/// Time in which a query with its pages is copied for one more host.
const COPIES_TIME: Duration = Duration::from_millis(1);
/// Hosts that are assumed where it is not known how many there are.
const UNKNOWN_HOSTS: usize = 200;
/// Time for the last datagrams to arrive, and for a switch to learn of a member.
const SETTLE: Duration = Duration::from_millis(150);
/// Hosts spread their notices over two seconds.
const NOTICES: Duration = Duration::from_millis(2_300);

/// Probes of a train, and their length: one lost probe is half a per cent.
const PROBES: u16 = 200;
const SHORT: u16 = 100;
const LONG_PROBES: u16 = 10;
/// Probes to each host's own address.
const UNICAST_PROBES: u16 = 20;
const LONG_UNICAST: u16 = 3;
const UNICAST_TTL: u8 = 64;
const LENGTHS_MAX: usize = 3;
const TTLS: [u8; 4] = [2, 4, 8, 32];

/// A thousand probes a second to the group, and ten thousand to hosts.
const TICK: Duration = Duration::from_millis(1);
const UNICAST_PER_TICK: usize = 10;
/// Queries to hosts' own addresses: ten thousand a second.
const COPY_GAP: Duration = Duration::from_micros(100);
/// Datagrams of a query that wait to be copied: a round and its pages. Further ones go to the group alone.
const COPIES_MAX: usize = 64;

/// Hosts that lose some and get a train by both ways.
const CONTROLS_MAX: usize = 16;
const CONTROL_FROM_PERCENT: u32 = 3;
/// How long a train at a rate lasts, where a host counts that many probes.
const RATE_TIME: Duration = Duration::from_millis(200);

/// Numbers of probes begin beyond those of the query under whose keys they are sealed.
const FIRST_PROBE: u64 = 1 << 39;
const OTHER_KEYS_MAX: usize = 1_024;

/// For the bounds that are stated: rounds of a query, and the length of one.
const ROUNDS_MAX: u64 = 6;
const ASK_BYTES: u64 = 250;
