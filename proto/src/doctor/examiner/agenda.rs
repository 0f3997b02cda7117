//! What a diagnosis does next, by what its hosts have reported so far.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Examiner, Stage, Task};
use crate::doctor::evidence::{Heard, HostEvidence, Trial};
use crate::doctor::plans::{CONTROLS_MAX, ISLANDS_MAX, Place};
use crate::doctor::sending::{Order, Pace};
use crate::doctor::train::Way;
use crate::ids::HostName;
use crate::relay::Prefix;
use crate::wire::Step;

impl Examiner {
    /// Plans what follows after the reach step, or after a trial.
    pub(super) fn decide(&mut self, after: Place) {
        match after {
            Place::First if self.stage == Stage::Reach => {
                let all = self.answering(|_| true);
                if all.is_empty() {
                    self.tasks.push_back(Task::LateNotices);
                    return;
                }
                self.stage = Stage::Ladder;
                self.add_train(Place::First, &all, Pace::slow(UNICAST_PER_TICK));
                self.add_report(Place::First, all);
                self.tasks.push_back(Task::Decide(Place::First));
            }
            Place::First => {
                let deaf = self.answering(|host| heard(&host.first).is_some_and(Heard::is_nothing));
                if !deaf.is_empty() {
                    self.stage = Stage::JoinAgain;
                    self.add_trial(Place::Again, Step::JoinAgain, deaf, Pace::slow(0));
                }
                self.tasks.push_back(Task::Decide(Place::Again));
            }
            Place::Again => {
                self.add_islands();
                self.tasks.push_back(Task::Decide(Place::Islands));
            }
            Place::Islands => {
                self.add_control();
                self.add_rates();
                self.tasks.push_back(Task::LateNotices);
            }
            Place::Control | Place::Rate(_) => {}
        }
    }

    /// Has one host of each network pass probes on to the group there, where hosts hear nothing of this machine.
    fn add_islands(&mut self) {
        let is_unreached =
            |host: &HostEvidence| heard(&host.again).is_some_and(Heard::is_nothing) && host.address.is_some();
        let unreached = self.answering(is_unreached);
        let mut first_of: BTreeMap<Prefix, HostName> = BTreeMap::new();
        for name in &unreached {
            if let Some(address) = self.hosts.get(name).and_then(|host| host.address) {
                first_of.entry(network_of(address)).or_insert_with(|| name.clone());
            }
        }
        if first_of.is_empty() {
            return;
        }
        self.stage = Stage::Islands;
        let first: BTreeSet<HostName> = first_of.into_values().take(ISLANDS_MAX).collect();
        self.add_ask(Step::Snapshot, Place::Islands, unreached.clone());
        self.add_ask(Step::PassOn, Place::Islands, first.clone());
        self.add_train(Place::Islands, &first, Pace::slow(UNICAST_PER_TICK));
        self.add_report(Place::Islands, unreached);
    }

    /// Adds a train by both ways to some of the hosts that lose a part of what the group carries.
    fn add_control(&mut self) {
        let is_lossy = |host: &HostEvidence| {
            heard(&host.first)
                .is_some_and(|heard| heard.came > 0 && heard.lost_percent() >= CONTROL_FROM_PERCENT)
        };
        let lossy: BTreeSet<HostName> = self.answering(is_lossy).into_iter().take(CONTROLS_MAX).collect();
        if !lossy.is_empty() {
            self.stage = Stage::Control;
            let pace = Pace::slow(lossy.len());
            self.add_trial(Place::Control, Step::Snapshot, lossy, pace);
        }
    }

    fn add_rates(&mut self) {
        let hearing = self.answering(|host| heard(&host.first).is_some_and(|heard| heard.came > 0));
        for rate in std::mem::take(&mut self.config.rates) {
            if hearing.is_empty() {
                return;
            }
            self.stage = Stage::Rate(rate);
            let group = self.plans.per_tick(rate);
            let pace = Pace { group, unicast: group.into(), order: Order::InTurn };
            self.add_trial(Place::Rate(rate), Step::Snapshot, hearing.clone(), pace);
        }
    }

    /// Returns the names of hosts that take part and are such.
    fn answering(&self, is_such: impl Fn(&HostEvidence) -> bool) -> BTreeSet<HostName> {
        let hosts = self.hosts.values().filter(|host| host.answered() && is_such(host));
        hosts.map(|host| host.name.clone()).collect()
    }

    fn add_trial(&mut self, place: Place, step: Step, whom: BTreeSet<HostName>, pace: Pace) {
        self.add_ask(step, place, whom.clone());
        self.tasks.push_back(Task::Wait(SETTLE));
        self.add_train(place, &whom, pace);
        self.add_report(place, whom);
    }

    /// Adds a train to the group and to these hosts; at a rate, to one of them alone.
    fn add_train(&mut self, place: Place, whom: &BTreeSet<HostName>, pace: Pace) {
        let has_address = |name: &&HostName| self.hosts.get(*name).is_some_and(|host| host.address.is_some());
        let most = match place {
            Place::Again => 0,
            Place::Rate(_) => 1,
            Place::First | Place::Islands | Place::Control => whom.len(),
        };
        let to = whom.iter().filter(has_address).take(most).cloned().collect();
        self.tasks.push_back(Task::Train { place, to, pace });
    }

    fn add_report(&mut self, place: Place, whom: BTreeSet<HostName>) {
        self.tasks.push_back(Task::Wait(SETTLE));
        self.add_ask(Step::Report, place, whom);
    }

    fn add_ask(&mut self, step: Step, place: Place, whom: BTreeSet<HostName>) {
        self.tasks.push_back(Task::Ask { step, whom: Some(whom), wait: ASK_AGAIN, place });
    }
}

fn heard(trial: &Option<Trial>) -> Option<Heard> {
    trial.as_ref().map(|trial| trial.heard(Way::Group))
}

/// Returns the network that a host is taken to be in, as a push takes it, too: IPv4 /24, IPv6 /64.
pub(in crate::doctor) fn network_of(address: SocketAddr) -> Prefix {
    let ip = address.ip().to_canonical();
    Prefix::of(ip, if ip.is_ipv4() { 24 } else { 64 })
}

/// Time for which hosts are asked that have answered before.
const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// Time for the last datagrams to arrive, and for a switch to learn of a member.
const SETTLE: Duration = Duration::from_millis(150);
/// Ten thousand probes a second to hosts.
const UNICAST_PER_TICK: usize = 10;
/// Hosts that lose as much get a train by both ways.
const CONTROL_FROM_PERCENT: u32 = 3;
