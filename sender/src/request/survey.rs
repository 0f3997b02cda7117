//! Who is there: asked of the whole group where a host that is expected by its name never answered, as it may be there
//! under another name. Hosts that a push or a query is not for say nothing during it.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::random;
use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::query::{HostAnswer, QuerierConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, SenderConfig};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::Query;
use tokio::time::timeout;

use super::alike::{self, Hints};
use super::query::answer_bytes_max;
use super::{Network, PushPlan, QueryPlan, RequestError, agreement};
use crate::pipeline::query;

/// The group of a push or a query, and what it takes to ask it.
pub(super) struct Group<'a> {
    network: &'a Network,
    interface: &'a Interface,
    key: &'a GroupKey,
    signer: Option<&'a SigningKey>,
    known: &'a KnownHosts,
    expected: &'a Expected,
}

impl<'a> From<&'a PushPlan> for Group<'a> {
    fn from(PushPlan { config, network, interface, .. }: &'a PushPlan) -> Self {
        let SenderConfig { key, signer, known, expected, .. } = config;
        Self { network, interface, key, signer: signer.as_ref(), known, expected }
    }
}

impl<'a> From<&'a QueryPlan> for Group<'a> {
    fn from(QueryPlan { config, network, interface, .. }: &'a QueryPlan) -> Self {
        let QuerierConfig { key, signer, known, expected, .. } = config;
        Self { network, interface, key, signer: signer.as_ref(), known, expected }
    }
}

impl Group<'_> {
    /// Returns hints for missing hosts: names that people confuse with theirs, of hosts that are there or are known. A
    /// group that cannot be asked gives no hint.
    pub(super) async fn hints(&self, missing: &[HostName]) -> Hints {
        let Expected::Named(expected) = self.expected else { return Hints::new() };
        if missing.is_empty() {
            return Hints::new();
        }
        let present = self.present().await.unwrap_or_else(|error| {
            tracing::debug!("the group cannot be asked who is there: {error}");
            BTreeSet::new()
        });
        let is_other = |name: &&HostName| !expected.contains(*name);
        let hints = alike::hints(missing.iter(), present.iter().filter(is_other));
        let without = missing.iter().filter(|name| !hints.contains_key(*name));
        let known = alike::hints(without, self.known.keys.keys().filter(is_other));
        hints.into_iter().chain(known).collect()
    }

    /// Returns the names of the hosts that answer.
    async fn present(&self) -> Result<BTreeSet<HostName>, RequestError> {
        let answers = self.ask(Expected::Anyone, WAIT, WAIT_MAX).await?;
        let heard = answers.into_iter().filter(|row| row.about.is_some() || row.standing.is_finding());
        Ok(heard.map(|row| row.name).collect())
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
