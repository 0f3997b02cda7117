//! Runs one repetition of one row with the programs of one build.

use anyhow::{Context, Result};
use glancecast_bench::case::Ground;
use glancecast_bench::glancecast::{Glancecast, Programs, Pushed, UNSHAPED_RATE, rate};
use glancecast_bench::lab::kernel_path;
use glancecast_bench::lab::network::Network;
use glancecast_bench::record::Run;

use crate::cases::{FEW, Figure};

/// The programs of a build and their options.
pub(crate) struct Build {
    pub(crate) programs: Programs,
    /// The part of a shaped line that the sender may use.
    pub(crate) share: f64,
}

/// A figure, its push, and other details for readers.
type Measured = (f64, Pushed, String);

impl Build {
    /// Measures a figure once.
    pub(crate) fn measure(&self, figure: Figure, ground: &Ground<'_>) -> Result<Run> {
        let (value, pushed, more) = match figure {
            Figure::LineTime => self.line_time(ground),
            Figure::KernelPath => self.kernel_path(ground),
            Figure::Rate => self.rate(ground),
            Figure::ReceiverCpu => self.receiver_cpu(ground),
            Figure::SentBytes => self.sent_bytes(ground),
            Figure::Crowd => self.crowd(ground),
            Figure::Sick => self.sick(ground),
            Figure::Memory => self.memory(ground),
        }?;
        let details = format!("{value:.3} {}: {more}{}", figure.unit(), details(&pushed));
        Ok(pushed.figures(&[("value", value)], details))
    }

    fn line_time(&self, ground: &Ground<'_>) -> Result<Measured> {
        let pushed = self.push(ground, &self.fixed(ground))?;
        let line = ground.network.line_bits_per_second.context("the line is shaped")?;
        Ok((pushed.ran.seconds / pushed.line_seconds(line), pushed, String::new()))
    }

    fn kernel_path(&self, ground: &Ground<'_>) -> Result<Measured> {
        let path = kernel_path::measure(ground.network, ground.image.bytes)?;
        let pushed = self.push(ground, &self.adaptive(ground))?;
        let details = format!("kernel path {:.2} s, {:.2} Gbit/s; ", path.seconds, path.gbit_s);
        Ok((path.seconds / pushed.ran.seconds, pushed, details))
    }

    fn rate(&self, ground: &Ground<'_>) -> Result<Measured> {
        let rate = if ground.network.receivers == 1 { UNSHAPED_RATE } else { SHARED_RATE };
        let pushed = self.push(ground, rate)?;
        Ok((pushed.gbit_s(), pushed, String::new()))
    }

    fn receiver_cpu(&self, ground: &Ground<'_>) -> Result<Measured> {
        let pushed = self.push(ground, SPARING_RATE)?;
        let end = pushed.receiver().end;
        let gib = ground.image.bytes as f64 / f64::from(1 << 30);
        let sender = pushed.sender().end.cpu.as_secs_f64() / gib;
        let kernel = end.system.as_secs_f64() / end.cpu.as_secs_f64() * 100.0;
        let details = format!("{kernel:.0} % in the kernel; sender {sender:.2} s/GiB; ");
        Ok((end.cpu.as_secs_f64() / gib, pushed, details))
    }

    fn sent_bytes(&self, ground: &Ground<'_>) -> Result<Measured> {
        let pushed = self.push(ground, &self.fixed(ground))?;
        let kinds = pushed.report.wire.kinds.iter().filter(|(_, kind)| kind.datagrams > 0);
        let kinds: Vec<String> = kinds.map(|(name, kind)| format!("{name} {}", kind.bytes)).collect();
        Ok((pushed.report.overhead(), pushed, format!("{} bytes; ", kinds.join(", "))))
    }

