//! The request for a query, and how it runs.

use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::random;
use glancecast_proto::ids::{HostName, ObjectName, SessionId};
use glancecast_proto::limits::{CONTROL_MAX, CONTROL_SMALL};
use glancecast_proto::query::{QuerierConfig, Standing};
use glancecast_proto::wire::{PinTime, Query, Sought, is_image_id};

use super::survey::Group;
use super::{
    KeySource, KnownHostsOptions, LeftOut, MissingHosts, Network, QueryResult, RequestError, Signing,
    Targets, agreement,
};
use crate::openstack::{Cloud, CloudChoice, CloudError, Namesakes};
use crate::pipeline::query::{self, RunningQuery};

/// A query. All its values are valid, so nothing has to be checked.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// The query's kind.
    pub kind: QueryKind,
    /// The hosts that should answer.
    pub targets: Targets,
    /// The cloud in which the image is looked up by name, if one is chosen; else the query names the image as given.
    pub cloud: CloudChoice,
    /// Which image is meant if several active ones in Glance have the name.
    pub namesakes: Namesakes,
    /// Whether the image is looked up in Glance also if no cloud is chosen: in the one of the environment.
    pub is_in_glance: bool,
    /// The network.
    pub network: Network,
    /// The time for which hosts are asked. Hosts that have begun to answer or to verify are waited for longer.
    pub wait: Duration,
    /// The group key that seals it.
    pub key: KeySource,
    /// The sender key that signs it. Hosts that list their senders answer no other query.
    pub signing: Signing,
    /// The hosts that are known by their keys. A query does not change the file.
    pub known_hosts: KnownHostsOptions,
    /// What becomes of hosts that did not answer.
    pub missing: MissingHosts,
}

/// The kind of a query. An image is given by its name on the hosts or in Glance, or by Glance's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// Lists the hosts that listen, and what they hold.
    Hosts,
    /// Lists the hosts that hold an image.
    Status(String),
    /// Verifies the hosts' copies of an image.
    Verify(String),
    /// Ends the pin of an image: hosts keep it no longer than their own rules say.
    Unpin(String),
    /// Pins an image: hosts keep it for this time from now on, however they kept it until now.
    Pin(String, PinTime),
    /// Removes the hosts' copies of an image, unless something uses them or they are pinned.
    Remove(String),
    /// The same, also if they are pinned.
    RemovePinned(String),
    /// Verifies the hosts' copies of an image, and takes the names of those that are damaged.
    SetAside(String),
}

/// What a query will do, resolved before it starts.
pub struct QueryPlan {
    /// The query's configuration.
    pub config: QuerierConfig,
    /// The destinations, and the marking of datagrams.
    pub network: Network,
    /// The outgoing interface.
    pub interface: Interface,
    /// Chosen hosts that are not waited for.
    pub left_out: LeftOut,
    /// What the operator should know about the chosen hosts.
    pub(crate) notice: Option<String>,
    pub(super) when_missing: MissingHosts,
}

/// A running query.
pub struct QueryRun {
    /// What it does.
    pub plan: QueryPlan,
    /// The thread, with its progress and a way to stop it.
    pub running: RunningQuery,
}

impl QueryRequest {
    /// Finds key, interface, hosts and image, and starts the query's thread.
    ///
    /// # Errors
    /// [`RequestError`] with the first fault or failure. Nothing has been sent then.
    pub async fn start(&self) -> Result<QueryRun, RequestError> {
        let key = self.key.load()?;
        let signer = self.signing.load()?;
        let interface = self.network.interface()?;
        let is_chosen = self.cloud != CloudChoice::default() || self.namesakes == Namesakes::Latest;
        let is_in_glance = self.is_in_glance || is_chosen;
        let cloud = match self.targets.asks_nova() || is_in_glance {
            true => Some(Cloud::connect(&self.cloud).await?),
            false => None,
        };
        let targets = self.targets.resolve(cloud.as_ref()).await?;
        let notice = targets.notice();
        let query = self.kind.query(cloud.as_ref(), self.namesakes).await?;
        let interface = self.network.again(&interface).await?;
        let answer_bytes_max = answer_bytes_max(self.network.destinations.ip_header(), interface.mtu);
        let downlink = self.network.open(&interface, usize::from(answer_bytes_max))?;
        let config = QuerierConfig {
            id: SessionId(random::bytes().map_err(RequestError::Random)?),
            key,
            signer,
            agreement: agreement()?,
            known: self.known_hosts.load()?,
            query,
            new_key: None,
            reply_to: downlink.local_addr(),
            answer_bytes_max,
            started: wall(),
            wait: self.wait,
            expected: targets.expected,
        };
        let running = query::start(config.clone(), downlink, self.network.interface.clone())
            .map_err(RequestError::Start)?;
        let (network, left_out) = (self.network.clone(), targets.left_out);
        let when_missing = self.missing;
        let plan = QueryPlan { config, network, interface, left_out, notice, when_missing };
        Ok(QueryRun { plan, running })
    }
}

