//! Receivers on virtual interfaces, as guests and containers have them.

use glancecast_tests::delivery::deliver;
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::testbed::Testbed;

#[test]
fn receivers_on_macvlan_interfaces_take_a_push_from_the_network() {
    needs!(netns::NEEDS);
    let lab = Lab::build(&Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 0, rate: None });
    for (number, host) in lab.receivers().iter().enumerate() {
        lab.run(host, "ip link add mv0 link eth0 type macvlan mode bridge");
        lab.run(host, &format!("ip addr add 10.77.200.{}/16 brd + dev mv0", number + 1));
        lab.run(host, "ip link set mv0 up");
        // The same network is on the interface below: its route would be the better one.
        lab.run(host, "ip addr flush dev eth0");
    }
    deliver(&Testbed::lab(lab), 2 << 20, &["--interface", "mv0"], &[]);
}
