//! The rules that hold for every plan, each computed from the truth and from what the controller was told, without the code
//! of `plan`. Selections, windows, the arithmetic of the quorum and the merging of inventories are shared with it: a fault in
//! these goes unnoticed here, and they have tests of their own.

use std::collections::{BTreeMap, BTreeSet};

use glancecast_controller::plan::{
    Actual, By, Counting, Desired, Goal, Inventory, Plan, PushOrder, ServiceState, Start, Unpin, Way,
};
use glancecast_controller::policy::{Group, ImageId, Remove};
use glancecast_platform::units::RateChoice;
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use crate::shell::Shell;
use crate::world::{PlacedBy, World};

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A host gets what it lacks, as far as it has said lately.
    OnlyWhatLacks,
    /// One push of each way begins in a group, and none beside one that runs.
    OnePushAGroup,
    /// A host is in one push of policies, an image in one push of a group.
    OnePushAHost,
    /// Nothing goes to a host that no policy wants it on, that Nova does not use, or outside of the window.
    OnlyWhereWanted,
    /// Images longer than `max_image` and hosts without room are left alone.
    OnlyWhatFits,
    /// What failed rests for 1 min * 2^n.
    BacksOff,
    /// What was cancelled rests.
    Rests,
    /// What exceeds the guard was approved.
    Guarded,
    /// Unicast at a small rate is for at most two hosts that lack what more hosts hold; all others get the group's push.
    LateHosts,
    /// The highest priority begins.
    Priority,
    /// What no push of a policy has placed is not touched.
    NotForeign,
    /// What a policy wants is not let go, nor what one keeps.
    NotWanted,
    /// Successors have their quorum before anything is let go.
    AfterQuorum,
    /// Pushes end early if and only if no policy wants their image.
    Cancels,
    /// Each host of each policy is in one class.
    OneClass,
    /// The same arguments give the same plan.
    Deterministic,
    /// Nothing changes by time alone before `wake_at`.
    Wakes,
    /// All hosts hold what they should once nothing fails.
    Converges,
}

/// A rule that was broken.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) rule: Rule,
    pub(crate) at: WallClock,
    pub(crate) what: String,
}

/// What has happened that the rules are about, as long as the controller remembers it.
#[derive(Default)]
pub(crate) struct Trail {
    hosts: BTreeMap<(ImageId, HostName), (u32, WallClock)>,
    images: BTreeMap<(Group, ImageId), (u32, WallClock)>,
    cancelled: BTreeMap<(Group, ImageId), (WallClock, By)>,
}

impl Trail {
    pub(crate) fn host_failed(&mut self, image: &ImageId, host: &HostName, now: WallClock) {
        let failure = self.hosts.entry((image.clone(), host.clone())).or_insert((0, now));
        *failure = (failure.0 + 1, now);
    }

    pub(crate) fn host_done(&mut self, image: &ImageId, host: &HostName) {
        self.hosts.remove(&(image.clone(), host.clone()));
    }

    pub(crate) fn image_failed(&mut self, group: &Group, image: &ImageId, now: WallClock) {
        let failure = self.images.entry((group.clone(), image.clone())).or_insert((0, now));
        *failure = (failure.0 + 1, now);
    }

    pub(crate) fn image_done(&mut self, group: &Group, image: &ImageId) {
        self.images.remove(&(group.clone(), image.clone()));
    }

