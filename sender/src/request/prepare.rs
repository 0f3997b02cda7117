//! From a request to a running push: everything is checked first, then the threads start.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::path::path_mtu;
use glancecast_platform::transport::Downlink;
use glancecast_platform::units::{Rate, RateChoice};
use glancecast_platform::{random, sender_keys};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::limits::{MTU_MAX, PATHS_MAX};
use glancecast_proto::sender::{Expected, HostState, Pace, PlanView, Reach, Sender, SenderConfig, Verdict};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::BaseName;

use super::alike::Hints;
use super::confirm::confirm;
use super::image::{Feed, OpenImage};
use super::natural::natural;
use super::reach::{NoAddress, Surroundings, Ways};
use super::survey::Group;
use super::{
    Image, MissingHosts, Network, Observer, PushOptions, PushRequest, PushResult, RequestError,
    ResolvedTargets, Signing, agreement,
};
use crate::openstack::Cloud;
use crate::pipeline::push::{RunningPush, Setup};
use crate::pipeline::send_loop;

/// What a push will do, resolved before it starts.
pub struct PushPlan {
    /// The session.
    pub config: SenderConfig,
    /// The destinations, and the marking of datagrams.
    pub network: Network,
    /// The outgoing interface.
    pub interface: Interface,
    /// The length of the longest IP packet in bytes.
    pub mtu: u16,
    /// The algorithm of the hash in Glance's record that proves the image at its end.
    pub verified_by: Option<String>,
    /// The hosts that must hold the image.
    pub targets: ResolvedTargets,
    /// Named hosts for which no address was found, where one might be needed.
    pub(crate) missing_addresses: BTreeMap<HostName, NoAddress>,
    /// The origin of the credentials, if a cloud was used.
    pub credentials: Option<String>,
    confirm: bool,
    pub(super) when_missing: MissingHosts,
}

/// A push with everything found and open.
pub struct PreparedPush {
    /// What it will do.
    pub plan: PushPlan,
    setup: Setup,
    feed: Option<Feed>,
}

/// A running push.
pub struct PushRun {
    /// What it does.
    pub plan: PushPlan,
    /// The threads, with their progress and a way to stop them.
    pub running: RunningPush,
}

impl PushRequest {
    /// Finds and opens keys, interface, hosts and image. Calls `observer` with each step that takes long. Sends
    /// nothing.
    ///
    /// # Errors
    /// [`RequestError`] with the first fault or failure.
    pub async fn prepare(&self, observer: &Observer) -> Result<PreparedPush, RequestError> {
        let options = self.options();
        let key = options.key.load()?;
        let signer = options.signing.load()?;
        let group = options.network.destinations.group().ok_or(RequestError::NoGroup)?;
        // By unicast alone, the hosts' addresses decide the interface unless it is named.
        let is_by_hosts = options.reach.ways == Ways::Unicast && options.network.interface.is_none();
        let interface = if is_by_hosts { None } else { Some(options.network.interface()?) };
        interface.as_ref().map(|interface| mtu(options.mtu, interface, None)).transpose()?;
        let cloud = options.cloud().await?;
        let cloud = cloud.as_ref();
        let targets = options.targets.resolve(cloud).await?;
        let base = base(options, cloud).await?;
        let own = interface.as_ref().map(|interface| interface.addr);
        let around = Surroundings { group, own, one_way: options.one_way, targets: &targets, cloud };
        let (reached, image) =
            tokio::try_join!(options.reach.resolve(around), OpenImage::open(options, cloud, observer))?;
        let network = Network { destinations: reached.destinations(group)?, ..options.network.clone() };
        let destinations = &network.destinations;
        let interface = match interface {
            // The download and the conversion of an image may have taken long.
            Some(interface) => network.again(&interface).await?,
            None => network.interface()?,
        };
        let pace = pace(options.rate, &interface);
        let path = path_mtu(destinations.all().chain(reached.hosts()), &interface);
        let mtu = mtu(options.mtu, &interface, path)?;
        let geometry = Geometry::for_path(image.bytes, mtu, destinations.ip_header())?;
        let reach = Reach { line: pace.cap().bits(), ..reached.reach };
        let timeout = options.timeout.unwrap_or_else(|| default_timeout(geometry, options, pace, &reach));
        let downlink = network.open(&interface, geometry.datagram_bytes())?;
        let config = SenderConfig {
            session: SessionId(random::bytes().map_err(RequestError::Random)?),
            key,
            signer,
            geometry,
            name: image.name,
            image_id: image.image_id,
            format: image.format,
            pin: options.pin,
            reply_to: downlink.local_addr(),
            reach,
            expected: targets.expected.clone(),
            known: options.known_hosts.load()?,
            agreement: agreement()?,
            timeout,
            join_timeout: options.join_timeout,
            started: wall(),
            pace,
            header_bytes: destinations.frame_bytes(0),
            one_way: options.one_way,
            base,
            data_bytes: image.data_bytes,
        };
        let plan = PushPlan {
            config: config.clone(),
            network,
            interface,
            mtu,
            verified_by: image.verified_by,
            targets,
            missing_addresses: reached.missing,
            credentials: cloud.map(Cloud::origin),
            confirm: options.confirm,
            when_missing: options.missing,
        };
        let (spool, compression) = (options.spool.clone(), options.compression);
        let setup = Setup {
            sender: config,
            downlink,
            interface_named: options.network.interface.clone(),
            source: image.source,
            spool,
            compression,
        };
        Ok(PreparedPush { plan, setup, feed: image.feed })
    }
}

