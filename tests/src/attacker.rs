//! An attacker on the group's network, on the loopback interface: receives what is sent to the group, sends arbitrary
//! datagrams, and seals them if it has the group's key.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::keyfile;
use glancecast_platform::multicast::{Group, GroupReceiver, Membership};
use glancecast_platform::transport::Offload;
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::ids::{HostName, ReceiverId, Sequence, SessionId};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::{Announce, Announced, Ask, Down, Header, Hello, Kind, Outcome, Receipt, Up};
use zeroize::Zeroizing;

use crate::testbed::Testbed;
use crate::wait;

/// Sockets that receive from and send to the group.
pub struct Attacker {
    ear: GroupReceiver,
    batch: Batch,
    mouth: UdpSocket,
    group: SocketAddrV4,
}

/// A datagram to the group, and its source address.
pub type Heard = (SocketAddr, Vec<u8>);

/// An attacker that has the group's key, in one session.
pub struct Insider {
    /// The sockets.
    pub attacker: Attacker,
    /// The session's announcement.
    pub announced: Announced,
    key: GroupKey,
    cipher: Cipher,
}

impl Attacker {
    /// Joins the testbed's group.
    pub fn join(testbed: &Testbed) -> Self {
        let group: Group = testbed.group().to_string().parse().expect("a testbed's group is one");
        let interface = Interface::find("lo", group).expect("the loopback interface");
        let membership = Membership::new(group, None).expect("a stage's group is not source-specific");
        let ear = GroupReceiver::join(membership, &interface, Offload::Used).expect("the group can be heard");
        // Its address determines the interface for multicast.
        let mouth = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        mouth.set_multicast_loop_v4(true).expect("on loopback that is all there is");
        nix::sys::socket::setsockopt(&mouth, nix::sys::socket::sockopt::SndBufForce, &(4 << 20))
            .or_else(|_| nix::sys::socket::setsockopt(&mouth, nix::sys::socket::sockopt::SndBuf, &(1 << 20)))
            .expect("a send buffer");
        Self { ear, batch: Batch::default(), mouth, group: testbed.group() }
    }

    /// Returns the datagrams that others have sent to the group since the last call.
    pub fn hear(&mut self) -> Vec<Heard> {
        let us = self.mouth.local_addr().expect("bound");
        let mut heard = Vec::new();
        while self.batch.receive(self.ear.as_fd()).expect("the ear works") > 0 {
            let others = self.batch.datagrams().filter(|&(from, _)| from != us);
            heard.extend(others.map(|(from, datagram)| (from, datagram.to_vec())));
            if heard.len() > HEARD_MAX {
                break;
            }
        }
        heard
    }

    /// Returns the address that it sends from, and at which it can be answered.
    pub fn address(&self) -> SocketAddr {
        self.mouth.local_addr().expect("bound")
    }

    /// Returns the datagrams that were sent to this address since the last call.
    pub fn hear_alone(&self) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        let mut datagram = [0; 2_048];
        self.mouth.set_nonblocking(true).expect("a socket");
        while let Ok(bytes) = self.mouth.recv(&mut datagram) {
            heard.push(datagram[..bytes].to_vec());
        }
        heard
    }

    /// Sends a datagram to the group.
    pub fn say(&self, datagram: &[u8]) {
        self.say_to(datagram, self.group.into());
    }

    /// Sends a datagram to one address. A full buffer or a closed port is no error.
    pub fn say_to(&self, datagram: &[u8], to: SocketAddr) {
        let _ = self.mouth.send_to(datagram, to);
    }

    /// Waits for an announcement, and returns an attacker with the key in that session.
    #[track_caller]
    pub fn with_key(mut self, key: &Path) -> Insider {
        let key = keyfile::load(key).expect("the testbed's key");
        let announced = wait::until("an announcement", Duration::from_secs(15), || {
            self.hear().iter().find_map(|(_, datagram)| Announce::open(&key, datagram).ok())
        });
        let cipher = Cipher::downward(&key, announced.announce.session);
        Insider { attacker: self, announced, key, cipher }
    }
}

impl Insider {
    /// Returns the cipher of the session's datagrams to the group.
    pub fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// Returns the cipher of another session.
    pub fn cipher_of(&self, session: SessionId) -> Cipher {
        Cipher::downward(&self.key, session)
    }

