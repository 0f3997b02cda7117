//! What one start of one host has answered so far. Its pages are proven before they come here.

use std::net::SocketAddr;
use std::time::Duration;

use crate::agree::AgreementPublic;
use crate::ids::{HostName, ReceiverId, Sequence};
use crate::known::Standing as KeyStanding;
use crate::limits::{COUNTERS_MAX, HELD_MAX};
use crate::query::results::{HostAnswer, Standing};
use crate::seal::Cipher;
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{About, Answer, AnswerState, Counter, Discard, Heard, Held, Page, UpHeader};

/// One start of one host.
pub(super) struct Host {
    receiver: ReceiverId,
    /// What its key is for its name.
    key_standing: KeyStanding,
    cipher: Cipher,
    address: SocketAddr,
    /// The highest number of its datagrams.
    highest: Sequence,
    heard: Moment,
    /// When it is reminded of the page that it should send.
    remind_at: Moment,
    /// Whether it is among those that get an acknowledgement.
    pub(super) is_queued: bool,
    /// When the list of deadlines has it.
    pub(super) due: Option<Moment>,
    /// The newest edition, of which the pages below `next` are here.
    edition: u32,
    next: u16,
    pages: u16,
    about: About,
    objects: Vec<Held>,
    counters: Vec<Counter>,
    left_out: u32,
}

impl Host {
    /// Returns the host that sent this first page.
    pub(super) fn new(
        now: Moment,
        from: SocketAddr,
        up: UpHeader,
        cipher: Cipher,
        key_standing: KeyStanding,
        first: FirstPage,
    ) -> Self {
        Self {
            receiver: up.receiver,
            key_standing,
            cipher,
            address: from,
            highest: up.header.sequence,
            heard: now,
            remind_at: now + REMIND_AFTER,
            is_queued: false,
            due: None,
            edition: first.edition,
            next: 1,
            pages: first.pages,
            about: first.about,
            objects: Vec::new(),
            counters: Vec::new(),
            left_out: 0,
        }
    }

    pub(super) fn name(&self) -> &HostName {
        &self.about.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn key(&self) -> PublicKey {
        self.about.key
    }

    pub(super) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// Whether its answer counts.
    pub(super) fn counts(&self) -> bool {
        matches!(self.key_standing, KeyStanding::Known | KeyStanding::FirstUse)
    }

    /// Whether it has the key that is known for its name.
    pub(super) fn is_known(&self) -> bool {
        self.key_standing == KeyStanding::Known
    }

    /// Returns its half of the key that it shares with the querier, if it has the key that is known for its name.
    pub(super) fn known_agreement(&self) -> Option<AgreementPublic> {
        self.is_known().then_some(self.about.agreement)
    }

    /// Whether another key is known for its name.
    pub(super) fn is_changed(&self) -> bool {
        matches!(self.key_standing, KeyStanding::Changed(_))
    }

    /// Whether another datagram of it is worth checking.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn check(&self, sequence: Sequence) -> Result<(), Discard> {
        refusal(self.key_standing).map_or(Ok(()), Err)?;
        if sequence <= self.highest { Err(Discard::Replayed) } else { Ok(()) }
    }

    /// Handles a page: the next one of the newest edition, the first one of a newer edition, or one that was handled
    /// before. Keeps at most `room` objects.
    ///
    /// # Errors
    /// Why it is none of these.
    pub(super) fn take(
        &mut self,
        now: Moment,
        from: SocketAddr,
        sequence: Sequence,
        answer: Answer,
        room: usize,
    ) -> Result<(), Discard> {
        let number = answer.page_number();
        (self.heard, self.highest, self.address) = (now, sequence, from);
        if answer.edition < self.edition {
            return Err(Discard::Replayed);
        }
        if matches!(&answer.page, Page::About(about) if about.name != self.about.name) {
            return Err(Discard::Malformed);
        }
        if answer.edition > self.edition && number == 0 {
            self.begin(answer.edition, answer.pages);
        }
        if answer.edition != self.edition || answer.pages != self.pages || number > self.next {
            return Err(Discard::Malformed);
        }
        if number == self.next {
            self.next += 1;
            self.keep(answer.page, room);
        }
        self.remind_at = now + if self.is_whole() { REMIND_WORKING_AFTER } else { REMIND_AFTER };
        Ok(())
    }

    fn begin(&mut self, edition: u32, pages: u16) {
        (self.edition, self.pages, self.next) = (edition, pages, 0);
        (self.objects, self.counters, self.left_out) = (Vec::new(), Vec::new(), 0);
    }

    fn keep(&mut self, page: Page, room: usize) {
        let (came, kept);
        match page {
            Page::About(about) => {
                self.about = about;
                return;
            }
            Page::Objects { objects, .. } => {
                let before = self.objects.len();
                came = objects.len();
                let room = room.min(HELD_MAX).saturating_sub(before);
                self.objects.extend(objects.into_iter().take(room));
                kept = self.objects.len() - before;
            }
            Page::Counters { counters, .. } => {
                let before = self.counters.len();
                came = counters.len();
                self.counters.extend(counters.into_iter().take(COUNTERS_MAX - before));
                kept = self.counters.len() - before;
            }
        }
        self.left_out += (came - kept) as u32;
    }

