//! What one start of one receiver has reported.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::Address;
use super::health::Health;
use super::results::{HostReceipt, HostRow, HostState};
use super::rounds::Rounds;
use super::settlement::Start;
use super::spared::Holds;
use crate::agree::AgreementPublic;
use crate::ids::{BlockIndex, HostName, Sequence};
use crate::seal::Cipher;
use crate::sender::flow::{Begun, Drain, Window};
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{CommandOutcome, Discard, Done, Failed, Greeting, KeptRun, Report, Totals};

/// One start of one receiver. Its name and its state are in the [`Settlement`](super::settlement::Settlement).
pub(in crate::sender) struct Host {
    link: Link,
    slot: u32,
    /// The last poll that was sent before the host was told its slot.
    slot_told_after: u32,
    addr: Address,
    last_sequence: Sequence,
    rounds: Rounds,
    /// The time of its last new datagram before it was settled, then the time when it was settled.
    heard: Moment,
    blocks_held: u32,
    totals: Totals,
    /// Blocks of an earlier session that it holds, by its last list of them.
    kept: Vec<KeptRun>,
    /// Whether its last report named something that it lacks; true before the first one.
    is_lacking: bool,
    reach: Reach,
    pub(super) health: Health,
    /// Blocks that it can collect at a time, by its last report.
    buffers: Option<u16>,
    /// How fast it writes.
    drain: Drain,
    /// The blocks that it has room for, by its last report, if its store limits it.
    window: Option<Window>,
    /// Where what it receives comes from.
    via: Option<SocketAddr>,
    /// What it has signed at the end.
    receipt: Option<HostReceipt>,
    /// What came of its command after the publication.
    command: CommandOutcome,
    /// Why it gave up.
    failure: Option<String>,
    /// What it was at work on, by its last hello.
    busy_with: Option<String>,
}

/// What one start of a receiver is known and spoken to by. All of it is from its hello, which was proven.
pub(in crate::sender) struct Link {
    /// The host's key.
    pub(in crate::sender) key: PublicKey,
    /// Its half of the key that it shares with this sender.
    pub(in crate::sender) agreement: AgreementPublic,
    /// Name and version of its program.
    pub(in crate::sender) software: String,
    /// Opens its hellos, which any holder of the group key can seal.
    pub(in crate::sender) hello: Cipher,
    /// Opens what only this start can have sealed.
    pub(in crate::sender) up: Cipher,
    /// Seals what only this start can open.
    pub(in crate::sender) down: Cipher,
}

impl Host {
    pub(super) fn new(now: Moment, addr: SocketAddr, slot: u32, link: Link) -> Self {
        Self {
            link,
            slot,
            slot_told_after: u32::MAX,
            addr: Address::new(addr),
            last_sequence: Sequence::default(),
            rounds: Rounds::default(),
            heard: now,
            blocks_held: 0,
            totals: Totals::default(),
            kept: Vec::new(),
            is_lacking: true,
            reach: Reach::default(),
            health: Health::default(),
            buffers: None,
            drain: Drain::default(),
            window: None,
            via: None,
            receipt: None,
            command: CommandOutcome::None,
            failure: None,
            busy_with: None,
        }
    }

    /// What this start is known and spoken to by.
    pub(in crate::sender) fn link(&self) -> &Link {
        &self.link
    }

    /// Compares a further hello of this start, whose signature was not checked yet, with the first one.
    ///
    /// # Errors
    /// If it is from somebody else, or is none of this start.
    pub(in crate::sender) fn check(&self, name: &HostName, greeting: &Greeting) -> Result<(), Discard> {
        let Greeting { key, hello, .. } = greeting;
        if *key != self.link.key {
            Err(Discard::KeyChanged)
        } else if hello.agreement != self.link.agreement || hello.name != *name {
            Err(Discard::Implausible)
        } else {
            Ok(())
        }
    }

    /// Whether a datagram of this number is newer than all before.
    pub(in crate::sender) fn is_newer(&self, sequence: Sequence) -> bool {
        sequence > self.last_sequence
    }

