//! Notices to senders of other versions of the protocol, and to those that have another group key.
//!
//! Whoever sends five bytes to the group has every host hear another version, and its source address may be forged. So
//! that hosts are of no use for a flood, a host sends no more bytes than it heard, tells each source once in a while,
//! tells only a few sources at all, and waits a random time, so that a group does not answer at once.

use std::net::SocketAddr;
use std::time::Duration;

use super::ReceiverConfig;
use crate::ids::SessionTag;
use crate::rng::Rng;
use crate::time::Moment;
use crate::told::Told;
use crate::wire::Notice;

/// The notices of one host.
pub(super) struct Notices {
    /// The length of a notice of this host.
    bytes: usize,
    /// Whom the host has told, or is about to tell, oldest first. At most [`SOURCES_MAX`].
    told: Vec<Source>,
    /// Versions that were reported as events. At most [`LOGGED_MAX`].
    logged: Vec<u8>,
    /// The pushes of other versions that were reported as events.
    pushes: Told<SessionTag>,
}

/// A datagram of another version, of which the first five bytes can be read.
pub(super) struct Foreign {
    pub(super) source: SocketAddr,
    pub(super) version: u8,
    pub(super) tag: SessionTag,
    /// Its length.
    pub(super) bytes: usize,
}

/// A sender of another version.
struct Source {
    source: SocketAddr,
    version: u8,
    heard: Moment,
    /// The notices that are still to be sent, and when.
    due: Option<Due>,
}

/// Notices that are to be sent, one under each of the host's keys as far as the credit suffices: it is unknown which key
/// the sender has.
struct Due {
    at: Moment,
    tag: SessionTag,
    /// The index of the next key.
    key: usize,
    /// Bytes that were heard of the source, less those that it was sent.
    credit: usize,
}

impl Notices {
    pub(super) fn new(me: &ReceiverConfig) -> Self {
        let mut notice = Vec::new();
        Notice::seal(&me.name, &me.software, SessionTag([0; 3]), [0; 16], &me.keys[0], &mut notice);
        Self { bytes: notice.len(), told: Vec::new(), logged: Vec::new(), pushes: Told::default() }
    }

    /// Handles a datagram of another version; returns whether it is worth a line in the log.
    pub(super) fn heard(&mut self, now: Moment, foreign: &Foreign, rng: &mut Rng) -> bool {
        let &Foreign { source, version, tag, bytes } = foreign;
        if bytes < self.bytes {
            return false;
        }
        self.told.retain(|told| told.due.is_some() || now.since(told.heard) < TOLD_AGAIN_AFTER);
        let has_room = self.told.len() < SOURCES_MAX;
        match self.told.iter_mut().find(|told| (told.source, told.version) == (source, version)) {
            Some(told) => told.due.iter_mut().for_each(|due| due.credit = due.credit.saturating_add(bytes)),
            None if has_room => {
                let due = Some(Due { at: now + rng.below(SPREAD), tag, key: 0, credit: bytes });
                self.told.push(Source { source, version, heard: now, due });
            }
            None => {}
        }
        let is_first = self.logged.len() < LOGGED_MAX && !self.logged.contains(&version);
        if is_first {
            self.logged.push(version);
            self.pushes.note(now, tag);
        }
        is_first || self.pushes.is_news(now, tag)
    }

    /// Returns when the next notice is due.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.told.iter().filter_map(|told| told.due.as_ref()).map(|due| due.at).min()
    }

    /// Forgets which notices are due: their keys may be others now.
    pub(super) fn forget_due(&mut self) {
        self.told.iter_mut().for_each(|told| told.due = None);
    }

    /// Writes the notice that is due into `out`, and returns its address.
    pub(super) fn send(
        &mut self,
        now: Moment,
        me: &ReceiverConfig,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        let is_due = |told: &&mut Source| told.due.as_ref().is_some_and(|due| now >= due.at);
        let told = self.told.iter_mut().find(is_due)?;
        let due = told.due.as_mut().expect("just seen");
        Notice::seal(&me.name, &me.software, due.tag, rng.bytes(), &me.keys[due.key], out);
        (due.key, due.credit) = (due.key + 1, due.credit - self.bytes);
        if due.key == me.keys.len() || due.credit < self.bytes {
            told.due = None;
        }
        Some(told.source)
    }
}

/// The time over which the hosts of a group spread their notices.
const SPREAD: Duration = Duration::from_secs(2);
/// The time after which a source is told again.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Sources that are told in [`TOLD_AGAIN_AFTER`]; further ones are not answered. Senders of other versions are few, and
/// each push is told by all hosts.
const SOURCES_MAX: usize = 16;
/// Versions that are logged at once, however closely they follow each other.
const LOGGED_MAX: usize = 8;
