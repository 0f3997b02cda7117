//! The truth of a cloud: what Glance and Nova have, and what lies on the hosts.

use std::collections::{BTreeMap, BTreeSet};

use glancecast_controller::plan::{
    Catalog, Compute, Image, ImageStatus, Pinned, Record, Service, ServiceState,
};
use glancecast_controller::policy::{
    Among, DisabledHosts, Group, Guard, HostSelection, HostsOf, ImageId, ImagePattern, ImageSelection,
    Newest, Policies, Policy, PolicyName, Quorum, Remove, Size,
};
use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use glancecast_testkit::Rng;

pub(crate) struct World {
    pub(crate) now: WallClock,
    pub(crate) images: BTreeMap<ImageId, Image>,
    pub(crate) hosts: BTreeMap<HostName, Host>,
    pub(crate) aggregates: BTreeMap<String, BTreeSet<String>>,
    pub(crate) policies: BTreeMap<PolicyName, Policy>,
    /// Whether pushes fail as a whole.
    pub(crate) glance_is_away: bool,
    images_made: u64,
}

/// A host as it is.
pub(crate) struct Host {
    /// The group whose key it has.
    pub(crate) group: Group,
    pub(crate) nova: ServiceState,
    pub(crate) daemon: Daemon,
    pub(crate) room: u64,
    pub(crate) held: BTreeMap<ImageId, Held>,
}

/// The state of glancecastd on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Up,
    /// It answers, and fails with every image.
    Failing,
    Down,
}