    pub(crate) fn cancelled(&mut self, key: &(Group, ImageId), now: WallClock, by: By) {
        self.cancelled.insert(key.clone(), (now, by));
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &(ImageId, HostName)> {
        self.hosts.keys()
    }
}

/// Checks a plan.
pub(crate) fn check(shell: &Shell, desired: &Desired, plan: &Plan) -> Result<(), Broken> {
    let cx = Context { world: &shell.world, actual: &shell.actual, trail: &shell.trail, desired };
    cx.classes(plan)?;
    cx.cancels(plan)?;
    let mut begun = Vec::new();
    for start in &plan.start {
        if let Start::New(order) = start {
            cx.order(order, &begun)?;
            begun.push(order);
        }
    }
    cx.groups(plan)?;
    plan.unpin.iter().try_for_each(|unpin| cx.unpin(unpin))
}

/// Plans again, from the same and from reordered arguments, and at a later time.
pub(crate) fn check_again(
    shell: &Shell,
    desired: &Desired,
    actual: &Actual,
    plan_of_now: &Plan,
    is_deep: bool,
) -> Result<(), Broken> {
    let now = shell.world.now;
    let broken = |rule, what: String| Err(Broken { rule, at: now, what });
    if !is_deep {
        return Ok(());
    }
    let mut turned = actual.clone();
    turned.active.reverse();
    turned.queued.reverse();
    let again = shell.planned(desired, &turned, now, shell.plans());
    if again != *plan_of_now {
        return broken(Rule::Deterministic, format!("{:?} and {:?}", plan_of_now.start, again.start));
    }
    let wake = plan_of_now.wake_at.unwrap_or(WallClock(now.0 + 86_400_000));
    if wake <= now {
        return broken(Rule::Wakes, format!("it wakes at {}", wake.0));
    }
    turned.memory = plan_of_now.memory.clone();
    let later = shell.planned(desired, &turned, WallClock(wake.0 - 1), shell.plans());
    if (&later.start, &later.unpin, &later.cancel) != (&again.start, &again.unpin, &again.cancel) {
        return broken(Rule::Wakes, format!("until {}: {:?} became {:?}", wake.0, again.start, later.start));
    }
    Ok(())
}

/// Returns a host that lacks an image that it should hold and can.
pub(crate) fn lacking(world: &World, desired: &Desired) -> Option<String> {
    for goal in &desired.goals {
        for (image, wanted) in &goal.images {
            let Ok(record) = &wanted.record else { continue };
            let counted = goal.hosts.iter().filter(|(_, counting)| **counting == Counting::Counted);
            for (name, host) in counted.filter_map(|(name, _)| world.hosts.get_key_value(name)) {
                let is_there = host.held.contains_key(image) || host.free() < record.size;
                if host.group == goal.policy.group && record.size <= goal.policy.max_image.0 && !is_there {
                    return Some(format!("{name} lacks {image} of {}", goal.policy.name));
                }
            }
        }
    }
    None
}

struct Context<'a> {
    world: &'a World,
    actual: &'a Actual,
    trail: &'a Trail,
    desired: &'a Desired,
}

