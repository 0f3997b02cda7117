//! A query as it was heard, and queries of which it is not known yet whether they are for this host: the page that has
//! its name is still to come.

use std::net::IpAddr;

use crate::audience::Inclusion;
use crate::geometry::Geometry;
use crate::ids::{Sequence, SessionId};
use crate::limits::{BLOCK_LOG2_DEFAULT, CONTROL_SMALL, QUERIES_OPEN_MAX};
use crate::seal::{Cipher, GroupKey};
use crate::sign::PublicKey;
use crate::wire::{Ask, AudiencePage, Discard, Down, SYMBOL_OVERHEAD};

/// A query as it was heard.
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// The index of the group key that opens it.
    pub(super) key: usize,
    /// Who signs it.
    pub(super) signer: Option<PublicKey>,
    pub(super) sequence: Sequence,
    pub(super) from: IpAddr,
}

/// A query that may be for this host. Its signature was checked.
pub(super) struct Candidate {
    pub(super) asked: Asked,
    pub(super) inclusion: Inclusion,
    group: GroupKey,
    cipher: Cipher,
}

impl Candidate {
    pub(super) fn new(asked: Asked, group: GroupKey, inclusion: Inclusion) -> Self {
        let cipher = Cipher::downward(&group, asked.ask.id);
        Self { asked, inclusion, group, cipher }
    }

    pub(super) fn query(&self) -> SessionId {
        self.asked.ask.id
    }

    /// Whether a datagram is of this query, and not of another one with its tag.
    pub(super) fn opens(&self, datagram: &[u8]) -> bool {
        opens(&self.cipher, datagram)
    }

    /// Handles a page of the audience. Where the query is signed, `allow` says whether the signature may be checked.
    ///
    /// # Errors
    /// Why it is none, or not the one that has the part of this host.
    pub(super) fn take(
        &mut self,
        datagram: &[u8],
        allow: impl FnOnce() -> Result<(), Discard>,
    ) -> Result<(), Discard> {
        let verifier = self.asked.signer.map(|key| key.within(self.group.scope(self.query())));
        let inclusion = self.inclusion;
        let wanted = |down: &Down| match down {
            Down::Audience(page) if inclusion.is_settled_by(page) => allow(),
            _ => Err(Discard::NotNeeded),
        };
        let page = page_of(Down::open(&self.cipher, no_geometry(), verifier, datagram, wanted)?.1)?;
        self.inclusion.note(&page);
        Ok(())
    }
}

/// At most [`CANDIDATES_MAX`] candidates. They settle within moments; the oldest one makes room for another.
#[derive(Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    pub(super) fn has(&self, query: SessionId) -> bool {
        self.0.iter().any(|candidate| candidate.query() == query)
    }

    /// Keeps a candidate. No address has more than `of_one`: its oldest one makes room.
    pub(super) fn push(&mut self, candidate: Candidate, of_one: usize) {
        let of_it = |other: &Candidate| other.asked.from == candidate.asked.from;
        let oldest = if self.0.iter().filter(|other| of_it(other)).count() >= of_one {
            self.0.iter().position(of_it)
        } else {
            (self.0.len() == CANDIDATES_MAX).then_some(0)
        };
        oldest.into_iter().for_each(|at| drop(self.0.remove(at)));
        self.0.push(candidate);
    }

    /// Returns the place of the candidate that a datagram is of.
    pub(super) fn place_of(&self, datagram: &[u8], is_of: impl Fn(SessionId) -> bool) -> Option<usize> {
        self.0.iter().position(|candidate| is_of(candidate.query()) && candidate.opens(datagram))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn at(&mut self, place: usize) -> &mut Candidate {
        &mut self.0[place]
    }

    pub(super) fn remove(&mut self, place: usize) -> Candidate {
        self.0.remove(place)
    }
}

/// Whether a cipher opens a datagram to the group.
pub(super) fn opens(cipher: &Cipher, datagram: &[u8]) -> bool {
    match Down::open(cipher, no_geometry(), None, datagram, |_| Ok(())) {
        Ok(_) | Err(Discard::Malformed) => true, // a signature stands where nothing should
        Err(_) => false,
    }
}

fn page_of(down: Down) -> Result<AudiencePage, Discard> {
    match down {
        Down::Audience(page) => Ok(page),
        Down::Manifest(_) | Down::Poll(_) | Down::End(_) | Down::Proofs(_) => Err(Discard::UnknownKind),
    }
}

/// A query has no object, and a page of an audience does not depend on one.
fn no_geometry() -> Geometry {
    let symbol_size = (CONTROL_SMALL - SYMBOL_OVERHEAD) / 8 * 8;
    Geometry::new(0, BLOCK_LOG2_DEFAULT, symbol_size as u16).expect("nothing, in symbols for any path")
}

const CANDIDATES_MAX: usize = QUERIES_OPEN_MAX;
