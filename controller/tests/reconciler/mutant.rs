//! Reconcilers that are broken on purpose: what the rules miss in them, they would miss in the real one. `plan` has no such
//! code: its arguments, or what it returns, are altered.

use glancecast_controller::plan::{
    Actual, Answer, Counting, Desired, HeldCopy, Inventory, Pinned, Placement, Plan, Problem, Start, Task,
    Way,
};
use glancecast_controller::policy::{Quorum, Remove, Size};
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use crate::oracle::{Rule, Trail};

/// The ways in which reconcilers are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Not at all.
    None,
    /// It pushes to a host that holds the image.
    PushesAgain,
    /// It takes an answer to an old question for the newest word.
    TrustsOldAnswers,
    /// It takes hosts that were not heard for hosts that hold nothing.
    TakesSilenceForLack,
    /// It forgets what runs.
    ForgetsWhatRuns,
    /// It pushes to hosts that are down in Nova.
    CountsDown,
    /// It ignores windows.
    IgnoresWindows,
    /// It ignores `max_image`.
    IgnoresMaxImage,
    /// It ignores how much room hosts have.
    IgnoresRoom,
    /// It tries what has failed again at once.
    NeverBacksOff,
    /// It never tries again what has failed once.
    NeverTriesAgain,
    /// It begins again what a person has cancelled.
    IgnoresCancels,
    /// It ignores the guard.
    IgnoresGuard,
    /// It sends to late hosts at full rate.
    HurriesLateHosts,
    /// It sends everything by unicast.
    SendsAllByUnicast,
    /// It begins the push of the lowest priority.
    TurnsPriorities,
    /// It records what a host had before as its own.
    ClaimsWhatWasThere,
    /// It takes every pin for its own.
    ClaimsAllPins,
    /// It lets go what a policy keeps.
    NeverKeeps,
    /// It lets go before the successors have arrived.
    LetsGoEarly,
    /// It lets go what another policy wants.
    LetsGoWanted,
    /// It goes on with pushes that nobody wants.
    NeverEnds,
    /// It gives a host up.
    GivesAHostUp,
    /// It begins a push to hosts that take part in another one.
    MeetsBusyHosts,
    /// Its plans depend on how often it was asked.
    Wavers,
    /// It sleeps too long.
    Oversleeps,
    /// It loses a host in its report.
    LosesAHost,
}

impl Mutant {
    /// All ways but [`Self::None`].
    pub(crate) const ALL: [Self; 26] = [
        Self::PushesAgain,
        Self::TrustsOldAnswers,
        Self::TakesSilenceForLack,
        Self::ForgetsWhatRuns,
        Self::CountsDown,
        Self::IgnoresWindows,
        Self::IgnoresMaxImage,
        Self::IgnoresRoom,
        Self::NeverBacksOff,
        Self::NeverTriesAgain,
        Self::IgnoresCancels,
        Self::IgnoresGuard,
        Self::HurriesLateHosts,
        Self::SendsAllByUnicast,
        Self::TurnsPriorities,
        Self::ClaimsWhatWasThere,
        Self::ClaimsAllPins,
        Self::NeverKeeps,
        Self::LetsGoEarly,
        Self::LetsGoWanted,
        Self::NeverEnds,
        Self::GivesAHostUp,
        Self::MeetsBusyHosts,
        Self::Wavers,
        Self::Oversleeps,
        Self::LosesAHost,
    ];

