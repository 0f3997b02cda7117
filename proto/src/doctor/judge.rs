//! What follows from the evidence. For each host the ladder is gone down: what the interface saw, what IP took in, what
//! the socket got, what opened. The first rung that did not rise names the fault.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::counters::{Counters, Gauge, Refusal};
use super::evidence::{Echo, Evidence, HostEvidence, SenderEvidence, Trial};
use super::finding::{Finding, FindingId, Mend};
use super::train::Way;
use crate::limits::ANNOUNCE_SKEW_MAX;
use crate::query::Standing;

/// Returns what is wrong, the worst first; nothing where the path is sound.
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let around = Around::of(evidence);
    let mut rows = Rows::default();
    if let Some(finding) = around.own() {
        rows.0.insert((finding.id, finding.mends.iter().map(|mend| mend.command.clone()).collect()), finding);
    }
    for host in &evidence.hosts {
        let faults = match host.answered() {
            true => around.answered(host),
            false => vec![around.unanswered(host)],
        };
        faults.into_iter().for_each(|fault| rows.add(host, fault));
    }
    rows.sorted()
}

/// A fault of one host.
struct Fault {
    id: FindingId,
    evidence: String,
    mends: Vec<Mend>,
}

impl Fault {
    fn new(id: FindingId, evidence: impl Into<String>, mends: Vec<Mend>) -> Self {
        Self { id, evidence: evidence.into(), mends }
    }
}

/// Findings by fault and mend, so that hosts with the same ones are one row.
#[derive(Default)]
struct Rows(BTreeMap<(FindingId, Vec<String>), Finding>);

impl Rows {
    fn add(&mut self, host: &HostEvidence, fault: Fault) {
        let Fault { id, evidence, mends } = fault;
        let commands = mends.iter().map(|mend| mend.command.clone()).collect();
        let row = self.0.entry((id, commands));
        let row = row.or_insert_with(|| Finding { id, hosts: Vec::new(), evidence, mends });
        row.hosts.push(host.name.clone());
    }

    /// Returns the rows, the worst fault first, and of one fault the one with most hosts.
    fn sorted(self) -> Vec<Finding> {
        let mut rows: Vec<Finding> = self.0.into_values().collect();
        rows.sort_by_key(|row| (row.id, std::cmp::Reverse(row.hosts.len())));
        rows.iter_mut().for_each(|row| row.hosts.dedup());
        rows
    }
}

/// What holds for all hosts.
struct Around<'a> {
    sender: &'a SenderEvidence,
    port: u16,
    /// Whether some host has answered.
    somebody_answers: bool,
    /// Whether some host has heard the group.
    somebody_hears: bool,
    /// Whether every host that hears the group was heard only once it was asked at its own address. One that is late
    /// alone was busy.
    all_answers_are_late: bool,
    /// Hosts that live and do not answer.
    silent: usize,
    hosts: usize,
}

