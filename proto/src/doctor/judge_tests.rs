//! Each finding of made-up evidence, and none of a sound host.

use std::net::SocketAddr;

use super::*;
use crate::ids::HostName;
use crate::query::Standing;
use crate::ranges::fold;

#[test]
fn a_sound_host_has_no_finding_by_whatever_way_it_was_found() {
    let by_group_alone =
        HostEvidence { first: Some(Trial { by_unicast: TrainPlan::default(), ..trial(200, 0) }), ..sound(2) };
    let driver_counts_nothing = with_first(3, |first| {
        first.counters.set(Gauge::NicCountsMulticast, 0);
        first.counters.set(Gauge::NicMulticast, 0);
    });
    let some_loss = HostEvidence { first: Some(trial(196, 20)), ..sound(4) };
    let late_answer = HostEvidence { answered_the_group: true, ..sound(5) };
    let hosts = vec![sound(1), by_group_alone, driver_counts_nothing, some_loss, late_answer];
    assert_eq!(findings(&evidence(hosts)), []);
}

#[test]
fn each_rung_of_the_ladder_that_did_not_rise_has_its_finding() {
    type Change = fn(&mut Counters);
    let rungs: [(&str, Change, &str); 7] = [
        ("M03", |counters| counters.set(Gauge::ReversePath, 200), "rp_filter=2"),
        ("M20", |counters| counters.set(Gauge::Joined, 0), "igmp_max_memberships"),
        ("M04", |counters| counters.set(Gauge::IpMulticastIn, 200), "udp dport 7167 accept"),
        (
            "M15",
            |counters| {
                counters.set(Gauge::IpMulticastIn, 200);
                counters.set(Gauge::SocketDrops, 200);
            },
            "net.core.rmem_max=16777216",
        ),
        ("M16", |counters| counters.set(Gauge::NicMissed, 200), "ethtool -G"),
        (
            "M04",
            |counters| {
                counters.set(Gauge::NicMulticast, 200);
                counters.set(Gauge::NicCountsMulticast, 1);
            },
            "nft list ruleset",
        ),
        ("M27", |_| {}, "--reach unicast"),
    ];
    for (id, change, command) in rungs {
        let mut host = deaf(1);
        change(&mut host.first.as_mut().expect("a trial").counters);
        assert_one(&evidence(vec![host]), id, command);
    }
}

#[test]
fn joining_again_tells_a_forgotten_host_from_one_that_is_never_heard_of() {
    let forgotten = HostEvidence { again: Some(trial(198, 0)), ..deaf(1) };
    assert_one(&evidence(vec![forgotten]), "M01", "ip igmp snooping querier");
    let mut muted = HostEvidence { again: Some(trial(0, 0)), ..deaf(1) };
    muted.again.as_mut().expect("a trial").counters.set(Gauge::IpMulticastOut, 0);
    let just_before = muted.clone();
    muted.again.as_mut().expect("a trial").counters.set(Gauge::JoinedAgain, 1);
    assert_one(&evidence(vec![muted]), "M05", "ip protocol igmp accept");
    assert_one(&evidence(vec![just_before]), "M27", "--reach unicast");
    let alone = HostEvidence { again: Some(trial(0, 0)), ..deaf(1) };
    let found = findings(&evidence(vec![alone, sound(2)]));
    assert_eq!(ids(&found), ["M05 compute-1"], "others hear");
}

#[test]
fn a_group_of_ipv6_has_its_own_querier() {
    let mut evidence = evidence(vec![HostEvidence { again: Some(trial(198, 0)), ..deaf(1) }]);
    evidence.sender.group = Some(SocketAddr::from(([0xff15, 0, 0, 0, 0, 0, 0, 1], 7167)));
    assert_one(&evidence, "M22", "mld snooping querier");
}

#[test]
fn hosts_of_another_network_are_behind_a_router_and_a_higher_ttl_may_reach_them() {
    let beyond =
        |again| HostEvidence { address: Some(([10, 1, 0, 1], 7167).into()), again: Some(again), ..deaf(1) };
    assert_one(&evidence(vec![beyond(trial(0, 0))]), "M14", "relays to the others");
    let mut reached = trial(0, 0);
    reached.counters.tally.put(Bucket { way: Way::Group, ttl: 4, bytes: 100, count: 10 });
    reached.counters.tally.put(Bucket { way: Way::Group, ttl: 8, bytes: 100, count: 10 });
    assert_one(&evidence(vec![beyond(reached)]), "M14", "--ttl 4");
}

