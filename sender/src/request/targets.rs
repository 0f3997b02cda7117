//! The hosts that must hold an image, or that should answer a query: by name, by number, or by aggregates and zones in
//! Nova.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::sender::Expected;

use super::RequestError;
use crate::openstack::{Choice, Cloud, Nova};

/// The expected hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// Every host that answers.
    #[default]
    Anyone,
    /// Any hosts of this number.
    Count(u32),
    /// These hosts.
    Named(BTreeSet<HostName>),
    /// The hosts in any of these aggregates and availability zones that are in use in Nova.
    Nova {
        /// Names of aggregates.
        aggregates: Vec<String>,
        /// Names of availability zones.
        zones: Vec<String>,
    },
}

impl Targets {
    /// Reads the hosts from a file: one name per line, `#` starts a comment.
    ///
    /// # Errors
    /// The file cannot be read, a line is not a name, or there is no name.
    pub fn from_file(path: &Path) -> Result<Self, RequestError> {
        let text = fs::read_to_string(path)
            .map_err(|error| RequestError::HostsFile { path: path.to_owned(), error })?;
        let mut names = BTreeSet::new();
        for (i, line) in text.lines().enumerate() {
            let name = line.split('#').next().unwrap_or("").trim();
            if !name.is_empty() {
                names.insert(HostName::new(name).map_err(|error| RequestError::HostsFileLine {
                    path: path.to_owned(),
                    line: i + 1,
                    error,
                })?);
            }
        }
        if names.is_empty() {
            return Err(RequestError::HostsFileEmpty(path.to_owned()));
        }
        Ok(Self::Named(names))
    }

    /// Whether Nova has to be asked for the hosts.
    pub(super) fn asks_nova(&self) -> bool {
        matches!(self, Self::Nova { .. })
    }

    /// Determines the hosts. `cloud` is required for [`Targets::Nova`].
    pub(super) async fn resolve(&self, cloud: Option<&Cloud>) -> Result<ResolvedTargets, RequestError> {
        let found = |expected| ResolvedTargets { expected, ..ResolvedTargets::default() };
        match (self, cloud) {
            (Self::Nova { aggregates, zones }, Some(cloud)) => {
                let nova = Nova::of(cloud)?;
                let choice = nova.choose(aggregates, zones).await?;
                let (names, left_out) = nameable(&choice)?;
                Ok(ResolvedTargets { expected: named(names)?, choice, left_out, nova: Some(nova) })
            }
            (Self::Nova { .. }, None) => unreachable!("a request that asks Nova connects first"),
            (Self::Named(names), _) => Ok(found(named(names.clone())?)),
            (Self::Count(count), _) => Ok(found(Expected::Count(*count))),
            (Self::Anyone, _) => Ok(found(Expected::Anyone)),
        }
    }
}

/// The expected hosts, and Nova's choice if it was asked.
pub struct ResolvedTargets {
    /// The hosts by name or number.
    pub expected: Expected,
    /// Hosts that were chosen and are not waited for.
    pub left_out: LeftOut,
    pub(super) choice: Choice,
    /// Nova, for the call that caches the image on the aggregates.
    pub(super) nova: Option<Nova>,
}

impl Default for ResolvedTargets {
    fn default() -> Self {
        let (choice, left_out) = (Choice::default(), LeftOut::default());
        Self { expected: Expected::Anyone, choice, left_out, nova: None }
    }
}

/// Hosts of the chosen aggregates and zones that are not waited for, by Nova's names, each with the reason.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Nova itself does not use them now: they do not count.
    pub unused: BTreeMap<String, String>,
    /// No receiver can have their name, so they never hold a copy: the push or query is never complete.
    pub unnameable: BTreeMap<String, String>,
}

impl LeftOut {
    /// Returns all hosts of both kinds, each with its reason.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unused.iter().chain(&self.unnameable).map(|(host, reason)| (host.as_str(), reason.as_str()))
    }

    /// Returns why the push or query cannot be complete; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        let mut names: Vec<String> =
            self.unnameable.keys().take(NAMED_MAX).map(|name| format!("{name:?}")).collect();
        if self.unnameable.len() > names.len() {
            names.push("..".to_owned());
        }
        (!names.is_empty()).then(|| format!("no receiver can be named {}", names.join(", ")))
    }
}

/// Separates the hosts by whether a receiver can have their name. A node chooses its own name: one with an unusable
/// name must not keep the others from the image.
fn nameable(choice: &Choice) -> Result<(BTreeSet<HostName>, LeftOut), RequestError> {
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
        Some(missing) if names.is_empty() => Err(RequestError::NoHostWithAName { missing }),
        _ => Ok((names, left_out)),
    }
}

fn named(names: BTreeSet<HostName>) -> Result<Expected, RequestError> {
    if names.len() > HOSTS_MAX {
        Err(RequestError::TooManyHosts(names.len()))
    } else {
        Ok(Expected::Named(names))
    }
}

/// The maximum number of names in a line.
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
        assert_eq!(failure.kind(), super::super::ErrorKind::Usage);
        assert!(failure.to_string().contains("\"c 1\", \"c 2\""), "{failure:?}");
    }

    #[test]
    fn hosts_that_nova_does_not_use_do_not_count() {
        let mut choice = choice(&["c1"]);
        choice.skipped.insert("c 2".into(), "disabled in Nova".into());
        let (_, left_out) = nameable(&choice).expect("c1");
        assert_eq!(left_out.missing(), None);
        assert_eq!(left_out.all().collect::<Vec<_>>(), [("c 2", "disabled in Nova")]);
    }

    #[test]
    fn a_hosts_file_has_a_name_a_line_and_mistakes_are_named_with_their_line() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("nodes.txt");
        let read = |text: &str| {
            fs::write(&path, text).expect("writable");
            Targets::from_file(&path).map_err(|error| error.to_string())
        };
        let names = ["c1", "c2"].map(|name| HostName::new(name).expect("a name"));
        assert_eq!(read("c2 # rack 1\n\n# none\n c1\nc1\n"), Ok(Targets::Named(names.into())));
        assert!(read("c1\nc 2\n").expect_err("no name").contains("nodes.txt line 2: "));
        assert!(read("# c1\n").expect_err("no host").ends_with("there is no host in it"));
    }
}