impl PushPlan {
    /// Returns by which ways the hosts are reached as far as that is known before anything is sent, and how long it takes.
    pub fn view(&self) -> PlanView {
        Sender::new(Moment::default(), self.config.clone()).plan()
    }

    /// Returns the number of hosts that are named; `None` where none are.
    pub fn named(&self) -> Option<usize> {
        match &self.config.expected {
            Expected::Named(names) => Some(names.len()),
            Expected::Count(_) | Expected::Anyone => None,
        }
    }
}

#[cfg(test)]
impl PushPlan {
    /// Returns the plan of a push of so many bytes, as tests of what is printed need it.
    pub(crate) fn example(name: &str, bytes: u64, expected: Expected) -> Self {
        let group: glancecast_platform::multicast::Group = "239.255.71.67:7167".parse().expect("a group");
        let addr = std::net::IpAddr::from([10, 0, 0, 1]);
        let destinations = glancecast_platform::transport::Destinations::from(group);
        let geometry = Geometry::for_path(bytes, 1_500, destinations.ip_header()).expect("a geometry");
        let config = SenderConfig {
            session: SessionId([7; 16]),
            key: super::KeySource::Insecure.load().expect("it is no file"),
            signer: None,
            agreement: agreement().expect("random bytes"),
            geometry,
            name: glancecast_proto::ids::ObjectName::new(name).expect("a name"),
            image_id: None,
            format: glancecast_proto::wire::DiskFormat::Raw,
            pin: glancecast_proto::wire::Pin::None,
            reply_to: (addr, 40_421).into(),
            reach: Reach::default(),
            expected: expected.clone(),
            known: glancecast_proto::known::KnownHosts::default(),
            timeout: Duration::from_secs(120),
            join_timeout: None,
            started: glancecast_proto::time::WallClock(1_796_000_000_000),
            pace: Pace::Fixed(Rate::mbit(80)),
            header_bytes: 42,
            one_way: None,
            base: None,
            data_bytes: None,
        };
        let interface = Interface {
            name: "eth0".into(),
            index: 2,
            addr,
            mtu: 1_500,
            speed: None,
            chosen: glancecast_platform::interface::Chosen::ByRoute,
        };
        let network = Network {
            destinations,
            interface: None,
            reply_port: 0,
            marking: glancecast_platform::transport::Marking { ttl: 1, dscp: 8 },
            offload: glancecast_platform::transport::Offload::Used,
        };
        Self {
            config,
            network,
            interface,
            mtu: 1_500,
            verified_by: None,
            targets: ResolvedTargets { expected, ..ResolvedTargets::default() },
            missing_addresses: BTreeMap::new(),
            credentials: None,
            confirm: false,
            when_missing: MissingHosts::LeftAlone,
        }
    }
}