#[test]
fn another_interface_that_leads_there_is_named() {
    let sender = HostEvidence { reached_through: Some("eth7".to_owned()), ..deaf(1) };
    assert_one(&evidence(vec![sender]), "M07", "--interface eth7");
    let host = with_first(1, |first| {
        first.counters = deaf(1).first.expect("a trial").counters;
        first.counters.set(Gauge::AnswersElsewhere, 1);
    });
    assert_one(&evidence(vec![host]), "M07", "ip route get 10.0.0.1");
}

#[test]
fn long_packets_that_do_not_come_have_the_length_of_those_that_do() {
    let short = with_first(1, |first| {
        first.counters.tally = Tally::default();
        first.counters.tally.put(Bucket { way: Way::Group, ttl: 1, bytes: 100, count: 200 });
        first.counters.tally.put(Bucket { way: Way::Group, ttl: 1, bytes: 1252, count: 10 });
    });
    assert_one(&evidence(vec![short]), "M13", "--mtu 1280");
}

#[test]
fn losses_have_the_place_where_they_are_counted_and_else_are_compared_with_unicast() {
    let lossy = |change: fn(&mut Counters)| {
        let mut host = HostEvidence { first: Some(trial(100, 20)), ..sound(1) };
        change(&mut host.first.as_mut().expect("a trial").counters);
        host
    };
    for (id, change, command) in [
        ("M15", (|counters| counters.set(Gauge::UdpBufferErrors, 90)) as fn(&mut Counters), "rmem_max"),
        ("M16", |counters| counters.set(Gauge::NicDropped, 90), "ethtool -G"),
        ("M17", |counters| counters.set(Gauge::SoftnetDropped, 90), "netdev_budget"),
    ] {
        assert_one(&evidence(vec![lossy(change)]), id, command);
    }
    let control = |group, unicast| {
        let plan = TrainPlan::default().with(200, 100, 64);
        let mut counters = Counters::default();
        counters.tally.put(Bucket { way: Way::Group, ttl: 64, bytes: 100, count: group });
        counters.tally.put(Bucket { way: Way::Unicast, ttl: 64, bytes: 100, count: unicast });
        Some(Trial { by_group: plan.clone(), by_unicast: plan, counters })
    };
    let limited = HostEvidence { control: control(100, 200), ..lossy(|_| {}) };
    assert_one(&evidence(vec![limited]), "M11", "storm-control");
    let bad_link = HostEvidence { control: control(100, 110), ..lossy(|_| {}) };
    assert_one(&evidence(vec![bad_link]), "M26", "ethtool -S");
}

#[test]
fn a_rate_that_is_lost_has_the_one_before_it() {
    let at = |came| trial(came, 0);
    let host = HostEvidence { rates: vec![(250_000_000, at(200)), (500_000_000, at(120))], ..sound(1) };
    assert_one(&evidence(vec![host]), "M26", "--rate 250mbit");
}

#[test]
fn hosts_that_refuse_say_why() {
    let refusing = |refusal: Refusal| {
        let mut counters = Counters::default();
        counters.set(Gauge::Refused, refusal as u64);
        counters.set(Gauge::ClockBehind, 3_600_000);
        HostEvidence { standing: Standing::Failed, at_start: Some(counters), first: None, ..sound(1) }
    };
    assert_one(&evidence(vec![refusing(Refusal::Clock)]), "M24", "chronyc makestep");
    assert_one(&evidence(vec![refusing(Refusal::UnknownSender)]), "M24", "senders = [\"ed25519:x\"]");
    assert_one(&evidence(vec![refusing(Refusal::ExpiredSender)]), "M24", "senders = [\"ed25519:x\"]");
    let text = &findings(&evidence(vec![refusing(Refusal::Clock)]))[0].evidence;
    assert!(text.contains("60 minutes behind"), "{text}");
}

