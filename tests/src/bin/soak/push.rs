//! One push, and whether its report was true.

use std::fmt;
use std::fs;
use std::time::Duration;

use glancecast_testkit::Rng;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::{Push, Testbed};

use crate::hosts::Hosts;

/// A running push.
pub(crate) struct Running<'a> {
    testbed: &'a Testbed,
    push: Push,
    name: String,
    blake3: String,
    expected: Vec<String>,
    killed: bool,
}

/// The outcomes of all pushes.
#[derive(Default)]
pub(crate) struct Tally {
    ended: u32,
    complete: u32,
    killed: u32,
    done: u32,
    not_done: u32,
    told: u32,
}

impl<'a> Running<'a> {
    /// Starts a push to some hosts, mostly to all.
    pub(crate) fn start(testbed: &'a Testbed, hosts: &Hosts<'_>, number: u32, rng: &mut Rng) -> Self {
        let mut expected = hosts.names();
        if rng.one_in(3) {
            expected.retain(|_| rng.one_in(2));
        }
        if expected.is_empty() {
            expected = hosts.names();
        }
        Self::start_to(testbed, expected, number, rng)
    }

    fn start_to(testbed: &'a Testbed, expected: Vec<String>, number: u32, rng: &mut Rng) -> Self {
        let name = format!("image-{number}");
        let path = testbed.path(&name);
        let blake3 = image::random(&path, size(rng), Seed::new(rng.number()));
        let file = path.to_str().expect("UTF-8");
        let names = expected.join(",");
        let options =
            ["--file", file, "--name", &name, "--hosts", &names, "--rate", "200mbit", "--timeout", "60s"];
        Self {
            testbed,
            push: testbed.push_as(&format!("push-{number}"), &options),
            name,
            blake3,
            expected,
            killed: false,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.killed = true;
        self.push.process.signal(nix::sys::signal::Signal::SIGKILL);
    }

    /// Once the push has ended, checks its report and removes the image.
    pub(crate) fn has_ended(&mut self, hosts: &Hosts<'_>, tally: &mut Tally) -> bool {
        if self.push.process.runs() {
            assert!(self.push.process.age() < LONGEST, "{} does not end", self.name);
            return false;
        }
        if self.killed {
            tally.killed += 1;
            for host in &self.expected {
                hosts.holds(host, &self.name, &self.blake3); // what is there is right
            }
        } else {
            self.check(hosts, tally);
        }
        tally.ended += 1;
        hosts.remove(&self.name);
        fs::remove_file(self.testbed.path(&self.name)).expect("the image is there");
        true
    }

    fn check(&mut self, hosts: &Hosts<'_>, tally: &mut Tally) {
        let (_, report) = self.push.report(LONGEST);
        assert_eq!(report.root.as_deref().unwrap_or(&self.blake3), self.blake3, "{}", self.name);
        for host in &self.expected {
            let row = report.host(host);
            let held = hosts.holds(host, &self.name, &self.blake3);
            let done = ["done", "existing"].contains(&row.state.as_str());
            assert!(held || !done, "{host} is said to hold {}, and does not: {row:?}", self.name);
            assert!(done || row.reason.is_some(), "{host} is not done, and nothing says why: {row:?}");
            *(if done { &mut tally.done } else { &mut tally.not_done }) += 1;
        }
        let complete = report.outcome == "complete";
        let all =
            self.expected.iter().all(|host| ["done", "existing"].contains(&report.host(host).state.as_str()));
        assert_eq!(complete, all, "{}: {report:?}", self.name);
        tally.complete += u32::from(complete);
    }
}

/// Checks that a push succeeds with all hosts alive.
pub(crate) fn last(testbed: &Testbed, hosts: &Hosts<'_>, rng: &mut Rng) {
    let mut push = Running::start_to(testbed, hosts.names(), 0, rng);
    let (_, report) = push.push.report(LONGEST);
    for host in &push.expected {
        assert_eq!(report.host(host).state, "done", "{:?}", report.host(host));
        assert!(hosts.holds(host, &push.name, &push.blake3));
    }
}

/// Whether a file has the name of a published image.
pub(crate) fn is_image(name: &str) -> bool {
    name.strip_prefix("image-").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Draws a size from 0 to 64 MiB, biased to small ones.
fn size(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => rng.below(3),
        1 => rng.below(4096),
        2 => rng.below(2 << 20),
        _ => rng.below((64 << 20) + 1),
    }
}

impl Tally {
    /// Whether ten more pushes have ended since this was last true.
    pub(crate) fn due(&mut self) -> bool {
        let due = self.ended >= self.told + 10;
        if due {
            self.told = self.ended;
        }
        due
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ended, complete, killed, done, not_done, .. } = self;
        write!(
            f,
            "{ended} pushes: {complete} complete, {killed} killed; {done} copies, {not_done} hosts without one"
        )
    }
}

/// The timeout of a push, and what a busy machine takes to end it.
const LONGEST: Duration = Duration::from_secs(75);
