//! A push through memory: a sender and two receivers, without network or disk, and with a number as the clock. The
//! second receiver loses one symbol in thirty, and gets repair symbols for them.
//!
//!     cargo run --release -p glancecast-proto --example in_memory_push

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::{Codec, Encoder, RepairSymbol};
use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, ObjectName, SessionId};
use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::receiver::{
    Admission, BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig, Returned, Work,
    buffer_bytes,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, Job, JobRoom, Pace, Reach, Sender, SenderConfig, To, Verdict};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, ManifestEntry, Pin, SYMBOL_OVERHEAD, SymbolHeader};

fn main() {
    let object: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let geometry =
        Geometry::for_path(object.len() as u64, 1500, 20).expect("an object of this size can be cut");
    let mut hosts = ["compute-1", "compute-2"].map(|name| Host::new(name, geometry));
    let mut now = Moment::default();
    let mut sender = Sender::new(now, config(geometry));

    // The source is read and hashed; the root that the sender then vouches for lets the hosts publish.
    let blocks: Vec<&[u8]> = object.chunks(geometry.block_bytes() as usize).collect();
    for (block, bytes) in geometry.indices().zip(&blocks) {
        let hash = BlockHash::of(geometry, block, bytes);
        sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash }, 0);
    }
    let root = sender.handle_source_proven(now);

    let (mut job, mut symbols, mut out) = (None, 0, Vec::new());
    while !sender.is_finished() {
        // The machine returns control datagrams to send: announcements, polls, the manifest, the end ...
        sender.handle_timeout(now);
        while let Some(transmit) = sender.poll_transmit(now, &mut out) {
            let hears = |host: &&mut Host| transmit.to.host().is_none_or(|to| to == host.address);
            hosts.iter_mut().filter(hears).for_each(|host| host.hear(now, &out));
        }
        // ... and the symbols to send. A job is one block's turn.
        job = job.or_else(|| sender.poll_job(JobRoom::ANY).map(|job| (job, 0)));
        if let Some((next, done)) = job.take() {
            let (header, symbol) = symbol(&mut sender, next, done, blocks[next.block().index()]);
            let mut datagram = vec![0; symbol.len() + SYMBOL_OVERHEAD];
            header.seal(sender.cipher(), &symbol, &mut datagram);
            symbols += 1;
            hosts[0].hear_symbol(now, &datagram);
            if symbols % 30 != 0 {
                hosts[1].hear_symbol(now, &datagram);
            }
            let all = next.symbols(geometry.shape(header.encoded_len).source_symbols());
            if done + 1 == all {
                sender.handle_sent(now, next, header.sequence);
            } else {
                job = Some((next, done + 1));
            }
        }
        for host in &mut hosts {
            host.work(now);
            while host.machine.poll_transmit(now, &mut out).is_some() {
                let _ = sender.handle_datagram(now, host.address, &out);
            }
        }
        now = now + if job.is_some() { Duration::from_micros(12) } else { Duration::from_millis(1) };
    }

    assert_eq!(sender.verdict(), Some(&Verdict::Complete));
    assert!(hosts.iter().all(|host| host.published && host.file == object));
    // Each host has signed that it holds the object, which anybody can check who knows its key.
    let scope = GroupKey::new(KEY).scope(sender.config().session);
    for row in sender.rows() {
        let (key, signed) = row.key.zip(row.receipt).expect("every host is done");
        assert!(signed.receipt.verify(key, scope, signed.outcome), "{}", row.name);
    }
    println!("{root} on 2 hosts after {now}, with {symbols} symbols");
}

/// Returns the header and the bytes of a job's next symbol.
fn symbol(sender: &mut Sender, job: Job, done: u32, bytes: &[u8]) -> (SymbolHeader, Vec<u8>) {
    let geometry = sender.config().geometry;
    let shape = geometry.shape(bytes.len() as u32);
    let esi = job.esi(shape.source_symbols(), done);
    let mut source = bytes.to_vec();
    source.resize(shape.source_bytes(), 0);
    let mut symbol = vec![0; shape.symbol_size()];
    match source.chunks_exact(shape.symbol_size()).nth(esi.value() as usize) {
        Some(part) => symbol.copy_from_slice(part),
        None => Encoder::new(shape, &source).repair(esi, &mut symbol),
    }
    let (tag, sequence) = (sender.config().session.tag(), sender.take_sequences(To::Everyone, 1));
    (SymbolHeader { tag, sequence, block: job.block(), esi, encoded_len: bytes.len() as u32 }, symbol)
}

/// The shell of a receiver's machine: buffers for symbols, and a place for the object.
struct Host {
    machine: Receiver<(), ()>,
    address: SocketAddr,
    geometry: Geometry,
    buffers: Vec<Vec<u8>>,
    file: Vec<u8>,
    published: bool,
}