    /// Its turn in the windows of the polls.
    pub(in crate::sender) fn slot(&self) -> u32 {
        self.slot
    }

    /// Notes that the host is told its slot, after the poll of `round` was sent.
    pub(super) fn note_slot_told(&mut self, round: u32) {
        self.slot_told_after = round;
    }

    /// Whether the host knew its slot when it heard the poll of `round`.
    pub(super) fn knew_its_slot(&self, round: u32) -> bool {
        round > self.slot_told_after
    }

    pub(in crate::sender) fn addr(&self) -> &Address {
        &self.addr
    }

    pub(super) fn addr_mut(&mut self) -> &mut Address {
        &mut self.addr
    }

    pub(super) fn last_heard(&self) -> Moment {
        self.heard
    }

    /// Whether nothing of what is sent reaches it.
    pub(super) fn is_unreachable(&self) -> bool {
        self.reach.is_unreachable
    }

    /// Since when it has heard polls and next to no symbols.
    pub(super) fn deaf_since(&self) -> Option<Moment> {
        self.reach.deaf_since
    }

    /// Whether it has just been found to hear polls and next to no symbols; once.
    pub(super) fn take_deaf_news(&mut self) -> bool {
        let is_news = self.reach.deaf_since.is_some() && !self.reach.is_told;
        self.reach.is_told |= is_news;
        is_news
    }

    /// Whether it lacks something, is reached, and is not side-lined.
    pub(super) fn is_served_and_lacking(&self) -> bool {
        self.is_lacking && !self.reach.is_unreachable && self.health.sidelined().is_none()
    }

    /// Whether a report claims less than an earlier one did: then it is not this host's own.
    pub(super) fn falls_back(&self, report: &Report) -> bool {
        let (new, old) = (report.totals, self.totals);
        report.blocks_held < self.blocks_held
            || new.bytes_received < old.bytes_received
            || new.symbols_repaired < old.symbols_repaired
            || new.store_drops < old.store_drops
    }

    /// Notes the number of a datagram; refuses one that is not above the last.
    pub(super) fn note_sequence(&mut self, sequence: Sequence) -> Result<(), Discard> {
        if !self.is_newer(sequence) {
            return Err(Discard::Replayed);
        }
        self.last_sequence = sequence;
        Ok(())
    }

    pub(super) fn note_heard(&mut self, now: Moment) {
        self.heard = now;
    }

    /// Takes a report that names the round `named` while the round `now` is under way, if the host may send one.
    pub(super) fn take_round(&mut self, named: u32, now: u32) -> Result<(), Discard> {
        self.rounds.take(named, now)
    }

    /// Handles a report that came now, when symbols of `group_bytes` had been sent.
    pub(super) fn note_report(&mut self, now: Moment, report: &Report, group_bytes: u64) {
        self.reach.note(now, report, report.blocks_held > self.blocks_held, group_bytes);
        self.blocks_held = report.blocks_held;
        self.totals = report.totals;
        self.buffers = Some(report.buffers);
        self.via = report.via;
        self.is_lacking = report.is_lacking();
        self.health.note(now, report.highest, report.totals);
    }

    /// Notes for how many blocks the host has room, by a report that came now; `begun` is what had been begun when the
    /// last datagram was sent that it has seen.
    pub(super) fn note_window(&mut self, now: Moment, report: &Report, begun: Begun) {
        self.drain.note(now, report.blocks_held);
        self.window = Window::of(now, report, begun, self.drain);
    }

    /// Blocks that it can collect at a time, once it has said so.
    pub(super) fn buffers(&self) -> Option<u16> {
        self.buffers
    }

    /// Whether it is served with the others, so that its room counts.
    pub(super) fn counts(&self) -> bool {
        self.health.sidelined().is_none() && !self.is_unreachable()
    }

    /// The blocks that it has room for, if its store limits it.
    pub(super) fn window(&self) -> Option<Window> {
        self.window
    }

