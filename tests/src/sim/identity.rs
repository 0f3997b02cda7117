//! Who the hosts are: the name, the host key and the group key of each start, which names the push is for, and what the
//! sender knows of them. Most runs have nothing of it: each host has its own name and key, and no key is known before.
//!
//! Its draws come from dice of their own, so that runs without such a fault are what they would be without this file.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::sign::{PublicKey, SigningKey};
use zeroize::Zeroizing;

use super::Neighbour;
use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::insider::InsiderPlan;
use super::plan::{DiskPlan, Expecting, Leaving, Lists, Outage, Plan};

/// Who takes part in a run, and who claims to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    /// The hosts by number.
    pub(crate) hosts: Vec<Who>,
    /// The names that a push for named hosts is for.
    pub(crate) meant: BTreeSet<HostName>,
    /// The sender's known_hosts before the push.
    pub(crate) known: KnownHosts,
    /// Whether a sender that crashes comes back without its known_hosts.
    pub(crate) loses_known: bool,
    pub(crate) insider: Option<InsiderPlan>,
}

/// One host.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// The identity of its first start, and that of all later ones.
    pub(crate) starts: [Identity; 2],
    pub(crate) fault: Option<IdentityFault>,
}

/// What one start of a host is called, and which keys it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: HostName,
    /// What its host key is made of.
    pub(crate) key: String,
    /// Whether it has the key of the sender's group.
    pub(crate) in_group: bool,
}

/// What is unusual about a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityFault {
    /// Another key is known for its name.
    Changed,
    /// It comes back from an outage with another key.
    MadeAnew,
    /// It is a copy of this host, with its name and its key.
    CloneOf(usize),
    /// It has the name of this host, and a key of its own.
    NamesakeOf(usize),
    /// It has another name than the one that the push is for.
    Renamed,
    /// It comes back from an outage with another name.
    RenamedLater,
    /// The push is not for it.
    NotMeant,
    /// It has another group's key.
    OtherGroup,
    /// It has no room for the object, and has some when it comes back from an outage.
    FailsFirst,
    /// Its key is not known, and only known hosts take part.
    Unenrolled,
}

impl Identities {
    /// Draws who the hosts of a plan are; adds the outages and changes the lists of senders that this needs.
    pub(crate) fn draw(dice: &mut Dice, plan: &mut Plan) -> Self {
        let mut all = Self {
            hosts: (0..plan.hosts.len()).map(Who::plain).collect(),
            meant: (0..plan.hosts.len()).map(name_of).collect(),
            known: KnownHosts::default(),
            loses_known: dice.chance(0.3),
            insider: None,
        };
        let how = dice.below(10);
        if how < 4 {
            return all;
        }
        let enrolled = [0.0, 1.0, 1.0, dice.unit()][dice.below(4) as usize];
        for host in 0..plan.hosts.len() {
            if dice.chance(enrolled) {
                all.enroll(host);
            }
        }
        if dice.chance(0.25) {
            all.known.unknown = UnknownHosts::Refused;
        }
        if how < 8 {
            (0..plan.hosts.len()).for_each(|host| all.afflict(dice, plan, host));
        }
        if how >= 6 && plan.one_way.is_none() {
            all.insider = Some(InsiderPlan::draw(dice, plan));
            if all.insider.as_ref().is_some_and(|insider| insider.is_meant) {
                all.meant.insert(super::insider::name());
            }
        }
        all.note_unenrolled(plan.sender_crash.is_some());
        all
    }

    /// Returns hosts that all are known, beside this machine.
    pub(crate) fn quiet(hosts: usize, neighbour: Neighbour, calm: Duration) -> Self {
        let mut all = Self {
            hosts: (0..hosts).map(Who::plain).collect(),
            meant: (0..hosts).map(name_of).collect(),
            ..Self::default()
        };
        (0..hosts).for_each(|host| all.enroll(host));
        if neighbour != Neighbour::Nobody {
            all.insider = Some(InsiderPlan::everything(neighbour, calm));
        }
        if neighbour == Neighbour::Member {
            all.meant.insert(super::insider::name());
        }
        all
    }

    fn enroll(&mut self, host: usize) {
        let Identity { name, key, .. } = &self.hosts[host].starts[0];
        self.known.keys.insert(name.clone(), host_key(key).public());
    }

