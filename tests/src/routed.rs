//! A routed network for one scenario: segments behind a router that forwards no multicast.
//!
//! The sender `s` is in segment 0, beside the near hosts. Each rack is a segment of its own: a switch, and hosts, which
//! are `r1`, `r2`, ... in the order of the segments. All is a [`Lab`] in its names and its clean-up, and works with what a
//! [`Lab`] does to a host; only the addresses differ: segment N is 10.78.N.0/24.
//!
//! Links are shaped by tbf with a queue of 50 ms, in both directions. In a **deaf** rack multicast is dropped at each
//! host, so that the rack is so many hosts that unicast alone reaches.

use std::net::Ipv4Addr;

use crate::netns::{Lab, Offload, ip_batch};
use crate::wait;

/// The properties of a routed network.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The rate of the sender's link, in `tc` notation.
    pub sender: Option<&'a str>,
    /// Hosts in the sender's own segment.
    pub near: usize,
    /// The racks, in segments from 1 on.
    pub racks: &'a [Rack<'a>],
    /// How GSO batches leave a host.
    pub offload: Offload,
}

/// The properties of a rack.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rack<'a> {
    /// Number of hosts.
    pub hosts: usize,
    /// The rate of the link to the router, in `tc` notation.
    pub uplink: Option<&'a str>,
    /// The rate of each host's link, in `tc` notation.
    pub link: Option<&'a str>,
    /// The packets out of a thousand that each host loses.
    pub loss_per_mille: u32,
    /// Whether multicast reaches no host.
    pub is_deaf: bool,
}

/// Where the hosts of a routed network are.
#[derive(Debug, Clone)]
pub struct Fabric {
    /// The segment of each host, in the order of their numbers.
    segments: Vec<usize>,
}

/// Builds the network.
///
/// # Panics
/// When a step fails; what was built by then is removed.
pub fn build(shape: &Shape<'_>) -> (Lab, Fabric) {
    let sizes = [shape.near].into_iter().chain(shape.racks.iter().map(|rack| rack.hosts));
    let segments: Vec<usize> = sizes.enumerate().flat_map(|(segment, hosts)| vec![segment; hosts]).collect();
    assert!(segments.len() <= 100 && shape.racks.len() < 100, "a small network");
    let (lab, fabric) = (Lab::claim(segments.len()), Fabric { segments });
    fabric.add(&lab, shape.racks.len());
    if shape.offload == Offload::Off {
        for host in fabric.everyone(&lab) {
            lab.run(&host, "ethtool -K eth0 gso off tso off tx-udp-segmentation off");
        }
    }
    if let Some(rate) = shape.sender {
        lab.shape(rate);
        fabric.shape_port(&lab, 0, Lab::SENDER, rate);
    }
    for (rack, segment) in shape.racks.iter().zip(1..) {
        fabric.apply(&lab, segment, rack);
    }
    (lab, fabric)
}

impl Fabric {
    /// Returns the names of the hosts of a segment.
    pub fn hosts(&self, segment: usize) -> Vec<String> {
        let of_it = |&(_, of): &(usize, &usize)| *of == segment;
        self.segments.iter().enumerate().filter(of_it).map(|(at, _)| format!("r{}", at + 1)).collect()
    }

    /// Returns the address of a host or of the sender.
    pub fn address(&self, host: &str) -> Ipv4Addr {
        if host == Lab::SENDER {
            return Ipv4Addr::new(10, 78, 0, 2);
        }
        let number: usize = host.strip_prefix('r').and_then(|number| number.parse().ok()).expect("a host");
        let segment = self.segments[number - 1];
        Ipv4Addr::new(10, 78, segment as u8, 10 + number as u8)
    }