#[test]
fn a_clock_that_will_soon_be_refused_is_found() {
    for (ms, is_found) in [(2_000, false), (140_000, false), (200_000, true)] {
        let host = with_first(1, |first| first.counters.set(Gauge::ClockAhead, ms));
        assert_eq!(!findings(&evidence(vec![host])).is_empty(), is_found, "{ms} ms");
    }
}

#[test]
fn hosts_that_are_not_heard_are_told_apart_by_what_comes_back() {
    let silent = |number, echo| HostEvidence { echo, ..unheard(number) };
    let hosts = vec![
        silent(1, Echo::NobodyListens),
        silent(2, Echo::Silent),
        silent(3, Echo::OtherKey),
        silent(4, Echo::None),
        HostEvidence { address: None, ..unheard(5) },
        sound(6),
    ];
    let found = findings(&evidence(hosts));
    let expected = ["M04 compute-2", "M24 compute-3", "M28 compute-1", "M35 compute-4", "M35 compute-5"];
    assert_eq!(ids(&found), expected);
}

#[test]
fn when_all_hosts_live_and_none_is_heard_it_is_the_senders_firewall() {
    let silent = |number| HostEvidence { echo: Echo::Silent, ..unheard(number) };
    assert_one(&evidence(vec![silent(1), silent(2)]), "M06", "udp dport 40000 accept");
    assert_one(&evidence(vec![silent(1)]), "M04", "udp dport 7167 accept");
    let late = HostEvidence { answered_the_group: false, ..sound(1) };
    assert_one(&evidence(vec![late]), "M06", "udp dport 40000 accept");
    let mut knows = evidence(vec![silent(1)]);
    knows.sender.drops_answers = Some(drop_rule());
    assert_one(&knows, "M06", "nft insert rule inet wall in udp dport 40000 accept");
    let text = &findings(&knows)[0].evidence;
    assert!(text.contains("chain in of table inet wall"), "{text}");
}

#[test]
fn a_rule_here_that_drops_something_is_no_fault_where_answers_come() {
    let silent = HostEvidence { echo: Echo::Silent, ..unheard(1) };
    let mut evidence = evidence(vec![silent, sound(2)]);
    evidence.sender.drops_answers = Some(drop_rule());
    assert_one(&evidence, "M04", "udp dport 7167 accept");
}

#[test]
fn a_querier_that_was_heard_is_named_in_place_of_none() {
    let forgotten = |number| HostEvidence { again: Some(trial(198, 0)), ..deaf(number) };
    let mut all = evidence(vec![forgotten(1), forgotten(2)]);
    all.sender.queriers = Some([[10, 0, 0, 66].into()].into());
    assert_one(&all, "M02", "lower address");
    assert!(findings(&all)[0].evidence.contains("10.0.0.66"));
    all.hosts.push(sound(3));
    let found = findings(&all);
    assert_eq!(ids(&found), ["M05 compute-[1-2]"], "the switch remembers those that answer");
    all.sender.queriers = Some([].into());
    assert_eq!(ids(&findings(&all)), ["M01 compute-[1-2]"], "nobody asks");
}

#[test]
fn a_layer_that_takes_in_no_multicast_or_too_little_is_named_with_its_mode() {
    let layered = |layer: Layer, dropped| {
        let mut host = HostEvidence { again: Some(trial(0, 0)), ..deaf(1) };
        let counters = &mut host.first.as_mut().expect("a trial").counters;
        counters.set(Gauge::Layer, layer as u64);
        counters.set(Gauge::LowerDropped, dropped);
        evidence(vec![host])
    };
    assert_one(&layered(Layer::IpvlanL3, 0), "M21", "mode l2");
    assert_one(&layered(Layer::MacvlanBridge, 200), "M21", "bcqueuelen");
    assert_one(&layered(Layer::MacvlanBridge, 0), "M27", "--reach unicast");
    let lossy = with_first(1, |first| {
        *first = trial(100, 20);
        first.counters.set(Gauge::Layer, Layer::MacvlanVepa as u64);
        first.counters.set(Gauge::LowerDropped, 100);
    });
    assert_one(&evidence(vec![lossy]), "M21", "bcqueuelen");
}

