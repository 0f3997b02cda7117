//! The channel from this host to a sender.

use std::net::SocketAddr;

use crate::ids::{ReceiverId, Sequence, SessionId};
use crate::seal::{Cipher, GroupKey};
use crate::wire::{Ack, Announce, Up};

/// The channel to a sender: the id of this host in its session, and the key. It is kept for as long as the session
/// may go on, as no number may be used twice under one key.
pub(super) struct Uplink {
    session: SessionId,
    receiver: ReceiverId,
    cipher: Cipher,
    reply_to: SocketAddr,
    sequence: u64,
}

impl Uplink {
    pub(super) fn new(announce: &Announce, receiver: ReceiverId, key: &GroupKey) -> Self {
        Self {
            session: announce.session,
            receiver,
            cipher: Cipher::upward(key, announce.session, receiver),
            reply_to: announce.reply_to,
            sequence: 0,
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    /// Seals `up` into `out`, and returns the address that it goes to.
    pub(super) fn seal(&mut self, up: &Up, out: &mut Vec<u8>) -> SocketAddr {
        self.sequence += 1;
        let sequence = Sequence::new(self.sequence).expect("2^40 reports take years");
        up.seal(&self.cipher, self.session.tag(), self.receiver, sequence, out);
        self.reply_to
    }

    /// Whether an ack is for this host.
    pub(super) fn is_answered_by(&self, ack: &Ack) -> bool {
        ack.receiver == self.receiver
    }
}
