//! A controller around `plan`, with children that take simulated time: what it knows, what it does, what happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use glancecast_controller::plan::{
    ActivePush, Actual, Answer, By, Cancelled, Class, Desired, HeldCopy, Pinned, Placement, Plan, PushId,
    PushOrder, Start, Task, Unpin, Way, plan, select,
};
use glancecast_controller::policy::{Group, ImageId};
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;
use glancecast_testkit::Rng;

use crate::mutant::Mutant;
use crate::oracle::{self, Broken, Rule, Trail};
use crate::world::{Daemon, Held, PlacedBy, World};

pub(crate) struct Shell {
    pub(crate) rng: Rng,
    mutant: Mutant,
    pub(crate) world: World,
    pub(crate) actual: Actual,
    pub(crate) trail: Trail,
    pub(crate) children: BTreeMap<PushId, Child>,
    /// Questions whose answers are on their way.
    pub(crate) answers: Vec<(Group, HostName, Answer)>,
    pub(crate) unpins: Vec<Unpin>,
    pub(crate) last_inventory: WallClock,
    pub(crate) pushes: u64,
    telling: Telling,
    sums: Sums,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Silent,
    Aloud,
}

/// A push that runs, and when it ends.
pub(crate) struct Child {
    ends: WallClock,
    pub(crate) hosts: BTreeSet<HostName>,
    /// The policies that get the placements; none for a person.
    order: Option<PushOrder>,
}

impl Child {
    pub(crate) fn placed_by(&self) -> PlacedBy {
        if self.order.is_some() { PlacedBy::Policy } else { PlacedBy::Person }
    }
}

/// What has happened, so that a run in which nothing did is noticed.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    plans: u64,
    group_pushes: u64,
    late_pushes: u64,
    persons_pushes: u64,
    delivered: u64,
    failed: u64,
    cancels: u64,
    unpins: u64,
    by_class: BTreeMap<&'static str, u64>,
}

impl Sums {
    pub(crate) fn add(&mut self, other: Self) {
        self.plans += other.plans;
        self.group_pushes += other.group_pushes;
        self.late_pushes += other.late_pushes;
        self.persons_pushes += other.persons_pushes;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.cancels += other.cancels;
        self.unpins += other.unpins;
        for (class, count) in other.by_class {
            *self.by_class.entry(class).or_default() += count;
        }
    }

    /// Everything that the rules are about has happened.
    pub(crate) fn assert_all_happened(&self, clouds: u64) {
        let counts = [
            self.group_pushes,
            self.late_pushes,
            self.persons_pushes,
            self.delivered,
            self.failed,
            self.cancels,
            self.unpins,
        ];
        assert!(clouds < 500 || counts.iter().all(|count| *count > clouds / 50), "{self:?}");
        let classes = Class::ALL.map(|class| self.by_class.get(class.as_str()).copied().unwrap_or(0));
        assert!(clouds < 500 || classes.iter().all(|count| *count > clouds / 50), "{self:?}");
    }
}

impl Shell {
    pub(crate) fn new(seed: u64, mutant: Mutant) -> Self {
        let mut rng = Rng::new(seed);
        let world = World::new(&mut rng);
        let last_inventory = WallClock(0);
        Self {
            rng,
            mutant,
            world,
            actual: Actual::default(),
            trail: Trail::default(),
            children: BTreeMap::new(),
            answers: Vec::new(),
            unpins: Vec::new(),
            last_inventory,
            pushes: 0,
            telling: Telling::Silent,
            sums: Sums::default(),
        }
    }

    /// Runs the cloud to its end.
    pub(crate) fn run(mut self, telling: Telling) -> Result<Sums, Broken> {
        self.telling = telling;
        for _ in 0..20 + self.rng.below(40) {
            self.something_happens();
            self.step()?;
            let seconds = [60, 60, 60, 300, 3_600][self.rng.index(5)];
            let wait = 1_000 * (1 + self.rng.below(seconds));
            self.wait(wait);
        }
        self.calm_down();
        let mut idle = 0;
        for _ in 0..CALM_STEPS {
            let last = self.step()?;
            self.approve(&last);
            let ends = self.children.values().map(|child| child.ends).min();
            let is_busy = !self.unpins.is_empty() || !last.unpin.is_empty() || !last.start.is_empty();
            let is_unsure =
                !self.answers.is_empty() || last.policies.iter().any(|status| status.needs_approval);
            match (ends, until(&last)) {
                (Some(ends), _) => self.wait_until(ends),
                (None, _) if is_busy || is_unsure => self.wait(60_000),
                (None, Some(until)) => self.wait_until(until),
                // An inventory later, and nothing has come up.
                (None, None) if idle == 2 => return self.converged(),
                (None, None) => {
                    idle += 1;
                    self.wait(300_000);
                }
            }
        }
        self.broken(Rule::Converges, format!("it goes on for ever: {:?}", self.actual.active))
    }