impl<'a> Around<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let hosts = &evidence.hosts;
        let hears = |host: &HostEvidence| {
            let of =
                |trial: &Option<Trial>| trial.as_ref().is_some_and(|trial| trial.heard(Way::Group).came > 0);
            of(&host.first) || of(&host.again)
        };
        Self {
            sender: &evidence.sender,
            port: evidence.sender.group.map_or(0, |group| group.port()),
            somebody_answers: hosts.iter().any(|host| host.standing != Standing::NeverAnswered),
            somebody_hears: hosts.iter().any(hears),
            all_answers_are_late: !hosts
                .iter()
                .any(|host| host.answered() && host.answered_the_group && hears(host)),
            silent: hosts.iter().filter(|host| host.echo == Echo::Silent).count(),
            hosts: hosts.len(),
        }
    }

    /// Returns what is wrong with the sender's own machine.
    fn own(&self) -> Option<Finding> {
        let finding = |fault: Fault| Finding {
            id: fault.id,
            hosts: Vec::new(),
            evidence: fault.evidence,
            mends: fault.mends,
        };
        if self.hosts == 0 {
            return Some(finding(self.nobody()));
        }
        let (granted, wanted) = self.sender.short_buffer?;
        let evidence = format!("the send buffer is {} KiB instead of {} KiB", granted >> 10, wanted >> 10);
        let command = format!("sysctl -w net.core.wmem_max={}", wanted / 2);
        Some(finding(Fault::new(FindingId::Buffer, evidence, vec![Mend::new("here", command)])))
    }

    fn nobody(&self) -> Fault {
        let interface = &self.sender.interface;
        let evidence = format!("nothing was heard on {interface} in answer to the group");
        let mut mends = self.open_reply_port();
        mends
            .push(Mend::new("here", format!("ip route get {}: is {interface} the interface?", self.group())));
        mends.push(Mend::new("on a host", "systemctl status glancecastd"));
        mends.push(Mend::new(
            "here",
            "glancecast doctor --to HOST=ADDR examines hosts that the group does not reach",
        ));
        Fault::new(FindingId::Nobody, evidence, mends)
    }

    /// Returns what is wrong with a host that has not answered, or whose answer does not count.
    fn unanswered(&self, host: &HostEvidence) -> Fault {
        match host.standing {
            Standing::Twice => Fault::new(
                FindingId::TwoOfOneName,
                "the name was answered for more than once",
                vec![Mend::new(
                    "on one of them",
                    "set another name (name = in glancecastd.toml), systemctl restart glancecastd",
                )],
            ),
            Standing::KeyChanged => Fault::new(
                FindingId::KeyChanged,
                "another key is known for this name",
                vec![Mend::new(
                    "here, if it was made anew",
                    format!("glancecast hosts --forget {}", host.name),
                )],
            ),
            Standing::UnknownKey => Fault::new(
                FindingId::KeyChanged,
                "no key is known for this name",
                vec![Mend::new("here, if it is the host's", "glancecast hosts --enroll")],
            ),
            Standing::OtherVersion => Fault::new(
                FindingId::OtherVersion,
                host.reason.clone().unwrap_or_default(),
                vec![Mend::new("on the older side", "install the version of the other")],
            ),
            Standing::Failed | Standing::Busy => self.refused(host),
            Standing::NeverAnswered => self.silent(host),
            Standing::Partial | Standing::Verifying | Standing::AwaitingKey | Standing::Answered => {
                Fault::new(
                    FindingId::PartialAnswer,
                    "a part of its answer did not come",
                    self.open_reply_port(),
                )
            }
        }
    }

    fn refused(&self, host: &HostEvidence) -> Fault {
        let counters = host.at_start.as_ref();
        match counters.and_then(Counters::refusal) {
            Some(Refusal::Clock) => clock(counters.and_then(Counters::clock_difference_ms)),
            Some(Refusal::UnknownSender) => self.sender_list("they do not list this sender"),
            Some(Refusal::ExpiredSender) => self.sender_list("this sender's entry in their list has expired"),
            None => Fault::new(
                FindingId::PartialAnswer,
                host.reason.clone().unwrap_or_else(|| "it has too many queries to answer".to_owned()),
                vec![Mend::new(
                    "here",
                    "run it again; a glancecastd without this diagnosis needs an upgrade",
                )],
            ),
        }
    }

    fn sender_list(&self, evidence: &str) -> Fault {
        let command = match &self.sender.key {
            Some(key) => format!("senders = [\"{key}\"] in glancecastd.toml, systemctl reload glancecastd"),
            None => "the query was not signed: give --sender-key here".to_owned(),
        };
        Fault::new(FindingId::Key, evidence, vec![Mend::new("on the hosts", command)])
    }

    /// Returns what is wrong with a host that was not heard.
    fn silent(&self, host: &HostEvidence) -> Fault {
        let port = self.port;
        match (host.echo, host.address) {
            (Echo::OtherKey, _) => Fault::new(
                FindingId::Key,
                "they have another group key: what this sender seals does not open there, nor theirs here",
                vec![Mend::new(
                    "on the hosts",
                    "copy the group's key from the sender's machine, systemctl reload glancecastd",
                )],
            ),
            (Echo::NobodyListens, _) => Fault::new(
                FindingId::NotRunning,
                format!("the hosts live, and nothing listens at port {port} of their addresses"),
                vec![
                    Mend::new("on the hosts", "systemctl status glancecastd"),
                    Mend::new(
                        "on the hosts",
                        "if it runs: is it on this interface and group? journalctl -u glancecastd -g listening",
                    ),
                ],
            ),
            (Echo::Silent, _) if self.answers_are_dropped() => {
                self.reply_port("the hosts live, and none of them is heard".to_owned())
            }
            (Echo::Silent, _) => Fault::new(
                FindingId::Firewall,
                format!("the hosts live, and what goes to UDP port {port} there stays without any answer"),
                self.open_host_port(),
            ),
            (Echo::None, Some(_)) => {
                let mends =
                    vec![Mend::new("here", "are the hosts on, and are these their addresses? ping them")];
                Fault::new(FindingId::Unreached, "nothing comes back from their addresses", mends)
            }
            (Echo::None, None) => {
                let mends = vec![
                    Mend::new("on the hosts", "systemctl status glancecastd"),
                    Mend::new(
                        "here",
                        "give their addresses (--to NAME=ADDR) to have them examined without the group",
                    ),
                ];
                let evidence = "they do not answer the group, and their addresses are not known";
                match self.somebody_answers {
                    true => Fault::new(FindingId::Unreached, evidence, mends),
                    false => self.nobody(),
                }
            }
        }
    }

    /// Whether the sender's own machine is what drops answers: it says so, or all hosts live and none is heard.
    fn answers_are_dropped(&self) -> bool {
        let nobody_is_heard = !self.somebody_answers && self.silent == self.hosts && self.hosts > 1;
        self.sender.drops_answers.is_some() || nobody_is_heard
    }

    fn reply_port(&self, evidence: String) -> Fault {
        let evidence = match &self.sender.drops_answers {
            Some(rule) => format!("{evidence}; this machine has the rule: {rule}"),
            None => evidence,
        };
        Fault::new(FindingId::ReplyPort, evidence, self.open_reply_port())
    }

    fn open_reply_port(&self) -> Vec<Mend> {
        let port = self.sender.reply_to.map_or(0, |to| to.port());
        vec![
            Mend::new(
                "here",
                format!(
                    "nft insert rule inet filter input udp dport {port} accept (firewalld: firewall-cmd --add-port={port}/udp; ufw: ufw allow {port}/udp)"
                ),
            ),
            Mend::new(
                "here",
                "fix the port that hosts answer to with --reply-port, so that one rule is enough",
            ),
        ]
    }

    fn open_host_port(&self) -> Vec<Mend> {
        let port = self.port;
        vec![
            Mend::new(
                "on the hosts",
                format!(
                    "nft insert rule inet filter input udp dport {port} accept (firewalld: firewall-cmd --permanent --add-port={port}/udp; ufw: ufw allow {port}/udp)"
                ),
            ),
            Mend::new("on the hosts", "glancecastd doctor, as root, names the rule"),
        ]
    }

    /// Returns what is wrong with a host that has answered.
    fn answered(&self, host: &HostEvidence) -> Vec<Fault> {
        let mut faults = Vec::new();
        let newest = host.newest().cloned().unwrap_or_default();
        if newest.clock_difference_ms().is_some_and(|ms| ms.unsigned_abs() > CLOCK_MS_MAX) {
            faults.push(clock(newest.clock_difference_ms()));
        }
        if let Some(first) = &host.first {
            let heard = first.heard(Way::Group);
            if heard.is_nothing() {
                faults.push(self.deaf(host, first));
            } else if heard.lost_percent() >= LOST_PERCENT_MIN {
                faults.extend(self.lossy(host, first));
            }
            if heard.came > 0 && self.all_answers_are_late {
                let evidence =
                    "they hear the group, and are heard only when they are asked at their own address";
                faults.push(self.reply_port(evidence.to_owned()));
            }
            faults.extend(self.short(first));
        }
        faults.extend(self.knee(host));
        let is_source_specific = self.sender.group.is_some_and(|group| match group.ip() {
            IpAddr::V4(ip) => ip.octets()[0] == 232,
            IpAddr::V6(_) => false,
        });
        if is_source_specific && newest.get(Gauge::MembershipVersion).is_some_and(|version| version < 3) {
            let mends = vec![
                Mend::new("on the switch", "ip igmp version 3"),
                Mend::new("on the hosts", "sysctl -w net.ipv4.conf.all.force_igmp_version=0"),
            ];
            faults.push(Fault::new(
                FindingId::IgmpVersion,
                "they speak an IGMP before version 3, which names no source",
                mends,
            ));
        }
        faults.extend(buffer(&newest));
        faults
    }

    /// Returns why a host hears nothing of the group.
    fn deaf(&self, host: &HostEvidence, first: &Trial) -> Fault {
        let counters = &first.counters;
        let heard = first.heard(Way::Group);
        let most = |gauge| counters.or_zero(gauge) >= u64::from(heard.sent.div_ceil(2));
        let of = format!("0 of {} probes of the group", heard.sent);
        if most(Gauge::ReversePath) {
            return reverse_path(format!(
                "{of} came; the kernel dropped {} packets by rp_filter",
                counters.or_zero(Gauge::ReversePath)
            ));
        }
        if counters.get(Gauge::Joined) == Some(0) {
            let mends = vec![Mend::new(
                "on the hosts",
                "sysctl -w net.ipv4.igmp_max_memberships=256, systemctl restart glancecastd",
            )];
            return Fault::new(
                FindingId::NotJoined,
                format!("{of} came; the kernel does not have the group on the interface"),
                mends,
            );
        }
        if most(Gauge::IpMulticastIn) && (most(Gauge::SocketDrops) || most(Gauge::UdpBufferErrors)) {
            return full_buffer(counters, &of);
        }
        if most(Gauge::IpMulticastIn) {
            let evidence =
                format!("{of} came to glancecastd; IP took in {}", counters.or_zero(Gauge::IpMulticastIn));
            return Fault::new(FindingId::Firewall, evidence, self.open_host_port());
        }
        if most(Gauge::NicMissed) || most(Gauge::NicDropped) {
            return ring(counters, &of);
        }
        if counters.is(Gauge::NicCountsMulticast) && most(Gauge::NicMulticast) {
            let evidence =
                format!("{of} came to IP; the interface saw {}", counters.or_zero(Gauge::NicMulticast));
            let mut mends = self.open_host_port();
            mends.insert(
                0,
                Mend::new(
                    "on the hosts",
                    "nft list ruleset; tc filter show: what drops before IP (netdev ingress, prerouting)?",
                ),
            );
            return Fault::new(FindingId::Firewall, evidence, mends);
        }
        self.not_reached(host, counters, &of)
    }

    /// Returns why the group's datagrams do not come to a host's interface.
    fn not_reached(&self, host: &HostEvidence, counters: &Counters, of: &str) -> Fault {
        let again = host.again.as_ref();
        if let Some(again) =
            again.filter(|again| again.heard(Way::Group).came > 0 && self.came_at_our_ttl(again))
        {
            return self.no_querier(again, of);
        }
        if let Some(through) = &host.reached_through {
            let evidence =
                format!("{of} came by {}; {through} leads to their addresses", self.sender.interface);
            return Fault::new(
                FindingId::WrongInterface,
                evidence,
                vec![Mend::new("here", format!("--interface {through}"))],
            );
        }
        if counters.is(Gauge::AnswersElsewhere) {
            let to = self.sender.reply_to.map_or_else(|| "SENDER".to_owned(), |to| to.ip().to_string());
            let evidence =
                format!("{of} came; another interface of theirs than the one with the group leads to {to}");
            let command = format!(
                "interface = the one that `ip route get {to}` names, in glancecastd.toml; systemctl restart glancecastd"
            );
            return Fault::new(FindingId::WrongInterface, evidence, vec![Mend::new("on the hosts", command)]);
        }
        if self.is_elsewhere(host) {
            return self.routed(again, of);
        }
        let said_nothing = |counters: &Counters| {
            counters.is(Gauge::JoinedAgain) && counters.get(Gauge::IpMulticastOut) == Some(0)
        };
        if again.is_some_and(|again| said_nothing(&again.counters)) {
            let evidence =
                format!("{of} came, nor after joining again; no report of membership left the hosts then");
            let family = if self.is_ipv6() { "icmpv6 type mld2-listener-report" } else { "ip protocol igmp" };
            let command = format!("nft insert rule inet filter output {family} accept (and input)");
            return Fault::new(FindingId::Igmp, evidence, vec![Mend::new("on the hosts", command)]);
        }
        if !self.somebody_hears {
            let evidence = format!("{of} came to any host, nor after joining again; unicast does");
            let mends = vec![
                Mend::new(
                    "on the switches and the hypervisor",
                    "is multicast carried in this VLAN or virtual network at all? (OpenStack: port security and security group: UDP and IGMP; igmp_snooping_enable)",
                ),
                Mend::new(
                    "here",
                    "glancecast send --reach unicast, or --to HOST=ADDR: hosts are served without multicast",
                ),
            ];
            return Fault::new(FindingId::NoMulticast, evidence, mends);
        }
        let evidence = format!("{of} came, nor after joining again; other hosts hear them");
        let mends = vec![Mend::new(
            "on the switch",
            "does the port of the host take reports of membership, and is it in the VLAN? (show ip igmp snooping groups; Linux: bridge mdb show)",
        )];
        Fault::new(FindingId::Igmp, evidence, mends)
    }

    fn came_at_our_ttl(&self, trial: &Trial) -> bool {
        trial.counters.tally.of_ttl(self.sender.ttl) > 0
    }

    fn no_querier(&self, again: &Trial, of: &str) -> Fault {
        let heard = again.heard(Way::Group);
        let evidence = format!("{of} came, {} of {} right after joining again", heard.came, heard.sent);
        match self.is_ipv6() {
            false => Fault::new(
                FindingId::NoQuerier,
                evidence,
                vec![
                    Mend::new("on the switch", "ip igmp snooping querier"),
                    Mend::new("on a Linux bridge", "ip link set BRIDGE type bridge mcast_querier 1"),
                    Mend::new("until then, on the hosts", "renew_membership = \"10s\" in glancecastd.toml"),
                ],
            ),
            true => Fault::new(
                FindingId::NoMldQuerier,
                evidence,
                vec![
                    Mend::new("on the switch", "ipv6 mld snooping querier"),
                    Mend::new("on a Linux bridge", "ip link set BRIDGE type bridge mcast_querier 1"),
                ],
            ),
        }
    }

    fn routed(&self, again: Option<&Trial>, of: &str) -> Fault {
        let ttl = self.sender.ttl;
        let enough = again.and_then(|again| {
            let tally = &again.counters.tally;
            tally
                .buckets()
                .filter(|bucket| bucket.way == Way::Group && bucket.ttl > ttl)
                .map(|bucket| bucket.ttl)
                .min()
        });
        match enough {
            Some(enough) => Fault::new(
                FindingId::Routed,
                format!("{of} came with TTL {ttl}; those with TTL {enough} do"),
                vec![Mend::new("here", format!("--ttl {enough}"))],
            ),
            None => Fault::new(
                FindingId::Routed,
                format!(
                    "{of} came; the hosts are in another network than this machine, and routers carry no group unless they are made to"
                ),
                vec![
                    Mend::new(
                        "here",
                        "give addresses (--to, --hosts-file): one host of each network relays to the others",
                    ),
                    Mend::new("on the routers", "PIM for the group; then --ttl N here"),
                ],
            ),
        }
    }

    /// Returns why a host loses a part of what the group carries.
    fn lossy(&self, host: &HostEvidence, first: &Trial) -> Option<Fault> {
        let heard = first.heard(Way::Group);
        let lost = u64::from(heard.sent - heard.came.min(heard.sent));
        let counters = &first.counters;
        let most = |gauge| counters.or_zero(gauge) * 2 >= lost;
        let of = format!("{} of {} probes of the group", heard.came, heard.sent);
        if most(Gauge::ReversePath) {
            return Some(reverse_path(format!(
                "{of} came; the kernel dropped {} packets by rp_filter",
                counters.or_zero(Gauge::ReversePath)
            )));
        }
        if most(Gauge::SocketDrops) || most(Gauge::UdpBufferErrors) {
            return Some(full_buffer(counters, &of));
        }
        if most(Gauge::NicMissed) || most(Gauge::NicDropped) {
            return Some(ring(counters, &of));
        }
        if most(Gauge::SoftnetDropped) {
            let evidence =
                format!("{of} came; the kernel's queue dropped {}", counters.or_zero(Gauge::SoftnetDropped));
            let mends = vec![Mend::new(
                "on the hosts",
                "sysctl -w net.core.netdev_budget=600 net.core.netdev_max_backlog=10000",
            )];
            return Some(Fault::new(FindingId::Softnet, evidence, mends));
        }
        self.limited(host.control.as_ref()?)
    }

    /// Returns whether multicast alone is lost, or both ways are, of a train that went both ways.
    fn limited(&self, control: &Trial) -> Option<Fault> {
        let (group, unicast) = (control.heard(Way::Group), control.heard(Way::Unicast));
        if group.lost_percent() < LOST_PERCENT_MIN || unicast.sent == 0 {
            return None;
        }
        let evidence = format!(
            "{} of {} probes of the group came, {} of {} by unicast at the same pace",
            group.came, group.sent, unicast.came, unicast.sent
        );
        if unicast.lost_percent() * 4 < group.lost_percent() {
            let mends = vec![
                Mend::new(
                    "on the switch",
                    "no storm-control multicast on the ports of the hosts and of this machine, or a higher level",
                ),
                Mend::new("here", "--rate below the limit: glancecast doctor --rate RATE finds it"),
            ];
            return Some(Fault::new(FindingId::StormControl, evidence, mends));
        }
        let mends = vec![Mend::new(
            "on the hosts",
            "ethtool -S IF: errors of the link, pause frames? Another port, cable, or --rate",
        )];
        Some(Fault::new(FindingId::Lossy, evidence, mends))
    }

    /// Returns whether a rate is lost that a lower one is not.
    fn knee(&self, host: &HostEvidence) -> Option<Fault> {
        let lost = |trial: &Trial, way| trial.heard(way).lost_percent();
        let at = host.rates.iter().position(|(_, trial)| lost(trial, Way::Group) >= LOST_PERCENT_MIN)?;
        let (rate, trial) = &host.rates[at];
        let fine = at.checked_sub(1).map_or(0, |before| host.rates[before].0);
        let (group, unicast) = (lost(trial, Way::Group), lost(trial, Way::Unicast));
        let mbit = |rate: u64| rate / 1_000_000;
        let evidence = format!(
            "{group} % of the group's probes are lost at {} Mbit/s, {unicast} % by unicast; none at {} Mbit/s",
            mbit(*rate),
            mbit(fine)
        );
        let is_limit = trial.heard(Way::Unicast).sent > 0 && unicast * 4 < group;
        let id = if is_limit { FindingId::StormControl } else { FindingId::Lossy };
        let command = format!("--rate {}mbit", mbit(fine).max(1));
        Some(Fault::new(id, evidence, vec![Mend::new("here", command)]))
    }

    /// Returns whether long packets are lost that short ones are not.
    fn short(&self, first: &Trial) -> Option<Fault> {
        let lengths = first.by_group.lengths();
        let both = [Way::Group, Way::Unicast];
        // What is lost by one way alone is not lost for its length.
        let came = |length: u16| both.iter().any(|&way| first.counters.tally.of_length(way, length) > 0);
        let longest = *lengths.iter().rfind(|&&length| came(length))?;
        let missing = *lengths.iter().find(|&&length| length > longest)?;
        let packet = |bytes: u16| u32::from(bytes) + if self.is_ipv6() { 48 } else { 28 };
        let (longest, missing) = (packet(longest), packet(missing));
        let evidence = format!(
            "packets of {longest} bytes come, those of {missing} do not; the MTU here is {}",
            self.sender.mtu
        );
        let mends = vec![
            Mend::new("here", format!("--mtu {longest}")),
            Mend::new("on the hosts and switches", format!("ip link set IF mtu {}", self.sender.mtu)),
        ];
        Some(Fault::new(FindingId::Mtu, evidence, mends))
    }

    /// Whether a host is in another network than the sender.
    fn is_elsewhere(&self, host: &HostEvidence) -> bool {
        let (Some(own), Some(theirs), Some(prefix)) =
            (self.sender.reply_to, host.address, self.sender.prefix)
        else {
            return false;
        };
        match (own.ip(), theirs.ip()) {
            (IpAddr::V4(own), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                own.to_bits() & mask != theirs.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                own.to_bits() & mask != theirs.to_bits() & mask
            }
            _ => false,
        }
    }

    fn is_ipv6(&self) -> bool {
        self.sender.group.is_some_and(|group| group.is_ipv6())
    }

    fn group(&self) -> String {
        self.sender.group.map_or_else(|| "GROUP".to_owned(), |group| group.ip().to_string())
    }
}

