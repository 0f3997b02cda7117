//! Where the time went: threads by the processor time they took, stages by the time between their beginning and end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use glancecast_bench::lab::machine::Machine;
use glancecast_bench::lab::threads::ThreadTime;
use glancecast_bench::push::{Pushed, Side, StageTime};
use serde::Serialize;

use crate::arguments::Arguments;

/// All runs.
#[derive(Debug, Serialize)]
pub(crate) struct Pipe {
    pub(crate) machine: Machine,
    pub(crate) network: String,
    pub(crate) receivers: usize,
    pub(crate) loss_per_mille: u32,
    pub(crate) image_bytes: u64,
    pub(crate) rate: String,
    /// Of the run in the middle, by its seconds: two sentences, a line each.
    pub(crate) bottleneck: String,
    /// By their seconds.
    pub(crate) runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    /// From the start of the sender to the end of the last receiver.
    pub(crate) seconds: f64,
    /// By the sender's clock, which starts later.
    pub(crate) push_seconds: f64,
    /// To each receiver.
    pub(crate) gbit_s: f64,
    pub(crate) datagram_bytes: u64,
    pub(crate) sender: Profile,
    /// The mean of the receivers.
    pub(crate) receiver: Profile,
    /// Datagrams lost on the way, all receivers together, and those of them that their sockets dropped.
    pub(crate) lost: u64,
    pub(crate) socket_drops: u64,
}

/// One program.
#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    /// `sender` or `receiver`.
    pub(crate) program: &'static str,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gib: f64,
    /// The part of them in the kernel.
    pub(crate) kernel_share: f64,
    pub(crate) resident_bytes_max: u64,
    /// Symbols sent, or received.
    pub(crate) datagrams: f64,
    pub(crate) threads: Vec<ThreadTime>,
    pub(crate) stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) stage: String,
    /// What the names of the threads that do it begin with.
    pub(crate) thread: &'static str,
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
    pub(crate) bytes_per_second: f64,
    /// By all of the program's datagrams, also those that this stage had nothing to do with.
    pub(crate) ns_per_datagram: f64,
}

impl Pipe {
    pub(crate) fn new(arguments: &Arguments, mut runs: Vec<Run>) -> Self {
        runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let network = match (arguments.loopback, arguments.one_packet_a_call) {
            (true, _) => "loopback",
            (false, false) => "namespaces, batches cross whole",
            (false, true) => "namespaces, one packet a call",
        };
        let (machine, middle) = (Machine::this(), &runs[runs.len() / 2]);
        let processors = middle.processors(machine.cores, arguments.receivers);
        let bottleneck = format!("{}\n{processors}", middle.bottleneck());
        Self {
            machine,
            network: network.to_owned(),
            receivers: arguments.receivers,
            loss_per_mille: arguments.loss,
            image_bytes: arguments.size,
            rate: arguments.rate.clone(),
            bottleneck,
            runs,
        }
    }

    /// The run in the middle.
    pub(crate) fn middle(&self) -> &Run {
        &self.runs[self.runs.len() / 2]
    }