impl Context<'_> {
    fn require(&self, is_so: bool, rule: Rule, what: impl FnOnce() -> String) -> Result<(), Broken> {
        if is_so { Ok(()) } else { Err(Broken { rule, at: self.world.now, what: what() }) }
    }

    fn goals(&self, group: &Group) -> impl Iterator<Item = &Goal> {
        self.desired.goals.iter().filter(move |goal| goal.policy.group == *group)
    }

    fn inventory(&self, group: &Group) -> Option<&Inventory> {
        self.actual.inventories.get(group)
    }

    /// Whether a host has said in the last quarter of an hour that it holds an image.
    fn says_it_holds(&self, group: &Group, host: &HostName, image: &ImageId) -> Option<bool> {
        let known = self.inventory(group)?.host(host)?;
        let is_recent = |at: WallClock| at.0 + 15 * MINUTE >= self.world.now.0;
        let has_answered = known.answered_at().is_some_and(is_recent);
        match known.copy(image) {
            Some(copy) => (has_answered || copy.delivered_at.is_some_and(is_recent)).then_some(true),
            None => has_answered.then_some(false),
        }
    }

    fn order(&self, order: &PushOrder, begun: &[&PushOrder]) -> Result<(), Broken> {
        let (group, image, now) = (&order.group, &order.image, self.world.now);
        let shown = || format!("{image} to {:?}", order.hosts.keys().collect::<Vec<_>>());
        self.require(!order.hosts.is_empty(), Rule::OnlyWhatLacks, shown)?;
        let runs = self.actual.active.iter().filter(|push| push.group == *group);
        for push in runs.clone() {
            self.require(push.way != order.way, Rule::OnePushAGroup, || {
                format!("{} while {} runs", shown(), push.id)
            })?;
            self.require(push.image != *image, Rule::OnePushAHost, || {
                format!("{} while {} runs", shown(), push.id)
            })?;
            let meets = push.hosts.is_empty() || push.hosts.iter().any(|host| order.hosts.contains_key(host));
            self.require(!meets, Rule::OnePushAHost, || format!("{} while {} runs", shown(), push.id))?;
        }
        for other in begun.iter().filter(|other| other.group == *group) {
            self.require(other.way != order.way, Rule::OnePushAGroup, || format!("{} twice", shown()))?;
            let meets = other.hosts.keys().any(|host| order.hosts.contains_key(host));
            self.require(!meets, Rule::OnePushAHost, || format!("{} twice", shown()))?;
        }
        if let Some((times, last)) = self.trail.images.get(&(group.clone(), image.clone())) {
            self.require(now >= rested(*times, *last), Rule::BacksOff, || {
                format!("{} after {times} failures", shown())
            })?;
        }
        if let Some((at, by)) = self.trail.cancelled.get(&(group.clone(), image.clone())) {
            let rest = if *by == By::Person { 60 * MINUTE } else { 10 * MINUTE };
            self.require(now.0 >= at.0 + rest, Rule::Rests, shown)?;
        }
        for (host, policies) in &order.hosts {
            self.host(order, host, policies)?;
        }
        self.late(order, begun)?;
        self.guard(order)
    }

    fn host(
        &self,
        order: &PushOrder,
        host: &HostName,
        policies: &BTreeSet<glancecast_controller::policy::PolicyName>,
    ) -> Result<(), Broken> {
        let (group, image, now) = (&order.group, &order.image, self.world.now);
        let shown = || format!("{image} to {host}");
        let truth = &self.world.hosts[host];
        let has_it = truth.held.get(image).is_some_and(|held| !held.is_news);
        self.require(!has_it, Rule::OnlyWhatLacks, || format!("{}, which holds it", shown()))?;
        let said = self.says_it_holds(group, host, image);
        self.require(said == Some(false), Rule::OnlyWhatLacks, || {
            format!("{}, which has said {said:?}", shown())
        })?;
        self.require(truth.nova == ServiceState::Up, Rule::OnlyWhereWanted, || {
            format!("{}: {:?}", shown(), truth.nova)
        })?;
        self.require(!policies.is_empty(), Rule::OnlyWhereWanted, shown)?;
        for name in policies {
            let goal = self.goals(group).find(|goal| goal.policy.name == *name);
            let wants =
                goal.is_some_and(|goal| goal.images.contains_key(image) && goal.hosts.contains_key(host));
            self.require(wants, Rule::OnlyWhereWanted, || format!("{} for {name}", shown()))?;
            let policy = &goal.expect("just found").policy;
            let is_open = policy.window.as_ref().is_none_or(|window| window.is_open(now));
            self.require(is_open, Rule::OnlyWhereWanted, || {
                format!("{} outside of the window of {name}", shown())
            })?;
            self.require(order.record.size <= policy.max_image.0, Rule::OnlyWhatFits, shown)?;
        }
        let free = self.inventory(group).and_then(|inventory| inventory.host(host)?.free_bytes());
        self.require(free.is_none_or(|free| free >= order.record.size), Rule::OnlyWhatFits, || {
            format!("{}: {free:?}", shown())
        })?;
        match self.trail.hosts.get(&(image.clone(), host.clone())) {
            Some((times, last)) => self.require(now >= rested(*times, *last), Rule::BacksOff, || {
                format!("{} after {times} failures, the last at {}", shown(), last.0 / 1_000)
            }),
            None => Ok(()),
        }
    }

    fn late(&self, order: &PushOrder, begun: &[&PushOrder]) -> Result<(), Broken> {
        let wanting = self.goals(&order.group).filter(|goal| goal.images.contains_key(&order.image));
        let counted =
            wanting.flat_map(|goal| &goal.hosts).filter(|(_, counting)| **counting == Counting::Counted);
        let hosts: BTreeSet<&HostName> = counted.map(|(host, _)| host).collect();
        let holds = |host: &&&HostName| self.says_it_holds(&order.group, host, &order.image) == Some(true);
        let holding = hosts.iter().filter(holds).count();
        match order.way {
            Way::Unicast => {
                let is_slow = matches!(order.rate, Some(RateChoice::AutoUpTo(rate) | RateChoice::Fixed(rate)) if rate.bits() <= 200_000_000);
                let is_late = order.hosts.len() <= 2 && holding > order.hosts.len() && is_slow;
                self.require(is_late, Rule::LateHosts, || format!("{holding} hold it: {order:?}"))
            }
            // Fewer hosts than are due may be in the order, because others take part in other pushes.
            Way::Group if self.actual.active.is_empty() && begun.is_empty() => {
                let is_crowd = order.hosts.len() > 2 || holding <= order.hosts.len();
                self.require(is_crowd, Rule::LateHosts, || format!("{holding} hold it: {order:?}"))
            }
            Way::Group => Ok(()),
        }
    }

    /// Checks the hosts that a policy alone wants the image on.
    fn guard(&self, order: &PushOrder) -> Result<(), Broken> {
        for goal in self.goals(&order.group) {
            let policy = &goal.policy;
            let its_own = order
                .hosts
                .values()
                .filter(|policies| policies.len() == 1 && policies.contains(&policy.name))
                .count();
            let is_small = its_own as u64 <= u64::from(policy.guard.hosts)
                && its_own as u64 * order.record.size <= policy.guard.bytes.0;
            let approval = self.actual.approvals.get(&policy.name);
            let is_approved = approval.is_some_and(|approval| {
                let is_valid = self.world.now.0 < approval.at.0 + 7 * 24 * 60 * MINUTE;
                is_valid
                    && approval.pending.images.contains(&order.image)
                    && its_own as u32 <= approval.pending.hosts
            });
            self.require(is_small || is_approved, Rule::Guarded, || {
                format!("{its_own} hosts for {}: {order:?}", policy.name)
            })?;
        }
        Ok(())
    }

    /// Checks what is about all pushes of a group.
    fn groups(&self, plan: &Plan) -> Result<(), Broken> {
        let groups: BTreeSet<&Group> = plan.waiting.iter().map(|waiting| &waiting.group).collect();
        for start in &plan.start {
            if let Start::Queued(id) = start {
                let push = self.actual.queued.iter().find(|push| push.id == *id);
                let is_open = push.is_some_and(|push| {
                    push.window.as_ref().is_none_or(|window| window.is_open(self.world.now))
                });
                self.require(is_open, Rule::OnlyWhereWanted, || format!("{id} outside of its window"))?;
                let group = push.map(|push| &push.group);
                let runs = self
                    .actual
                    .active
                    .iter()
                    .any(|push| Some(&push.group) == group && push.way == Way::Group);
                self.require(!runs, Rule::OnePushAGroup, || format!("{id} while another runs"))?;
                let of_group = |start: &&Start| match start {
                    Start::Queued(other) => {
                        self.actual.queued.iter().any(|push| push.id == *other && Some(&push.group) == group)
                    }
                    Start::New(order) => Some(&order.group) == group && order.way == Way::Group,
                };
                self.require(plan.start.iter().filter(of_group).count() == 1, Rule::OnePushAGroup, || {
                    format!("{id} and another")
                })?;
            }
        }
        for group in
            groups.into_iter().filter(|group| self.actual.active.iter().all(|push| push.group != **group))
        {
            let priority = |start: &Start| match start {
                Start::Queued(id) => self
                    .actual
                    .queued
                    .iter()
                    .find(|push| push.id == *id && push.group == *group)
                    .map(|push| push.priority),
                Start::New(order) => (order.group == *group).then_some(order.priority),
            };
            let highest = plan.start.iter().filter_map(priority).max();
            let waits =
                plan.waiting.iter().filter(|waiting| waiting.group == *group && waiting.opens.is_none());
            let first = waits.map(|waiting| waiting.priority).max();
            self.require(first <= highest, Rule::Priority, || {
                format!("{highest:?} begins, and {first:?} waits: {:?}", plan.start)
            })?;
        }
        Ok(())
    }

    fn unpin(&self, unpin: &Unpin) -> Result<(), Broken> {
        let Unpin { group, image, hosts } = unpin;
        for host in hosts {
            let shown = || format!("{image} on {host}");
            let placement = self.actual.placements.get(group, image, host);
            let held = self.world.hosts[host].held.get(image);
            self.require(placement.is_some(), Rule::NotForeign, shown)?;
            self.require(
                held.is_none_or(|held| held.by == PlacedBy::Policy || self.was_replaced(unpin, host)),
                Rule::NotForeign,
                || format!("{}: {held:?}", shown()),
            )?;
            let wanting = self
                .goals(group)
                .find(|goal| goal.images.contains_key(image) && goal.hosts.contains_key(host));
            self.require(wanting.is_none(), Rule::NotWanted, shown)?;
            let of = &placement.expect("just checked").policies;
            let name = placement.and_then(|placement| placement.name.as_ref());
            let left: Vec<&Goal> =
                self.desired.goals.iter().filter(|goal| of.contains(&goal.policy.name)).collect();
            self.require(!left.is_empty(), Rule::NotWanted, || {
                format!("{}: its policies are gone", shown())
            })?;
            for goal in left {
                self.require(goal.policy.remove == Remove::Unpin, Rule::NotWanted, || {
                    format!("{}: {} keeps it", shown(), goal.policy.name)
                })?;
                let namesakes =
                    goal.images.iter().filter(|(_, wanted)| wanted.name.as_ref() == name).map(|(id, _)| id);
                let mut successors: Vec<&ImageId> = namesakes.collect();
                if successors.is_empty() {
                    successors = goal.images.keys().collect();
                }
                self.require(!successors.is_empty(), Rule::AfterQuorum, || {
                    format!("{} without a successor", shown())
                })?;
                for successor in successors {
                    let counted: Vec<&HostName> = goal
                        .hosts
                        .iter()
                        .filter(|(_, counting)| **counting == Counting::Counted)
                        .map(|(host, _)| host)
                        .collect();
                    let holds = |host: &&&HostName| {
                        self.says_it_holds(&goal.policy.group, host, successor) == Some(true)
                    };
                    let holding = counted.iter().filter(holds).count();
                    let is_enough = holding > 0 && goal.policy.quorum.is_reached(holding, counted.len());
                    self.require(is_enough, Rule::AfterQuorum, || {
                        format!("{}: {holding} of {} hold {successor}", shown(), counted.len())
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Whether a person has put the image there again after a wipe that the controller cannot know of yet.
    fn was_replaced(&self, unpin: &Unpin, host: &HostName) -> bool {
        self.world.hosts[host].held.get(&unpin.image).is_some_and(|held| held.is_news)
    }

    fn cancels(&self, plan: &Plan) -> Result<(), Broken> {
        for push in &self.actual.active {
            let mut goals = self.goals(&push.group);
            let is_wanted = goals.any(|goal| {
                goal.images.contains_key(&push.image)
                    || goal.problems.iter().any(|problem| problem.leaves_doubt())
            });
            let is_ended = plan.cancel.contains(&push.id);
            let should = push.by == By::Policy && !is_wanted;
            self.require(is_ended == should, Rule::Cancels, || {
                format!("{push:?}: ended {is_ended}, wanted {is_wanted}")
            })?;
        }
        Ok(())
    }

    fn classes(&self, plan: &Plan) -> Result<(), Broken> {
        let names = plan.policies.iter().map(|status| &status.policy);
        let goals = self.desired.goals.iter().map(|goal| &goal.policy.name);
        self.require(names.eq(goals), Rule::OneClass, || "the policies differ".to_owned())?;
        for (goal, status) in self.desired.goals.iter().zip(&plan.policies) {
            let hosts: Vec<&HostName> = goal.hosts.keys().collect();
            let shown = || format!("{}: {hosts:?}, {:?}", status.policy, status.hosts);
            self.require(status.hosts.keys().eq(hosts.iter().copied()), Rule::OneClass, shown)?;
            self.require(status.counts.values().sum::<usize>() == hosts.len(), Rule::OneClass, shown)?;
            for image in &status.images {
                self.require(image.hosts.keys().eq(hosts.iter().copied()), Rule::OneClass, shown)?;
                for (host, why) in &image.hosts {
                    let says = why.class().as_str();
                    let is_up = self.world.hosts.get(host).is_some_and(|host| host.nova == ServiceState::Up);
                    self.require(why.class().is_counted() == is_up, Rule::OneClass, || {
                        format!("{host} is {says}")
                    })?;
                    let held = self.says_it_holds(&goal.policy.group, host, &image.image);
                    let is_right = says != "holding" || held == Some(true);
                    self.require(is_right, Rule::OneClass, || {
                        format!("{host} is {says}, and has said {held:?}")
                    })?;
                    self.require(!why.to_string().is_empty(), Rule::OneClass, || {
                        format!("{host} has no reason")
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Returns when a failure has rested.
fn rested(times: u32, last: WallClock) -> WallClock {
    let minutes = 1_u64.checked_shl(times - 1).unwrap_or(u64::MAX).min(360);
    WallClock(last.0 + minutes * MINUTE)
}

const MINUTE: u64 = 60_000;
