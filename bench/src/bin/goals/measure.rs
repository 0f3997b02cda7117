//! One repetition of one line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use glancecast_bench::lab::kernel_path;
use glancecast_bench::lab::network::Network;
use glancecast_bench::push::{Image, Place, Push, Pushed};
use glancecast_tests::netns::Lab;
use glancecast_tests::places;

use crate::arguments::Arguments;
use crate::goal::{FEW, Figure, Goal};
use crate::record::Sample;

/// What all lines are measured with.
pub(crate) struct Bench<'a> {
    arguments: &'a Arguments,
    directory: &'a Path,
    push_directory: PathBuf,
    image: Option<Image>,
    can_write_slowly: bool,
}

/// A figure, and what else a reader should know.
type Measured = (f64, String);

impl<'a> Bench<'a> {
    /// Without an image yet.
    pub(crate) fn new(arguments: &'a Arguments, directory: &'a Path) -> Self {
        Self {
            arguments,
            directory,
            push_directory: directory.join("push"),
            image: None,
            can_write_slowly: can_write_slowly(),
        }
    }

    /// Writes the image of a line, unless it is there.
    pub(crate) fn prepare(&mut self, goal: &Goal) -> Result<()> {
        if self.image.as_ref().is_some_and(|image| image.bytes == goal.image_bytes) {
            return Ok(());
        }
        let path = self.directory.join("image");
        if self.image.take().is_some() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        self.image = Some(Image::random(path, goal.image_bytes, self.arguments.common.seed));
        Ok(())
    }

    /// Measures it once. What goes wrong is in the result.
    pub(crate) fn measure(&self, goal: &Goal) -> Sample {
        let measured = match goal.figure {
            Figure::LineTime => self.line_time(goal),
            Figure::KernelPath => self.kernel_path(goal),
            Figure::Rate => self.rate(goal),
            Figure::ReceiverCpu => self.receiver_cpu(goal),
            Figure::SentBytes => self.sent_bytes(goal),
            Figure::Crowd => self.crowd(goal),
            Figure::Sick => self.sick(goal),
            Figure::Memory => self.memory(goal),
        };
        match measured {
            Ok((value, details)) => Sample { value: Some(value), details },
            Err(error) => Sample { value: None, details: format!("{error:#}") },
        }
    }

    fn line_time(&self, goal: &Goal) -> Result<Measured> {
        let pushed = self.push(&goal.network, &self.fixed(&goal.network))?;
        let line = goal.network.line_bits_per_second.context("the line is shaped")?;
        Ok((pushed.seconds / pushed.line_seconds(line), details(&pushed)))
    }

    fn kernel_path(&self, goal: &Goal) -> Result<Measured> {
        let path = kernel_path::measure(&goal.network, goal.image_bytes)?;
        let pushed = self.push(&goal.network, &self.adaptive(&goal.network))?;
        let details =
            format!("kernel path {:.2} s, {:.2} Gbit/s; {}", path.seconds, path.gbit_s, details(&pushed));
        Ok((path.seconds / pushed.seconds, details))
    }

    fn rate(&self, goal: &Goal) -> Result<Measured> {
        let rate = if goal.network.receivers == 1 { UNSHAPED_RATE } else { SHARED_RATE };
        let pushed = self.push(&goal.network, rate)?;
        Ok((pushed.gbit_s(), details(&pushed)))
    }

    fn receiver_cpu(&self, goal: &Goal) -> Result<Measured> {
        let pushed = self.push(&goal.network, SPARING_RATE)?;
        let end = pushed.receivers.first().context("it has a receiver")?.end;
        let gib = goal.image_bytes as f64 / f64::from(1 << 30);
        let sender = pushed.sender.end.cpu.as_secs_f64() / gib;
        let kernel = end.system.as_secs_f64() / end.cpu.as_secs_f64() * 100.0;
        let details = format!("{kernel:.0} % in the kernel; sender {sender:.2} s/GiB; {}", details(&pushed));
        Ok((end.cpu.as_secs_f64() / gib, details))
    }

    fn sent_bytes(&self, goal: &Goal) -> Result<Measured> {
        let pushed = self.push(&goal.network, &self.fixed(&goal.network))?;
        let kinds = pushed.report.wire.kinds.iter().filter(|(_, kind)| kind.datagrams > 0);
        let kinds: Vec<String> = kinds.map(|(name, kind)| format!("{name} {}", kind.bytes)).collect();
        Ok((pushed.report.overhead(), format!("{} bytes; {}", kinds.join(", "), details(&pushed))))
    }

    fn crowd(&self, goal: &Goal) -> Result<Measured> {
        let few = Network { receivers: FEW, ..goal.network.clone() };
        let few = self.push(&few, &self.fixed(&goal.network))?;
        let many = self.push(&goal.network, &self.fixed(&goal.network))?;
        let details = format!("{FEW} receivers {:.2} s; {}", few.seconds, details(&many));
        Ok((many.seconds / few.seconds, details))
    }

