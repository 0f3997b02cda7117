//! A new group key: which query may bring one, and what becomes of it. The shell keeps a keyring before this host says
//! that it has it, so that no kill in between loses a key that a sender counts on.

use std::net::SocketAddr;

use super::asked::Asked;
use super::saying::Open;
use super::{Asker, Lookup, LookupId, Reply, Responder, refusal};
use crate::agree::AgreementKey;
use crate::ids::{ReceiverId, Sequence};
use crate::keyring::{KeyRefusal, Keyring};
use crate::seal::{Cipher, GroupKey};
use crate::time::Moment;
use crate::wire::{AnswerState, Discard, Header, NewKey, Query};

impl Responder {
    /// Handles a new group key. It is sealed under a key that only the querier and this host have, and signed by the
    /// sender that has signed the query.
    pub(super) fn take_new_key(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let (at, new) = self.open_of_query(now, from, header, |open, checks| {
            open.open_new_key(datagram, header.sequence, || checks.allow(now, from))
        })?;
        let open = &mut self.open[at];
        open.note(now, header.sequence);
        open.new_key = None; // one is taken, however often it comes
        let (id, under, key) = (open.id, open.key, GroupKey::new(*new.key));
        self.keep(now, id, |keys| keys.with(under, key))
    }

    /// Handles the shell's answer to [`Lookup::Keep`]: the keyring is on the disk, or why it is not.
    pub fn handle_kept(&mut self, now: Moment, id: LookupId, result: Result<Keyring, String>) {
        self.is_keeping = false;
        let state = match result {
            Ok(kept) => {
                // The configuration may have been read anew meanwhile.
                let kept = kept.reconfigured(self.config.keys.configured());
                kept.into_iter().for_each(|kept| self.take_keys(kept));
                AnswerState::Final
            }
            Err(reason) => AnswerState::Failed(reason),
        };
        self.handle_reply(now, id, Reply { state, ..refusal("") });
    }

    /// Handles the keys of a configuration that was read anew. Returns whether there is a key among them and those that
    /// senders have given; if there is none, all stays as it is.
    pub fn handle_configured_keys(&mut self, configured: Vec<GroupKey>) -> bool {
        let keys = self.config.keys.reconfigured(configured);
        keys.map(|keys| self.take_keys(keys)).is_ok()
    }

    /// Returns the keys of this host, once after each change.
    pub fn poll_keys(&mut self) -> Option<Vec<GroupKey>> {
        std::mem::take(&mut self.has_new_keys).then(|| self.config.keys.keys().cloned().collect())
    }

    /// Begins to answer a query that changes the keyring.
    pub(super) fn begin_with_keys(&mut self, now: Moment, id: LookupId, asked: &Asked) {
        let under = self.config.keys.at(asked.key).id();
        if self.config.senders.accepts_anybody() || asked.signer.is_none() {
            return self.handle_reply(now, id, refusal(ANY_SENDER));
        }
        match asked.ask.query {
            Query::Retire => {
                let kept = self.keep(now, id, |keys| keys.without_superseded(under));
                kept.unwrap_or_else(|reason| self.discards.count(reason));
            }
            _ => self.look_into(id, Query::Rekey, Asker { from: asked.from, signer: asked.signer }),
        }
    }

    /// Has the shell keep another keyring, unless it is at it: the querier asks again.
    fn keep(
        &mut self,
        now: Moment,
        id: LookupId,
        change: impl FnOnce(&Keyring) -> Result<Keyring, KeyRefusal>,
    ) -> Result<(), Discard> {
        if self.is_keeping {
            let busy = Reply { state: AnswerState::Busy, ..refusal("") };
            self.handle_reply(now, id, busy);
            return Ok(());
        }
        match change(&self.config.keys) {
            Ok(keys) => {
                self.is_keeping = true;
                self.out.push_back(Lookup::Keep(id, keys));
                Ok(())
            }
            Err(reason) => {
                self.handle_reply(now, id, refusal(&reason.to_string()));
                Err(Discard::OldKey)
            }
        }
    }

    /// Queries that wait for a page of their audience are forgotten: each is repeated, and may be under another key now.
    fn take_keys(&mut self, keys: Keyring) {
        self.has_new_keys |= !keys.has_the_keys_of(&self.config.keys);
        self.config.keys = keys;
        self.candidates.clear();
    }

    /// Returns the cipher that opens a new group key in this query; `None` where the querier's half is no key.
    pub(super) fn new_key_cipher(&self, asked: &Asked, receiver: ReceiverId) -> Option<Cipher> {
        let ask = &asked.ask;
        let agreement = AgreementKey::derive(&self.config.secret, ask.id, receiver);
        let shared = agreement.agree(&ask.agreement).filter(|_| ask.query == Query::Rekey)?;
        Some(Cipher::private_down(self.config.keys.at(asked.key), ask.id, receiver, &shared))
    }
}

impl Open {
    /// Opens a new group key for this host. `allow` says whether the signature may be checked.
    fn open_new_key(
        &self,
        datagram: &[u8],
        sequence: Sequence,
        allow: impl FnOnce() -> Result<(), Discard>,
    ) -> Result<NewKey, Discard> {
        let (Some(cipher), Some(verifier)) = (&self.new_key, self.verifier()) else {
            return Err(Discard::NotNeeded);
        };
        self.check_number(sequence)?;
        allow()?;
        let new = NewKey::open(cipher, verifier, datagram)?;
        if new.receiver == self.receiver() && self.awaits_key() { Ok(new) } else { Err(Discard::NotNeeded) }
    }
}

/// Why a host that accepts every sender keeps its key.
const ANY_SENDER: &str = "it accepts every sender, and so takes a group key from none: list senders there";
