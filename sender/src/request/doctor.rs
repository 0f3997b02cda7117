//! The request for a diagnosis of the path to the hosts, and how it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::clock::wall;
use glancecast_platform::firewall;
use glancecast_platform::interface::Interface;
use glancecast_platform::multicast::Group;
use glancecast_platform::random;
use glancecast_platform::units::Rate;
use glancecast_proto::doctor::{
    self, DropRule, Echo, Evidence, ExaminerConfig, Extent, Finding, FindingId, HostEvidence, Island, Member,
    Mend, SenderEvidence,
};
use glancecast_proto::ids::HostName;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::limits::DATAGRAM_MAX;
use glancecast_proto::query::Standing;
use glancecast_proto::relay::Prefix;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::Expected;
use glancecast_proto::sign::SigningKey;

use super::query::answer_bytes_max;
use super::reach::Surroundings;
use super::{
    HostAddress, KeySource, KnownHostsOptions, Network, Rack, ReachOptions, RequestError, Signing, Targets,
};
use crate::openstack::{Cloud, CloudChoice};
use crate::pipeline::doctor::{self as pipeline, Examined, RunningExam};

/// A diagnosis. All its values are valid, so nothing has to be checked.
#[derive(Clone, Debug)]
pub struct DoctorRequest {
    /// The hosts that are examined.
    pub targets: Targets,
    /// The cloud that is asked for hosts and addresses, if one is chosen.
    pub cloud: CloudChoice,
    /// The network.
    pub network: Network,
    /// Addresses of hosts that the group may not reach.
    pub reach: ReachOptions,
    /// The group key that seals it.
    pub key: KeySource,
    /// The sender key that signs it.
    pub signing: Signing,
    /// The hosts that are known by their keys. A diagnosis does not change the file.
    pub known_hosts: KnownHostsOptions,
    /// The rate up to which the path is tried; `None` for no such trial.
    pub rate: Option<Rate>,
}

/// A diagnosis that runs.
pub struct DoctorRun {
    /// The interface.
    pub interface: Interface,
    /// Datagrams and bytes that are sent at most, if as many hosts answer as are expected.
    pub bounds: (u64, u64),
    /// The number of hosts for which the bounds hold.
    pub bounds_hosts: u32,
    /// Whether that is the number of hosts that are expected; else it is not known how many there are.
    pub(crate) are_counted: bool,
    /// What the operator should know about the chosen hosts.
    pub(crate) notice: Option<String>,
    /// The thread, with its progress and a way to stop it.
    pub running: RunningExam,
}

/// What a diagnosis has found.
#[derive(Debug)]
pub struct DoctorResult {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// What they follow from.
    pub evidence: Evidence,
    /// The networks that the group does not reach, of hosts that it would have to reach by a router or not at all.
    pub islands: Vec<Island>,
    /// The time that it took.
    pub time: Duration,
}

impl DoctorRequest {
    /// Finds key, interface and hosts, and starts the thread.
    ///
    /// # Errors
    /// [`RequestError`] with the first fault or failure. Nothing has been sent then.
    pub async fn start(&self) -> Result<DoctorRun, RequestError> {
        let (key, signer) = (self.key.load()?, self.signing.load()?);
        let interface = self.network.interface()?;
        let cloud = match self.targets.asks_nova() || self.cloud != CloudChoice::default() {
            true => Some(Cloud::connect(&self.cloud).await?),
            false => None,
        };
        let targets = self.targets.resolve(cloud.as_ref()).await?;
        let notice = targets.notice();
        let Some(group) = self.network.destinations.group() else {
            unreachable!("a diagnosis is of a group")
        };
        let around = Surroundings {
            group,
            own: Some(interface.addr),
            one_way: None,
            targets: &targets,
            cloud: cloud.as_ref(),
        };
        let addresses = self.reach.resolve(around).await?.reach.hosts.into_iter().collect();
        let interface = self.network.again(&interface).await?;
        let known = self.known_hosts.load()?;
        let bench = Bench {
            network: &self.network,
            interface: &interface,
            key: &key,
            signer: signer.as_ref(),
            known: &known,
        };
        let rates = self.rate.map_or_else(Vec::new, |rate| steps_to(rate.bits()));
        let config = bench.config(targets.expected, addresses, Extent::Whole, rates)?;
        let bounds_hosts = match &config.expected {
            Expected::Named(names) => names.len() as u32,
            Expected::Count(count) => *count,
            Expected::Anyone => ASSUMED_HOSTS,
        };
        let are_counted = config.expected != Expected::Anyone;
        let bounds = config.bounds(bounds_hosts);
        let running = bench.start_with(config)?;
        Ok(DoctorRun { interface, bounds, bounds_hosts, are_counted, notice, running })
    }
}

