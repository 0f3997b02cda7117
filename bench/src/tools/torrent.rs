//! BitTorrent: opentracker and a seeding aria2 on the sender, an aria2 on each receiver, which continues to serve the
//! others when it is done.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use super::{Direction, Line, Tool, package_version};
use crate::run::{Host, Site};

/// opentracker and aria2.
#[derive(Debug, Clone, Copy)]
pub struct Torrent;

impl Tool for Torrent {
    fn name(&self) -> &'static str {
        "bittorrent"
    }

    fn about(&self) -> String {
        format!(
            "{}, {}; aria2 everywhere, receivers serve each other; not encrypted, pieces verified with SHA-1",
            package_version("aria2"),
            package_version("opentracker")
        )
    }

    fn direction(&self) -> Direction {
        Direction::Pull
    }

    fn prepare(&self, site: &Site) -> Result<()> {
        let Site { directory, image, hosts, .. } = site;
        let torrent = directory.join(TORRENT);
        let announce = format!("http://{}:{PORT}/announce", site.sender);
        let create = format!("-l {PIECE_LOG2} -d -n image -a {announce}");
        output(&Line::new("mktorrent", &create).path("-o", &torrent).path("", &image.path))?;
        // Debian's opentracker serves only listed torrents.
        let description = output(&Line::new("aria2c", "--no-conf -S").path("", &torrent))?;
        let hash = info_hash(&description)?;
        fs::write(directory.join(WHITELIST), format!("{hash}\n"))
            .context("cannot write the tracker's list")?;
        for host in hosts {
            hook(&host.directory)?;
        }
        Ok(())
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        let tracker = format!("-i {} -p {PORT} -P {PORT} -w {WHITELIST}", site.sender);
        let seeder = format!("{USUAL} --bt-seed-unverified=true");
        let above = site.image.path.parent().context("the image lies in a directory")?;
        Ok(vec![
            Line::new("opentracker", &tracker).path("-d", &site.directory),
            Line::new("aria2c", &seeder).path("--dir", above).path("", site.directory.join(TORRENT)),
        ])
    }

    fn receiver(&self, site: &Site, host: &Host) -> Line {
        Line::new("aria2c", USUAL)
            .path("--on-bt-download-complete", host.directory.join(HOOK))
            .path("--dir", &host.directory)
            .path("", site.directory.join(TORRENT))
    }

    fn is_ready(&self, site: &Site, _host: Option<&Host>, _process: &Process) -> bool {
        let seeds = site.lab().inside(Lab::SENDER, || scrape(site.sender));
        seeds.is_ok_and(|answer| answer.contains("8:completei1e"))
    }

    fn is_done(&self, _site: &Site, host: &Host, _process: &mut Process) -> Result<bool> {
        Ok(host.directory.join(MARK).exists())
    }
}

/// Writes a script that aria2 calls when the last piece has arrived.
fn hook(directory: &Path) -> Result<()> {
    let hook = directory.join(HOOK);
    let script = format!("#!/bin/sh\n: > '{}'\n", directory.join(MARK).display());
    fs::write(&hook, script).context("cannot write a hook")?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).context("cannot make a hook executable")
}

/// Returns the tracker's state of all torrents.
fn scrape(tracker: Ipv4Addr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((tracker, PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /scrape HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn info_hash(description: &str) -> Result<&str> {
    let hash = description.lines().find_map(|line| line.strip_prefix("Info Hash: ")).map(str::trim);
    let hash = hash.context("aria2c -S tells the info hash")?;
    ensure!(hash.len() == 40, "an info hash of {} digits", hash.len());
    Ok(hash)
}

fn output(line: &Line) -> Result<String> {
    let output =
        Command::new(line.program()?).args(&line.arguments).output().context("cannot run a program")?;
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        line.name(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// No traffic except with the tracker and its peers; no limit for them; seeding until the process is ended.
const USUAL: &str = "--no-conf --quiet --enable-dht=false --enable-dht6=false --bt-enable-lpd=false \
     --enable-peer-exchange=true --interface=eth0 --seed-ratio=0.0 --bt-max-peers=0 \
     --bt-request-peer-speed-limit=10000M --file-allocation=none --bt-tracker-interval=1 --disk-cache=64M";
const TORRENT: &str = "image.torrent";
const WHITELIST: &str = "whitelist";
const HOOK: &str = "hook";
const MARK: &str = "complete";
const PORT: u16 = 6969;
/// Pieces of 1 MiB: small enough to spread early, large enough to be few.
const PIECE_LOG2: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_info_hash_is_read_from_the_description() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let text = format!(
            "*** BitTorrent File Information ***\nMode: single\nInfo Hash: {hash}\nPiece Length: 1.0MiB\n"
        );
        assert_eq!(info_hash(&text).expect("it is there"), hash);
        assert!(info_hash("Mode: single\n").is_err());
    }
}