    /// One round of the reconcile loop.
    fn step(&mut self) -> Result<Plan, Broken> {
        self.end_children();
        self.take_inventory();
        self.actual.forget_lost_placements();
        self.end_unpins();
        let mut desired = select(&self.world.listed_policies(), &self.world.catalog());
        let intended = desired.clone();
        let mut actual = self.actual.clone();
        self.mutant.alter_input(&mut desired, &mut actual, &self.trail);
        let plan = self.planned(&desired, &actual, self.world.now, self.sums.plans);
        self.sums.plans += 1;
        oracle::check(self, &intended, &plan)?;
        let is_deep = self.rng.one_in(8);
        oracle::check_again(self, &desired, &actual, &plan, is_deep)?;
        for class in plan.policies.iter().flat_map(|policy| policy.hosts.values()).map(|why| why.class()) {
            *self.sums.by_class.entry(class.as_str()).or_default() += 1;
        }
        self.carry_out(&intended, &plan);
        Ok(plan)
    }

    /// Returns what the reconciler, sound or broken, plans when it is asked for the time after `asked` others.
    pub(crate) fn planned(&self, desired: &Desired, actual: &Actual, now: WallClock, asked: u64) -> Plan {
        let mut plan = plan(desired, actual, now);
        self.mutant.alter_plan(&mut plan, &self.actual, asked);
        plan
    }

    /// The number of plans that were made.
    pub(crate) fn plans(&self) -> u64 {
        self.sums.plans
    }

    fn carry_out(&mut self, desired: &Desired, plan: &Plan) {
        self.actual.memory = plan.memory.clone();
        for id in &plan.cancel {
            self.sums.cancels += 1;
            self.cancel(id, By::Policy);
        }
        for start in &plan.start {
            match start {
                Start::Queued(id) => {
                    self.sums.persons_pushes += 1;
                    let at = self.actual.queued.iter().position(|push| push.id == *id).expect("it waits");
                    let push = self.actual.queued.remove(at);
                    let Some(image) = self.world.some_image(&mut self.rng) else { continue };
                    let hosts = self.world.hosts.keys().filter(|_| self.rng.one_in(2)).cloned().collect();
                    self.start(id.clone(), push.group, image, hosts, Way::Group, None);
                }
                Start::New(order) => {
                    match order.way {
                        Way::Group => self.sums.group_pushes += 1,
                        Way::Unicast => self.sums.late_pushes += 1,
                    }
                    self.pushes += 1;
                    let id = PushId(format!("policy-{}", self.pushes));
                    let hosts = order.hosts.keys().cloned().collect();
                    self.start(
                        id,
                        order.group.clone(),
                        order.image.clone(),
                        hosts,
                        order.way,
                        Some(order.clone()),
                    );
                }
            }
        }
        for unpin in &plan.unpin {
            self.tell(|| format!("unpin {unpin:?}"));
            self.sums.unpins += 1;
            let pairs =
                unpin.hosts.iter().map(|host| (unpin.group.clone(), unpin.image.clone(), host.clone()));
            self.actual.unpinning.extend(pairs);
            self.unpins.push(unpin.clone());
        }
        let is_there = |image: &ImageId| desired.goals.iter().any(|goal| goal.images.contains_key(image));
        if self.rng.one_in(20) {
            self.actual.roots.retain(is_there);
        }
    }

    fn start(
        &mut self,
        id: PushId,
        group: Group,
        image: ImageId,
        hosts: BTreeSet<HostName>,
        way: Way,
        order: Option<PushOrder>,
    ) {
        self.tell(|| format!("push {id} of {image} begins to {hosts:?}"));
        let by = if order.is_some() { By::Policy } else { By::Person };
        let everyone = order.is_none() && self.rng.one_in(4);
        let meant = if everyone { BTreeSet::new() } else { hosts.clone() };
        self.actual.active.push(ActivePush { id: id.clone(), group, image, hosts: meant, way, by });
        let ends = WallClock(self.world.now.0 + 1_000 * (30 + self.rng.below(900)));
        self.children.insert(id, Child { ends, hosts, order });
    }

