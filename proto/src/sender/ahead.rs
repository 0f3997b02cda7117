//! The number of repair symbols that are made with a block as it is read, before any host asks.

use crate::limits::HOSTS_MAX;

/// Returns the number of repair symbols that `hosts` hosts will lack of a block of `symbols` symbols at a loss of
/// `loss`, a share of the datagrams.
pub(super) fn repair_ahead(symbols: u32, loss: f64, hosts: u32) -> u32 {
    let lacking = f64::from(symbols) * loss.min(LOSS_MAX);
    let spread = lacking.sqrt() * deviations(hosts);
    (lacking + spread).max(0.0).ceil() as u32
}

/// Returns how far from the mean of what hosts lack to aim, in standard deviations. Half of the hosts lack less than
/// the mean, so with few hosts the mean would often be too much. Of thousands of hosts one always lacks far more, of
/// every block, and the round of reports in which it asks for it takes seconds.
fn deviations(hosts: u32) -> f64 {
    if hosts < FEW_HOSTS {
        return -0.7;
    }
    let share = (f64::from(hosts) / MANY_HOSTS_FROM).ln() / (HOSTS_MAX as f64 / MANY_HOSTS_FROM).ln();
    share.max(0.0) * DEVIATIONS_MAX
}

/// Largest loss that repair symbols are made ahead for: where more is lost, hosts differ more.
const LOSS_MAX: f64 = 0.2;
const FEW_HOSTS: u32 = 4;
const MANY_HOSTS_FROM: f64 = 16.0;
/// The deviations for ten thousand hosts: one in a million lacks more. A block of 1 MiB carries 1.8 % more at 1 % loss.
const DEVIATIONS_MAX: f64 = 4.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_hosts_there_are_the_more_is_made_ahead() {
        assert_eq!(repair_ahead(733, 0.0, 10_000), 0);
        let of = |hosts| repair_ahead(733, 0.01, hosts);
        assert_eq!([1, 4, 16, 10_000].map(of), [6, 8, 8, 21]);
        assert_eq!(repair_ahead(733, 0.9, 16), repair_ahead(733, LOSS_MAX, 16));
    }
}