/// What it takes to examine a group.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) network: &'a Network,
    pub(super) interface: &'a Interface,
    pub(super) key: &'a GroupKey,
    pub(super) signer: Option<&'a SigningKey>,
    pub(super) known: &'a KnownHosts,
}

impl Bench<'_> {
    /// Starts a diagnosis of these hosts.
    pub(super) fn start(
        self,
        expected: Expected,
        addresses: BTreeMap<HostName, SocketAddr>,
        extent: Extent,
        rates: Vec<u64>,
    ) -> Result<RunningExam, RequestError> {
        self.start_with(self.config(expected, addresses, extent, rates)?)
    }

    /// Returns the configuration, but for the address that hosts answer to, which the socket decides.
    fn config(
        self,
        expected: Expected,
        addresses: BTreeMap<HostName, SocketAddr>,
        extent: Extent,
        rates: Vec<u64>,
    ) -> Result<ExaminerConfig, RequestError> {
        let (header, mtu) = (self.network.destinations.ip_header(), self.interface.mtu);
        Ok(ExaminerConfig {
            key: self.key.clone(),
            signer: self.signer.cloned(),
            known: self.known.clone(),
            seed: random::bytes().map_err(RequestError::Random)?,
            reply_to: self.interface.socket_addr(self.network.reply_port),
            answer_bytes_max: answer_bytes_max(header, mtu),
            started: wall(),
            expected,
            is_routed: is_routed(self.interface, &addresses),
            addresses,
            ttl: self.network.marking.ttl,
            lengths: lengths(longest(mtu, header), header),
            extent,
            rates,
        })
    }

    /// Opens the socket and starts the thread.
    fn start_with(self, config: ExaminerConfig) -> Result<RunningExam, RequestError> {
        let (header, mtu) = (self.network.destinations.ip_header(), self.interface.mtu);
        let downlink = self.network.open(self.interface, longest(mtu, header).into())?;
        let (reply_to, send) = (downlink.local_addr(), downlink.send_buffer());
        let sender = SenderEvidence {
            interface: self.interface.name.clone(),
            reply_to: Some(reply_to),
            group: self.network.destinations.group().map(Group::addr),
            mtu,
            ttl: config.ttl,
            prefix: self.interface.prefix(),
            key: self.signer.map(|key| key.public().to_string()),
            drops_answers: drops_answers(reply_to.port()),
            queriers: None,
            layer: self.interface.layer(),
            bond: self.interface.bond(),
            rate: config.rates.last().copied(),
            short_buffer: send.is_short().then_some((send.bytes as u64, send.wanted as u64)),
        };
        let config = ExaminerConfig { reply_to, ..config };
        pipeline::start(config, downlink, sender).map_err(RequestError::Start)
    }
}

impl DoctorRun {
    /// Joins a diagnosis that has ended, and judges what was found.
    ///
    /// # Errors
    /// When nothing could be sent.
    pub fn finish(self) -> Result<DoctorResult, RequestError> {
        let examined = self.running.join();
        DoctorResult::of(examined)
            .map_err(|error| RequestError::NotSent { interface: self.interface.name, error })
    }
}

