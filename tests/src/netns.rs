//! A network for one scenario: a bridge that floods multicast, a sender host `s` and receiver hosts `r1`, `r2`, ...,
//! each a network namespace on a veth pair. nftables drops packets at each receiver's ingress; tbf limits the sender's
//! rate. The lab changes nothing outside its namespaces. It is removed when dropped, also in a panic; the next test
//! removes what a killed one left behind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process, thread};

use nix::sched::{CloneFlags, setns};

use crate::process::exists;
use crate::skip::Need;
use crate::{places, wait};

/// What a lab needs.
pub const NEEDS: &[Need] = &[
    Need::Namespaces,
    Need::Program("ip", "iproute2"),
    Need::Program("ethtool", "ethtool"),
    Need::Program("nft", "nftables"),
];

/// How the sender's GSO batches cross the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Each datagram is a packet, as on a real link: loss and drops affect single datagrams.
    Off,
    /// A batch crosses as one packet, the kernel's fast path: loss affects whole batches.
    On,
}

/// The properties of a lab.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Number of receiver hosts.
    pub receivers: usize,
    /// How GSO batches cross the network.
    pub offload: Offload,
    /// The packets out of a thousand that each receiver loses.
    pub loss_per_mille: u32,
    /// The rate of the sender's link, in `tc` notation.
    pub rate: Option<&'a str>,
}

/// The kinds of IPv6 addresses that the hosts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// Link-local ones, which every IPv6 interface has.
    LinkLocal,
    /// Addresses that are valid beyond the link, too.
    Global,
}

/// A network that exists until it is dropped.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    receivers: usize,
}

impl Lab {
    /// The sender host.
    pub const SENDER: &str = "s";
    /// The interface of every host.
    pub const INTERFACE: &str = "eth0";

    /// Builds the network.
    ///
    /// # Panics
    /// When a step fails; what was built by then is removed.
    pub fn build(shape: &Shape<'_>) -> Self {
        assert!(shape.receivers <= 250, "a lab has at most 250 receivers");
        let lab = Self::claim(shape.receivers);
        lab.add_hosts();
        if shape.offload == Offload::Off {
            for host in lab.hosts() {
                lab.run(&host, "ethtool -K eth0 gso off tso off tx-udp-segmentation off");
            }
        }
        if let Some(rate) = shape.rate {
            lab.shape(rate);
        }
        if shape.loss_per_mille > 0 {
            lab.receivers().iter().for_each(|host| lab.lose(host, shape.loss_per_mille));
        }
        lab
    }

