//! A receiver, its shell and everyone that sends to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::echo::Echo;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ReceiverId, Sequence};
use glancecast_proto::integrity::{BlockHash, Fingerprint, Root};
use glancecast_proto::receiver::{
    Admission, Attempt, BaseIndex, BlockOutcome, BlockRoom, Effect, Failure, Opened, Published, Receiver,
    ReceiverConfig, Returned, Work, buffer_symbols,
};
use glancecast_proto::relay::{Relay, RelayConfig};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    Ack, Down, Encoding, End, FailureKind, Hello, Kind, ManifestEntry, ManifestRun, Part, Poll, Proofs,
    SymbolHash, SymbolHeader, UpHeader,
};

use super::{Meant, Scene, address, esi, name};
use crate::dice::Dice;
use crate::vectors::{KEY, KEYS, SENDER_AGREEMENT, SESSION, Signed, host_key, signing_key};

/// A host, its store and everyone that sends to it.
pub(crate) struct Host {
    scene: Arc<Scene>,
    dice: Dice,
    now: Moment,
    /// Its files are marks, each handed out once.
    receiver: Receiver<Attempt, ()>,
    /// Datagrams that may be delivered again.
    heard: Vec<Vec<u8>>,
    pending: Vec<Effect<Attempt, ()>>,
    /// The attempt that has its buffers, and their number.
    prepared: Option<(Attempt, u16)>,
    /// Attempts whose file was handed out to be published.
    publishing: BTreeSet<Attempt>,
    vouched: BTreeSet<[u8; 32]>,
    /// Whom the push is for, and whether it is signed.
    meant: Meant,
    signed: Signed,
    /// Whether the host takes this sender's pushes alone.
    lists_it: bool,
    /// The host's last id, and the cipher of what its sender tells it alone.
    us: Option<(ReceiverId, Cipher)>,
    sequence: u64,
    pub(crate) published: u64,
    /// The relay beside it, if what it hears comes by unicast.
    relay: Option<Relay>,
}

fn relay_config() -> RelayConfig {
    RelayConfig {
        allowed: true,
        rate_max: Some(100_000_000),
        parents: Vec::new(),
        host_key: host_key().clone(),
    }
}

impl Host {
    /// Returns a host that has heard the announcement; `seed` chooses which.
    pub(crate) fn new(scene: Arc<Scene>, dice: Dice, seed: u8) -> Self {
        let meant = if seed % 4 == 3 { Meant::Named } else { Meant::Everyone };
        let signed = if seed % 3 == 2 { Signed::Yes } else { Signed::No };
        let lists_it = signed == Signed::Yes && seed & 8 == 0;
        let config = ReceiverConfig {
            name: name("compute-1"),
            software: "test".into(),
            keys: vec![GroupKey::new(KEY)],
            host_key: host_key().clone(),
            secret: StartSecret::new([seed; 32]),
            mtu: Some(1_500),
            senders: lists_it.then(|| signing_key().public()).into_iter().collect(),
            start: [seed; 16],
            seed: [seed; 32],
            buffer_bytes: 0, // the fewest buffers possible
            can_relay: false,
        };
        let mut host = Self {
            scene: Arc::clone(&scene),
            dice,
            now: Moment::default(),
            receiver: Receiver::new(config),
            heard: Vec::new(),
            pending: Vec::new(),
            prepared: None,
            publishing: BTreeSet::new(),
            vouched: BTreeSet::new(),
            meant,
            signed,
            lists_it,
            us: None,
            sequence: 0,
            published: 0,
            relay: (seed & 64 != 0).then(|| Relay::new(relay_config())),
        };
        host.hear(scene.announcement(meant, signed));
        host
    }

    /// Whether the dice are used up.
    pub(crate) fn is_at_end(&self) -> bool {
        self.dice.is_at_end()
    }