    fn crowd(&self, ground: &Ground<'_>) -> Result<Measured> {
        let network = Network { receivers: FEW, ..ground.network.clone() };
        let few = Glancecast::new(&self.programs, self.fixed(ground)).push(&ground.site_of(&network)?)?;
        let many = self.push(ground, &self.fixed(ground))?;
        let details = format!("{FEW} receivers {:.2} s; ", few.ran.seconds);
        Ok((many.ran.seconds / few.ran.seconds, many, details))
    }

    fn sick(&self, ground: &Ground<'_>) -> Result<Measured> {
        let rate = self.adaptive(ground);
        let healthy = last_done(&self.push(ground, &rate)?, &[])?;
        let site = ground.site()?;
        site.lab().lose(LOSSY, LOSSY_PER_MILLE);
        let mut push = Glancecast::new(&self.programs, rate);
        let (sick, remark): (&[&str], _) = if self.programs.has("--write-rate") {
            push.receiver_options = vec![SLOW_OPTIONS];
            (&[LOSSY, SLOW], "")
        } else {
            (&[LOSSY], " (no slow disk: glancecastd has no --write-rate)")
        };
        let pushed = push.push(&site)?;
        let others = last_done(&pushed, sick)?;
        let hosts = pushed.report.hosts.iter().filter(|host| sick.contains(&host.name.as_str()));
        let seconds = |seconds: Option<f64>| seconds.unwrap_or(f64::NAN);
        let hosts =
            hosts.map(|host| format!("{} {} after {:.2} s", host.name, host.state, seconds(host.seconds)));
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        let details = format!("others {others:.2} s, all healthy {healthy:.2} s; {hosts}{remark}; ");
        Ok((others / healthy, pushed, details))
    }

    fn memory(&self, ground: &Ground<'_>) -> Result<Measured> {
        let mut site = ground.site()?;
        site.warm = false;
        let pushed = Glancecast::new(&self.programs, SPARING_RATE).push(&site)?;
        let [sender, receiver] = [&pushed.ran.sender, &pushed.ran.receivers].map(|ended| {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            ended.iter().map(|ended| mib(ended.end.resident_bytes_max)).fold(0.0, f64::max)
        });
        let details = format!("sender {sender:.0} MiB, receiver {receiver:.0} MiB; ");
        Ok((sender.max(receiver), pushed, details))
    }

    fn push(&self, ground: &Ground<'_>, rate: &str) -> Result<Pushed> {
        Glancecast::new(&self.programs, rate).push(&ground.site()?)
    }

    /// Returns the rate for a line that carries nothing else.
    fn fixed(&self, ground: &Ground<'_>) -> String {
        rate(ground.network, self.share)
    }

    /// Returns a rate that hosts may lower.
    fn adaptive(&self, ground: &Ground<'_>) -> String {
        format!("auto:{}", self.fixed(ground))
    }
}

/// Returns the time at which the last host outside `sick` was done, by the sender's clock.
fn last_done(pushed: &Pushed, sick: &[&str]) -> Result<f64> {
    let hosts = pushed.report.hosts.iter().filter(|host| !sick.contains(&host.name.as_str()));
    let seconds = hosts.map(|host| host.seconds).collect::<Option<Vec<f64>>>();
    seconds.and_then(|seconds| seconds.into_iter().max_by(f64::total_cmp)).context("every host has a time")
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
        pushed.ran.seconds,
        pushed.report.seconds,
        pushed.report.overhead(),
        sent("source"),
        sent("repair"),
        pushed.sender().end.cpu.as_secs_f64(),
        pushed.ran.receivers.iter().map(|ended| ended.end.cpu.as_secs_f64()).sum::<f64>()
    )
}

/// The rate for several receivers that share processors with the sender, which would otherwise outrun them.
const SHARED_RATE: &str = "4500mbit";
/// A rate that leaves two processors idle time, so that no process waits for a processor.
const SPARING_RATE: &str = "3gbit";
const LOSSY: &str = "r1";
const LOSSY_PER_MILLE: u32 = 300;
const SLOW: &str = "r2";
const SLOW_OPTIONS: (usize, &str) = (2, "--write-rate 40mbit");