    /// Sends a message to the group in the sender's name, unsigned.
    pub fn say_down(&self, down: &Down, number: u64) {
        let mut out = Vec::new();
        let number = Sequence::new(number).expect("40 bits");
        down.seal(&self.cipher, None, self.announced.announce.session, number, &mut out);
        self.attacker.say(&out);
    }

    /// Sends a message to the group in the sender's name, signed with a key of its own.
    pub fn sign_down(&self, down: &Down, number: u64) {
        let (session, mut out) = (self.announced.announce.session, Vec::new());
        let (number, key) = (Sequence::new(number).expect("40 bits"), host_key());
        let signer = key.within(self.key.scope(session));
        down.seal(&self.cipher, Some(signer), session, number, &mut out);
        self.attacker.say(&out);
    }

    /// Announces a push of its own to the group, signed with a key of its own.
    pub fn announce(&self, announce: &Announce, number: u64) {
        let (number, key, mut out) = (Sequence::new(number).expect("40 bits"), host_key(), Vec::new());
        let signer = key.within(self.key.scope(announce.session));
        announce.seal(&self.cipher_of(announce.session), Some(signer), number, &mut out);
        self.attacker.say(&out);
    }

    /// Asks the group, signed with a key of its own if that is wanted.
    pub fn ask(&self, ask: &Ask, is_signed: bool) {
        let (number, key, mut out) = (Sequence::new(1).expect("small"), host_key(), Vec::new());
        let signer = is_signed.then(|| key.within(self.key.scope(ask.id)));
        ask.seal(&self.cipher_of(ask.id), signer, number, &mut out);
        self.attacker.say(&out);
    }

    /// Says hello to the sender in this name, with a key of its own.
    pub fn greet(&self, name: &HostName, host: ReceiverId, number: u64) {
        let session = self.announced.announce.session;
        let hello = Hello {
            agreement: agreement().public(),
            name: name.clone(),
            software: String::new(),
            busy: None,
            can_relay: false,
            mtu: None,
            via: None,
            kept: Vec::new(),
        };
        let (number, mut out) = (Sequence::new(number).expect("40 bits"), Vec::new());
        let cipher = Cipher::upward(&self.key, session, host);
        hello.seal(&cipher, host_key().within(self.key.scope(session)), host, number, &mut out);
        self.attacker.say_to(&out, self.announced.announce.reply_to);
    }

    /// Sends the sender what a host tells it after such a hello.
    pub fn say_up(&self, up: &Up, host: ReceiverId, number: u64) {
        let session = self.announced.announce.session;
        let mut out = Vec::new();
        let number = Sequence::new(number).expect("40 bits");
        let shared = agreement().agree(&self.announced.announce.agreement).expect("a point");
        let cipher = Cipher::private_up(&self.key, session, host, &shared);
        up.seal(&cipher, session.tag(), host, number, &mut out);
        self.attacker.say_to(&out, self.announced.announce.reply_to);
    }

    /// Signs an outcome in this name, with a key of its own.
    pub fn receipt(&self, name: &HostName, outcome: Outcome) -> Receipt {
        let scope = self.key.scope(self.announced.announce.session);
        Receipt::sign(&host_key(), scope, name.clone(), wall(), outcome)
    }
}

/// A thread that repeats a step until it is stopped or dropped.
#[derive(Debug)]
pub struct Attack<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Attack<T> {
    /// Runs `step` on `with` every `gap`, machine permitting; [`Attack::stop`] returns `with`.
    pub fn start(mut with: T, gap: Duration, mut step: impl FnMut(&mut T) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                step(&mut with);
                due += gap;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            with
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends the thread and returns what it works with.
    pub fn stop(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("an attack does not panic")
    }
}

impl<T> Drop for Attack<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The host key of the attacker's node.
pub fn host_key() -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([0xA7; SigningKey::SEED_BYTES]))
}

/// The half of the keys that the attacker shares with senders.
fn agreement() -> AgreementKey {
    AgreementKey::from_seed(&Zeroizing::new([0xA8; AgreementKey::SEED_BYTES]))
}

/// Returns the kind and the sequence of a datagram.
pub fn header(datagram: &[u8]) -> Option<(Kind, u64)> {
    Header::parse(datagram).ok().map(|header| (header.kind, header.sequence.value()))
}

/// Datagrams received at a time.
const HEARD_MAX: usize = 4_096;
