//! Why a host that answers does not hear all of what goes to the group. The ladder is gone down: what the interface
//! saw, what IP took in, what the socket got, what opened. The first rung that did not rise names the fault.

use std::net::IpAddr;

use super::around::Around;
use super::counters::{Counters, Gauge, Layer};
use super::evidence::{HostEvidence, Trial};
use super::fault::{CLOCK_MS_MAX, Fault, buffer, clock, full_buffer, reverse_path, ring};
use super::finding::{FindingId, Mend};
use super::train::Way;

/// Returns what is wrong with a host that has answered.
pub(super) fn faults(around: &Around<'_>, host: &HostEvidence) -> Vec<Fault> {
    let mut faults = Vec::new();
    let newest = host.newest().cloned().unwrap_or_default();
    if newest.clock_difference_ms().is_some_and(|ms| ms.unsigned_abs() > CLOCK_MS_MAX) {
        faults.push(clock(newest.clock_difference_ms()));
    }
    if let Some(first) = &host.first {
        let heard = first.heard(Way::Group);
        if heard.is_nothing() {
            faults.push(deaf(around, host, first));
        } else if heard.lost_percent() >= LOST_PERCENT_MIN {
            faults.extend(lossy(host, first));
        }
        if heard.came > 0 && around.all_answers_are_late {
            let evidence = "they hear the group, and are heard only when they are asked at their own address";
            faults.push(around.reply_port(evidence.to_owned()));
        }
        faults.extend(short(around, first));
        faults.extend(batches(around, first));
    }
    faults.extend(knee(host));
    if around.is_source_specific() && newest.get(Gauge::MembershipVersion).is_some_and(|version| version < 3)
    {
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
fn deaf(around: &Around<'_>, host: &HostEvidence, first: &Trial) -> Fault {
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
    if let Some(layer) = counters.layer()
        && (most(Gauge::LowerDropped) || layer.is_without_multicast())
    {
        return of_layer(layer, counters, &of);
    }
    if most(Gauge::IpMulticastIn) && (most(Gauge::SocketDrops) || most(Gauge::UdpBufferErrors)) {
        return full_buffer(counters, &of);
    }
    if most(Gauge::IpMulticastIn) {
        let evidence =
            format!("{of} came to glancecastd; IP took in {}", counters.or_zero(Gauge::IpMulticastIn));
        return Fault::new(FindingId::Firewall, evidence, around.open_host_port());
    }
    if most(Gauge::NicMissed) || most(Gauge::NicDropped) {
        return ring(counters, &of);
    }
    if counters.is(Gauge::NicCountsMulticast) && most(Gauge::NicMulticast) {
        let evidence =
            format!("{of} came to IP; the interface saw {}", counters.or_zero(Gauge::NicMulticast));
        let mut mends = around.open_host_port();
        mends.insert(
            0,
            Mend::new(
                "on the hosts",
                "nft list ruleset; tc filter show: what drops before IP (netdev ingress, prerouting)?",
            ),
        );
        return Fault::new(FindingId::Firewall, evidence, mends);
    }
    not_reached(around, host, counters, &of)
}

/// Returns why the group's datagrams do not come to a host's interface.
fn not_reached(around: &Around<'_>, host: &HostEvidence, counters: &Counters, of: &str) -> Fault {
    let again = host.again.as_ref();
    if let Some(again) =
        again.filter(|again| again.heard(Way::Group).came > 0 && came_at_our_ttl(around, again))
    {
        return forgotten(around, again, of);
    }
    if let Some(through) = &host.reached_through {
        let evidence =
            format!("{of} came by {}; {through} leads to their addresses", around.sender.interface);
        return Fault::new(
            FindingId::WrongInterface,
            evidence,
            vec![Mend::new("here", format!("--interface {through}"))],
        );
    }
    if counters.is(Gauge::AnswersElsewhere) {
        let to = around.sender.reply_to.map_or_else(|| "SENDER".to_owned(), |to| to.ip().to_string());
        let evidence =
            format!("{of} came; another interface of theirs than the one with the group leads to {to}");
        let command = format!(
            "interface = the one that `ip route get {to}` names, in glancecastd.toml; systemctl restart glancecastd"
        );
        return Fault::new(FindingId::WrongInterface, evidence, vec![Mend::new("on the hosts", command)]);
    }
    if around.is_elsewhere(host) {
        return routed(around, again, of);
    }
    let said_nothing = |counters: &Counters| {
        counters.is(Gauge::JoinedAgain) && counters.get(Gauge::IpMulticastOut) == Some(0)
    };
    if again.is_some_and(|again| said_nothing(&again.counters)) {
        let evidence =
            format!("{of} came, nor after joining again; no report of membership left the hosts then");
        let family = if around.is_ipv6() { "icmpv6 type mld2-listener-report" } else { "ip protocol igmp" };
        let command = format!("nft insert rule inet filter output {family} accept (and input)");
        return Fault::new(FindingId::Igmp, evidence, vec![Mend::new("on the hosts", command)]);
    }
    if !around.somebody_hears {
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

fn came_at_our_ttl(around: &Around<'_>, trial: &Trial) -> bool {
    trial.counters.tally.of_ttl(around.sender.ttl) > 0
}

/// Returns why a switch has forgotten a host, which hears the group once it has joined it again: nobody asks for
/// members; or somebody does, and the host does not answer; or that reaches no host's switch.
fn forgotten(around: &Around<'_>, again: &Trial, of: &str) -> Fault {
    let heard = again.heard(Way::Group);
    let evidence = format!("{of} came, {} of {} right after joining again", heard.came, heard.sent);
    let querier = around.sender.queriers.as_ref().and_then(|queriers| queriers.first());
    if let Some(querier) = querier {
        return forgotten_in_spite_of(around, *querier, &evidence);
    }
    match around.is_ipv6() {
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

/// Returns why a switch forgets a host although somebody asks for members.
fn forgotten_in_spite_of(around: &Around<'_>, querier: IpAddr, evidence: &str) -> Fault {
    if around.somebody_is_remembered {
        let evidence = format!("{evidence}; {querier} asks for members, and these hosts do not answer");
        let command = "nft insert rule inet filter input ip protocol igmp accept (and output)";
        return Fault::new(FindingId::Igmp, evidence, vec![Mend::new("on the hosts", command)]);
    }
    let evidence =
        format!("{evidence}, though {querier} asks for members, and switches leave it to that one");
    let mends = vec![
        Mend::new(
            "at that address",
            "is it meant to ask? If not: its querier off (on a Linux bridge: ip link set BRIDGE type bridge mcast_querier 0)",
        ),
        Mend::new(
            "on the switch",
            "a querier with a lower address than that one, and IGMP let through between switches",
        ),
        Mend::new("until then, on the hosts", "renew_membership = \"10s\" in glancecastd.toml"),
    ];
    Fault::new(FindingId::OddQuerier, evidence, mends)
}

/// Returns that multicast does not come through the interface below a layer.
fn of_layer(layer: Layer, counters: &Counters, of: &str) -> Fault {
    let (evidence, command) = if layer.is_without_multicast() {
        (
            format!("{of} came; the interface is an {layer}, which takes in no multicast"),
            "make the interface anew with mode l2: ip link add IF link PARENT type ipvlan mode l2".to_owned(),
        )
    } else {
        let dropped = counters.or_zero(Gauge::LowerDropped);
        (
            format!(
                "{of} came; the interface is a {layer}, and the one below dropped {dropped} packets for it"
            ),
            "ip link set IF type macvlan bcqueuelen 10000 (the longest of all macvlans of the parent counts)"
                .to_owned(),
        )
    };
    Fault::new(FindingId::Layer, evidence, vec![Mend::new("on the hosts", command)])
}

fn routed(around: &Around<'_>, again: Option<&Trial>, of: &str) -> Fault {
    let ttl = around.sender.ttl;
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
                    "give addresses (--to, --hosts-file): one host of each network relays to the others (doctor --write FILE names the networks)",
                ),
                Mend::new("on the routers", "PIM for the group; then --ttl N here"),
            ],
        ),
    }
}

/// Returns why a host loses a part of what the group carries.
fn lossy(host: &HostEvidence, first: &Trial) -> Option<Fault> {
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
    if let Some(layer) = counters.layer().filter(|_| most(Gauge::LowerDropped)) {
        return Some(of_layer(layer, counters, &of));
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
    limited(host.control.as_ref()?)
}

/// Returns whether multicast alone is lost, or both ways are, of a train that went both ways.
fn limited(control: &Trial) -> Option<Fault> {
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
fn knee(host: &HostEvidence) -> Option<Fault> {
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

/// Returns whether probes are lost that leave in batches, and not those that leave alone: something on the way takes in
/// no packet that is to be cut into datagrams (segmentation offload).
fn batches(around: &Around<'_>, first: &Trial) -> Option<Fault> {
    let (alone, batched) = (first.heard(Way::Group), first.heard_in_batches()?);
    let are_lost = batched.sent > 0 && batched.lost_percent() >= BATCHES_LOST_PERCENT_MIN;
    if !are_lost || alone.came == 0 || alone.lost_percent() * 4 >= batched.lost_percent() {
        return None;
    }
    let evidence = format!(
        "{} of {} probes that were sent in batches came, {} of {} that were sent alone",
        batched.came, batched.sent, alone.came, alone.sent
    );
    let interface = &around.sender.interface;
    let mends = vec![
        Mend::new("here", "--no-offload (no_offload = true in glancecast.toml)"),
        Mend::new("here", format!("for all programs: ethtool -K {interface} tx-udp-segmentation off")),
    ];
    Some(Fault::new(FindingId::Offload, evidence, mends))
}

/// Returns whether long packets are lost that short ones are not.
fn short(around: &Around<'_>, first: &Trial) -> Option<Fault> {
    let lengths = first.by_group.lengths();
    let both = [Way::Group, Way::Unicast];
    // What is lost by one way alone is not lost for its length.
    let came = |length: u16| both.iter().any(|&way| first.counters.tally.of_length(way, length) > 0);
    let longest = *lengths.iter().rfind(|&&length| came(length))?;
    let missing = *lengths.iter().find(|&&length| length > longest)?;
    let packet = |bytes: u16| u32::from(bytes) + if around.is_ipv6() { 48 } else { 28 };
    let (longest, missing) = (packet(longest), packet(missing));
    let evidence = format!(
        "packets of {longest} bytes come, those of {missing} do not; the MTU here is {}",
        around.sender.mtu
    );
    let mends = vec![
        Mend::new("here", format!("--mtu {longest}")),
        Mend::new("on the hosts and switches", format!("ip link set IF mtu {}", around.sender.mtu)),
    ];
    Some(Fault::new(FindingId::Mtu, evidence, mends))
}

/// A batch is lost as a whole: less than half of them may be bad luck.
const BATCHES_LOST_PERCENT_MIN: u32 = 50;
/// Losses below this are repaired without anybody noticing.
const LOST_PERCENT_MIN: u32 = 3;