    /// Writes `pipe.json`, and says where.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join("pipe.json");
        let json = serde_json::to_string_pretty(self).context("results are plain data")? + "\n";
        fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Run {
    pub(crate) fn new(pushed: &Pushed) -> Self {
        let report = &pushed.report;
        let gib = report.object.bytes as f64 / f64::from(1 << 30);
        let sender_stages: Vec<StageTime> = report
            .stages
            .iter()
            .map(|stage| StageTime { stage: stage.stage.clone(), seconds: stage.seconds, bytes: stage.bytes })
            .collect();
        let received: u64 = report.hosts.iter().map(|host| host.bytes_received).sum();
        let received =
            received as f64 / (report.object.datagram_bytes * report.hosts.len().max(1) as u64) as f64;
        let sender = [&pushed.sender];
        let receivers: Vec<&Side> = pushed.receivers.iter().collect();
        let receiver_stages: Vec<StageTime> =
            pushed.receivers.iter().flat_map(|side| side.stages.iter().cloned()).collect();
        Self {
            seconds: pushed.seconds,
            push_seconds: report.seconds,
            gbit_s: pushed.gbit_s(),
            datagram_bytes: report.object.datagram_bytes,
            sender: Profile::new("sender", &sender, &sender_stages, pushed.symbols_sent() as f64, gib),
            receiver: Profile::new("receiver", &receivers, &receiver_stages, received, gib),
            lost: report.hosts.iter().map(|host| host.symbols_lost).sum(),
            socket_drops: report.hosts.iter().map(|host| host.socket_drops).sum(),
        }
    }

    /// The busiest thread and its largest stage, in a sentence.
    pub(crate) fn bottleneck(&self) -> String {
        let threads = [&self.sender, &self.receiver].into_iter().flat_map(|profile| {
            profile
                .threads
                .iter()
                .map(move |thread| (profile, thread, thread.user_seconds + thread.system_seconds))
        });
        let Some((profile, thread, cpu)) = threads.max_by(|one, other| one.2.total_cmp(&other.2)) else {
            return "No thread was seen.".to_owned();
        };
        let own: Vec<&Stage> =
            profile.stages.iter().filter(|stage| stage.is_work_of(&thread.thread)).collect();
        let outside = cpu - own.iter().map(|stage| stage.seconds).sum::<f64>();
        let largest = own.iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let busiest = format!(
            "The busiest thread is the {}'s `{}`, at work for {cpu:.2} of {:.2} s",
            profile.program, thread.thread, self.seconds
        );
        match largest {
            Some(stage) if stage.seconds >= outside => format!(
                "{busiest}; most of that is {}: {:.2} s, {:.0} ns a datagram.",
                stage.stage, stage.seconds, stage.ns_per_datagram
            ),
            _ => format!("{busiest}; most of that is outside of the stages: {outside:.2} s."),
        }
    }
}

impl Run {
    /// How much of the processors was used, and what the most, in a sentence.
    fn processors(&self, cores: usize, receivers: usize) -> String {
        let used = self.sender.cpu_seconds + self.receiver.cpu_seconds * receivers as f64;
        let share = used / (cores as f64 * self.seconds) * 100.0;
        let mut stages: Vec<(&str, &Stage)> = [&self.sender, &self.receiver]
            .into_iter()
            .flat_map(|profile| profile.stages.iter().map(|stage| (profile.program, stage)))
            .collect();
        stages.sort_by(|(_, one), (_, other)| other.ns_per_datagram.total_cmp(&one.ns_per_datagram));
        let largest: Vec<String> = stages
            .iter()
            .take(3)
            .map(|(program, stage)| {
                format!("the {program}'s {} ({:.0} ns)", stage.stage, stage.ns_per_datagram)
            })
            .collect();
        format!(
            "All processes together used {share:.0} % of {cores} processors; the largest stages are {}.",
            largest.join(", ")
        )
    }
}

impl Profile {
    /// The mean of some processes of one program; `datagrams` and `gib` are those of each of them.
    fn new(program: &'static str, sides: &[&Side], stages: &[StageTime], datagrams: f64, gib: f64) -> Self {
        let count = sides.len() as f64;
        let mean = |value: fn(&Side) -> f64| sides.iter().map(|side| value(side)).sum::<f64>() / count;
        let cpu_seconds = mean(|side| side.end.cpu.as_secs_f64());
        let names = if program == "sender" { SENDER_THREADS } else { RECEIVER_THREADS };
        Self {
            program,
            cpu_seconds,
            cpu_seconds_per_gib: cpu_seconds / gib,
            kernel_share: mean(|side| side.end.system.as_secs_f64()) / cpu_seconds,
            resident_bytes_max: sides.iter().map(|side| side.end.resident_bytes_max).max().unwrap_or(0),
            datagrams,
            threads: threads(sides),
            stages: names
                .iter()
                .map(|(thread, name)| Stage::new(thread, name, stages, count, datagrams))
                .collect(),
        }
    }
}

impl Stage {
    fn is_work_of(&self, thread: &str) -> bool {
        self.thread.split(", ").any(|name| thread.starts_with(name))
    }

