//! What the kernel counts and has joined, from `/proc` and `/sys`. Everything here may be missing: a number that cannot be
//! read is left out. It is `/proc/self/net`, because the unit hides all of `/proc` but the processes.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use glancecast_platform::interface::Interface;
use glancecast_proto::doctor::{Counters, Gauge};

/// Returns the counters of an interface and of the network that it is in, as they are.
pub(super) fn counters(interface: &str, is_ipv4: bool) -> Counters {
    let mut counters = Counters::default();
    let mut set = |gauge, value: Option<u64>| value.into_iter().for_each(|value| counters.set(gauge, value));
    let missed = [statistic(interface, "rx_missed_errors"), statistic(interface, "rx_fifo_errors")];
    set(Gauge::NicMulticast, statistic(interface, "multicast"));
    set(Gauge::NicDropped, statistic(interface, "rx_dropped"));
    set(Gauge::NicMissed, missed.into_iter().flatten().reduce(|a, b| a + b));
    let softnet = read("/proc/self/net/softnet_stat");
    set(Gauge::SoftnetDropped, softnet.as_deref().map(|text| softnet_column(text, 1)));
    set(Gauge::SoftnetSqueezed, softnet.as_deref().map(|text| softnet_column(text, 2)));
    let netstat = read("/proc/self/net/netstat").unwrap_or_default();
    if is_ipv4 {
        set(Gauge::ReversePath, table(&netstat, "TcpExt:", "IPReversePathFilter"));
        set(Gauge::IpMulticastIn, table(&netstat, "IpExt:", "InMcastPkts"));
        set(Gauge::IpMulticastOut, table(&netstat, "IpExt:", "OutMcastPkts"));
        let snmp = read("/proc/self/net/snmp").unwrap_or_default();
        set(Gauge::UdpErrors, table(&snmp, "Udp:", "InErrors"));
        set(Gauge::UdpBufferErrors, table(&snmp, "Udp:", "RcvbufErrors"));
    } else {
        let snmp = read("/proc/self/net/snmp6").unwrap_or_default();
        set(Gauge::IpMulticastIn, list(&snmp, "Ip6InMcastPkts"));
        set(Gauge::IpMulticastOut, list(&snmp, "Ip6OutMcastPkts"));
        set(Gauge::UdpErrors, list(&snmp, "Udp6InErrors"));
        set(Gauge::UdpBufferErrors, list(&snmp, "Udp6RcvbufErrors"));
    }
    counters
}

/// Adds the counters of the interface that `interface` is a layer on.
pub(super) fn add_below(counters: &mut Counters, interface: &Interface) {
    let dropped = interface.layer().and_then(|_| statistic(&interface.below()?, "rx_dropped"));
    dropped.into_iter().for_each(|dropped| counters.set(Gauge::LowerDropped, dropped));
}

/// Notes in `measured` how far each counter has risen.
pub(super) fn note_rise(measured: &mut Counters, before: &Counters, now: &Counters) {
    for gauge in Gauge::ALL {
        if let (Some(before), Some(now)) = (before.get(gauge), now.get(gauge)) {
            // An interface that was made anew counts from zero.
            measured.set(gauge, now.checked_sub(before).unwrap_or(now));
        }
    }
}

/// Returns a counter of an interface.
pub(crate) fn statistic(interface: &str, name: &str) -> Option<u64> {
    if interface.contains('/') {
        return None;
    }
    read(&format!("/sys/class/net/{interface}/statistics/{name}"))?.trim().parse().ok()
}

/// The groups that the kernel has joined on an interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Memberships {
    /// The version of IGMP that it speaks there.
    pub(crate) version: Option<u64>,
    /// The groups.
    pub(crate) groups: Vec<Ipv4Addr>,
}

/// Returns what the kernel has joined on the interface with this index.
pub(crate) fn memberships(index: u32) -> Option<Memberships> {
    Some(parse_memberships(&read("/proc/self/net/igmp")?, index))
}

