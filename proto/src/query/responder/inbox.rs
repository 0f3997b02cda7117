//! What comes from the network: which queries this host takes, from whom, and how many. A query that is signed changes
//! nothing before its signature was checked.

use std::net::{IpAddr, SocketAddr};

use super::Responder;
use super::asked::{Asked, Candidate};
use super::memory::{Remembered, Settled};
use super::saying::{Open, Progress};
use crate::audience::Inclusion;
use crate::doctor::Refusal;
use crate::ids::SessionId;
use crate::keyring::open_under_any;
use crate::limits::{ANNOUNCE_SKEW_MAX, QUERIES_OPEN_MAX, QUERIES_REMEMBERED_MAX};
use crate::query::checks::Checks;
use crate::senders::Acceptance;
use crate::time::{Moment, WallClock};
use crate::wire::{Ask, Discard, Header, Vouched};

/// Which query a page of an audience is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageOf {
    /// The candidate at this place.
    Candidate(usize),
    /// One that needs no more pages.
    Settled(Settled),
}

/// How much of this host's room one address may take.
struct Share {
    /// Queries that are answered or considered at a time.
    open: usize,
    /// Queries that are remembered.
    remembered: usize,
}

impl Responder {
    /// Handles a round of a query.
    pub(super) fn take_ask(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let id = Ask::id_of(datagram)?;
        let (asked, vouched) = self.open_ask(from, datagram)?;
        let refused = match self.config.senders.judge(asked.signer, wall) {
            Acceptance::Accepted => None,
            Acceptance::Unknown => Some((Discard::UnknownSender, Refusal::UnknownSender)),
            Acceptance::Expired(_) => Some((Discard::ExpiredSender, Refusal::ExpiredSender)),
        };
        if let Some((reason, why)) = refused {
            if asked.ask.query.is_diagnosis() && self.check_time(wall, &asked.ask).is_ok() {
                self.refuse_step(now, wall, &asked, why);
            }
            return Err(reason);
        }
        if let Some(at) = self.open.iter().position(|open| open.query == id) {
            return self.take_round(now, from, at, &asked, &vouched);
        }
        if let Err(reason) = self.check_time(wall, &asked.ask) {
            if asked.ask.query.is_diagnosis() && self.verify(now, from, &asked, &vouched).is_ok() {
                self.refuse_step(now, wall, &asked, Refusal::Clock);
            }
            return Err(reason);
        }
        if let Some(settled) = self.memory.of(id) {
            return settled.verdict(); // a further round of a query that was answered, or is for others
        }
        if self.candidates.has(id) {
            return Ok(());
        }
        self.check_room(wall, asked.from)?;
        self.verify(now, from, &asked, &vouched)?;
        match Inclusion::of(asked.ask.audience, id, &self.config.name) {
            Inclusion::Included => self.begin(now, asked),
            Inclusion::Excluded => self.leave(&asked),
            unsettled @ Inclusion::Unsettled(_) => {
                let group = self.config.keys.at(asked.key).clone();
                let of_one = self.share().open;
                self.candidates.push(Candidate::new(asked, group, unsettled), of_one);
            }
        }
        Ok(())
    }

    /// Handles a page of the audience of a query that was heard before.
    pub(super) fn take_page(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let at = match self.query_of_page(header, datagram) {
            None => return Err(Discard::OtherSession),
            Some(PageOf::Settled(settled)) => return settled.verdict(),
            Some(PageOf::Candidate(at)) => at,
        };
        let (candidate, checks) = (self.candidates.at(at), &self.checks);
        let result = candidate.take(datagram, || checks.allow(now, from));
        self.checks.settle(now, from, result)?;
        match candidate.inclusion {
            Inclusion::Unsettled(_) => Ok(()),
            Inclusion::Excluded => {
                let candidate = self.candidates.remove(at);
                self.leave(&candidate.asked);
                Err(Discard::NotForUs)
            }
            Inclusion::Included => {
                let mut asked = self.candidates.remove(at).asked;
                // The page may have been held back by somebody for long.
                self.check_time(wall, &asked.ask)?;
                self.check_room(wall, asked.from)?;
                asked.sequence = asked.sequence.max(header.sequence);
                self.begin(now, asked);
                Ok(())
            }
        }
    }

    /// Handles an acknowledgement.
    pub(super) fn take_heard(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let (at, heard) = self.open_of_query(now, from, header, |open, checks| {
            open.open_heard(datagram, header.sequence, || checks.allow(now, from))
        })?;
        if self.open[at].take_heard(now, header.sequence, heard) == Progress::Done {
            self.open.swap_remove(at);
        }
        Ok(())
    }