impl QueryRun {
    /// Joins a query that has ended, and judges its answers. Asks the group who is there if an expected host never
    /// answered.
    ///
    /// # Errors
    /// When the query's socket failed, so that it could not be sent.
    pub async fn finish(self) -> Result<QueryResult, RequestError> {
        let (plan, answers) = (self.plan, self.running.join()?);
        let missing: Vec<HostName> = answers
            .rows
            .iter()
            .filter(|row| row.expected && row.standing == Standing::NeverAnswered)
            .map(|row| row.name.clone())
            .collect();
        let hints = Group::from(&plan).hints(&missing).await;
        Ok(QueryResult::new(plan, answers, hints))
    }
}

impl QueryKind {
    async fn query(&self, cloud: Option<&Cloud>, rule: Namesakes) -> Result<Query, RequestError> {
        Ok(match self {
            Self::Hosts => Query::Hosts,
            Self::Status(image) => Query::Status(sought(image, cloud, rule).await?),
            Self::Verify(image) => Query::Verify(sought(image, cloud, rule).await?),
            Self::Pin(image, time) => Query::Pin(sought(image, cloud, rule).await?, *time),
            Self::Unpin(image) => Query::Unpin(sought(image, cloud, rule).await?),
            Self::Remove(image) => Query::Remove(sought(image, cloud, rule).await?),
            Self::RemovePinned(image) => Query::RemovePinned(sought(image, cloud, rule).await?),
            Self::SetAside(image) => Query::SetAside(sought(image, cloud, rule).await?),
        })
    }
}

/// Returns the image that is sought. If Glance has an image of this name, its id is sought too, so that an older image
/// of the same name does not match. An image that Glance does not have (any more) may still be on the hosts.
async fn sought(image: &str, cloud: Option<&Cloud>, rule: Namesakes) -> Result<Sought, RequestError> {
    let Some(cloud) = cloud.filter(|_| !is_image_id(&image.to_ascii_lowercase())) else {
        return as_given(image);
    };
    let record = match cloud.find_image(image, rule).await {
        Ok(record) => record,
        Err(
            CloudError::UnknownImage { .. } | CloudError::NotActive { .. } | CloudError::BadImageId { .. },
        ) => return as_given(image),
        Err(error) => return Err(error.into()),
    };
    let name = record.name.as_deref().and_then(|name| ObjectName::new(name).ok());
    let name = name.or_else(|| ObjectName::new(&record.id).ok());
    Ok(Sought::new(name, Some(record.id)).expect("it has an id that hosts know"))
}

fn as_given(image: &str) -> Result<Sought, RequestError> {
    let name =
        ObjectName::new(image).map_err(|error| RequestError::SoughtName { name: image.to_owned(), error })?;
    let id = image.to_ascii_lowercase();
    let id = is_image_id(&id).then_some(id);
    Ok(Sought::new(Some(name), id).expect("there is a name"))
}

/// Returns the bytes of the longest answer. It fits IPv6's minimum MTU (RFC 8200 §5), which every path supports, or the
/// interface's if that is smaller.
pub(super) fn answer_bytes_max(ip_header: u16, mtu: u32) -> u16 {
    let bytes = (mtu.min(1_280) as usize).saturating_sub(usize::from(ip_header) + 8);
    bytes.clamp(CONTROL_SMALL, CONTROL_MAX) as u16
}

#[cfg(test)]
mod tests {
    use glancecast_platform::multicast::Group;
    use glancecast_platform::transport::{Marking, Offload};

    use super::*;

    #[test]
    fn an_id_is_known_by_its_form_and_may_also_be_a_name() {
        let id = "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44";
        let sought = as_given(id).expect("possible");
        assert_eq!(sought.image_id(), Some("4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"));
        assert!(sought.matches(id, None));
        assert_eq!(as_given("ubuntu-24.04").expect("possible").image_id(), None);
        assert!(as_given("../etc/passwd").is_err());
    }

    #[test]
    fn answers_fit_every_path() {
        for (ip_header, mtu, bytes) in [(20, 9000, 1_252), (40, 1500, 1_232), (20, 576, 548)] {
            assert_eq!(answer_bytes_max(ip_header, mtu), bytes);
        }
    }

    #[test]
    fn a_query_that_nobody_answers_runs_to_its_end_and_says_so() {
        let network = Network {
            destinations: "239.255.71.67:7299".parse::<Group>().expect("a group").into(),
            interface: Some("lo".into()),
            reply_port: 0,
            marking: Marking { ttl: 1, dscp: 0 },
            offload: Offload::Used,
        };
        let request = QueryRequest {
            kind: QueryKind::Hosts,
            targets: Targets::Count(1),
            cloud: CloudChoice::default(),
            namesakes: Namesakes::Refused,
            is_in_glance: false,
            network,
            wait: Duration::from_millis(50),
            key: KeySource::Insecure,
            signing: Signing::Unsigned,
            known_hosts: KnownHostsOptions::default(),
            missing: MissingHosts::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let result = runtime.block_on(async {
            let mut query = request.start().await.expect("loopback");
            query.running.ended().await;
            query.finish().await.expect("loopback takes datagrams")
        });
        assert!(result.reason.as_ref().is_some_and(|text| text.contains("no host answered")));
        assert_eq!((result.exit_code(), result.answers.rows.len()), (3, 0));
    }
}
