//! The hosts that must hold an image, or that should answer a query: by name, by number, or by aggregates and zones in
//! Nova.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::sender::Expected;

use super::host_list::HostList;
use super::listed::Listed;
use super::{RequestError, alike};
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
    /// Those of named hosts or of Nova's that are not among these.
    Except {
        /// The hosts to choose from.
        of: Box<Targets>,
        /// The hosts that are left out.
        except: BTreeSet<HostName>,
        /// Why, for the table.
        why: &'static str,
    },
}

impl Targets {
    /// Leaves hosts out. An empty set changes nothing.
    ///
    /// # Errors
    /// [`RequestError::ExcludeWhat`] if the hosts are not named, neither here nor in Nova: a push to everyone, or to a
    /// number of hosts, is written by each host of the group.
    pub fn except(self, except: BTreeSet<HostName>) -> Result<Self, RequestError> {
        self.without(except, EXCLUDED)
    }

    /// The same, for this reason.
    pub(super) fn without(self, except: BTreeSet<HostName>, why: &'static str) -> Result<Self, RequestError> {
        match self {
            all if except.is_empty() => Ok(all),
            Self::Anyone | Self::Count(_) => Err(RequestError::ExcludeWhat),
            of => Ok(Self::Except { of: Box::new(of), except, why }),
        }
    }

    /// Returns the hosts without those that are left out.
    pub(super) fn all(&self) -> &Self {
        match self {
            Self::Except { of, .. } => of.all(),
            all => all,
        }
    }

    /// Returns the hosts of a list; those after a `!` are left out.
    ///
    /// # Errors
    /// [`RequestError::NoHostNamed`] if it only leaves hosts out.
    pub fn of_list(list: HostList) -> Result<Self, RequestError> {
        if list.hosts.is_empty() {
            return Err(RequestError::NoHostNamed);
        }
        Self::Named(list.hosts).except(list.except)
    }

    /// Reads the hosts from a file, as [`Listed::from_file`]. Their addresses are not needed.
    ///
    /// # Errors
    /// The file cannot be read, a line is not a name, or there is no name.
    pub fn from_file(path: &Path) -> Result<Self, RequestError> {
        let hosts = Listed::from_file(path)?.hosts;
        if hosts.hosts.is_empty() {
            return Err(RequestError::HostsFileEmpty(path.to_owned()));
        }
        Self::of_list(hosts)
    }

    /// Whether Nova has to be asked for the hosts.
    pub(super) fn asks_nova(&self) -> bool {
        matches!(self.all(), Self::Nova { .. })
    }

    /// Determines the hosts. `cloud` is required for [`Targets::Nova`].
    pub(super) async fn resolve(&self, cloud: Option<&Cloud>) -> Result<ResolvedTargets, RequestError> {
        match self {
            Self::Except { of, except, why } => Box::pin(of.resolve(cloud)).await?.without(except, why),
            all => all.resolve_all(cloud).await,
        }
    }

