//! What the pure planner is given: the cloud as a catalog, and the state as what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use serde_json::Value;

use crate::model::{Cloud, HostChoice, Image, Pinned, Reach, Status};
use crate::plan::{
    ActivePush, Actual, Answer, Approval, By, Cancelled, Catalog, Compute, Failure, HeldCopy, ImageStatus,
    Inventory, Pending, Placement, PushId, QueuedPush, Record, Service, ServiceState, Task, Way,
};
use crate::plan::{Image as Listed, Pinned as Held};
use crate::policy::limits::CANCELLED_BY_PERSON;
use crate::policy::{Group, ImageId, PolicyName, Visibility};
use crate::store::{FailedTask, HostsFilter, PushFilter, PushPage, SortKey, Store, StoreError, TimeBound};

/// Returns what the cloud has, as the planner takes it.
pub(super) fn catalog(cloud: &Cloud) -> Catalog {
    let image = |image: &Image| Some((ImageId::new(&image.id)?, listed(image)));
    let mut services = BTreeMap::new();
    let mut aggregates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for host in &cloud.hosts {
        let state = match (&host.out_of_use, host.is_down) {
            (_, true) => ServiceState::Down,
            (None, false) => ServiceState::Up,
            (Some(reason), false) => ServiceState::Disabled(Some(reason.clone())),
        };
        services.insert(host.name.clone(), Service { zone: host.zone.clone(), state });
        for name in &host.aggregates {
            aggregates.entry(name.clone()).or_default().insert(host.name.clone());
        }
    }
    Catalog {
        images: cloud.images.iter().filter_map(image).collect(),
        compute: Compute::Nova { services, aggregates },
    }
}

fn listed(image: &Image) -> Listed {
    let record = match (&image.obstacle, &image.os_hash_algo, &image.os_hash_value, image.size) {
        (Some(obstacle), ..) => Err(obstacle.clone()),
        (None, Some(algorithm), Some(hash), Some(size)) => {
            Ok(Record { algorithm: algorithm.clone(), hash: hash.clone(), size })
        }
        _ => Err("Glance has no hash of it".to_owned()),
    };
    let word = image.visibility.as_deref();
    Listed {
        name: image.name.clone(),
        tags: image.tags.iter().cloned().collect(),
        visibility: Visibility::ALL.into_iter().find(|known| Some(known.as_str()) == word),
        status: ImageStatus::of_glance(&image.status),
        created_at: image.created_at,
        record,
    }
}

/// Returns what is so by the state.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn actual(
    store: &Store,
    profiles: &[Option<String>],
    now: WallClock,
) -> Result<Actual, StoreError> {
    let mut actual = Actual::default();
    for profile in profiles {
        if let Some(group) = group(profile.as_deref().unwrap_or_default()) {
            let inventory = inventory(store, profile.as_deref().unwrap_or_default()).await?;
            actual.inventories.insert(group, inventory);
        }
    }
    pushes(store, &mut actual, now).await?;
    for row in store.placements().await? {
        let key = (group(&row.profile), ImageId::new(&row.image_id), HostName::new(&row.host));
        let policies = row.policies.iter().filter_map(|name| PolicyName::new(name)).collect();
        if let ((Some(group), Some(image), Ok(host)), Some(root)) = (key, root(&row.root)) {
            actual.placements.add(group, image, host, Placement { policies, name: row.name, root });
        }
    }
    for row in store.failures().await? {
        let (Some(group), Some(image)) = (group(&row.profile), ImageId::new(&row.image_id)) else { continue };
        let times = u32::try_from(row.times).unwrap_or(u32::MAX);
        match HostName::new(&row.host) {
            Ok(host) => {
                let task = match row.task {
                    FailedTask::Push => Task::Push,
                    FailedTask::Unpin => Task::Unpin,
                };
                let failure = Failure { times, last: row.last_at, reason: row.reason };
                actual.failures.restore(task, image, host, failure);
            }
            // Beyond some twenty the wait is the longest one anyway.
            Err(_) => (0..times.min(20))
                .for_each(|_| actual.failures.record_image(&group, &image, row.last_at, &row.reason)),
        }
    }
    for row in store.approvals().await? {
        if let (Some(policy), Some(pending)) = (PolicyName::new(&row.policy), pending(&row.pending)) {
            actual.approvals.insert(policy, Approval { pending, at: row.approved_at });
        }
    }
    Ok(actual)
}

async fn inventory(store: &Store, profile: &str) -> Result<Inventory, StoreError> {
    let mut copies: BTreeMap<String, BTreeMap<ImageId, HeldCopy>> = BTreeMap::new();
    for row in store.copies(profile, None).await? {
        let id = row.copy.image_id.as_deref().and_then(ImageId::new);
        if let (Some(id), Some(root)) = (id, root(&row.copy.root)) {
            let pinned = if row.copy.pinned == Pinned::No { Held::No } else { Held::Yes };
            let copy = HeldCopy { root, bytes: row.copy.bytes, pinned, delivered_at: None };
            copies.entry(row.host).or_default().insert(id, copy);
        }
    }
    let mut inventory = Inventory::default();
    for host in store.hosts(profile, &HostsFilter::default()).await? {
        let Ok(name) = HostName::new(&host.host) else { continue };
        if let Some(heard_at) = host.answered_at {
            let copies = copies.remove(&host.host).unwrap_or_default();
            // The state has the order of questions and pushes; here each host has one answer.
            let answer = Answer { asked_at: heard_at, heard_at, free_bytes: host.free_bytes, copies };
            inventory.answered(name.clone(), answer);
        }
        if matches!(
            host.state.as_str(),
            "key_changed" | "unknown_key" | "failed" | "answered_twice" | "other_version"
        ) {
            let reason = host.reason.as_deref().unwrap_or(&host.state);
            inventory.troubled(&name, reason);
        }
    }
    Ok(inventory)
}

