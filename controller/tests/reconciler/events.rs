//! What happens to a cloud and to its controller, by chance.

use std::collections::BTreeSet;

use glancecast_controller::plan::{Actual, By, ImageStatus, Pinned, PushId, QueuedPush, ServiceState};
use glancecast_controller::policy::{Group, ImageId};
use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use crate::oracle::Trail;
use crate::shell::{Shell, deliver};
use crate::world::{Daemon, Held, PlacedBy, World};

impl Shell {
    /// One event, or none.
    pub(crate) fn something_happens(&mut self) {
        let event = self.rng.below(28);
        self.tell(|| format!("event {event}"));
        let rng = &mut self.rng;
        match event {
            0 => self.world.some_host(rng).1.held.clear(),
            1 => self.world.some_host(rng).1.daemon = Daemon::Down,
            2 | 3 => self.world.some_host(rng).1.daemon = Daemon::Failing,
            4 | 5 => self.world.some_host(rng).1.daemon = Daemon::Up,
            6 => self.world.some_host(rng).1.nova = ServiceState::Down,
            7 if rng.one_in(4) => self.world.some_host(rng).1.nova = ServiceState::BareMetal,
            7 => self.world.some_host(rng).1.nova = ServiceState::Disabled(None),
            8 | 25 | 26 => self.world.some_host(rng).1.nova = ServiceState::Up,
            9..=11 => self.world.make_image(rng),
            12 => {
                if let Some(image) = self.world.some_image(rng).and_then(|id| self.world.images.get_mut(&id))
                {
                    image.tags = if rng.one_in(2) { BTreeSet::new() } else { ["golden".to_owned()].into() };
                }
            }
            13 => {
                let statuses = [ImageStatus::Active, ImageStatus::Active, ImageStatus::Deactivated];
                if let Some(image) = self.world.some_image(rng).and_then(|id| self.world.images.get_mut(&id))
                {
                    image.status = statuses[rng.index(3)].clone();
                }
            }
            14 => {
                if let Some(id) = self.world.some_image(rng) {
                    self.world.images.remove(&id);
                }
            }
            15 => {
                let (name, _) = self.world.some_host(rng);
                let aggregate =
                    self.world.aggregates.get_mut(["gpu", "ssd"][rng.index(2)]).expect("both stay");
                if !aggregate.remove(name.as_str()) {
                    aggregate.insert(name.to_string());
                }
            }
            16 => self.world.make_policy(rng),
            17 => {
                let name = self.world.policies.keys().next().expect("a policy").clone();
                self.world.policies.remove(&name);
                self.world.make_policy(rng);
            }
            18 => self.world.glance_is_away = !self.world.glance_is_away,
            19 | 20 => self.kill_a_child(),
            21 => {
                let id = self.actual.active.first().map(|push| push.id.clone());
                id.into_iter().for_each(|id| self.cancel(&id, By::Person));
            }
            22 => self.restart(),
            23 => {
                self.pushes += 1;
                let window = rng.one_in(4).then(|| "03:00-04:00 UTC".parse().expect("a window"));
                let group = self.world.some_host(rng).1.group.clone();
                let id = PushId(format!("person-{}", self.pushes));
                let (priority, submitted) = (rng.below(4) as i32, self.world.now);
                self.actual.queued.push(QueuedPush { id, group, priority, submitted, window });
            }
            24 => {
                let since = self.world.now;
                let (Some(image), (name, host)) = (self.world.some_image(rng), self.world.some_host(rng))
                else {
                    return;
                };
                let (root, by) = (
                    World::root_of(&image),
                    unseen(&self.actual, &host.group, &image, &name, PlacedBy::Person),
                );
                let held = Held { root, size: 10, pinned: Pinned::Yes, by, since, is_news: true };
                host.held.entry(image).or_insert(held);
            }
            _ => {}
        }
    }

    /// A child ends without a verdict. Some of its hosts have the image by then.
    fn kill_a_child(&mut self) {
        let Some(id) = self.children.keys().next().cloned() else { return };
        self.tell(|| format!("push {id} is killed"));
        let child = self.children.remove(&id).expect("it runs");
        let at = self.actual.active.iter().position(|push| push.id == id).expect("it is known");
        let push = self.actual.active.remove(at);
        for host in child.hosts.iter().filter(|_| self.rng.one_in(3)) {
            let by = unseen(&self.actual, &push.group, &push.image, host, child.placed_by());
            deliver(&mut self.world, &push, host, by, true);
        }
        self.actual.failures.record_image(&push.group, &push.image, self.world.now, "the sender was killed");
        self.trail.image_failed(&push.group, &push.image, self.world.now);
    }

    /// The controller ends and starts again. Its children end with it; its state is there, or all of it is lost.
    fn restart(&mut self) {
        let keeps = self.rng.one_in(2);
        self.tell(|| {
            format!("the controller restarts, {}", if keeps { "with its state" } else { "without state" })
        });
        for (id, child) in std::mem::take(&mut self.children) {
            let push = self.actual.active.iter().find(|push| push.id == id).expect("it is known").clone();
            for host in child.hosts.iter().filter(|_| self.rng.one_in(3)) {
                let by = unseen(&self.actual, &push.group, &push.image, host, child.placed_by());
                deliver(&mut self.world, &push, host, by, true);
            }
        }
        self.actual.active.clear();
        self.actual.unpinning.clear();
        self.unpins.clear();
        self.answers.clear();
        self.last_inventory = WallClock(0);
        if !keeps {
            self.actual = Actual::default();
            self.trail = Trail::default();
        }
    }

    /// From here on nothing fails.
    pub(crate) fn calm_down(&mut self) {
        self.tell(|| "nothing fails from here on".to_owned());
        self.world.glance_is_away = false;
        self.world.hosts.values_mut().for_each(|host| host.daemon = Daemon::Up);
    }
}

/// Whose a copy is that comes to a host behind the controller's back. Where the controller has placed one, and has not heard
/// that it is gone, it cannot tell the difference.
fn unseen(actual: &Actual, group: &Group, image: &ImageId, host: &HostName, by: PlacedBy) -> PlacedBy {
    match actual.placements.get(group, image, host) {
        Some(_) => PlacedBy::Policy,
        None => by,
    }
}
