//! How far a push is, what a round of reports leads to, and when the push is over.

use super::Sender;
use super::Source;
use super::ending::Ending;
use super::event::{SenderEvent, Verdict};
use super::gate::Busy;
use super::hosts::Round;
use super::one_way::Repeated;
use super::rate::{Pace, Sent};
use crate::time::Moment;

impl Sender {
    /// Asks at once what is still lacking if the pass has just ended, or the last repair has just left.
    pub(super) fn note_progress(&mut self, now: Moment) {
        let all_sent = self.blocks.all_sent() && self.blocks.is_idle();
        let is_empty = self.config.geometry.blocks() == 0;
        if all_sent && !is_empty && self.root().is_some() {
            match self.one_way.as_mut().and_then(|one_way| one_way.repeat(now)) {
                Some(Repeated::Everything) => return self.blocks.start_over(),
                Some(Repeated::Manifest) => return self.blocks.repeat_manifest(),
                None => {}
            }
        }
        let all_sent = if self.one_way.is_some() { all_sent } else { self.blocks.all_sent() };
        if let Source::Proven { pass_ended, .. } = &mut self.source
            && all_sent
        {
            pass_ended.get_or_insert(now);
            if self.blocks.is_idle() {
                self.polls.soon(now);
            }
        }
    }

    pub(super) fn settle(&mut self, now: Moment) {
        let Some(pass_ended) = self.pass_ended() else { return self.settle_for_nobody(now) };
        if let Some(one_way) = &self.one_way {
            if one_way.is_over(now, pass_ended) {
                self.end(now, Verdict::Unknown);
            }
        } else if self.hosts.settled(now, pass_ended) {
            self.end(now, self.verdict_now());
        }
    }

    pub(super) fn verdict_now(&self) -> Verdict {
        if self.hosts.complete() { Verdict::Complete } else { Verdict::Incomplete }
    }

    /// Returns what a push comes to whose time is over.
    pub(super) fn verdict_when_time_is_over(&self) -> Verdict {
        match self.source {
            Source::Proven { .. } if self.one_way.is_some() => {
                Verdict::GivenUp("the time ran out before everything was sent".into())
            }
            Source::Proven { .. } => self.verdict_now(),
            // Nothing was read, as nobody was there to send it to: not the time is to blame.
            Source::Reading if self.is_for_nobody() => self.verdict_now(),
            Source::Reading => Verdict::Aborted(TIMED_OUT.into()),
        }
    }

    pub(super) fn end(&mut self, now: Moment, verdict: Verdict) {
        self.ending = Some(Ending::new(now, verdict));
    }

    /// Draws the conclusions from the reports to the last poll.
    pub(super) fn end_round(&mut self, now: Moment) {
        let Round { loss, sidelined } = self.hosts.end_round(now, self.asked);
        let frame_bytes = self.config.geometry.datagram_bytes() as u64 + self.config.header_bytes;
        let datagrams = self.sequences.next().value();
        self.rate.note_round(now, Sent { datagrams, frame_bytes, others: self.sequences.to_paths() }, loss);
        let unheeded = self.share_unheeded();
        if self.asked.is_all() {
            self.flow.bind(self.hosts.room(now, unheeded));
        } else if let Some(bound) = self.hosts.panel_room(now, unheeded) {
            self.flow.bind(bound);
        }
        if !sidelined.is_empty() && !self.is_tail() {
            self.blocks.forget_demands(); // most demands are theirs
            self.paths.forget_deficits();
        }
        for (name, sideline) in sidelined {
            self.event(SenderEvent::Sidelined(name, sideline));
        }
        self.last_one = if self.is_tail() { self.hosts.last_one() } else { None };
    }

    /// The share of the hosts that hold nobody back, however little room they have.
    pub(super) fn share_unheeded(&self) -> f64 {
        match self.config.pace {
            Pace::Auto { .. } => UNHEEDED_AUTO,
            Pace::Fixed(_) => UNHEEDED_FIXED,
        }
    }

    /// Ends each wait of the gate once all hosts that it is for were heard, or have come from another push.
    pub(super) fn open_gate(&mut self, now: Moment) {
        let tally = self.hosts.tally();
        let busy = match (self.hosts.are_all_busy(), tally.busy) {
            (true, _) => Busy::All,
            (false, 0) => Busy::None,
            (false, _) => Busy::Some,
        };
        self.note_joining(now);
        self.gate.note_busy(now, busy, self.hosts.cycle());
        if tally.heard >= tally.expected {
            self.gate.end_first_wait();
        }
        if self.hosts.are_all_heard() {
            self.gate.end_gathering();
        }
    }

    pub(super) fn is_tail(&self) -> bool {
        self.pass_ended().is_some()
    }

    /// When both the source was proven and all first passes had been sent.
    pub(super) fn pass_ended(&self) -> Option<Moment> {
        match self.source {
            Source::Proven { pass_ended, .. } => pass_ended,
            Source::Reading => None,
        }
    }
}

/// The share of the hosts that hold nobody back where the rate adapts.
const UNHEEDED_AUTO: f64 = 0.25;
/// The same at a fixed rate, which the operator has asked for: it is kept unless most hosts cannot follow.
const UNHEEDED_FIXED: f64 = 0.5;

/// The reason of a push that had too little time: `--timeout` of the command, or its default.
const TIMED_OUT: &str = "the time for the push ran out before the image was read to its end: give it a longer \
                         --timeout, or a higher --rate";