    /// Performs the next random operation.
    pub(crate) fn operate(&mut self) {
        match self.dice.below(1_000) {
            0..300 => self.hear_symbol(),
            300..600 => {
                let datagram = self.insider();
                self.hear(datagram);
            }
            600..640 => self.hear_again(),
            640..700 => self.hear_sealed_nonsense(),
            700..850 => self.take_effect(),
            850..960 => self.answer(),
            960..999 => {
                let times = if self.dice.below(60) == 0 { 31_000_000 } else { 20_000 };
                self.now = self.now + Duration::from_micros(self.dice.below(times));
            }
            _ => {
                if self.dice.below(4) == 0 {
                    self.receiver.handle_stop(self.now);
                }
            }
        }
        self.drain();
    }

    fn hear(&mut self, datagram: Vec<u8>) {
        let wall = WallClock(1_767_225_600_000 + self.now.micros() / 1_000_000);
        let _ = match &self.relay {
            None => self.receiver.handle_datagram(self.now, wall, address(1), &datagram),
            Some(_) => self.receiver.handle_unicast(self.now, wall, address(1), &datagram),
        };
        self.pass_on(wall, &datagram);
        // As in the shell, a session gets its memory before its first symbol.
        while let Some(effect) = self.receiver.poll_effect(BlockRoom::Full) {
            self.note_effect(effect, BlockRoom::Full);
        }
        if self.heard.len() < 100 {
            self.heard.push(datagram);
        }
    }

    /// Has the relay take a lease, or forward what came; checks that what it forwards is leased.
    fn pass_on(&mut self, wall: WallClock, datagram: &[u8]) {
        let Some(relay) = &mut self.relay else { return };
        if Relay::session_of(datagram).is_some() {
            let _ = relay.handle_route(self.now, wall, self.receiver.membership(), datagram);
        }
        let came = relay.counts().came;
        if let Ok(candidate) = relay.expects(self.now, address(1), datagram)
            && let Ok(opened) = relay.open(&candidate, datagram, &mut [0; 9_000])
            && relay.admit(self.now, candidate, opened).is_ok()
        {
            assert_eq!(relay.counts().came, came + 1);
            assert!(relay.leases(self.now).any(|lease| lease.route.parent == address(1)));
            assert!(relay.expects(self.now, address(1), datagram).is_err(), "nothing passes twice");
        }
        let mut out = Vec::new();
        let said = (0..9).take_while(|_| relay.poll_transmit(self.now, &mut out).is_some()).count();
        assert!(said < 9, "a relay that is asked once does not speak for ever");
    }

    fn hear_again(&mut self) {
        let datagram = self.dice.pick(&self.heard).clone();
        let datagram = if self.dice.below(2) == 0 { datagram } else { self.dice.mutated(&datagram) };
        self.hear(datagram);
    }

    fn hear_sealed_nonsense(&mut self) {
        let datagram = self.scene.nonsense(&mut self.dice);
        self.hear(datagram);
    }

    /// Returns a datagram that is valid by itself, whatever was sent before.
    fn insider(&mut self) -> Vec<u8> {
        self.sequence += self.dice.below(3);
        let first = self.dice.below(6) as u32;
        let down = match self.dice.below(40) {
            0..2 => return self.scene.announcement(self.meant, self.signed),
            2..24 => {
                let count = 1 + self.dice.below(u64::from(6 - first)) as u32;
                let entries = (first..first + count).map(|block| self.entry(BlockIndex(block)));
                let entries: Vec<_> = entries.collect();
                Down::Manifest(ManifestRun::plain(BlockIndex(first), entries))
            }
            24..36 => {
                let root = match self.dice.below(8) {
                    0 => Some(Root([1; 32])),
                    1..4 => Some(self.scene.root),
                    _ => None,
                };
                let of = 1 << self.dice.below(5);
                Down::Poll(Poll {
                    round: self.dice.below(100) as u32,
                    blocks_sent: self.dice.below(7) as u32,
                    manifest_sent: self.dice.below(7) as u32,
                    window: Duration::from_micros(self.dice.below(10_000)),
                    slots: of + self.dice.below(1 << 32) as u32 / 2,
                    part: Part { number: self.dice.below(of.into()) as u16, of: of as u16 },
                    root,
                })
            }
            36 if self.dice.below(6) == 0 => Down::End(End::Over),
            37 if self.dice.below(6) == 0 => Down::End(End::Aborted("no".into())),
            38 => Scene::page(if self.dice.below(8) == 0 { "compute-9" } else { "compute-1" }),
            39 => {
                let hashes = vec![SymbolHash([9; SymbolHash::BYTES]); 1 + self.dice.below(9) as usize];
                Down::Proofs(Proofs { block: BlockIndex(first), first: esi(0).expect("small"), hashes })
            }
            _ => return self.acknowledge(),
        };
        // An insider of a signed push can seal what it likes, and signs nothing.
        let signed = match self.signed {
            Signed::Yes if self.dice.below(4) > 0 => Signed::Yes,
            _ => Signed::No,
        };
        // A host that lists no sender may be in a session of the same id that an insider has announced.
        if let (Down::Poll(poll), true) = (&down, signed == self.signed || !self.lists_it) {
            self.vouched.extend(poll.root.map(|root| root.0));
        }
        let (sequence, mut out) = (self.next_sequence(), Vec::new());
        let cipher = &self.scene.downward;
        down.seal(cipher, signed.signer(), SESSION, sequence, &mut out);
        let opened = Down::open(cipher, self.scene.geometry, signed.verifier(), &out, |_| Ok(()));
        assert_eq!(opened.map(|(_, down)| down), Ok(down));
        out
    }

