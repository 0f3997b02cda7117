//! The channel from this host to a sender.

use std::net::SocketAddr;

use super::ReceiverConfig;
use crate::agree::{AgreementKey, AgreementPublic};
use crate::ids::{ReceiverId, Sequence, SessionId};
use crate::seal::{Cipher, GroupKey};
use crate::sign::Scope;
use crate::time::WallClock;
use crate::wire::{Ack, Announce, Discard, Hello, KeptRun, Outcome, Receipt, Up};

/// The channel to a sender: the id of this host in its session, and the keys. It is kept for as long as the session
/// may go on, as no number may be used twice under one key.
pub(super) struct Uplink {
    scope: Scope,
    receiver: ReceiverId,
    agreement: AgreementPublic,
    /// Seals the hello, which every holder of the group key can open.
    hello: Cipher,
    /// Seals what only the sender can open.
    private: Cipher,
    /// Opens what only the sender can have sealed.
    acks: Cipher,
    reply_to: SocketAddr,
    sequence: u64,
}

/// What a hello says besides who this host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// If this host is at work on another session: the name of the object there.
    pub(super) busy: Option<String>,
    /// Where the last datagram to the group came from.
    pub(super) via: Option<SocketAddr>,
    pub(super) kept: Vec<KeptRun>,
}

impl Uplink {
    /// Returns the channel to the sender of this announcement; `None` if its agreement key is none.
    pub(super) fn new(
        announce: &Announce,
        receiver: ReceiverId,
        key: &GroupKey,
        me: &ReceiverConfig,
    ) -> Option<Self> {
        let session = announce.session;
        let agreement = AgreementKey::derive(&me.secret, session, receiver);
        let shared = agreement.agree(&announce.agreement)?;
        Some(Self {
            scope: key.scope(session),
            receiver,
            agreement: agreement.public(),
            hello: Cipher::upward(key, session, receiver),
            private: Cipher::private_up(key, session, receiver, &shared),
            acks: Cipher::private_down(key, session, receiver, &shared),
            reply_to: announce.reply_to,
            sequence: 0,
        })
    }

    pub(super) fn session(&self) -> SessionId {
        self.scope.session
    }

    /// Returns the session, the id of this host in it, and the address at which the sender is answered.
    pub(super) fn identity(&self) -> (Scope, ReceiverId, SocketAddr) {
        (self.scope, self.receiver, self.reply_to)
    }

    /// Has everything go to this address from now on.
    pub(super) fn answer_to(&mut self, reply_to: SocketAddr) {
        self.reply_to = reply_to;
    }

    /// Seals a hello into `out`, and returns the address that it goes to.
    pub(super) fn greet(&mut self, me: &ReceiverConfig, greeting: Greeting, out: &mut Vec<u8>) -> SocketAddr {
        let Greeting { busy, via, kept } = greeting;
        let (name, software) = (me.name.clone(), me.software.clone());
        let (agreement, mtu) = (self.agreement, me.mtu);
        let hello = Hello { agreement, name, software, busy, can_relay: me.can_relay, mtu, via, kept };
        let sequence = self.next_sequence();
        hello.seal(&self.hello, me.host_key.within(self.scope), self.receiver, sequence, out);
        self.reply_to
    }

    /// Seals `up` into `out`, and returns the address that it goes to.
    pub(super) fn seal(&mut self, up: &Up, out: &mut Vec<u8>) -> SocketAddr {
        let sequence = self.next_sequence();
        up.seal(&self.private, self.scope.session.tag(), self.receiver, sequence, out);
        self.reply_to
    }

    /// Signs what became of the object.
    pub(super) fn receipt(&self, me: &ReceiverConfig, time: WallClock, outcome: Outcome) -> Receipt {
        Receipt::sign(&me.host_key, self.scope, me.name.clone(), time, outcome)
    }

    /// Opens an acknowledgement for this host.
    pub(super) fn open_ack(&self, datagram: &[u8]) -> Result<Ack, Discard> {
        let (_, ack) = Ack::open(&self.acks, datagram)?;
        if ack.receiver == self.receiver { Ok(ack) } else { Err(Discard::Malformed) }
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        Sequence::new(self.sequence).expect("2^40 reports take years")
    }
}
