//! What hosts hold already: nearly all of the image in an older one, or in what an interrupted push has left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use glancecast_bench::lab::network::Network;
use glancecast_bench::push::{By, Image, Place, Push, Pushed, Stored};
use glancecast_tests::netns::Lab;
use glancecast_tests::places;
use glancecast_tests::process::Process;
use nix::sys::signal::Signal;

use crate::record::Run;
use crate::ways::{Ground, network, rate};

/// Two receivers hold an older image in which 5 % of the blocks are others.
pub(crate) fn changed(ground: &Ground<'_>) -> Result<Run> {
    let blocks = blocks_of(ground.image);
    let changed = draw(blocks, blocks / 20, ground.image);
    let base = ground.directory.join("base");
    fs::copy(&ground.image.path, &base).context("room for a base")?;
    let file = File::options().read(true).write(true).open(&base)?;
    for &block in &changed {
        let mut byte = [0];
        file.read_exact_at(&mut byte, block * BLOCK + 1234)?;
        file.write_all_at(&[!byte[0]], block * BLOCK + 1234)?;
    }
    let stored =
        [1, 2].map(|receiver| Stored { receiver, file: base.clone(), name: "older".into(), by: By::Link });
    let run = push(ground, &stored, &["--base", "older"]).map(|pushed| run(&pushed, changed.len()));
    fs::remove_file(base)?;
    run
}

/// One receiver has the image; the other what a push has left that ended when 10 blocks were missing.
pub(crate) fn missing(ground: &Ground<'_>) -> Result<Run> {
    let missing = draw(blocks_of(ground.image), 10, ground.image);
    let store = ground.directory.join("interrupted");
    fs::create_dir_all(&store)?;
    interrupt(ground, &store).context("a push to interrupt")?;
    let mut stored = vec![Stored {
        receiver: 1,
        file: ground.image.path.clone(),
        name: name_of(ground.image)?,
        by: By::Link,
    }];
    for (name, file) in unfinished(&store) {
        if name.ends_with(".part") {
            write_all_but(ground.image, &missing, &file)?;
        }
        stored.push(Stored { receiver: 2, file, name, by: By::Move });
    }
    let run = push(ground, &stored, &[]).map(|pushed| run(&pushed, missing.len()));
    fs::remove_dir_all(store)?;
    run
}

/// Begins a push, and kills both sides as soon as there is an unfinished image.
fn interrupt(ground: &Ground<'_>, store: &Path) -> Result<()> {
    let lab = Lab::build(&network(ground, 1).shape(None));
    let common = ["--insecure", "--interface", Lab::INTERFACE];
    let mut receiver = lab.command("r1", &places::program("glancecastd"));
    receiver.args(common).args(["--name", "r1", "--store"]).arg(format!("directory:{}", store.display()));
    receiver.stdin(Stdio::null());
    let mut receiver = Process::start("interrupted-r1", receiver, ground.directory);
    receiver.wait_for_log(" listening", PATIENCE);
    let mut sender = lab.command(Lab::SENDER, &places::program("glancecast"));
    sender
        .arg("send")
        .args(common)
        .args(["--rate", "100mbit", "--expect", "1", "--file"])
        .arg(&ground.image.path);
    sender.stdin(Stdio::null());
    let mut sender = Process::start("interrupted-sender", sender, ground.directory);
    let begin = Instant::now();
    while !unfinished(store).iter().any(|(_, file)| allocated(file) > 2 * BLOCK) {
        ensure!(receiver.runs() && sender.runs() && begin.elapsed() < PATIENCE, "nothing comes");
        sleep(Duration::from_millis(5));
    }
    for process in [&mut receiver, &mut sender] {
        process.signal(Signal::SIGKILL);
        process.wait(PATIENCE);
    }
    Ok(())
}

/// What an interrupted push has left: its image and its journal.
fn unfinished(store: &Path) -> Vec<(String, PathBuf)> {
    let names = fs::read_dir(store).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.ends_with(".part") || name.ends_with(".journal"))
        .map(|name| (name.clone(), store.join(name)))
        .collect()
}

/// As the push would have left it some time later.
fn write_all_but(image: &Image, missing: &BTreeSet<u64>, file: &Path) -> Result<()> {
    let (from, to) = (File::open(&image.path)?, File::options().write(true).open(file)?);
    to.set_len(0)?;
    to.set_len(image.bytes)?;
    let mut bytes = vec![0; BLOCK as usize];
    for block in (0..blocks_of(image)).filter(|block| !missing.contains(block)) {
        let len = (image.bytes - block * BLOCK).min(BLOCK) as usize;
        from.read_exact_at(&mut bytes[..len], block * BLOCK)?;
        to.write_all_at(&bytes[..len], block * BLOCK)?;
    }
    Ok(())
}

fn push(ground: &Ground<'_>, stored: &[Stored], options: &[&str]) -> Result<Pushed> {
    let network: Network = network(ground, 2);
    let lab = Lab::build(&network.shape(network.tc_rate().as_deref()));
    let spool = ground.directory.to_string_lossy();
    Push {
        place: Place::In(&lab),
        receivers: 2,
        image: ground.image,
        directory: &ground.directory.join("push"),
        rate: &rate(&network),
        options: &[],
        sender_options: &[&["--spool", &spool], options].concat(),
        stored,
        warm: false,
        profile: false,
        limit: ground.limit,
    }
    .run()
}

fn run(pushed: &Pushed, lacking: usize) -> Run {
    let (report, object) = (&pushed.report, &pushed.report.object);
    let symbols = lacking as u64 * object.block_bytes.div_ceil(object.symbol_bytes);
    let least = symbols * object.datagram_bytes;
    let bytes = |kind: &str| report.wire.kinds.get(kind).map_or(0, |kind| kind.bytes);
    let of_them = bytes("source") + bytes("repair");
    Run {
        seconds: Some(pushed.seconds),
        wire_bytes: report.wire.bytes,
        least_bytes: Some(least),
        allocated_bytes: Some(pushed.allocated_bytes),
        details: format!(
            "{lacking} blocks are lacking, {least} bytes of datagrams: {:.4} x of them sent, symbols alone {:.4} x; {} blocks \
             spared; announcements {}, manifest {}, polls {} bytes; CPU {:.2} and {:.2} s",
            report.wire.bytes as f64 / least as f64,
            of_them as f64 / least as f64,
            report.spared.blocks,
            bytes("announce"),
            bytes("manifest"),
            bytes("poll"),
            pushed.sender.end.cpu.as_secs_f64(),
            pushed.receivers[1].end.cpu.as_secs_f64(),
        ),
    }
}

/// So many different blocks, the same for the same image.
fn draw(blocks: u64, count: u64, image: &Image) -> BTreeSet<u64> {
    let mut state = u64::from_str_radix(&image.blake3[..16], 16).expect("hex");
    let mut drawn = BTreeSet::new();
    while (drawn.len() as u64) < count.min(blocks) {
        // Knuth's constants for a linear congruential generator; its high bits are good enough to draw by.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        drawn.insert((state >> 33) % blocks);
    }
    drawn
}

fn blocks_of(image: &Image) -> u64 {
    image.bytes.div_ceil(BLOCK)
}

fn name_of(image: &Image) -> Result<String> {
    Ok(image.path.file_name().context("an image has a name")?.to_string_lossy().into_owned())
}

fn allocated(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512)
}

/// Of images of this length.
const BLOCK: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
