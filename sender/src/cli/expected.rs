//! Who must have the image: names from the command line, from a file, or from Nova.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::sender::Expected;

use super::Failure;
use super::origin::cloud_failure;
use crate::openstack::{Choice, Cloud, Nova};

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
    pub(super) left_out: LeftOut,
    /// For the call that has the aggregates cache the image.
    pub(super) nova: Option<Nova>,
}

/// Hosts of the chosen aggregates and zones that are not waited for, each with the reason, under the names that Nova has.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOut {
    /// Nova itself does not use them now: they do not count.
    pub(super) unused: BTreeMap<String, String>,
    /// No receiver can have their name, so they never hold a copy: without them nothing is complete.
    pub(super) unnameable: BTreeMap<String, String>,
}

impl LeftOut {
    /// Both kinds, each host with its reason.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unused.iter().chain(&self.unnameable).map(|(host, reason)| (host.as_str(), reason.as_str()))
    }

    /// Why it cannot be complete, if it cannot.
    pub(super) fn missing(&self) -> Option<String> {
        let mut names: Vec<String> =
            self.unnameable.keys().take(NAMED_MAX).map(|name| format!("{name:?}")).collect();
        if self.unnameable.len() > names.len() {
            names.push("..".to_owned());
        }
        (!names.is_empty()).then(|| format!("no receiver can be named {}", names.join(", ")))
    }
}

impl Hosts {
    /// `cloud` is needed where the command line names aggregates or zones.
    pub(super) async fn find(args: Wanted<'_>, cloud: Option<&Cloud>) -> Result<Self, Failure> {
        let Some(cloud) = cloud.filter(|_| args.asks_nova()) else {
            return Ok(Self {
                expected: without_nova(args)?,
                choice: Choice::default(),
                left_out: LeftOut::default(),
                nova: None,
            });
        };
        let nova = Nova::of(cloud).map_err(cloud_failure)?;
        let choice = nova.choose(args.aggregates, args.zones).await.map_err(cloud_failure)?;
        let (names, left_out) = nameable(&choice)?;
        Ok(Self { expected: named(names)?, choice, left_out, nova: Some(nova) })
    }
}

/// The hosts that receivers can be named after, and the others. A node names itself: one that has chosen a name that no
/// receiver can have does not keep the image from the rest.
fn nameable(choice: &Choice) -> Result<(BTreeSet<HostName>, LeftOut), Failure> {
    let mut names = BTreeSet::new();
    let mut left_out = LeftOut { unused: choice.skipped.clone(), ..LeftOut::default() };
    for host in &choice.hosts {
        match HostName::new(host) {
            Ok(name) => drop(names.insert(name)),
            Err(error) => {
                let reason =
                    format!("no receiver can have this name: {error}; set another `host` in its nova.conf");
                left_out.unnameable.insert(host.clone(), reason);
            }
        }
    }
    match left_out.missing() {
        Some(missing) if names.is_empty() => Err(Failure::usage(format!(
            "{missing}, and Nova has no other host there: set another `host` in their nova.conf"
        ))),
        _ => Ok((names, left_out)),
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

/// What still fits a line.
const NAMED_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(hosts: &[&str]) -> Choice {
        Choice { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..Choice::default() }
    }

    #[test]
    fn a_host_that_no_receiver_can_be_named_after_keeps_nothing_from_the_others() {
        let long = "n".repeat(300);
        let (names, left_out) = nameable(&choice(&["c1", "c 2", "\u{202e}3", &long])).expect("c1 is left");
        assert_eq!(names.iter().map(HostName::as_str).collect::<Vec<_>>(), ["c1"]);
        assert_eq!(left_out.unnameable.len(), 3);
        assert!(left_out.unnameable["c 2"].contains("nova.conf"), "{left_out:?}");
        let missing = left_out.missing().expect("three");
        assert!(missing.contains("\"c 2\"") && !missing.contains('\u{202e}'), "{missing}");
    }

    #[test]
    fn hosts_that_all_have_impossible_names_are_a_mistake() {
        let failure = nameable(&choice(&["c 1", "c 2"])).expect_err("nobody is left");
        assert_eq!(failure.code, glancecast_platform::cli::EXIT_USAGE);
        assert!(failure.message.contains("\"c 1\", \"c 2\""), "{failure:?}");
    }

    #[test]
    fn hosts_that_nova_does_not_use_do_not_count() {
        let mut choice = choice(&["c1"]);
        choice.skipped.insert("c 2".into(), "disabled in Nova".into());
        let (_, left_out) = nameable(&choice).expect("c1");
        assert_eq!(left_out.missing(), None);
        assert_eq!(left_out.all().collect::<Vec<_>>(), [("c 2", "disabled in Nova")]);
    }
}
