//! Where the time went: threads by processor time, stages by the time between their start and end.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use glancecast_bench::glancecast::Pushed;
use glancecast_bench::lab::threads::ThreadTime;
use glancecast_bench::record::{Row, Run};
use glancecast_bench::render::table;
use glancecast_bench::run::Ended;
use glancecast_tests::report;
use serde::{Deserialize, Serialize};

/// Both programs.
#[derive(Debug, Serialize, Deserialize)]
struct Profiles {
    sender: Profile,
    /// The mean of the receivers.
    receiver: Profile,
}

/// One program.
#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    /// `sender` or `receiver`.
    program: String,
    cpu_seconds: f64,
    cpu_seconds_per_gib: f64,
    /// The share of the processor time in the kernel.
    kernel_share: f64,
    resident_bytes_max: u64,
    /// Symbols sent or received.
    datagrams: f64,
    threads: Vec<ThreadTime>,
    stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Serialize, Deserialize)]
struct Stage {
    stage: String,
    /// A prefix of the names of the threads that run it.
    thread: String,
    seconds: f64,
    bytes: f64,
    bytes_per_second: f64,
    /// Time per datagram, over all datagrams of the program, including those that skip this stage.
    ns_per_datagram: f64,
}

/// Returns the figures of a push, with its profiles.
pub(crate) fn run(pushed: &Pushed) -> Result<Run> {
    let (report, ran) = (&pushed.report, &pushed.ran);
    let gib = report.object.bytes as f64 / f64::from(1 << 30);
    let hosts = report.hosts.len().max(1) as u64;
    let received: u64 = report.hosts.iter().map(|host| host.bytes_received).sum();
    let received = received as f64 / (report.object.datagram_bytes * hosts) as f64;
    let receiver_stages: Vec<report::Stage> = ran.receivers.iter().flat_map(Ended::stages).collect();
    ensure!(!receiver_stages.is_empty(), "the receivers logged no stages");
    let profiles = Profiles {
        sender: Profile::new("sender", &ran.sender, &report.stages, pushed.symbols_sent() as f64, gib),
        receiver: Profile::new("receiver", &ran.receivers, &receiver_stages, received, gib),
    };
    let sum = |value: fn(&report::Host) -> u64| report.hosts.iter().map(value).sum::<u64>();
    let figures = [
        ("push_seconds", report.seconds),
        ("gbit_s", pushed.gbit_s()),
        ("datagram_bytes", report.object.datagram_bytes as f64),
        ("lost", sum(|host| host.symbols_lost) as f64),
        ("socket_drops", sum(|host| host.socket_drops) as f64),
    ];
    let details = format!(
        "{:.2} s, {:.2} Gbit/s to each receiver; the push alone {:.2} s",
        ran.seconds,
        pushed.gbit_s(),
        report.seconds
    );
    let profile = serde_json::to_value(profiles).context("profiles are plain data")?;
    Ok(Run { profile, ..pushed.figures(&figures, details) })
}

/// Returns the median run's profiles as tables, and the two sentences about the bottleneck.
pub(crate) fn section(row: &Row) -> Result<String> {
    let runs = row.ways.first().context("a push")?;
    let run = runs.middle().context("a push failed")?;
    let profiles = Profiles::deserialize(&run.profile).context("a profile of this version")?;
    let all = runs.runs.iter().filter_map(|run| run.figure("seconds"));
    let all: Vec<String> = all.map(|seconds| format!("{seconds:.2}")).collect();
    let figure = |name: &str| run.figure(name).unwrap_or(f64::NAN);
    let mut text = format!(
        "{:.2} Gbit/s to each ({} s, the push alone {:.2} s); datagrams of {} bytes, {} lost, {} of them in full socket \
         buffers\n",
        figure("gbit_s"),
        all.join(", "),
        figure("push_seconds"),
        figure("datagram_bytes"),
        figure("lost"),
        figure("socket_drops"),
    );
    text += &profiles.sender.tables();
    text += &profiles.receiver.tables();
    let seconds = figure("seconds");
    let processors = profiles.processors(row.machine.cores, row.network.receivers, seconds);
    let _ = writeln!(text, "\n{}\n{processors}", profiles.bottleneck(seconds));
    Ok(text)
}

impl Profiles {
    fn both(&self) -> [&Profile; 2] {
        [&self.sender, &self.receiver]
    }

