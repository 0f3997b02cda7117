//! `glancecast send`: everything that can be wrong first, then the push, then the truth about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use glancecast_host::args::{Rate, RateChoice};
use glancecast_host::clock::wall;
use glancecast_host::interface::Interface;
use glancecast_host::socket::{GroupSender, Marking};
use glancecast_host::{keyfile, random, sender_keys};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::limits::{HOSTS_MAX, MTU_MAX};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, OneWay, Pace, SenderConfig, Verdict};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::Failure;
use super::args::Send;
use super::notices;
use super::origin::{Download, Origin};
use super::progress::Bar;
use super::report::{Report, Terms, exit_code, reason};
use super::table::table;
use crate::data::push::{Outcome, Push, Setup};

/// Pushes an image and reports.
pub(super) fn run(args: &Send) -> Result<u8, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let code = runtime.block_on(send(args));
    // A download that is still under way is of no use now.
    runtime.shutdown_background();
    code
}

async fn send(args: &Send) -> Result<u8, Failure> {
    let keys = keyfile::load_all(&args.key).map_err(Failure::usage)?;
    let key = match (keys.into_iter().next(), args.insecure) {
        (Some(key), _) => key,
        (None, true) => GroupKey::insecure(),
        (None, false) => return Err(Failure::usage(NO_KEY)),
    };
    let signer = args.sender_key.as_deref().map(sender_keys::load).transpose().map_err(Failure::usage)?;
    let interface = Interface::choose(args.interface.as_deref(), args.group).map_err(Failure::usage)?;
    let mtu = mtu(args, &interface)?;
    let (pace, pace_text) = pace(args, &interface)?;
    let expected = expected(args)?;
    if args.only_listed && !matches!(expected, Expected::Named(_)) {
        return Err(Failure::usage(
            "--only-listed needs a list: name the hosts with --hosts or --hosts-file",
        ));
    }
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let origin = tokio::select! {
        origin = Origin::find(args) => origin?,
        () = signals.next() => return Err(Failure::failed("interrupted before anything was sent")),
    };

    let geometry = Geometry::for_path(origin.bytes, mtu, args.group.ip_header()).map_err(Failure::usage)?;
    let marking = Marking { ttl: args.ttl, dscp: args.dscp };
    let socket =
        GroupSender::open(args.group, &interface, args.reply_port, marking, geometry.datagram_bytes())
            .map_err(|error| Failure::failed(format!("interface {}: {error}", interface.name)))?;
    let config = SenderConfig {
        session: SessionId(random::bytes().map_err(Failure::failed)?),
        key,
        signer,
        geometry,
        name: origin.name.clone(),
        image_id: origin.image_id.clone(),
        format: origin.format,
        pin: args.pin.unwrap_or_default(),
        reply_to: socket.local_addr(),
        expected,
        only_listed: args.only_listed,
        timeout: args.timeout.unwrap_or_else(|| default_timeout(geometry, args, pace)),
        started: wall(),
        pace,
        header_bytes: args.group.frame_bytes(0),
        one_way: args.one_way.then_some(OneWay { overhead: args.overhead, passes: args.repeat }),
    };
    if !args.json && !args.quiet {
        eprintln!("{}: to {} at {pace_text}", origin.name, args.group);
        eprintln!("{}", notices::network(args.group, &interface, mtu));
    }
    let cap = Rate::from_bits(pace.cap()).expect("a pace is a rate");
    for text in notices::warnings(&interface, &socket, &config.expected, cap) {
        tracing::warn!("{text}");
    }
    let setup = Setup {
        sender: config.clone(),
        socket,
        group: args.group,
        source: origin.source,
        spool: args.spool.clone(),
    };
    let bar = Bar::new(origin.name.as_str(), geometry, args.quiet || args.json);
    let outcome = follow(setup, origin.download, &bar, &mut signals).await?;
    bar.clear();
    let terms = Terms { group: args.group, interface: &interface, mtu, marking, pace };
    Ok(tell(args, &config, terms, &outcome))
}

/// Runs the push to its end, with the download beside it.
async fn follow(
    setup: Setup,
    download: Option<Download>,
    bar: &Bar,
    signals: &mut Signals,
) -> Result<Outcome, Failure> {
    let (ended, mut end) = oneshot::channel();
    let push = Push::start(setup, move || {
        let _ = ended.send(());
    })
    .map_err(|error| Failure::failed(format!("cannot start the push: {error}")))?;
    if let Some(download) = download {
        tokio::spawn(download.run());
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut end => return Ok(push.join()),
            () = signals.next() => push.stop(),
            _ = ticks.tick() => bar.show(&push.progress()),
        }
    }
}

