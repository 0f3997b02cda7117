//! What is so: what hosts hold, which pushes run and wait, and what the controller remembers. All of it may be lost; hosts
//! are then asked again, and nothing is let go that the controller does not know to have placed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use serde::{Deserialize, Serialize};

use super::after;
use super::failures::Failures;
use super::guard::Approval;
use super::inventory::{HostInventory, Inventory};
use super::roots::KnownRoots;
use crate::policy::limits::{CANCELLED_BY_PERSON, CANCELLED_BY_POLICY};
use crate::policy::{Group, ImageId, PolicyName, Window};

/// What is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// What hosts hold, by group.
    pub inventories: BTreeMap<Group, Inventory>,
    /// Pushes that run, of policies and of people.
    pub active: Vec<ActivePush>,
    /// Pushes of people that wait.
    pub queued: Vec<QueuedPush>,
    /// What has failed.
    pub failures: Failures,
    /// Pushes that were cancelled. Entries whose time is over have no effect.
    pub cancelled: BTreeMap<(Group, ImageId), Cancelled>,
    /// What pushes of policies have placed.
    pub placements: Placements,
    /// Plans that a person has approved, by policy.
    pub approvals: BTreeMap<PolicyName, Approval>,
    /// Queries that are ending pins.
    pub unpinning: BTreeSet<(Group, ImageId, HostName)>,
    /// Roots of records that were proved.
    pub roots: KnownRoots,
    /// What the last plan has handed out.
    pub memory: Memory,
}

impl Actual {
    /// Forgets the placements of copies that their hosts have said to lack: a copy of the image that appears there later is
    /// somebody else's. The shell calls it when answers have come in, before it plans.
    pub fn forget_lost_placements(&mut self) {
        let inventories = &self.inventories;
        self.placements.0.retain(|(group, image, host), placement| {
            let known = inventories.get(group).and_then(|inventory| inventory.host(host));
            let is_lost = |known: &HostInventory| match known.copy(image) {
                Some(copy) => copy.root != placement.root,
                None => known.answered_at().is_some(),
            };
            !known.is_some_and(is_lost)
        });
    }

    /// Returns the pushes that run in a group, by id.
    pub(super) fn active_in(&self, group: &Group) -> Vec<&ActivePush> {
        let mut pushes: Vec<&ActivePush> = self.active.iter().filter(|push| push.group == *group).collect();
        pushes.sort_by(|a, b| a.id.cmp(&b.id));
        pushes
    }
}

/// The id of a push, as the API gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PushId(pub String);

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A push that runs: it was started, and its end has not been recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivePush {
    /// Its id.
    pub id: PushId,
    /// Its group.
    pub group: Group,
    /// Its image.
    pub image: ImageId,
    /// The hosts that it is for; empty if it is for everyone.
    pub hosts: BTreeSet<HostName>,
    /// How it is sent.
    pub way: Way,
    /// Whose it is.
    pub by: By,
}

/// A push of a person that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedPush {
    /// Its id.
    pub id: PushId,
    /// Its group.
    pub group: Group,
    /// Higher ones go first.
    pub priority: i32,
    /// When it was asked for. Earlier ones go first.
    pub submitted: WallClock,
    /// The hours in which it may begin; `None`: always.
    pub window: Option<Window>,
}

/// How a push is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Multicast to the group, and what else its settings say. One runs in each group.
    Group,
    /// Unicast to late hosts at a small rate. One runs in each group beside the other one.
    Unicast,
}

/// Whose a push or a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A person's.
    Person,
    /// That of policies.
    Policy,
}

/// A push that was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// When.
    pub at: WallClock,
    /// By whom.
    pub by: By,
}

impl Cancelled {
    /// Returns the end of the time for which it is not started again, if that is later than now.
    pub fn until(&self, now: WallClock) -> Option<WallClock> {
        let rest = match self.by {
            By::Person => CANCELLED_BY_PERSON,
            By::Policy => CANCELLED_BY_POLICY,
        };
        let until = after(self.at, rest);
        (self.at <= now && now < until).then_some(until)
    }
}