async fn pushes(store: &Store, actual: &mut Actual, now: WallClock) -> Result<(), StoreError> {
    let since = WallClock(now.0.saturating_sub(CANCELLED_TIME.as_millis() as u64));
    let live = PushFilter { status: vec![Status::Queued, Status::Running], ..PushFilter::default() };
    let cancelled = PushFilter {
        status: vec![Status::Cancelled],
        bounds: vec![TimeBound { key: SortKey::Updated, operator: ">=", at: since }],
        ..PushFilter::default()
    };
    let page = PushPage { limit: ROWS_MAX, is_ascending: true, ..PushPage::default() };
    for (push, items) in store.pushes(&live, &page).await?.unwrap_or_default() {
        let Some(group) = group(push.profile.as_deref().unwrap_or_default()) else { continue };
        let by = if push.origin.policy.is_some() { By::Policy } else { By::Person };
        if push.request.dry_run {
            continue;
        }
        if push.status == Status::Queued && by == By::Person {
            let priority = i32::try_from(push.priority).unwrap_or(0);
            let (id, submitted) = (PushId(push.id), push.created_at);
            actual.queued.push(QueuedPush { id, group, priority, submitted, window: None });
            continue;
        }
        let hosts: BTreeSet<HostName> = match &push.request.hosts {
            HostChoice::Names(names) => names.iter().filter_map(|name| HostName::new(name).ok()).collect(),
            // Which ones these are the sender finds out: until then it may be any.
            HostChoice::All | HostChoice::Nova { .. } => BTreeSet::new(),
        };
        let way = if push.request.reach == Reach::Unicast { Way::Unicast } else { Way::Group };
        for item in items.iter().filter(|item| !item.status.is_end()) {
            let Some(image) = item.target.image_id.as_deref().and_then(ImageId::new) else { continue };
            let (id, group, hosts) = (PushId(push.id.clone()), group.clone(), hosts.clone());
            actual.active.push(ActivePush { id, group, image, hosts, way, by });
        }
    }
    for (push, items) in store.pushes(&cancelled, &page).await?.unwrap_or_default() {
        let Some(group) = group(push.profile.as_deref().unwrap_or_default()) else { continue };
        let is_policy = push.reason.as_deref() == Some(CANCELLED_BY_POLICY);
        let by = if is_policy { By::Policy } else { By::Person };
        let at = push.finished_at.unwrap_or(push.updated_at);
        for image in items.iter().filter_map(|item| ImageId::new(item.target.image_id.as_deref()?)) {
            actual.cancelled.insert((group.clone(), image), Cancelled { at, by });
        }
    }
    Ok(())
}

/// Returns the group of a profile; the default's name is empty.
fn group(profile: &str) -> Option<Group> {
    if profile.is_empty() { Some(Group::default()) } else { Group::of_profile(profile) }
}

fn root(digits: &str) -> Option<Root> {
    if digits.len() != 2 * Root::BYTES || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; Root::BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Root(bytes))
}

/// Reads what was pending when it was approved.
fn pending(text: &str) -> Option<Pending> {
    let value: Value = serde_json::from_str(text).ok()?;
    let images = value["images"].as_array()?.iter().map(|id| ImageId::new(id.as_str()?));
    Some(Pending {
        images: images.collect::<Option<_>>()?,
        hosts: u32::try_from(value["hosts"].as_u64()?).ok()?,
        written_bytes: value["written_bytes"].as_u64()?,
        image_bytes: value["image_bytes"].as_u64()?,
    })
}

/// By whom a push is cancelled that no policy wants any more, and how that reads with the push.
pub(super) const RECONCILER: &str = "the reconciler: no policy wants it any more";
const CANCELLED_BY_POLICY: &str = "cancelled by the reconciler: no policy wants it any more";
/// Pushes that the planner is told of: all that may wait.
const ROWS_MAX: u64 = crate::limits::QUEUE_MAX as u64;
/// Time for which a cancelled push matters to the planner.
const CANCELLED_TIME: Duration = CANCELLED_BY_PERSON;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_read_as_it_is_printed() {
        let id = ImageId::new("00000000-0000-4000-8000-000000000001").expect("an id");
        let written = Pending { images: BTreeSet::from([id]), hosts: 3, written_bytes: 30, image_bytes: 10 };
        assert_eq!(pending(&serde_json::to_string(&written).expect("JSON")), Some(written));
        assert_eq!(pending("{}"), None);
    }

    #[test]
    fn a_disabled_host_that_is_down_is_down() {
        let host = |out_of_use: Option<&str>, is_down| crate::model::Host {
            name: "c1".into(),
            zone: "z".into(),
            aggregates: vec!["gpu".into()],
            out_of_use: out_of_use.map(str::to_owned),
            is_down,
        };
        for (host, expected) in [
            (host(None, false), ServiceState::Up),
            (host(Some("its nova-compute is down"), true), ServiceState::Down),
            (host(Some("disabled in Nova"), true), ServiceState::Down),
            (host(Some("disabled in Nova"), false), ServiceState::Disabled(Some("disabled in Nova".into()))),
        ] {
            let Compute::Nova { services, aggregates } =
                catalog(&Cloud { hosts: vec![host], ..Cloud::default() }).compute
            else {
                panic!("Nova")
            };
            assert_eq!(services["c1"].state, expected);
            assert!(aggregates["gpu"].contains("c1"));
        }
    }
}
