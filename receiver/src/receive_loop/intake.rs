//! What comes in: batches of datagrams, each taken to the machine that it is for.

use std::net::SocketAddr;
use std::time::Instant;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::wall;
use glancecast_platform::transport::Inlet;
use glancecast_proto::doctor::Way;
use glancecast_proto::query::Probed;
use glancecast_proto::receiver::Admission;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Discard, Kind, SymbolHeader};

use super::ReceiveLoop;
use crate::diagnosis::Diagnosis;
use crate::own_address;
use crate::relay::{Gathering, Read};
use crate::stages::Stage;

/// What a receive call found in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Came {
    Nothing,
    /// The socket is empty now.
    All,
    /// The socket may hold more.
    More,
}

impl Came {
    fn of(batch: &Batch) -> Self {
        if batch.was_full() { Self::More } else { Self::All }
    }
}

impl ReceiveLoop {
    /// Receives what is sent to everyone or to this host alone. A whole push may come either way, and a flood of either
    /// keeps nothing else waiting for longer than this.
    pub(super) fn receive_from(&mut self, inlet: Inlet, batch: &mut Batch) -> Came {
        let mut came = Came::Nothing;
        for _ in 0..BATCHES_IN_A_ROW {
            if self.receive_batch(batch, inlet) == 0 {
                break;
            }
            let drops = self.drops.note(inlet, batch.drops());
            self.machine.note_socket_drops(drops);
            self.take_batch(batch, inlet);
            came = Came::of(batch);
            if came == Came::All {
                break;
            }
        }
        if came != Came::Nothing && inlet == Inlet::Everyone {
            self.network.note_heard(self.clock.now());
            self.was_heard = true;
        }
        came
    }

    fn receive_batch(&mut self, batch: &mut Batch, inlet: Inlet) -> usize {
        let start = Instant::now();
        let received = self.network.receive(inlet, batch);
        self.clocks.add(Stage::Receive as usize, start, batch.bytes());
        self.tally.bytes += if received > 0 { batch.bytes() as u64 } else { 0 };
        received
    }

    fn take_batch(&mut self, batch: &Batch, inlet: Inlet) {
        let start = Instant::now();
        let now = self.clock.now();
        let mut gathering = Gathering::default();
        for (from, datagram) in batch.datagrams() {
            self.tally.datagrams += 1;
            // What came by multicast is never forwarded, nor what is for this host alone.
            let candidate = match inlet {
                Inlet::Host if !own_address::is_for_this_one(datagram) => {
                    self.forwarder.expects(now, from, datagram)
                }
                Inlet::Host | Inlet::Everyone => None,
            };
            let read = self.take_datagram(now, from, datagram, inlet);
            if let Some(candidate) = candidate {
                let Self { forwarder, network, .. } = self;
                forwarder.forward(now, candidate, read, datagram, &mut gathering, network);
            }
        }
        self.forwarder.flush(now, &mut gathering, &mut self.network);
        self.clocks.add(Stage::Open as usize, start, batch.bytes());
    }

    fn take_datagram(&mut self, now: Moment, from: SocketAddr, datagram: &[u8], inlet: Inlet) -> Read {
        let kind = Kind::peek(datagram);
        if !self.own_address.takes(inlet, from, datagram) {
            self.machine.count_discard(Discard::UnknownKind);
        } else if kind == Some(Kind::Symbol) {
            return self.take_symbol(now, from, datagram);
        } else if kind == Some(Kind::Probe) {
            let way = if inlet == Inlet::Host { Way::Unicast } else { Way::Group };
            if self.responder.handle_probe(way, datagram) == Ok(Probed::ToPassOn) {
                Diagnosis::pass_on(datagram, &mut self.network);
            }
        } else if kind == Some(Kind::Route) && inlet == Inlet::Host {
            let member = self.machine.membership();
            self.forwarder.handle_route(now, wall(), member, datagram);
        } else if self.responder.is_for(datagram) {
            if self.responder.handle_datagram(now, wall(), from, datagram) == Err(Discard::WrongKey) {
                // The asker may learn that a host with another key is here.
                self.machine.handle_other_key(now, from, datagram);
            }
        } else {
            // The machine counts the reason of a discard.
            let _ = match inlet {
                Inlet::Everyone => self.machine.handle_datagram(now, wall(), from, datagram),
                Inlet::Host => self.machine.handle_unicast(now, wall(), from, datagram),
            };
            // A session that was just joined needs its memory before its first symbol, which may be the next
            // datagram.
            self.perform_effects();
        }
        Read::Unread
    }

    /// Handles a symbol, the kind of nearly every datagram: parse, admit, decrypt to its place, count.
    fn take_symbol(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Read {
        let header = match SymbolHeader::parse(datagram) {
            Ok(header) => header,
            Err(reason) => {
                self.machine.count_discard(reason);
                return Read::Unread;
            }
        };
        let Ok(admission) = self.machine.admit(&header) else { return Read::Unread };
        let Some(cipher) = self.machine.cipher() else { return Read::Unread };
        let opened = match admission {
            Admission::To(place) => header.open(cipher, datagram, self.pool.place(place)),
            Admission::Spare(_) => {
                let len = self.machine.session().map_or(0, |announce| announce.geometry.symbol_size());
                header.open(cipher, datagram, &mut self.scratch[..usize::from(len)])
            }
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                self.machine.count_discard(reason);
                return Read::Forged;
            }
        };
        match admission {
            Admission::To(place) => {
                self.machine.accept(now, &header, place, datagram.len());
                self.machine.note_source(from);
            }
            Admission::Spare(reason) => self.machine.note_spare(now, &header, datagram.len(), reason),
        }
        Read::Opened(opened)
    }
}

/// Batches read from one socket before anything else gets its turn.
const BATCHES_IN_A_ROW: u32 = 8;
