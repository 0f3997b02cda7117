//! Everybody who has answered, by start and by name, and what is still awaited of whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::host::{Acknowledgement, FirstPage, Host, refusal};
use super::place::{self, Place, Settlement};
use super::totals::Totals;
use crate::ids::{HostName, ReceiverId, Sequence};
use crate::known::{FirstUse, KnownHosts, Standing as KeyStanding};
use crate::limits::{HOSTS_MAX, OBJECTS_KEPT_MAX};
use crate::query::results::{HostAnswer, Tally};
use crate::seal::Cipher;
use crate::sender::Expected;
use crate::time::Moment;
use crate::wire::{About, Answer, Discard, Page, UpHeader};

/// The hosts of one query.
pub(super) struct Hosts {
    expected: Expected,
    known: KnownHosts,
    starts: BTreeMap<ReceiverId, Host>,
    /// Starts whose key is not known for their name. Where everybody may answer, they have [`HOSTS_MAX`] places; known
    /// hosts have as many of their own.
    strangers: usize,
    places: BTreeMap<HostName, Place>,
    /// Starts that get an acknowledgement.
    queue: VecDeque<ReceiverId>,
    /// When something is to be done about a start, for those of which more is awaited.
    due: BTreeSet<(Moment, ReceiverId)>,
    /// Objects that are kept of all.
    kept: usize,
    totals: Totals,
}

/// Whether all hosts that should answer have done so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Some have not, or it is not known which should.
    Partial,
    /// All have, as far as it can be known without their keys.
    Answered,
    /// All have, and nobody else can have done it for them.
    Proven,
}

impl Hosts {
    pub(super) fn new(expected: Expected, known: KnownHosts) -> Self {
        Self {
            expected,
            known,
            starts: BTreeMap::new(),
            strangers: 0,
            places: BTreeMap::new(),
            queue: VecDeque::new(),
            due: BTreeSet::new(),
            kept: 0,
            totals: Totals::default(),
        }
    }

    pub(super) fn start(&self, receiver: ReceiverId) -> Option<&Host> {
        self.starts.get(&receiver)
    }

    /// Handles the first page of a start that was not heard before. Its signature was checked.
    ///
    /// # Errors
    /// Why it is dropped. A start whose key does not count is kept as a finding all the same.
    pub(super) fn greet(
        &mut self,
        now: Moment,
        from: SocketAddr,
        up: UpHeader,
        cipher: Cipher,
        answer: Answer,
    ) -> Result<(), Discard> {
        let Page::About(about) = answer.page else { return Err(Discard::UnknownHost) };
        if !self.may_answer(&about.name) {
            return Err(Discard::Unlisted);
        }
        let key_standing = self.known.standing(&about.name, about.key);
        if !self.has_room(&about, key_standing) {
            return Err(Discard::UnknownHost);
        }
        self.strangers += usize::from(key_standing != KeyStanding::Known);
        let name = about.name.clone();
        let first = FirstPage { edition: answer.edition, pages: answer.pages, about };
        let host = Host::new(now, from, up, cipher, key_standing, first);
        self.totals.add(&host);
        self.starts.insert(up.receiver, host);
        self.places.entry(name.clone()).or_default().claims.push(up.receiver);
        self.judge(&name);
        refusal(key_standing).map_or(Ok(()), Err)?;
        self.acknowledge(up.receiver);
        self.schedule(up.receiver);
        Ok(())
    }

    /// Handles another page of a start. Its signature was checked.
    ///
    /// # Errors
    /// Why it is dropped.
    ///
    /// # Panics
    /// If this start was not heard before.
    pub(super) fn take(
        &mut self,
        now: Moment,
        from: SocketAddr,
        receiver: ReceiverId,
        sequence: Sequence,
        answer: Answer,
    ) -> Result<(), Discard> {
        let host = self.starts.get_mut(&receiver).expect("it was heard before");
        let (kept, was_settled) = (host.kept(), host.is_settled());
        self.totals.subtract(host);
        let room = OBJECTS_KEPT_MAX - (self.kept - kept);
        let result = host.take(now, from, sequence, answer, room);
        self.totals.add(host);
        self.kept = self.kept - kept + host.kept();
        if host.is_settled() != was_settled {
            let name = host.name().clone();
            self.judge(&name);
        }
        self.schedule(receiver);
        result?;
        self.acknowledge(receiver);
        Ok(())
    }

    /// Notes that a host of this name speaks another version; `text` explains it.
    ///
    /// # Errors
    /// [`Discard::Unlisted`] if it is not asked, and [`Discard::UnknownHost`] if there are too many.
    pub(super) fn note_foreign(&mut self, name: &HostName, text: String) -> Result<(), Discard> {
        if !self.may_answer(name) {
            return Err(Discard::Unlisted);
        }
        if !self.places.contains_key(name) && self.places.len() >= PLACES_MAX {
            return Err(Discard::UnknownHost);
        }
        self.places.entry(name.clone()).or_default().foreign = Some(text);
        self.judge(name);
        Ok(())
    }

