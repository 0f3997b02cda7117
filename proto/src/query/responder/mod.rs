//! A host's side: accepts queries, has them looked into, and sends the answers until they are acknowledged.

mod asked;
#[cfg(test)]
mod asker_tests;
mod diagnosing;
#[cfg(test)]
mod diagnosing_tests;
mod inbox;
mod memory;
mod rekey;
#[cfg(test)]
mod rekey_tests;
mod saying;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use self::asked::{Asked, Candidates};
use self::diagnosing::Trains;
pub use self::diagnosing::{Examination, Probed, TrainId};
use self::memory::{Memory, Remembered, Settled};
use self::saying::{Open, Opening};
use super::checks::Checks;
use crate::agree::{AgreementKey, StartSecret};
use crate::bucket::Bucket;
use crate::ids::{HostName, ReceiverId, SessionId};
use crate::keyring::Keyring;
use crate::limits::HELD_MAX;
use crate::rng::Rng;
use crate::senders::Senders;
use crate::sign::{PublicKey, SigningKey};
use crate::time::{Moment, WallClock};
use crate::wire::{
    About, AnswerState, Counter, Discard, DiscardCounts, Header, Held, HeldDigest, Kind, Query,
};

/// The configuration of a responder.
#[derive(Clone, Debug)]
pub struct ResponderConfig {
    /// The host's name.
    pub name: HostName,
    /// Name and version of the program.
    pub software: String,
    /// The group's secret; more than one while it is being replaced.
    pub keys: Keyring,
    /// The key of this host, which signs its answers.
    pub host_key: SigningKey,
    /// What the keys that it shares with queriers follow from, drawn at this start of the program.
    pub secret: StartSecret,
    /// Who may ask: only these, with a signature, unless any holder of a group key may.
    pub senders: Senders,
    /// 16 random bytes, drawn at this start of the program and used for nothing else.
    pub start: [u8; 16],
    /// Seed of all randomness in the machine.
    pub seed: [u8; 32],
    /// The civil time of this start. A query from before it may have been answered already.
    pub started: WallClock,
}

/// Identifies one query that a host looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupId(u64);

/// Who asks, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The address that the query came from.
    pub from: IpAddr,
    /// The key that signs it; `None` if none does.
    pub signer: Option<PublicKey>,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signer {
            Some(key) => write!(f, "{} with {key}", self.from),
            None => write!(f, "{}, unsigned", self.from),
        }
    }
}

/// A task for the shell. The tasks of a query come in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Look into a query. The shell answers with [`Responder::handle_reply`], one or more times; the last reply is not
    /// [`AnswerState::Verifying`]. The query is neither [`Query::Diagnose`] nor [`Query::Retire`]. To [`Query::Rekey`] the
    /// shell answers [`AnswerState::AwaitingKey`] if it can keep a keyring.
    Open(LookupId, Query, Asker),
    /// Take a step of a diagnosis. The shell answers with [`Responder::handle_measured`], once.
    Examine(LookupId, Examination),
    /// Keep this keyring, so that it is there after the next start. The shell answers with [`Responder::handle_kept`] once
    /// it is on the disk.
    Keep(LookupId, Keyring),
    /// Stop looking into a query: its querier no longer waits for the answer.
    Forget(LookupId),
}

/// What the shell found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The store, as its operator writes it.
    pub store: String,
    /// Bytes that the store can still hold.
    pub free_bytes: Option<u64>,
    /// The number of objects in the store.
    pub held: u32,
    /// The number of those that are kept longer than the rules say.
    pub pinned: u32,
    /// The digest of all objects in the store, whatever the query is about.
    pub digest: HeldDigest,
    /// The objects that the query is about. Those beyond [`HELD_MAX`] are left out.
    pub objects: Vec<Held>,
    /// How far the lookup is.
    pub state: AnswerState,
}

/// A host that answers queries.
pub struct Responder {
    config: ResponderConfig,
    rng: Rng,
    open: Vec<Open>,
    candidates: Candidates,
    memory: Memory,
    checks: Checks,
    trains: Trains,
    /// What is left for answers to those that this host refuses.
    refusals: Bucket,
    /// The last queries that were refused, so that further rounds of them are not answered again.
    refused: VecDeque<SessionId>,
    lookups: u64,
    /// Whether the shell is keeping a keyring: one after the other.
    is_keeping: bool,
    has_new_keys: bool,
    out: VecDeque<Lookup>,
    discards: DiscardCounts,
}

impl Responder {
    /// Returns a host that was asked nothing yet.
    pub fn new(config: ResponderConfig) -> Self {
        Self {
            rng: Rng::new(&config.seed),
            config,
            open: Vec::new(),
            candidates: Candidates::default(),
            memory: Memory::default(),
            checks: Checks::default(),
            trains: Trains::default(),
            refusals: Bucket::default(),
            refused: VecDeque::new(),
            lookups: 0,
            is_keeping: false,
            has_new_keys: false,
            out: VecDeque::new(),
            discards: DiscardCounts::default(),
        }
    }

    /// Whether a datagram is for this machine: a query, an acknowledgement, a new group key, or a page of the audience of a query that
    /// was heard before. Other pages are of pushes.
    pub fn is_for(&self, datagram: &[u8]) -> bool {
        Header::parse(datagram).is_ok_and(|header| match header.kind {
            Kind::Ask | Kind::Heard | Kind::NewKey => true,
            Kind::Audience => self.query_of_page(header, datagram).is_some(),
            _ => false,
        })
    }