fn clock(difference_ms: Option<i64>) -> Fault {
    let ms = difference_ms.unwrap_or(0);
    let direction = if ms < 0 { "behind" } else { "ahead of" };
    // Hosts whose clocks differ by about the same are one row.
    let minutes = ms.unsigned_abs() / 60_000;
    let most = ANNOUNCE_SKEW_MAX.as_secs() / 60;
    let evidence = format!(
        "their clocks are {minutes} minutes {direction} this one, and {most} are the most that is taken"
    );
    let mends = vec![Mend::new("on the hosts", "chronyc makestep (systemd: timedatectl set-ntp true)")];
    Fault::new(FindingId::Key, evidence, mends)
}

fn reverse_path(evidence: String) -> Fault {
    let mends = vec![
        Mend::new("on the hosts", "sysctl -w net.ipv4.conf.IF.rp_filter=2 (the larger of all and IF counts)"),
        Mend::new("on the hosts", "or a route to the sender's network through the interface with the group"),
    ];
    Fault::new(FindingId::ReversePath, evidence, mends)
}

fn ring(counters: &Counters, of: &str) -> Fault {
    let dropped = counters.or_zero(Gauge::NicMissed) + counters.or_zero(Gauge::NicDropped);
    let evidence = format!("{of} came; the interface dropped {dropped}");
    Fault::new(FindingId::Ring, evidence, vec![Mend::new("on the hosts", "ethtool -G IF rx 4096")])
}

