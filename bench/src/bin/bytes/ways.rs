//! The ways that an image takes, one run of each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use glancecast_bench::lab::buffers::Raised;
use glancecast_bench::lab::network::Network;
use glancecast_bench::push::{Image, Place, Push};
use glancecast_tests::image;
use glancecast_tests::netns::Lab;
use glancecast_tests::places;
use glancecast_tests::process::Process;

use crate::Plan;
use crate::goals;
use crate::record::Run;
use crate::reuse;

/// What a run works with.
pub(crate) struct Ground<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) image: &'a Image,
    /// What of it is no hole, where that is known.
    pub(crate) data_bytes: Option<u64>,
    pub(crate) directory: &'a Path,
    pub(crate) limit: Duration,
}

/// How the image gets to the receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// By glancecast, with this `--compress`.
    Glancecast(&'static str),
    /// By glancecast, with a base in which 5 % of the blocks are others.
    Base,
    /// By glancecast, after a push that was interrupted with 10 blocks to go on one of two hosts.
    Resumed,
    /// By udpcast through `zstd -1` and `zstd -d`.
    Udpcast,
    /// Not at all: what `zstd -1` alone makes of it, and how long that takes.
    Zstd,
}

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Glancecast(compress) => format!("glancecast, {compress}"),
            Self::Base => goals::BASE.to_owned(),
            Self::Resumed => goals::AGAIN.to_owned(),
            Self::Udpcast => "udpcast, zstd -1".to_owned(),
            Self::Zstd => goals::ZSTD.to_owned(),
        }
    }

    /// Whether another repetition may come to something else.
    pub(crate) fn varies(self) -> bool {
        !matches!(self, Self::Zstd)
    }

    /// Takes it once. What goes wrong is in the result.
    pub(crate) fn run(self, ground: &Ground<'_>) -> Run {
        let run = match self {
            Self::Glancecast(compress) => glancecast(ground, compress),
            Self::Base => reuse::changed(ground),
            Self::Resumed => reuse::missing(ground),
            Self::Udpcast => udpcast(ground),
            Self::Zstd => Ok(zstd(ground)),
        };
        run.unwrap_or_else(|error| Run::failed(&format!("{error:#}")))
    }
}

fn glancecast(ground: &Ground<'_>, compress: &str) -> Result<Run> {
    let network = network(ground, 1);
    let lab = Lab::build(&network.shape(network.tc_rate().as_deref()));
    let rate = rate(&network);
    let pushed = Push {
        place: Place::In(&lab),
        receivers: 1,
        image: ground.image,
        directory: &ground.directory.join("push"),
        rate: &rate,
        options: &[],
        stored: &[],
        // In memory as everything else, so that no disk decides.
        sender_options: &["--compress", compress, "--spool", &ground.directory.to_string_lossy()],
        warm: false,
        profile: false,
        limit: ground.limit,
    }
    .run()?;
    let content = &pushed.report.content;
    let stages = pushed.report.stages.iter().filter(|stage| stage.seconds >= 0.01);
    let stages: Vec<_> = stages.map(|stage| format!("{} {:.2}", stage.stage, stage.seconds)).collect();
    let object = &pushed.report.object;
    let in_datagrams = |bytes: u64| bytes as f64 * object.datagram_bytes as f64 / object.symbol_bytes as f64;
    let overhead = match content.encoded_bytes {
        0 => String::new(),
        bytes => {
            format!(", {:.4} x the least for these", pushed.report.wire.bytes as f64 / in_datagrams(bytes))
        }
    };
    let bytes_of = |kind: &str| pushed.report.wire.kinds.get(kind).map_or(0, |kind| kind.bytes);
    Ok(Run {
        seconds: Some(pushed.seconds),
        wire_bytes: pushed.report.wire.bytes,
        least_bytes: ground.data_bytes.map(|bytes| in_datagrams(bytes) as u64),
        allocated_bytes: Some(pushed.allocated_bytes),
        details: format!(
            "copy {:.1} MiB on its disk; {} data, {} encoded bytes{overhead}; {} zero, {} stored, {} zstd blocks; manifest {}, \
             repair {} bytes; CPU {:.2} and {:.2} s; seconds: {}",
            pushed.allocated_bytes as f64 / f64::from(1 << 20),
            content.data_bytes,
            content.encoded_bytes,
            content.zero_blocks,
            content.stored_blocks,
            content.zstd_blocks,
            bytes_of("manifest"),
            bytes_of("repair"),
            pushed.sender.end.cpu.as_secs_f64(),
            pushed.receivers[0].end.cpu.as_secs_f64(),
            stages.join(", ")
        ),
    })
}

