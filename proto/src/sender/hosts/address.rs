//! The address of one start, and whether symbols may be sent to it alone.
//!
//! What is sent to one address leaves at the full rate of the push, and the source address of a hello may be forged. So a
//! start first proves that it is reached there: the acknowledgement of its hello goes to that address, and the start's
//! reports repeat the echo in it.

use std::net::{IpAddr, SocketAddr};

/// The address that a start's hello came from. It never changes, so that an attacker who intercepts a report cannot
/// redirect what is sent to this host alone.
pub(in crate::sender) struct Address {
    addr: SocketAddr,
    /// Whether the last report came from it and had its echo.
    is_proven: bool,
}

impl Address {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, is_proven: false }
    }

    /// Returns the address, which may not be proven.
    pub(in crate::sender) fn claimed(&self) -> SocketAddr {
        self.addr
    }

    /// Whether it is one of this machine.
    pub(super) fn is_at(&self, ip: IpAddr) -> bool {
        self.addr.ip() == ip
    }

    /// Notes a report, and whether it had the echo of the address that it came from.
    pub(super) fn note_report(&mut self, from: SocketAddr, is_echoed: bool) {
        self.is_proven = is_echoed && from == self.addr;
    }

    /// Returns the address, if symbols may be sent to it alone.
    pub(in crate::sender) fn proven(&self) -> Option<SocketAddr> {
        self.is_proven.then_some(self.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_proven_while_reports_come_from_it_with_its_echo() {
        let mut address = Address::new(HERE.into());
        assert_eq!(address.proven(), None);
        let reports =
            [(HERE, false), (HERE, true), (THERE, true), (THERE, false), (HERE, true), (HERE, false)];
        let proven = reports.map(|(from, is_echoed)| {
            address.note_report(from.into(), is_echoed);
            address.proven().is_some()
        });
        assert_eq!(proven, [false, true, false, false, true, false]);
    }

    const HERE: ([u8; 4], u16) = ([10, 0, 0, 2], 40_000);
    const THERE: ([u8; 4], u16) = ([10, 0, 0, 3], 40_000);
}
