//! The hosts of a push: who was heard, who is done, who is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{HostName, ReceiverId, Sequence};
use crate::limits::HOSTS_MAX;
use crate::seal::Cipher;
use crate::time::Moment;
use crate::wire::{Discard, Done, Failed, Hello, Totals};

/// Who must hold the object for the push to be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These hosts.
    Named(BTreeSet<HostName>),
    /// So many hosts, whoever they are.
    Count(u32),
    /// Every host that answers, and at least one.
    Anyone,
}

/// What became of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its name.
    pub name: HostName,
    /// What became of it.
    pub state: HostState,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// From the start of the push to its last word, or to being done.
    pub time: Option<Duration>,
    /// Blocks that it holds, of the whole object.
    pub blocks_held: u32,
    /// Its counters.
    pub totals: Totals,
}

/// What became of a host, in the words of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// It takes part.
    Receiving,
    /// It is at work on another push and will take part.
    Busy,
    /// It holds a proven, published copy.
    Done,
    /// It held the same bytes already.
    Existing,
    /// It gave up.
    Failed,
    /// It took part and has not been heard for a while.
    Silent,
    /// It was expected and never heard.
    NeverAnswered,
    /// It speaks another version of the protocol.
    OtherVersion,
}

impl HostState {
    /// What a host says of itself.
    pub(super) fn of(hello: &Hello) -> Self {
        if hello.busy { Self::Busy } else { Self::Receiving }
    }

    /// Whether the host holds a proven copy.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Existing)
    }

    /// Whether nothing more will come of this host, as far as one can know.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Existing | Self::Failed | Self::OtherVersion)
    }

    /// The word in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiving => "incomplete",
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Existing => "existing",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::NeverAnswered => "never_answered",
            Self::OtherVersion => "other_version",
        }
    }
}

/// One start of one receiver.
pub(super) struct Host {
    pub(super) name: HostName,
    pub(super) cipher: Cipher,
    pub(super) state: HostState,
    pub(super) reason: Option<String>,
    pub(super) slot: u32,
    pub(super) blocks_held: u32,
    pub(super) totals: Totals,
    last_sequence: Sequence,
    heard: Moment,
    /// A later start of the same name has taken its place.
    superseded: bool,
}

/// All hosts that were heard, and those that are expected.
pub(super) struct Hosts {
    expected: Expected,
    by_id: BTreeMap<ReceiverId, Host>,
    other_versions: BTreeMap<HostName, String>,
    last_joined: Option<Moment>,
}

impl Hosts {
    pub(super) fn new(expected: Expected) -> Self {
        Self { expected, by_id: BTreeMap::new(), other_versions: BTreeMap::new(), last_joined: None }
    }

    pub(super) fn get(&mut self, id: ReceiverId) -> Option<&mut Host> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn expected_count(&self) -> u32 {
        match &self.expected {
            Expected::Named(names) => names.len() as u32,
            Expected::Count(count) => *count,
            Expected::Anyone => 0,
        }
    }

    /// Hosts that may answer a poll: the larger of those expected and those known.
    pub(super) fn answering(&self) -> u32 {
        (self.by_id.len() as u32).max(self.expected_count()).max(1)
    }

    /// A host's hello under a key that opened it. True if it is a new one; of a known one nothing changes, as the hello
    /// may be an old one that is repeated.
    ///
    /// A second start of a name takes the place of the first; should the first be heard again, both are alive, and
    /// both are named.
    pub(super) fn join(
        &mut self,
        now: Moment,
        id: ReceiverId,
        cipher: impl FnOnce() -> Cipher,
        hello: &Hello,
    ) -> Result<bool, Discard> {
        if self.by_id.contains_key(&id) {
            return Ok(false);
        }
        if self.by_id.len() >= HOSTS_MAX {
            return Err(Discard::UnknownHost);
        }
        for other in self.by_id.values_mut().filter(|other| other.name == hello.name) {
            other.superseded = true;
        }
        self.other_versions.remove(&hello.name);
        self.last_joined = Some(now);
        let host = Host {
            name: hello.name.clone(),
            cipher: cipher(),
            state: HostState::of(hello),
            reason: None,
            slot: self.by_id.len() as u32,
            blocks_held: 0,
            totals: Totals::default(),
            last_sequence: Sequence::default(),
            heard: now,
            superseded: false,
        };
        self.by_id.insert(id, host);
        Ok(true)
    }

