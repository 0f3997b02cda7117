//! udpcast: multicast in slices, each acknowledged by every receiver.

use anyhow::Result;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use super::{Line, Tool, package_version};
use crate::run::{Host, Site};

/// udpcast, through zstd or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Udpcast {
    /// Whether the sender compresses with `zstd -1`, and the receivers decompress.
    pub through_zstd: bool,
}

impl Tool for Udpcast {
    fn name(&self) -> &'static str {
        "udpcast"
    }

    fn about(&self) -> String {
        format!("{}; neither encrypted nor authenticated, copies not verified", package_version("udpcast"))
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
        let line = Line::new("udp-sender", &usual).path("--file", &site.image.path);
        Ok(vec![if self.through_zstd { line.path("--pipe", "zstd -1 -q -c") } else { line }])
    }

    fn receiver(&self, _site: &Site, host: &Host) -> Line {
        let usual =
            format!("--interface {} --nokbd --no-progress --rcvbuf {RECEIVE_BUFFER_BYTES}", Lab::INTERFACE);
        let line = Line::new("udp-receiver", &usual).path("--file", host.directory.join("image"));
        if self.through_zstd { line.path("--pipe", "zstd -d -q") } else { line }
    }

    fn is_ready(&self, _site: &Site, _host: Option<&Host>, process: &Process) -> bool {
        // Logged when its sockets are open.
        process.log_lines().iter().any(|line| line.contains("UDP receiver for"))
    }

    fn is_done(&self, site: &Site, host: &Host, _process: &mut Process) -> Result<bool> {
        // It writes in order, and continues for half a second after the last byte to repeat its last answer.
        Ok(self.copy(host).metadata().is_ok_and(|file| file.len() == site.image.bytes))
    }
}

/// Share of the line, which includes headers.
const LINE_SHARE: f64 = 0.97;
/// More than the kernel's default.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
