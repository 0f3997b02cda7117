//! What should be: each policy with the images and the hosts that it selects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use glancecast_proto::ids::HostName;

use super::brief;
use super::catalog::{Catalog, Compute, Image, ImageStatus, Record, Service, ServiceState};
use crate::policy::limits::{HOSTS_PER_POLICY_MAX, IMAGES_PER_POLICY_MAX};
use crate::policy::{
    Among, DisabledHosts, HostsOf, ImageId, ImagePattern, ImageSelection, Newest, Policies, Policy,
};

/// The goals of all policies, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// The goals.
    pub goals: Vec<Goal>,
}

/// What one policy wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The policy.
    pub policy: Policy,
    /// The images.
    pub images: BTreeMap<ImageId, WantedImage>,
    /// The hosts.
    pub hosts: BTreeMap<HostName, Counting>,
    /// What keeps the selection from being what was probably meant.
    pub problems: Vec<Problem>,
}

/// An image that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedImage {
    /// Its name.
    pub name: Option<String>,
    /// What proves its bytes, or why it cannot be pushed.
    pub record: Result<Record, String>,
}

/// Whether a selected host is served, and counted for the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It is.
    Counted,
    /// It is down in Nova.
    Down,
    /// It is disabled in Nova, with the reason that an administrator gave.
    Disabled(Option<String>),
    /// It is no host of images, for this reason.
    Ineligible(String),
}

/// What keeps a selection from being what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// No active image is selected.
    NoImage,
    /// Glance has no image with this id.
    NoSuchImage(ImageId),
    /// A selected image is not active.
    NotActive(ImageId, String),
    /// More images are selected than [`IMAGES_PER_POLICY_MAX`].
    TooManyImages(usize),
    /// No host is selected.
    NoHost,
    /// Nova has no such aggregate.
    NoSuchAggregate(String),
    /// No host of Nova is in this zone.
    NoSuchZone(String),
    /// Aggregates and zones are Nova's, and there is none.
    NoNova,
    /// More hosts are selected than [`HOSTS_PER_POLICY_MAX`].
    TooManyHosts(usize),
    /// Nova's name of a host cannot be that of a receiver.
    ImpossibleName(String),
}

impl Problem {
    /// Whether the policy may want more than the goal has: nothing is let go then.
    pub const fn leaves_doubt(&self) -> bool {
        match self {
            Self::NoImage
            | Self::NoSuchImage(_)
            | Self::NotActive(..)
            | Self::NoHost
            | Self::ImpossibleName(_) => false,
            Self::TooManyImages(_)
            | Self::NoSuchAggregate(_)
            | Self::NoSuchZone(_)
            | Self::NoNova
            | Self::TooManyHosts(_) => true,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("it selects no active image"),
            Self::NoSuchImage(id) => write!(f, "Glance has no image {id}"),
            Self::NotActive(id, status) => {
                write!(f, "image {id} is {status} in Glance, and only active ones are pushed")
            }
            Self::TooManyImages(count) => {
                write!(
                    f,
                    "it selects {count} images, and at most {IMAGES_PER_POLICY_MAX} are possible: nothing is pushed"
                )
            }
            Self::NoHost => f.write_str("it selects no host"),
            Self::NoSuchAggregate(name) => write!(f, "Nova has no aggregate {name:?}"),
            Self::NoSuchZone(name) => write!(f, "Nova has no host in the availability zone {name:?}"),
            Self::NoNova => f.write_str("aggregates and zones need Nova, which is not configured"),
            Self::TooManyHosts(count) => {
                write!(
                    f,
                    "it selects {count} hosts, and at most {HOSTS_PER_POLICY_MAX} are possible: nothing is pushed"
                )
            }
            Self::ImpossibleName(name) => write!(f, "no receiver can have the name of Nova's host {name:?}"),
        }
    }
}

/// Applies the policies to what the cloud has.
pub fn select(policies: &Policies, catalog: &Catalog) -> Desired {
    Desired { goals: policies.iter().map(|policy| goal(policy, catalog)).collect() }
}

fn goal(policy: &Policy, catalog: &Catalog) -> Goal {
    let mut problems = Vec::new();
    let images = images(&policy.images, &catalog.images, &mut problems);
    let hosts = hosts(policy, &catalog.compute, &mut problems);
    problems.sort();
    Goal { policy: policy.clone(), images, hosts, problems }
}

