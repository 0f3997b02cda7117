//! Runs of symbols at once, for simulations of thousands of hosts in which symbols have no bytes. The programs do
//! not contain this: it and the few functions that it calls are behind the feature `simulation`.

use super::{Admission, Receiver};
use crate::time::Moment;
use crate::wire::{Discard, SymbolHeader};

impl<U: Clone, E> Receiver<U, E> {
    /// Handles `count` symbols of one block in a row from `first` on, with consecutive sequences and ids: the same
    /// as admitting each, and then accepting it or noting it as spare.
    pub fn accept_run(&mut self, now: Moment, first: &SymbolHeader, count: u32, datagram_bytes: usize) {
        let nth = |n: u32| {
            let esi = first.esi.plus(n).expect("ids are handed out in range");
            SymbolHeader { sequence: first.sequence.plus(n), esi, ..*first }
        };
        if count == 0 {
            return;
        }
        let admission = match self.admit(first) {
            Ok(admission) => admission,
            Err(reason) => return self.discards.count_times(reason, u64::from(count - 1)),
        };
        if let Admission::Spare(reason @ (Discard::NotNeeded | Discard::NoBuffer | Discard::FarAhead)) =
            admission
        {
            self.discards.count_times(reason, u64::from(count));
        }
        let session = self.session.as_mut().expect("admitted to a session");
        let taken = session.accept_run(now, first, count, datagram_bytes, admission);
        if taken > 0 {
            if taken < count {
                self.accept_run(now, &nth(taken), count - taken, datagram_bytes);
            }
            return;
        }
        for header in (0..count).map(nth) {
            match self.admit(&header) {
                Ok(Admission::To(place)) => self.accept(now, &header, place, datagram_bytes),
                Ok(Admission::Spare(reason)) => self.note_spare(now, &header, datagram_bytes, reason),
                Err(_) => {}
            }
        }
    }
}
