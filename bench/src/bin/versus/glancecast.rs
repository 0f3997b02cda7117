//! glancecast's command lines.

use std::process::Stdio;

use anyhow::{Result, ensure};
use glancecast_bench::push::ANY_SENDER;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use crate::run::Ground;
use crate::tool::{Direction, Host, Line, Site, Tool};

pub(crate) struct Glancecast;

impl Tool for Glancecast {
    fn name(&self) -> &'static str {
        "glancecast"
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn note(&self) -> &'static str {
        "encrypted and authenticated (AES-GCM under a group key), every copy proven with BLAKE3 before it gets its name"
    }

    fn direction(&self) -> Direction {
        Direction::Push
    }

    fn prepare(&self, ground: &Ground<'_>) -> Result<()> {
        let line = Line::new("glancecast", "keygen").path("", ground.site.directory.join(KEY));
        let status =
            line.command(ground, Lab::SENDER)?.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "glancecast keygen ended with {status}");
        Ok(())
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        let rate = site.network.paced(LINE_SHARE).unwrap_or(unshaped(site.hosts.len()));
        let usual = format!(
            "send --interface {} --group {GROUP} --rate {}kbit --expect {} --json",
            Lab::INTERFACE,
            rate / 1000,
            site.hosts.len()
        );
        Ok(vec![
            Line::new("glancecast", &usual)
                .path("--key", site.directory.join(KEY))
                .path("--file", &site.image),
        ])
    }

    fn receiver(&self, site: &Site, host: &Host) -> Line {
        let senders = ANY_SENDER.join(" ");
        let usual =
            format!("--once --name {} --interface {} --group {GROUP} {senders}", host.name, Lab::INTERFACE);
        let store = format!("directory:{}", host.directory.display());
        Line::new("glancecastd", &usual).path("--key", site.directory.join(KEY)).path("--store", store)
    }

    fn is_ready(&self, _ground: &Ground<'_>, _host: Option<&Host>, process: &Process) -> bool {
        process.log_lines().iter().any(|line| line.contains(" listening"))
    }

    fn is_done(&self, _ground: &Ground<'_>, _host: &Host, process: &mut Process) -> Result<bool> {
        // It leaves with 0 when the copy is proven and has its name.
        Ok(process.poll().is_some_and(|end| end.code() == Some(0)))
    }
}

/// Of the line: the rate counts what tbf counts, and answers of other hosts and the kernel's own packets need some.
const LINE_SHARE: f64 = 0.985;
/// Bits a second where no line limits: more than one receiver takes on two cores, and for several, which share the cores
/// with the sender, about what they can take; above that they drop, and ask again.
fn unshaped(receivers: usize) -> u64 {
    if receivers == 1 { 20_000_000_000 } else { 18_000_000_000 / receivers as u64 }
}

const GROUP: &str = "239.255.77.2:27078";
const KEY: &str = "group.key";
