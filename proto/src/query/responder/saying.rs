//! A query that is being answered: the pages of the answer, and when each is sent.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use super::LookupId;
use super::asked::Asked;
use crate::agree::AgreementPublic;
use crate::ids::{GroupId, ReceiverId, Sequence, SessionId};
use crate::repeat::Repeat;
use crate::seal::{Cipher, GroupKey};
use crate::sign::{PublicKey, Scope, SigningKey, Verifier};
use crate::time::Moment;
use crate::wire::{About, Answer, AnswerState, Counter, Discard, Heard, Held, Page, page_breaks};

/// A query that is being answered.
pub(super) struct Open {
    pub(super) id: LookupId,
    pub(super) query: SessionId,
    /// The group key that it came under.
    pub(super) key: GroupId,
    /// Who signs it.
    pub(super) signer: Option<PublicKey>,
    /// Where it came from.
    pub(super) from: IpAddr,
    /// Whether the shell looks into it.
    pub(super) is_looked_into: bool,
    /// This host's half of the key that it shares with the querier.
    pub(super) agreement: AgreementPublic,
    pub(super) answer_bytes_max: usize,
    /// Opens a new group key, where the query may bring one.
    pub(super) new_key: Option<Cipher>,
    /// This host's turn: it sends nothing before.
    pub(super) turn: Moment,
    scope: Scope,
    receiver: ReceiverId,
    down: Cipher,
    up: Cipher,
    sequence: u64,
    reply_to: SocketAddr,
    /// When the querier was last heard. `highest` is the highest number of its datagrams: a repeated datagram is no
    /// sign of life.
    heard: Moment,
    highest: Sequence,
    /// How often a page may still be sent before the querier is heard again.
    sends_left: u8,
    answer: Option<Saying>,
    edition: u32,
}

/// An edition of the answer that is being sent.
struct Saying {
    about: About,
    objects: Vec<Held>,
    breaks: Vec<Range<usize>>,
    /// What was measured for a diagnosis: a page after those of the objects, unless it is empty.
    counters: Vec<Counter>,
    /// The page that is repeated until it is acknowledged; past the last one once all are.
    page: usize,
    repeat: Repeat,
}

/// What is new when a query is opened.
pub(super) struct Opening {
    pub(super) now: Moment,
    pub(super) id: LookupId,
    pub(super) receiver: ReceiverId,
    pub(super) agreement: AgreementPublic,
    pub(super) turn: Moment,
    pub(super) new_key: Option<Cipher>,
}

/// What came of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to be sent.
    Open,
    /// The whole final answer is acknowledged.
    Done,
}

impl Open {
    /// Returns the query that was `asked` under this group key.
    pub(super) fn new(opening: Opening, asked: &Asked, key: &GroupKey) -> Self {
        let Opening { now, id, receiver, agreement, turn, new_key } = opening;
        let query = asked.ask.id;
        Self {
            id,
            query,
            key: key.id(),
            signer: asked.signer,
            from: asked.from,
            is_looked_into: false,
            agreement,
            answer_bytes_max: asked.ask.answer_bytes_max.into(),
            turn,
            new_key,
            scope: key.scope(query),
            receiver,
            down: Cipher::downward(key, query),
            up: Cipher::upward(key, query, receiver),
            sequence: 0,
            reply_to: asked.ask.reply_to,
            heard: now,
            highest: asked.sequence,
            sends_left: sends_max(asked.signer),
            answer: None,
            edition: 0,
        }
    }

    /// Whether a datagram with this number is worth checking.
    ///
    /// # Errors
    /// [`Discard::Replayed`] if it is not above the last.
    pub(super) fn check_number(&self, sequence: Sequence) -> Result<(), Discard> {
        if sequence <= self.highest { Err(Discard::Replayed) } else { Ok(()) }
    }

    /// Notes a datagram of the querier, which was proven. It lets a page be sent once more.
    pub(super) fn note(&mut self, now: Moment, sequence: Sequence) {
        (self.heard, self.highest) = (now, sequence);
        self.sends_left = (self.sends_left + 1).min(sends_max(self.signer));
    }

    /// Has answers go to this address from now on.
    pub(super) fn answer_to(&mut self, reply_to: SocketAddr) {
        self.reply_to = reply_to;
    }

    /// Opens an acknowledgement. Where the query is signed, `allow` says whether the signature may be checked.
    ///
    /// # Errors
    /// Why it is none of this query, or none for this host.
    pub(super) fn open_heard(
        &self,
        datagram: &[u8],
        sequence: Sequence,
        allow: impl FnOnce() -> Result<(), Discard>,
    ) -> Result<Heard, Discard> {
        let wanted = |heard: &Heard| {
            if heard.receiver != self.receiver {
                return Err(Discard::OtherSession);
            }
            self.check_number(sequence)
        };
        let heard = Heard::open(&self.down, self.verifier(), datagram, |heard| {
            wanted(heard)?;
            allow()
        })?;
        wanted(&heard)?;
        Ok(heard)
    }

