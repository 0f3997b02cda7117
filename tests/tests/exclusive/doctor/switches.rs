//! Switches that forward the group only to those that have asked for it, and who asks them.

use glancecast_tests::needs;
use glancecast_tests::netns::{Ipv6, Lab};
use glancecast_tests::querier::Querier;
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;

use super::{FAULTS, addresses, assert_found, examine, lab};

#[test]
fn a_switch_that_forgets_hosts_and_one_that_never_learns_of_them() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(3));
    let network = testbed.network();
    network.run(
        "r2",
        "nft add table inet quiet; \
                       add chain inet quiet out { type filter hook output priority 0; }; \
                       add rule inet quiet out ip protocol igmp drop",
    );
    network.snoop(3, 2, 4);
    let never = ["--renew-membership", "none"];
    let _forgotten = testbed.receiver("r1", &never);
    let _unheard = testbed.receiver("r2", &never);
    let _known = testbed.receiver("r3", &["--renew-membership", "1s"]);
    wait_for_members(&testbed, &["r3"]);
    let report = examine(&testbed, &["--to", &addresses(3)]);
    let expected =
        [("M01", &["r1"][..], "igmp snooping querier"), ("M05", &["r2"], "ip protocol igmp accept")];
    assert_found(&report, &expected);
}

#[test]
fn a_switch_without_an_mld_querier_is_found_too() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(2).with_ipv6(Ipv6::Global));
    let network = testbed.network();
    // A switch without an address of its own takes itself for no querier, and floods.
    wait::until("the switch to have an address", SOON, || {
        let text = network.run("sw", "ip -6 addr show dev br0");
        (text.contains("fe80:") && !text.contains("tentative")).then_some(())
    });
    // Neighbours are found by multicast, too, and would be forgotten like the group.
    let mac = |host: &str| network.run(host, "cat /sys/class/net/eth0/address").trim().to_owned();
    let known = |on: &str, address: &str, of: &str| {
        network.run(on, &format!("ip neigh add {address} lladdr {} dev eth0 nud permanent", mac(of)));
    };
    for (host, address) in [("r1", "fd77::101"), ("r2", "fd77::102")] {
        known(Lab::SENDER, address, host);
        known(host, "fd77::1", Lab::SENDER);
    }
    network.snoop(3, 2, 3);
    let group = ["--group", "[ff15::4743]:7167"];
    let _forgotten = testbed.receiver("r1", &[&group[..], &["--renew-membership", "none"]].concat());
    let _known = testbed.receiver("r2", &[&group[..], &["--renew-membership", "1s"]].concat());
    wait::until("the switch to forget r1", SOON, || {
        (network.ports_of("ff15::4743".parse().expect("an address")) == ["r2"]).then_some(())
    });
    let report = examine(&testbed, &[&group[..], &["--to", "r1=[fd77::101],r2=[fd77::102]"]].concat());
    assert_found(&report, &[("M22", &["r1"], "mld snooping querier")]);
}

#[test]
fn a_host_that_answers_no_querier_is_told_from_a_network_without_one() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(3));
    let network = testbed.network();
    network.run(
        "r1",
        "nft add table inet quiet; \
         add chain inet quiet in { type filter hook input priority 0; }; \
         add rule inet quiet in ip protocol igmp drop",
    );
    network.snoop(3, 2, 4);
    let _querier = Querier::start(network, "r3");
    let never = ["--renew-membership", "none"];
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &never));
    wait_for_members(&testbed, &["r2"]);
    let report = examine(&testbed, &["--to", &addresses(2)]);
    assert_found(&report, &[("M05", &["r1"], "input ip protocol igmp accept")]);
    assert!(
        report["findings"][0]["evidence"].to_string().contains("10.77.1.3 asks for members"),
        "{report:#}"
    );
}

#[test]
fn a_querier_whose_queries_do_not_reach_the_switch_of_the_hosts_is_named() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(3));
    let network = testbed.network();
    // The sender and the querier are on another switch than the hosts, and no query passes from there.
    network.narrow("10gbit");
    network.run("sw", "ip link set r3 master br1");
    network.run(
        "sw",
        "nft add table netdev trunk; \
         add chain netdev trunk in { type filter hook ingress device far priority 0; }; \
         add rule netdev trunk in ip protocol igmp drop",
    );
    network.snoop(3, 2, 4);
    let _querier = Querier::start(network, "r3");
    let never = ["--renew-membership", "none"];
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &never));
    wait_for_members(&testbed, &[]);
    let report = examine(&testbed, &["--to", &addresses(2)]);
    assert_found(&report, &[("M02", &["r1", "r2"], "mcast_querier 0")]);
    assert!(
        report["findings"][0]["evidence"].to_string().contains("10.77.1.3 asks for members"),
        "{report:#}"
    );
}

/// Waits until the switch remembers these hosts alone as members of the group, after it has known others.
fn wait_for_members(testbed: &Testbed, hosts: &[&str]) {
    let members = || testbed.network().ports_of((*testbed.group().ip()).into());
    wait::until("the switch to forget others", SOON, || (members() == hosts).then_some(()));
}
