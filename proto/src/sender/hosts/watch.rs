//! What a person who watches a push wants to know of its hosts: which ones hold it back, and why, worst first. It names a
//! bounded number of them, so that it may be asked for each second with ten thousand hosts.

use std::collections::BTreeMap;

use super::Hosts;
use super::health::Sideline;
use super::host::{Host, UNREACHABLE};
use super::results::HostState;
use super::settlement::Start;
use crate::ids::{HostName, ReceiverId};

/// The hosts that hold a push back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The number of hosts for each reason that there is.
    pub counts: BTreeMap<Lag, u32>,
    /// Of each reason the first [`Watch::NAMED_MAX`] hosts: the worst reason first, and of one reason those first that
    /// hold least.
    pub hosts: Vec<Lagging>,
}

/// A host that holds a push back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lagging {
    /// Its name.
    pub name: HostName,
    /// In which way.
    pub lag: Lag,
    /// Blocks that it holds, of the whole object.
    pub blocks_held: u32,
    /// Why.
    pub cause: Option<LagCause>,
}

/// In which way a host holds a push back, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lag {
    /// It gave up.
    Failed,
    /// Somebody was heard under its name who does not take part.
    Refused,
    /// It hears announcements and no data.
    Unreachable,
    /// It stopped answering.
    Silent,
    /// It is served after the others.
    Sidelined,
    /// It is expected and was not heard yet.
    Unheard,
    /// It is at work on another push.
    Busy,
    /// Everything was sent, and it is not complete yet.
    Incomplete,
}

/// Why a host holds a push back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LagCause {
    /// It cannot keep up with the others.
    Sideline(Sideline),
    /// The reason in words.
    Words(String),
}

impl Watch {
    /// Hosts that are named for each reason.
    pub const NAMED_MAX: usize = 64;

    /// Returns the number of hosts with this reason.
    pub fn count(&self, lag: Lag) -> u32 {
        self.counts.get(&lag).copied().unwrap_or(0)
    }
}

impl Hosts {
    /// Returns the hosts that hold the push back. Hosts that only have not ended yet are among them if everything was sent.
    pub(in crate::sender) fn watch(&self, all_sent: bool) -> Watch {
        let mut found: BTreeMap<Lag, Vec<(u32, &HostName, Heard)>> = BTreeMap::new();
        for (id, start) in self.settlement.counted() {
            let host = &self.by_id[&id];
            if let Some(lag) = lag(host, start, all_sent) {
                found.entry(lag).or_default().push((host.blocks_held(), start.name(), Heard::Start(id)));
            }
        }
        for (name, reason) in self.settlement.refused() {
            found.entry(Lag::Refused).or_default().push((0, name, Heard::Stranger(reason)));
        }
        for name in self.settlement.unheard() {
            found.entry(Lag::Unheard).or_default().push((0, name, Heard::Nobody));
        }
        let counts = found.iter().map(|(&lag, hosts)| (lag, hosts.len() as u32)).collect();
        let hosts = found.into_iter().flat_map(|(lag, hosts)| {
            first(hosts, Watch::NAMED_MAX).into_iter().map(move |(blocks_held, name, heard)| Lagging {
                name: name.clone(),
                lag,
                blocks_held,
                cause: self.cause(lag, heard),
            })
        });
        Watch { counts, hosts: hosts.collect() }
    }

    fn cause(&self, lag: Lag, heard: Heard) -> Option<LagCause> {
        let host = match heard {
            Heard::Nobody => return None,
            Heard::Stranger(reason) => return Some(LagCause::Words(reason.to_owned())),
            Heard::Start(id) => &self.by_id[&id],
        };
        match lag {
            Lag::Failed => host.failure().map(|failure| LagCause::Words(failure.to_owned())),
            Lag::Unreachable => Some(LagCause::Words(UNREACHABLE.to_owned())),
            Lag::Sidelined => host.health.sidelined().map(LagCause::Sideline),
            Lag::Busy => Some(LagCause::Words(host.busy_with())),
            Lag::Refused | Lag::Silent | Lag::Unheard | Lag::Incomplete => None,
        }
    }
}

/// Who was heard under a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heard<'a> {
    Start(ReceiverId),
    /// Somebody who does not take part, for this reason.
    Stranger(&'a str),
    Nobody,
}

/// Returns the `max` smallest values in order.
fn first<T: Ord>(mut values: Vec<T>, max: usize) -> Vec<T> {
    if values.len() > max {
        values.select_nth_unstable(max);
        values.truncate(max);
    }
    values.sort_unstable();
    values
}

fn lag(host: &Host, start: &Start, all_sent: bool) -> Option<Lag> {
    match start.state() {
        HostState::Done | HostState::Existing => None,
        HostState::Failed => Some(Lag::Failed),
        HostState::Silent => Some(Lag::Silent),
        HostState::Busy => Some(Lag::Busy),
        HostState::Receiving if host.is_unreachable() => Some(Lag::Unreachable),
        HostState::Receiving if host.health.sidelined().is_some() => Some(Lag::Sidelined),
        HostState::Receiving => all_sent.then_some(Lag::Incomplete),
        HostState::NeverAnswered
        | HostState::OtherVersion
        | HostState::KeyChanged
        | HostState::UnknownKey => Some(Lag::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Serve;
    use super::super::testing::{at, done, failed, hosts_of, id, join, name, named, report};
    use super::*;

    fn lags(watch: &Watch) -> Vec<(Lag, &str)> {
        watch.hosts.iter().map(|host| (host.lag, host.name.as_str())).collect()
    }

    #[test]
    fn who_holds_the_push_back_is_named_worst_first() {
        let mut hosts = hosts_of(named(["c1", "c2", "c3", "c4", "c5"]));
        for (host, called) in [(1, "c1"), (2, "c2"), (3, "c3")] {
            join(&mut hosts, host, called, at(0));
        }
        done(&mut hosts, 1);
        failed(&mut hosts, 2);
        hosts.speaks_other_version(&name("c5"), "it speaks version 9");
        let watch = hosts.watch(false);
        assert_eq!(lags(&watch), [(Lag::Failed, "c2"), (Lag::Refused, "c5"), (Lag::Unheard, "c4")]);
        assert_eq!(watch.hosts[1].cause, Some(LagCause::Words("it speaks version 9".to_owned())));
        assert_eq!(lags(&hosts.watch(true)).last(), Some(&(Lag::Incomplete, "c3")));
        assert_eq!(hosts.watch(true).count(Lag::Incomplete), 1);
    }

    #[test]
    fn those_that_hold_least_are_named_first_and_no_more_than_the_bound() {
        let names: Vec<String> = (0..200).map(|i| format!("c{i:03}")).collect();
        let expected = names.iter().map(|text| name(text)).collect();
        let mut hosts = hosts_of(super::super::Expected::Named(expected));
        for (host, called) in names.iter().enumerate() {
            join(&mut hosts, host as u8, called, at(0));
            let report = crate::wire::Report { blocks_held: 200 - host as u32, ..report(1) };
            let serve = hosts.note_report(at(1), id(host as u8), &report, None, 0);
            assert!(serve == Serve::Now);
        }
        let watch = hosts.watch(true);
        assert_eq!((watch.count(Lag::Incomplete), watch.hosts.len()), (200, Watch::NAMED_MAX));
        assert_eq!((watch.hosts[0].name.as_str(), watch.hosts[0].blocks_held), ("c199", 1));
        assert_eq!(hosts.watch(false), Watch::default());
    }
}
