//! The querier's side: sends the query in rounds, acknowledges pages, and decides when the wait is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::results::{HostAnswer, Standing, Tally};
use crate::ids::{HostName, ReceiverId, Sequence, SessionId};
use crate::limits::{ANSWERS_PER_SECOND_MAX, HOSTS_MAX, OBJECTS_KEPT_MAX};
use crate::repeat::Repeat;
use crate::seal::{Cipher, GroupKey};
use crate::sender::{Expected, To, Transmit};
use crate::time::{Moment, WallClock};
use crate::wire::{
    About, Answer, AnswerState, Ask, Discard, DiscardCounts, Heard, Held, Kind, Notice, Page, Query,
    UpHeader, VERSION,
};

/// The configuration of a query.
#[derive(Clone, Debug)]
pub struct QuerierConfig {
    /// The query's id, drawn at random.
    pub id: SessionId,
    /// The group's secret.
    pub key: GroupKey,
    /// The query.
    pub query: Query,
    /// The address to which hosts answer.
    pub reply_to: SocketAddr,
    /// Largest UDP payload of an answer in bytes, within the limits of [`Ask::answer_bytes_max`].
    pub answer_bytes_max: u16,
    /// The civil time at the start.
    pub started: WallClock,
    /// Time for which hosts are asked. A host that has begun to answer or to verify is waited for after it.
    pub wait: Duration,
    /// The hosts that should answer. Once all of them have, no other host is waited for.
    pub expected: Expected,
}

/// One query.
pub struct Querier {
    config: QuerierConfig,
    cipher: Cipher,
    /// When hosts are no longer asked.
    until: Moment,
    spread: Duration,
    rounds: Repeat,
    round: u16,
    sequence: u64,
    hosts: BTreeMap<ReceiverId, Host>,
    /// Hosts that speak another version, with the text about it.
    foreign: BTreeMap<HostName, String>,
    acks: VecDeque<(SocketAddr, Heard)>,
    ack_at: Moment,
    objects_kept: usize,
    stopped: bool,
    discards: DiscardCounts,
}

/// What a host has answered so far.
struct Host {
    cipher: Cipher,
    /// The highest number of its datagrams.
    highest: Sequence,
    heard: Moment,
    /// The newest edition, of which the pages below `next` are here.
    edition: u32,
    next: u16,
    pages: u16,
    about: About,
    objects: Vec<Held>,
    dropped: u32,
}

impl Querier {
    /// Returns a query that begins now.
    pub fn new(now: Moment, config: QuerierConfig) -> Self {
        let spread = match &config.expected {
            Expected::Named(names) => time_for(names.len()),
            Expected::Count(count) => time_for(*count as usize),
            Expected::Anyone => time_for(UNKNOWN_HOSTS).min(config.wait / 4),
        };
        let spread = spread.max(SPREAD_MIN);
        Self {
            cipher: Cipher::downward(&config.key, config.id),
            until: now + config.wait.max(spread * 2),
            spread,
            rounds: Repeat::new(now, ASK_GAP, ASK_GAP_MAX),
            round: 0,
            sequence: 0,
            hosts: BTreeMap::new(),
            foreign: BTreeMap::new(),
            acks: VecDeque::new(),
            ack_at: now,
            objects_kept: 0,
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

    /// Ends the wait for all hosts.
    pub fn handle_stop(&mut self) {
        self.stopped = true;
    }

    /// Writes the next datagram into `out`; returns its destination and kind.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        if now >= self.ack_at
            && let Some((to, heard)) = self.acks.pop_front()
        {
            self.ack_at =
                self.ack_at.max(Moment::from_micros(now.micros().saturating_sub(ACK_BURST))) + ACK_GAP;
            let sequence = self.next_sequence();
            heard.seal(&self.cipher, self.config.id.tag(), sequence, out);
            return Some(Transmit { to: To::Host(to), kind: Kind::Heard });
        }
        // Each host's turn has to come before the end.
        let in_time = self.round == 0 || now + self.spread <= self.until;
        if !self.is_asking(now) || !in_time || !self.rounds.take_due(now) {
            return None;
        }
        self.round = self.round.saturating_add(1);
        let ask = Ask {
            id: self.config.id,
            time: self.config.started,
            round: self.round,
            reply_to: self.config.reply_to,
            spread: self.spread,
            answer_bytes_max: self.config.answer_bytes_max,
            query: self.config.query.clone(),
        };
        let sequence = self.next_sequence();
        ask.seal(&self.cipher, sequence, out);
        Some(Transmit { to: To::Everyone, kind: Kind::Ask })
    }

    /// Returns when to drain again and to check [`Querier::is_finished`].
    #[must_use]
    pub fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        let asking = self.is_asking(now).then(|| self.rounds.next_at.min(self.until));
        let asking = asking.map(|at| if at <= now { self.until } else { at });
        let ack = (!self.acks.is_empty()).then_some(self.ack_at);
        let silent =
            self.hosts.values().filter(|host| !host.is_settled()).map(|host| host.heard + SILENT_AFTER);
        asking.into_iter().chain(ack).chain(silent.filter(|&at| at > now)).min()
    }

