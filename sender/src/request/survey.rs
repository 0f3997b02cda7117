//! Who is there: asked of the whole group where a host that is expected by its name never answered, as it may be there
//! under another name. Hosts that a push or a query is not for say nothing during it. Where the address of such a host is
//! known, the first step of a diagnosis is taken there, which says why it is not heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::random;
use glancecast_proto::doctor::{self, Extent, Finding};
use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::query::{HostAnswer, QuerierConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, SenderConfig};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::Query;
use tokio::time::timeout;

use super::alike::{self, Hint, Hints};
use super::doctor::Bench;
use super::query::answer_bytes_max;
use super::reach::addresses_of;
use super::{Network, PushPlan, QueryPlan, RequestError, agreement};
use crate::pipeline::query;

/// What becomes of hosts that never answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingHosts {
    /// The first step of a diagnosis is taken at their addresses.
    #[default]
    Examined,
    /// They are named, and nothing is sent to them.
    LeftAlone,
}

/// The group of a push or a query, and what it takes to ask it.
pub(super) struct Group<'a> {
    network: &'a Network,
    interface: &'a Interface,
    key: &'a GroupKey,
    signer: Option<&'a SigningKey>,
    known: &'a KnownHosts,
    expected: &'a Expected,
    /// Addresses of hosts, where the push has looked for them.
    addresses: Option<BTreeMap<HostName, SocketAddr>>,
    missing: MissingHosts,
}

impl<'a> From<&'a PushPlan> for Group<'a> {
    fn from(PushPlan { config, network, interface, when_missing, .. }: &'a PushPlan) -> Self {
        let SenderConfig { key, signer, known, expected, .. } = config;
        let addresses = Some(config.reach.hosts.iter().cloned().collect());
        let missing = *when_missing;
        Self { network, interface, key, signer: signer.as_ref(), known, expected, addresses, missing }
    }
}

impl<'a> From<&'a QueryPlan> for Group<'a> {
    fn from(QueryPlan { config, network, interface, when_missing, .. }: &'a QueryPlan) -> Self {
        let QuerierConfig { key, signer, known, expected, .. } = config;
        let (addresses, missing) = (None, *when_missing);
        Self { network, interface, key, signer: signer.as_ref(), known, expected, addresses, missing }
    }
}

impl<'a> Group<'a> {
    /// Returns the same group, asked by another network.
    pub(super) fn on(self, network: &'a Network) -> Self {
        Self { network, ..self }
    }
}