#[test]
fn a_host_that_is_not_reached_may_be_beside_this_machine_on_one_interface() {
    let mut evidence = evidence(vec![unheard(1), sound(2)]);
    evidence.sender.layer = Some(Layer::MacvlanVepa);
    assert_one(&evidence, "M35", "macvlan mode bridge");
    evidence.sender.layer = Some(Layer::MacvlanBridge);
    let found = findings(&evidence);
    assert!(found[0].mends.iter().all(|mend| !mend.command.contains("macvlan")), "{found:#?}");
}

#[test]
fn batches_that_are_lost_as_a_whole_are_no_storm_control() {
    let batched = |alone: u32, in_batches: u32| {
        let plan = TrainPlan::default().with(200, 100, 1).with_batches(48, 400, 1, 16);
        let mut first = trial(alone, 20);
        first.by_group = plan;
        first.counters.tally.put(Bucket { way: Way::Group, ttl: 1, bytes: 400, count: in_batches });
        evidence(vec![HostEvidence { first: Some(first), ..sound(1) }])
    };
    assert_one(&batched(200, 0), "M32", "--no-offload");
    assert_one(&batched(200, 16), "M32", "ethtool -K eth0");
    assert_eq!(findings(&batched(200, 48)), []);
    assert_eq!(findings(&batched(200, 32)), [], "one of three may be bad luck");
}

#[test]
fn a_rate_that_one_member_of_a_bond_does_not_carry_is_found() {
    let mut evidence = evidence(vec![sound(1)]);
    evidence.sender.bond = Some(Bond { members: 2, member_bits: 10_000_000_000 });
    assert_eq!(findings(&evidence), [], "no rate was asked for");
    evidence.sender.rate = Some(10_000_000_000);
    assert_eq!(findings(&evidence), []);
    evidence.sender.rate = Some(15_000_000_000);
    assert_one(&evidence, "M18", "--rate 10000mbit");
}

#[test]
fn nobody_at_all_is_a_finding_without_hosts() {
    let found = findings(&evidence(Vec::new()));
    assert_eq!((found.len(), found[0].id.name(), found[0].hosts.len()), (1, "M34", 0));
}

#[test]
fn answers_that_do_not_count_have_their_own_findings() {
    for (standing, id) in [
        (Standing::Twice, "M29"),
        (Standing::KeyChanged, "M30"),
        (Standing::UnknownKey, "M30"),
        (Standing::OtherVersion, "M31"),
        (Standing::Partial, "M36"),
        (Standing::Busy, "M36"),
    ] {
        let host = HostEvidence { standing, first: None, at_start: None, ..sound(1) };
        assert_eq!(ids(&findings(&evidence(vec![host]))), [format!("{id} compute-1")]);
    }
}

#[test]
fn a_small_buffer_and_an_old_igmp_are_found_though_everything_comes() {
    let small = with_first(1, |first| {
        first.counters.set(Gauge::BufferGranted, 425_984);
        first.counters.set(Gauge::BufferWanted, 32 << 20);
    });
    assert_one(&evidence(vec![small]), "M15", "net.core.rmem_max=16777216");
    let mut old = evidence(vec![with_first(1, |first| first.counters.set(Gauge::MembershipVersion, 2))]);
    assert_eq!(findings(&old), [], "a group of any source needs no more");
    old.sender.group = Some(([232, 1, 1, 1], 7167).into());
    assert_one(&old, "M19", "igmp version 3");
    let mut short = evidence(vec![sound(1)]);
    short.sender.short_buffer = Some((212_992, 8 << 20));
    assert_one(&short, "M15", "net.core.wmem_max=4194304");
}

#[test]
fn two_faults_are_both_found_on_one_host_and_on_two_and_like_ones_are_one_row() {
    let twice = with_first(1, |first| {
        first.counters.set(Gauge::ClockAhead, 200_000);
        first.counters.set(Gauge::BufferGranted, 1);
        first.counters.set(Gauge::BufferWanted, 2);
    });
    let forgotten = |number| HostEvidence { again: Some(trial(198, 0)), ..deaf(number) };
    let silent = HostEvidence { echo: Echo::NobodyListens, ..unheard(9) };
    let found = findings(&evidence(vec![twice, forgotten(2), forgotten(3), forgotten(4), silent]));
    let expected = ["M01 compute-[2-4]", "M24 compute-1", "M28 compute-9", "M15 compute-1"];
    assert_eq!(ids(&found), expected);
}

