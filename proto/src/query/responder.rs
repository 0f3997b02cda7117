//! A host's side: accepts queries, has them looked into, and sends the answers until they are acknowledged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::ids::{HostName, ReceiverId, Sequence, SessionId};
use crate::limits::{ANNOUNCE_SKEW_MAX, HELD_MAX, QUERIES_OPEN_MAX, QUERIES_REMEMBERED_MAX};
use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::time::{Moment, WallClock};
use crate::wire::{
    About, Answer, AnswerState, Ask, Discard, DiscardCounts, Header, Heard, Held, Kind, Page, Query,
    page_breaks,
};

/// The configuration of a responder.
#[derive(Clone, Debug)]
pub struct ResponderConfig {
    /// The host's name.
    pub name: HostName,
    /// Name and version of the program.
    pub software: String,
    /// The group's secret; more than one while it is being replaced.
    pub keys: Vec<GroupKey>,
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

/// A task for the shell. The tasks of a query come in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Look into a query. The shell answers with [`Responder::handle_reply`], one or more times; the last reply is not
    /// [`AnswerState::Verifying`].
    Open(LookupId, Query),
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
    /// Queries that were accepted, with their time, oldest first.
    remembered: VecDeque<(SessionId, WallClock)>,
    lookups: u64,
    out: VecDeque<Lookup>,
    discards: DiscardCounts,
}

/// A query that is being answered.
struct Open {
    id: LookupId,
    query: SessionId,
    receiver: ReceiverId,
    down: Cipher,
    up: Cipher,
    sequence: u64,
    reply_to: SocketAddr,
    answer_bytes_max: usize,
    /// This host's turn: it sends nothing before.
    turn: Moment,
    /// When the querier was last heard. `highest` is the highest number of its datagrams: a repeated datagram is no
    /// sign of life.
    heard: Moment,
    highest: Sequence,
    answer: Option<Saying>,
    edition: u32,
}

/// An edition of the answer that is being sent.
struct Saying {
    about: About,
    objects: Vec<Held>,
    breaks: Vec<Range<usize>>,
    /// The page that is repeated until it is acknowledged; past the last one once all are.
    page: usize,
    repeat: Repeat,
}

impl Responder {
    /// Returns a host that was asked nothing yet.
    pub fn new(config: ResponderConfig) -> Self {
        Self {
            rng: Rng::new(&config.seed),
            config,
            open: Vec::new(),
            remembered: VecDeque::new(),
            lookups: 0,
            out: VecDeque::new(),
            discards: DiscardCounts::default(),
        }
    }

    /// Whether a datagram is for this machine.
    pub fn is_for(datagram: &[u8]) -> bool {
        Header::parse(datagram).is_ok_and(|header| matches!(header.kind, Kind::Ask | Kind::Heard))
    }