    /// Returns an acknowledgement of the sender, or one that somebody else has made with what all know.
    fn acknowledge(&mut self) -> Vec<u8> {
        let kind = *self.dice.pick(&[Kind::Hello, Kind::Hello, Kind::Done, Kind::Failed]);
        let slot = self.dice.number() as u32;
        let (sequence, mut out) = (self.next_sequence(), Vec::new());
        let (receiver, cipher) = match &self.us {
            Some((receiver, private)) if slot & 7 > 0 => (*receiver, private),
            Some((receiver, _)) => (*receiver, &self.scene.downward),
            None => (ReceiverId([0; 8]), &self.scene.downward),
        };
        Ack { receiver, kind, slot, echo: Echo([slot as u8; 4]) }.seal(
            cipher,
            SESSION.tag(),
            sequence,
            &mut out,
        );
        out
    }

    fn next_sequence(&mut self) -> Sequence {
        let sequence = if self.dice.below(500) == 0 { Sequence::MAX } else { self.sequence };
        Sequence::new(sequence).expect("40 bits")
    }

    /// Returns a manifest entry that is mostly true, so that sessions can complete.
    fn entry(&mut self, block: BlockIndex) -> ManifestEntry {
        let encoding = match self.dice.below(60) {
            0 => Encoding::Zero,
            1 => Encoding::Zstd { encoded_len: 1 + self.dice.below(900) as u32 },
            _ => self.scene.entry(block).encoding,
        };
        let hash = if self.dice.below(100) == 0 { BlockHash([9; 32]) } else { self.scene.entry(block).hash };
        ManifestEntry { encoding, hash }
    }

    fn hear_symbol(&mut self) {
        let geometry = self.scene.geometry;
        let block = BlockIndex(self.dice.below(7) as u32);
        let encoded_len = match (self.dice.below(20), geometry.contains(block)) {
            (0, _) => self.dice.below(1 << 24) as u32,
            (_, true) => self.scene.entry(block).encoded_len(geometry, block),
            (_, false) => 1_000,
        };
        let first = if self.dice.below(10) == 0 { u64::from(Esi::MAX) } else { self.dice.below(4) };
        // A run of symbols, so that blocks fill up.
        let symbols = u64::from(self.scene.symbols(encoded_len));
        let count = if self.dice.below(3) == 0 { symbols + symbols / 40 + 4 } else { 3 };
        let datagram_bytes = geometry.datagram_bytes();
        for esi in (first..first + count).filter_map(esi) {
            self.sequence += 1;
            let sequence = Sequence::new(self.sequence).expect("40 bits");
            let header = SymbolHeader { tag: SESSION.tag(), sequence, block, esi, encoded_len };
            match self.receiver.admit(&header) {
                Ok(Admission::To(place)) => {
                    let shape = self.session_geometry().shape(encoded_len);
                    assert!(place.symbol < buffer_symbols(shape.source_symbols()));
                    let (_, buffers) = self.prepared.expect("memory before the first symbol");
                    assert!(place.buffer.0 < buffers);
                    self.receiver.accept(self.now, &header, place, datagram_bytes);
                }
                Ok(Admission::Spare(reason)) => {
                    self.receiver.note_spare(self.now, &header, datagram_bytes, reason);
                }
                Err(_) => {}
            }
        }
    }

