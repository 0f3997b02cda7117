//! The receivers: killed, restarted, watched, and inspected at the end.

use std::fs;
use std::time::{Duration, Instant};

use glancecast_testkit::Rng;
use glancecast_tests::image;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{RECORDS, SOON, Testbed, list};
use nix::sys::signal::Signal;

use crate::memory::Memory;
use crate::push::is_image;

/// All receivers.
pub(crate) struct Hosts<'a> {
    testbed: &'a Testbed,
    hosts: Vec<Host>,
    /// Samples of the receiver that is never killed.
    memory: Memory,
}

struct Host {
    name: String,
    process: Process,
    /// When a killed receiver starts again.
    back_at: Option<Instant>,
    starts: u32,
}

impl<'a> Hosts<'a> {
    pub(crate) fn start(testbed: &'a Testbed, count: usize) -> Self {
        let hosts = (1..=count).map(|number| {
            let name = format!("r{number}");
            let process = testbed.receiver(&name, &[]).process;
            Host { name, process, back_at: None, starts: 1 }
        });
        let hosts: Vec<Host> = hosts.collect();
        let memory = Memory::new(hosts[0].process.pid());
        Self { testbed, hosts, memory }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Ends one host other than the first, mostly by SIGKILL.
    pub(crate) fn kill_one(&mut self, rng: &mut Rng) {
        let at = 1 + rng.below(self.hosts.len() as u64 - 1) as usize;
        let signal = if rng.one_in(4) { Signal::SIGTERM } else { Signal::SIGKILL };
        let pause = Duration::from_millis(rng.below(2_000));
        let host = &mut self.hosts[at];
        if host.back_at.is_none() {
            host.process.signal(signal);
            host.back_at = Some(Instant::now() + pause);
        }
    }

    /// Restarts the receivers whose time has come.
    pub(crate) fn revive(&mut self) {
        for host in &mut self.hosts {
            if host.back_at.is_some_and(|at| Instant::now() >= at) {
                host.process.wait(SOON);
                host.process = self.testbed.receiver(&host.name, &[]).process;
                host.back_at = None;
                host.starts += 1;
            }
            assert!(host.back_at.is_some() || host.process.runs(), "{} ended by itself", host.name);
        }
    }

    /// Restarts all receivers that are down.
    pub(crate) fn revive_all(&mut self) {
        let down = self.hosts.iter_mut().filter(|host| host.back_at.is_some());
        down.for_each(|host| host.back_at = Some(Instant::now()));
        self.revive();
    }

    pub(crate) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn starts(&self) -> u32 {
        self.hosts.iter().map(|host| host.starts).sum()
    }

    /// Whether a host has a file of this name; asserts that it is the image with this sum.
    pub(crate) fn holds(&self, host: &str, name: &str, blake3: &str) -> bool {
        let path = self.testbed.store(host).join(name);
        let visible = path.exists();
        assert!(!visible || image::blake3_of(&path) == blake3, "{} is not the image", path.display());
        visible
    }

    /// Removes an image from all hosts.
    pub(crate) fn remove(&self, name: &str) {
        for host in &self.hosts {
            // Not all have it.
            let _ = fs::remove_file(self.testbed.store(&host.name).join(name));
        }
    }

    /// Ends all receivers and checks what they leave: files that a push of the same image would resume, and none of
    /// these after a start with `--keep-unfinished none`.
    pub(crate) fn finish(mut self) {
        self.memory.judge();
        let mut unfinished = 0;
        for host in &mut self.hosts {
            assert_eq!(host.process.terminate(SOON).code(), Some(0), "{}", host.name);
            let hidden = others(self.testbed, &host.name);
            assert!(hidden.iter().all(|name| name.starts_with(".glancecast-")), "{}: {hidden:?}", host.name);
            assert!(hidden.len() <= UNFINISHED_MAX, "{}: {hidden:?}", host.name);
            unfinished += hidden.len();
            let mut again = self.testbed.receiver(&host.name, &["--keep-unfinished", "none"]);
            assert_eq!(again.process.terminate(SOON).code(), Some(0), "{}", host.name);
            assert_eq!(others(self.testbed, &host.name), [""; 0], "{}", host.name);
            let store = self.testbed.store(&host.name);
            let gone = |record: &String| !store.join(record.trim_end_matches(".toml")).exists();
            let records: Vec<String> = list(&store.join(RECORDS))
                .into_iter()
                .filter(|file| !file.ends_with(".lock") && gone(file))
                .collect();
            assert_eq!(records, [""; 0], "{}: records of what is not there", host.name);
        }
        println!("unfinished files and journals that were kept for a push to come: {unfinished}");
    }
}

/// Returns the names in a store, except images and the receiver's records.
fn others(testbed: &Testbed, host: &str) -> Vec<String> {
    let names = list(&testbed.store(host)).into_iter();
    names.filter(|name| !is_image(name) && name != RECORDS).collect()
}

/// A file and a journal for each of four objects.
const UNFINISHED_MAX: usize = 8;