    /// Takes names that no other lab has, for a network that is not built yet.
    pub(crate) fn claim(receivers: usize) -> Self {
        static STALE: Once = Once::new();
        STALE.call_once(|| {
            remove_stale();
            // An earlier process may have had this pid.
            remove_of(process::id());
        });
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{PREFIX}{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { prefix, receivers }
    }

    /// Sets the rate of the sender's link, in `tc` notation, with a queue of 50 ms; works during traffic, too.
    pub fn shape(&self, rate: &str) {
        self.run(
            Self::SENDER,
            &format!("tc qdisc replace dev eth0 root tbf rate {rate} burst 256kb latency 50ms"),
        );
    }

    /// Puts a link of this rate, in `tc` notation, with a queue of 50 ms between the sender's switch and the
    /// receivers'. A queue on the sender itself would differ: there the kernel allows each TCP flow at most two batches
    /// in the queue, and the excess is never lost.
    pub fn narrow(&self, rate: &str) {
        let switch = self.namespace(SWITCH);
        let steps = [
            "link add br1 type bridge mcast_snooping 0",
            "link add near type veth peer name far",
            "link set near master br1",
            "link set far master br0",
            "link set s master br1",
            "link set br1 up",
            "link set near up",
            "link set far up",
        ];
        ip_batch(Some(&switch), steps.map(str::to_owned).into_iter());
        self.run(SWITCH, &format!("tc qdisc add dev near root tbf rate {rate} burst 256kb latency 50ms"));
    }

    /// Sets the packets out of a thousand that a host loses from now on.
    pub fn lose(&self, host: &str, per_mille: u32) {
        assert!(per_mille <= 1000, "{per_mille} per mille");
        self.run(
            host,
            &format!(
                "nft add table netdev loss; flush table netdev loss; \
                 add chain netdev loss ingress {{ type filter hook ingress device eth0 priority 0; }}; \
                 add rule netdev loss ingress numgen random mod 1000 < {per_mille} counter drop"
            ),
        );
    }

    /// Drops all UDP datagrams that a host sends from now on.
    pub fn mute(&self, host: &str) {
        self.run(
            host,
            "nft add table inet mute; \
             add chain inet mute output { type filter hook output priority 0; }; \
             add rule inet mute output meta l4proto udp drop",
        );
    }

    /// Takes the interface of a host away for good, as a driver does that is loaded anew.
    pub fn remove_interface(&self, host: &str) {
        self.run(SWITCH, &format!("ip link del {host}"));
    }

    /// Makes the interface of a host anew, with another index and without an address.
    pub fn make_interface(&self, host: &str) {
        let namespace = self.namespace(host);
        let steps = [
            format!("link add {host} type veth peer name {} netns {namespace}", Self::INTERFACE),
            format!("link set {host} master br0 up"),
        ];
        ip_batch(Some(&self.namespace(SWITCH)), steps.into_iter());
    }

    /// Takes the other end of a host's cable down or up.
    pub fn set_port(&self, host: &str, state: &str) {
        self.run(SWITCH, &format!("ip link set {host} {state}"));
    }

    /// Removes a receiver host's interface, and the switch's port with it.
    pub fn unplug(&self, host: &str) {
        ip(&format!("-n {} link del eth0", self.namespace(host)));
    }

    /// Gives a receiver host without an interface another one, with this index and the same IPv4 address.
    pub fn plug(&self, host: &str, index: u32) {
        let (switch, namespace) = (self.namespace(SWITCH), self.namespace(host));
        let number = host.strip_prefix('r').expect("a receiver");
        let steps = [
            format!("link add {host} type veth peer name eth0 index {index} netns {namespace}"),
            format!("link set {host} master br0 up"),
        ];
        ip_batch(Some(&switch), steps.into_iter());
        let steps = [
            format!("addr add 10.77.1.{number}/16 brd + dev eth0"),
            "link set eth0 up".to_owned(),
            "route add 224.0.0.0/4 dev eth0".to_owned(),
        ];
        ip_batch(Some(&namespace), steps.into_iter());
    }

    /// Makes the switch forward the group only to ports that have asked for it, and forget those after `memory_seconds`. It
    /// believes that there is a querier, and no query comes.
    pub fn snoop(&self, igmp: u8, mld: u8, memory_seconds: u32) {
        let timers = "mcast_query_interval 60000 mcast_startup_query_count 1 mcast_startup_query_interval 100 \
                      mcast_query_response_interval 10";
        for options in [
            timers,
            &format!(
                "mcast_igmp_version {igmp} mcast_mld_version {mld} mcast_membership_interval {}",
                100 * memory_seconds
            ),
            "mcast_snooping 1 mcast_querier 1",
        ] {
            ip(&format!("-n {} link set br0 type bridge {options}", self.namespace(SWITCH)));
        }
    }

    /// Returns the ports to which the switch forwards a group.
    pub fn ports_of(&self, group: std::net::IpAddr) -> Vec<String> {
        let table = self.run(SWITCH, "bridge mdb show");
        let of_group =
            table.lines().filter(|line| line.split_whitespace().any(|word| word == group.to_string()));
        of_group.filter_map(|line| line.split_once("port ")?.1.split(' ').next().map(str::to_owned)).collect()
    }

    /// Sets another MTU on every host and on the switch.
    #[must_use]
    pub fn with_mtu(self, mtu: u16) -> Self {
        let switch = self.namespace(SWITCH);
        for host in self.hosts() {
            ip(&format!("-n {switch} link set {host} mtu {mtu}"));
            ip(&format!("-n {} link set eth0 mtu {mtu}", self.namespace(&host)));
        }
        ip(&format!("-n {switch} link set br0 mtu {mtu}"));
        self
    }

    /// Adds the IPv6 addresses `fe80::77:N` and, with [`Ipv6::Global`], `fd77::N`. N is 1 for the sender and 100 + K
    /// for `rK`. They are usable at once.
    #[must_use]
    pub fn with_ipv6(self, addresses: Ipv6) -> Self {
        for (host, number) in self.hosts().iter().zip([1].into_iter().chain(101..)) {
            let namespace = self.namespace(host);
            // An address made by the kernel is usable only after a second of duplicate address detection.
            ip(&format!("-n {namespace} -6 addr flush dev eth0"));
            ip(&format!("-n {namespace} addr add fe80::77:{number}/64 dev eth0 nodad"));
            if addresses == Ipv6::Global {
                ip(&format!("-n {namespace} addr add fd77::{number}/64 dev eth0 nodad"));
            }
        }
        self
    }

    /// Returns the file through which a host's network is entered (setns(2)).
    pub fn path(&self, host: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(host))
    }

    /// Returns the prefix of the names of its namespaces.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the names of the receiver hosts.
    pub fn receivers(&self) -> Vec<String> {
        (1..=self.receivers).map(|number| format!("r{number}")).collect()
    }

    fn hosts(&self) -> Vec<String> {
        [Self::SENDER.to_owned()].into_iter().chain(self.receivers()).collect()
    }