fn udpcast(ground: &Ground<'_>) -> Result<Run> {
    let _raised = Raised::raise()?;
    let network = network(ground, 1);
    let lab = Lab::build(&network.shape(network.tc_rate().as_deref()));
    let copy = ground.directory.join("udpcast-copy");
    let _removed = Removed(copy.clone());
    let mut receiver = lab.command(RECEIVER, &tool("udp-receiver")?);
    receiver.args(["--interface", Lab::INTERFACE, "--nokbd", "--no-progress", "--rcvbuf", "8388608"]);
    receiver.args(["--pipe", "zstd -d -q"]).arg("--file").arg(&copy).stdin(Stdio::null());
    let mut receiver = Process::start("udp-receiver", receiver, ground.directory);
    let begin = Instant::now();
    while !receiver.log_lines().iter().any(|line| line.contains("UDP receiver for")) {
        ensure!(receiver.runs() && begin.elapsed() < ground.limit, "udp-receiver does not listen");
        sleep(LOOK_INTERVAL);
    }
    let before = lab.counter(Lab::SENDER, "tx_bytes");
    let mut sender = lab.command(Lab::SENDER, &tool("udp-sender")?);
    sender.args(["--interface", Lab::INTERFACE, "--full-duplex", "--nokbd", "--no-progress"]);
    sender.args(["--min-receivers", "1", "--rexmit-hello-interval", "200", "--default-slice-size", "1024"]);
    if let Some(rate) = network.paced(UDPCAST_LINE_SHARE) {
        sender.args(["--max-bitrate", &format!("{}k", rate / 1000)]);
    }
    sender.args(["--pipe", "zstd -1 -q -c"]).arg("--file").arg(&ground.image.path).stdin(Stdio::null());
    let begin = Instant::now();
    let mut sender = Process::start("udp-sender", sender, ground.directory);
    let mut seconds = None;
    while sender.runs() || receiver.runs() {
        // It writes in order, and stays for half a second after the last byte to repeat its last answer.
        if seconds.is_none() && copy.metadata().is_ok_and(|file| file.len() == ground.image.bytes) {
            seconds = Some(begin.elapsed().as_secs_f64());
        }
        ensure!(begin.elapsed() < ground.limit, "not done after {:?}", ground.limit);
        sleep(LOOK_INTERVAL);
    }
    let sent = lab.counter(Lab::SENDER, "tx_bytes") - before;
    ensure!(image::blake3_of(&copy) == ground.image.blake3, "the copy differs from the image");
    Ok(Run {
        seconds: Some(seconds.unwrap_or_else(|| begin.elapsed().as_secs_f64())),
        wire_bytes: sent,
        least_bytes: None,
        allocated_bytes: Some(image::allocated_bytes(&copy)),
        details: "bytes with Ethernet headers; neither encrypted nor verified".to_owned(),
    })
}

fn zstd(ground: &Ground<'_>) -> Run {
    let begin = Instant::now();
    let bytes = image::zstd_bytes(&ground.image.path, 1);
    let seconds = Some(begin.elapsed().as_secs_f64());
    Run {
        seconds,
        wire_bytes: bytes,
        least_bytes: None,
        allocated_bytes: None,
        details: "one thread, nothing is sent".to_owned(),
    }
}

/// As `--rate` takes it.
pub(crate) fn rate(network: &Network) -> String {
    network.paced(LINE_SHARE).map_or_else(|| UNSHAPED_RATE.to_owned(), |rate| format!("{}kbit", rate / 1000))
}

pub(crate) fn network(ground: &Ground<'_>, receivers: usize) -> Network {
    Network {
        receivers,
        line_bits_per_second: ground.plan.line,
        offload: ground.plan.offload,
        loss_per_mille: 0,
    }
}

fn tool(name: &str) -> Result<PathBuf> {
    places::tool(name).with_context(|| format!("{name} is missing: sudo apt-get install udpcast"))
}

/// A file that does not stay.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // it may never have been made
    }
}

const RECEIVER: &str = "r1";
/// Of the line, as `goals` uses it.
const LINE_SHARE: f64 = 0.985;
/// As `versus` uses it.
const UDPCAST_LINE_SHARE: f64 = 0.97;
/// More than two processors carry from file to file.
const UNSHAPED_RATE: &str = "20gbit";
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