    fn sick(&self, goal: &Goal) -> Result<Measured> {
        let rate = self.adaptive(&goal.network);
        let healthy = last_done(&self.push(&goal.network, &rate)?, &[])?;
        let lab = self.lab(&goal.network);
        lab.lose(LOSSY, LOSSY_PER_MILLE);
        let (sick, options): (&[&str], &[(usize, &str)]) =
            if self.can_write_slowly { (&[LOSSY, SLOW], &[SLOW_OPTIONS]) } else { (&[LOSSY], &[]) };
        let push = Push { options, ..self.plan(&lab, &goal.network, &rate)? };
        let pushed = push.run()?;
        let others = last_done(&pushed, sick)?;
        let of_sick: Vec<String> = pushed
            .report
            .hosts
            .iter()
            .filter(|host| sick.contains(&host.name.as_str()))
            .map(|host| {
                format!("{} {} after {:.2} s", host.name, host.state, host.seconds.unwrap_or(f64::NAN))
            })
            .collect();
        let skipped =
            if self.can_write_slowly { "" } else { " (no slow disk: glancecastd has no --write-rate)" };
        let details =
            format!("others {others:.2} s, all healthy {healthy:.2} s; {}{skipped}", of_sick.join(", "));
        Ok((others / healthy, details))
    }

    fn memory(&self, goal: &Goal) -> Result<Measured> {
        let lab = self.lab(&goal.network);
        let push = Push { warm: false, ..self.plan(&lab, &goal.network, SPARING_RATE)? };
        let pushed = push.run()?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let sender = mib(pushed.sender.end.resident_bytes_max);
        let receivers = pushed.receivers.iter().map(|side| mib(side.end.resident_bytes_max));
        let receiver = receivers.fold(0.0, f64::max);
        let details = format!("sender {sender:.0} MiB, receiver {receiver:.0} MiB; {}", details(&pushed));
        Ok((sender.max(receiver), details))
    }

    fn push(&self, network: &Network, rate: &str) -> Result<Pushed> {
        let lab = self.lab(network);
        self.plan(&lab, network, rate)?.run()
    }

    fn lab(&self, network: &Network) -> Lab {
        Lab::build(&network.shape(network.tc_rate().as_deref()))
    }

    fn plan<'b>(&'b self, lab: &'b Lab, network: &Network, rate: &'b str) -> Result<Push<'b>> {
        Ok(Push {
            place: Place::In(lab),
            receivers: network.receivers,
            image: self.image.as_ref().context("the image is written before")?,
            directory: &self.push_directory,
            rate,
            options: &[],
            sender_options: &[],
            stored: &[],
            warm: true,
            profile: false,
            limit: self.arguments.common.limit(),
        })
    }

    /// The rate for a line that carries nothing else.
    fn fixed(&self, network: &Network) -> String {
        let rate = network.paced(self.arguments.share).unwrap_or_default();
        format!("{}kbit", rate / 1000)
    }

    /// A rate that hosts may lower.
    fn adaptive(&self, network: &Network) -> String {
        format!("auto:{}", self.fixed(network))
    }
}

/// When the last of the hosts was done that are not among `sick`, by the sender's clock.
fn last_done(pushed: &Pushed, sick: &[&str]) -> Result<f64> {
    let hosts = pushed.report.hosts.iter().filter(|host| !sick.contains(&host.name.as_str()));
    hosts
        .map(|host| host.seconds)
        .collect::<Option<Vec<f64>>>()
        .and_then(|seconds| seconds.into_iter().max_by(f64::total_cmp))
        .context("every host has a time")
}

fn details(pushed: &Pushed) -> String {
    let (hosts, object) = (&pushed.report.hosts, &pushed.report.object);
    let lost: u64 = hosts.iter().map(|host| host.symbols_lost).sum();
    let drops: u64 = hosts.iter().map(|host| host.socket_drops).sum();
    let symbols = object.bytes as f64 / object.symbol_bytes as f64;
    let sent = |kind: &str| {
        pushed.report.wire.kinds.get(kind).map_or(0, |kind| kind.datagrams) as f64 / symbols * 100.0
    };
    format!(
        "{:.3} s, by the sender's clock {:.3} s; {:.4} x the least bytes, source symbols {:.1} %, repair symbols {:.1} %; \
         {lost} lost, {drops} of them in sockets; CPU of the sender {:.2} s, of all receivers {:.2} s",
        pushed.seconds,
        pushed.report.seconds,
        pushed.report.overhead(),
        sent("source"),
        sent("repair"),
        pushed.sender.end.cpu.as_secs_f64(),
        pushed.receivers.iter().map(|side| side.end.cpu.as_secs_f64()).sum::<f64>()
    )
}

fn can_write_slowly() -> bool {
    let mut command = Command::new(places::program("glancecastd"));
    let output = command.arg("--help").stdin(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--write-rate"))
}

/// More than two processors carry from file to file: the programs hold each other back.
const UNSHAPED_RATE: &str = "20gbit";
/// Several receivers that share processors with the sender are outrun by more than they can take.
const SHARED_RATE: &str = "4500mbit";
/// What leaves two processors time to spare, so that nobody's time is longer for waiting for another.
const SPARING_RATE: &str = "3gbit";
const LOSSY: &str = "r1";
const LOSSY_PER_MILLE: u32 = 300;
const SLOW: &str = "r2";
const SLOW_OPTIONS: (usize, &str) = (2, "--write-rate 40mbit");