    /// Returns the bytes that have gone down the link from the router to a segment, frames and all.
    pub fn bytes_down(&self, lab: &Lab, segment: usize) -> u64 {
        let text = lab.run(ROUTER, &format!("cat /sys/class/net/seg{segment}/statistics/tx_bytes"));
        text.trim().parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    /// Cuts the link from the router to a segment.
    pub fn cut(&self, lab: &Lab, segment: usize) {
        lab.run(ROUTER, &format!("ip link set seg{segment} down"));
    }

    /// Mends the link from the router to a segment.
    pub fn mend(&self, lab: &Lab, segment: usize) {
        lab.run(ROUTER, &format!("ip link set seg{segment} up"));
    }

    /// Shapes the link of one host, in both directions.
    pub fn shape_host(&self, lab: &Lab, host: &str, rate: &str) {
        let number: usize = host[1..].parse().expect("a host");
        lab.run(host, &format!("tc qdisc replace dev eth0 root {}", tbf(rate)));
        self.shape_port(lab, self.segments[number - 1], host, rate);
    }

    fn shape_port(&self, lab: &Lab, segment: usize, host: &str, rate: &str) {
        lab.run(&switch(segment), &format!("tc qdisc replace dev {host} root {}", tbf(rate)));
    }

    fn everyone(&self, lab: &Lab) -> Vec<String> {
        [Lab::SENDER.to_owned()].into_iter().chain(lab.receivers()).collect()
    }

    fn apply(&self, lab: &Lab, segment: usize, rack: &Rack<'_>) {
        if let Some(rate) = rack.uplink {
            lab.run(ROUTER, &format!("tc qdisc replace dev seg{segment} root {}", tbf(rate)));
            lab.run(&switch(segment), &format!("tc qdisc replace dev trunk root {}", tbf(rate)));
        }
        for host in self.hosts(segment) {
            if let Some(rate) = rack.link {
                self.shape_host(lab, &host, rate);
            }
            if rack.loss_per_mille > 0 {
                lab.lose(&host, rack.loss_per_mille);
            }
            if rack.is_deaf {
                lab.run(
                    &host,
                    "nft add table netdev deaf; \
                     add chain netdev deaf ingress { type filter hook ingress device eth0 priority 1; }; \
                     add rule netdev deaf ingress ip daddr 224.0.0.0/4 counter drop",
                );
            }
        }
    }

    /// Creates the router, the switches and all hosts.
    fn add(&self, lab: &Lab, racks: usize) {
        let switches = (0..=racks).map(switch);
        let names = [ROUTER.to_owned()].into_iter().chain(switches).chain(self.everyone(lab));
        ip_batch(None, names.map(|name| format!("netns add {}", lab.namespace(&name))));
        for segment in 0..=racks {
            self.add_switch(lab, segment);
        }
        let downs = (0..=racks).flat_map(|segment| {
            [format!("addr add 10.78.{segment}.1/24 dev seg{segment}"), format!("link set seg{segment} up")]
        });
        ip_batch(Some(&lab.namespace(ROUTER)), ["link set lo up".to_owned()].into_iter().chain(downs));
        lab.run(ROUTER, "sysctl -qw net.ipv4.ip_forward=1");
        for host in self.everyone(lab) {
            let address = self.address(&host);
            let router = Ipv4Addr::new(10, 78, address.octets()[2], 1);
            let steps = [
                "link set lo up".to_owned(),
                format!("addr add {address}/24 brd + dev eth0"),
                "link set eth0 up".to_owned(),
                format!("route add default via {router}"),
            ];
            ip_batch(Some(&lab.namespace(&host)), steps.into_iter());
        }
        self.wait_for_links(lab, racks);
    }

    /// Creates the switch of a segment, with a link to the router and one to each host of it.
    fn add_switch(&self, lab: &Lab, segment: usize) {
        let near = (segment == 0).then(|| Lab::SENDER.to_owned());
        let ports = near.into_iter().chain(self.hosts(segment)).flat_map(|host| {
            [
                format!("link add {host} type veth peer name eth0 netns {}", lab.namespace(&host)),
                format!("link set {host} master br0 up"),
            ]
        });
        let own = [
            "link add br0 type bridge mcast_snooping 0".to_owned(),
            "link set br0 up".to_owned(),
            format!("link add trunk type veth peer name seg{segment} netns {}", lab.namespace(ROUTER)),
            "link set trunk master br0 up".to_owned(),
        ];
        ip_batch(Some(&lab.namespace(&switch(segment))), own.into_iter().chain(ports));
    }

    fn wait_for_links(&self, lab: &Lab, racks: usize) {
        for segment in 0..=racks {
            let ports = 1 + usize::from(segment == 0) + self.hosts(segment).len();
            wait::until("the links of a segment", LINK_UP_TIMEOUT, || {
                let links = lab.run(&switch(segment), "ip -o link show master br0");
                (links.lines().filter(|link| link.contains("LOWER_UP")).count() == ports).then_some(())
            });
        }
    }
}

fn switch(segment: usize) -> String {
    format!("sw{segment}")
}

/// The kernel's shaper. A burst holds the largest packet of offload, and the queue is that of a shallow switch.
fn tbf(rate: &str) -> String {
    format!("tbf rate {rate} burst 256kb latency 50ms")
}

const ROUTER: &str = "rt";
const LINK_UP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
