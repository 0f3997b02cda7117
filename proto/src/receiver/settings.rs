//! Settings that change while the program runs: the group keys, and the senders that this host lists.

use super::refusals::RefusalsTold;
use super::session::Stage;
use super::{Receiver, Rejoin};
use crate::seal::GroupKey;
use crate::senders::Senders;
use crate::time::Moment;
use crate::told::Told;
use crate::wire::FailureKind;

impl<U: Clone, E> Receiver<U, E> {
    /// Handles other group keys. A session goes on under the key that it began with. Announcements that wait for a page
    /// of their audience are forgotten: each is repeated, and may be under another key now.
    ///
    /// # Panics
    /// If there is no key.
    pub fn handle_keys(&mut self, keys: Vec<GroupKey>) {
        assert!(!keys.is_empty(), "a host has a group key");
        self.config.keys = keys;
        self.candidates.clear();
        self.notices.forget_due();
        self.wrong_keys = Told::default();
    }

    /// Handles another list of senders. A session whose signer is not in it ends at once, unless its file is being
    /// published, which cannot be taken back. One whose signer has expired meanwhile is carried to its end.
    pub fn handle_senders(&mut self, now: Moment, senders: Senders) {
        let wall = self.wall(now);
        self.waiting.judge_anew(|signer| senders.judge(signer, wall));
        self.candidates.clear();
        self.refused = RefusalsTold::default();
        self.config.senders = senders;
        let Some(active) = &self.session else { return };
        let signer = active.signer().map(|verifier| verifier.key);
        if !self.config.senders.has(signer) && !matches!(active.stage(), Stage::Publishing) {
            let reason = match signer {
                Some(_) => REVOKED,
                None => UNSIGNED,
            };
            let is_closing = matches!(active.stage(), Stage::Closing { .. });
            self.fail(now, FailureKind::UnknownSender, reason);
            if is_closing {
                self.leave(Rejoin::Never); // nothing more is told to this sender
            }
        }
    }
}

const REVOKED: &str =
    "the key that signs this push was taken off the list of this host: push again with a key that it lists";
const UNSIGNED: &str =
    "this host lists its senders since now, and this push is not signed: push again with a listed key";