    /// Notes that a host spoke; refuses what is not newer than its last word.
    pub(super) fn heard(&mut self, now: Moment, id: ReceiverId, sequence: Sequence) -> Result<(), Discard> {
        let host = self.by_id.get_mut(&id).ok_or(Discard::UnknownHost)?;
        if sequence <= host.last_sequence {
            return Err(Discard::Replayed);
        }
        host.last_sequence = sequence;
        if !host.state.is_settled() {
            host.heard = now;
            if host.state == HostState::Silent {
                host.state = HostState::Receiving;
            }
        }
        if host.superseded {
            host.superseded = false;
            let name = host.name.clone();
            self.name_clash(&name);
        }
        Ok(())
    }

    pub(super) fn done(&mut self, now: Moment, id: ReceiverId, done: &Done, blocks: u32) {
        if let Some(host) = self.by_id.get_mut(&id).filter(|host| !host.state.is_settled()) {
            host.state = if done.existing { HostState::Existing } else { HostState::Done };
            host.reason = None;
            host.heard = now;
            host.blocks_held = blocks;
            host.totals = done.totals;
        }
    }

    pub(super) fn failed(&mut self, now: Moment, id: ReceiverId, failed: &Failed) {
        if let Some(host) = self.by_id.get_mut(&id).filter(|host| !host.state.is_settled()) {
            host.state = HostState::Failed;
            host.reason = Some(failed.reason.clone());
            host.heard = now;
            host.totals = failed.totals;
        }
    }

    /// Notes that a host speaks another version; true if that is news. A host that takes part is not one of them.
    pub(super) fn speaks_other_version(&mut self, name: &HostName, what: &str) -> bool {
        let news = self.other_versions.len() < HOSTS_MAX
            && !self.other_versions.contains_key(name)
            && !self.by_id.values().any(|host| &host.name == name);
        if news {
            self.other_versions.insert(name.clone(), what.to_owned());
        }
        news
    }

    /// Marks hosts that were not heard for [`SILENT_AFTER`]; gives their names.
    pub(super) fn mark_silent(&mut self, now: Moment) -> Vec<HostName> {
        let silent = self.by_id.values_mut().filter(|host| {
            matches!(host.state, HostState::Receiving | HostState::Busy)
                && !host.superseded
                && now.since(host.heard) >= SILENT_AFTER
        });
        silent
            .map(|host| {
                host.state = HostState::Silent;
                host.name.clone()
            })
            .collect()
    }