    /// Returns a sentence about the busiest thread and its largest stage.
    fn bottleneck(&self, seconds: f64) -> String {
        let threads = self
            .both()
            .into_iter()
            .flat_map(|profile| profile.threads.iter().map(move |thread| (profile, thread)));
        let Some((profile, thread)) = threads.max_by(|(_, one), (_, other)| cpu(one).total_cmp(&cpu(other)))
        else {
            return "No thread was seen.".to_owned();
        };
        let own: Vec<&Stage> =
            profile.stages.iter().filter(|stage| stage.is_work_of(&thread.thread)).collect();
        let outside = cpu(thread) - own.iter().map(|stage| stage.seconds).sum::<f64>();
        let largest = own.iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let (program, name, cpu) = (&profile.program, &thread.thread, cpu(thread));
        let busiest =
            format!("The busiest thread is the {program}'s `{name}`, at work for {cpu:.2} of {seconds:.2} s");
        match largest {
            Some(stage) if stage.seconds >= outside => format!(
                "{busiest}; most of that is {}: {:.2} s, {:.0} ns a datagram.",
                stage.stage, stage.seconds, stage.ns_per_datagram
            ),
            _ => format!("{busiest}; most of that is outside of the stages: {outside:.2} s."),
        }
    }

    /// Returns a sentence about the use of the processors and the largest stages.
    fn processors(&self, cores: usize, receivers: usize, seconds: f64) -> String {
        let used = self.sender.cpu_seconds + self.receiver.cpu_seconds * receivers as f64;
        let share = used / (cores as f64 * seconds) * 100.0;
        let mut stages: Vec<(&str, &Stage)> = self
            .both()
            .into_iter()
            .flat_map(|profile| profile.stages.iter().map(|stage| (profile.program.as_str(), stage)))
            .collect();
        stages.sort_by(|(_, one), (_, other)| other.ns_per_datagram.total_cmp(&one.ns_per_datagram));
        let shown = |(program, stage): &(&str, &Stage)| {
            format!("the {program}'s {} ({:.0} ns)", stage.stage, stage.ns_per_datagram)
        };
        let largest: Vec<String> = stages.iter().take(3).map(shown).collect();
        let largest = largest.join(", ");
        format!(
            "All processes together used {share:.0} % of {cores} processors; the largest stages are {largest}."
        )
    }
}

impl Profile {
    /// Returns the mean of some processes of one program. `datagrams` and `gib` are per process.
    fn new(program: &str, ended: &[Ended], stages: &[report::Stage], datagrams: f64, gib: f64) -> Self {
        let count = ended.len() as f64;
        let mean = |value: fn(&Ended) -> f64| ended.iter().map(value).sum::<f64>() / count;
        let cpu_seconds = mean(|ended| ended.end.cpu.as_secs_f64());
        let resident = ended.iter().map(|ended| ended.end.resident_bytes_max);
        Self {
            program: program.to_owned(),
            cpu_seconds,
            cpu_seconds_per_gib: cpu_seconds / gib,
            kernel_share: mean(|ended| ended.end.system.as_secs_f64()) / cpu_seconds,
            resident_bytes_max: resident.max().unwrap_or(0),
            datagrams,
            threads: threads(ended),
            stages: Stage::all(program, stages, count, datagrams),
        }
    }

    fn tables(&self) -> String {
        let mut text = format!(
            "\n{}: {:.2} s of CPU a GiB, {:.0} % of it in the kernel, {} MiB at most, {:.0} symbols\n\n",
            self.program,
            self.cpu_seconds_per_gib,
            self.kernel_share * 100.0,
            self.resident_bytes_max >> 20,
            self.datagrams,
        );
        let rows: Vec<_> = self.stages.iter().map(Stage::cells).collect();
        text += &table(&["stage", "thread", ">seconds", ">GB/s", ">ns a datagram"], &rows);
        let cells = |time: &ThreadTime| {
            vec![
                time.thread.clone(),
                format!("{:.2}", time.user_seconds),
                format!("{:.2}", time.system_seconds),
            ]
        };
        let rows: Vec<_> = self.threads.iter().map(cells).collect();
        text + "\n" + &table(&["thread", ">user s", ">kernel s"], &rows)
    }
}