impl DoctorResult {
    fn of(examined: Examined) -> Result<Self, io::Error> {
        let Examined { evidence, strangers, time, error } = examined;
        let somebody_answers = evidence.hosts.iter().any(|host| host.at_start.is_some());
        if let Some(error) = error.filter(|_| !somebody_answers) {
            return Err(error);
        }
        let mut findings = doctor::findings(&evidence);
        let is_missing =
            |host: &HostEvidence| host.standing == Standing::NeverAnswered && host.echo == Echo::None;
        // Another group may have the same address and port: that is a finding only where somebody is missing.
        let some_are_missing = evidence.hosts.is_empty() || evidence.hosts.iter().any(is_missing);
        if let Some(first) = strangers.first().filter(|_| some_are_missing) {
            let more = match strangers.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            findings.push(Finding {
                id: FindingId::Key,
                hosts: Vec::new(),
                evidence: format!("at {first}{more} is a host with another group key"),
                mends: vec![Mend::new(
                    "on the host",
                    "copy the group's key from the sender's machine, systemctl reload glancecastd",
                )],
            });
            findings.sort_by_key(|finding| finding.id);
        }
        let islands = islands(&findings, &evidence);
        Ok(Self { findings, evidence, islands, time })
    }

    /// Returns the racks that the islands are, as a push takes them. An island on which no host may relay is none.
    pub(crate) fn racks(&self) -> Vec<Rack> {
        let port = self.evidence.sender.group.map_or(0, |group| group.port());
        let addresses = |members: &[Member]| -> Vec<HostAddress> {
            members.iter().map(|member| HostAddress::of(member.address, port)).collect()
        };
        let islands = self.islands.iter().filter(|island| !island.relays.is_empty());
        let rack = |island: &Island| Rack {
            name: island.network.to_string(),
            relays: addresses(&island.relays),
            uplink: None,
            multicast: island.carries_multicast() != Some(false),
            unicast: addresses(&island.alone),
        };
        islands.map(rack).collect()
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        if self.findings.is_empty() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE }
    }
}

/// Returns the islands of hosts that are behind a router, or in a network without multicast. A host that is deaf for a
/// reason of its own is not one that a relay would help.
fn islands(findings: &[Finding], evidence: &Evidence) -> Vec<Island> {
    let is_of_network = |finding: &&Finding| matches!(finding.id, FindingId::Routed | FindingId::NoMulticast);
    let apart: BTreeSet<&HostName> =
        findings.iter().filter(is_of_network).flat_map(|finding| &finding.hosts).collect();
    let hosts: Vec<HostEvidence> =
        evidence.hosts.iter().filter(|host| apart.contains(&host.name)).cloned().collect();
    doctor::islands(&hosts)
}

/// Returns the rule of this machine's firewall that drops answers to the port; `None` if there is none, or the rules
/// cannot be read, which takes root.
fn drops_answers(port: u16) -> Option<DropRule> {
    let rules = firewall::rules().inspect_err(|error| tracing::debug!("{error}")).ok()?;
    let is_of_port = |rule: &DropRule| rule.id == FindingId::Firewall;
    doctor::drop_rules(&rules, port, None).into_iter().find(is_of_port)
}

/// Returns the UDP payload of the longest datagram that the interface takes.
fn longest(mtu: u32, ip_header: u16) -> u16 {
    (mtu as usize).saturating_sub(usize::from(ip_header) + 8).clamp(LENGTH_MIN, DATAGRAM_MAX) as u16
}

/// Returns the lengths of long probes: of packets of 576 and 1 280 bytes, and of the longest that the interface takes.
fn lengths(longest: u16, ip_header: u16) -> Vec<u16> {
    let mut lengths: Vec<u16> = [576, 1280].map(|packet: u16| packet - ip_header - 8).into();
    lengths.push(longest);
    lengths.retain(|&length| length <= longest && usize::from(length) >= LENGTH_MIN);
    lengths.dedup();
    lengths
}

/// Whether some host is in another network than the interface.
fn is_routed(interface: &Interface, addresses: &BTreeMap<HostName, SocketAddr>) -> bool {
    let Some(prefix) = interface.prefix() else { return false };
    let own = Prefix::of(interface.addr, prefix);
    addresses.values().any(|address| !own.contains(address.ip()))
}

/// Returns the rates of the trial: a quarter, a half and all of the rate.
fn steps_to(rate: u64) -> Vec<u64> {
    [rate / 4, rate / 2, rate].into_iter().filter(|&rate| rate > 0).collect()
}

/// Hosts for which the bounds are stated where it is not known how many there are.
const ASSUMED_HOSTS: u32 = 100;
const LENGTH_MIN: usize = 200;
