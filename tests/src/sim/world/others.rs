//! Who else there is in a world: the hostile machine, and hosts that are not who the sender knows.

use std::net::SocketAddr;
use std::rc::Rc;

use glancecast_proto::ids::HostName;
use glancecast_proto::known::{KnownHosts, Standing};
use glancecast_proto::sender::{Expected, SenderEvent};
use glancecast_proto::sign::PublicKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::Kind;

use super::{Happening, World};
use crate::sim::Beside;
use crate::sim::faults::Fault;
use crate::sim::host::{SENDER, WALL};
use crate::sim::identity::{IdentityFault, Who, host_key};
use crate::sim::insider::{self, Scene, Victim};
use crate::sim::mutant::Mutant;
use crate::sim::overhear;
use crate::sim::plan::{Expecting, Way};

impl World {
    /// Returns whom the push is for.
    pub(super) fn expected(&self) -> Expected {
        match self.plan.expecting {
            Expecting::Names => Expected::Named(self.plan.identities.meant.clone()),
            Expecting::Number => Expected::Count(self.hosts.len() as u32),
            Expecting::Anyone => Expected::Anyone,
        }
    }

    /// Lets the hostile machine act.
    pub(super) fn turn_insider(&mut self) -> Result<(), String> {
        let owned = self.owned();
        let root = self.sender.as_ref().and_then(|sender| sender.machine.root());
        let Some(insider) = &mut self.insider else { return Ok(()) };
        let (attack, burst) = insider.turn(&Scene {
            now: self.now,
            wall: WallClock(WALL.0 + self.now.micros() / 1000),
            session: self.session,
            geometry: self.object.geometry,
            root,
            round: self.poll.round,
            covered: self.poll.blocks_sent,
            owned: &owned,
        });
        self.tell(|| format!("insider: {} x {attack:?}", burst.len()));
        for forgery in burst {
            let bytes: Rc<[u8]> = forgery.bytes.into();
            match forgery.to {
                Victim::Sender => {
                    self.counts.note(Fault::ForgedUp);
                    self.hear(forgery.from, &bytes, Honesty::Forged)?;
                }
                Victim::Hosts => {
                    self.counts.note(Fault::ForgedDown);
                    for number in 0..self.hosts.len() {
                        for (at, bytes) in self.carry(number, Way::Down, &bytes) {
                            self.happen(at, Happening::Down(number, forgery.from, bytes));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the names of hosts that belong to a key: the hostile machine cannot be the first to use them.
    fn owned(&self) -> Vec<HostName> {
        let is_owned =
            |name: &&HostName| self.known.keys.contains_key(*name) || self.oracle.joined.contains_key(*name);
        self.hosts.iter().map(|host| &host.name).filter(is_owned).cloned().collect()
    }

    /// Has the hostile machine hear what the sender says to the group.
    pub(super) fn overhear_sender(&mut self, datagram: &Rc<[u8]>) {
        let Some(insider) = &mut self.insider else { return };
        insider.hear_sender(datagram);
        if datagram[1] == Kind::Poll as u8 {
            let poll = overhear::poll(self.session, self.object.geometry, self.plan.signed, datagram);
            self.poll = poll.unwrap_or_else(|| self.poll.clone());
        }
    }

    /// Has the hostile machine hear what a host says to `to`. Returns whether the sender can hear it.
    pub(super) fn overhear_host(&mut self, number: usize, to: SocketAddr, datagram: &Rc<[u8]>) -> bool {
        let from = self.hosts[number].address;
        if let Some(insider) = &mut self.insider {
            insider.hear_host(from, datagram);
        }
        to == SENDER
    }

    /// Whether the datagrams of a host may exceed no budget of the sender: nobody else sends in its name or from its
    /// address.
    pub(super) fn has_its_own_budget(&self, from: SocketAddr) -> bool {
        let is_spoofed = self.insider.as_ref().is_some_and(|insider| insider.plan().spoofs);
        let host = self.hosts.iter().position(|host| host.address == from);
        !is_spoofed && host.is_some_and(|host| self.plan.identities.is_plain(host))
    }

    /// Whether no datagram to hosts may exceed one of their budgets: nobody but their sender talks to them.
    pub(super) fn hosts_hear_their_sender_alone(&self) -> bool {
        self.insider.as_ref().is_none_or(|insider| !insider.plan().misleads_hosts)
    }

    /// Checks that somebody does claim a name with a key that is not its own.
    pub(super) fn check_claim(&mut self, name: &HostName, key: PublicKey) -> Result<(), String> {
        self.counts.note(Fault::Claimed);
        let hosts = 0..self.hosts.len();
        let is_somebodys = hosts.into_iter().any(|host| self.plan.identities.has_been(host, name, key))
            || self.insider.is_some() && key == host_key(insider::OWN_KEY).public();
        let owner = self.oracle.joined.get(name).copied();
        let is_wrong = match self.known.standing(name, key) {
            Standing::Known => false,
            Standing::FirstUse => owner.is_some_and(|owner| owner != key),
            Standing::Changed(_) | Standing::Unknown => true,
        };
        if is_somebodys && is_wrong {
            Ok(())
        } else {
            Err(format!("the key of {name} is taken for another one's"))
        }
    }

    /// Notes that a host which is no hostile machine is done.
    pub(super) fn note_done(&mut self, event: &SenderEvent) {
        if let (SenderEvent::Done(name), Some(sender)) = (event, &self.sender)
            && *name != insider::name()
        {
            self.done.insert(name.clone());
            self.beside = Beside { time: self.now.since(Moment::default()), symbols: sender.symbols };
        }
    }

    /// The number of copies that hold the object beside the host that they are a copy of.
    pub(super) fn copies_that_hold(&self) -> u64 {
        let holds = |host: usize| self.hosts[host].disk.holds(&self.object);
        let whos = self.plan.identities.hosts.iter().enumerate();
        let both = |(copy, who): &(usize, &Who)| match who.fault {
            Some(IdentityFault::CloneOf(of)) => holds(*copy) && holds(of),
            _ => false,
        };
        whos.filter(both).count() as u64
    }

    /// What the sender knows, as a broken one would take it: whatever key a host has is the one that is known.
    pub(super) fn known_as_taken(&self) -> KnownHosts {
        let mut known = self.known.clone();
        if self.mutant == Mutant::CountsChangedKey {
            for host in &self.hosts {
                if let Some(key) = known.keys.get_mut(&host.name) {
                    *key = host_key(&host.identity().key).public();
                }
            }
        }
        known
    }
}

/// Who has made a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Honesty {
    /// A host, for its sender.
    Genuine,
    /// The hostile machine.
    Forged,
}
