//! The querier's side: sends the query in rounds, acknowledges pages, and decides when the wait is over.
//!
//! A host that is known by its key is waited for no longer than until its final answer is here. Where a key is not
//! known, somebody else may have answered first: the query then goes on for the time in which every host that is alive
//! has spoken, so that two answers of one name are noticed.

mod host;
mod hosts;
#[cfg(test)]
mod key_tests;
mod place;
mod rounds;
mod spacing;
#[cfg(test)]
mod tests;
mod totals;

use std::net::SocketAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use self::hosts::{Coverage, Hosts};
use self::rounds::{Rounds, Say};
use self::spacing::Spacing;
use super::checks::Checks;
use super::results::{HostAnswer, Tally};
use crate::agree::AgreementKey;
use crate::audience::Pages;
use crate::ids::{HostName, ReceiverId, Sequence, SessionId};
use crate::known::{FirstUse, KnownHosts};
use crate::limits::{ANSWERS_PER_SECOND_MAX, AUDIENCE_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sender::{Expected, To, Transmit};
use crate::sign::{Scope, Signer, SigningKey};
use crate::time::{Moment, WallClock};
use crate::wire::{
    Answer, Ask, Discard, DiscardCounts, Down, Kind, Meant, NameHash, NewKey, Notice, Query, UpHeader,
    VERSION,
};

/// The configuration of a query.
#[derive(Clone, Debug)]
pub struct QuerierConfig {
    /// The query's id, drawn at random.
    pub id: SessionId,
    /// The group's secret.
    pub key: GroupKey,
    /// Signs the query, the pages of its audience and the acknowledgements. Hosts that list senders take no others.
    pub signer: Option<SigningKey>,
    /// The querier's half of the keys that it shares with hosts, drawn at random for this query.
    pub agreement: AgreementKey,
    /// The keys of the hosts, as far as they are known.
    pub known: KnownHosts,
    /// The query.
    pub query: Query,
    /// The new group key that goes to each known host which awaits one, in answer to [`Query::Rekey`]. It needs a signer.
    pub new_key: Option<GroupKey>,
    /// The address to which hosts answer.
    pub reply_to: SocketAddr,
    /// Largest UDP payload of an answer in bytes, within the limits of [`Ask::answer_bytes_max`]. Pages of the audience
    /// are as long.
    pub answer_bytes_max: u16,
    /// The civil time at the start.
    pub started: WallClock,
    /// Time for which hosts are asked. A host that has begun to answer or to verify is waited for after it.
    pub wait: Duration,
    /// The hosts that should answer. Once all of them have, no other host is waited for. If they are named, the query
    /// is for them alone, and no other host looks into it or is listened to.
    pub expected: Expected,
}

/// One query.
pub struct Querier {
    config: QuerierConfig,
    scope: Scope,
    cipher: Cipher,
    /// When hosts are no longer asked, whatever is missing.
    until: Moment,
    /// When every host that is alive has spoken.
    heard_out: Moment,
    spread: Duration,
    rounds: Rounds,
    sequence: u64,
    hosts: Hosts,
    acknowledgements: Spacing,
    checks: Checks,
    stopped: bool,
    discards: DiscardCounts,
}

impl Querier {
    /// Returns a query that begins now.
    ///
    /// # Panics
    /// If more than [`AUDIENCE_MAX`] hosts are named.
    pub fn new(now: Moment, config: QuerierConfig) -> Self {
        let spread = spread(&config.expected, config.wait);
        let hearing = (spread * 2).max(HEARING_MIN);
        let asking = config.wait.max(hearing);
        let pages = Pages::new(config.id, named(&config.expected), config.answer_bytes_max.into());
        Self {
            scope: config.key.scope(config.id),
            cipher: Cipher::downward(&config.key, config.id),
            until: now + asking,
            heard_out: now + hearing,
            spread,
            // Each host's turn has to come before the end.
            rounds: Rounds::new(now, now + (asking - spread), pages),
            sequence: 0,
            hosts: Hosts::new(config.expected.clone(), config.known.clone()),
            acknowledgements: Spacing::new(now),
            checks: Checks::default(),
            stopped: false,
            discards: DiscardCounts::default(),
            config,
        }
    }

    /// Handles a datagram that came in at the querier's address.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_datagram(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let result = if Notice::is(datagram) {
            self.take_notice(datagram)
        } else {
            self.take_answer(now, from, datagram)
        };
        result.inspect_err(|&reason| self.discards.count(reason))
    }

    /// Has hosts answer to another address of this querier from now on, and asks them at once.
    pub fn handle_reply_to(&mut self, now: Moment, reply_to: SocketAddr) {
        self.config.reply_to = reply_to;
        self.rounds.begin_at(now);
    }

    /// Ends the wait for all hosts.
    pub fn handle_stop(&mut self) {
        self.stopped = true;
    }

    /// Writes the next datagram into `out`; returns its destination and kind.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        self.hosts.handle_timeout(now);
        self.acknowledge(now, out).or_else(|| self.ask(now, out))
    }

    /// Returns when to drain again and to check [`Querier::is_finished`].
    #[must_use]
    pub fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        let ends = Some(self.asking_ends()).filter(|&ends| now < ends);
        let round = ends.and_then(|_| self.rounds.next_at());
        let acknowledgement = self.hosts.has_acknowledgement().then_some(self.acknowledgements.next_at);
        [ends, round, acknowledgement, self.hosts.next_timeout()].into_iter().flatten().min()
    }

    /// Whether no further answer is waited for.
    pub fn is_finished(&self, now: Moment) -> bool {
        let is_waiting = self.is_asking(now) || self.hosts.has_acknowledgement() || self.hosts.is_awaiting();
        self.stopped || !is_waiting
    }

    /// How far the answers are.
    pub fn tally(&self) -> Tally {
        self.hosts.tally()
    }

    /// Returns a row for every host that was heard or is expected by name, sorted by name. A name that was answered for
    /// more than once has a row for each answer.
    pub fn rows(&self) -> Vec<HostAnswer> {
        self.hosts.rows()
    }

    /// Returns the hosts whose keys were not known before, sorted by name. A name that was answered for more than once
    /// is not among them. Whoever remembers these keys does so once the query is finished, because a second answer may
    /// come until then.
    pub fn first_uses(&self) -> Vec<FirstUse> {
        self.hosts.first_uses()
    }

    /// Returns the hosts that were heard and whose answers count, each with the address that it answers from.
    pub fn heard(&self) -> impl Iterator<Item = (&HostName, SocketAddr)> {
        self.hosts.heard()
    }

    /// Whether the page of the audience that was sent last is the one that this host is on.
    pub(crate) fn is_on_last_page(&self, name: &HostName) -> bool {
        let hash = NameHash::of(self.config.id, name);
        self.rounds.last_page().is_some_and(|page| page.says(hash) == Meant::Yes)
    }

    /// Datagrams dropped, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    fn is_asking(&self, now: Moment) -> bool {
        now < self.asking_ends()
    }

    /// Returns when hosts are no longer asked, as far as it is known.
    fn asking_ends(&self) -> Moment {
        match self.hosts.coverage() {
            Coverage::Partial => self.until,
            Coverage::Answered => self.heard_out,
            Coverage::Proven => Moment::default(),
        }
    }

    fn acknowledge(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.acknowledgements.is_over(now) {
            return None;
        }
        let next = self.hosts.next_acknowledgement()?;
        self.acknowledgements.note(now);
        let sequence = self.next_sequence();
        if next.awaits_key
            && let Some(transmit) = self.give_key(next.to, next.heard.receiver, sequence, out)
        {
            return Some(transmit);
        }
        next.heard.seal(&self.cipher, self.signer(), self.config.id.tag(), sequence, out);
        Some(Transmit { to: To::Host(next.to), kind: Kind::Heard })
    }

    /// Writes the new group key for a known host that awaits it: nobody but this host can open it.
    fn give_key(
        &self,
        to: SocketAddr,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let (new_key, signer) = (self.config.new_key.as_ref()?, self.signer()?);
        let agreement = self.hosts.start(receiver)?.known_agreement()?;
        let shared = self.config.agreement.agree(&agreement)?;
        let cipher = Cipher::private_down(&self.config.key, self.config.id, receiver, &shared);
        let new = NewKey { receiver, key: Zeroizing::new(*new_key.bytes()) };
        new.seal(&cipher, signer, sequence, out);
        Some(Transmit { to: To::Host(to), kind: Kind::NewKey })
    }

    fn ask(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.is_asking(now) {
            return None;
        }
        let say = self.rounds.next(now)?;
        let sequence = self.next_sequence();
        let kind = match say {
            Say::Ask(round) => {
                self.asked(round).seal(&self.cipher, self.signer(), sequence, out);
                Kind::Ask
            }
            Say::Page(page) => {
                let page = Down::Audience(page);
                page.seal(&self.cipher, self.signer(), self.config.id, sequence, out);
                Kind::Audience
            }
        };
        Some(Transmit { to: To::Everyone, kind })
    }

    fn asked(&self, round: u16) -> Ask {
        Ask {
            id: self.config.id,
            time: self.config.started,
            round,
            reply_to: self.config.reply_to,
            spread: self.spread,
            answer_bytes_max: self.config.answer_bytes_max,
            audience: self.rounds.audience(),
            agreement: self.config.agreement.public(),
            query: self.config.query.clone(),
        }
    }

    fn signer(&self) -> Option<Signer<'_>> {
        self.config.signer.as_ref().map(|key| key.within(self.scope))
    }

    fn take_answer(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let up = UpHeader::parse(datagram)?;
        if up.header.tag != self.config.id.tag() {
            return Err(Discard::OtherSession);
        }
        let Some(host) = self.hosts.start(up.receiver) else {
            return self.greet(now, from, up, datagram);
        };
        host.check(up.header.sequence)?;
        self.checks.allow(now, from)?;
        let answer = Answer::open(host.cipher(), self.scope, Some(host.key()), up, datagram);
        let answer = self.checks.settle(now, from, answer)?;
        self.hosts.take(now, from, up.receiver, up.header.sequence, answer)
    }

    /// Handles a datagram of a start that was not heard before.
    fn greet(&mut self, now: Moment, from: SocketAddr, up: UpHeader, datagram: &[u8]) -> Result<(), Discard> {
        self.checks.allow(now, from)?;
        let cipher = Cipher::upward(&self.config.key, self.config.id, up.receiver);
        let answer = Answer::open(&cipher, self.scope, None, up, datagram);
        let answer = self.checks.settle(now, from, answer)?;
        // Anybody can make a key of its own and sign with it.
        self.hosts.greet(now, from, up, cipher, answer).inspect_err(|_| self.checks.spend(now, from))
    }

    fn take_notice(&mut self, datagram: &[u8]) -> Result<(), Discard> {
        let notice = Notice::open(&self.config.key, datagram)?;
        if notice.tag != self.config.id.tag() || notice.version == VERSION {
            return Err(Discard::OtherSession);
        }
        let text = format!(
            "it speaks version {} of the protocol ({}), this program version {VERSION}: upgrade the older one",
            notice.version, notice.software
        );
        self.hosts.note_foreign(&notice.name, text)
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        Sequence::new(self.sequence).expect("2^40 datagrams take years")
    }
}