    async fn resolve_all(&self, cloud: Option<&Cloud>) -> Result<ResolvedTargets, RequestError> {
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
            (Self::Except { .. }, _) => unreachable!("what is left out is taken away first"),
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

impl ResolvedTargets {
    /// Returns the addresses that Nova has, by its names; `None` if it was not asked.
    pub(super) fn nova_addresses(&self) -> Option<&BTreeMap<String, IpAddr>> {
        self.nova.is_some().then_some(&self.choice.addresses)
    }

    /// Takes hosts away. Those that were not among them are named in a notice, as they may be misspelt.
    fn without(mut self, except: &BTreeSet<HostName>, why: &str) -> Result<Self, RequestError> {
        let Expected::Named(names) = &mut self.expected else { return Err(RequestError::ExcludeWhat) };
        for host in except {
            let is_chosen = names.remove(host);
            let left_out = &mut self.left_out;
            let in_nova = left_out.unused.contains_key(host.as_str());
            if is_chosen {
                left_out.unused.insert(host.to_string(), why.to_owned());
            } else if !in_nova {
                left_out.not_chosen.insert(host.clone());
            }
        }
        if names.is_empty() {
            return Err(RequestError::AllExcluded);
        }
        Ok(self)
    }

    /// Returns a notice about excluded hosts that were not chosen in the first place; `None` if there are none.
    pub(crate) fn notice(&self) -> Option<String> {
        let Expected::Named(names) = &self.expected else { return None };
        let not_chosen = &self.left_out.not_chosen;
        let first: Vec<&str> = not_chosen.iter().take(NAMED_MAX).map(HostName::as_str).collect();
        let (_, more) = (first.first()?, not_chosen.len() - first.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let hints = alike::hints(not_chosen.iter(), names.iter());
        let hint = hints.iter().next().map_or_else(String::new, |(name, hint)| {
            let meant = hint.names.first().map_or("", HostName::as_str);
            format!(": {meant} is among them; is it meant by {name}?")
        });
        Some(format!("{}{more} excluded, and not among the chosen hosts{hint}", first.join(", ")))
    }
}

/// Hosts of the chosen aggregates and zones that are not waited for, by Nova's names, each with the reason.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Nova itself does not use them now, or they were excluded: they do not count.
    pub unused: BTreeMap<String, String>,
    /// Excluded hosts that were not chosen in the first place.
    pub not_chosen: BTreeSet<HostName>,
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

/// Why a host is left out that was excluded by its name.
const EXCLUDED: &str = "excluded";

/// The maximum number of names in a line.
const NAMED_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn an_excluded_host_is_left_out_and_named_and_a_misspelt_one_is_told() {
        let hosts = |text: &str| text.parse::<HostList>().expect("hosts");
        let of = |all: &str, except: &str| {
            let targets = Targets::of_list(hosts(all)).and_then(|all| all.except(hosts(except).hosts));
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            targets.and_then(|targets| runtime.block_on(targets.resolve(None)))
        };
        let resolved = of("c[1-4],!c4", "c2,c9,c1.example").expect("two are left");
        assert_eq!(resolved.expected, Expected::Named(hosts("c1,c3").hosts));
        assert_eq!(resolved.left_out.all().collect::<Vec<_>>(), [("c2", EXCLUDED), ("c4", EXCLUDED)]);
        let notice = resolved.notice().expect("two that are not there");
        assert!(
            notice.contains("c1.example, c9 excluded") && notice.contains("c1 is among them"),
            "{notice}"
        );
        assert!(of("c1,c2", "c2").expect("one").notice().is_none());
        assert!(matches!(of("c1", "c1").map(drop), Err(RequestError::AllExcluded)));
        for all in [Targets::Anyone, Targets::Count(3)] {
            assert!(matches!(all.except(hosts("c1").hosts), Err(RequestError::ExcludeWhat)));
        }
        assert!(matches!(Targets::of_list(hosts("!c1")), Err(RequestError::NoHostNamed)));
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
        assert_eq!(read("c2 # rack 1\n\n# none\n c1\nc1\n"), Ok(Targets::Named(names.clone().into())));
        assert_eq!(read("c[1-2]\n"), Ok(Targets::Named(names.into())));
        let without = read("c[1-3]\n!c2 # in repair\n! c3\n").expect("hosts");
        assert!(matches!(&without, Targets::Except { except, .. } if except.len() == 2), "{without:?}");
        assert!(read("c1\nc[3-1]\n").expect_err("no range").contains("nodes.txt line 2: "));
        assert!(read("!c1\n").expect_err("no host").ends_with("there is no host in it"));
        assert!(read("c1\nc 2\n").expect_err("no name").contains("nodes.txt line 2: "));
        assert!(read("# c1\n").expect_err("no host").ends_with("there is no host in it"));
    }
}