/// Returns the same with IPv6.
pub(crate) fn memberships_v6(index: u32) -> Option<Vec<Ipv6Addr>> {
    let text = read("/proc/self/net/igmp6")?;
    let group = |line: &str| {
        let mut words = line.split_whitespace();
        let of = words.next()?.parse::<u32>().ok()?;
        let bits = u128::from_str_radix(words.nth(1)?, 16).ok()?;
        (of == index).then_some(Ipv6Addr::from_bits(bits))
    };
    Some(text.lines().filter_map(group).collect())
}

#[expect(
    clippy::host_endian_bytes,
    reason = "the kernel prints the address as a number of its own byte order"
)]
fn parse_memberships(text: &str, index: u32) -> Memberships {
    let mut found = Memberships::default();
    let mut is_it = false;
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            is_it = first.parse() == Ok(index);
            if is_it {
                found.version = words.next_back().and_then(|word| word.strip_prefix('V')?.parse().ok());
            }
        } else if is_it && let Ok(bits) = u32::from_str_radix(first, 16) {
            found.groups.push(Ipv4Addr::from(bits.to_ne_bytes()));
        }
    }
    found
}

/// Returns the sum of a column of `softnet_stat`, which has a line of hexadecimal numbers for each processor.
fn softnet_column(text: &str, column: usize) -> u64 {
    let of = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    text.lines().filter_map(of).sum()
}

/// Returns a number of a table with a line of names and a line of values for each prefix.
fn table(text: &str, prefix: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|word| word == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

/// Returns a number of a list with a name and a value on each line.
fn list(text: &str, name: &str) -> Option<u64> {
    let of = |line: &str| {
        let (found, value) = line.split_once(char::is_whitespace)?;
        if found == name { value.trim().parse().ok() } else { None }
    };
    text.lines().find_map(of)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_the_kernel_is_read_by_its_names() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 0 12\nIpExt: InMcastPkts\nIpExt: 7\n";
        assert_eq!(table(text, "TcpExt:", "IPReversePathFilter"), Some(12));
        assert_eq!(table(text, "IpExt:", "InMcastPkts"), Some(7));
        assert_eq!((table(text, "IpExt:", "OutMcastPkts"), table("", "IpExt:", "a")), (None, None));
        assert_eq!(list("Ip6InReceives   3\nIp6InMcastPkts  \t44\n", "Ip6InMcastPkts"), Some(44));
    }

    #[test]
    fn columns_of_all_processors_are_added() {
        let text = "0000ffff 00000001 0000000a 00000000\n00000010 00000002 00000001 00000000\n";
        assert_eq!((softnet_column(text, 1), softnet_column(text, 2), softnet_column("", 1)), (3, 11, 0));
    }

    #[test]
    #[expect(clippy::host_endian_bytes, reason = "as the kernel prints it")]
    fn memberships_are_those_of_one_interface() {
        let group = Ipv4Addr::new(239, 255, 71, 67);
        let printed = format!("{:08X}", u32::from_ne_bytes(group.octets()));
        let text = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
             12\teth0      :     2      V2\n\t\t\t\t{printed}     1 0:00000000\t\t1\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
        );
        let found = parse_memberships(&text, 12);
        assert_eq!((found.version, found.groups.len()), (Some(2), 2));
        assert!(found.groups.contains(&group));
        assert!(!parse_memberships(&text, 1).groups.contains(&group));
        assert_eq!(parse_memberships(&text, 2), Memberships::default());
    }

    #[test]
    fn this_machine_tells_most_of_it() {
        let counters = counters("lo", true);
        for gauge in [Gauge::NicDropped, Gauge::IpMulticastIn, Gauge::UdpErrors, Gauge::SoftnetDropped] {
            assert!(counters.get(gauge).is_some(), "{gauge}");
        }
        assert_eq!(statistic("../lo", "multicast"), None);
    }

    #[test]
    fn a_counter_that_began_anew_has_risen_by_what_it_has() {
        let (mut before, mut now, mut measured) =
            (Counters::default(), Counters::default(), Counters::default());
        before.set(Gauge::NicDropped, 100);
        now.set(Gauge::NicDropped, 30);
        before.set(Gauge::UdpErrors, 5);
        now.set(Gauge::UdpErrors, 8);
        note_rise(&mut measured, &before, &now);
        assert_eq!((measured.get(Gauge::NicDropped), measured.get(Gauge::UdpErrors)), (Some(30), Some(3)));
    }
}