impl Host {
    fn new(name: &str, geometry: Geometry) -> Self {
        let number = name.as_bytes()[name.len() - 1];
        let machine = Receiver::new(ReceiverConfig {
            name: HostName::new(name).expect("a plain name"),
            software: "example".into(),
            keys: vec![GroupKey::new(KEY)],
            host_key: SigningKey::from_seed(&[number; 32].into()),
            secret: StartSecret::new([number; 32]),
            mtu: None,
            senders: Vec::new().into(),
            start: [number; 16],
            seed: [number; 32],
            buffer_bytes: 64 << 20,
            can_relay: false,
        });
        let file = vec![0; geometry.object_bytes() as usize];
        let address = ([10, 0, 1, number], 40_000).into();
        Self { machine, address, geometry, buffers: Vec::new(), file, published: false }
    }

    fn hear(&mut self, now: Moment, datagram: &[u8]) {
        // An error is the reason of a discard, such as a repeated datagram: the machine counts them.
        let _ = self.machine.handle_datagram(now, STARTED, SENDER.into(), datagram);
        self.work(now);
    }

    /// Opens a symbol into the place that the machine returns, and counts it once it is authenticated.
    fn hear_symbol(&mut self, now: Moment, datagram: &[u8]) {
        let header = SymbolHeader::parse(datagram).expect("a symbol");
        let Ok(Admission::To(place)) = self.machine.admit(&header) else { return };
        let size = usize::from(self.geometry.symbol_size());
        let to = &mut self.buffers[usize::from(place.buffer.0)][place.symbol as usize * size..][..size];
        header
            .open(self.machine.cipher().expect("in a session"), datagram, to)
            .expect("nobody forges anything here");
        self.machine.accept(now, &header, place, datagram.len());
    }

    /// Does what the machine asks for.
    fn work(&mut self, now: Moment) {
        self.machine.handle_timeout(now);
        while let Some(effect) = self.machine.poll_effect(BlockRoom::Free) {
            match effect {
                Effect::Prepare(_, announce, buffers) => {
                    self.buffers = vec![vec![0; buffer_bytes(&announce)]; usize::from(buffers)];
                }
                Effect::Open(attempt, _) => {
                    let place = Opened::Unfinished { file: (), kept: Vec::new() };
                    self.machine.handle_opened(now, attempt, Ok(place));
                }
                Effect::Block(attempt, Work::Rebuild { block, entry, buffer, collected }, ()) => {
                    let shape = collected.shape();
                    let (source, repair) =
                        self.buffers[usize::from(buffer.0)].split_at_mut(shape.source_bytes());
                    let repair = repair.chunks_exact(shape.symbol_size());
                    let repair: Vec<RepairSymbol<'_>> = collected
                        .repair()
                        .iter()
                        .zip(repair)
                        .map(|(&esi, bytes)| RepairSymbol { esi, bytes })
                        .collect();
                    let decoded = Codec::new().decode(shape, source, collected.held(), &repair);
                    let bytes = &source[..collected.encoded_len() as usize];
                    let outcome = match VerifiedBlock::verify(self.geometry, block, bytes, entry.hash) {
                        _ if decoded.is_err() => BlockOutcome::Undecodable,
                        Err(_) => BlockOutcome::Corrupt,
                        Ok(verified) => {
                            self.file[verified.offset() as usize..][..bytes.len()]
                                .copy_from_slice(verified.bytes());
                            BlockOutcome::Written {
                                repaired: shape.source_symbols() - collected.held().count(),
                            }
                        }
                    };
                    self.machine.handle_block(
                        now,
                        attempt,
                        block,
                        Some(Returned { buffer, collected }),
                        outcome,
                    );
                }
                Effect::Publish(attempt, (), _proof) => {
                    self.published = true;
                    self.machine.handle_published(now, attempt, Ok(Published::New));
                }
                Effect::Leave(_) => {}
                other => unreachable!("nothing is resumed, zero, forged or given up: {other:?}"),
            }
        }
    }
}

fn config(geometry: Geometry) -> SenderConfig {
    let names = ["compute-1", "compute-2"].map(|name| HostName::new(name).expect("a plain name"));
    SenderConfig {
        session: SessionId([1; 16]), // random in a real push
        key: GroupKey::new(KEY),
        signer: None,
        agreement: AgreementKey::from_seed(&[2; 32].into()), // random in a real push
        geometry,
        name: ObjectName::new("image").expect("a plain name"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: SENDER.into(),
        reach: Reach::default(),
        expected: Expected::Named(BTreeSet::from(names)),
        known: KnownHosts::default(),
        timeout: Duration::from_secs(60),
        join_timeout: None,
        started: STARTED,
        pace: Pace::Fixed(Rate::mbit(1_000)),
        header_bytes: 42,
        one_way: None,
        base: None,
        data_bytes: None,
    }
}

const KEY: [u8; 32] = [7; 32];
const SENDER: ([u8; 4], u16) = ([10, 0, 0, 1], 7167);
const STARTED: WallClock = WallClock(1_767_225_600_000);
