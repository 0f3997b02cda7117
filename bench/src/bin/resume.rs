//! What the machines cost where hosts resume a push of very many blocks: the sender for each block that it skips or sends,
//! and a host for each report. No network, no disk and no symbols: only decisions are timed.
//!
//!     cargo run --release -p glancecast-bench --bin resume -- --blocks 2097152 --hosts 2000

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::limits::HELD_RUNS_MAX;
use glancecast_proto::receiver::{BlockRoom, Effect, Opened, Receiver, ReceiverConfig};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, JobRoom, Pace, Reach, Sender, SenderConfig, To};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, Hello, KeptRun, ManifestEntry, Pin};

/// Times the decisions of a push that hosts resume.
#[derive(Debug, Parser)]
#[command(name = "resume")]
struct Resume {
    /// Blocks of the image: 2097152 are the most
    #[arg(long, default_value_t = 1 << 21)]
    blocks: u32,

    /// Hosts that resume
    #[arg(long, default_value_t = 2_000)]
    hosts: u32,

    /// Reports of one host that are timed
    #[arg(long, default_value_t = 100)]
    reports: u32,
}

fn main() -> Result<()> {
    let resume = Resume::parse();
    resume.time_sender()?;
    resume.time_reports("lacks everything", |_| false)?;
    resume.time_reports("kept all but one block in a thousand", |block| block % 1_000 != 0)?;
    resume.time_reports("kept the second half", |block| block >= resume.blocks / 2)
}

impl Resume {
    /// Every host has kept all blocks but [`HELD_RUNS_MAX`], which differ from host to host.
    fn time_sender(&self) -> Result<()> {
        let geometry = self.geometry()?;
        let mut sender = Sender::new(Moment::default(), self.config(geometry, Expected::Count(self.hosts)));
        let mut now = Moment::default();
        for host in 0..self.hosts {
            // No faster than the sender checks signatures.
            now = now + Duration::from_millis(10);
            let refused = sender.handle_datagram(now, address(host), &self.hello(host)).err();
            ensure!(refused.is_none(), "the hello of host {host} was refused: {refused:?}");
        }
        let started = Instant::now();
        for _ in geometry.indices() {
            sender.handle_block(entry(), 0);
            while let Some(block) = sender.poll_skip(now) {
                black_box(block);
            }
            while let Some(job) = sender.poll_job(JobRoom::ANY) {
                black_box(sender.needs_pass(job.block()));
                let last = sender.take_sequences(To::Everyone, 1);
                sender.handle_sent(now, job, last);
            }
        }
        let took = started.elapsed();
        println!(
            "sender, {} hosts: {:>9.0} ns a block, {took:.1?} for {} blocks, of which {} were skipped",
            self.hosts,
            took.as_nanos() as f64 / f64::from(self.blocks),
            self.blocks,
            sender.blocks_skipped(),
        );
        Ok(())
    }

    /// The reports of a host that receives no symbol, after the pass.
    fn time_reports(&self, what: &str, is_kept: impl Fn(u32) -> bool) -> Result<()> {
        let geometry = self.geometry()?;
        let mut now = Moment::default();
        let mut sender = Sender::new(now, self.config(geometry, Expected::Count(1)));
        let mut host: Receiver<(), ()> = Receiver::new(receiver());
        let (mut out, mut times) = (Vec::new(), Vec::new());
        for _ in geometry.indices() {
            sender.handle_block(entry(), 0);
        }
        sender.handle_source_proven(now);
        while times.len() < self.reports as usize {
            now = now + Duration::from_millis(1);
            ensure!(now < Moment::default() + Duration::from_secs(3_000), "the host does not report");
            sender.handle_timeout(now);
            while sender.poll_transmit(now, &mut out).is_some() {
                let _ = host.handle_datagram(now, WallClock(0), SENDER.into(), &out);
                host.handle_timeout(now);
                self.answer(now, &mut host, &is_kept);
            }
            for _ in 0..JOBS_A_MS {
                while sender.poll_skip(now).is_some() {}
                let Some(job) = sender.poll_job(JobRoom::ANY) else { break };
                let last = sender.take_sequences(To::Everyone, 1);
                sender.handle_sent(now, job, last);
            }
            let is_tail = sender.blocks_sent() == self.blocks;
            let started = Instant::now();
            while host.poll_transmit(now, &mut out).is_some() {
                if is_tail {
                    times.push(started.elapsed());
                }
                let _ = sender.handle_datagram(now, address(0), &out);
            }
        }
        times.sort_unstable();
        println!("host that {what}: {:.1?} a report (median of {})", times[times.len() / 2], times.len());
        Ok(())
    }

