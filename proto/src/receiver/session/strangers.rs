//! Addresses other than the sender's from which symbols came that opened. In peace there are none: what they name is who
//! may have forged symbols, for the log alone, as addresses can be forged too.

use std::net::SocketAddr;

/// The first few addresses, and how many symbols came from each.
#[derive(Default)]
pub(super) struct Strangers(Vec<(SocketAddr, u64)>);

impl Strangers {
    /// Notes a symbol from this address.
    pub(super) fn note(&mut self, from: SocketAddr) {
        if let Some((_, symbols)) = self.0.iter_mut().find(|(known, _)| *known == from) {
            *symbols += 1;
        } else if self.0.len() < STRANGERS_MAX {
            self.0.push((from, 1));
        }
    }

    /// Returns the addresses with the number of symbols from each.
    pub(super) fn list(&self) -> Vec<(SocketAddr, u64)> {
        self.0.clone()
    }
}

/// Addresses that are remembered; symbols of further ones are not counted.
const STRANGERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_addresses_are_counted() {
        let mut strangers = Strangers::default();
        for number in [1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 9, 1] {
            strangers.note(([10, 0, 0, number], 9).into());
        }
        let list = strangers.list();
        assert_eq!(list.len(), STRANGERS_MAX);
        assert_eq!(list[0], (([10, 0, 0, 1], 9).into(), 3));
    }
}
