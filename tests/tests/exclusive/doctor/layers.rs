//! Interfaces that are layers on others, and batches that the network is to carry as a whole.

use glancecast_tests::needs;
use glancecast_tests::netns::{Lab, Offload, Shape};
use glancecast_tests::testbed::Testbed;

use super::{FAULTS, addresses, assert_found, examine, found, lab};

#[test]
fn a_macvlan_whose_queue_has_no_room_is_told_from_one_that_hears_everything() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(2));
    let network = testbed.network();
    for (host, number, queue) in [("r1", 1, " bcqueuelen 0"), ("r2", 2, "")] {
        network.run(host, &format!("ip link add mv0 link eth0 type macvlan mode bridge{queue}"));
        network.run(host, &format!("ip addr add 10.77.200.{number}/16 brd + dev mv0"));
        network.run(host, "ip link set mv0 up");
        // The same network is on the interface below: its route would be the better one.
        network.run(host, "ip addr flush dev eth0");
        // A broadcast that asks for the address of this host finds no room either.
        let mac = network.run(host, "cat /sys/class/net/mv0/address").trim().to_owned();
        let known = format!("ip neigh add 10.77.200.{number} lladdr {mac} dev eth0 nud permanent");
        network.run(Lab::SENDER, &known);
    }
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &["--interface", "mv0"]));
    let report = examine(&testbed, &["--to", "r1=10.77.200.1,r2=10.77.200.2"]);
    assert_found(&report, &[("M21", &["r1"], "macvlan bcqueuelen")]);
    network.run("r1", "ip link set mv0 type macvlan bcqueuelen 10000");
    assert_eq!(found(&examine(&testbed, &["--to", "r1=10.77.200.1,r2=10.77.200.2"])), []);
}

#[test]
fn batches_that_a_network_does_not_carry_are_found_and_without_them_nothing_is_wrong() {
    needs!(FAULTS);
    let shape = Shape { receivers: 2, offload: Offload::On, loss_per_mille: 0, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let to = addresses(2);
    assert_eq!(found(&examine(&testbed, &["--to", &to])), [], "batches cross as one packet");
    testbed.network().run(
        "r2",
        "nft add table netdev narrow; \
         add chain netdev narrow in { type filter hook ingress device eth0 priority 0; }; \
         add rule netdev narrow in meta length > 2000 drop",
    );
    let report = examine(&testbed, &["--to", &to]);
    assert_found(&report, &[("M32", &["r2"], "--no-offload")]);
    assert_eq!(found(&examine(&testbed, &["--to", &to, "--no-offload"])), []);
}
