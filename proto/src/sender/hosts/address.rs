//! The address of one start, and whether symbols may be sent to it alone.
//!
//! What is sent to one address leaves at the full rate of the push, and the source address of a hello may be forged. So a
//! start first has to behave as one that is reached there. The acknowledgement of its hello goes to that address, and a
//! host that has not received it repeats the hello. A start that has answered polls from the same address since its last
//! hello has therefore received it, or feigns that: somebody with the group key who can send from foreign addresses may.
//! No datagram of a host contains anything that was sent to its address alone, so the sender cannot tell.

use std::net::SocketAddr;

/// The address that a start's hello came from. It never changes, so that an attacker who intercepts a report cannot
/// redirect what is sent to this host alone.
pub(super) struct Address {
    addr: SocketAddr,
    /// Polls that were answered from it since the last hello.
    answers: u32,
}

impl Address {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, answers: 0 }
    }

    /// Notes a hello: the host has not received the acknowledgement of the one before, if there was one.
    pub(super) fn note_hello(&mut self) {
        self.answers = 0;
    }

    /// Notes that the answer to a poll came from this address.
    pub(super) fn note_answer(&mut self, from: SocketAddr) {
        self.answers = if from == self.addr { self.answers.saturating_add(1) } else { 0 };
    }

    /// Returns the address, if symbols may be sent to it alone.
    pub(super) fn confirmed(&self) -> Option<SocketAddr> {
        (self.answers >= ANSWERS_MIN).then_some(self.addr)
    }
}

/// Answers after which the acknowledgement has arrived: the first one may be on its way together with the hello.
const ANSWERS_MIN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_confirmed_by_two_answers_from_it_without_a_hello_between_them() {
        let mut address = Address::new(HERE.into());
        address.note_answer(HERE.into());
        assert_eq!(address.confirmed(), None);
        address.note_hello();
        address.note_answer(HERE.into());
        assert_eq!(address.confirmed(), None, "it was not reached");
        address.note_answer(HERE.into());
        assert_eq!(address.confirmed(), Some(HERE.into()));
        address.note_hello();
        assert_eq!(address.confirmed(), None);
    }

    #[test]
    fn a_host_that_answers_from_elsewhere_confirms_nothing() {
        let mut address = Address::new(HERE.into());
        for from in [THERE, HERE, THERE, HERE] {
            address.note_answer(from.into());
        }
        assert_eq!(address.confirmed(), None);
    }

    const HERE: ([u8; 4], u16) = ([10, 0, 0, 2], 40_000);
    const THERE: ([u8; 4], u16) = ([10, 0, 0, 3], 40_000);
}
