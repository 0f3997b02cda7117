//! What a host measures of its network, as numbers on the wire: each has an id and a value.

use std::collections::BTreeMap;

use super::train::{Bucket, Tally};
use crate::limits::COUNTERS_MAX;
use crate::wire::Counter;

crate::named_enum! {
    /// One number of a host. Those up to [`Gauge::LowerDropped`], but for [`Gauge::JoinedAgain`], say how far a counter
    /// of the kernel has risen since the snapshot; the others say how things are.
    pub enum Gauge: u8 {
        /// Multicast packets that the driver counted.
        NicMulticast = 1 => "nic_multicast",
        /// 1 if the host has left the group and joined it again for this train; 0 if it did so just before.
        JoinedAgain = 2 => "joined_again",
        /// Packets that the interface dropped.
        NicDropped = 3 => "nic_dropped",
        /// Packets for which the ring of the interface had no room.
        NicMissed = 4 => "nic_missed",
        /// Packets that the queue behind the interface dropped (`/proc/net/softnet_stat`, column 2).
        SoftnetDropped = 5 => "softnet_dropped",
        /// Times that the kernel's budget ended before the ring was empty (column 3).
        SoftnetSqueezed = 6 => "softnet_squeezed",
        /// Packets that the check of sources dropped (`TcpExt IPReversePathFilter`).
        ReversePath = 7 => "rp_filter_drops",
        /// Multicast packets that IP took in (`IpExt InMcastPkts`, `Ip6InMcastPkts`).
        IpMulticastIn = 8 => "ip_multicast_in",
        /// Multicast packets that IP gave to an interface (`IpExt OutMcastPkts`), reports of membership among them.
        IpMulticastOut = 9 => "ip_multicast_out",
        /// Datagrams that UDP dropped.
        UdpErrors = 10 => "udp_errors",
        /// Of those, the ones for which a receive buffer had no room.
        UdpBufferErrors = 11 => "udp_buffer_errors",
        /// Datagrams that the host's own sockets had no room for.
        SocketDrops = 12 => "socket_drops",
        /// Packets that the interface below dropped, where this one is a macvlan or ipvlan on it.
        LowerDropped = 13 => "lower_dropped",
        /// 1 if the driver has ever counted a multicast packet: some never do.
        NicCountsMulticast = 20 => "nic_counts_multicast",
        /// 1 if the kernel has the group on the interface.
        Joined = 21 => "joined",
        /// The version of IGMP or MLD that the kernel speaks on the interface.
        MembershipVersion = 22 => "membership_version",
        /// Bytes of the receive buffer that was granted.
        BufferGranted = 23 => "buffer_granted",
        /// Bytes of the receive buffer that was asked for.
        BufferWanted = 24 => "buffer_wanted",
        /// The interface's MTU.
        Mtu = 25 => "mtu",
        /// The stricter of the two settings of `rp_filter`.
        RpFilter = 26 => "rp_filter",
        /// 1 if the route back to the sender leaves through another interface.
        AnswersElsewhere = 27 => "answers_elsewhere",
        /// Milliseconds by which the host's clock is ahead of the sender's.
        ClockAhead = 28 => "clock_ahead_ms",
        /// Milliseconds by which it is behind.
        ClockBehind = 29 => "clock_behind_ms",
        /// Why the host refuses this sender's queries: a [`Refusal`].
        Refused = 30 => "refused",
        /// 1 if the host has the train that was asked about, 0 if it does not know it.
        TrainKnown = 31 => "train_known",
        /// What the interface is, if it is a layer on another one: a [`Layer`].
        Layer = 32 => "layer",
        /// Probes of the train that the host has passed on to the group.
        PassedOn = 33 => "passed_on",
        /// The lowest index of the probes that came by the group.
        FirstHeard = 34 => "first_heard",
        /// The highest one.
        LastHeard = 35 => "last_heard",
    }
}

crate::named_enum! {
    /// An interface that is a layer on another one, and in which mode.
    pub enum Layer: u8 {
        /// Hears nothing of others on the same interface.
        MacvlanPrivate = 1 => "macvlan, mode private",
        /// Hears others on the same interface only through a switch that sends back where it came from.
        MacvlanVepa = 2 => "macvlan, mode vepa",
        /// Hears others on the same interface.
        MacvlanBridge = 3 => "macvlan, mode bridge",
        /// Has the interface below for itself.
        MacvlanPassthru = 4 => "macvlan, mode passthru",
        /// Hears listed sources alone.
        MacvlanSource = 5 => "macvlan, mode source",
        /// Hears multicast as a host of the network does.
        IpvlanL2 = 6 => "ipvlan, mode l2",
        /// Is routed, and hears no multicast.
        IpvlanL3 = 7 => "ipvlan, mode l3",
        /// The same, with connection tracking.
        IpvlanL3s = 8 => "ipvlan, mode l3s",
    }
}

impl Layer {
    /// Whether no multicast comes to an interface in this mode, whatever the network does.
    pub fn is_without_multicast(self) -> bool {
        matches!(self, Self::IpvlanL3 | Self::IpvlanL3s)
    }