    /// Handles a datagram of a query.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_datagram(&mut self, now: Moment, wall: WallClock, datagram: &[u8]) -> Result<(), Discard> {
        let header = Header::parse(datagram);
        let result = header.and_then(|header| match header.kind {
            Kind::Ask => self.take_ask(now, wall, datagram),
            Kind::Heard => self.take_heard(now, header, datagram),
            _ => Err(Discard::UnknownKind),
        });
        result.inspect_err(|&reason| self.discards.count(reason))
    }

    /// Handles the shell's reply to a lookup. A further reply replaces the one before.
    pub fn handle_reply(&mut self, now: Moment, id: LookupId, reply: Reply) {
        let (name, software) = (self.config.name.clone(), self.config.software.clone());
        let Some(open) = self.open.iter_mut().find(|open| open.id == id) else {
            return; // the querier no longer waits for it
        };
        let Reply { store, free_bytes, held, pinned, mut objects, state } = reply;
        objects.truncate(HELD_MAX);
        open.edition += 1;
        open.answer = Some(Saying {
            breaks: page_breaks(&objects, open.answer_bytes_max),
            about: About { name, software, store, free_bytes, held, pinned, state },
            objects,
            page: 0,
            repeat: Repeat::new(open.turn.max(now), PAGE_GAP, PAGE_GAP_MAX),
        });
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Moment) {
        let gone = self.open.extract_if(.., |open| now.since(open.heard) >= QUERIER_GONE_AFTER);
        self.out.extend(gone.map(|open| Lookup::Forget(open.id)));
    }

    /// Writes the next page of an answer into `out`; returns the address of its querier.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let open = self.open.iter_mut().find(|open| open.is_due(now))?;
        let answer = open.take_page(now)?;
        open.sequence += 1;
        let sequence = Sequence::new(open.sequence).expect("2^40 pages take years");
        answer.seal(&open.up, open.query.tag(), open.receiver, sequence, out);
        Some(open.reply_to)
    }

    /// Returns the next task for the shell.
    #[must_use]
    pub fn poll_lookup(&mut self) -> Option<Lookup> {
        self.out.pop_front()
    }

    /// Returns when to call [`Responder::handle_timeout`] and drain again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.open
            .iter()
            .flat_map(|open| [open.next_at(), Some(open.heard + QUERIER_GONE_AFTER)])
            .flatten()
            .min()
    }

    /// The datagrams dropped since the start, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    fn take_ask(&mut self, now: Moment, wall: WallClock, datagram: &[u8]) -> Result<(), Discard> {
        let id = Ask::id_of(datagram)?;
        let (key, ask) = self.open_ask(datagram)?;
        if let Some(open) = self.open.iter_mut().find(|open| open.query == id) {
            return open.note(now, Header::parse(datagram)?.sequence);
        }
        if ask.time.distance(wall) > ANNOUNCE_SKEW_MAX {
            return Err(Discard::Stale);
        }
        // Queries answered before this start are forgotten. Answering one again is harmless unless it changes
        // something.
        if matches!(ask.query, Query::Unpin(_)) && ask.time.0 < self.config.started.0 {
            return Err(Discard::Stale);
        }
        self.remembered.retain(|(_, time)| wall.0 <= time.0 || time.distance(wall) <= ANNOUNCE_SKEW_MAX);
        if self.remembered.iter().any(|(remembered, _)| *remembered == id) {
            return Ok(()); // a further round of a query that was answered
        }
        if self.open.len() >= QUERIES_OPEN_MAX || self.remembered.len() >= QUERIES_REMEMBERED_MAX {
            return Err(Discard::TooMany);
        }
        self.remembered.push_back((id, ask.time));
        self.begin(now, key, ask, Header::parse(datagram)?.sequence);
        Ok(())
    }

    /// Opens a query with the key it is sealed under; returns that key's index in the configuration.
    fn open_ask(&self, datagram: &[u8]) -> Result<(usize, Ask), Discard> {
        let mut reason = Discard::WrongKey;
        for (at, key) in self.config.keys.iter().enumerate() {
            match Ask::open(key, datagram) {
                Ok(ask) => return Ok((at, ask)),
                Err(Discard::WrongKey) => {}
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn begin(&mut self, now: Moment, key: usize, ask: Ask, sequence: Sequence) {
        // Each query has its own receiver id, as the numbers under its key begin at 1 again.
        let mut start = self.config.start;
        start.iter_mut().zip(self.lookups.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.lookups += 1;
        let id = LookupId(self.lookups);
        let receiver = ReceiverId::derive(&self.config.name, &start);
        self.open.push(Open {
            id,
            query: ask.id,
            receiver,
            down: Cipher::downward(&self.config.keys[key], ask.id),
            up: Cipher::upward(&self.config.keys[key], ask.id, receiver),
            sequence: 0,
            reply_to: ask.reply_to,
            answer_bytes_max: ask.answer_bytes_max.into(),
            turn: now + self.rng.below(ask.spread),
            heard: now,
            highest: sequence,
            answer: None,
            edition: 0,
        });
        self.out.push_back(Lookup::Open(id, ask.query));
    }

    fn take_heard(&mut self, now: Moment, header: Header, datagram: &[u8]) -> Result<(), Discard> {
        let at = self.open.iter().position(|open| open.query.tag() == header.tag);
        let open = &mut self.open[at.ok_or(Discard::OtherSession)?];
        let heard = Heard::open(&open.down, datagram)?;
        if heard.receiver != open.receiver {
            return Err(Discard::OtherSession);
        }
        open.note(now, header.sequence)?;
        if open.take_heard(now, heard) {
            self.open.swap_remove(at.expect("just found"));
        }
        Ok(())
    }
}

impl Open {
    /// Notes a datagram of the querier; refuses one that is not above the last.
    fn note(&mut self, now: Moment, sequence: Sequence) -> Result<(), Discard> {
        if sequence <= self.highest {
            return Err(Discard::Replayed);
        }
        (self.heard, self.highest) = (now, sequence);
        Ok(())
    }

    /// Returns when the next page is to be sent.
    fn next_at(&self) -> Option<Moment> {
        let saying = self.answer.as_ref()?;
        (saying.page < saying.pages()).then_some(saying.repeat.next_at)
    }

    fn is_due(&self, now: Moment) -> bool {
        self.next_at().is_some_and(|at| now >= at)
    }

    fn take_page(&mut self, now: Moment) -> Option<Answer> {
        let edition = self.edition;
        let saying = self.answer.as_mut()?;
        saying.repeat.take_due(now).then(|| Answer {
            edition,
            pages: saying.pages() as u16,
            page: saying.page(),
        })
    }

    /// Handles an acknowledgement; returns whether the whole answer is acknowledged.
    fn take_heard(&mut self, now: Moment, heard: Heard) -> bool {
        let Some(saying) = &mut self.answer else { return false };
        if heard.edition != self.edition || usize::from(heard.page) != saying.page {
            return false;
        }
        saying.page += 1;
        saying.repeat = Repeat::new(now, PAGE_GAP, PAGE_GAP_MAX);
        if saying.page < saying.pages() {
            return false;
        }
        if !matches!(saying.about.state, AnswerState::Verifying { .. }) {
            return true;
        }
        // Nothing is new, but each side learns from it that the other one is still there.
        self.edition += 1;
        saying.page = 0;
        saying.repeat = Repeat::new(now + STILL_VERIFYING_GAP, PAGE_GAP, PAGE_GAP_MAX);
        false
    }
}

impl Saying {
    fn pages(&self) -> usize {
        1 + self.breaks.len()
    }

    fn page(&self) -> Page {
        match self.page.checked_sub(1) {
            None => Page::About(self.about.clone()),
            Some(at) => Page::Objects {
                number: self.page as u16,
                objects: self.objects[self.breaks[at].clone()].to_vec(),
            },
        }
    }
}

/// Gap after which a page that is not acknowledged is repeated; it doubles up to [`PAGE_GAP_MAX`].
const PAGE_GAP: Duration = Duration::from_millis(100);
const PAGE_GAP_MAX: Duration = Duration::from_secs(1);

/// Gap between the reports of a host that verifies.
const STILL_VERIFYING_GAP: Duration = Duration::from_secs(2);

/// A querier that was not heard for this long is gone.
const QUERIER_GONE_AFTER: Duration = Duration::from_secs(15);
