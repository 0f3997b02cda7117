//! What forwarding costs a receiver: the processor time of `glancecastd` for each GiB that comes in and for each copy that
//! goes out, beside a bare relay that only receives and sends, in turns on the loopback interface.
//!
//! The sender is driven by hand. The object has one block, so that the receiver opens each datagram and has no other work
//! with it: what a copy costs is the difference to the turn without one. The children take batches and read none of them.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use glancecast_platform::batch::Batch;
use glancecast_platform::interface::Interface;
use glancecast_platform::multicast::{Group, Membership};
use glancecast_platform::trains::{Destination, Progress, Train};
use glancecast_platform::transport::{Inlet, Listen, Offload, Uplink};
use glancecast_proto::ids::SessionId;
use glancecast_tests::lessor::{DATAGRAM_BYTES, Lessor};
use glancecast_tests::testbed::{SOON, Testbed};
use nix::sys::socket::{setsockopt, sockopt};

/// Measures what a relay's copies cost.
#[derive(Debug, Parser)]
#[command(name = "relay")]
struct Relaying {
    /// MiB that come in, in each turn
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    mib: u64,
    /// Gbit/s at which they come
    #[arg(long, value_name = "GBIT", default_value_t = 3.0)]
    rate: f64,
    /// Turns of each way
    #[arg(long, value_name = "N", default_value_t = 3)]
    turns: u32,
}

/// How the datagrams of a turn come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crossing {
    /// Batches cross whole.
    Whole,
    /// Each datagram is a packet and a system call of its own.
    Singly,
}

/// What a turn took.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Seconds of processor time for each GiB that came.
    cpu: f64,
    /// The share that came.
    came: f64,
}

fn main() -> ExitCode {
    match run(&Relaying::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Relaying) -> Result<()> {
    println!("CPU seconds a GiB in, median of {} turns; a copy is the mean over two copies", options.turns);
    println!("{:<22} {:>9} {:>9} {:>9} {:>9} {:>7}", "", "no copy", "one", "two", "a copy", "came");
    for crossing in [Crossing::Whole, Crossing::Singly] {
        let mut turns: Vec<[[Turn; 3]; 2]> = Vec::new();
        for _ in 0..options.turns {
            let bare = measure_all(|copies| bare(options, crossing, copies))?;
            turns.push([bare, measure_all(|copies| glancecastd(options, crossing, copies))?]);
        }
        let [bare, ours] = [0, 1].map(|way| [0, 1, 2].map(|copies| median(&turns, way, copies)));
        let least = turns.iter().flatten().flatten().map(|turn| turn.came).fold(1.0, f64::min);
        show(&format!("bare, {crossing:?}"), bare, least);
        show(&format!("glancecastd, {crossing:?}"), ours, least);
        println!("{:<22} {:>9.2} x the bare relay's one copy", "", (ours[1] - ours[0] + bare[0]) / bare[1]);
    }
    Ok(())
}

fn measure_all(measure: impl Fn(usize) -> Result<Turn>) -> Result<[Turn; 3]> {
    Ok([measure(0)?, measure(1)?, measure(2)?])
}

fn median(turns: &[[[Turn; 3]; 2]], way: usize, copies: usize) -> f64 {
    let mut cpu: Vec<f64> = turns.iter().map(|turn| turn[way][copies].cpu).collect();
    cpu.sort_by(f64::total_cmp);
    cpu[cpu.len() / 2]
}

fn show(way: &str, cpu: [f64; 3], came: f64) {
    let copy = (cpu[2] - cpu[0]) / 2.0;
    println!("{way:<22} {:>9.3} {:>9.3} {:>9.3} {copy:>9.3} {came:>7.4}", cpu[0], cpu[1], cpu[2]);
}

/// A turn with the real relay.
fn glancecastd(options: &Relaying, crossing: Crossing, copies: usize) -> Result<Turn> {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &["--sender", "any", "--relay", "on", "--min-free", "0"]);
    let relay = SocketAddr::from(([127, 0, 0, 1], testbed.group().port()));
    let socket = UdpSocket::bind("127.0.0.1:0").context("a socket")?;
    let out = socket.try_clone().context("a socket")?;
    let mut lessor = Lessor::new(socket, testbed.key(), None, SessionId([3; 16]), relay);
    lessor.enlist();
    let children = children(copies)?;
    let to: Vec<SocketAddr> = children.iter().map(|child| child.local_addr().expect("bound")).collect();
    // Without a copy there is no lease either: a copy's cost is that of admission, too.
    if copies > 0 {
        lessor.lease(None, &to);
    }
    let pid = receiver.process.pid();
    let before = cpu_of(pid)?;
    let sent = stream(options, crossing, &mut lessor, &out, relay)?;
    thread::sleep(Duration::from_millis(700));
    let cpu = cpu_of(pid)? - before;
    let ack = lessor.acks().last().copied();
    receiver.process.terminate(SOON);
    let came = match (ack, copies) {
        (_, 0) => sent,
        (Some(ack), _) if ack.forwarded == ack.came => ack.came,
        (ack, _) => bail!("not all was forwarded: {ack:?}"),
    };
    Ok(Turn { cpu: cpu / gib(came), came: came as f64 / sent as f64 })
}