/// The hosts that the query is for, if it is not for all.
fn named(expected: &Expected) -> Option<std::collections::btree_set::Iter<'_, HostName>> {
    match expected {
        Expected::Named(names) => {
            assert!(names.len() <= AUDIENCE_MAX as usize, "the audience of a query is limited");
            Some(names.iter())
        }
        Expected::Count(_) | Expected::Anyone => None,
    }
}

/// The time over which hosts spread their first pages.
fn spread(expected: &Expected, wait: Duration) -> Duration {
    let spread = match expected {
        Expected::Named(names) => time_for(names.len()),
        Expected::Count(count) => time_for(*count as usize),
        Expected::Anyone => time_for(UNKNOWN_HOSTS).min(wait / 4),
    };
    spread.max(SPREAD_MIN)
}

/// The time in which `hosts` hosts may answer.
fn time_for(hosts: usize) -> Duration {
    Duration::from_secs(1).mul_f64(hosts as f64 / f64::from(ANSWERS_PER_SECOND_MAX))
}

/// The number of hosts that is assumed if no particular host is expected.
const UNKNOWN_HOSTS: usize = 1_000;
const SPREAD_MIN: Duration = Duration::from_millis(20);

/// Time in which a host that is alive has spoken, also where few are asked: it may lose the first round, and take some
/// time to list what it holds.
const HEARING_MIN: Duration = Duration::from_millis(200);