    /// Handles the time: whoever was not heard for some time is reminded, and given up after a while.
    pub(super) fn handle_timeout(&mut self, now: Moment) {
        while let Some(&(at, receiver)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            let host = self.starts.get_mut(&receiver).expect("no start is forgotten");
            host.due = None;
            if !host.is_gone(now) {
                host.note_reminded(now);
                self.acknowledge(receiver);
                self.schedule(receiver);
            }
        }
    }

    /// Returns when to call [`Hosts::handle_timeout`].
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Whether a start that has begun to answer is waited for.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether an acknowledgement is to be sent.
    pub(super) fn has_acknowledgement(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Returns the next acknowledgement.
    pub(super) fn next_acknowledgement(&mut self) -> Option<Acknowledgement> {
        let receiver = self.queue.pop_front()?;
        let host = self.starts.get_mut(&receiver).expect("no start is forgotten");
        host.is_queued = false;
        Some(host.acknowledgement())
    }

    /// Whether all hosts that should answer have done so.
    pub(super) fn coverage(&self) -> Coverage {
        let counts = &self.totals.settlements;
        let (proven, answered) = (counts.of(Settlement::Proven), counts.of(Settlement::Answered));
        let (wanted, settled) = match &self.expected {
            Expected::Anyone => return Coverage::Partial,
            Expected::Count(count) => (*count as usize, proven + answered),
            Expected::Named(names) => (names.len(), proven + answered + counts.of(Settlement::Foreign)),
        };
        if proven >= wanted {
            Coverage::Proven
        } else if settled >= wanted {
            Coverage::Answered
        } else {
            Coverage::Partial
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.totals.tally()
    }

    /// Returns a row for every start that has answered, every host of another version, and every name that is expected
    /// and not heard, sorted by name.
    pub(super) fn rows(&self) -> Vec<HostAnswer> {
        let none = BTreeSet::new();
        let named = match &self.expected {
            Expected::Named(names) => names,
            Expected::Count(_) | Expected::Anyone => &none,
        };
        let mut rows = Vec::new();
        for (name, place) in &self.places {
            let (hosts, expected) = (self.claims(place), named.contains(name));
            if place.foreign.is_some() && !hosts.iter().any(|host| host.counts()) {
                rows.push(place::unheard(name, expected, place.foreign.as_deref()));
            }
            rows.extend(place::rows(&hosts, expected));
        }
        let silent = named.iter().filter(|name| !self.places.contains_key(*name));
        rows.extend(silent.map(|name| place::unheard(name, true, None)));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    /// Returns the hosts whose keys are not known and that nobody else has answered for, sorted by name.
    pub(super) fn first_uses(&self) -> Vec<FirstUse> {
        let only = |place: &Place| match self.claims(place)[..] {
            [host] if host.counts() && !host.is_known() => {
                Some(FirstUse { name: host.name().clone(), key: host.key() })
            }
            _ => None,
        };
        self.places.values().filter_map(only).collect()
    }

    /// Returns the hosts whose answers count, with their addresses.
    pub(super) fn heard(&self) -> impl Iterator<Item = (&HostName, SocketAddr)> {
        self.starts.values().filter(|host| host.counts()).map(|host| (host.name(), host.address()))
    }

    fn may_answer(&self, name: &HostName) -> bool {
        match &self.expected {
            Expected::Named(names) => names.contains(name),
            Expected::Count(_) | Expected::Anyone => true,
        }
    }

    fn has_room(&self, about: &About, key_standing: KeyStanding) -> bool {
        let has_place = match (&self.expected, key_standing) {
            (Expected::Named(_), _) => true, // each name has its place
            (_, KeyStanding::Known) => self.starts.len() - self.strangers < HOSTS_MAX,
            _ => self.strangers < HOSTS_MAX,
        };
        let rivals = self.places.get(&about.name).map(|place| self.claims(place)).unwrap_or_default();
        has_place && place::has_room(&rivals, about.key, key_standing)
    }

    fn claims(&self, place: &Place) -> Vec<&Host> {
        place.claims.iter().map(|receiver| &self.starts[receiver]).collect()
    }

    fn judge(&mut self, name: &HostName) {
        let place = &self.places[name];
        let (was, is) = (place.judged, place.judge(&self.claims(place)));
        self.totals.judge(was, is);
        self.places.get_mut(name).expect("it is there").judged = is;
    }

    fn acknowledge(&mut self, receiver: ReceiverId) {
        let host = self.starts.get_mut(&receiver).expect("it was heard");
        if !std::mem::replace(&mut host.is_queued, true) {
            self.queue.push_back(receiver);
        }
    }

    fn schedule(&mut self, receiver: ReceiverId) {
        let host = self.starts.get_mut(&receiver).expect("it was heard");
        let due = host.next_due();
        if let Some(was) = std::mem::replace(&mut host.due, due) {
            self.due.remove(&(was, receiver));
        }
        self.due.extend(due.map(|at| (at, receiver)));
    }
}

/// Names of hosts that answer or speak another version, where everybody may answer.
const PLACES_MAX: usize = 3 * HOSTS_MAX;