    /// Whether no further answer is waited for.
    pub fn is_finished(&self, now: Moment) -> bool {
        let awaited = |host: &Host| !host.is_settled() && now.since(host.heard) < SILENT_AFTER;
        self.stopped || !self.is_asking(now) && self.acks.is_empty() && !self.hosts.values().any(awaited)
    }

    /// How far the answers are.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { heard: self.hosts.len() as u32, ..Tally::default() };
        for host in self.hosts.values() {
            tally.settled += u32::from(host.is_settled());
            if let AnswerState::Verifying { done, of } = host.about.state {
                tally.verifying += 1;
                tally.hashed = tally.hashed.saturating_add(done);
                tally.to_hash = tally.to_hash.saturating_add(of);
            }
        }
        tally
    }

    /// Returns a row for every host that was heard or is expected by name, sorted by name.
    pub fn rows(&self) -> Vec<HostAnswer> {
        let named = match &self.config.expected {
            Expected::Named(names) => names.clone(),
            Expected::Count(_) | Expected::Anyone => BTreeSet::new(),
        };
        let mut missing = named.clone();
        let mut rows = Vec::new();
        for host in self.hosts.values() {
            missing.remove(&host.about.name);
            rows.push(host.row(named.contains(&host.about.name)));
        }
        for (name, reason) in &self.foreign {
            let expected = missing.remove(name);
            rows.push(unheard(name, expected, Standing::OtherVersion, Some(reason.clone())));
        }
        rows.extend(missing.iter().map(|name| unheard(name, true, Standing::NeverAnswered, None)));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    /// Datagrams dropped, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    fn is_asking(&self, now: Moment) -> bool {
        now < self.until && !self.is_satisfied()
    }

    /// Whether all hosts that should answer have answered.
    fn is_satisfied(&self) -> bool {
        let settled = self.hosts.values().filter(|host| host.is_settled()).map(|host| &host.about.name);
        match &self.config.expected {
            Expected::Anyone => false,
            Expected::Count(count) => settled.count() >= *count as usize,
            Expected::Named(names) => {
                let settled: BTreeSet<&HostName> = settled.collect();
                names.iter().all(|name| settled.contains(name) || self.foreign.contains_key(name))
            }
        }
    }

    fn take_answer(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let up = UpHeader::parse(datagram)?;
        if up.header.tag != self.config.id.tag() {
            return Err(Discard::OtherSession);
        }
        let heard = match self.hosts.get_mut(&up.receiver) {
            Some(host) => {
                let answer = Answer::open(&host.cipher, up, datagram)?;
                host.note(now, up.header.sequence)?;
                let heard = answer.heard(up.receiver);
                self.objects_kept = host.take(answer, self.objects_kept)?;
                heard
            }
            None => {
                let cipher = Cipher::upward(&self.config.key, self.config.id, up.receiver);
                let answer = Answer::open(&cipher, up, datagram)?;
                let heard = answer.heard(up.receiver);
                self.greet(now, up, cipher, answer)?;
                heard
            }
        };
        if self.acks.len() < HOSTS_MAX {
            self.acks.push_back((from, heard)); // if not, the host repeats its page
        }
        Ok(())
    }

    fn greet(&mut self, now: Moment, up: UpHeader, cipher: Cipher, answer: Answer) -> Result<(), Discard> {
        let Page::About(about) = answer.page else { return Err(Discard::UnknownHost) };
        if self.hosts.len() >= HOSTS_MAX {
            return Err(Discard::UnknownHost);
        }
        let host = Host {
            cipher,
            highest: up.header.sequence,
            heard: now,
            edition: answer.edition,
            next: 1,
            pages: answer.pages,
            about,
            objects: Vec::new(),
            dropped: 0,
        };
        self.hosts.insert(up.receiver, host);
        Ok(())
    }

    fn take_notice(&mut self, datagram: &[u8]) -> Result<(), Discard> {
        let notice = Notice::open(&self.config.key, datagram)?;
        if notice.tag != self.config.id.tag() || notice.version == VERSION {
            return Err(Discard::OtherSession);
        }
        if self.foreign.len() < HOSTS_MAX {
            let what = format!(
                "it speaks version {} of the protocol ({}), this program version {VERSION}: upgrade the older one",
                notice.version, notice.software
            );
            self.foreign.insert(notice.name, what);
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        Sequence::new(self.sequence).expect("2^40 datagrams take years")
    }
}