    /// The number of objects that are kept of it.
    pub(super) fn kept(&self) -> usize {
        self.objects.len()
    }

    /// The acknowledgement of the last page that is here in order, which asks for the next one, and where it goes.
    pub(super) fn acknowledgement(&self) -> Acknowledgement {
        let heard = Heard { receiver: self.receiver, edition: self.edition, page: self.next - 1 };
        let awaits_key = self.is_whole() && self.about.state == AnswerState::AwaitingKey;
        Acknowledgement { to: self.address, heard, awaits_key }
    }

    /// Returns when something is to be done about this host: it is reminded, or given up. `None` if nothing is awaited
    /// of it.
    pub(super) fn next_due(&self) -> Option<Moment> {
        (self.counts() && !self.is_settled()).then(|| self.remind_at.min(self.heard + SILENT_AFTER))
    }

    /// Whether it has begun to answer and was not heard for too long.
    pub(super) fn is_gone(&self, now: Moment) -> bool {
        now.since(self.heard) >= SILENT_AFTER
    }

    /// Notes that it is reminded.
    pub(super) fn note_reminded(&mut self, now: Moment) {
        self.remind_at = now + REMIND_GAP;
    }

    /// How far its hashing is, if it hashes.
    pub(super) fn hashing(&self) -> Option<Hashing> {
        match self.about.state {
            AnswerState::Verifying { done, of } => Some(Hashing { done, of }),
            _ => None,
        }
    }

    fn is_whole(&self) -> bool {
        self.next == self.pages
    }

    /// Whether its final answer is here.
    pub(super) fn is_settled(&self) -> bool {
        let is_final = match self.about.state {
            AnswerState::Final | AnswerState::Busy | AnswerState::Failed(_) => true,
            AnswerState::Verifying { .. } | AnswerState::AwaitingKey => false,
        };
        self.is_whole() && is_final
    }

    /// Returns its row, as it is if nobody else answers for its name.
    pub(super) fn row(&self, expected: bool) -> HostAnswer {
        let reason = match &self.about.state {
            AnswerState::Failed(reason) => Some(reason.clone()),
            AnswerState::Final
            | AnswerState::Verifying { .. }
            | AnswerState::AwaitingKey
            | AnswerState::Busy => None,
        };
        let row = HostAnswer {
            name: self.about.name.clone(),
            expected,
            standing: if self.is_whole() { Standing::of(&self.about.state) } else { Standing::Partial },
            key: Some(self.key()),
            addr: Some(self.address),
            about: Some(self.about.clone()),
            objects: self.objects.clone(),
            counters: self.counters.clone(),
            left_out: self.left_out,
            reason,
        };
        let standing = match self.key_standing {
            KeyStanding::Known | KeyStanding::FirstUse => return row,
            KeyStanding::Changed(_) => Standing::KeyChanged,
            KeyStanding::Unknown => Standing::UnknownKey,
        };
        let advice = self.key_standing.advice(&self.about.name, self.about.key);
        without_content(row, standing, advice)
    }
}

/// What the first page of a host that was not heard before says.
pub(super) struct FirstPage {
    pub(super) edition: u32,
    pub(super) pages: u16,
    pub(super) about: About,
}

/// An acknowledgement and where it goes.
pub(super) struct Acknowledgement {
    pub(super) to: SocketAddr,
    pub(super) heard: Heard,
    /// Whether the host awaits a new group key, which acknowledges the page as well.
    pub(super) awaits_key: bool,
}

/// Bytes hashed so far, and bytes to hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashing {
    pub(super) done: u64,
    pub(super) of: u64,
}

/// Why the datagrams of a host whose key has this standing are dropped, if they are.
pub(super) fn refusal(key_standing: KeyStanding) -> Option<Discard> {
    match key_standing {
        KeyStanding::Known | KeyStanding::FirstUse => None,
        KeyStanding::Changed(_) => Some(Discard::KeyChanged),
        KeyStanding::Unknown => Some(Discard::UnknownKey),
    }
}

/// Returns the row of a host whose answer does not count: nothing of what it says is passed on but its key.
fn without_content(row: HostAnswer, standing: Standing, reason: Option<String>) -> HostAnswer {
    HostAnswer {
        standing,
        about: None,
        objects: Vec::new(),
        counters: Vec::new(),
        left_out: 0,
        reason,
        ..row
    }
}

/// A host that was not heard for this long while its answer is incomplete is reminded, in case that it has repeated its
/// page as often as it may.
const REMIND_AFTER: Duration = Duration::from_millis(500);
/// The same for a host that is at work: it reports every two seconds.
const REMIND_WORKING_AFTER: Duration = Duration::from_secs(3);
/// Gap between two reminders.
const REMIND_GAP: Duration = Duration::from_millis(500);

/// A host that has begun to answer and was not heard for this long is gone.
const SILENT_AFTER: Duration = Duration::from_secs(10);
