//! `glancecast send`: everything that can be wrong first, then the push, then the truth about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use glancecast_platform::args::{Rate, RateChoice};
use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::transport::{Downlink, Marking};
use glancecast_platform::{keyfile, random, sender_keys};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::SessionId;
use glancecast_proto::limits::MTU_MAX;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{OneWay, Pace, SenderConfig, Verdict};
use glancecast_proto::wire::{BaseName, printable};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::Failure;
use super::args::Send;
use super::confirm;
use super::expected::Hosts;
use super::json;
use super::notices::{self, Sealing};
use super::origin::{Download, Origin, cloud_failure};
use super::progress::Bar;
use super::report::{CloudPart, Report, Terms, exit_code, reason};
use super::table::table;
use crate::openstack::Cloud;
use crate::pipeline::push::{Outcome, Push, Setup};

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
    let key = group_key(args.key.first().map(PathBuf::as_path), args.insecure)?;
    let signer = args.sender_key.as_deref().map(sender_keys::load).transpose().map_err(Failure::usage)?;
    let destinations = args.network.destinations();
    let interface =
        Interface::choose(args.network.interface.as_deref(), destinations.first()).map_err(Failure::usage)?;
    let mtu = mtu(args, &interface)?;
    let (pace, pace_text) = pace(args, &interface)?;
    if args.only_listed && !args.wanted().names_hosts() {
        return Err(Failure::usage(ONLY_LISTED));
    }
    if args.confirm && args.aggregate.is_empty() {
        return Err(Failure::usage(CONFIRM_WHERE));
    }
    if args.confirm && args.image.is_none() && args.image_id.is_none() {
        return Err(Failure::usage(CONFIRM_WHAT));
    }
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let Found { hosts, base, origin, credentials } = tokio::select! {
        found = find(args) => found?,
        () = signals.next() => return Err(Failure::failed("interrupted before anything was sent")),
    };

    let geometry = Geometry::for_path(origin.bytes, mtu, destinations.ip_header()).map_err(Failure::usage)?;
    let marking = Marking { ttl: args.network.ttl, dscp: args.dscp };
    let downlink = Downlink::open(
        destinations.clone(),
        &interface,
        args.network.reply_port,
        marking,
        geometry.datagram_bytes(),
    )
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
        reply_to: downlink.local_addr(),
        expected: hosts.expected.clone(),
        only_listed: args.only_listed,
        timeout: args.timeout.unwrap_or_else(|| default_timeout(geometry, args, pace)),
        started: wall(),
        pace,
        header_bytes: destinations.frame_bytes(0),
        one_way: args.one_way.then_some(OneWay { overhead: args.overhead, passes: args.repeat }),
        base,
    };
    if !args.json && !args.quiet {
        eprintln!("{}: to {destinations} at {pace_text}", origin.name);
        if let Some(credentials) = credentials {
            eprintln!("with the credentials of {}", printable(&credentials));
        }
        for (host, reason) in hosts.left_out.all() {
            eprintln!("left out: {}, {}", printable(host), printable(reason));
        }
        eprintln!("{}", notices::network(&destinations, &interface, mtu));
    }
    let cap = Rate::from_bits(pace.cap()).expect("a pace is a rate");
    let sealing = Sealing { insecure: args.insecure, signed: config.signer.is_some() || args.unsigned };
    for text in notices::warnings(&interface, &downlink, &config.expected, cap).chain(sealing.warnings()) {
        tracing::warn!("{text}");
    }
    let setup = Setup {
        sender: config.clone(),
        downlink,
        source: origin.source,
        spool: args.spool.clone(),
        compression: args.compress,
    };
    let by_request = config.base.is_some();
    let bar = Bar::new(origin.name.as_str(), geometry, by_request, args.quiet || args.json);
    let mut outcome = follow(setup, origin.download, &bar, &mut signals).await?;
    bar.clear();
    if outcome.verdict == Verdict::Complete && hosts.left_out.missing().is_some() {
        outcome.verdict = Verdict::Incomplete;
    }
    let confirmations = match &config.image_id {
        Some(id) if args.confirm => Some(confirm::confirm(&hosts, id, &outcome.verdict).await),
        _ => None,
    };
    let terms = Terms { destinations: &destinations, interface: &interface, mtu, marking, pace };
    let cloud = CloudPart {
        verified_by: origin.verified_by.as_deref(),
        left_out: &hosts.left_out,
        confirmations: confirmations.as_deref(),
    };
    let code = tell(args, &config, terms, cloud, &outcome);
    if let (Some(confirmations), Some(id), false) = (&confirmations, &config.image_id, args.json) {
        print!("{}", confirm::text(confirmations, &hosts.left_out, id));
    }
    Ok(code)
}

