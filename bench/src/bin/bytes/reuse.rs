//! Pushes to hosts that already hold most of the image, in an older image or from an interrupted push.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use glancecast_bench::case::Ground;
use glancecast_bench::content::Image;
use glancecast_bench::glancecast::{By, Programs, Stored, make_state};
use glancecast_bench::lab::network::Network;
use glancecast_bench::micro::Numbers;
use glancecast_bench::record::Run;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;
use nix::sys::signal::Signal;

use crate::{run, ways};

/// Pushes to two receivers that hold an older image in which 5 % of the blocks differ.
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
    let run = push(ground, stored.into(), &["--base", "older"], changed.len());
    fs::remove_file(base)?;
    run
}

/// Pushes to two receivers: one has the image, and one has an interrupted push in which 10 blocks are missing.
pub(crate) fn missing(ground: &Ground<'_>) -> Result<Run> {
    let missing = draw(blocks_of(ground.image), 10, ground.image);
    let store = ground.directory.join("interrupted");
    fs::create_dir_all(&store)?;
    interrupt(ground, &store).context("a push to interrupt")?;
    let whole = Stored { receiver: 1, file: ground.image.path.clone(), name: "image".into(), by: By::Link };
    let mut stored = vec![whole];
    for (name, file) in unfinished(&store) {
        if name.ends_with(".part") {
            write_all_but(ground.image, &missing, &file)?;
        }
        stored.push(Stored { receiver: 2, file, name, by: By::Move });
    }
    let run = push(ground, stored, &[], missing.len());
    fs::remove_dir_all(store)?;
    run
}

/// Begins a push, and kills both sides as soon as there is an unfinished image.
fn interrupt(ground: &Ground<'_>, store: &Path) -> Result<()> {
    let network = Network { receivers: 1, line_bits_per_second: None, ..ground.network.clone() };
    let (site, programs) = (ground.site_of(&network)?, Programs::ours());
    let common = format!("--insecure --interface {}", Lab::INTERFACE);
    let start = |host, line| {
        Ok::<_, anyhow::Error>(Process::start(host, site.command(host, &line)?, &site.directory))
    };
    make_state(&site, "r1")?;
    let line = programs.receiver(&site, "r1", &format!("{common} --name r1"));
    let mut receiver = start("r1", line.path("--store", format!("directory:{}", store.display())))?;
    receiver.wait_for_log(" listening", PATIENCE);
    let line = programs.push(&site, &format!("{common} --rate 100mbit --expect 1"));
    let mut sender = start(Lab::SENDER, line.path("--file", &ground.image.path))?;
    let begin = Instant::now();
    while !unfinished(store).iter().any(|(_, file)| is_begun(file)) {
        ensure!(receiver.runs() && sender.runs() && begin.elapsed() < PATIENCE, "nothing comes");
        sleep(Duration::from_millis(5));
    }
    for process in [&mut receiver, &mut sender] {
        process.signal(Signal::SIGKILL);
        process.wait(PATIENCE);
    }
    Ok(())
}

/// Returns the files of an interrupted push: the image and the journal.
fn unfinished(store: &Path) -> Vec<(String, PathBuf)> {
    let names = fs::read_dir(store).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.ends_with(".part") || name.ends_with(".journal"))
        .map(|name| (name.clone(), store.join(name)))
        .collect()
}

/// Whether some blocks of a file are on the disk. The file may be renamed meanwhile.
fn is_begun(file: &Path) -> bool {
    file.metadata().is_ok_and(|file| file.blocks() * 512 > 2 * BLOCK)
}

/// Writes the file as the push would have left it some time later.
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

fn push(ground: &Ground<'_>, stored: Vec<Stored>, options: &[&str], lacking: usize) -> Result<Run> {
    let mut site = ground.site()?;
    site.warm = false;
    let mut push = ways::push(ground, options);
    push.stored = stored;
    let pushed = push.push(&site)?;
    let (report, object, ran) = (&pushed.report, &pushed.report.object, &pushed.ran);
    let symbols = lacking as u64 * object.block_bytes.div_ceil(object.symbol_bytes);
    let least = symbols * object.datagram_bytes;
    let of_them = pushed.bytes_of("source") + pushed.bytes_of("repair");
    let details = format!(
        "{lacking} blocks are lacking, {least} bytes of datagrams: {:.4} x of them sent, symbols alone {:.4} x; {} blocks \
         not sent; announcements {}, manifest {}, polls {} bytes; CPU {:.2} and {:.2} s",
        report.wire.bytes as f64 / least as f64,
        of_them as f64 / least as f64,
        report.spared.blocks,
        pushed.bytes_of("announce"),
        pushed.bytes_of("manifest"),
        pushed.bytes_of("poll"),
        pushed.sender().end.cpu.as_secs_f64(),
        ran.receivers[1].end.cpu.as_secs_f64(),
    );
    let mut run = run(ran.seconds, report.wire.bytes, Some(ran.allocated_bytes), &details);
    run.figures.insert("least_bytes".to_owned(), least as f64);
    Ok(run)
}

/// Draws different blocks, the same ones for the same image.
fn draw(blocks: u64, count: u64, image: &Image) -> BTreeSet<u64> {
    let mut numbers = Numbers(u64::from_str_radix(&image.blake3[..16], 16).expect("hex"));
    let mut drawn = BTreeSet::new();
    while (drawn.len() as u64) < count.min(blocks) {
        drawn.insert(numbers.below(blocks));
    }
    drawn
}

fn blocks_of(image: &Image) -> u64 {
    image.bytes.div_ceil(BLOCK)
}

/// The block size for images of this length.
const BLOCK: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