    /// Whether all that the push waits for has come to its end. With nobody expected, it waits a moment after the
    /// last host joined, as others may follow, and for a while where nobody answers.
    pub(super) fn settled(&self, now: Moment, pass_ended: Moment) -> bool {
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| self.settled_name(name)),
            Expected::Count(count) => {
                let settled = self.live().filter(|host| host.state.is_settled()).count();
                settled + self.other_versions.len() >= *count as usize
            }
            Expected::Anyone => match self.last_joined {
                None => now.since(pass_ended) >= NOBODY_AFTER,
                Some(joined) => {
                    now.since(joined.max(pass_ended)) >= JOIN_LINGER
                        && self.live().all(|host| host.state.is_settled() || host.state == HostState::Silent)
                }
            },
        }
    }

    /// Whether every expected host holds a proven copy.
    pub(super) fn complete(&self) -> bool {
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| {
                let mut hosts = self.live().filter(|host| &host.name == name).peekable();
                hosts.peek().is_some() && hosts.all(|host| host.state.is_done())
            }),
            Expected::Count(count) => {
                self.live().filter(|host| host.state.is_done()).count() >= *count as usize
                    && self.live().all(|host| host.state != HostState::Failed)
            }
            Expected::Anyone => {
                self.last_joined.is_some()
                    && self.other_versions.is_empty()
                    && self.live().all(|host| host.state.is_done())
            }
        }
    }

    /// One row for each host that was heard or is expected, by name.
    pub(super) fn rows(&self, start: Moment) -> Vec<HostRow> {
        let mut rows: Vec<HostRow> = self.live().map(|host| host.row(start)).collect();
        rows.extend(
            self.other_versions.iter().map(|(name, what)| absent(name, HostState::OtherVersion, what)),
        );
        if let Expected::Named(names) = &self.expected {
            let missing = names.iter().filter(|name| !rows.iter().any(|row| &row.name == *name));
            let missing: Vec<HostRow> = missing
                .map(|name| {
                    absent(
                        name,
                        HostState::NeverAnswered,
                        "it never answered: is glancecastd running there, \
                     with this group, this key and a path to this network?",
                    )
                })
                .collect();
            rows.extend(missing);
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    fn live(&self) -> impl Iterator<Item = &Host> {
        self.by_id.values().filter(|host| !host.superseded)
    }

    fn settled_name(&self, name: &HostName) -> bool {
        let mut hosts = self.live().filter(|host| &host.name == name).peekable();
        match hosts.peek() {
            None => self.other_versions.contains_key(name),
            Some(_) => hosts.all(|host| host.state.is_settled()),
        }
    }

    fn name_clash(&mut self, name: &HostName) {
        for host in self.by_id.values_mut().filter(|host| &host.name == name && !host.superseded) {
            host.reason = Some(format!("two receivers call themselves {name}: give each its own --name"));
        }
    }
}

impl Host {
    fn row(&self, start: Moment) -> HostRow {
        let reason = match (&self.reason, self.state) {
            (Some(reason), _) => Some(reason.clone()),
            (None, HostState::Silent) => Some("it stopped answering".to_owned()),
            (None, HostState::Receiving) => Some("it was not complete when the push ended".to_owned()),
            (None, HostState::Busy) => Some("it was at work on another push".to_owned()),
            (None, _) => None,
        };
        HostRow {
            name: self.name.clone(),
            state: self.state,
            reason,
            time: Some(self.heard.since(start)),
            blocks_held: self.blocks_held,
            totals: self.totals,
        }
    }
}

fn absent(name: &HostName, state: HostState, reason: &str) -> HostRow {
    HostRow {
        name: name.clone(),
        state,
        reason: Some(reason.to_owned()),
        time: None,
        blocks_held: 0,
        totals: Totals::default(),
    }
}

/// A host that was not heard for so long is called silent: many polls, and longer than any disk stalls.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(10);

/// With no host expected by name or number: how long after the last hello another may still come.
const JOIN_LINGER: Duration = Duration::from_secs(1);

/// With no host expected by name or number: how long to call when nobody answers.
const NOBODY_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::integrity::Root;
    use crate::seal::GroupKey;
    use crate::wire::FailureKind;

    #[test]
    fn a_second_start_takes_the_place_of_the_first() {
        let mut hosts = Hosts::new(named(["a"]));
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(1_000));
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        done(&mut hosts, 2);
        assert!(hosts.settled(at(2_000), at(0)) && hosts.complete());
        assert_eq!(hosts.mark_silent(at(60_000)), [], "nobody waits for the first");
    }

    #[test]
    fn two_living_receivers_of_one_name_are_both_named() {
        let mut hosts = Hosts::new(named(["a"]));
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(0));
        hosts.heard(at(1), id(1), sequence(2)).expect("newer");
        let rows = hosts.rows(at(0));
        assert_eq!(rows.len(), 2);
        for row in rows {
            let reason = row.reason.expect("said of both");
            assert!(reason.contains("two receivers call themselves a"), "{reason}");
        }
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(2), at(0)) && !hosts.complete());
        done(&mut hosts, 2);
        assert!(hosts.settled(at(2), at(0)) && hosts.complete());
    }

    #[test]
    fn done_is_not_taken_back() {
        let mut hosts = Hosts::new(Expected::Anyone);
        join(&mut hosts, 1, "a", at(0));
        done(&mut hosts, 1);
        failed(&mut hosts, 1);
        join(&mut hosts, 1, "a", at(1));
        hosts.mark_silent(at(60_000));
        assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
        assert_eq!(hosts.rows(at(0))[0].reason, None);
    }

    #[test]
    fn failed_is_not_taken_back() {
        let mut hosts = Hosts::new(Expected::Anyone);
        join(&mut hosts, 1, "a", at(0));
        failed(&mut hosts, 1);
        done(&mut hosts, 1);
        assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
        assert!(!hosts.complete());
    }

    #[test]
    fn a_number_that_was_heard_is_refused() {
        let mut hosts = Hosts::new(Expected::Anyone);
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(hosts.heard(at(1), id(1), sequence(5)), Ok(()));
        assert_eq!(hosts.heard(at(2), id(1), sequence(5)), Err(Discard::Replayed));
        assert_eq!(hosts.heard(at(3), id(1), sequence(4)), Err(Discard::Replayed));
        assert_eq!(hosts.heard(at(4), id(1), sequence(6)), Ok(()));
        assert_eq!(hosts.heard(at(5), id(2), sequence(6)), Err(Discard::UnknownHost));
    }

    #[test]
    fn a_silent_host_comes_back() {
        let mut hosts = Hosts::new(Expected::Anyone);
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(hosts.mark_silent(at(9_999)), []);
        assert_eq!(hosts.mark_silent(at(10_000)), [name("a")]);
        assert_eq!(hosts.mark_silent(at(10_001)), [], "told once");
        assert_eq!(states(&hosts), [("a".into(), HostState::Silent)]);
        hosts.heard(at(20_000), id(1), sequence(9)).expect("newer");
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        assert_eq!(hosts.mark_silent(at(29_999)), []);
    }

    #[test]
    fn named_hosts_are_waited_for_and_others_are_not() {
        let mut hosts = Hosts::new(named(["a", "b"]));
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 3, "stranger", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(1), at(0)), "b has not answered");
        join(&mut hosts, 2, "b", at(2));
        assert!(!hosts.settled(at(3), at(0)));
        failed(&mut hosts, 2);
        assert!(hosts.settled(at(4), at(0)) && !hosts.complete());
        assert_eq!(states(&hosts).len(), 3, "the stranger is in the table");
    }

    #[test]
    fn named_hosts_are_complete_when_all_are_done() {
        let mut hosts = Hosts::new(named(["a", "b"]));
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "b", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.complete());
        existing(&mut hosts, 2);
        assert!(hosts.settled(at(1), at(0)) && hosts.complete());
    }

    #[test]
    fn a_named_host_that_never_answers_has_a_row_that_says_so() {
        let hosts = Hosts::new(named(["a"]));
        assert_eq!(states(&hosts), [("a".into(), HostState::NeverAnswered)]);
        assert!(hosts.rows(at(0))[0].reason.is_some());
        assert!(!hosts.settled(at(60_000), at(0)) && !hosts.complete());
    }

    #[test]
    fn a_silent_host_that_is_named_is_waited_for() {
        let mut hosts = Hosts::new(named(["a"]));
        join(&mut hosts, 1, "a", at(0));
        hosts.mark_silent(at(20_000));
        assert!(!hosts.settled(at(20_000), at(0)));
    }

    #[test]
    fn a_count_is_reached_by_whoever_is_done() {
        let mut hosts = Hosts::new(Expected::Count(2));
        for (host, name) in [(1, "a"), (2, "b"), (3, "c")] {
            join(&mut hosts, host, name, at(0));
        }
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(1), at(0)));
        done(&mut hosts, 3);
        assert!(hosts.settled(at(2), at(0)) && hosts.complete());
    }

    #[test]
    fn a_count_with_a_failed_host_is_settled_and_not_complete() {
        let mut hosts = Hosts::new(Expected::Count(2));
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "b", at(0));
        done(&mut hosts, 1);
        failed(&mut hosts, 2);
        assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
    }

    #[test]
    fn with_nobody_expected_all_who_answer_are_waited_for_and_a_moment_longer() {
        let mut hosts = Hosts::new(Expected::Anyone);
        join(&mut hosts, 1, "a", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(5_999), at(5_000)), "a second after the pass");
        assert!(hosts.settled(at(6_000), at(5_000)));
        join(&mut hosts, 2, "b", at(5_900));
        assert!(!hosts.settled(at(10_000), at(5_000)));
        hosts.mark_silent(at(20_000));
        assert!(hosts.settled(at(20_000), at(5_000)), "a silent one is not waited for");
        assert!(!hosts.complete());
    }

    #[test]
    fn with_nobody_expected_and_nobody_there_the_push_ends_incomplete() {
        let hosts = Hosts::new(Expected::Anyone);
        assert!(!hosts.settled(at(14_999), at(5_000)));
        assert!(hosts.settled(at(15_000), at(5_000)) && !hosts.complete());
    }

    #[test]
    fn a_host_of_another_version_is_settled_and_not_complete() {
        for expected in [named(["a"]), Expected::Count(1)] {
            let mut hosts = Hosts::new(expected);
            assert!(hosts.speaks_other_version(&name("a"), "it speaks version 2"));
            assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "no news");
            assert_eq!(states(&hosts), [("a".into(), HostState::OtherVersion)]);
            assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
        }
    }

    #[test]
    fn a_host_that_was_upgraded_is_of_another_version_no_more() {
        let mut hosts = Hosts::new(named(["a"]));
        hosts.speaks_other_version(&name("a"), "it speaks version 2");
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "an old notice");
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    }

    #[test]
    fn reports_are_spread_over_those_expected_and_those_known() {
        let mut hosts = Hosts::new(Expected::Count(2));
        assert_eq!(hosts.answering(), 2);
        (1..=3).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
        assert_eq!(hosts.answering(), 3);
        let slots: Vec<u32> = (1..=3).map(|host| hosts.get(id(host)).expect("joined").slot).collect();
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!(Hosts::new(Expected::Anyone).answering(), 1);
    }

    fn named<const N: usize>(names: [&str; N]) -> Expected {
        Expected::Named(names.into_iter().map(name).collect())
    }

    fn join(hosts: &mut Hosts, host: u8, called: &str, now: Moment) {
        let hello = Hello { name: name(called), software: String::new(), busy: false };
        let cipher = || Cipher::upward(&GroupKey::new([1; 32]), SessionId([1; 16]), id(host));
        hosts.join(now, id(host), cipher, &hello).expect("room");
    }

    fn done(hosts: &mut Hosts, host: u8) {
        let done = Done { root: Root([0; 32]), existing: false, totals: Totals::default() };
        hosts.done(at(1), id(host), &done, 1);
    }

    fn existing(hosts: &mut Hosts, host: u8) {
        let done = Done { root: Root([0; 32]), existing: true, totals: Totals::default() };
        hosts.done(at(1), id(host), &done, 1);
    }

    fn failed(hosts: &mut Hosts, host: u8) {
        let reason = "no space".to_owned();
        let failed = Failed { kind: FailureKind::NoSpace, reason, totals: Totals::default() };
        hosts.failed(at(1), id(host), &failed);
    }

    fn states(hosts: &Hosts) -> Vec<(String, HostState)> {
        hosts.rows(at(0)).into_iter().map(|row| (row.name.to_string(), row.state)).collect()
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }

    fn id(host: u8) -> ReceiverId {
        ReceiverId([host; 8])
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }
}