/// What has been asked for before anything is sent.
struct Found {
    hosts: Hosts,
    base: Option<BaseName>,
    origin: Origin,
    /// Which cloud was asked with whose.
    credentials: Option<String>,
}

async fn find(args: &Send) -> Result<Found, Failure> {
    let cloud = match args.image.is_some() || args.wanted().asks_nova() {
        true => Some(Cloud::connect(args.os_cloud.as_deref()).await.map_err(cloud_failure)?),
        false => None,
    };
    let hosts = Hosts::find(args.wanted(), cloud.as_ref()).await?;
    let base = base(args, cloud.as_ref()).await?;
    let origin = Origin::find(args, cloud.as_ref()).await?;
    Ok(Found { hosts, base, origin, credentials: cloud.map(|cloud| cloud.origin()) })
}

/// How hosts name the older image: an image of Glance by its id, which all stores know it by.
async fn base(args: &Send, cloud: Option<&Cloud>) -> Result<Option<BaseName>, Failure> {
    let Some(base) = &args.base else { return Ok(None) };
    let name = match (args.image.is_some(), cloud) {
        (true, Some(cloud)) => cloud.find_image(base).await.map_err(cloud_failure)?.id,
        _ => base.clone(),
    };
    let name = BaseName::new(&name).map_err(|error| {
        Failure::usage(format!(
            "--base {base:?}: {error}; give the name that it has on the hosts, not a path"
        ))
    })?;
    Ok(Some(name))
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

fn tell(args: &Send, config: &SenderConfig, terms: Terms<'_>, cloud: CloudPart<'_>, outcome: &Outcome) -> u8 {
    let code = exit_code(&outcome.verdict);
    if args.json {
        let report = Report::new(config, terms, cloud, outcome);
        println!("{}", json::to_string(&report));
    } else if !(args.quiet && outcome.verdict == Verdict::Complete) {
        print!("{}", table(config, cloud.left_out, outcome));
    }
    if let (Verdict::Aborted(_) | Verdict::GivenUp(_), Some(reason)) =
        (&outcome.verdict, reason(config, cloud.left_out, outcome))
    {
        eprintln!("glancecast: {}", printable(&reason));
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", outcome.discards);
    code
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
    let bytes = datagrams * args.network.destinations().frame_bytes(geometry.datagram_bytes());
    let line = Rate::from_bits(pace.cap()).map_or(Duration::ZERO, |rate| rate.time_for(bytes));
    // A rate that is found may be far below its cap.
    let slower = if matches!(pace, Pace::Auto { .. }) { 20 } else { 4 };
    TIMEOUT_MIN + line * slower * args.repeat
}

/// The key that the command line names.
pub(super) fn group_key(path: Option<&Path>, insecure: bool) -> Result<GroupKey, Failure> {
    match (path, insecure) {
        (Some(path), _) => keyfile::load(path).map_err(Failure::usage),
        (None, true) => Ok(GroupKey::insecure()),
        (None, false) => Err(Failure::usage(NO_KEY)),
    }
}

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

const ONE_WAY_RATE: &str =
    "--one-way needs a rate, as in --rate 500mbit: nobody tells this sender what is too fast";

const CONFIRM_WHAT: &str =
    "--confirm needs an image of Glance, as Nova asks for it by its id: give --image-id with --file";

const CONFIRM_WHERE: &str = "--confirm needs --aggregate: Nova caches images by aggregate only, an availability zone has no such \
    call; name the aggregate that makes the zone (`openstack aggregate list --long`)";

const NO_KEY: &str = "no key: give --key FILE (make keys with: glancecast keygen --all DIR), or --insecure in a lab of your own";

const ONLY_LISTED: &str = "--only-listed needs a list: name the hosts with --hosts, --hosts-file, --aggregate or --availability-zone";

const TICK: Duration = Duration::from_millis(100);
const TIMEOUT_MIN: Duration = Duration::from_secs(120);