    /// Replaces the list of blocks of an earlier session that the host holds.
    pub(super) fn note_kept(&mut self, kept: &[KeptRun]) {
        self.kept.clear();
        self.kept.extend_from_slice(kept);
    }

    /// Notes that the host holds a proven copy of all `blocks`.
    pub(super) fn note_done(&mut self, now: Moment, done: &Done, blocks: u32) {
        self.heard = now;
        self.blocks_held = blocks;
        self.totals = done.totals;
        self.command = done.command.clone();
        self.receipt = Some(HostReceipt { outcome: done.outcome(), receipt: done.receipt.clone() });
    }

    /// Notes that the host gave up.
    pub(super) fn note_failed(&mut self, now: Moment, failed: &Failed) {
        self.heard = now;
        self.failure = Some(failed.reason.clone());
        self.totals = failed.totals;
        self.receipt = Some(HostReceipt { outcome: failed.outcome(), receipt: failed.receipt.clone() });
    }

    /// Whether it holds a block of an earlier session, by its last list.
    pub(super) fn holds(&self, block: BlockIndex) -> Holds {
        let after = self.kept.partition_point(|run| run.first <= block);
        let end = after.checked_sub(1).map(|at| self.kept[at].end()).filter(|&end| block.0 < end);
        end.map_or(Holds::No, Holds::Until)
    }

    /// Blocks that it holds, by its last report.
    pub(super) fn blocks_held(&self) -> u32 {
        self.blocks_held
    }

    /// Why it gave up, if it did.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns what keeps it from taking part, while it is busy.
    pub(super) fn busy_with(&self) -> String {
        match &self.busy_with {
            Some(name) if !name.is_empty() => format!("at work on the push of {name}"),
            _ => "at work on another push".to_owned(),
        }
    }

    /// Notes what it is at work on, by its last hello.
    pub(super) fn note_busy(&mut self, busy: Option<&str>) {
        self.busy_with = busy.map(str::to_owned);
    }

    /// Returns its row of the results of a push of `blocks` blocks that began at `start`.
    pub(super) fn row(&self, standing: &Start, start: Moment, blocks: u32) -> HostRow {
        HostRow {
            name: standing.name().clone(),
            state: standing.state(),
            reason: self.reason(standing, blocks),
            time: Some(self.heard.since(start)),
            blocks_held: self.blocks_held,
            sidelined: self.health.was_sidelined,
            totals: self.totals,
            key: Some(self.link.key),
            software: Some(self.link.software.clone()),
            buffers: self.buffers,
            addr: Some(self.addr.claimed()),
            via: self.via,
            served: None,
            receipt: self.receipt.clone(),
            command: self.command.clone(),
        }
    }

    /// Returns why it is not done, or what was wrong with it.
    fn reason(&self, standing: &Start, blocks: u32) -> Option<String> {
        if standing.is_twin() {
            let twins = format!(
                "two receivers call themselves {} and have one key: give each its own --name, and delete the \
                 host.key of the copy",
                standing.name()
            );
            return Some(match &self.failure {
                Some(failure) => format!("{failure}; {twins}"),
                None => twins,
            });
        }
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        if standing.follows_failure() {
            return Some(FOLLOWS_FAILURE.to_owned());
        }
        if self.reach.is_unreachable
            || self.reach.deaf_since.is_some() && standing.state() == HostState::Receiving
        {
            return Some(UNREACHABLE.to_owned());
        }
        match (standing.state(), self.health.was_sidelined) {
            (HostState::Receiving | HostState::Done, Some(sideline)) => {
                Some(format!("served after the others: {sideline}"))
            }
            (HostState::Silent, _) => Some("it stopped answering".to_owned()),
            (HostState::Receiving, None) => Some(format!(
                "had {} of {blocks} blocks when the push ended, and keeps them for a while: run the same command to go on",
                self.blocks_held
            )),
            (HostState::Busy, _) => Some(format!("{} until this one ended: push again", self.busy_with())),
            (
                HostState::Done
                | HostState::Existing
                | HostState::Failed
                | HostState::NeverAnswered
                | HostState::OtherVersion
                | HostState::KeyChanged
                | HostState::UnknownKey,
                _,
            ) => None,
        }
    }
}