    /// Polls the next effect. The shell performs some at once, and answers the others later in any order.
    fn take_effect(&mut self) {
        let room = if self.pending.len() < 8 { BlockRoom::Free } else { BlockRoom::Full };
        if let Some(effect) = self.receiver.poll_effect(room) {
            self.note_effect(effect, room);
        }
    }

    fn note_effect(&mut self, effect: Effect<Attempt, ()>, room: BlockRoom) {
        match &effect {
            Effect::Prepare(attempt, _, buffers) => {
                self.prepared = Some((*attempt, *buffers));
                return;
            }
            Effect::LookThrough(attempt, _) => {
                let pieces = (0..4).map(|piece| (Fingerprint([0x66 + piece; 16]), BlockIndex(piece.into())));
                return self.receiver.handle_base(*attempt, BaseIndex::new(pieces.collect()));
            }
            Effect::Open(attempt, _) | Effect::Compare(attempt, ..) => self.assert_prepared(*attempt),
            Effect::Block(attempt, work, file) => {
                assert_eq!((room, file), (BlockRoom::Free, attempt));
                self.assert_prepared(*attempt);
                if let Work::Rebuild { block, entry, collected, .. } = work {
                    assert_eq!(collected.encoded_len(), entry.encoded_len(self.session_geometry(), *block));
                }
            }
            Effect::Publish(attempt, file, proof) => {
                assert_eq!(file, attempt);
                self.assert_prepared(*attempt);
                assert!(self.vouched.contains(&proof.root().0), "the sender vouched for it");
                assert_eq!(proof.root(), self.scene.root, "the manifest amounts to it");
                assert!(self.publishing.insert(*attempt), "published once");
            }
            Effect::Leave(attempt) => {
                assert!(
                    !self
                        .pending
                        .iter()
                        .any(|pending| matches!(pending, Effect::Publish(of, ..) if of == attempt))
                );
                self.assert_prepared(*attempt);
                self.prepared = None;
                return;
            }
            Effect::PutAway(file, _) => {
                assert!(!self.publishing.contains(file), "what is being published cannot be taken back");
                return self.receiver.handle_put_away();
            }
        }
        self.pending.push(effect);
    }

    /// Returns the geometry of the current session: the announced values may be mutated, but form a valid geometry.
    fn session_geometry(&self) -> Geometry {
        self.receiver.session().expect("in a session").geometry
    }

    fn assert_prepared(&self, attempt: Attempt) {
        assert_eq!(self.prepared.map(|(of, _)| of), Some(attempt), "work of an attempt that has its buffers");
    }

    fn answer(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.dice.below(self.pending.len() as u64) as usize;
        match self.pending.swap_remove(at) {
            Effect::Open(attempt, ..) => {
                let file = attempt;
                let result = match self.dice.below(20) {
                    0 => Err(Failure::new(FailureKind::NoSpace, "full")),
                    1 => Ok(Opened::Existing(())),
                    2..8 => {
                        let kept = (0..self.dice.below(9) as u32).map(BlockIndex).collect();
                        Ok(Opened::Unfinished { file, kept })
                    }
                    _ => Ok(Opened::Unfinished { file, kept: Vec::new() }),
                };
                self.receiver.handle_opened(self.now, attempt, result);
            }
            Effect::Block(attempt, work, _) => {
                let (block, returned, outcome) = self.prove(work);
                self.receiver.handle_block(self.now, attempt, block, returned, outcome);
            }
            Effect::Publish(attempt, ..) | Effect::Compare(attempt, ..) => {
                let result = match self.dice.below(4) {
                    0 => Err(Failure::new(FailureKind::Store, "no")),
                    1 => Ok(Published::Existing),
                    _ => Ok(Published::New),
                };
                self.published += u64::from(result.is_ok());
                self.receiver.handle_published(self.now, attempt, result);
            }
            Effect::Prepare(..) | Effect::LookThrough(..) | Effect::Leave(_) | Effect::PutAway(..) => {
                unreachable!("done at once")
            }
        }
    }