    fn afflict(&mut self, dice: &mut Dice, plan: &mut Plan, host: usize) {
        if !dice.chance(0.3) {
            return;
        }
        // The first host stays as it is, so that the push is for somebody.
        let other = dice.below(host.max(1) as u64) as usize;
        let anew = format!("{} made anew", name_of(host).as_str());
        let renamed = HostName::new(&format!("renamed-{host}")).expect("plain");
        let first = Who::plain(host).starts[0].clone();
        let (fault, starts) = match dice.below(9) {
            0 => {
                self.known.keys.insert(name_of(host), host_key("before").public());
                (IdentityFault::Changed, [first.clone(), first])
            }
            1 => (IdentityFault::MadeAnew, [first.clone(), Identity { key: anew, ..first }]),
            2 if host > 0 => {
                let of = Who::plain(other).starts[0].clone();
                (IdentityFault::CloneOf(other), [of.clone(), of])
            }
            3 if host > 0 => {
                let namesake = Identity { name: name_of(other), ..first };
                (IdentityFault::NamesakeOf(other), [namesake.clone(), namesake])
            }
            4 => {
                let other = Identity { name: renamed, ..first };
                (IdentityFault::Renamed, [other.clone(), other])
            }
            5 => (IdentityFault::RenamedLater, [first.clone(), Identity { name: renamed, ..first }]),
            6 if host > 0 => {
                self.meant.remove(&name_of(host));
                (IdentityFault::NotMeant, [first.clone(), first])
            }
            7 => {
                let other = Identity { in_group: false, ..first };
                (IdentityFault::OtherGroup, [other.clone(), other])
            }
            8 => {
                plan.hosts[host].disk =
                    DiskPlan { full_at_open: true, is_mended: true, ..DiskPlan::default() };
                (IdentityFault::FailsFirst, [first.clone(), first])
            }
            _ => return,
        };
        if matches!(fault, IdentityFault::CloneOf(_) | IdentityFault::NamesakeOf(_)) {
            self.meant.remove(&name_of(host));
            self.known.keys.remove(&name_of(host));
        }
        let is_later = matches!(
            fault,
            IdentityFault::MadeAnew | IdentityFault::RenamedLater | IdentityFault::FailsFirst
        );
        if is_later && plan.hosts[host].outages.is_empty() {
            let at = dice.time(plan.calm);
            let back_after = Some(Duration::from_secs_f64(dice.log_within(0.01, 15.0)).min(plan.calm - at));
            plan.hosts[host].outages = vec![Outage { at, back_after, how: Leaving::CrashAndLose }];
        }
        self.hosts[host] = Who { starts, fault: Some(fault) };
    }

    /// Marks the hosts that a sender which takes known ones alone refuses.
    fn note_unenrolled(&mut self, sender_crashes: bool) {
        if self.known.unknown == UnknownHosts::Refused {
            for who in &mut self.hosts {
                let is_known = |start: &Identity| self.known.keys.contains_key(&start.name);
                let is_forgotten = self.loses_known && sender_crashes;
                if who.fault.is_none() && (is_forgotten || !who.starts.iter().all(is_known)) {
                    who.fault = Some(IdentityFault::Unenrolled);
                }
            }
        }
    }

    /// Whether nothing about the identity of a host keeps it from counting as done: nobody else has its name.
    pub(crate) fn is_plain(&self, host: usize) -> bool {
        let name = &self.hosts[host].starts[0].name;
        let has_name = |who: &&Who| who.starts.iter().any(|start| start.name == *name);
        self.hosts[host].fault.is_none() && self.hosts.iter().filter(has_name).count() == 1
    }

    /// Whether somebody may take part under more than one name: a host that is renamed, or the hostile machine.
    pub(crate) fn has_more_names_than_hosts(&self) -> bool {
        let is_renamed = |who: &Who| who.starts[0].name != who.starts[1].name;
        self.hosts.iter().any(is_renamed) || self.insider.as_ref().is_some_and(InsiderPlan::takes_part)
    }

    /// Whether a host of this name is to have the object.
    pub(crate) fn is_meant(&self, expecting: Expecting, name: &HostName) -> bool {
        expecting != Expecting::Names || self.meant.contains(name)
    }

    /// Whether some start of a host has this name and this key.
    pub(crate) fn has_been(&self, host: usize, name: &HostName, key: PublicKey) -> bool {
        let is_it = |start: &Identity| start.name == *name && host_key(&start.key).public() == key;
        self.hosts[host].starts.iter().any(is_it)
    }

    pub(crate) fn note(&self, plan: &Plan, counts: &mut Counts) {
        for who in &self.hosts {
            let fault = match who.fault {
                Some(IdentityFault::Changed) => Fault::KeyChanged,
                Some(IdentityFault::MadeAnew) => Fault::MadeAnew,
                Some(IdentityFault::CloneOf(_)) => Fault::Cloned,
                Some(IdentityFault::NamesakeOf(_)) => Fault::Namesake,
                Some(IdentityFault::Renamed | IdentityFault::RenamedLater) => Fault::Renamed,
                Some(IdentityFault::NotMeant) if plan.expecting == Expecting::Names => Fault::NotMeant,
                Some(IdentityFault::OtherGroup) => Fault::OtherGroup,
                Some(IdentityFault::Unenrolled) => Fault::Unenrolled,
                Some(IdentityFault::NotMeant | IdentityFault::FailsFirst) | None => continue,
            };
            counts.note(fault);
        }
        counts.note_times(Fault::Insider, u64::from(self.insider.is_some()));
        counts.note_times(Fault::Enrolled, self.known.keys.len() as u64);
    }
}

impl Who {
    fn plain(host: usize) -> Self {
        let name = name_of(host);
        let start = Identity { key: name.as_str().to_owned(), name, in_group: true };
        Self { starts: [start.clone(), start], fault: None }
    }
}

impl Lists {
    /// Whether a host with this list can be told anything by somebody who is not its sender.
    pub(crate) fn is_closed(self) -> bool {
        self != Self::Nobody
    }
}

/// Returns the host key that is made of this text.
pub(crate) fn host_key(text: &str) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new(*blake3::hash(text.as_bytes()).as_bytes()))
}

fn name_of(host: usize) -> HostName {
    HostName::new(&format!("compute-{host}")).expect("plain")
}