fn drop_rule() -> DropRule {
    DropRule {
        id: FindingId::Firewall,
        evidence: "chain in of table inet wall (input) has the rule: udp drop".to_owned(),
        mend: "nft insert rule inet wall in udp dport 40000 accept".to_owned(),
    }
}

/// Returns a host that hears everything.
fn sound(number: u8) -> HostEvidence {
    let name = HostName::new(&format!("compute-{number}")).expect("plain");
    HostEvidence {
        expected: true,
        standing: Standing::Answered,
        address: Some(([10, 0, 0, 10 + number], 7167).into()),
        answered_the_group: true,
        at_start: Some(Counters::default()),
        first: Some(trial(200, 20)),
        ..HostEvidence::new(name)
    }
}

/// Returns a host that answers and hears nothing of the group.
fn deaf(number: u8) -> HostEvidence {
    let mut host = HostEvidence { first: Some(trial(0, 20)), answered_the_group: false, ..sound(number) };
    let counters = &mut host.first.as_mut().expect("a trial").counters;
    for gauge in [Gauge::NicMulticast, Gauge::IpMulticastIn, Gauge::NicCountsMulticast] {
        counters.set(gauge, 0);
    }
    host
}

fn unheard(number: u8) -> HostEvidence {
    HostEvidence { standing: Standing::NeverAnswered, first: None, at_start: None, ..sound(number) }
}

fn with_first(number: u8, change: impl FnOnce(&mut Trial)) -> HostEvidence {
    let mut host = sound(number);
    change(host.first.as_mut().expect("a trial"));
    host
}

/// Returns a trial of which so many short probes came by each way, and all long ones of a way that carries any.
fn trial(group: u32, unicast: u32) -> Trial {
    let mut counters = Counters::default();
    for (gauge, value) in [
        (Gauge::NicMulticast, u64::from(group)),
        (Gauge::NicCountsMulticast, 1),
        (Gauge::IpMulticastIn, u64::from(group)),
        (Gauge::IpMulticastOut, 2),
        (Gauge::Joined, 1),
        (Gauge::MembershipVersion, 3),
        (Gauge::Mtu, 1500),
        (Gauge::ClockAhead, 5),
        (Gauge::TrainKnown, 1),
    ] {
        counters.set(gauge, value);
    }
    for (way, count, long, ttl) in [(Way::Group, group, 10, 1), (Way::Unicast, unicast, 3, 64)] {
        if count > 0 {
            counters.tally.put(Bucket { way, ttl, bytes: 100, count });
            for bytes in [1252, 1472] {
                counters.tally.put(Bucket { way, ttl, bytes, count: long });
            }
        }
    }
    let plan = |short, long, ttl| {
        TrainPlan::default().with(short, 100, ttl).with(long, 1252, ttl).with(long, 1472, ttl)
    };
    Trial { by_group: plan(200, 10, 1), by_unicast: plan(20, 3, 64), counters }
}

fn evidence(hosts: Vec<HostEvidence>) -> Evidence {
    let sender = SenderEvidence {
        interface: "eth0".to_owned(),
        reply_to: Some(([10, 0, 0, 1], 40_000).into()),
        group: Some(([239, 255, 71, 67], 7167).into()),
        mtu: 1500,
        ttl: 1,
        prefix: Some(16),
        key: Some("ed25519:x".to_owned()),
        ..SenderEvidence::default()
    };
    Evidence { sender, hosts, sent: (0, 0) }
}

/// Returns each finding as its id and its hosts.
fn ids(found: &[Finding]) -> Vec<String> {
    found.iter().map(|finding| format!("{} {}", finding.id, fold(&finding.hosts))).collect()
}

#[track_caller]
fn assert_one(evidence: &Evidence, id: &str, command: &str) {
    let found = findings(evidence);
    assert_eq!(found.iter().map(|finding| finding.id.name()).collect::<Vec<_>>(), [id], "{found:#?}");
    let commands: Vec<&str> = found[0].mends.iter().map(|mend| mend.command.as_str()).collect();
    assert!(commands.iter().any(|text| text.contains(command)), "{command}: {commands:#?}");
}