    /// Ends the children whose time has come. Their verdict is recorded.
    fn end_children(&mut self) {
        let due = self.children.iter().filter(|(_, child)| child.ends <= self.world.now);
        for id in due.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let child = self.children.remove(&id).expect("it runs");
            let at = self.actual.active.iter().position(|push| push.id == id).expect("it is known");
            let push = self.actual.active.remove(at);
            if self.world.glance_is_away || !self.world.images.contains_key(&push.image) {
                self.actual.failures.record_image(&push.group, &push.image, self.world.now, "Glance is away");
                self.trail.image_failed(&push.group, &push.image, self.world.now);
                continue;
            }
            self.actual.failures.clear_image(&push.group, &push.image);
            self.trail.image_done(&push.group, &push.image);
            for host in &child.hosts {
                self.end_on_host(&push, &child, host);
            }
        }
    }

    fn end_on_host(&mut self, push: &ActivePush, child: &Child, host: &HostName) {
        let (now, image) = (self.world.now, &push.image);
        let outcome = deliver(&mut self.world, push, host, child.placed_by(), false);
        match &outcome {
            Delivered::NotMeant => return,
            Delivered::Failed(reason) => {
                self.sums.failed += 1;
                self.actual.failures.record(Task::Push, image, host, now, reason);
                self.trail.host_failed(image, host, now);
                return;
            }
            Delivered::Done => self.sums.delivered += 1,
            Delivered::Existing => {}
        }
        let held = self
            .world
            .hosts
            .get_mut(host)
            .and_then(|host| host.held.get_mut(image))
            .expect("it was delivered");
        held.is_news = false;
        let (root, size, pinned) = (held.root, held.size, held.pinned);
        self.actual.failures.clear(Task::Push, image, host);
        self.trail.host_done(image, host);
        let inventory = self.actual.inventories.entry(push.group.clone()).or_default();
        inventory.delivered(host.clone(), now, image.clone(), root, size, pinned);
        let Some(order) = &child.order else {
            if matches!(outcome, Delivered::Done) {
                self.actual.placements.remove(&push.group, image, host);
            }
            return;
        };
        if matches!(outcome, Delivered::Done) || self.mutant == Mutant::ClaimsWhatWasThere {
            let placement = Placement { policies: order.hosts[host].clone(), name: order.name.clone(), root };
            self.actual.placements.add(push.group.clone(), image.clone(), host.clone(), placement);
            self.actual.roots.learn(image.clone(), order.record.clone(), root);
        }
    }

    /// Asks all hosts each 5 minutes. Answers may be late.
    fn take_inventory(&mut self) {
        let late = std::mem::take(&mut self.answers);
        for (group, host, answer) in late {
            self.take_answer(group, host, answer);
        }
        let is_due = self.world.now.0 >= self.last_inventory.0 + 300_000 || self.rng.one_in(4);
        if !is_due {
            return;
        }
        self.last_inventory = self.world.now;
        for (name, host) in &self.world.hosts {
            if host.daemon == Daemon::Down {
                continue;
            }
            let copy = |held: &Held| HeldCopy {
                root: held.root,
                bytes: held.size,
                pinned: held.pinned,
                delivered_at: None,
            };
            let answer = Answer {
                asked_at: self.world.now,
                heard_at: self.world.now,
                free_bytes: Some(host.free()),
                copies: host.held.iter().map(|(image, held)| (image.clone(), copy(held))).collect(),
            };
            self.answers.push((host.group.clone(), name.clone(), answer));
        }
        if !self.rng.one_in(4) {
            let now = std::mem::take(&mut self.answers);
            for (group, host, answer) in now {
                self.take_answer(group, host, answer);
            }
        }
    }

    fn take_answer(&mut self, group: Group, host: HostName, answer: Answer) {
        let inventory = self.actual.inventories.entry(group).or_default();
        let truth = self.world.hosts.get_mut(&host).expect("hosts stay");
        for held in truth.held.values_mut().filter(|held| held.since <= answer.asked_at) {
            held.is_news = false;
        }
        self.mutant.answer(inventory, host, answer);
    }

    fn end_unpins(&mut self) {
        for Unpin { group, image, hosts } in std::mem::take(&mut self.unpins) {
            for host in hosts {
                self.actual.unpinning.remove(&(group.clone(), image.clone(), host.clone()));
                let truth = self.world.hosts.get_mut(&host).expect("hosts stay");
                if truth.daemon != Daemon::Up {
                    self.actual.failures.record(Task::Unpin, &image, &host, self.world.now, "no answer");
                    continue;
                }
                if let Some(held) = truth.held.get_mut(&image) {
                    held.pinned = Pinned::No;
                }
                self.actual.failures.clear(Task::Unpin, &image, &host);
                if let Some(inventory) = self.actual.inventories.get_mut(&group) {
                    inventory.unpinned(&host, &image);
                }
                self.actual.placements.remove(&group, &image, &host);
            }
        }
    }

    pub(crate) fn cancel(&mut self, id: &PushId, by: By) {
        let Some(at) = self.actual.active.iter().position(|push| push.id == *id) else { return };
        let push = self.actual.active.remove(at);
        self.children.remove(id);
        self.tell(|| format!("push {id} of {} is cancelled by {by:?}", push.image));
        let key = (push.group, push.image);
        self.trail.cancelled(&key, self.world.now, by);
        self.actual.cancelled.insert(key, Cancelled { at: self.world.now, by });
    }

    /// A person approves what needs it.
    fn approve(&mut self, plan: &Plan) {
        for status in plan.policies.iter().filter(|status| status.needs_approval) {
            self.actual.approvals.insert(status.policy.clone(), status.approval(self.world.now));
        }
    }

    /// Checks that each host holds what it should, when nothing runs and nothing waits.
    fn converged(self) -> Result<Sums, Broken> {
        let desired = select(&self.world.listed_policies(), &self.world.catalog());
        match oracle::lacking(&self.world, &desired) {
            None => Ok(self.sums),
            Some(lack) => self.broken(Rule::Converges, format!("{lack}, and nothing is going to happen")),
        }
    }

    fn wait(&mut self, millis: u64) {
        self.world.now.0 += millis;
    }

    fn wait_until(&mut self, at: WallClock) {
        self.world.now = self.world.now.max(at);
        self.last_inventory = WallClock(0);
    }

    fn broken<T>(&self, rule: Rule, what: String) -> Result<T, Broken> {
        Err(Broken { rule, at: self.world.now, what })
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.telling == Telling::Aloud {
            println!("{} {}", self.world.now.0 / 1_000, what());
        }
    }
}

