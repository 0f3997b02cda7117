//! By which ways the datagrams of a push reach its hosts.
//!
//! A path is one destination of the sender's: the group, a fixed address, or the first host of a branch of the tree. A
//! host says in its hello and its reports where it hears the group from (`via`). Hosts that hear nothing are sorted into
//! segments; one host of each relays there by multicast. Hosts that hear no relay either get a copy of their own. Relays
//! and such hosts make up the tree, whose inner nodes have a lease each.
//!
//! Nothing here costs anything while the group reaches every host: [`Paths::note`] then looks at one field of a report.

mod aims;
mod faults;
mod forecast;
mod leases;
mod members;
mod missing;
mod reach;
mod segments;
mod serving;
mod set;
#[cfg(test)]
mod tests;
mod tree;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) use forecast::forecast;
pub use reach::{Reach, Segment};
pub use set::{PathAddrs, PathSet};
pub use view::{PlanRow, PlanView, SegmentView, Via};

use super::blocks::Job;
use super::config::SenderConfig;
use super::event::{RelayFault, SenderEvent, To};
use super::hosts::Expected;
use super::rate::Pace;
use crate::ids::{HostName, ReceiverId, Sequence};
use crate::plan::PlanRate;
use crate::time::Moment;
use crate::wire::{DeficitRun, Kind, RouteAck};
use aims::Aims;
use leases::Leases;
use members::{Members, Noted};
pub(super) use members::{Reported, Word};
use missing::{Beacon, Beacons};
use segments::Segments;
use tree::{Means, Tree};

/// The paths of a push.
pub(super) struct Paths {
    reach: Reach,
    /// The sender's own address, from which it sends to everybody.
    own: SocketAddr,
    start: Moment,
    addrs: PathAddrs,
    /// The paths that are there whatever hosts say.
    fixed: PathSet,
    members: Members,
    segments: Segments,
    tree: Tree,
    leases: Leases,
    beacons: Beacons,
    aims: Aims,
    /// The paths of the tree's branches, by their first host.
    branches: BTreeMap<ReceiverId, u32>,
    datagram_bytes: u64,
    /// Whether all hosts that the push is for are looked for by unicast, so that nobody is missed without the group.
    are_all_named: bool,
    /// Whether hosts are served by others than before since this was asked last: what they lost says nothing about the rate.
    is_disturbed: bool,
    /// When that was last so.
    disturbed_at: Moment,
    /// Whether all was sent once: what remains is for those that lack something.
    is_tail: bool,
    /// Whether symbols were sent: the tree is not planned as a whole any more.
    has_begun: bool,
    /// Whether the first symbols wait for hosts that are being placed.
    is_settling: bool,
    /// When to look at the hosts again.
    look_at: Moment,
    /// When the last polls were sent, the newest first.
    polled: [Moment; 3],
    /// The time over which hosts answer a poll.
    window: Duration,
    /// Why hosts have lost the relay that served them.
    lost: BTreeMap<ReceiverId, RelayFault>,
    events: Vec<SenderEvent>,
}

/// A lease to send.
pub(super) struct Due {
    pub(super) to: SocketAddr,
    pub(super) generation: u32,
    pub(super) parent: SocketAddr,
    pub(super) group: Option<SocketAddr>,
    pub(super) children: Vec<SocketAddr>,
}

impl Paths {
    /// Returns the paths of a push that begins now. Its object has `bits` bits with all headers.
    pub(super) fn new(now: Moment, config: &SenderConfig, bits: u64) -> Self {
        let SenderConfig { reach, pace, reply_to: own, .. } = config;
        let own = *own;
        let mut addrs = PathAddrs::default();
        reach.group.iter().chain(&reach.fixed).for_each(|&addr| {
            addrs.add(addr);
        });
        let fixed = addrs.all();
        // What may be sent at all is what the plan divides.
        let (line, rate) = match *pace {
            Pace::Auto { max } => (max.bits(), PlanRate::AtMost(max.bits())),
            Pace::Fixed(rate) => (reach.line.max(rate.bits()), PlanRate::Fixed(rate.bits())),
        };
        let from = if reach.group.is_some() { now + GROUP_FIRST } else { now };
        let hosts = if is_managed(reach) { reach.hosts.as_slice() } else { &[] };
        Self {
            own,
            start: now,
            fixed,
            members: Members::default(),
            segments: Segments::new(now, &reach.segments),
            tree: Tree::new(Means { line, rate, bits }, fixed.len()),
            leases: Leases::default(),
            beacons: Beacons::new(from, hosts),
            aims: Aims::default(),
            branches: BTreeMap::new(),
            datagram_bytes: config.geometry.datagram_bytes() as u64,
            are_all_named: match &config.expected {
                Expected::Named(names) => {
                    names.iter().all(|name| hosts.iter().any(|(named, _)| named == name))
                }
                Expected::Count(_) | Expected::Anyone => false,
            },
            is_disturbed: false,
            disturbed_at: now,
            is_tail: false,
            has_begun: false,
            is_settling: !hosts.is_empty(),
            look_at: now,
            polled: [now; 3],
            window: Duration::ZERO,
            lost: BTreeMap::new(),
            events: Vec::new(),
            addrs,
            reach: reach.clone(),
        }
    }

