//! Runs of symbols at once, for simulations in which symbols have no bytes. The programs do not contain this.

use std::net::SocketAddr;

use super::{Candidate, Refused, Relay, Targets};
use crate::time::Moment;
use crate::wire::{Header, Kind, SymbolHeader};

impl Relay {
    /// Handles `count` symbols in a row from `first` on, of `bytes` bytes each, which came by unicast and open: the same as
    /// expecting, opening and admitting each.
    ///
    /// # Errors
    /// Why none of them is forwarded; the reason is counted already.
    pub fn admit_run(
        &mut self,
        now: Moment,
        from: SocketAddr,
        first: &SymbolHeader,
        count: u32,
        bytes: usize,
    ) -> Result<Targets<'_>, Refused> {
        let header = Header { kind: Kind::Symbol, tag: first.tag, sequence: first.sequence };
        let expected = self.check_header(now, from, header, bytes * count as usize);
        let Candidate { tag, sequence, bytes } = expected.map_err(|reason| self.refuse(reason))?;
        let at = self.leases.iter().position(|leased| leased.member.session.tag() == tag);
        let leased = &mut self.leases[at.expect("it was found")];
        leased.window.note_run(sequence, count);
        leased.counts.came += u64::from(count);
        self.counts.came += u64::from(count);
        if !self.rate.take(now, leased.copies() * bytes as u64) {
            leased.counts.dropped_rate += u64::from(count);
            self.counts.dropped_rate += u64::from(count);
            return Err(self.refuse(Refused::OverRate));
        }
        let route = &self.leases[at.expect("it was found")].route;
        Ok(Targets { group: route.group, children: &route.children })
    }
}