/// Whether what is sent to the group reaches a host at all.
#[derive(Default)]
struct Reach {
    /// Symbols that the host lacked at its last report.
    lacking: u64,
    /// What had been sent when the host last received symbols that it needed, or sent its first report.
    since: Option<Mark>,
    is_unreachable: bool,
    /// Since when next to no symbols have come, though it hears polls: well before it is taken for unreachable.
    deaf_since: Option<Moment>,
    is_told: bool,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Moment,
    /// Bytes of symbols.
    sent: u64,
    /// Of those, bytes that the host received.
    received: u64,
}

impl Reach {
    /// Handles a report that came when symbols of `group_bytes` had been sent: while the source stalls, a host hears nothing but
    /// announcements and polls. `holds_more` is whether the host holds
    /// more blocks than before.
    fn note(&mut self, now: Moment, report: &Report, holds_more: bool, group_bytes: u64) {
        let lacking = report.deficits.iter().map(|run| u64::from(run.blocks) * u64::from(run.symbols)).sum();
        if holds_more || lacking < self.lacking {
            // Symbols get through. Whether enough of them do is counted from here on.
            self.since = None;
        }
        self.lacking = lacking;
        let mark = Mark { at: now, sent: group_bytes, received: report.totals.bytes_received };
        let since = *self.since.get_or_insert(mark);
        let sent = mark.sent - since.sent;
        let received = mark.received.saturating_sub(since.received);
        self.is_unreachable = sent > UNREACHABLE_AFTER_BYTES && received < sent / REACHED_SHARE;
        let is_deaf = sent > DEAF_AFTER_BYTES && received < sent / DEAF_SHARE;
        if !is_deaf {
            self.deaf_since = None;
        } else if now.since(since.at) >= DEAF_AFTER {
            self.deaf_since.get_or_insert(now);
        }
    }
}

const FOLLOWS_FAILURE: &str =
    "an earlier start of this host has failed in this push: push again once that is mended";

pub(in crate::sender) const UNREACHABLE: &str =
    "it hears announcements and no data: is the MTU of the path smaller? try --mtu 1500";

/// Bytes to the group, some 16 blocks, after which a host must have received 1 / [`REACHED_SHARE`] of them.
pub(super) const UNREACHABLE_AFTER_BYTES: u64 = 16 << 20;
const REACHED_SHARE: u64 = 50;

/// Time, and bytes to the group, in which a host that is reached receives more than one in [`DEAF_SHARE`] of them. What it
/// hears of announcements and polls meanwhile is less than that.
const DEAF_AFTER: Duration = Duration::from_secs(2);
const DEAF_AFTER_BYTES: u64 = 512 << 10;
const DEAF_SHARE: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::testing::{at, report};

    #[test]
    fn a_host_that_hears_polls_and_no_symbols_is_found_after_two_seconds_and_no_other_one() {
        let hears = |received: [u64; 3]| {
            let mut reach = Reach::default();
            for (i, bytes_received) in received.into_iter().enumerate() {
                let totals = Totals { bytes_received, ..Totals::default() };
                let sent = (i as u64) << 20;
                reach.note(at(1_000 * i as u64), &Report { totals, ..report() }, false, sent);
                assert!(reach.deaf_since.is_none() || i == 2, "not before");
            }
            assert!(!reach.is_unreachable, "that takes {UNREACHABLE_AFTER_BYTES} bytes");
            reach.deaf_since
        };
        assert_eq!(hears([500, 9_000, 18_000]), Some(at(2_000)));
        assert_eq!(hears([500, 200_000, 400_000]), None, "it loses four of five");
        assert_eq!(hears([500, 9_000, 400_000]), None, "it receives by now");
    }
}
