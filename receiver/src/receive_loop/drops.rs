//! The datagrams that the sockets have dropped, counted from the start of the session.

use glancecast_platform::transport::Inlet;

/// What the sockets have dropped: the kernel counts from the opening of each socket, the machine from the start of the
/// session.
#[derive(Default)]
pub(super) struct Drops {
    /// The kernel's last counts.
    everyone: u32,
    host: u32,
    pub(super) since_join: u64,
    pub(super) since_start: u64,
}

impl Drops {
    /// Returns the kernel's counts of both sockets.
    pub(super) fn since_start(&self) -> u64 {
        u64::from(self.everyone) + u64::from(self.host)
    }

    /// Notes the kernel's count of one socket; returns the drops of both since the session began.
    pub(super) fn note(&mut self, inlet: Inlet, count: Option<u32>) -> u64 {
        let last = match inlet {
            Inlet::Everyone => &mut self.everyone,
            Inlet::Host => &mut self.host,
        };
        let count = count.unwrap_or(0);
        // A socket that was opened anew counts from zero.
        let more = u64::from(count.checked_sub(*last).unwrap_or(count));
        self.since_join += more;
        self.since_start += more;
        *last = count;
        self.since_join
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_both_sockets_count_from_the_start_of_the_session() {
        let mut drops = Drops::default();
        assert_eq!(drops.note(Inlet::Everyone, Some(5)), 5);
        assert_eq!(drops.note(Inlet::Host, Some(3)), 8);
        drops.since_join = 0;
        assert_eq!(drops.note(Inlet::Everyone, Some(5)), 0);
        assert_eq!(drops.note(Inlet::Host, Some(4)), 1);
        assert_eq!(drops.note(Inlet::Host, Some(2)), 3, "a socket that was opened anew counts from zero");
        assert_eq!(drops.note(Inlet::Everyone, None), 3);
    }
}