    fn prove(&mut self, work: Work) -> (BlockIndex, Option<Returned>, BlockOutcome) {
        match work {
            Work::Zero { block } => {
                let truth = self.scene.entry(block);
                let outcome = match self.outcome(false) {
                    BlockOutcome::Failed(failure) => BlockOutcome::Failed(failure),
                    // The hash of zeros at this position, even if the block is not meant to be zero.
                    _ if truth.encoding == Encoding::Zero => BlockOutcome::Zeros(truth.hash),
                    _ => BlockOutcome::Zeros(BlockHash([0xEE; 32])),
                };
                (block, None, outcome)
            }
            Work::Reuse { block, entry, .. } | Work::Recheck { block, entry } => {
                let right = entry == self.scene.entry(block) && self.dice.below(3) > 0;
                let outcome =
                    if right { BlockOutcome::Written { repaired: 0 } } else { BlockOutcome::NotKept };
                (block, None, outcome)
            }
            Work::Sift { block, buffer, mut collected, hashes } => {
                let symbols = collected.shape().source_symbols() as usize + collected.repair().len();
                let mut bytes = vec![0; symbols * collected.shape().symbol_size()];
                let sifted = collected.sift(&hashes, &mut bytes);
                (block, Some(Returned { buffer, collected }), BlockOutcome::Sifted(sifted))
            }
            Work::Rebuild { block, entry, buffer, collected } => {
                let k = collected.shape().source_symbols();
                assert!(collected.held().count() + collected.repair().len() as u32 >= k);
                let undecodable = !collected.held().is_full();
                let is_true = entry == self.scene.entry(block);
                let outcome = if is_true { self.outcome(undecodable) } else { BlockOutcome::Corrupt };
                (block, Some(Returned { buffer, collected }), outcome)
            }
        }
    }

    fn outcome(&mut self, undecodable: bool) -> BlockOutcome {
        match self.dice.below(30) {
            0 => BlockOutcome::Corrupt,
            1 if self.dice.below(10) == 0 => BlockOutcome::Failed(Failure::new(FailureKind::Store, "no")),
            2..8 if undecodable => BlockOutcome::Undecodable,
            _ => BlockOutcome::Written { repaired: 1 },
        }
    }

    fn drain(&mut self) {
        self.receiver.handle_timeout(self.now);
        let mut out = Vec::new();
        let mut said = 0;
        while self.receiver.poll_transmit(self.now, &mut out).is_some() {
            self.note_said(&out);
            said += 1;
            assert!(said < 32, "a machine that is asked once does not speak for ever");
        }
        assert!(self.receiver.poll_timeout().is_none_or(|(at, _)| at > self.now), "a deadline in the past");
        let events = (0..100).take_while(|_| self.receiver.poll_event().is_some()).count();
        assert!(events < 100, "an operation does not have so much to tell");
        let (session, held) = (self.receiver.session(), self.receiver.blocks_held());
        assert!(session.is_none_or(|announce| held <= announce.geometry.blocks()));
    }

    /// Notes the id and the agreement key of a hello, as the sender does.
    fn note_said(&mut self, said: &[u8]) {
        let Ok(up) = UpHeader::parse(said) else { return };
        if up.header.kind != Kind::Hello || self.us.as_ref().is_some_and(|(us, _)| *us == up.receiver) {
            return;
        }
        let cipher = Cipher::upward(&KEYS.group, SESSION, up.receiver);
        // It may be for a session that an insider has announced, of another geometry or under another id.
        let Ok(greeting) = Hello::open(&cipher, self.scene.geometry, up, said) else { return };
        let sender = AgreementKey::from_seed(&SENDER_AGREEMENT.into());
        let shared = sender.agree(&greeting.hello.agreement).expect("a host's key");
        let private = Cipher::private_down(&KEYS.group, SESSION, up.receiver, &shared);
        self.us = Some((up.receiver, private));
    }
}