    fn new(thread: &'static str, name: &str, all: &[StageTime], count: f64, datagrams: f64) -> Self {
        let of_it = || all.iter().filter(|stage| stage.stage == name);
        let seconds = of_it().map(|stage| stage.seconds).sum::<f64>() / count;
        let bytes = of_it().map(|stage| stage.bytes as f64).sum::<f64>() / count;
        Self {
            stage: name.to_owned(),
            thread,
            seconds,
            bytes,
            bytes_per_second: if seconds > 0.0 { bytes / seconds } else { 0.0 },
            ns_per_datagram: seconds * 1e9 / datagrams,
        }
    }
}

/// By name, the busiest first, the mean of the processes; those without any time are left out.
fn threads(sides: &[&Side]) -> Vec<ThreadTime> {
    let mut by_name: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for time in sides.iter().flat_map(|side| &side.threads) {
        let (user, system) = by_name.entry(&time.thread).or_default();
        *user += time.user_seconds / sides.len() as f64;
        *system += time.system_seconds / sides.len() as f64;
    }
    let mut threads: Vec<ThreadTime> = by_name
        .into_iter()
        .filter(|(_, (user, system))| user + system > 0.0)
        .map(|(name, (user, system))| ThreadTime {
            thread: name.to_owned(),
            user_seconds: user,
            system_seconds: system,
        })
        .collect();
    threads.sort_by(|one, other| {
        (other.user_seconds + other.system_seconds).total_cmp(&(one.user_seconds + one.system_seconds))
    });
    threads
}

/// Who does which stage: the beginnings of the threads' names and the stage, in the order of the data's way.
const SENDER_THREADS: &[(&str, &str)] = &[
    ("read", "read"),
    ("read", "hash"),
    ("read", "compress"),
    ("read", "spool"),
    ("read, encode", "encode"),
    ("send", "seal"),
    ("send", "send"),
];
const RECEIVER_THREADS: &[(&str, &str)] = &[
    ("receive", "receive"),
    ("receive", "open"),
    ("block-", "decode"),
    ("block-", "decompress"),
    ("block-", "verify"),
    ("block-", "write"),
    ("publish", "publish"),
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_and_its_largest_stage_have_names() {
        let run = run();
        assert_eq!(
            run.bottleneck(),
            "The busiest thread is the sender's `send`, at work for 1.50 of 2.00 s; \
             most of that is seal: 0.80 s, 800 ns a datagram."
        );
    }

    #[test]
    fn work_that_no_stage_counts_is_named_so() {
        let mut run = run();
        run.receiver.threads[0].user_seconds = 3.0;
        assert!(
            run.bottleneck().contains("`receive`") && run.bottleneck().contains("outside"),
            "{}",
            run.bottleneck()
        );
    }

    #[test]
    fn processors_are_counted_with_those_of_every_receiver() {
        let sentence = run().processors(4, 3);
        assert!(
            sentence.contains("75 % of 4 processors; the largest stages are the sender's seal (800 ns)"),
            "{sentence}"
        );
    }

    /// A million datagrams in two seconds.
    pub(crate) fn run() -> Run {
        let stage = |stage: &str, seconds| StageTime { stage: stage.to_owned(), seconds, bytes: 1 << 30 };
        Run {
            seconds: 2.0,
            push_seconds: 1.9,
            gbit_s: 4.3,
            datagram_bytes: 1468,
            sender: profile("sender", "send", &[stage("seal", 0.8), stage("send", 0.6)]),
            receiver: profile("receiver", "receive", &[stage("open", 0.7)]),
            lost: 0,
            socket_drops: 0,
        }
    }

    fn profile(program: &'static str, thread: &str, stages: &[StageTime]) -> Profile {
        let names = if program == "sender" { SENDER_THREADS } else { RECEIVER_THREADS };
        let time = |user| ThreadTime { thread: thread.to_owned(), user_seconds: user, system_seconds: 0.5 };
        Profile {
            program,
            cpu_seconds: 1.5,
            cpu_seconds_per_gib: 1.5,
            kernel_share: 0.33,
            resident_bytes_max: 1 << 20,
            datagrams: 1e6,
            threads: vec![time(if program == "sender" { 1.0 } else { 0.5 })],
            stages: names.iter().map(|(thread, name)| Stage::new(thread, name, stages, 1.0, 1e6)).collect(),
        }
    }
}