/// A copy on a host.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) root: Root,
    pub(crate) size: u64,
    pub(crate) pinned: Pinned,
    pub(crate) by: PlacedBy,
    /// When it came there.
    pub(crate) since: WallClock,
    /// Whether the controller has had no way to know of it yet.
    pub(crate) is_news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlacedBy {
    Policy,
    Person,
}

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut world = Self {
            now: WallClock(START + 1_000 * rng.below(86_400)),
            images: BTreeMap::new(),
            hosts: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            policies: BTreeMap::new(),
            glance_is_away: false,
            images_made: 0,
        };
        for n in 0..1 + rng.below(10) {
            let name = HostName::new(&format!("c{n}")).expect("a name");
            let room = if rng.one_in(12) { 30 } else { 10_000 };
            let group = if rng.one_in(10) { prod() } else { Group::default() };
            let host =
                Host { group, nova: ServiceState::Up, daemon: Daemon::Up, room, held: BTreeMap::new() };
            world.hosts.insert(name, host);
        }
        for name in ["gpu", "ssd"] {
            let hosts = world.hosts.keys().filter(|_| !rng.one_in(3)).map(ToString::to_string).collect();
            world.aggregates.insert(name.to_owned(), hosts);
        }
        (0..1 + rng.below(3)).for_each(|_| world.make_image(rng));
        (0..1 + rng.below(3)).for_each(|_| world.make_policy(rng));
        world
    }

    /// Adds an image that replaces those of its name.
    pub(crate) fn make_image(&mut self, rng: &mut Rng) {
        self.images_made += 1;
        let id = ImageId::new(&format!("00000000-0000-4000-8000-{:012x}", self.images_made)).expect("an id");
        let record = Record {
            algorithm: "sha512".to_owned(),
            hash: format!("{:x}", self.images_made),
            size: if rng.one_in(10) { 500 } else { 10 + rng.below(30) },
        };
        let tags = if rng.one_in(6) { &["other"][..] } else { &["golden"][..] };
        let image = Image {
            name: Some(["debian", "ubuntu"][rng.index(2)].to_owned()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            visibility: None,
            status: if rng.one_in(8) { ImageStatus::Queued } else { ImageStatus::Active },
            created_at: WallClock(self.now.0 + self.images_made),
            record: if rng.one_in(12) { Err("Glance has no hash of it".to_owned()) } else { Ok(record) },
        };
        self.images.insert(id, image);
    }

    /// Adds or replaces a policy.
    pub(crate) fn make_policy(&mut self, rng: &mut Rng) {
        let name = PolicyName::new(&format!("p{}", rng.below(3))).expect("a name");
        let newest = (!rng.one_in(4)).then(|| Newest {
            count: 1 + rng.below_u32(2),
            among: if rng.one_in(2) { Among::All } else { Among::EachName },
        });
        let images = match rng.one_in(5) {
            true => {
                let ids = self.images.keys().filter(|_| rng.one_in(2)).cloned().collect::<BTreeSet<_>>();
                let ids = if ids.is_empty() { self.images.keys().take(1).cloned().collect() } else { ids };
                ImageSelection::Ids(ids)
            }
            false => {
                let tags = ["golden".to_owned()].into();
                ImageSelection::Matching(ImagePattern { tags, newest, ..ImagePattern::default() })
            }
        };
        let aggregate = if rng.one_in(20) { "gone" } else { ["gpu", "ssd"][rng.index(2)] };
        let of = match rng.below(4) {
            0 => HostsOf::All,
            1 => HostsOf::Any {
                aggregates: BTreeSet::new(),
                zones: BTreeSet::new(),
                names: self.hosts.keys().filter(|_| rng.one_in(2)).cloned().collect(),
            },
            _ => HostsOf::Any {
                aggregates: [aggregate.to_owned()].into(),
                zones: BTreeSet::new(),
                names: BTreeSet::new(),
            },
        };
        let windows = ["22:00-06:00 Europe/Berlin", "12:00-13:00 UTC", "02:15-02:45 America/New_York"];
        let policy = Policy {
            name: name.clone(),
            images,
            hosts: HostSelection { of, exclude: BTreeSet::new(), disabled: DisabledHosts::LeftOut },
            group: if rng.one_in(8) { prod() } else { Group::default() },
            window: rng.one_in(4).then(|| windows[rng.index(3)].parse().expect("a window")),
            rate: rng.one_in(3).then(|| ["1gbit", "auto:100mbit"][rng.index(2)].parse().expect("a rate")),
            max_image: Size(if rng.one_in(3) { 100 } else { 10_000 }),
            priority: rng.below(3) as i32,
            remove: if rng.one_in(5) { Remove::Keep } else { Remove::Unpin },
            quorum: Quorum::from_hundredths([9_500, 5_000, 10_000][rng.index(3)]).expect("a share"),
            guard: Guard {
                hosts: if rng.one_in(3) { 3 } else { 300 },
                bytes: Size(if rng.one_in(5) { 100 } else { 1 << 40 }),
            },
        };
        self.policies.insert(name, policy);
    }

    pub(crate) fn catalog(&self) -> Catalog {
        let service = |(name, host): (&HostName, &Host)| {
            (name.to_string(), Service { zone: "nova".to_owned(), state: host.nova.clone() })
        };
        let compute = Compute::Nova {
            services: self.hosts.iter().map(service).collect(),
            aggregates: self.aggregates.clone(),
        };
        Catalog { images: self.images.clone(), compute }
    }

    pub(crate) fn listed_policies(&self) -> Policies {
        let mut policies = Policies::default();
        self.policies
            .values()
            .for_each(|policy| policies.add(policy.clone()).expect("few, of different names"));
        policies
    }

    /// Returns the bytes that an image has on every host, and where they come from.
    pub(crate) fn root_of(image: &ImageId) -> Root {
        let mut root = [0; 32];
        root[..24].copy_from_slice(&image.as_str().as_bytes()[12..]);
        Root(root)
    }

    pub(crate) fn some_host(&mut self, rng: &mut Rng) -> (HostName, &mut Host) {
        let at = rng.index(self.hosts.len());
        let (name, host) = self.hosts.iter_mut().nth(at).expect("a host");
        (name.clone(), host)
    }

    pub(crate) fn some_image(&self, rng: &mut Rng) -> Option<ImageId> {
        (!self.images.is_empty())
            .then(|| self.images.keys().nth(rng.index(self.images.len())).expect("an image").clone())
    }
}

fn prod() -> Group {
    Group::of_profile("prod").expect("a name")
}

impl Host {
    pub(crate) fn free(&self) -> u64 {
        self.room.saturating_sub(self.held.values().map(|held| held.size).sum())
    }
}

/// 20 March 2026: the clock of some zones is set within the next ten days.
const START: u64 = 1_773_964_800_000;