/// A turn with a relay that opens and checks nothing.
fn bare(options: &Relaying, crossing: Crossing, copies: usize) -> Result<Turn> {
    let testbed = Testbed::loopback();
    let group: Group = testbed.group().to_string().parse().context("a group")?;
    let lo = Interface::find("lo", group)?;
    let membership = Membership::new(group, None)?;
    let uplink = Uplink::open(membership, &lo, 0, Offload::Used, Listen::GroupPort)?;
    uplink.forward_through(&lo)?;
    let children = children(copies)?;
    let to = children.iter().map(|child| uplink.destination(child.local_addr().expect("bound"))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let relay = SocketAddr::from(([127, 0, 0, 1], testbed.group().port()));
    let worker = BareRelay { uplink, to, stop: Arc::clone(&stop) }.start();
    let socket = UdpSocket::bind("127.0.0.1:0").context("a socket")?;
    let out = socket.try_clone().context("a socket")?;
    let mut lessor = Lessor::new(socket, testbed.key(), None, SessionId([3; 16]), relay);
    let sent = stream(options, crossing, &mut lessor, &out, relay)?;
    thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let (cpu, came) = worker.join().expect("it does not panic");
    Ok(Turn { cpu: cpu / gib(came), came: came as f64 / sent as f64 })
}

struct BareRelay {
    uplink: Uplink,
    to: Vec<Destination>,
    stop: Arc<AtomicBool>,
}

impl BareRelay {
    /// Returns the processor time and the number of datagrams in the end.
    fn start(mut self) -> JoinHandle<(f64, u64)> {
        thread::spawn(move || {
            let (mut batch, mut came) = (Batch::default(), 0);
            while !self.stop.load(Ordering::Relaxed) {
                while self.uplink.receive(Inlet::Host, &mut batch).is_ok_and(|received| received > 0) {
                    came += forward(&mut self.uplink, &batch, &self.to);
                }
                thread::sleep(NAP);
            }
            (schedstat("/proc/thread-self/schedstat").unwrap_or(f64::NAN), came)
        })
    }
}

fn forward(uplink: &mut Uplink, batch: &Batch, to: &[Destination]) -> u64 {
    let (mut train, mut came) = (Train::default(), 0);
    for (_, datagram) in batch.datagrams() {
        came += 1;
        if !train.push(datagram) {
            uplink.forward(&train, to, &mut Progress::default());
            train = Train::default();
            train.push(datagram);
        }
    }
    uplink.forward(&train, to, &mut Progress::default());
    came
}

/// Sends symbols at the rate, and renews the lease each second; returns how many datagrams.
fn stream(
    options: &Relaying,
    crossing: Crossing,
    lessor: &mut Lessor,
    out: &UdpSocket,
    relay: SocketAddr,
) -> Result<u64> {
    let segment = i32::try_from(DATAGRAM_BYTES).expect("small");
    let mut batch = vec![0; BATCH * DATAGRAM_BYTES];
    let (mut sent, started) = (0, Instant::now());
    while sent * (DATAGRAM_BYTES as u64) < options.mib << 20 {
        lessor.symbols_into(&mut batch);
        match crossing {
            Crossing::Whole => {
                setsockopt(out, sockopt::UdpGsoSegment, &segment)?;
                out.send_to(&batch, relay)?;
            }
            Crossing::Singly => {
                for datagram in batch.chunks(DATAGRAM_BYTES) {
                    out.send_to(datagram, relay)?;
                }
            }
        }
        sent += BATCH as u64;
        lessor.keep();
        let due = Duration::from_secs_f64(8.0 * (sent * DATAGRAM_BYTES as u64) as f64 / options.rate / 1e9);
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    setsockopt(out, sockopt::UdpGsoSegment, &0)?;
    Ok(sent)
}

/// Hosts that take batches and read none.
fn children(count: usize) -> Result<Vec<UdpSocket>> {
    let child = |_| {
        let child = UdpSocket::bind("127.0.0.1:0").context("a socket")?;
        setsockopt(&child, sockopt::UdpGroSegment, &true)?;
        Ok(child)
    };
    (0..count).map(child).collect()
}

/// Returns the processor time of all threads of a process, in seconds.
fn cpu_of(pid: u32) -> Result<f64> {
    let mut seconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        seconds += schedstat(&format!("{}/schedstat", task?.path().display()))?;
    }
    Ok(seconds)
}

/// Reads the time on a processor, the first field in nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
fn schedstat(path: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let nanos: f64 = text.split(' ').next().unwrap_or_default().parse().with_context(|| path.to_owned())?;
    Ok(nanos / 1e9)
}

fn gib(datagrams: u64) -> f64 {
    (datagrams * DATAGRAM_BYTES as u64) as f64 / (1u64 << 30) as f64
}

/// Datagrams of a batch.
const BATCH: usize = 44;

/// How long the bare relay leaves its socket alone.
const NAP: Duration = Duration::from_micros(300);