    /// Answers what the machine of the host asks for, as a shell whose store has kept these blocks. No work on a block
    /// is taken.
    fn answer(&self, now: Moment, host: &mut Receiver<(), ()>, is_kept: impl Fn(u32) -> bool) {
        while let Some(effect) = host.poll_effect(BlockRoom::Full) {
            if let Effect::Open(attempt, _) = effect {
                let kept = (0..self.blocks).filter(|&block| is_kept(block)).map(BlockIndex).collect();
                host.handle_opened(now, attempt, Ok(Opened::Unfinished { file: (), kept }));
            }
        }
    }

    fn geometry(&self) -> Result<Geometry> {
        Geometry::new(u64::from(self.blocks) << BLOCK_LOG2, BLOCK_LOG2, 8_192).context("so many blocks")
    }

    fn config(&self, geometry: Geometry, expected: Expected) -> SenderConfig {
        SenderConfig {
            session: SESSION,
            key: group_key(),
            signer: None,
            agreement: AgreementKey::from_seed(&[5; 32].into()),
            geometry,
            name: ObjectName::new("image").expect("a plain name"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: SENDER.into(),
            reach: Reach::default(),
            expected,
            known: KnownHosts::default(),
            timeout: Duration::from_secs(100_000),
            join_timeout: None,
            started: WallClock(0),
            pace: Pace::Fixed(Rate::mbit(25_000)),
            header_bytes: 42,
            one_way: None,
            base: None,
            data_bytes: None,
        }
    }

    fn hello(&self, host: u32) -> Vec<u8> {
        let id = receiver_id(host);
        let key = SigningKey::from_seed(&seed(host).into());
        let hello = Hello {
            agreement: AgreementKey::from_seed(&seed(host).into()).public(),
            name: HostName::new(&format!("compute-{host}")).expect("a plain name"),
            software: "bench".into(),
            busy: None,
            can_relay: false,
            mtu: None,
            via: None,
            kept: self.kept_by(host),
        };
        let (scope, mut out) = (group_key().scope(SESSION), Vec::new());
        let cipher = Cipher::upward(&group_key(), SESSION, id);
        let first = Sequence::new(1).expect("small");
        hello.seal(&cipher, key.within(scope), id, first, &mut out);
        out
    }

    /// Runs of equal length, before each of which this host lacks a block.
    fn kept_by(&self, host: u32) -> Vec<KeptRun> {
        let length = self.blocks / HELD_RUNS_MAX as u32;
        let lacks = |run: u32| run * length + host % (length - 1);
        let runs = (0..HELD_RUNS_MAX as u32).map(|run| (lacks(run) + 1, lacks(run + 1).min(self.blocks)));
        runs.filter(|(first, end)| first < end)
            .map(|(first, end)| KeptRun { first: BlockIndex(first), blocks: end - first })
            .collect()
    }
}

fn receiver() -> ReceiverConfig {
    ReceiverConfig {
        name: HostName::new("compute-1").expect("a plain name"),
        software: "bench".into(),
        keys: vec![group_key()],
        host_key: SigningKey::from_seed(&[3; 32].into()),
        secret: StartSecret::new([4; 32]),
        mtu: None,
        can_relay: false,
        senders: Vec::new().into(),
        start: [1; 16],
        seed: [2; 32],
        buffer_bytes: 400 << 20,
    }
}

fn entry() -> ManifestEntry {
    ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) }
}

fn group_key() -> GroupKey {
    GroupKey::new([7; 32])
}

fn receiver_id(host: u32) -> ReceiverId {
    let mut id = [1; ReceiverId::BYTES];
    id[..4].copy_from_slice(&host.to_be_bytes());
    ReceiverId(id)
}

fn seed(host: u32) -> [u8; 32] {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&host.to_be_bytes());
    seed
}

fn address(host: u32) -> SocketAddr {
    let [_, _, high, low] = host.to_be_bytes();
    ([10, 1, high, low], 40_000).into()
}

const SENDER: ([u8; 4], u16) = ([10, 0, 0, 1], 7_167);
const SESSION: SessionId = SessionId([1; 16]);
/// 4 MiB: at the most blocks, 8 TiB.
const BLOCK_LOG2: u8 = 22;
/// Blocks that are sent in a millisecond of the push: the pass is not what is timed.
const JOBS_A_MS: u32 = 20_000;
