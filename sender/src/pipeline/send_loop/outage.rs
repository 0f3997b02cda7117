//! What the send loop does while the network takes nothing.

use glancecast_proto::sender::{To, Transmit};

use super::SendLoop;
use crate::pipeline::line::{Change, NoUse, Step};

/// A datagram in `out`, or a batch, that the network refused.
pub(super) enum Unsent {
    Control(Transmit),
    Symbols(Batched),
}

/// Whether a push waits for its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    GoesOn,
    Over,
}

/// The symbols of a batch that are not sent yet.
#[derive(Clone, Copy)]
pub(super) struct Batched {
    pub(super) to: To,
    /// The bytes of the batch that were taken.
    pub(super) from: usize,
    pub(super) repair: u64,
    pub(super) source: u64,
}

impl SendLoop {
    /// Waits while the network takes nothing, and offers it what it refused. Meanwhile nothing is heard, read or sent:
    /// the queues are bounded, and hosts repeat what they say.
    pub(super) fn wait_for_network(&mut self) -> Waiting {
        self.tell_progress_sometimes();
        match self.line.next_step() {
            Step::GiveUp if self.machine.verdict().is_some() => return Waiting::Over,
            Step::GiveUp => {
                let reason = self.line.verdict();
                self.machine.handle_abort(self.line.now(), &reason);
                return Waiting::Over;
            }
            Step::Wait(time) => {
                let _ = self.sleeper.sleep([], time);
            }
            Step::Offer => match self.line.follow() {
                Ok(Some(change)) => self.take_change(change),
                Ok(None) => self.offer_again(),
                Err(NoUse) => {}
            },
        }
        Waiting::GoesOn
    }

    fn offer_again(&mut self) {
        match self.refused.take() {
            Some(Unsent::Control(transmit)) => self.send_control(transmit),
            Some(Unsent::Symbols(batched)) => self.send_symbols(batched),
            None => {}
        }
        if self.refused.is_none()
            && let Some(change) = self.line.resume()
        {
            self.take_change(change);
        }
    }

    fn take_change(&mut self, change: Change) {
        let now = self.line.now();
        match change {
            Change::Over(lasted) => {
                self.line.tell();
                self.machine.handle_outage(now, lasted);
                self.pacer.idle(self.line.nanos());
            }
            Change::ReplyTo(addr) => {
                // What was to be said names the address that is gone. It counts as lost.
                self.refused.take_if(|unsent| matches!(unsent, Unsent::Control(_)));
                self.machine.handle_reply_to(now, addr);
                self.offer_again();
            }
        }
    }
}