impl Host {
    fn note(&mut self, now: Moment, sequence: Sequence) -> Result<(), Discard> {
        if sequence <= self.highest {
            return Err(Discard::Replayed);
        }
        (self.heard, self.highest) = (now, sequence);
        Ok(())
    }

    /// Handles a page that is the next one of the newest edition or was handled before; returns how many objects are
    /// kept.
    fn take(&mut self, answer: Answer, mut kept: usize) -> Result<usize, Discard> {
        let number = answer.page_number();
        if answer.edition < self.edition {
            return Err(Discard::Replayed);
        }
        if answer.edition > self.edition && number == 0 {
            kept -= self.objects.len();
            self.objects.clear();
            (self.edition, self.next, self.pages, self.dropped) = (answer.edition, 0, answer.pages, 0);
        }
        if answer.edition != self.edition || answer.pages != self.pages || number > self.next {
            return Err(Discard::Malformed);
        }
        if number < self.next {
            return Ok(kept); // its acknowledgement was lost
        }
        self.next += 1;
        match answer.page {
            Page::About(about) => self.about = about,
            Page::Objects { objects, .. } => {
                let room = OBJECTS_KEPT_MAX - kept;
                self.dropped += objects.len().saturating_sub(room) as u32;
                let before = self.objects.len();
                self.objects.extend(objects.into_iter().take(room));
                kept += self.objects.len() - before;
            }
        }
        Ok(kept)
    }

    fn is_whole(&self) -> bool {
        self.next == self.pages
    }

    /// Whether its final answer is here.
    fn is_settled(&self) -> bool {
        self.is_whole() && !matches!(self.about.state, AnswerState::Verifying { .. })
    }

    fn row(&self, expected: bool) -> HostAnswer {
        let reason = match &self.about.state {
            AnswerState::Failed(reason) => Some(reason.clone()),
            AnswerState::Final | AnswerState::Verifying { .. } | AnswerState::Busy => None,
        };
        HostAnswer {
            name: self.about.name.clone(),
            expected,
            standing: if self.is_whole() { Standing::of(&self.about.state) } else { Standing::Partial },
            about: Some(self.about.clone()),
            objects: self.objects.clone(),
            left_out: self.dropped,
            reason,
        }
    }
}

fn unheard(name: &HostName, expected: bool, standing: Standing, reason: Option<String>) -> HostAnswer {
    HostAnswer {
        name: name.clone(),
        expected,
        standing,
        about: None,
        objects: Vec::new(),
        left_out: 0,
        reason,
    }
}

/// The time in which `hosts` hosts may answer.
fn time_for(hosts: usize) -> Duration {
    Duration::from_secs(1).mul_f64(hosts as f64 / f64::from(ANSWERS_PER_SECOND_MAX))
}

/// The number of hosts that is assumed if no particular host is expected.
const UNKNOWN_HOSTS: usize = 1_000;
const SPREAD_MIN: Duration = Duration::from_millis(20);

/// Gap between two rounds; it doubles up to [`ASK_GAP_MAX`].
const ASK_GAP: Duration = Duration::from_millis(100);
const ASK_GAP_MAX: Duration = Duration::from_secs(1);

/// Gap between two acknowledgements, each of which lets another page come.
const ACK_GAP: Duration = Duration::from_micros(1_000_000 / ANSWERS_PER_SECOND_MAX as u64);
/// Delayed acknowledgements that may leave together, in microseconds of their gaps: 10 at once.
const ACK_BURST: u64 = 5_000;

/// A host that has begun to answer and was not heard for this long is gone.
const SILENT_AFTER: Duration = Duration::from_secs(10);