impl Stage {
    /// Returns the stages of a program, as the mean of its processes.
    fn all(program: &str, times: &[report::Stage], count: f64, datagrams: f64) -> Vec<Self> {
        let stage = |(thread, name): &(&str, &str)| {
            let of_it = || times.iter().filter(|time| time.stage == *name);
            let seconds = of_it().map(|time| time.seconds).sum::<f64>() / count;
            let bytes = of_it().map(|time| time.bytes as f64).sum::<f64>() / count;
            Self {
                stage: (*name).to_owned(),
                thread: (*thread).to_owned(),
                seconds,
                bytes,
                bytes_per_second: if seconds > 0.0 { bytes / seconds } else { 0.0 },
                ns_per_datagram: seconds * 1e9 / datagrams,
            }
        };
        let names = if program == "sender" { SENDER_THREADS } else { RECEIVER_THREADS };
        names.iter().map(stage).collect()
    }

    fn is_work_of(&self, thread: &str) -> bool {
        self.thread.split(", ").any(|name| thread.starts_with(name))
    }

    fn cells(&self) -> Vec<String> {
        // A stage that had nothing to do has no speed.
        let has_speed = self.seconds > 0.001;
        let speed = if has_speed { format!("{:.2}", self.bytes_per_second / 1e9) } else { "-".to_owned() };
        let thread = self.thread.trim_end_matches('-').to_owned();
        let (seconds, ns) = (format!("{:.3}", self.seconds), format!("{:.0}", self.ns_per_datagram));
        vec![self.stage.clone(), thread, seconds, speed, ns]
    }
}

fn cpu(time: &ThreadTime) -> f64 {
    time.user_seconds + time.system_seconds
}

/// Returns the threads by name, busiest first, as the mean of the processes. Idle threads are left out.
fn threads(ended: &[Ended]) -> Vec<ThreadTime> {
    let mut by_name: BTreeMap<&str, ThreadTime> = BTreeMap::new();
    for time in ended.iter().flat_map(|ended| &ended.threads) {
        let none = || ThreadTime { thread: time.thread.clone(), user_seconds: 0.0, system_seconds: 0.0 };
        let sum = by_name.entry(&time.thread).or_insert_with(none);
        sum.user_seconds += time.user_seconds / ended.len() as f64;
        sum.system_seconds += time.system_seconds / ended.len() as f64;
    }
    let mut threads: Vec<ThreadTime> = by_name.into_values().filter(|time| cpu(time) > 0.0).collect();
    threads.sort_by(|one, other| cpu(other).total_cmp(&cpu(one)));
    threads
}

/// The threads of each stage: a prefix of their names, and the stage, in the order of the data path.
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
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_and_its_largest_stage_have_names() {
        assert_eq!(
            profiles().bottleneck(2.0),
            "The busiest thread is the sender's `send`, at work for 1.50 of 2.00 s; \
             most of that is seal: 0.80 s, 800 ns a datagram."
        );
    }

    #[test]
    fn work_that_no_stage_counts_is_named_so() {
        let mut profiles = profiles();
        profiles.receiver.threads[0].user_seconds = 3.0;
        let sentence = profiles.bottleneck(2.0);
        assert!(sentence.contains("`receive`") && sentence.contains("outside"), "{sentence}");
    }

    #[test]
    fn processors_are_counted_with_those_of_every_receiver() {
        let sentence = profiles().processors(4, 3, 2.0);
        let expected = "75 % of 4 processors; the largest stages are the sender's seal (800 ns)";
        assert!(sentence.contains(expected), "{sentence}");
    }

    #[test]
    fn a_stage_has_its_rate() {
        let text = profiles().sender.tables();
        assert!(text.contains("| seal     | send         |   0.800 | 1.34 |           800 |"), "{text}");
    }

    /// Returns profiles of a million datagrams in two seconds.
    fn profiles() -> Profiles {
        let stage = |stage: &str, seconds| report::Stage { stage: stage.to_owned(), seconds, bytes: 1 << 30 };
        Profiles {
            sender: profile("sender", ("send", 1.0), &[stage("seal", 0.8), stage("send", 0.6)]),
            receiver: profile("receiver", ("receive", 0.5), &[stage("open", 0.7)]),
        }
    }

    fn profile(program: &str, (thread, user_seconds): (&str, f64), stages: &[report::Stage]) -> Profile {
        Profile {
            program: program.to_owned(),
            cpu_seconds: 1.5,
            cpu_seconds_per_gib: 1.5,
            kernel_share: 0.33,
            resident_bytes_max: 1 << 20,
            datagrams: 1e6,
            threads: vec![ThreadTime { thread: thread.to_owned(), user_seconds, system_seconds: 0.5 }],
            stages: Stage::all(program, stages, 1.0, 1e6),
        }
    }
}