    /// Handles a datagram of a query, which came from this address.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_datagram(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let header = Header::parse(datagram);
        let result = header.and_then(|header| match header.kind {
            Kind::Ask => self.take_ask(now, wall, from, datagram),
            Kind::Audience => self.take_page(now, wall, from, header, datagram),
            Kind::Heard => self.take_heard(now, from, header, datagram),
            Kind::NewKey => self.take_new_key(now, from, header, datagram),
            _ => Err(Discard::UnknownKind),
        });
        result.inspect_err(|&reason| self.discards.count(reason))
    }

    /// Handles the shell's reply to a lookup. A further reply replaces the one before.
    pub fn handle_reply(&mut self, now: Moment, id: LookupId, reply: Reply) {
        self.say(now, id, reply, Vec::new());
    }

    fn say(&mut self, now: Moment, id: LookupId, reply: Reply, counters: Vec<Counter>) {
        let Some(open) = self.open.iter_mut().find(|open| open.id == id) else {
            return; // the querier no longer waits for it
        };
        let Reply { store, free_bytes, held, pinned, digest, mut objects, state } = reply;
        objects.truncate(HELD_MAX);
        let about = About {
            key: self.config.host_key.public(),
            agreement: open.agreement,
            name: self.config.name.clone(),
            software: self.config.software.clone(),
            store,
            free_bytes,
            held,
            pinned,
            digest,
            state,
        };
        open.say(now, about, objects, counters);
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Moment) {
        let gone = self.open.extract_if(.., |open| now >= open.gone_at());
        self.out.extend(gone.filter(|open| open.is_looked_into).map(|open| Lookup::Forget(open.id)));
    }

    /// Writes the next page of an answer into `out`; returns the address of its querier.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.open.iter_mut().find_map(|open| open.send(now, &self.config.host_key, out))
    }

    /// Returns the next task for the shell.
    #[must_use]
    pub fn poll_lookup(&mut self) -> Option<Lookup> {
        self.out.pop_front()
    }

    /// Returns when to call [`Responder::handle_timeout`] and drain again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.open.iter().flat_map(|open| [open.next_at(), Some(open.gone_at())]).flatten().min()
    }

    /// The datagrams dropped since the start, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    /// Handles another list of senders. Queries of senders that it does not have are no longer answered.
    pub fn handle_senders(&mut self, senders: Senders) {
        let revoked = self.open.extract_if(.., |open| !senders.has(open.signer));
        self.out.extend(revoked.filter(|open| open.is_looked_into).map(|open| Lookup::Forget(open.id)));
        self.candidates.clear();
        self.config.senders = senders;
    }

    /// Begins to answer a query that is for this host.
    fn begin(&mut self, now: Moment, asked: Asked) {
        let Asked { ref ask, key, from, .. } = asked;
        let group = self.config.keys.at(key).id();
        self.memory.note(ask.id, Remembered { time: ask.time, key: group, from, settled: Settled::Accepted });
        let id = self.open_query(now, &asked);
        match &asked.ask.query {
            Query::Rekey | Query::Retire => self.begin_with_keys(now, id, &asked),
            &Query::Diagnose { step, train } => self.begin_step(id, &asked, step, train),
            Query::Hosts
            | Query::Status(_)
            | Query::Verify(_)
            | Query::Unpin(_)
            | Query::Pin(..)
            | Query::Remove(_)
            | Query::RemovePinned(_)
            | Query::SetAside(_) => {
                let asker = Asker { from: asked.from, signer: asked.signer };
                self.look_into(id, asked.ask.query, asker);
            }
        }
    }

    /// Opens a query, so that it can be answered.
    fn open_query(&mut self, now: Moment, asked: &Asked) -> LookupId {
        let group = self.config.keys.at(asked.key).clone();
        // Each query has its own receiver id, as the numbers under its key begin at 1 again.
        let mut start = self.config.start;
        start.iter_mut().zip(self.lookups.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.lookups += 1;
        let id = LookupId(self.lookups);
        let receiver = ReceiverId::derive(&self.config.name, &start);
        let agreement = AgreementKey::derive(&self.config.secret, asked.ask.id, receiver).public();
        let turn = now + self.rng.below(asked.ask.spread);
        let new_key = self.new_key_cipher(asked, receiver);
        let opening = Opening { now, id, receiver, agreement, turn, new_key };
        self.open.push(Open::new(opening, asked, &group));
        id
    }

    /// Has the shell look into a query, until it is told to forget it.
    fn look_into(&mut self, id: LookupId, query: Query, asker: Asker) {
        let open = self.open.iter_mut().find(|open| open.id == id);
        open.expect("it has begun").is_looked_into = true;
        self.out.push_back(Lookup::Open(id, query, asker));
    }
}

/// The answer to what this host does not do, and why.
fn refusal(reason: &str) -> Reply {
    Reply {
        store: String::new(),
        free_bytes: None,
        held: 0,
        pinned: 0,
        digest: HeldDigest::of([]),
        objects: Vec::new(),
        state: AnswerState::Failed(reason.to_owned()),
    }
}