    pub(super) fn addrs(&self) -> &PathAddrs {
        &self.addrs
    }

    pub(super) fn copies(&self) -> u32 {
        self.addrs.all().len().max(1)
    }

    /// Bits in a second that one path may get at most.
    pub(super) fn rate(&self) -> u64 {
        self.tree.rate()
    }

    /// Has hosts send to this address from now on, and relays take what comes from it.
    pub(super) fn note_own_address(&mut self, own: SocketAddr) {
        self.own = own;
        self.look_at = self.start;
    }

    /// Whether the first symbols wait for hosts that are being placed.
    pub(super) fn is_settling(&self) -> bool {
        self.is_settling
    }

    /// Notes that symbols are being sent.
    pub(super) fn note_begun(&mut self) {
        (self.has_begun, self.is_settling) = (true, false);
    }

    /// Handles what a host has said about where it hears the group from.
    pub(super) fn note(&mut self, now: Moment, id: ReceiverId, name: &HostName, word: Word) {
        let is_reached = word.via.is_some_and(|via| self.members.is_own_group(via));
        if !is_managed(&self.reach) || is_reached && self.members.is_empty() {
            return;
        }
        if self.reach.fixed.iter().any(|fixed| fixed.ip() == word.addr.ip()) {
            return;
        }
        let is_report = word.report.is_some();
        match self.members.note(now, id, name, word) {
            Noted::NoMember | Noted::Known => {}
            Noted::Left => {
                self.leave_tree(now, id);
                self.look_soon(now);
            }
            Noted::News => self.look_soon(now),
        }
        if is_report && let Some(server) = self.server_of(id) {
            let forwarded = self.leases.get(server).map_or(0, |lease| lease.forwarded());
            if let Some(member) = self.members.get_mut(id) {
                member.note_fed(forwarded * self.datagram_bytes);
            }
        }
    }

    /// Handles the hello of a host.
    pub(super) fn note_hello(&mut self, now: Moment, id: ReceiverId, name: &HostName, can_relay: bool) {
        self.beacons.note_heard(name);
        let Some(member) = self.members.get_mut(id) else { return };
        member.can_relay = can_relay;
        if !std::mem::replace(&mut member.is_greeted, true) {
            self.members.others_of(id, name).into_iter().for_each(|old| self.forget(now, old));
            self.look_soon(now);
        }
    }

    /// Notes that a host has sent its final report: it needs nothing more. It goes on as a relay.
    pub(super) fn note_settled(&mut self, id: ReceiverId) {
        if let Some(member) = self.members.get_mut(id) {
            member.is_settled = true;
        }
        if self.leases.get(id).is_none() {
            self.tree.stop_relaying(id);
        }
    }

    /// Notes that a poll is sent, which hosts answer within `window`.
    pub(super) fn note_poll(&mut self, now: Moment, window: Duration) {
        let [last, before, _] = self.polled;
        (self.polled, self.window) = ([now, last, before], window);
    }

    /// Handles the passing of time.
    /// `heard` is the number of hosts that take part, and `is_tail` is whether all was sent once.
    pub(super) fn handle_timeout(&mut self, now: Moment, heard: u32, is_tail: bool) {
        if now < self.look_at || !is_managed(&self.reach) {
            return;
        }
        (self.look_at, self.is_tail) = (now + LOOK_GAP, is_tail);
        self.use_group(now, heard);
        self.release();
        self.find_faults(now);
        self.serve(now);
    }

    /// Whether what is sent for this host reaches it.
    pub(super) fn reaches(&self, id: ReceiverId) -> bool {
        self.members.is_empty() || self.members.get(id).is_none() || self.is_served(id)
    }

    /// Does without the copy for the group if no host hears it, before the first symbol.
    fn use_group(&mut self, now: Moment, heard: u32) {
        let Some(group) = self.reach.group else { return };
        let is_needed = !self.are_all_named
            || heard == 0
            || self.beacons.has_missing()
            || (self.members.len() as u32) < heard;
        let there = self.addrs.find(group);
        match there {
            Some(path) if !is_needed && !self.has_begun => self.addrs.remove(path),
            None if is_needed => {
                self.addrs.add(group);
            }
            _ => return,
        }
        let fixed = self.reach.fixed.iter().chain(self.reach.group.iter());
        self.fixed = fixed.filter_map(|&addr| self.addrs.find(addr)).collect();
        self.tree.set_copies(self.fixed.len());
        self.arrange(now);
    }

    /// Returns when to look again, or when a lease or a beacon is due.
    pub(super) fn next_at(&self) -> Option<Moment> {
        let is_quiet = self.members.is_empty() && !self.is_settling;
        let look = (!is_quiet).then_some(self.look_at);
        [look, self.leases.next_at(), self.beacons.next_at()].into_iter().flatten().min()
    }

