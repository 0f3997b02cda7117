//! What a query of a diagnosis has found, taken over as evidence of its hosts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Examiner;
use crate::doctor::asking::Asking;
use crate::doctor::counters::{Counters, Gauge};
use crate::doctor::evidence::{HostEvidence, Passing, Trial};
use crate::doctor::plans::{PASSED_PROBES, Place};
use crate::doctor::train::TrainPlan;
use crate::ids::HostName;
use crate::query::{HostAnswer, Standing};
use crate::wire::Step;

impl Examiner {
    /// Takes over what a query has found.
    pub(super) fn absorb(&mut self, asking: Asking) {
        let Asking { querier, step, place, before, targets, .. } = asking;
        let addresses: BTreeMap<HostName, SocketAddr> =
            querier.heard().map(|(name, at)| (name.clone(), at)).collect();
        let is_reach = place == Place::First && step == Step::Snapshot;
        for row in querier.rows() {
            let host =
                self.hosts.entry(row.name.clone()).or_insert_with(|| HostEvidence::new(row.name.clone()));
            let counters = Counters::from_wire(&row.counters);
            if is_reach {
                host.answered_the_group = match &before {
                    Some(before) => before.contains(&row.name) || !targets.contains_key(&row.name),
                    None => row.about.is_some(),
                };
                (host.standing, host.reason) = (row.standing, row.reason);
                host.at_start = row.about.is_some().then_some(counters);
                host.address = addresses.get(&row.name).copied().or(host.address);
            } else if step == Step::Report {
                self.keep_report(place, &row, counters);
            }
        }
        for first in querier.first_uses() {
            self.config.known.keys.insert(first.name, first.key);
        }
    }

    /// Keeps what a host reports of a train.
    fn keep_report(&mut self, place: Place, row: &HostAnswer, counters: Counters) {
        if row.standing != Standing::Answered || !counters.is(Gauge::TrainKnown) {
            return;
        }
        let passed_by = |gauge| self.passed_by(counters.get(gauge)?);
        let passing = (place == Place::Islands).then(|| Passing {
            passed_on: self.by_unicast_to.contains(&row.name).then(|| counters.or_zero(Gauge::PassedOn)),
            heard: [Gauge::FirstHeard, Gauge::LastHeard].into_iter().filter_map(passed_by).collect(),
        });
        let (by_group, by_unicast) = self.plans.of(place);
        let has_both = self.by_unicast_to.contains(&row.name);
        let by_unicast = if has_both { by_unicast } else { TrainPlan::default() };
        let Some(host) = self.hosts.get_mut(&row.name) else { return };
        let trial = Trial { by_group, by_unicast, counters };
        match place {
            Place::First => host.first = Some(trial),
            Place::Again => host.again = Some(trial),
            Place::Islands => host.passing = passing,
            Place::Control => host.control = Some(trial),
            Place::Rate(rate) => host.rates.push((rate, trial)),
        }
    }

    /// Returns the host for which the probe with this index was, of a train in which each host has its own.
    fn passed_by(&self, index: u64) -> Option<HostName> {
        let place = usize::try_from(index).ok()? / usize::from(PASSED_PROBES);
        self.by_unicast_to.iter().nth(place).cloned()
    }
}