    /// Whether hosts on the same interface below are not heard by it, nor hear it, unless a switch sends back.
    pub fn is_apart(self) -> bool {
        matches!(self, Self::MacvlanPrivate | Self::MacvlanVepa)
    }
}

crate::named_enum! {
    /// Why a host refuses the queries of a sender.
    pub enum Refusal: u8 {
        /// The clocks are too far apart.
        Clock = 1 => "clock",
        /// The sender is none of those that the host lists.
        UnknownSender = 2 => "unknown_sender",
        /// The sender's entry in the list of the host has expired.
        ExpiredSender = 3 => "expired_sender",
    }
}

/// What a host has measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    gauges: BTreeMap<u8, u64>,
    /// What came of the train, if it was asked about one.
    pub tally: Tally,
}

impl Counters {
    /// Sets a number.
    pub fn set(&mut self, gauge: Gauge, value: u64) {
        self.gauges.insert(gauge as u8, value);
    }

    /// Returns a number; `None` if the host could not measure it.
    pub fn get(&self, gauge: Gauge) -> Option<u64> {
        self.gauges.get(&(gauge as u8)).copied()
    }

    /// Returns a number, 0 if the host could not measure it.
    pub fn or_zero(&self, gauge: Gauge) -> u64 {
        self.get(gauge).unwrap_or(0)
    }

    /// Whether the host has said that something is so.
    pub fn is(&self, gauge: Gauge) -> bool {
        self.get(gauge) == Some(1)
    }

    /// Returns why the host refuses this sender, if it does.
    pub fn refusal(&self) -> Option<Refusal> {
        u8::try_from(self.get(Gauge::Refused)?).ok().and_then(Refusal::from_byte)
    }

    /// Returns what layer the host's interface is, if it is one.
    pub fn layer(&self) -> Option<Layer> {
        u8::try_from(self.get(Gauge::Layer)?).ok().and_then(Layer::from_byte)
    }

    /// Returns the number of milliseconds by which the host's clock is ahead of the sender's; negative if it is behind.
    pub fn clock_difference_ms(&self) -> Option<i64> {
        let ms = |gauge| self.get(gauge).map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        ms(Gauge::ClockAhead).or_else(|| ms(Gauge::ClockBehind).map(|behind| -behind))
    }

    /// Returns the numbers as they travel. Those beyond [`COUNTERS_MAX`] are left out, which does not happen: there are
    /// fewer gauges, and a tally has few buckets.
    pub fn to_wire(&self) -> Vec<Counter> {
        let gauges = self.gauges.iter().map(|(&id, &value)| Counter { id, value });
        let buckets = self.tally.buckets().zip(FIRST_BUCKET..);
        let buckets = buckets.map(|(bucket, id)| Counter { id, value: bucket.packed() });
        gauges.chain(buckets).take(COUNTERS_MAX).collect()
    }

    /// Returns what a host has said. Ids that this program does not know are left out.
    pub fn from_wire(counters: &[Counter]) -> Self {
        let mut all = Self::default();
        for &Counter { id, value } in counters {
            if id >= FIRST_BUCKET {
                all.tally.put(Bucket::unpacked(value));
            } else if Gauge::from_byte(id).is_some() {
                all.gauges.insert(id, value);
            }
        }
        all
    }
}

/// Ids from here on are buckets of a tally.
const FIRST_BUCKET: u8 = 64;

#[cfg(test)]
mod tests {
    use super::super::train::{BUCKETS_MAX, Way};
    use super::*;

    #[test]
    fn what_a_host_has_measured_survives_the_wire_and_fits_one_page() {
        let mut counters = Counters::default();
        for gauge in Gauge::ALL {
            counters.set(gauge, u64::from(gauge as u8) << 40);
        }
        counters.tally.put(Bucket { way: Way::Group, ttl: 1, bytes: 100, count: 200 });
        counters.tally.put(Bucket { way: Way::Unicast, ttl: 0, bytes: 8_972, count: 1 });
        assert_eq!(Counters::from_wire(&counters.to_wire()), counters);
        assert!(Gauge::ALL.len() + BUCKETS_MAX <= COUNTERS_MAX, "{} gauges", Gauge::ALL.len());
    }

    #[test]
    fn ids_that_nobody_knows_yet_are_left_out() {
        let odd =
            [Counter { id: 0, value: 1 }, Counter { id: 63, value: 1 }, Counter { id: 25, value: 1500 }];
        let counters = Counters::from_wire(&odd);
        assert_eq!((counters.to_wire().len(), counters.get(Gauge::Mtu)), (1, Some(1500)));
    }

    #[test]
    fn a_clock_that_is_behind_is_a_negative_difference() {
        let mut counters = Counters::default();
        assert_eq!(counters.clock_difference_ms(), None);
        counters.set(Gauge::ClockBehind, 4_000);
        assert_eq!(counters.clock_difference_ms(), Some(-4_000));
    }
}