fn images(
    selection: &ImageSelection,
    all: &BTreeMap<ImageId, Image>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ImageId, WantedImage> {
    let selected: Vec<(&ImageId, &Image)> = match selection {
        ImageSelection::Ids(ids) => {
            problems.extend(ids.iter().filter(|id| !all.contains_key(id)).cloned().map(Problem::NoSuchImage));
            ids.iter().filter_map(|id| all.get_key_value(id)).collect()
        }
        ImageSelection::Matching(pattern) => {
            all.iter().filter(|(_, image)| matches(pattern, image)).collect()
        }
    };
    let (mut active, others): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|(_, image)| image.status == ImageStatus::Active);
    let not_active =
        |(id, image): (&ImageId, &Image)| Problem::NotActive(id.clone(), image.status.to_string());
    problems.extend(others.into_iter().map(not_active).take(IMAGES_PER_POLICY_MAX));
    if let ImageSelection::Matching(ImagePattern { newest: Some(newest), .. }) = selection {
        keep_newest(&mut active, *newest);
    }
    match active.len() {
        0 => problems.push(Problem::NoImage),
        1..=IMAGES_PER_POLICY_MAX => {}
        count => {
            problems.push(Problem::TooManyImages(count));
            active.clear();
        }
    }
    let wanted = |(id, image): (&ImageId, &Image)| {
        (id.clone(), WantedImage { name: image.name.clone(), record: image.record.clone() })
    };
    active.into_iter().map(wanted).collect()
}

fn matches(pattern: &ImagePattern, image: &Image) -> bool {
    pattern.tags.is_subset(&image.tags)
        && (pattern.names.is_empty() || image.name.as_ref().is_some_and(|name| pattern.names.contains(name)))
        && pattern.visibility.is_none_or(|visibility| image.visibility == Some(visibility))
}

/// Keeps the newest images. Of those that were created at the same time, the id decides. Images without a name are one name.
fn keep_newest(images: &mut Vec<(&ImageId, &Image)>, newest: Newest) {
    images.sort_by_key(|(id, image)| std::cmp::Reverse((image.created_at, *id)));
    let mut kept: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    images.retain(|(_, image)| {
        let name = match newest.among {
            Among::All => None,
            Among::EachName => image.name.as_deref(),
        };
        let count = kept.entry(name).or_default();
        *count += 1;
        *count <= newest.count
    });
}

fn hosts(policy: &Policy, compute: &Compute, problems: &mut Vec<Problem>) -> BTreeMap<HostName, Counting> {
    let mut hosts = match compute {
        Compute::Nova { services, aggregates } => of_nova(policy, services, aggregates, problems),
        Compute::Absent { heard } => {
            let names = match &policy.hosts.of {
                HostsOf::All => heard.get(&policy.group).cloned().unwrap_or_default(),
                HostsOf::Any { aggregates, zones, names } => {
                    if !aggregates.is_empty() || !zones.is_empty() {
                        problems.push(Problem::NoNova);
                    }
                    names.clone()
                }
            };
            names.into_iter().map(|name| (name, Counting::Counted)).collect()
        }
    };
    hosts.retain(|name, _| !policy.hosts.exclude.contains(name));
    match hosts.len() {
        0 => problems.push(Problem::NoHost),
        1..=HOSTS_PER_POLICY_MAX => {}
        count => {
            problems.push(Problem::TooManyHosts(count));
            hosts.clear();
        }
    }
    hosts
}

fn of_nova(
    policy: &Policy,
    services: &BTreeMap<String, Service>,
    aggregates: &BTreeMap<String, BTreeSet<String>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<HostName, Counting> {
    let names: BTreeSet<&str> = match &policy.hosts.of {
        HostsOf::All => services.keys().map(String::as_str).collect(),
        HostsOf::Any { aggregates: of_aggregates, zones, names } => {
            let mut chosen: BTreeSet<&str> = names.iter().map(HostName::as_str).collect();
            for name in of_aggregates {
                match aggregates.get(name) {
                    Some(hosts) => chosen.extend(hosts.iter().map(String::as_str)),
                    None => problems.push(Problem::NoSuchAggregate(name.clone())),
                }
            }
            for zone in zones {
                let mut in_zone = services.iter().filter(|(_, service)| service.zone == *zone).peekable();
                if in_zone.peek().is_none() {
                    problems.push(Problem::NoSuchZone(zone.clone()));
                }
                chosen.extend(in_zone.map(|(name, _)| name.as_str()));
            }
            chosen
        }
    };
    let mut hosts = BTreeMap::new();
    for name in names {
        match HostName::new(name) {
            Ok(host) => drop(hosts.insert(host, counting(policy, services.get(name)))),
            Err(_) => problems.push(Problem::ImpossibleName(brief(name))),
        }
    }
    hosts
}

fn counting(policy: &Policy, service: Option<&Service>) -> Counting {
    match service.map(|service| &service.state) {
        Some(ServiceState::Up) => Counting::Counted,
        Some(ServiceState::Disabled(_)) if policy.hosts.disabled == DisabledHosts::Included => {
            Counting::Counted
        }
        Some(ServiceState::Disabled(reason)) => Counting::Disabled(reason.as_deref().map(brief)),
        Some(ServiceState::Down) => Counting::Down,
        Some(ServiceState::BareMetal) => {
            Counting::Ineligible("it runs bare-metal nodes, which have no image cache".to_owned())
        }
        None => Counting::Ineligible("Nova has no nova-compute service of it".to_owned()),
    }
}

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;
