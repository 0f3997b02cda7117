//! Who must have the image: names from the command line, from a file, or from Nova.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::sender::Expected;

use super::Failure;
use super::origin::cloud_failure;
use crate::cloud::{Choice, Cloud, Nova};

/// What the command line says of it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) hosts: &'a [HostName],
    pub(super) hosts_file: Option<&'a Path>,
    pub(super) expect: Option<u32>,
    pub(super) aggregates: &'a [String],
    pub(super) zones: &'a [String],
}

impl Wanted<'_> {
    /// Whether Nova says who.
    pub(super) fn asks_nova(&self) -> bool {
        !(self.aggregates.is_empty() && self.zones.is_empty())
    }

    /// Whether it is a list of names, wherever that comes from.
    pub(super) fn names_hosts(&self) -> bool {
        !self.hosts.is_empty() || self.hosts_file.is_some() || self.asks_nova()
    }
}

/// The hosts of a push, and what Nova said of them if it was asked.
pub(super) struct Hosts {
    pub(super) expected: Expected,
    pub(super) choice: Choice,
    /// For the call that has the aggregates cache the image.
    pub(super) nova: Option<Nova>,
}

impl Hosts {
    /// `cloud` is needed where the command line names aggregates or zones.
    pub(super) async fn find(args: Wanted<'_>, cloud: Option<&Cloud>) -> Result<Self, Failure> {
        let Some(cloud) = cloud.filter(|_| args.asks_nova()) else {
            return Ok(Self { expected: without_nova(args)?, choice: Choice::default(), nova: None });
        };
        let nova = Nova::of(cloud).await.map_err(cloud_failure)?;
        let choice = nova.choose(args.aggregates, args.zones).await.map_err(cloud_failure)?;
        let names = choice.hosts.iter().map(|host| {
            HostName::new(host).map_err(|error| {
                Failure::usage(format!("Nova has a host {host:?}, which no receiver can be named: {error}"))
            })
        });
        let names: BTreeSet<HostName> = names.collect::<Result<_, _>>()?;
        Ok(Self { expected: named(names)?, choice, nova: Some(nova) })
    }
}

fn without_nova(args: Wanted<'_>) -> Result<Expected, Failure> {
    if let Some(count) = args.expect {
        return Ok(Expected::Count(count));
    }
    match args.hosts_file {
        Some(path) => named(read_hosts(path)?),
        None if args.hosts.is_empty() => Ok(Expected::Anyone),
        None => named(args.hosts.iter().cloned().collect()),
    }
}

fn named(names: BTreeSet<HostName>) -> Result<Expected, Failure> {
    if names.len() > HOSTS_MAX {
        return Err(Failure::usage(format!(
            "{} hosts; at most {HOSTS_MAX} are possible in one push",
            names.len()
        )));
    }
    Ok(Expected::Named(names))
}

fn read_hosts(path: &Path) -> Result<BTreeSet<HostName>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("hosts file {}: {error}", path.display())))?;
    let mut names = BTreeSet::new();
    for (i, line) in text.lines().enumerate() {
        let name = line.split('#').next().unwrap_or("").trim();
        if !name.is_empty() {
            let name = HostName::new(name).map_err(|error| {
                Failure::usage(format!("hosts file {} line {}: {error}", path.display(), i + 1))
            })?;
            names.insert(name);
        }
    }
    if names.is_empty() {
        return Err(Failure::usage(format!("hosts file {}: there is no host in it", path.display())));
    }
    Ok(names)
}