    /// Returns a command that starts `program` on a host.
    pub fn command(&self, host: &str, program: &std::path::Path) -> Command {
        let mut command = tool("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Calls `action` on a thread in a host's network; sockets made there stay there.
    pub fn inside<T: Send>(&self, host: &str, action: impl FnOnce() -> T + Send) -> T {
        let path = self.path(host);
        let namespace =
            fs::File::open(&path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
        thread::scope(|scope| {
            let visitor = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("who built the lab may enter it");
                action()
            });
            visitor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Returns a counter of a host's interface, such as `rx_packets`.
    pub fn counter(&self, host: &str, name: &str) -> u64 {
        let text = self.run(host, &format!("cat /sys/class/net/{}/statistics/{name}", Self::INTERFACE));
        text.trim().parse().unwrap_or_else(|error| panic!("counter {name} of {host} is {text:?}: {error}"))
    }

    /// Returns the number of packets that the loss rule of a host dropped.
    pub fn lost_packets(&self, host: &str) -> u64 {
        let rules = self.run(host, "nft list ruleset");
        let count = rules.split_once("counter packets ").and_then(|(_, rest)| rest.split_whitespace().next());
        count.map_or(0, |count| count.parse().expect("nft prints a count"))
    }

    /// Creates the switch and all hosts, with a number of commands that does not depend on the number of hosts.
    fn add_hosts(&self) {
        let switch = self.namespace(SWITCH);
        let numbers = [[0, 1]].into_iter().chain((1..).map(|index| [1, index]));
        let hosts: Vec<(String, [u16; 2])> = self.hosts().into_iter().zip(numbers).collect();
        let spaces = [SWITCH].into_iter().chain(hosts.iter().map(|(host, _)| host.as_str()));
        ip_batch(None, spaces.map(|host| format!("netns add {}", self.namespace(host))));

        let bridge = ["link add br0 type bridge mcast_snooping 0".to_owned(), "link set br0 up".to_owned()];
        let ports = hosts.iter().flat_map(|(host, [third, fourth])| {
            let namespace = self.namespace(host);
            // A link has another number on every host, as on real machines, so that a test that confuses them fails.
            let number = 300 * third + fourth;
            let (port, own) = (1000 + number, 10 + number);
            [
                format!(
                    "link add {host} index {port} type veth peer name eth0 index {own} netns {namespace}"
                ),
                format!("link set {host} master br0 up"),
            ]
        });
        ip_batch(Some(&switch), bridge.into_iter().chain(ports));

        for (host, [third, fourth]) in &hosts {
            let steps = [
                "link set lo up".to_owned(),
                format!("addr add 10.77.{third}.{fourth}/16 brd + dev eth0"),
                "link set eth0 up".to_owned(),
                "route add 224.0.0.0/4 dev eth0".to_owned(),
            ];
            ip_batch(Some(&self.namespace(host)), steps.into_iter());
        }
        wait::until("the links", LINK_UP_TIMEOUT, || {
            let links = self.run(SWITCH, "ip -o link show master br0");
            (links.lines().filter(|link| link.contains("LOWER_UP")).count() == hosts.len()).then_some(())
        });
    }

    pub(crate) fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// Runs a short command on a host: the first word is the program; `nft` gets the rest as one script.
    pub fn run(&self, host: &str, line: &str) -> String {
        let (program, rest) = line.split_once(' ').expect("a program and its arguments");
        let program = places::tool(program).unwrap_or_else(|| panic!("{program} is not installed"));
        let is_nft = program.ends_with("nft");
        let mut command = self.command(host, &program);
        if is_nft {
            command.arg(rest);
        } else {
            command.args(rest.split(' '));
        }
        output(command)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        remove(|name| name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-')));
    }
}

/// Removes the labs of an ended process.
pub fn remove_of(pid: u32) {
    remove(|name| owner(name) == Some(pid));
}

/// Removes the labs of all ended processes.
pub fn remove_stale() {
    remove(|name| owner(name).is_some_and(|pid| !exists(pid)));
}

/// Returns the process that made a namespace, if it is one of ours.
fn owner(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes the namespaces that `ours` selects, and with them their interfaces.
fn remove(ours: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for name in
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| ours(name))
    {
        // Another test may be removing the same one.
        let mut command = tool("ip");
        command.args(["netns", "del", &name]).stdin(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}

/// Runs commands of ip(8) in one process, in `namespace` if given.
pub(crate) fn ip_batch(namespace: Option<&str>, lines: impl Iterator<Item = String>) {
    let mut command = tool("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut script: String = lines.collect::<Vec<_>>().join("\n");
    script.push('\n');
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(script.as_bytes()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(stdin);
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {complaint}{script}", output.status);
}

fn ip(arguments: &str) {
    let mut command = tool("ip");
    command.args(arguments.split(' '));
    output(command);
}

fn tool(name: &str) -> Command {
    Command::new(places::tool(name).unwrap_or_else(|| panic!("{name} is not installed")))
}

fn output(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {complaint}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const PREFIX: &str = "gc";
const SWITCH: &str = "sw";
/// The carrier comes up with the peer, within milliseconds.
const LINK_UP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
