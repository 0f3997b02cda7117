//! The receivers: killed, started again, watched, and looked through at the end.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use glancecast_tests::image;
use glancecast_tests::process::Process;
use glancecast_tests::stage::{SOON, Stage, list};
use nix::sys::signal::Signal;

use crate::Dice;
use crate::push::is_image;

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
    pub(crate) fn start(stage: &'a Stage, count: usize) -> Self {
        let hosts = (1..=count).map(|number| {
            let name = format!("r{number}");
            let process = start(stage, &name);
            Host { name, process, back_at: None, starts: 1 }
        });
        Self { stage, hosts: hosts.collect(), memory: Vec::new() }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Ends one host but the first, mostly by SIGKILL.
    pub(crate) fn kill_one(&mut self, dice: &mut Dice) {
        let at = 1 + dice.below(self.hosts.len() as u64 - 1) as usize;
        let signal = if dice.one_in(4) { Signal::SIGTERM } else { Signal::SIGKILL };
        let pause = Duration::from_millis(dice.below(2_000));
        let host = &mut self.hosts[at];
        if host.back_at.is_none() {
            host.process.signal(signal);
            host.back_at = Some(Instant::now() + pause);
        }
    }

    /// Starts those again whose time has come.
    pub(crate) fn revive(&mut self) {
        for host in &mut self.hosts {
            if host.back_at.is_some_and(|at| Instant::now() >= at) {
                host.process.wait(SOON);
                host.process = start(self.stage, &host.name);
                host.back_at = None;
                host.starts += 1;
            }
            assert!(host.back_at.is_some() || host.process.runs(), "{} ended by itself", host.name);
        }
    }

    /// Starts all of them that are down.
    pub(crate) fn revive_all(&mut self) {
        let down = self.hosts.iter_mut().filter(|host| host.back_at.is_some());
        down.for_each(|host| host.back_at = Some(Instant::now()));
        self.revive();
    }

    /// Notes how large the first one is.
    pub(crate) fn watch(&mut self) {
        let pid = self.hosts[0].process.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        self.memory.push(kib << 10);
    }

    pub(crate) fn memory(&self) -> String {
        let starts: u32 = self.hosts.iter().map(|host| host.starts).sum();
        let now = self.memory.last().copied().unwrap_or(0) >> 20;
        format!("r1 {now} MiB resident, {starts} starts of {} hosts", self.hosts.len())
    }

    /// Whether a host holds a file, which then is the image of this sum.
    pub(crate) fn holds(&self, host: &str, name: &str, blake3: &str) -> bool {
        let path = self.stage.store(host).join(name);
        let visible = path.exists();
        assert!(!visible || image::blake3_of(&path) == blake3, "{} is not the image", path.display());
        visible
    }

    /// Removes an image everywhere.
    pub(crate) fn remove(&self, name: &str) {
        for host in &self.hosts {
            // Not all have it.
            let _ = fs::remove_file(self.stage.store(&host.name).join(name));
        }
    }

    /// Ends all of them and looks at what they leave.
    pub(crate) fn finish(mut self) {
        let quarter = self.memory.len() / 4;
        let early = peak(&self.memory[quarter..2 * quarter]);
        let late = peak(&self.memory[3 * quarter..]);
        println!("r1: at most {} MiB in the second quarter, {} MiB in the last", early >> 20, late >> 20);
        assert!(late <= early + early / 4 + (16 << 20), "it grew from {early} to {late} bytes");
        for host in &mut self.hosts {
            assert_eq!(host.process.terminate(SOON).code(), Some(0), "{}", host.name);
        }
        let left: BTreeSet<String> =
            self.hosts.iter().flat_map(|host| list(&self.stage.store(&host.name))).collect();
        assert!(left.iter().all(|name| is_image(name)), "{left:?}");
    }
}

fn start(stage: &Stage, name: &str) -> Process {
    stage.receiver(name, &["--keep-unfinished", "0s"]).process
}

fn peak(samples: &[u64]) -> u64 {
    samples.iter().copied().max().unwrap_or(0)
}