impl PreparedPush {
    /// Returns the sockets to the hosts.
    pub(crate) fn downlink(&self) -> &Downlink {
        &self.setup.downlink
    }

    /// Starts the threads, and the download from Glance. Must be called in a tokio runtime, which has to run until the
    /// end.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self) -> Result<PushRun, RequestError> {
        let running = send_loop::start(self.setup).map_err(RequestError::Start)?;
        if let Some(feed) = self.feed {
            tokio::spawn(feed.run());
        }
        Ok(PushRun { plan: self.plan, running })
    }
}

impl PushRun {
    /// Joins a push that has ended and returns its result. Makes Nova cache the image if the request asks for it. Asks
    /// the group who is there if an expected host never answered.
    pub async fn finish(self) -> PushResult {
        let Self { plan, running } = self;
        let mut outcome = running.join();
        outcome.rows.sort_by(|a, b| natural(a.name.as_str(), b.name.as_str()));
        if outcome.verdict == Verdict::Complete && plan.targets.left_out.missing().is_some() {
            outcome.verdict = Verdict::Incomplete;
        }
        let confirmations = match &plan.config.image_id {
            Some(id) if plan.confirm => Some(confirm(&plan.targets, id, &outcome.verdict).await),
            _ => None,
        };
        let missing: Vec<HostName> = outcome
            .rows
            .iter()
            .filter(|row| row.state == HostState::NeverAnswered)
            .map(|row| row.name.clone())
            .collect();
        let hints = match plan.config.one_way {
            None if plan.config.reach.group.is_some() => Group::from(&plan).hints(&missing).await,
            _ => Hints::new(), // nobody answers, or there is no group to ask
        };
        PushResult { plan, outcome, confirmations, hints, interrupted: None }
    }
}

impl PushOptions {
    async fn cloud(&self) -> Result<Option<Cloud>, RequestError> {
        if matches!(self.image, Image::File(_)) && !self.targets.asks_nova() {
            return Ok(None);
        }
        Ok(Some(Cloud::connect(&self.cloud).await?))
    }
}

impl Signing {
    /// Loads the sender key, if there is one.
    pub(super) fn load(&self) -> Result<Option<SigningKey>, RequestError> {
        match self {
            Self::Key(path) => Ok(Some(sender_keys::load(path)?)),
            Self::Unsigned | Self::Unset => Ok(None),
        }
    }
}

/// Returns the older image's name for hosts. An image in Glance is named by its id, which all stores know.
async fn base(options: &PushOptions, cloud: Option<&Cloud>) -> Result<Option<BaseName>, RequestError> {
    let Some(base) = &options.base else { return Ok(None) };
    let name = match (&options.image, cloud) {
        (Image::Glance(image), Some(cloud)) => cloud.find_image(base, image.namesakes).await?.id,
        _ => base.clone(),
    };
    let fault = |error: &dyn ToString| RequestError::Base { base: base.clone(), error: error.to_string() };
    BaseName::new(&name).map(Some).map_err(|error| fault(&error))
}

/// Returns the length of the longest packet: the one that is `asked` for, or what the interface and the routes through
/// it take. A route is not known to be right for every host.
fn mtu(asked: Option<u16>, interface: &Interface, path: Option<u32>) -> Result<u16, RequestError> {
    let capped = |mtu: u32| mtu.min(u32::from(MTU_MAX)) as u16;
    let largest = capped(interface.mtu);
    match asked {
        Some(mtu) if mtu > largest => {
            Err(RequestError::Mtu { mtu, interface: interface.name.clone(), max: interface.mtu })
        }
        asked => Ok(asked.unwrap_or(path.map_or(largest, |path| largest.min(capped(path))))),
    }
}