/// Returns the first time at which a reason ends: the rows of the API have it.
fn until(plan: &Plan) -> Option<WallClock> {
    let images = plan.policies.iter().flat_map(|policy| &policy.images);
    let until =
        |why| serde_json::to_value(why).expect("a row").get("until_ms").and_then(serde_json::Value::as_u64);
    images.flat_map(|image| image.hosts.values()).filter_map(until).min().map(WallClock)
}

/// What became of a push on one host.
pub(crate) enum Delivered {
    Done,
    Existing,
    Failed(&'static str),
    NotMeant,
}

pub(crate) fn deliver(
    world: &mut World,
    push: &ActivePush,
    host: &HostName,
    by: PlacedBy,
    is_news: bool,
) -> Delivered {
    let Some(size) =
        world.images.get(&push.image).map(|image| image.record.as_ref().map_or(10, |record| record.size))
    else {
        return Delivered::Failed("Glance has no such image");
    };
    let since = world.now;
    let truth = world.hosts.get_mut(host).expect("hosts stay");
    if truth.group != push.group {
        return Delivered::NotMeant;
    }
    let free = truth.free();
    match truth.daemon {
        Daemon::Down => Delivered::Failed("never answered"),
        _ if truth.held.contains_key(&push.image) => Delivered::Existing,
        Daemon::Failing => Delivered::Failed("its store is broken"),
        Daemon::Up if free < size => Delivered::Failed("no room"),
        Daemon::Up => {
            let held =
                Held { root: World::root_of(&push.image), size, pinned: Pinned::Yes, by, since, is_news };
            truth.held.insert(push.image.clone(), held);
            Delivered::Done
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {:?}: {}", self.at.0 / 1_000, self.rule, self.what)
    }
}

/// Steps after which a calm cloud has come to rest: a few for each image and host, and each wait.
const CALM_STEPS: usize = 2_000;