    /// Returns the next lease that is due.
    pub(super) fn next_lease(&mut self, now: Moment) -> Option<Due> {
        let (_, lease) = self.leases.next(now)?;
        let leases::Terms { addr, parent, group, children } = lease.terms.clone();
        Some(Due { to: addr, generation: lease.generation, parent, group, children })
    }

    /// Whether a host has a lease.
    pub(super) fn is_leased(&self, id: ReceiverId) -> bool {
        self.leases.get(id).is_some()
    }

    /// Handles the acknowledgement of a relay, which was proven; returns whether it is newer than those before.
    pub(super) fn take_ack(
        &mut self,
        now: Moment,
        id: ReceiverId,
        sequence: Sequence,
        ack: RouteAck,
    ) -> bool {
        let was_acked = self.leases.get(id).is_some_and(|lease| lease.acked.is_some());
        let is_new = self.leases.take_ack(now, id, sequence, ack);
        if is_new && !was_acked {
            if self.has_begun {
                self.note_disturbed(now);
            }
            self.look_soon(now);
        }
        is_new
    }

    /// Notes that an address refuses what is sent to it, which proves nothing.
    pub(super) fn note_refusal(&mut self, now: Moment, addr: SocketAddr) {
        self.leases.note_refusal(now, addr);
    }

    /// Notes that hosts are served by others than before.
    fn note_disturbed(&mut self, now: Moment) {
        (self.is_disturbed, self.disturbed_at) = (true, now);
    }

    /// Whether hosts are served by others than when this was asked last.
    pub(super) fn take_disturbed(&mut self) -> bool {
        std::mem::take(&mut self.is_disturbed)
    }

    /// Returns the hosts that the group does not reach.
    pub(super) fn member_ids(&self) -> impl Iterator<Item = ReceiverId> {
        self.members.iter().map(|(id, _)| id)
    }

    /// Whether there are hosts that the group does not reach.
    pub(super) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether hosts wait for datagrams that the shell sends to each of them alone.
    pub(super) fn has_unserved(&self) -> bool {
        self.beacons.has_missing() || !self.members.is_empty()
    }

    /// Queues a datagram that was sealed for everyone for the hosts that nothing else reaches: announcements for those that
    /// were not heard, with the page of the audience that `page` returns, and polls and the end for those that were.
    pub(super) fn repeat(
        &mut self,
        now: Moment,
        kind: Kind,
        bytes: &[u8],
        page: impl Fn(&HostName) -> Option<Arc<[u8]>>,
    ) {
        let bytes: Arc<[u8]> = bytes.into();
        if kind == Kind::Announce && self.beacons.has_missing() {
            self.beacons.announce(now, &bytes, page);
        }
        if !matches!(kind, Kind::Poll | Kind::End) {
            return;
        }
        let waiting = self.members.iter().filter(|&(id, member)| !member.is_settled && !self.is_served(id));
        let waiting: Vec<SocketAddr> = waiting.map(|(_, member)| member.addr).collect();
        waiting.into_iter().for_each(|to| self.beacons.push(to, kind, &bytes));
    }

    /// Returns the next such datagram that may leave.
    pub(super) fn next_beacon(&mut self, now: Moment) -> Option<Beacon> {
        self.beacons.next(now)
    }

    pub(super) fn next_event(&mut self) -> Option<SenderEvent> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// Notes that a host lacks symbols of these blocks.
    pub(super) fn note_deficit(&mut self, id: ReceiverId, run: DeficitRun) {
        if self.copies() > 1 {
            let paths = self.paths_to(id);
            self.aims.note(run, paths);
        }
    }

    /// Drops what is noted of deficits.
    pub(super) fn forget_deficits(&mut self) {
        self.aims.forget();
    }

    /// Decides where the symbols of a job that is handed out are needed; `is_first` is whether all hosts need them.
    pub(super) fn note_handed_out(&mut self, job: Job, is_first: bool) {
        self.aims.hand_out(job, is_first, self.addrs.all());
    }

    /// Returns where the symbols of a job that was handed out are needed.
    pub(super) fn aim(&self, job: Job) -> To {
        self.aims.of(job)
    }

    /// Looks at all hosts in a moment: what others say is taken in with it.
    fn look_soon(&mut self, now: Moment) {
        self.look_at = self.look_at.min(now + LOOK_SOON);
    }

    /// Forgets a start of a host.
    fn forget(&mut self, now: Moment, id: ReceiverId) {
        self.leave_tree(now, id);
        self.members.forget(id);
        self.lost.remove(&id);
    }
}

/// Whether hosts are looked for that the group does not reach.
fn is_managed(reach: &Reach) -> bool {
    reach.relays || !reach.hosts.is_empty()
}

/// How long the group alone is tried before hosts are told by unicast: most of them answer by then.
const GROUP_FIRST: Duration = Duration::from_millis(25);

/// How soon all hosts are looked at when one of them has said something new.
const LOOK_SOON: Duration = Duration::from_millis(5);
/// Time between two looks at all hosts that the group does not reach, if nothing happens.
const LOOK_GAP: Duration = Duration::from_millis(50);