    /// Opens a datagram of a query that is being answered; returns the place of the query and the content. Several
    /// queries may have the datagram's tag, and what one of them cannot open may be of another.
    pub(super) fn open_of_query<T>(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        open: impl Fn(&Open, &Checks) -> Result<T, Discard>,
    ) -> Result<(usize, T), Discard> {
        let mut reason = Discard::OtherSession;
        for (at, query) in self.open.iter().enumerate().filter(|(_, open)| open.query.tag() == header.tag) {
            let opened = open(query, &self.checks);
            match self.checks.settle(now, from, opened) {
                Err(Discard::Forged) => reason = Discard::Forged,
                settled => return settled.map(|content| (at, content)),
            }
        }
        Err(reason)
    }

    /// Returns the query whose audience a page is of, if it was heard before.
    pub(super) fn query_of_page(&self, header: Header, datagram: &[u8]) -> Option<PageOf> {
        let is_of = |query: SessionId| query.tag() == header.tag;
        let candidate = self.candidates.place_of(datagram, is_of).map(PageOf::Candidate);
        candidate.or_else(|| {
            let settled = self.memory.of_datagram(&self.config.keys, header.tag, datagram);
            settled.map(PageOf::Settled)
        })
    }

    /// Handles a further round of a query that is being answered: its querier is still there. The first round counts,
    /// whatever a later one contains, except for the address that is answered to: the querier may have got another one.
    fn take_round(
        &mut self,
        now: Moment,
        from: SocketAddr,
        at: usize,
        asked: &Asked,
        vouched: &Vouched,
    ) -> Result<(), Discard> {
        let open = &self.open[at];
        if open.signer != asked.signer || open.key != self.config.keys.at(asked.key).id() {
            return Err(Discard::BadSignature);
        }
        open.check_number(asked.sequence)?;
        self.verify(now, from, asked, vouched)?;
        self.open[at].note(now, asked.sequence);
        self.open[at].answer_to(asked.ask.reply_to);
        Ok(())
    }

    /// Opens a query under any of the host's keys.
    fn open_ask(&self, from: SocketAddr, datagram: &[u8]) -> Result<(Asked, Vouched), Discard> {
        let sequence = Header::parse(datagram)?.sequence;
        let (key, (ask, vouched)) = open_under_any(self.config.keys.keys(), |key| Ask::open(key, datagram))?;
        let (signer, from) = (vouched.signer(), from.ip().to_canonical());
        Ok((Asked { ask, key, signer, sequence, from }, vouched))
    }

    fn check_time(&self, wall: WallClock, ask: &Ask) -> Result<(), Discard> {
        if ask.time.distance(wall) > ANNOUNCE_SKEW_MAX {
            return Err(Discard::Stale);
        }
        // Queries answered before this start are forgotten. Answering one again is harmless unless it changes
        // something.
        if ask.query.changes_something() && ask.time.0 < self.config.started.0 {
            return Err(Discard::Stale);
        }
        Ok(())
    }

    /// Whether there is room for another query from this address.
    fn check_room(&mut self, wall: WallClock, from: IpAddr) -> Result<(), Discard> {
        self.memory.forget_stale(wall);
        let share = self.share();
        let of_it = self.open.iter().filter(|open| open.from == from).count();
        let is_open = self.open.len() < QUERIES_OPEN_MAX && of_it < share.open;
        if is_open && self.memory.has_room(from, share.remembered) { Ok(()) } else { Err(Discard::TooMany) }
    }

    /// Checks the signature of a query, if it has one.
    fn verify(
        &mut self,
        now: Moment,
        from: SocketAddr,
        asked: &Asked,
        vouched: &Vouched,
    ) -> Result<(), Discard> {
        if asked.signer.is_none() {
            return Ok(());
        }
        self.checks.allow(now, from)?;
        let result = vouched.verify(self.config.keys.at(asked.key).scope(asked.ask.id));
        if self.config.senders.accepts_anybody() && result.is_ok() {
            self.checks.spend(now, from); // anybody can make a key of its own and sign with it
        }
        self.checks.settle(now, from, result)
    }

    /// Remembers that a query is for others. Without room, each of its rounds is considered again.
    fn leave(&mut self, asked: &Asked) {
        let &Asked { ref ask, key, from, .. } = asked;
        let key = self.config.keys.at(key).id();
        if self.memory.has_room(from, self.share().remembered) {
            self.memory.note(ask.id, Remembered { time: ask.time, key, from, settled: Settled::NotForUs });
        }
    }

    /// What one address may take. Where senders are listed, no other can take anything.
    fn share(&self) -> Share {
        if self.config.senders.accepts_anybody() {
            Share { open: OPEN_OF_ONE_MAX, remembered: REMEMBERED_OF_ONE_MAX }
        } else {
            Share { open: QUERIES_OPEN_MAX, remembered: QUERIES_REMEMBERED_MAX }
        }
    }
}

/// Queries of one address that a host answers at a time, if it takes those of anybody.
const OPEN_OF_ONE_MAX: usize = 2;
/// Queries of one address that it remembers.
const REMEMBERED_OF_ONE_MAX: usize = QUERIES_REMEMBERED_MAX / 8;
