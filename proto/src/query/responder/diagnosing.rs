//! The host's part in a diagnosis: which trains it counts, which probes it passes on to the group, and its answers to the
//! steps. At most [`TRAINS_MAX`] trains are kept; a train counts no more than [`PROBES_MAX`] probes a way, and no more than
//! [`PASSED_ON_MAX`] of it are passed on, each once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::asked::Asked;
use super::{Lookup, LookupId, Responder, refusal};
use crate::bucket::Allowance;
use crate::doctor::{Counters, Gauge, Refusal, Tally, Way};
use crate::ids::{SessionId, SessionTag};
use crate::limits::{PASSED_ON_MAX, PROBES_MAX, QUERIES_OPEN_MAX, TRAINS_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::PublicKey;
use crate::time::{Moment, WallClock};
use crate::wire::{AnswerState, Counter, Discard, Header, Probe, Step};

/// Which of the trains that this host has counted, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrainId(u64);

/// A step of a diagnosis for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The step.
    pub step: Step,
    /// The train that it is about; `None` for a report of a train that this host does not know.
    pub train: Option<TrainId>,
    /// The sender's time when it began to ask.
    pub asked: WallClock,
    /// The sender's address.
    pub asker: SocketAddr,
}

/// What a probe is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It is counted.
    Counted,
    /// It is counted, and the shell sends it to the group, with a TTL of 1.
    ToPassOn,
}

/// The trains that are counted, the oldest first.
#[derive(Default)]
pub(super) struct Trains {
    all: VecDeque<Train>,
    begun: u64,
}

struct Train {
    id: TrainId,
    /// The sender's number of it.
    number: u16,
    signer: Option<PublicKey>,
    tag: SessionTag,
    cipher: Cipher,
    tally: Tally,
    /// The lowest and the highest index of those that came by the group.
    heard: Option<(u16, u16)>,
    /// How many probes it has passed on, and how many more it may.
    passed_on: (u16, u16),
    /// A bit for each probe that was counted, by way.
    seen: [[u64; WORDS]; 2],
}

impl Trains {
    /// Begins to count a train. The oldest one makes room.
    fn begin(&mut self, query: SessionId, number: u16, signer: Option<PublicKey>, key: &GroupKey) -> TrainId {
        if self.all.len() == TRAINS_MAX {
            self.all.pop_front();
        }
        self.begun += 1;
        let id = TrainId(self.begun);
        let (tag, cipher) = (query.tag(), Cipher::downward(key, query));
        self.all.push_back(Train {
            id,
            number,
            signer,
            tag,
            cipher,
            tally: Tally::default(),
            heard: None,
            passed_on: (0, 0),
            seen: [[0; WORDS]; 2],
        });
        id
    }

    /// Returns the newest train of a sender with this number.
    fn find(&self, number: u16, signer: Option<PublicKey>) -> Option<TrainId> {
        let is_it = |train: &&Train| train.number == number && train.signer == signer;
        self.all.iter().rev().find(is_it).map(|train| train.id)
    }

    fn get(&self, id: TrainId) -> Option<&Train> {
        self.all.iter().find(|train| train.id == id)
    }

