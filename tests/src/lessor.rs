//! A sender that a scenario drives by hand: it announces one session to one host, leases that host as a relay, and seals
//! symbols for it to forward. A scenario sends what it returns from whatever socket it likes, which is how it tries what a
//! relay must refuse.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use glancecast_fec::Esi;
use glancecast_platform::clock::wall;
use glancecast_platform::keyfile;
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::geometry::{Geometry, SYMBOL_OVERHEAD};
use glancecast_proto::ids::{BlockIndex, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::limits::LEASE_MAX;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::{
    Announce, Audience, DiskFormat, Kind, Pin, Route, RouteAck, SymbolHeader, UpHeader,
};

use crate::wait;

/// A sender's side of a session with one relay.
pub struct Lessor {
    socket: UdpSocket,
    key: GroupKey,
    signer: Option<SigningKey>,
    session: SessionId,
    cipher: Cipher,
    relay: SocketAddr,
    relay_id: Option<ReceiverId>,
    sequence: u64,
    generation: u32,
    /// The last lease that the host has acknowledged, and when it was sent.
    held: Option<(Route, Instant)>,
}

impl Lessor {
    /// A session of the group with this key file, signed by `signer`, for the host with this address. What is answered
    /// comes to `socket`.
    pub fn new(
        socket: UdpSocket,
        key: &Path,
        signer: Option<SigningKey>,
        session: SessionId,
        relay: SocketAddr,
    ) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
        let key = keyfile::load(key).expect("the testbed's key");
        let cipher = Cipher::downward(&key, session);
        let (relay_id, sequence, generation, held) = (None, 0, 0, None);
        Self { socket, key, signer, session, cipher, relay, relay_id, sequence, generation, held }
    }

    /// Announces an object of one block by unicast until the host takes part.
    #[track_caller]
    pub fn enlist(&mut self) {
        wait::until("a hello", Duration::from_secs(10), || {
            let announcement = self.announcement();
            self.send(&announcement);
            self.answers().into_iter().find_map(|answer| {
                let up = UpHeader::parse(&answer).ok().filter(|up| up.header.kind == Kind::Hello)?;
                self.relay_id = Some(up.receiver);
                Some(())
            })
        });
    }

    /// Returns the address from which it sends.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Sends a datagram to the host.
    pub fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.relay).expect("the host's network takes it");
    }

    /// Returns a lease of the next generation: from this sender to these children and this group.
    pub fn route(&mut self, group: Option<SocketAddr>, children: &[SocketAddr]) -> Route {
        self.generation += 1;
        Route {
            session: self.session,
            time: wall(),
            generation: self.generation,
            expires: LEASE_MAX,
            parent: self.address(),
            group,
            children: children.to_vec(),
        }
    }

    /// Seals a lease, signed as the session is.
    pub fn sealed(&mut self, route: &Route) -> Vec<u8> {
        let signer = self.signer.take();
        let lease = self.sealed_by(signer.as_ref(), route);
        self.signer = signer;
        lease
    }

    /// Seals a lease that somebody else has signed, or nobody.
    pub fn sealed_by(&mut self, signer: Option<&SigningKey>, route: &Route) -> Vec<u8> {
        let (sequence, mut out) = (self.next(), Vec::new());
        let scope = self.key.scope(self.session);
        route.seal(&self.cipher, signer.map(|signer| signer.within(scope)), sequence, &mut out);
        out
    }

    /// Leases the host and waits until it says so.
    #[track_caller]
    pub fn lease(&mut self, group: Option<SocketAddr>, children: &[SocketAddr]) {
        let route = self.route(group, children);
        self.renew(&route);
        wait::until("an acknowledgement of the lease", Duration::from_secs(5), || {
            self.acks().iter().any(|ack| ack.generation == route.generation).then_some(())
        });
        self.held = Some((route, Instant::now()));
    }

    /// Renews the lease that the host has, once a second.
    pub fn keep(&mut self) {
        let Some((route, renewed)) = self.held.take() else { return };
        let is_due = renewed.elapsed() >= Duration::from_secs(1);
        if is_due {
            self.renew(&route);
        }
        self.held = Some((route, if is_due { Instant::now() } else { renewed }));
    }

    /// Sends a lease, once more.
    pub fn renew(&mut self, route: &Route) {
        let lease = self.sealed(&Route { time: wall(), ..route.clone() });
        self.send(&lease);
    }

    /// Seals symbols of the object's block, which follow on those before.
    pub fn symbols(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.symbol()).collect()
    }

    /// Writes the next symbols one behind the other into `out`, each [`DATAGRAM_BYTES`] long.
    pub fn symbols_into(&mut self, out: &mut [u8]) {
        out.chunks_exact_mut(DATAGRAM_BYTES).for_each(|out| self.symbol_into(out));
    }

    /// Returns the acknowledgements that have come since the last call.
    pub fn acks(&self) -> Vec<RouteAck> {
        let relay = self.relay_id.expect("the host has taken part");
        let (cipher, scope) = (Cipher::upward(&self.key, self.session, relay), self.key.scope(self.session));
        let open = |answer: &Vec<u8>| {
            let up = UpHeader::parse(answer).ok().filter(|up| up.header.kind == Kind::RouteAck)?;
            RouteAck::open(&cipher, scope, up, answer).ok().map(|(ack, _)| ack)
        };
        self.answers().iter().filter_map(open).collect()
    }

    fn symbol(&mut self) -> Vec<u8> {
        let mut out = vec![0; DATAGRAM_BYTES];
        self.symbol_into(&mut out);
        out
    }

    fn symbol_into(&mut self, out: &mut [u8]) {
        let sequence = self.next();
        let header = SymbolHeader {
            tag: self.session.tag(),
            sequence,
            block: BlockIndex(0),
            esi: Esi::new((sequence.value() & 0x3f_ffff) as u32).expect("24 bits"),
            encoded_len: BLOCK_BYTES as u32,
        };
        header.seal(&self.cipher, &[7; SYMBOL_BYTES], out);
    }

    fn announcement(&mut self) -> Vec<u8> {
        let announce = Announce {
            session: self.session,
            time: wall(),
            started: wall(),
            geometry: Geometry::new(BLOCK_BYTES, 20, SYMBOL_BYTES as u16).expect("in range"),
            name: ObjectName::new("leased.raw").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: self.address(),
            spread: Duration::ZERO,
            audience: Audience::Everyone,
            agreement: AgreementKey::from_seed(&[5; 32].into()).public(),
            one_way: false,
            base: None,
            data_bytes: Some(BLOCK_BYTES),
        };
        let (sequence, mut out) = (self.next(), Vec::new());
        let scope = self.key.scope(self.session);
        let signer = self.signer.as_ref().map(|signer| signer.within(scope));
        announce.seal(&self.cipher, signer, sequence, &mut out);
        out
    }

    fn next(&mut self) -> Sequence {
        self.sequence += 1;
        Sequence::new(self.sequence).expect("40 bits")
    }

    /// Returns the datagrams that have come, and waits for 50 ms if there are none.
    fn answers(&self) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        let mut datagram = [0; 2_048];
        while let Ok(bytes) = self.socket.recv(&mut datagram) {
            answers.push(datagram[..bytes].to_vec());
            self.socket.set_nonblocking(true).expect("a socket");
        }
        self.socket.set_nonblocking(false).expect("a socket");
        answers
    }
}

/// The length of each symbol.
const SYMBOL_BYTES: usize = 1_432;

/// The length of each symbol's datagram: a packet of 1 496 bytes by IPv4.
pub const DATAGRAM_BYTES: usize = SYMBOL_BYTES + SYMBOL_OVERHEAD;

const BLOCK_BYTES: u64 = 1 << 20;
