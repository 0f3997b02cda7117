//! What a diagnosis has found out, before anything is concluded from it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::counters::{Counters, Layer};
use super::firewall::DropRule;
use super::train::{TrainPlan, Way};
use crate::ids::HostName;
use crate::query::Standing;

/// All that was found out.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The sender's side.
    pub sender: SenderEvidence,
    /// The hosts that are expected or were heard, sorted by name.
    pub hosts: Vec<HostEvidence>,
    /// Datagrams that the diagnosis has sent, and their bytes of UDP payload.
    pub sent: (u64, u64),
}

/// What the sender knows of itself.
#[derive(Clone, Debug, Default)]
pub struct SenderEvidence {
    /// The interface's name.
    pub interface: String,
    /// The address that hosts answer to.
    pub reply_to: Option<SocketAddr>,
    /// The group.
    pub group: Option<SocketAddr>,
    /// The interface's MTU.
    pub mtu: u32,
    /// The TTL of datagrams to the group.
    pub ttl: u8,
    /// The length of the interface's network prefix; `None` where it is not known.
    pub prefix: Option<u8>,
    /// The sender's public key, as hosts list it.
    pub key: Option<String>,
    /// The rule of this machine's own firewall that drops answers, as far as the rules could be read.
    pub drops_answers: Option<DropRule>,
    /// The addresses from which queries for members of groups came meanwhile; `None` if nobody listened, which takes a
    /// right.
    pub queriers: Option<BTreeSet<IpAddr>>,
    /// What layer the interface is, if it is one.
    pub layer: Option<Layer>,
    /// The bond that the interface is, if it is one that sends a flow through one of its members.
    pub bond: Option<Bond>,
    /// The rate up to which the path was tried, in bits per second.
    pub rate: Option<u64>,
    /// Bytes of the send buffer that was granted, and that was asked for, where these differ.
    pub short_buffer: Option<(u64, u64)>,
}

/// An interface that is made of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    /// The number of interfaces that it is made of.
    pub members: usize,
    /// What one of them carries, in bits per second.
    pub member_bits: u64,
}

/// What was found out about one host.
#[derive(Clone, Debug)]
pub struct HostEvidence {
    /// Its name.
    pub name: HostName,
    /// Whether it was expected by its name.
    pub expected: bool,
    /// How far its answer came.
    pub standing: Standing,
    /// Why, in words of the host.
    pub reason: Option<String>,
    /// Its address, as it was given or as it answered.
    pub address: Option<SocketAddr>,
    /// The name of the interface through which this machine reaches that address, if that is another one than the
    /// group's.
    pub reached_through: Option<String>,
    /// Whether it answered before it was asked at its own address.
    pub answered_the_group: bool,
    /// What came back from the address of a host that does not answer.
    pub echo: Echo,
    /// What the host says of its network at the start.
    pub at_start: Option<Counters>,
    /// The first train.
    pub first: Option<Trial>,
    /// A train after the host has left the group and joined it again.
    pub again: Option<Trial>,
    /// What came of probes that hosts passed on to the group, if the host was asked about such.
    pub passing: Option<Passing>,
    /// A train that went by both ways at the same pace.
    pub control: Option<Trial>,
    /// Trains at higher and higher rates, each with its bits per second.
    pub rates: Vec<(u64, Trial)>,
}

/// What came back from the address of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    /// Nothing was tried, or nothing came back: the host may be off.
    #[default]
    None,
    /// The host lives, and nothing listens at the group's port there.
    NobodyListens,
    /// The host lives, and what goes to the group's port stays without an answer.
    Silent,
    /// A notice that this group's key does not open came from there.
    OtherKey,
}

/// What a host has to do with probes that hosts of its network have passed on to the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passing {
    /// How many it has passed on, if it was asked to.
    pub passed_on: Option<u64>,
    /// The hosts whose probes it heard by the group: the first and the last, in the order of their names.
    pub heard: BTreeSet<HostName>,
}

/// A train, and what a host reports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What was sent to the group.
    pub by_group: TrainPlan,
    /// What was sent to the host's own address.
    pub by_unicast: TrainPlan,
    /// What the host counted meanwhile.
    pub counters: Counters,
}

impl Trial {
    /// Returns how many probes came by a way, and how many were sent. Probes longer than the shortest are no part of
    /// it: the path may not carry them.
    pub fn heard(&self, way: Way) -> Heard {
        let plan = match way {
            Way::Group => &self.by_group,
            Way::Unicast => &self.by_unicast,
        };
        let shortest = plan.lengths().first().copied().unwrap_or(0);
        Heard { came: self.counters.tally.of_length(way, shortest), sent: plan.of_length(shortest) }
    }

    /// Returns how many probes that were sent to the group in batches came; `None` if none were.
    pub fn heard_in_batches(&self) -> Option<Heard> {
        let bytes = self.by_group.batch_bytes()?;
        let came = self.counters.tally.of_length(Way::Group, bytes);
        Some(Heard { came, sent: self.by_group.of_length(bytes) })
    }
}

/// How many of the probes that were sent came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Those that came.
    pub came: u32,
    /// Those that were sent.
    pub sent: u32,
}

impl Heard {
    /// Whether some were sent and none came.
    pub fn is_nothing(self) -> bool {
        self.sent > 0 && self.came == 0
    }

    /// Returns the percentage that was lost.
    pub fn lost_percent(self) -> u32 {
        (100 * (self.sent - self.came.min(self.sent))).checked_div(self.sent).unwrap_or(0)
    }
}

impl HostEvidence {
    /// Returns a host of which nothing is known but its name.
    pub fn new(name: HostName) -> Self {
        Self {
            name,
            expected: false,
            standing: Standing::NeverAnswered,
            reason: None,
            address: None,
            reached_through: None,
            answered_the_group: false,
            echo: Echo::None,
            at_start: None,
            first: None,
            again: None,
            passing: None,
            control: None,
            rates: Vec::new(),
        }
    }

    /// Returns the newest numbers of the host.
    pub fn newest(&self) -> Option<&Counters> {
        let of = |trial: &'_ Option<Trial>| trial.is_some();
        if of(&self.again) {
            return self.again.as_ref().map(|trial| &trial.counters);
        }
        self.first.as_ref().map(|trial| &trial.counters).or(self.at_start.as_ref())
    }

    /// Whether it has answered and takes part.
    pub fn answered(&self) -> bool {
        self.standing == Standing::Answered
    }
}
