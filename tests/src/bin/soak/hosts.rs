//! The receivers: killed, started again, watched, and looked through at the end.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use glancecast_tests::image;
use glancecast_tests::process::Process;
use glancecast_tests::stage::{SOON, Stage, list};
use nix::sys::signal::Signal;

use crate::Dice;

/// All receivers.
pub(crate) struct Hosts<'a> {
    stage: &'a Stage,
    hosts: Vec<Host>,
    /// Resident bytes of the one that is never killed.
    memory: Vec<u64>,
}

struct Host {
    name: String,
    process: Process,
    /// When one that was killed starts again.
    back_at: Option<Instant>,
    starts: u32,
}

impl<'a> Hosts<'a> {
    pub(crate) fn start(stage: &Stage, name: &str) -> Process {
    stage.receiver(name, &["--keep-unfinished", "0s"]).process
}

fn peak(samples: &[u64]) -> u64 {
    samples.iter().copied().max().unwrap_or(0)
}
