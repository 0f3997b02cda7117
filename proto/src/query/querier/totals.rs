//! Counts over all hosts that are kept up to date with each change, because ten thousand hosts are too many to go
//! through for each datagram.

use super::host::Host;
use super::place::{Judgement, Settlement};
use crate::query::results::Tally;

/// The counts of one query.
#[derive(Default)]
pub(super) struct Totals {
    heard: u32,
    settled: u32,
    verifying: u32,
    /// Hosts may claim any 64-bit numbers, and what was added has to be subtracted again.
    hashed: u128,
    to_hash: u128,
    /// Names by what is awaited of them.
    pub(super) settlements: Settlements,
    findings: u32,
}

/// How many names are settled, and how.
#[derive(Default)]
pub(super) struct Settlements([usize; 4]);

impl Settlements {
    pub(super) fn of(&self, settlement: Settlement) -> usize {
        self.0[settlement as usize]
    }
}

impl Totals {
    /// Counts a host in.
    pub(super) fn add(&mut self, host: &Host) {
        if !host.counts() {
            return;
        }
        self.heard += 1;
        self.settled += u32::from(host.is_settled());
        if let Some(hashing) = host.hashing() {
            self.verifying += 1;
            self.hashed += u128::from(hashing.done);
            self.to_hash += u128::from(hashing.of);
        }
    }

    /// Counts a host out, which is as it was when it was counted in.
    pub(super) fn subtract(&mut self, host: &Host) {
        if !host.counts() {
            return;
        }
        self.heard -= 1;
        self.settled -= u32::from(host.is_settled());
        if let Some(hashing) = host.hashing() {
            self.verifying -= 1;
            self.hashed -= u128::from(hashing.done);
            self.to_hash -= u128::from(hashing.of);
        }
    }

    /// Notes that a name is judged anew. One that was never judged counts as open, which is not counted.
    pub(super) fn judge(&mut self, was: Judgement, is: Judgement) {
        if was.settlement != Settlement::Open {
            self.settlements.0[was.settlement as usize] -= 1;
        }
        if is.settlement != Settlement::Open {
            self.settlements.0[is.settlement as usize] += 1;
        }
        self.findings = self.findings - u32::from(was.is_finding) + u32::from(is.is_finding);
    }

    pub(super) fn tally(&self) -> Tally {
        let bytes = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Tally {
            heard: self.heard,
            settled: self.settled,
            verifying: self.verifying,
            hashed: bytes(self.hashed),
            to_hash: bytes(self.to_hash),
            findings: self.findings,
        }
    }
}