    /// The rule that it breaks.
    pub(crate) const fn breaks(self) -> Option<Rule> {
        match self {
            Self::None => None,
            Self::PushesAgain | Self::TrustsOldAnswers | Self::TakesSilenceForLack => {
                Some(Rule::OnlyWhatLacks)
            }
            Self::ForgetsWhatRuns => Some(Rule::OnePushAGroup),
            Self::CountsDown | Self::LosesAHost => Some(Rule::OneClass),
            Self::IgnoresWindows => Some(Rule::OnlyWhereWanted),
            Self::IgnoresMaxImage | Self::IgnoresRoom => Some(Rule::OnlyWhatFits),
            Self::NeverBacksOff => Some(Rule::BacksOff),
            Self::NeverTriesAgain | Self::GivesAHostUp => Some(Rule::Converges),
            Self::MeetsBusyHosts => Some(Rule::OnePushAHost),
            Self::IgnoresCancels => Some(Rule::Rests),
            Self::IgnoresGuard => Some(Rule::Guarded),
            Self::HurriesLateHosts | Self::SendsAllByUnicast => Some(Rule::LateHosts),
            Self::TurnsPriorities => Some(Rule::Priority),
            Self::ClaimsWhatWasThere | Self::ClaimsAllPins => Some(Rule::NotForeign),
            Self::NeverKeeps | Self::LetsGoWanted => Some(Rule::NotWanted),
            Self::LetsGoEarly => Some(Rule::AfterQuorum),
            Self::NeverEnds => Some(Rule::Cancels),
            Self::Wavers => Some(Rule::Deterministic),
            Self::Oversleeps => Some(Rule::Wakes),
        }
    }

    /// Alters what the plan is made of.
    pub(crate) fn alter_input(self, desired: &mut Desired, actual: &mut Actual, trail: &Trail) {
        match self {
            Self::TakesSilenceForLack => self.fill_silence(desired, actual),
            Self::ForgetsWhatRuns => actual.active.clear(),
            Self::CountsDown => {
                let hosts = desired.goals.iter_mut().flat_map(|goal| goal.hosts.values_mut());
                hosts.filter(|host| **host == Counting::Down).for_each(|host| *host = Counting::Counted);
            }
            Self::IgnoresWindows => desired.goals.iter_mut().for_each(|goal| goal.policy.window = None),
            Self::IgnoresMaxImage => {
                desired.goals.iter_mut().for_each(|goal| goal.policy.max_image = Size(u64::MAX));
            }
            Self::IgnoresRoom => {
                for inventory in actual.inventories.values_mut() {
                    let known: Vec<(HostName, Answer)> =
                        inventory.hosts().map(|(name, host)| (name.clone(), with_room(host))).collect();
                    *inventory = Inventory::default();
                    known.into_iter().for_each(|(name, answer)| inventory.answered(name, answer));
                }
            }
            Self::NeverBacksOff => actual.failures = glancecast_controller::plan::Failures::default(),
            Self::NeverTriesAgain => {
                let forever = glancecast_controller::plan::Failure {
                    times: 9,
                    last: WallClock(0),
                    reason: String::new(),
                };
                for (image, host) in trail.failures() {
                    let last = WallClock(
                        actual
                            .inventories
                            .values()
                            .filter_map(|one| one.host(host))
                            .filter_map(|host| Some(host.answered_at()?.0))
                            .max()
                            .unwrap_or(0),
                    );
                    let failure = glancecast_controller::plan::Failure { last, ..forever.clone() };
                    actual.failures.restore(Task::Push, image.clone(), host.clone(), failure);
                }
            }
            Self::IgnoresCancels => actual.cancelled.clear(),
            Self::GivesAHostUp => {
                let host = HostName::new("c0").expect("a name");
                for inventory in
                    actual.inventories.values_mut().filter(|inventory| inventory.host(&host).is_some())
                {
                    inventory.troubled(&host, "given up");
                }
            }
            Self::MeetsBusyHosts => {
                let nobody = HostName::new("nobody").expect("a name");
                actual.active.iter_mut().for_each(|push| push.hosts = [nobody.clone()].into());
            }
            Self::IgnoresGuard => {
                desired.goals.iter_mut().for_each(|goal| {
                    goal.policy.guard.hosts = u32::MAX;
                    goal.policy.guard.bytes = Size(u64::MAX);
                });
            }
            Self::TurnsPriorities => {
                desired.goals.iter_mut().for_each(|goal| goal.policy.priority *= -1);
                actual.queued.iter_mut().for_each(|push| push.priority *= -1);
            }
            Self::ClaimsAllPins => claim_pins(desired, actual),
            Self::NeverKeeps => desired.goals.iter_mut().for_each(|goal| goal.policy.remove = Remove::Unpin),
            Self::LetsGoEarly => {
                let least = Quorum::from_hundredths(1).expect("a share");
                desired.goals.iter_mut().for_each(|goal| goal.policy.quorum = least);
            }
            _ => {}
        }
    }

