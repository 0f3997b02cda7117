//! How a session ends on this host: the final report, the turns in which it is sent, and when a session is given up.

use std::time::Duration;

use super::{Expired, Session, Stage};
use crate::integrity::Root;
use crate::receiver::ReceiverConfig;
use crate::receiver::effects::{Failure, Published};
use crate::receiver::final_report::FinalReport;
use crate::repeat::Repeat;
use crate::time::{Moment, WallClock};
use crate::wire::{CommandOutcome, Done, Failed, Outcome, Up};

impl Session {
    /// Notes what came of the command that this host has run after the publication.
    pub(in crate::receiver) fn note_command(&mut self, command: CommandOutcome) {
        self.command = command;
    }

    /// Closes the session with success: only the final report is sent from now on. Returns the object's root.
    ///
    /// # Panics
    /// If the sender has not vouched, as nothing is published before.
    pub(in crate::receiver) fn close_done(
        &mut self,
        now: Moment,
        wall: WallClock,
        me: &ReceiverConfig,
        published: Published,
    ) -> Root {
        let root = self.root.expect("published under a root");
        let (existing, outcome) = match published {
            Published::New => (false, Outcome::Published(root)),
            Published::Existing => (true, Outcome::Existing(root)),
        };
        let receipt = self.uplink.receipt(me, wall, outcome);
        let (totals, command) = (self.final_totals(), std::mem::take(&mut self.command));
        self.close(now, Up::Done(Done { root, existing, totals, receipt, command }));
        root
    }

    /// Closes the session with a failure: only the final report is sent from now on.
    pub(in crate::receiver) fn close_failed(
        &mut self,
        now: Moment,
        wall: WallClock,
        me: &ReceiverConfig,
        failure: &Failure,
    ) {
        let Failure { kind, reason } = failure.clone();
        let receipt = self.uplink.receipt(me, wall, Outcome::Failed(kind));
        self.close(now, Up::Failed(Failed { kind, reason, totals: self.final_totals(), receipt }));
    }

    fn close(&mut self, now: Moment, final_report: Up) {
        self.stage = Stage::Closing { final_report: Box::new(final_report), repeat: None, until: now };
        self.turns.forget_report();
        self.plan_final_report(now);
    }

    /// Moves the final report to the turn that a poll has given this host. One that was sent may be lost. A sender that
    /// polls waits for somebody, and asks ever more rarely.
    pub(super) fn follow_turns(&mut self, now: Moment) {
        if !self.has_spoken() {
            return self.plan_final_report(now);
        }
        let (gap, turn) = (self.turns.repeat_gap(FINAL_REPORT_GAP), self.turns.last_word_at(now));
        if let (Stage::Closing { repeat: Some(repeat), .. }, Some(turn)) = (&mut self.stage, turn) {
            repeat.hasten(turn, gap);
        }
    }

    /// Whether the final report was sent.
    pub(super) fn has_spoken(&self) -> bool {
        matches!(&self.stage, Stage::Closing { repeat: Some(repeat), .. } if repeat.was_sent())
    }

    /// Puts the final report off to the turn after the hello that is sent now, if the session is closing.
    pub(super) fn make_room_for_hello(&mut self, now: Moment) {
        if !self.has_spoken() {
            return self.plan_final_report(now);
        }
        let next_turn = self.turns.last_word_at(now);
        if let (Stage::Closing { repeat: Some(repeat), .. }, Some(at)) = (&mut self.stage, next_turn) {
            repeat.put_off(at);
        }
    }

    /// Finds the turn in which the final report is sent, from this host's next turn on, if the session is closing.
    pub(super) fn plan_final_report(&mut self, now: Moment) {
        if let Stage::Closing { repeat, until, .. } = &mut self.stage {
            let gap = self.turns.repeat_gap(FINAL_REPORT_GAP);
            let at = self.turns.last_word_at(now);
            *repeat = at.map(|at| Repeat::new(at, gap, FINAL_REPORT_GAP_MAX.max(gap)));
            let turn = at.or(self.turns.next_hello_at()).unwrap_or(now).max(now);
            *until = turn + FINAL_REPORT_FOR.max(3 * gap);
        }
    }

    /// Returns when [`Session::expired`] changes if nothing arrives. A sender that is silent for `gone_after` is
    /// gone.
    pub(in crate::receiver) fn expires_at(&self, gone_after: Duration) -> Option<Moment> {
        let gone_at = self.arrivals.heard() + gone_after;
        match self.stage {
            Stage::Closing { until, .. } => Some(until.min(gone_at)),
            // Everything is here: the stage ends with the store's answer, however long a disk takes.
            Stage::Comparing | Stage::Publishing => None,
            // A one-way sender does not wait for hosts: a host that has everything goes on without it.
            Stage::Opening | Stage::Receiving | Stage::Existing => (!self.has_all()).then_some(gone_at),
        }
    }

    /// Whether the session ends without a message from its sender, and why.
    pub(in crate::receiver) fn expired(&self, now: Moment, gone_after: Duration) -> Option<Expired> {
        let is_closing = matches!(self.stage, Stage::Closing { .. });
        let expired = if is_closing { Expired::FinalReport } else { Expired::Sender };
        self.expires_at(gone_after).is_some_and(|at| now >= at).then_some(expired)
    }

    /// Turns the session into its unacknowledged final report.
    ///
    /// # Panics
    /// If the session is not closing.
    pub(in crate::receiver) fn into_final_report(self) -> FinalReport {
        let signer = self.signer();
        let Stage::Closing { final_report, .. } = self.stage else {
            unreachable!("it has said its final report")
        };
        let (geometry, unknown) = (self.announce.geometry, !self.turns.is_acknowledged());
        let spread = self.announce.spread;
        FinalReport::new(self.uplink, self.cipher, geometry, signer, *final_report, unknown.then_some(spread))
    }
}

/// The time between two sendings of the final report on a network without delay, which grows up to the maximum.
const FINAL_REPORT_GAP: Duration = Duration::from_millis(20);
const FINAL_REPORT_GAP_MAX: Duration = Duration::from_secs(1);
/// How long the final report is repeated; a sender that has not acknowledged it by then is gone.
const FINAL_REPORT_FOR: Duration = Duration::from_secs(15);
