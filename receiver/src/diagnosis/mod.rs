//! This host's part in a diagnosis of the path from a sender: the counters of its network, before and after a train of
//! probes, joining the group again, and passing a few probes on to the group where this host relays.
//!
//! Everything is read without rights from `/proc` and `/sys`, some hundred microseconds, by the receive loop itself: it
//! is asked for a few times a diagnosis, and no more than [`MEASURED_IN_A_SECOND`] times a second.

pub(crate) mod kernel;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::reverse_path;
use glancecast_platform::trains::{Progress, Train};
use glancecast_platform::transport::Buffer;
use glancecast_proto::doctor::{Counters, Gauge};
use glancecast_proto::limits::TRAINS_MAX;
use glancecast_proto::query::{Examination, LookupId, Responder, TrainId};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::Step;

use crate::network::Network;

/// What this host remembers between the steps of diagnoses.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    /// The counters as they were at the beginning of each train, the oldest first; at most [`TRAINS_MAX`].
    snapshots: VecDeque<(TrainId, Counters)>,
    joined_again: Option<Moment>,
    /// When the present second of measurements began, and how many it has had.
    second: (Moment, u32),
}

/// What the receive loop knows and the kernel does not tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnCounts {
    /// Datagrams that the host's sockets had no room for, since the start.
    pub(crate) socket_drops: u64,
    /// Whether this host forwards for senders.
    pub(crate) can_relay: bool,
}

impl Diagnosis {
    /// Takes a step, and gives the responder what was measured.
    pub(crate) fn take(
        &mut self,
        now: Moment,
        (id, examination): (LookupId, Examination),
        own: OwnCounts,
        network: &mut Network,
        responder: &mut Responder,
    ) {
        if let (Step::PassOn, Some(train), true) = (examination.step, examination.train, own.can_relay) {
            responder.handle_passing_on(train);
        }
        let measured = if self.may_measure(now) {
            self.measure(now, &examination, own, network)
        } else {
            Counters::default()
        };
        responder.handle_measured(now, id, examination, measured);
    }

    fn measure(
        &mut self,
        now: Moment,
        examination: &Examination,
        own: OwnCounts,
        network: &mut Network,
    ) -> Counters {
        let group = network.group();
        let on = network.on().cloned();
        let risen = on.as_ref().map_or_else(Counters::default, |on| {
            let mut counters = kernel::counters(&on.name, group.is_ipv4());
            kernel::add_below(&mut counters, on);
            counters.set(Gauge::SocketDrops, own.socket_drops);
            counters
        });
        let mut measured = settings(on.as_ref(), group, network.buffer());
        note_clock(&mut measured, examination);
        if let Some(on) = &on {
            let back = Interface::by_route(examination.asker);
            let is_elsewhere = back.is_ok_and(|back| back.index != on.index);
            measured.set(Gauge::AnswersElsewhere, u64::from(is_elsewhere));
        }
        match (examination.step, examination.train) {
            (Step::Report, Some(train)) => {
                if let Some((_, before)) = self.snapshots.iter().find(|(of, _)| *of == train) {
                    kernel::note_rise(&mut measured, before, &risen);
                    measured.set(Gauge::JoinedAgain, u64::from(before.is(Gauge::JoinedAgain)));
                }
            }
            (Step::Snapshot | Step::JoinAgain, Some(train)) => {
                if self.snapshots.len() == TRAINS_MAX {
                    self.snapshots.pop_front();
                }
                self.snapshots.push_back((train, risen));
            }
            (Step::PassOn, _) | (_, None) => {}
        }
        if examination.step == Step::JoinAgain
            && self.join_again(now, network)
            && let Some((_, snapshot)) = self.snapshots.back_mut()
        {
            snapshot.set(Gauge::JoinedAgain, 1);
        }
        measured
    }

    /// Leaves the group and joins it again, unless that was just done: whoever may ask could keep a switch busy.
    /// Returns whether it did.
    fn join_again(&mut self, now: Moment, network: &mut Network) -> bool {
        let is_due = self.joined_again.is_none_or(|at| now.since(at) >= JOIN_AGAIN_GAP);
        if is_due {
            self.joined_again = Some(now);
            tracing::info!("leaves the group and joins it again, for a diagnosis");
            network.join_again(now);
        }
        is_due
    }

    /// Sends a probe to the group, and no further than its own network. One that finds no room is lost, as on the way.
    pub(crate) fn pass_on(datagram: &[u8], network: &mut Network) {
        let group = network.destination(network.group());
        let train = Train::of(datagram, datagram.len());
        let _ = network.forward(&train, &[group], &mut Progress::default());
    }

    fn may_measure(&mut self, now: Moment) -> bool {
        if now.since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        self.second.1 <= MEASURED_IN_A_SECOND
    }
}

/// Returns how things are, whatever was counted.
fn settings(on: Option<&Interface>, group: SocketAddr, buffer: Buffer) -> Counters {
    let mut counters = Counters::default();
    counters.set(Gauge::BufferGranted, buffer.bytes as u64);
    counters.set(Gauge::BufferWanted, buffer.wanted as u64);
    let Some(on) = on else { return counters };
    counters.set(Gauge::Mtu, on.mtu.into());
    if let Some(layer) = on.layer() {
        counters.set(Gauge::Layer, layer as u64);
    }
    let mut set = |gauge, value: Option<u64>| value.into_iter().for_each(|value| counters.set(gauge, value));
    let ever = kernel::statistic(&on.name, "multicast");
    set(Gauge::NicCountsMulticast, ever.map(|count| u64::from(count > 0)));
    match group.ip() {
        IpAddr::V4(ip) => {
            let memberships = kernel::memberships(on.index);
            set(Gauge::Joined, memberships.as_ref().map(|all| u64::from(all.groups.contains(&ip))));
            set(Gauge::MembershipVersion, memberships.and_then(|all| all.version));
            set(Gauge::RpFilter, reverse_path::strictness(on).map(u64::from));
        }
        IpAddr::V6(ip) => {
            set(Gauge::Joined, kernel::memberships_v6(on.index).map(|all| u64::from(all.contains(&ip))));
        }
    }
    counters
}

fn note_clock(counters: &mut Counters, examination: &Examination) {
    let (own, theirs) = (wall(), examination.asked);
    let gauge = if own.0 >= theirs.0 { Gauge::ClockAhead } else { Gauge::ClockBehind };
    counters.set(gauge, own.0.abs_diff(theirs.0));
}

/// Time between two times that the group is joined again for a diagnosis.
const JOIN_AGAIN_GAP: Duration = Duration::from_secs(5);
const MEASURED_IN_A_SECOND: u32 = 20;