    /// Handles an acknowledgement.
    pub(super) fn take_heard(&mut self, now: Moment, sequence: Sequence, heard: Heard) -> Progress {
        self.note(now, sequence);
        let Some(saying) = &mut self.answer else { return Progress::Open };
        if heard.edition != self.edition || usize::from(heard.page) != saying.page {
            return Progress::Open;
        }
        saying.page += 1;
        saying.repeat = Repeat::new(now, PAGE_GAP, PAGE_GAP_MAX);
        self.sends_left = sends_max(self.signer);
        if saying.page < saying.pages() {
            return Progress::Open;
        }
        if saying.is_final() {
            return Progress::Done;
        }
        // Nothing is new, but each side learns from it that the other one is still there.
        self.edition += 1;
        saying.page = 0;
        saying.repeat = Repeat::new(now + STILL_AT_WORK_GAP, PAGE_GAP, PAGE_GAP_MAX);
        Progress::Open
    }

    /// Begins the next edition of the answer.
    pub(super) fn say(&mut self, now: Moment, about: About, objects: Vec<Held>, counters: Vec<Counter>) {
        self.edition += 1;
        self.answer = Some(Saying {
            breaks: page_breaks(&objects, self.answer_bytes_max),
            about,
            objects,
            counters,
            page: 0,
            repeat: Repeat::new(self.turn.max(now), PAGE_GAP, PAGE_GAP_MAX),
        });
    }

    /// Returns when the next page is to be sent; `None` while there is none, or none may be sent.
    pub(super) fn next_at(&self) -> Option<Moment> {
        let saying = self.answer.as_ref()?;
        (self.sends_left > 0 && saying.page < saying.pages()).then_some(saying.repeat.next_at)
    }

    /// Writes the page that is due, signed by this host, into `out`; returns the querier's address.
    pub(super) fn send(
        &mut self,
        now: Moment,
        host_key: &SigningKey,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        if self.next_at().is_none_or(|at| now < at) {
            return None;
        }
        let saying = self.answer.as_mut()?;
        saying.repeat.take_due(now);
        self.sends_left -= 1;
        self.sequence += 1;
        let sequence = Sequence::new(self.sequence).expect("2^40 pages take years");
        let answer = Answer { edition: self.edition, pages: saying.pages() as u16, page: saying.page() };
        answer.seal(&self.up, host_key.within(self.scope), self.receiver, sequence, out);
        Some(self.reply_to)
    }

    /// Returns when the querier is given up if it is not heard again.
    pub(super) fn gone_at(&self) -> Moment {
        self.heard + QUERIER_GONE_AFTER
    }

    pub(super) fn receiver(&self) -> ReceiverId {
        self.receiver
    }

    /// Whether this host says that it awaits a new group key.
    pub(super) fn awaits_key(&self) -> bool {
        self.answer.as_ref().is_some_and(|saying| saying.about.state == AnswerState::AwaitingKey)
    }

    pub(super) fn verifier(&self) -> Option<Verifier> {
        self.signer.map(|key| key.within(self.scope))
    }
}

impl Saying {
    fn pages(&self) -> usize {
        1 + self.breaks.len() + usize::from(!self.counters.is_empty())
    }

    fn page(&self) -> Page {
        match self.page.checked_sub(1) {
            None => Page::About(self.about.clone()),
            Some(at) if at == self.breaks.len() => {
                Page::Counters { number: self.page as u16, counters: self.counters.clone() }
            }
            Some(at) => Page::Objects {
                number: self.page as u16,
                objects: self.objects[self.breaks[at].clone()].to_vec(),
            },
        }
    }

    fn is_final(&self) -> bool {
        match self.about.state {
            AnswerState::Final | AnswerState::Busy | AnswerState::Failed(_) => true,
            AnswerState::Verifying { .. } | AnswerState::AwaitingKey => false,
        }
    }
}

/// How often a page may be sent for one datagram of the querier. Any holder of the group key can have an unsigned query
/// answered to any address.
fn sends_max(signer: Option<PublicKey>) -> u8 {
    match signer {
        Some(_) => 1 + 16,
        None => 1 + 4,
    }
}

/// Gap after which a page that is not acknowledged is repeated; it doubles up to [`PAGE_GAP_MAX`].
const PAGE_GAP: Duration = Duration::from_millis(100);
const PAGE_GAP_MAX: Duration = Duration::from_secs(1);

/// Gap between the reports of a host that verifies, or that awaits a new group key.
const STILL_AT_WORK_GAP: Duration = Duration::from_secs(2);

/// A querier that was not heard for this long is gone.
const QUERIER_GONE_AFTER: Duration = Duration::from_secs(15);
