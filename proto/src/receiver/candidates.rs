//! Announced sessions of which this host does not know yet whether they are for it: the page that has its name is still
//! to come.

use std::net::SocketAddr;

use super::waiting::WAITING_MAX;
use crate::audience::Inclusion;
use crate::ids::{HostName, SessionId, SessionTag};
use crate::seal::{Cipher, GroupKey};
use crate::sign::Verifier;
use crate::time::Moment;
use crate::wire::{Announced, Discard, Down};

/// One of these sessions. Its signature was checked.
pub(super) struct Candidate {
    pub(super) announced: Announced,
    /// The index of the group key that opens it.
    pub(super) key: usize,
    /// Where the announcement came from.
    pub(super) from: SocketAddr,
    cipher: Cipher,
    inclusion: Inclusion,
    heard: Moment,
}

/// What a page has said about a candidate.
pub(super) enum Settled {
    /// The session is for this host.
    Included(Box<Candidate>),
    /// It is for others.
    Excluded(SessionId),
}

impl Candidate {
    fn session(&self) -> SessionId {
        self.announced.announce.session
    }

    /// Opens a page of the audience, and takes it in if it has the part of this host. `check` allows a check of its
    /// signature.
    fn take(&mut self, datagram: &[u8], check: impl FnOnce() -> Result<(), Discard>) -> Result<(), Discard> {
        let (geometry, scope) = (self.announced.announce.geometry, self.announced.scope);
        let signer: Option<Verifier> = self.announced.signer().map(|key| key.within(scope));
        let inclusion = self.inclusion;
        let settles = |down: &Down| match down {
            Down::Audience(page) if inclusion.is_settled_by(page) => check(),
            _ => Err(Discard::NotNeeded),
        };
        match Down::open(&self.cipher, geometry, signer, datagram, settles)?.1 {
            Down::Audience(page) => self.inclusion.note(&page),
            Down::Manifest(_) | Down::Poll(_) | Down::End(_) | Down::Proofs(_) => {}
        }
        Ok(())
    }
}

/// At most [`WAITING_MAX`] of them; the one that was not heard for longest makes room.
#[derive(Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Notes that a session is still announced. Returns whether it is a candidate.
    pub(super) fn note_heard(&mut self, now: Moment, session: SessionId) -> bool {
        let known = self.0.iter_mut().find(|candidate| candidate.session() == session);
        known.map(|candidate| candidate.heard = now).is_some()
    }

    /// Keeps an announcement whose signature was checked until a page says more; returns it if it is for this host
    /// without any page.
    pub(super) fn consider(
        &mut self,
        now: Moment,
        from: SocketAddr,
        announced: Announced,
        key: usize,
        group: &GroupKey,
        name: &HostName,
    ) -> Option<Announced> {
        let (audience, session) = (announced.announce.audience, announced.announce.session);
        let inclusion = Inclusion::of(audience, session, name);
        if inclusion == Inclusion::Included {
            return Some(announced);
        }
        if self.0.len() == WAITING_MAX {
            let oldest = (0..self.0.len()).min_by_key(|&at| self.0[at].heard);
            oldest.into_iter().for_each(|at| drop(self.0.swap_remove(at)));
        }
        let cipher = Cipher::downward(group, session);
        self.0.push(Candidate { announced, key, from, cipher, inclusion, heard: now });
        None
    }

    /// Handles a page of the audience of a candidate with this tag.
    pub(super) fn take_page(
        &mut self,
        tag: SessionTag,
        datagram: &[u8],
        check: impl FnOnce() -> Result<(), Discard>,
    ) -> Result<Option<Settled>, Discard> {
        let of_it = |candidate: &Candidate| candidate.session().tag() == tag;
        let at = self.0.iter().position(of_it).ok_or(Discard::OtherSession)?;
        self.0[at].take(datagram, check)?;
        Ok(match self.0[at].inclusion {
            Inclusion::Included => Some(Settled::Included(Box::new(self.0.swap_remove(at)))),
            Inclusion::Excluded => Some(Settled::Excluded(self.0.swap_remove(at).session())),
            Inclusion::Unsettled(_) => None,
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