    fn take(&mut self, way: Way, datagram: &[u8]) -> Result<Probed, Discard> {
        let tag = Header::parse(datagram)?.tag;
        let mut reason = Discard::OtherSession;
        for train in self.all.iter_mut().filter(|train| train.tag == tag) {
            match Probe::open(&train.cipher, datagram) {
                Ok(probe) => return train.count(way, probe, datagram.len()),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

impl Train {
    fn count(&mut self, way: Way, probe: Probe, bytes: usize) -> Result<Probed, Discard> {
        let index = usize::from(probe.index);
        if probe.train != self.number {
            return Err(Discard::OtherSession);
        }
        if index >= PROBES_MAX {
            return Err(Discard::TooMany);
        }
        let word = &mut self.seen[way as usize][index / 64];
        let bit = 1 << (index % 64);
        if *word & bit != 0 {
            return Err(Discard::Duplicate);
        }
        *word |= bit;
        self.tally.count(way, probe.ttl, u16::try_from(bytes).unwrap_or(u16::MAX));
        match (way, &mut self.passed_on) {
            (Way::Group, _) => {
                let (first, last) = self.heard.unwrap_or((probe.index, probe.index));
                self.heard = Some((first.min(probe.index), last.max(probe.index)));
                Ok(Probed::Counted)
            }
            (Way::Unicast, (passed_on, left)) if *left > 0 => {
                (*passed_on, *left) = (*passed_on + 1, *left - 1);
                Ok(Probed::ToPassOn)
            }
            (Way::Unicast, _) => Ok(Probed::Counted),
        }
    }

    /// Notes what came of the train.
    fn report(&self, measured: &mut Counters) {
        measured.tally = self.tally.clone();
        measured.set(Gauge::PassedOn, self.passed_on.0.into());
        if let Some((first, last)) = self.heard {
            measured.set(Gauge::FirstHeard, first.into());
            measured.set(Gauge::LastHeard, last.into());
        }
    }
}

impl Responder {
    /// Handles a probe of a diagnosis, which came by this way. Returns whether it is to be passed on to the group.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_probe(&mut self, way: Way, datagram: &[u8]) -> Result<Probed, Discard> {
        self.trains.take(way, datagram).inspect_err(|&reason| self.discards.count(reason))
    }

    /// Has probes of a train that come to this host's own address passed on to the group, as [`Step::PassOn`] asks for. A
    /// shell that does not relay does not call it.
    pub fn handle_passing_on(&mut self, train: TrainId) {
        if let Some(train) = self.trains.all.iter_mut().find(|other| other.id == train) {
            train.passed_on.1 = PASSED_ON_MAX.saturating_sub(train.passed_on.0);
        }
    }

    /// Handles the shell's answer to [`Lookup::Examine`]: what it has measured. The machine adds what came of the train.
    pub fn handle_measured(&mut self, now: Moment, id: LookupId, of: Examination, mut measured: Counters) {
        let train = of.train.and_then(|train| self.trains.get(train));
        measured.set(Gauge::TrainKnown, u64::from(train.is_some()));
        if let (Step::Report, Some(train)) = (of.step, train) {
            train.report(&mut measured);
        }
        self.say_measured(now, id, AnswerState::Final, measured.to_wire());
    }

    /// Begins a step of a diagnosis.
    pub(super) fn begin_step(&mut self, id: LookupId, asked: &Asked, step: Step, number: u16) {
        let train = match step {
            Step::Snapshot | Step::JoinAgain => {
                let key = self.config.keys.at(asked.key);
                Some(self.trains.begin(asked.ask.id, number, asked.signer, key))
            }
            Step::Report | Step::PassOn => self.trains.find(number, asked.signer),
        };
        let examination = Examination { step, train, asked: asked.ask.time, asker: asked.ask.reply_to };
        self.out.push_back(Lookup::Examine(id, examination));
    }

    /// Answers a diagnosis that this host refuses, in words, and does nothing else: somebody whose clock or key is wrong
    /// learns of it. There are a few such answers, because anybody with the group key can ask for them.
    pub(super) fn refuse_step(&mut self, now: Moment, wall: WallClock, asked: &Asked, why: Refusal) {
        let has_room = self.open.len() < QUERIES_OPEN_MAX / 2;
        if !has_room || self.refused.contains(&asked.ask.id) || !self.refusals.take(now, REFUSALS) {
            return;
        }
        if self.refused.len() == REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(asked.ask.id);
        let id = self.open_query(now, asked);
        let mut measured = Counters::default();
        measured.set(Gauge::Refused, why as u64);
        let text = match why {
            Refusal::Clock => {
                let (ahead, ms) =
                    (wall.0 > asked.ask.time.0, wall.distance(asked.ask.time).as_millis() as u64);
                measured.set(if ahead { Gauge::ClockAhead } else { Gauge::ClockBehind }, ms);
                let direction = if ahead { "ahead of" } else { "behind" };
                format!("its clock is {} s {direction} this one: set the clocks", ms / 1000)
            }
            Refusal::UnknownSender => "it does not list this sender".to_owned(),
            Refusal::ExpiredSender => "this sender's entry in its list has expired".to_owned(),
        };
        self.say_measured(now, id, AnswerState::Failed(text), measured.to_wire());
    }

    fn say_measured(&mut self, now: Moment, id: LookupId, state: AnswerState, counters: Vec<Counter>) {
        let reply = super::Reply { state, ..refusal("") };
        self.say(now, id, reply, counters);
    }
}

/// Answers to those that this host refuses: three at once, and one in two seconds.
const REFUSALS: Allowance = Allowance { most: 3, gap: Duration::from_secs(2) };

/// Refused queries that are remembered: those of some seconds.
const REFUSED_MAX: usize = 16;

const WORDS: usize = PROBES_MAX / 64;
