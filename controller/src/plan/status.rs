//! What is so of one policy, for the API, the page and metrics.

use std::collections::BTreeMap;
use std::fmt::Display;

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::actual::Actual;
use super::desired::Problem;
use super::guard::{Approval, Pending};
use super::queue::Decided;
use super::survey::{Seen, View};
use super::why::{Class, Why};
use crate::policy::{Group, ImageId, PolicyName};

/// What is so of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyStatus {
    /// The policy.
    pub policy: PolicyName,
    /// Its group.
    pub group: Group,
    /// What keeps its selection from being what was probably meant.
    #[serde(serialize_with = "texts")]
    pub problems: Vec<Problem>,
    /// The images that it wants, by id.
    pub images: Vec<ImageProgress>,
    /// Each of its hosts with the worst of what is true of it with these images.
    #[serde(serialize_with = "by_name")]
    pub hosts: BTreeMap<HostName, Why>,
    /// The number of hosts in each class.
    pub counts: BTreeMap<Class, usize>,
    /// What is due, or will be when a window opens or a cancelled push has rested.
    pub pending: Pending,
    /// Whether that waits for approval.
    pub needs_approval: bool,
}

/// What is so of an image that a policy wants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageProgress {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: Option<String>,
    /// Its length, if it can be pushed.
    pub size: Option<u64>,
    /// BLAKE3 of its bytes on the hosts, if a push of this record has proved it.
    #[serde(serialize_with = "text")]
    pub root: Option<glancecast_proto::integrity::Root>,
    /// The hosts that hold it.
    pub holding: usize,
    /// The hosts that count: those that Nova uses.
    pub counted: usize,
    /// How many have to hold it for the quorum.
    pub needed: usize,
    /// Whether they do.
    pub has_quorum: bool,
    /// Each host of the policy.
    #[serde(serialize_with = "by_name")]
    pub hosts: BTreeMap<HostName, Why>,
}

impl PolicyStatus {
    pub(super) fn of(view: &View<'_>, decided: Option<&Decided<'_>>, actual: &Actual) -> Self {
        let policy = &view.goal.policy;
        let image = |(id, seen): (&&ImageId, &BTreeMap<&HostName, Seen>)| {
            let host = |(host, seen): (&&HostName, &Seen)| {
                let why = match seen {
                    Seen::Settled(why) => why.clone(),
                    Seen::Due => decided.expect("a group with an image that is due").why(id, host),
                };
                ((*host).clone(), why)
            };
            let hosts: BTreeMap<HostName, Why> = seen.iter().map(host).collect();
            let holding = hosts.values().filter(|why| **why == Why::Holds).count();
            let counted = hosts.values().filter(|why| why.class().is_counted()).count();
            let wanted = &view.goal.images[*id];
            let record = wanted.record.as_ref().ok();
            ImageProgress {
                image: (*id).clone(),
                name: wanted.name.clone(),
                size: record.map(|record| record.size),
                root: record.and_then(|record| actual.roots.of(id, record)),
                holding,
                counted,
                needed: policy.quorum.needed(counted),
                has_quorum: policy.quorum.is_reached(holding, counted),
                hosts,
            }
        };
        let images: Vec<ImageProgress> = view.images.iter().map(image).collect();
        let worst = |host: &HostName| {
            let whys = images.iter().filter_map(|image| image.hosts.get(host));
            whys.max_by_key(|why| why.class()).cloned().unwrap_or(Why::NothingWanted)
        };
        let hosts: BTreeMap<HostName, Why> =
            view.goal.hosts.keys().map(|host| (host.clone(), worst(host))).collect();
        let mut counts = BTreeMap::new();
        for why in hosts.values() {
            *counts.entry(why.class()).or_default() += 1;
        }
        Self {
            policy: policy.name.clone(),
            group: policy.group.clone(),
            problems: view.goal.problems.clone(),
            images,
            hosts,
            counts,
            pending: view.pending.clone(),
            needs_approval: view.needs_approval,
        }
    }

    /// Whether every host that counts holds every image that the policy wants, and it wants some.
    pub fn is_converged(&self) -> bool {
        !self.images.is_empty()
            && self.images.iter().all(|image| image.counted > 0 && image.holding == image.counted)
    }

    /// Whether an image has not reached the quorum of the policy.
    pub fn is_below_quorum(&self) -> bool {
        self.images.iter().any(|image| !image.has_quorum)
    }

    /// Returns the approval of what is pending.
    pub fn approval(&self, now: WallClock) -> Approval {
        Approval { pending: self.pending.clone(), at: now }
    }
}

fn text<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

fn texts<S: Serializer>(values: &[impl Display], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

fn by_name<S: Serializer>(hosts: &BTreeMap<HostName, Why>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(hosts.len()))?;
    for (host, why) in hosts {
        map.serialize_entry(host.as_str(), why)?;
    }
    map.end()
}
