//! By which way datagrams come to a host, and what a relay needs to know of the session.

use std::net::SocketAddr;

use super::Receiver;
use crate::relay::Membership;
use crate::time::{Moment, WallClock};
use crate::wire::Discard;

/// By which way a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inlet {
    /// It was sent to the multicast group.
    Group,
    /// It was sent to this host's own address.
    Unicast,
}

impl Inlet {
    /// Returns the source of a datagram if it came by the group: a host reports it as the one that serves its segment.
    pub(super) fn via(self, from: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Group => Some(from),
            Self::Unicast => None,
        }
    }
}

impl<U: Clone, E> Receiver<U, E> {
    /// Handles a datagram that came to this host's own address and is not a symbol. It is what a datagram of the group
    /// is, except that it does not show that the group is heard.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_unicast(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        self.inlet = Inlet::Unicast;
        let result = self.handle_datagram(now, wall, from, datagram);
        self.inlet = Inlet::Group;
        result
    }

    /// Changes whether the hellos of this host say that it relays.
    pub fn set_relaying(&mut self, can_relay: bool) {
        self.config.can_relay = can_relay;
    }

    /// Returns what a relay needs to know of the session that this host takes part in.
    pub fn membership(&self) -> Option<Membership> {
        let active = self.session.as_ref()?;
        let (scope, receiver, reply_to) = active.relays_as();
        let key = self.config.keys.iter().find(|key| key.id() == scope.group)?;
        Some(Membership {
            session: scope.session,
            key: key.clone(),
            signer: active.signer().map(|signer| signer.key),
            receiver,
            reply_to,
        })
    }
}
