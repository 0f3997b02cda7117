//! udpcast: multicast in slices, each acknowledged by every receiver.

use anyhow::Result;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use crate::run::Ground;
use crate::tool::{Direction, Host, Line, Site, Tool, package_version};

pub(crate) struct Udpcast;

impl Tool for Udpcast {
    fn name(&self) -> &'static str {
        "udpcast"
    }

    fn version(&self) -> String {
        package_version("udpcast")
    }

    fn note(&self) -> &'static str {
        "neither encrypted nor authenticated, copies not verified"
    }

    fn direction(&self) -> Direction {
        Direction::Push
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        let rate = site
            .network
            .paced(LINE_SHARE)
            .map_or_else(String::new, |rate| format!("--max-bitrate {}k", rate / 1000));
        let usual = format!(
            "--interface {} --full-duplex --nokbd --no-progress --min-receivers {} --rexmit-hello-interval 200 --default-slice-size 1024 {rate}",
            Lab::INTERFACE,
            site.hosts.len()
        );
        Ok(vec![Line::new("udp-sender", &usual).path("--file", &site.image)])
    }

    fn receiver(&self, _site: &Site, host: &Host) -> Line {
        let usual =
            format!("--interface {} --nokbd --no-progress --rcvbuf {RECEIVE_BUFFER_BYTES}", Lab::INTERFACE);
        Line::new("udp-receiver", &usual).path("--file", host.directory.join("image"))
    }

    fn is_ready(&self, _ground: &Ground<'_>, _host: Option<&Host>, process: &Process) -> bool {
        // Said when its sockets are open.
        process.log_lines().iter().any(|line| line.contains("UDP receiver for"))
    }

    fn is_done(&self, ground: &Ground<'_>, host: &Host, _process: &mut Process) -> Result<bool> {
        // It writes in order, and stays for half a second after the last byte to repeat its last answer.
        Ok(self.copy(ground, host).metadata().is_ok_and(|file| file.len() == ground.image_bytes()))
    }
}

/// Of the line, headers included.
const LINE_SHARE: f64 = 0.97;
/// Beyond the kernel's default.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