impl Group<'_> {
    /// Returns hints for missing hosts: names that people confuse with theirs, of hosts that are there or are known; else
    /// what a diagnosis finds at their addresses. A group that cannot be asked gives no hint.
    pub(super) async fn hints(&self, missing: &[HostName]) -> Hints {
        if missing.is_empty() || !matches!(self.expected, Expected::Named(_)) {
            return Hints::new();
        }
        // One after the other: both may have to answer to the same port.
        let present = self.present().await;
        let found = self.examined(missing).await;
        self.combined(missing, &present, found)
    }

    /// Returns the same hints, found at the same time: answers come to any free port.
    pub(super) async fn hints_at_once(&self, missing: &[HostName]) -> Hints {
        if missing.is_empty() || !matches!(self.expected, Expected::Named(_)) {
            return Hints::new();
        }
        let (present, found) = tokio::join!(self.present(), self.examined(missing));
        self.combined(missing, &present, found)
    }

    /// Returns names that people confuse with those of missing hosts, of hosts that are known. Nobody is asked.
    pub(super) fn known_hints(&self, missing: &[HostName]) -> Hints {
        self.combined(missing, &BTreeSet::new(), Hints::new())
    }

    /// Returns hints by the names of hosts that are `present` and of those that are known, and by what was `found`.
    fn combined(&self, missing: &[HostName], present: &BTreeSet<HostName>, found: Hints) -> Hints {
        let Expected::Named(expected) = self.expected else { return Hints::new() };
        let is_other = |name: &&HostName| !expected.contains(*name);
        let hints = alike::hints(missing.iter(), present.iter().filter(is_other));
        let without = missing.iter().filter(|name| !hints.contains_key(*name));
        let known = alike::hints(without, self.known.keys.keys().filter(is_other));
        // A name that people confuse explains more than what was found under the other one.
        found.into_iter().chain(known).chain(hints).collect()
    }

    /// Returns what the first step of a diagnosis finds of missing hosts whose addresses are known; nothing if they
    /// cannot be examined.
    async fn examined(&self, missing: &[HostName]) -> Hints {
        if self.missing == MissingHosts::LeftAlone {
            return Hints::new();
        }
        self.examine(missing).await.unwrap_or_else(|error| {
            tracing::debug!("the missing hosts cannot be examined: {error}");
            Hints::new()
        })
    }

    async fn examine(&self, missing: &[HostName]) -> Result<Hints, RequestError> {
        let names: Vec<HostName> = missing.iter().take(EXAMINED_MAX).cloned().collect();
        let addresses = match &self.addresses {
            Some(addresses) => addresses.clone(),
            None => match self.network.destinations.group() {
                Some(group) => addresses_of(&names, self.interface.addr, group.addr().port(), WAIT).await,
                None => BTreeMap::new(),
            },
        };
        let addresses: BTreeMap<HostName, SocketAddr> =
            addresses.into_iter().filter(|(name, _)| names.contains(name)).collect();
        if addresses.is_empty() {
            return Ok(Hints::new());
        }
        let expected = Expected::Named(addresses.keys().cloned().collect());
        let bench = Bench {
            network: self.network,
            interface: self.interface,
            key: self.key,
            signer: self.signer,
            known: self.known,
        };
        let mut running = bench.start(expected, addresses, Extent::Reach, Vec::new())?;
        if timeout(EXAMINED_TIME, running.ended()).await.is_err() {
            running.stop();
            running.ended().await;
        }
        let findings = doctor::findings(&running.join().evidence);
        let hint = |finding: &Finding| {
            let mend = finding
                .mends
                .first()
                .map_or_else(String::new, |mend| format!("; {}: {}", mend.place, mend.command));
            let text = format!("{}: {}{mend} ({})", finding.id, finding.evidence, finding.id.anchor());
            Hint { names: Vec::new(), text }
        };
        let of = |finding: &Finding| -> Vec<_> {
            finding.hosts.iter().map(|host| (host.clone(), hint(finding))).collect()
        };
        Ok(findings.iter().rev().flat_map(of).collect())
    }

    /// Returns the names of the hosts that answer; none if the group cannot be asked.
    async fn present(&self) -> BTreeSet<HostName> {
        let answers = self.ask(Expected::Anyone, WAIT, WAIT_MAX).await.unwrap_or_else(|error| {
            tracing::debug!("the group cannot be asked who is there: {error}");
            Vec::new()
        });
        let heard = answers.into_iter().filter(|row| row.about.is_some() || row.standing.is_finding());
        heard.map(|row| row.name).collect()
    }

    /// Asks who is there and what each holds. Asks for `wait`, and waits for those that have begun to answer until
    /// `wait_max`.
    async fn ask(
        &self,
        expected: Expected,
        wait: Duration,
        wait_max: Duration,
    ) -> Result<Vec<HostAnswer>, RequestError> {
        let answer_bytes_max = answer_bytes_max(self.network.destinations.ip_header(), self.interface.mtu);
        let downlink = self.network.open(self.interface, usize::from(answer_bytes_max))?;
        let config = QuerierConfig {
            id: SessionId(random::bytes().map_err(RequestError::Random)?),
            key: self.key.clone(),
            signer: self.signer.cloned(),
            agreement: agreement()?,
            known: self.known.clone(),
            query: Query::Hosts,
            new_key: None,
            reply_to: downlink.local_addr(),
            answer_bytes_max,
            started: wall(),
            wait,
            expected,
        };
        let mut running =
            query::start(config, downlink, self.network.interface.clone()).map_err(RequestError::Start)?;
        if timeout(wait_max, running.ended()).await.is_err() {
            running.stop();
            running.ended().await;
        }
        Ok(running.join()?.rows)
    }
}

impl PushPlan {
    /// Asks the hosts of the push who is there, what each holds, and how much room it has.
    ///
    /// # Errors
    /// The group cannot be asked.
    pub(crate) async fn ask_hosts(&self) -> Result<Vec<HostAnswer>, RequestError> {
        Group::from(self).ask(self.config.expected.clone(), ASKED, ASKED_MAX).await
    }
}

/// How long hosts are asked, and how long those that have begun to answer are waited for.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(3);
/// The same for a push that is only looked at, as long as `glancecast hosts` takes.
const ASKED: Duration = Duration::from_secs(2);
const ASKED_MAX: Duration = Duration::from_secs(10);

/// Missing hosts that are examined, and how long that may take: a host with another key says so within two seconds.
const EXAMINED_MAX: usize = 64;
const EXAMINED_TIME: Duration = Duration::from_secs(4);