fn tell(args: &Send, config: &SenderConfig, terms: Terms<'_>, outcome: &Outcome) -> u8 {
    let code = exit_code(&outcome.verdict);
    if args.json {
        let report = Report::new(config, terms, outcome);
        println!("{}", serde_json::to_string(&report).expect("numbers and texts are JSON"));
    } else if !(args.quiet && outcome.verdict == Verdict::Complete) {
        print!("{}", table(config, args.group, outcome));
    }
    if let (Verdict::Aborted(_) | Verdict::GivenUp(_), Some(reason)) =
        (&outcome.verdict, reason(config, outcome))
    {
        eprintln!("glancecast: {reason}");
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", outcome.discards);
    code
}

fn expected(args: &Send) -> Result<Expected, Failure> {
    if let Some(count) = args.expect {
        return Ok(Expected::Count(count));
    }
    let names: BTreeSet<HostName> = match &args.hosts_file {
        Some(path) => read_hosts(path)?,
        None if args.hosts.is_empty() => return Ok(Expected::Anyone),
        None => args.hosts.iter().cloned().collect(),
    };
    if names.len() > HOSTS_MAX {
        return Err(Failure::usage(format!(
            "{} hosts; at most {HOSTS_MAX} are possible in one push",
            names.len()
        )));
    }
    Ok(Expected::Named(names))
}

fn read_hosts(path: &Path) -> Result<BTreeSet<HostName>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("hosts file {}: {error}", path.display())))?;
    let mut names = BTreeSet::new();
    for (i, line) in text.lines().enumerate() {
        let name = line.split('#').next().unwrap_or("").trim();
        if !name.is_empty() {
            let name = HostName::new(name).map_err(|error| {
                Failure::usage(format!("hosts file {} line {}: {error}", path.display(), i + 1))
            })?;
            names.insert(name);
        }
    }
    if names.is_empty() {
        return Err(Failure::usage(format!("hosts file {}: there is no host in it", path.display())));
    }
    Ok(names)
}

fn mtu(args: &Send, interface: &Interface) -> Result<u16, Failure> {
    let largest = interface.mtu.min(u32::from(MTU_MAX)) as u16;
    match args.mtu {
        Some(mtu) if mtu > largest => Err(Failure::usage(format!(
            "--mtu {mtu} is more than the MTU of interface {}, which is {}",
            interface.name, interface.mtu
        ))),
        Some(mtu) => Ok(mtu),
        None => Ok(largest),
    }
}

/// The pace, and how to say it. Where none is given the cap is a share of the link that leaves room for everybody else.
fn pace(args: &Send, interface: &Interface) -> Result<(Pace, String), Failure> {
    let share =
        |link: u64| Rate::from_bits(link / 10 * 7).expect("a link is faster than some bits per second");
    let (cap, basis) = match (args.rate, interface.speed) {
        (RateChoice::Fixed(rate), _) => return Ok((Pace::Fixed(rate.bits()), rate.to_string())),
        (RateChoice::AutoUpTo(rate), _) => (rate, ""),
        (RateChoice::Auto, Some(link)) => {
            (share(link.bits()), " (70 % of the interface's speed; see --rate)")
        }
        (RateChoice::Auto, None) => {
            (share(1_000_000_000), " (70 % of 1 Gbit/s, as the interface's speed is not known; see --rate)")
        }
    };
    if args.one_way {
        return Err(Failure::usage(ONE_WAY_RATE));
    }
    Ok((Pace::Auto { max: cap.bits() }, format!("up to {cap}{basis}")))
}

fn default_timeout(geometry: Geometry, args: &Send, pace: Pace) -> Duration {
    let datagrams = geometry.object_bytes().div_ceil(u64::from(geometry.symbol_size()));
    let bytes = datagrams * args.group.frame_bytes(geometry.datagram_bytes());
    let line = Rate::from_bits(pace.cap()).map_or(Duration::ZERO, |rate| rate.time_for(bytes));
    // A rate that is found may be far below its cap.
    let slower = if matches!(pace, Pace::Auto { .. }) { 20 } else { 4 };
    TIMEOUT_MIN + line * slower * args.repeat
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

const ONE_WAY_RATE: &str =
    "--one-way needs a rate, as in --rate 500mbit: nobody tells this sender what is too fast";

const NO_KEY: &str =
    "no key: give --key FILE (make one with: glancecast keygen FILE), or --insecure in a lab of your own";

const TICK: Duration = Duration::from_millis(100);
const TIMEOUT_MIN: Duration = Duration::from_secs(120);