fn full_buffer(counters: &Counters, of: &str) -> Fault {
    let dropped = counters.or_zero(Gauge::SocketDrops).max(counters.or_zero(Gauge::UdpBufferErrors));
    let wanted = counters.or_zero(Gauge::BufferWanted).max(BUFFER_BYTES);
    Fault::new(
        FindingId::Buffer,
        format!("{of} came; the receive buffer had no room for {dropped}"),
        larger_buffer(wanted),
    )
}

/// Returns whether the receive buffer of a host is smaller than it should be.
fn buffer(newest: &Counters) -> Option<Fault> {
    let (granted, wanted) = (newest.get(Gauge::BufferGranted)?, newest.get(Gauge::BufferWanted)?);
    (granted < wanted).then(|| {
        let evidence = format!("the receive buffer is {} KiB instead of {} KiB", granted >> 10, wanted >> 10);
        Fault::new(FindingId::Buffer, evidence, larger_buffer(wanted))
    })
}

fn larger_buffer(wanted: u64) -> Vec<Mend> {
    vec![
        Mend::new("on the hosts", format!("sysctl -w net.core.rmem_max={}", wanted / 2)),
        Mend::new(
            "on the hosts",
            "or start glancecastd by its unit, which has AmbientCapabilities=CAP_NET_ADMIN",
        ),
    ]
}

/// Clocks that differ by half of what is taken are a fault that is on its way.
const CLOCK_MS_MAX: u64 = ANNOUNCE_SKEW_MAX.as_millis() as u64 / 2;

/// Losses below this are repaired without anybody noticing.
const LOST_PERCENT_MIN: u32 = 3;

/// What a receiver asks for, if it does not say.
const BUFFER_BYTES: u64 = 32 << 20;
