//! UFTP: multicast at a fixed rate in passes, with negative acknowledgements after each section.

use std::fs;

use anyhow::{Result, ensure};
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use super::{Line, Tool, package_version};
use crate::run::{Host, Site};

/// uftp on the sender, uftpd on the receivers.
#[derive(Debug, Clone, Copy)]
pub struct Uftp;

impl Tool for Uftp {
    fn name(&self) -> &'static str {
        "uftp"
    }

    fn about(&self) -> String {
        format!(
            "{}; its encryption off, which is its faster way: neither authenticated nor verified",
            package_version("uftp")
        )
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        let rate = site
            .network
            .paced(LINE_SHARE)
            .map_or_else(|| AS_FAST_AS_IT_GOES.to_owned(), |rate| (rate / 1000).to_string());
        let hosts: Vec<_> = site.hosts.iter().map(identity).collect();
        let usual = format!(
            "-R {rate} -b {BLOCK_BYTES} -B {BUFFER_BYTES} -r {ROUND_TRIP} -s 50 -I {} -H {}",
            Lab::INTERFACE,
            hosts.join(",")
        );
        Ok(vec![Line::new("uftp", &usual).path("", &site.image.path)])
    }

    fn receiver(&self, _site: &Site, host: &Host) -> Line {
        let usual = format!("-d -q -I {} -U {} -B {BUFFER_BYTES}", Lab::INTERFACE, identity(host));
        Line::new("uftpd", &usual).path("-D", &host.directory).path("-F", host.directory.join(STATUS))
    }

    fn is_ready(&self, site: &Site, host: Option<&Host>, _process: &Process) -> bool {
        let name = host.map_or(Lab::SENDER, |host| host.name.as_str());
        let sockets = site.lab().inside(name, || fs::read_to_string("/proc/thread-self/net/udp"));
        sockets.is_ok_and(|sockets| sockets.contains(PORT_IN_HEX))
    }

    fn is_done(&self, _site: &Site, host: &Host, _process: &mut Process) -> Result<bool> {
        let Ok(status) = fs::read_to_string(host.directory.join(STATUS)) else { return Ok(false) };
        let Some(result) = status.lines().find(|line| line.starts_with("RESULT;")) else { return Ok(false) };
        // The manual has `copy`, version 4.10.2 prints `copied`.
        ensure!(result.contains(";cop"), "{result}");
        Ok(true)
    }
}

/// Returns the host's address as its identity, which is also the default of uftpd.
fn identity(host: &Host) -> String {
    format!("0x{:08X}", u32::from_be_bytes(host.address))
}

/// Share of the line, whose rate UFTP applies to the datagrams' payload.
const LINE_SHARE: f64 = 0.93;
const AS_FAST_AS_IT_GOES: &str = "-1";
/// The manual: "100-200 bytes less than the path MTU".
const BLOCK_BYTES: usize = 1400;
/// The maximum that it accepts.
const BUFFER_BYTES: usize = 104_857_600;
/// Seconds: initial, minimum, maximum. With the default minimum and without `-s 50`, it loses receivers that get no
/// turn on a busy machine.
const ROUND_TRIP: &str = "0.2:0.05:15";
/// Port 1044 as the kernel lists it.
const PORT_IN_HEX: &str = ":0414 ";
const STATUS: &str = "status";