/// The copies that pushes of policies have placed, each with the policies that wanted it. A copy that a host had before is
/// not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placements(BTreeMap<(Group, ImageId, HostName), Placement>);

/// A copy that a push has placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The policies that wanted it.
    pub policies: BTreeSet<PolicyName>,
    /// The image's name in Glance, which its successor has, too.
    pub name: Option<String>,
    /// BLAKE3 of what was placed. A copy of another root is somebody else's.
    pub root: Root,
}

impl Placements {
    /// Records the verdict `done` of a push of policies; `existing` is not recorded.
    pub fn add(&mut self, group: Group, image: ImageId, host: HostName, placement: Placement) {
        self.0.insert((group, image, host), placement);
    }

    /// Forgets a copy: its pin has ended, or it is gone.
    pub fn remove(&mut self, group: &Group, image: &ImageId, host: &HostName) {
        self.0.remove(&(group.clone(), image.clone(), host.clone()));
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Group, &ImageId, &HostName, &Placement)> {
        self.0.iter().map(|((group, image, host), placement)| (group, image, host, placement))
    }

    /// Returns one.
    pub fn get(&self, group: &Group, image: &ImageId, host: &HostName) -> Option<&Placement> {
        self.0.get(&(group.clone(), image.clone(), host.clone()))
    }
}

/// Since when images have been due: what makes the queue first in, first out. When it is lost, the order of the images in the
/// queue is, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<DueSince>", into = "Vec<DueSince>")]
pub struct Memory(pub(super) BTreeMap<(Group, ImageId), WallClock>);

/// An entry of [`Memory`] as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct DueSince {
    profile: Option<String>,
    image: String,
    since_ms: u64,
}

impl From<Memory> for Vec<DueSince> {
    fn from(memory: Memory) -> Self {
        let entry = |((group, image), since): ((Group, ImageId), WallClock)| DueSince {
            profile: group.profile().map(str::to_owned),
            image: image.to_string(),
            since_ms: since.0,
        };
        memory.0.into_iter().map(entry).collect()
    }
}

impl From<Vec<DueSince>> for Memory {
    /// Entries that make no sense are left out.
    fn from(stored: Vec<DueSince>) -> Self {
        let entry = |DueSince { profile, image, since_ms }: DueSince| {
            let group = match profile {
                Some(profile) => Group::of_profile(&profile)?,
                None => Group::default(),
            };
            Some(((group, ImageId::new(&image)?), WallClock(since_ms)))
        };
        Self(stored.into_iter().filter_map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_push_rests_longer_if_a_person_has_cancelled_it() {
        let minutes = |by| {
            let until = Cancelled { at: WallClock(0), by }.until(WallClock(0));
            until.map(|until| until.0 / 60_000)
        };
        assert_eq!((minutes(By::Person), minutes(By::Policy)), (Some(60), Some(10)));
        assert_eq!(Cancelled { at: WallClock(0), by: By::Policy }.until(WallClock(600_000)), None);
    }

    #[test]
    fn memory_is_stored_as_json_and_taken_back() {
        let image =
            |n: u8| ImageId::new(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).expect("an id");
        let memory = Memory(
            [
                ((Group::default(), image(1)), WallClock(5)),
                ((Group::of_profile("prod").expect("a name"), image(2)), WallClock(6)),
            ]
            .into(),
        );
        let stored = serde_json::to_string(&memory).expect("JSON");
        assert_eq!(serde_json::from_str::<Memory>(&stored).expect("memory"), memory);
        let odd = r#"[{"profile": "../x", "image": "no id", "since_ms": 1}]"#;
        assert_eq!(serde_json::from_str::<Memory>(odd).expect("memory"), Memory::default());
    }
}