/// Returns how the rate is chosen. The default cap is a share of the link, which leaves room for other traffic.
fn pace(asked: RateChoice, interface: &Interface) -> Pace {
    match asked {
        RateChoice::Fixed(rate) => Pace::Fixed(rate),
        RateChoice::AutoUpTo(rate) => Pace::Auto { max: rate },
        RateChoice::Auto => Pace::Auto { max: share(interface.speed.unwrap_or(UNKNOWN_SPEED)) },
    }
}

fn share(link: Rate) -> Rate {
    Rate::from_bits(link.bits() / 10 * 7).expect("a link is faster than some bits per second")
}

fn default_timeout(geometry: Geometry, options: &PushOptions, pace: Pace, reach: &Reach) -> Duration {
    let datagrams = geometry.object_bytes().div_ceil(u64::from(geometry.symbol_size()));
    let bytes = datagrams * options.network.destinations.frame_bytes(geometry.datagram_bytes());
    // Without relays each host that the group does not reach takes its share of a cap.
    let alone = if reach.relays { 0 } else { reach.hosts.len() };
    let copies = match pace {
        Pace::Auto { .. } => (reach.fixed.len() + alone).clamp(1, PATHS_MAX as usize) as u32,
        Pace::Fixed(_) => 1,
    };
    let line = pace.cap().time_for(bytes) * copies;
    // The rate that rate control finds may be far below its cap.
    let slower = if matches!(pace, Pace::Auto { .. }) { 20 } else { 4 };
    TIMEOUT_MIN + line * slower * options.one_way.map_or(1, |one_way| one_way.passes)
}

/// The speed assumed for an interface that does not report one.
const UNKNOWN_SPEED: Rate = Rate::mbit(1_000);
const TIMEOUT_MIN: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use glancecast_platform::interface::Chosen;

    use super::super::{ErrorKind, FileImage, KeySource};
    use super::*;

    fn interface(speed: Option<&str>) -> Interface {
        Interface {
            name: "eth0".into(),
            index: 2,
            addr: "10.0.0.1".parse().expect("an address"),
            mtu: 1_500,
            speed: speed.map(|text| text.parse().expect("a rate")),
            chosen: Chosen::ByRoute,
        }
    }

    #[test]
    fn a_rate_that_nobody_gave_leaves_three_tenths_of_the_link() {
        let ten = interface(Some("10gbit"));
        assert_eq!(pace(RateChoice::Auto, &ten), Pace::Auto { max: Rate::mbit(7_000) });
        assert_eq!(pace(RateChoice::Auto, &interface(None)), Pace::Auto { max: Rate::mbit(700) });
        assert_eq!(pace("390mbit".parse().expect("a rate"), &ten), Pace::Fixed(Rate::mbit(390)));
    }

    #[test]
    fn packets_are_as_long_as_the_interface_lets_them_be() {
        let eth0 = interface(None);
        let found = |asked, path| mtu(asked, &eth0, path).ok();
        assert_eq!((found(None, None), found(Some(1_400), None)), (Some(1_500), Some(1_400)));
        assert_eq!((found(None, Some(1_280)), found(Some(1_400), Some(1_280))), (Some(1_280), Some(1_400)));
        assert_eq!(found(None, Some(9_000)), Some(1_500));
        let error = mtu(Some(9_000), &eth0, None).expect_err("too long").to_string();
        assert_eq!(error, "--mtu 9000 is more than the MTU of interface eth0, which is 1500");
    }

    #[test]
    fn a_file_that_is_not_there_is_found_out_before_anything_is_sent() {
        let image = FileImage { path: "/nowhere/x.raw".into(), image_id: None, format: None };
        let mut options = PushOptions::new(Image::File(image), KeySource::Insecure);
        options.network.interface = Some("lo".into());
        let request = PushRequest::new(options).expect("it breaks no rule");
        let observer: Observer = Arc::new(|_| {});
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let error = runtime.block_on(request.prepare(&observer)).err().expect("no such file");
        assert_eq!(error.to_string(), "/nowhere/x.raw: there is no such file");
        assert_eq!((error.kind(), error.rule()), (ErrorKind::Usage, None));
    }
}