    fn fill_silence(self, desired: &Desired, actual: &mut Actual) {
        for goal in &desired.goals {
            let inventory = actual.inventories.entry(goal.policy.group.clone()).or_default();
            for host in
                goal.hosts.keys().filter(|host| inventory.host(host).is_none()).cloned().collect::<Vec<_>>()
            {
                let now = WallClock(u64::MAX / 2);
                let answer =
                    Answer { asked_at: now, heard_at: now, free_bytes: None, copies: Default::default() };
                inventory.answered(host, answer);
            }
        }
    }

    /// Alters the plan.
    pub(crate) fn alter_plan(self, plan: &mut Plan, actual: &Actual, plans: u64) {
        match self {
            Self::PushesAgain => {
                for start in &mut plan.start {
                    let Start::New(order) = start else { continue };
                    let Some(inventory) = actual.inventories.get(&order.group) else { continue };
                    let policies = order.hosts.values().next().expect("a host").clone();
                    let holders = inventory.hosts().filter(|(_, known)| known.copy(&order.image).is_some());
                    order.hosts.extend(holders.map(|(host, _)| (host.clone(), policies.clone())));
                }
            }
            Self::HurriesLateHosts => {
                for start in &mut plan.start {
                    if let Start::New(order) = start {
                        order.rate = None;
                    }
                }
            }
            Self::SendsAllByUnicast => {
                for start in &mut plan.start {
                    if let Start::New(order) = start {
                        order.way = Way::Unicast;
                    }
                }
            }
            Self::TurnsPriorities => {
                for start in &mut plan.start {
                    if let Start::New(order) = start {
                        order.priority *= -1;
                    }
                }
                plan.waiting.iter_mut().for_each(|waiting| waiting.priority *= -1);
            }
            Self::LetsGoWanted => {
                let pinned = actual.placements.iter().next();
                plan.unpin.extend(pinned.map(|(group, image, host, _)| glancecast_controller::plan::Unpin {
                    group: group.clone(),
                    image: image.clone(),
                    hosts: [host.clone()].into(),
                }));
            }
            Self::NeverEnds => plan.cancel.clear(),
            Self::Wavers if plans % 2 == 1 => drop(plan.start.pop()),
            Self::Oversleeps => plan.wake_at = plan.wake_at.map(|at| WallClock(at.0 + 3_600_000)),
            Self::LosesAHost => {
                plan.policies.iter_mut().for_each(|status| drop(status.hosts.pop_last()));
            }
            _ => {}
        }
    }

    /// Takes in an answer.
    pub(crate) fn answer(self, inventory: &mut Inventory, host: HostName, answer: Answer) {
        if self == Self::TrustsOldAnswers {
            inventory.forget(&host);
        }
        inventory.answered(host, answer);
    }
}

fn with_room(host: &glancecast_controller::plan::HostInventory) -> Answer {
    Answer {
        asked_at: WallClock(0),
        heard_at: host.answered_at().unwrap_or(WallClock(0)),
        free_bytes: None,
        copies: host
            .copies()
            .map(|(image, copy)| (image.clone(), HeldCopy { delivered_at: None, ..copy.clone() }))
            .collect(),
    }
}

/// Records each pin that a host has as placed by the first policy.
fn claim_pins(desired: &Desired, actual: &mut Actual) {
    let Some(goal) = desired.goals.first().filter(|goal| !goal.problems.iter().any(Problem::leaves_doubt))
    else {
        return;
    };
    let Some(inventory) = actual.inventories.get(&goal.policy.group) else { return };
    for (host, known) in inventory.hosts() {
        for (image, copy) in known.copies().filter(|(_, copy)| copy.pinned == Pinned::Yes) {
            let placement =
                Placement { policies: [goal.policy.name.clone()].into(), name: None, root: copy.root };
            actual.placements.add(goal.policy.group.clone(), image.clone(), host.clone(), placement);
        }
    }
}
