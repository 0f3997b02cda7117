//! What is wrong, for which hosts, and how it is mended.

use crate::ids::HostName;

/// One row of a diagnosis: hosts with the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which fault.
    pub id: FindingId,
    /// The hosts that have it, sorted; none where it is one of the sender's machine.
    pub hosts: Vec<HostName>,
    /// What was measured.
    pub evidence: String,
    /// What to do, in the order in which it is to be tried.
    pub mends: Vec<Mend>,
}

/// One way to mend a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// Where: "on the hosts", "on the switch", "here".
    pub place: &'static str,
    /// The command, or what to set.
    pub command: String,
}

impl Mend {
    /// Returns a way to mend a fault.
    pub fn new(place: &'static str, command: impl Into<String>) -> Self {
        Self { place, command: command.into() }
    }
}

crate::named_enum! {
    /// The faults that a diagnosis knows, the worst first: the order in which they are shown. `docs/doctor.md` has a
    /// section for each.
    pub enum FindingId {
        /// No host answers at all.
        Nobody => "M34",
        /// The sender's own machine drops the answers.
        ReplyPort => "M06",
        /// No multicast reaches any host.
        NoMulticast => "M27",
        /// The sender or the host uses another interface than the one that leads to the other.
        WrongInterface => "M07",
        /// A switch has forgotten the hosts, as no querier asks for members.
        NoQuerier => "M01",
        /// The same with IPv6.
        NoMldQuerier => "M22",
        /// Somebody asks for members, and switches forget them all the same.
        OddQuerier => "M02",
        /// Hosts behind a router, which the group does not reach.
        Routed => "M14",
        /// Reports of membership do not reach the switch.
        Igmp => "M05",
        /// The kernel drops the sender by its route.
        ReversePath => "M03",
        /// A firewall drops what comes for the group or its port.
        Firewall => "M04",
        /// Another group key, another clock, or a list of senders without this one.
        Key => "M24",
        /// Nothing listens at the host's address.
        NotRunning => "M28",
        /// Two hosts have one name.
        TwoOfOneName => "M29",
        /// A host has another key than the one that is known for it.
        KeyChanged => "M30",
        /// A host speaks another version.
        OtherVersion => "M31",
        /// A host is not reached by any way.
        Unreached => "M35",
        /// A host answers in part only.
        PartialAnswer => "M36",
        /// No multicast comes through the interface on which a host's own is a layer.
        Layer => "M21",
        /// The kernel does not have the group on the interface.
        NotJoined => "M20",
        /// Long packets do not arrive.
        Mtu => "M13",
        /// Datagrams that leave in batches are lost, and those that leave alone are not.
        Offload => "M32",
        /// Multicast is lost where unicast is not: a limit on multicast.
        StormControl => "M11",
        /// The ring of the interface has no room.
        Ring => "M16",
        /// The kernel's queue behind the interface has no room.
        Softnet => "M17",
        /// Both ways lose packets.
        Lossy => "M26",
        /// The kernel speaks an old IGMP, which has no sources.
        IgmpVersion => "M19",
        /// One member of a bond carries less than the rate.
        Bond => "M18",
        /// A receive buffer is smaller than wanted.
        Buffer => "M15",
    }
}

impl FindingId {
    /// Returns what it is, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nobody => "no host answers",
            Self::ReplyPort => "answers do not reach this machine",
            Self::NoMulticast => "no multicast reaches any host",
            Self::WrongInterface => "another interface leads there",
            Self::NoQuerier => "no IGMP querier",
            Self::NoMldQuerier => "no MLD querier",
            Self::OddQuerier => "a querier that keeps no members",
            Self::Routed => "behind a router",
            Self::Igmp => "membership reports are dropped",
            Self::ReversePath => "rp_filter drops the sender",
            Self::Firewall => "a firewall drops the group or its port",
            Self::Key => "another key, clock or list of senders",
            Self::NotRunning => "glancecastd does not listen",
            Self::TwoOfOneName => "two hosts with one name",
            Self::KeyChanged => "the key of the host is not the known one",
            Self::OtherVersion => "another version",
            Self::Unreached => "not reached by any way",
            Self::PartialAnswer => "no whole answer",
            Self::Layer => "a macvlan or ipvlan without multicast",
            Self::NotJoined => "the group is not joined",
            Self::Mtu => "long packets do not arrive",
            Self::Offload => "batches do not arrive",
            Self::StormControl => "multicast is limited on the way",
            Self::Ring => "the interface drops packets",
            Self::Softnet => "the kernel drops packets",
            Self::Lossy => "packets are lost both ways",
            Self::IgmpVersion => "IGMP is too old for a source",
            Self::Bond => "one member of a bond carries the group",
            Self::Buffer => "a small socket buffer",
        }
    }

    /// Returns the section of `docs/doctor.md` that explains it.
    pub fn anchor(self) -> String {
        format!("docs/doctor.md#{}", self.name().to_ascii_lowercase())
    }
}
