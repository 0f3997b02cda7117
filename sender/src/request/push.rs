//! The request for a push, and the rules that its options must follow.

use std::path::PathBuf;
use std::time::Duration;

use glancecast_inspect::DiskFormat;
use glancecast_platform::multicast::Group;
use glancecast_platform::transport::{Marking, Offload};
use glancecast_platform::units::RateChoice;
use glancecast_proto::ids::ObjectName;
use glancecast_proto::limits::{MTU_MAX, MTU_MIN};
use glancecast_proto::sender::OneWay;
use glancecast_proto::wire::Pin;
use glancecast_sandbox::Unsandboxed;

use super::{
    Conversion, FormatRules, ImageId, KeySource, KnownHostsOptions, MissingHosts, Network, ReachOptions,
    RequestError, Targets,
};
use crate::openstack::{CloudChoice, Namesakes};
use crate::pipeline::compress::Compression;

/// The options of a push. [`PushRequest::new`] checks them.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// The image.
    pub image: Image,
    /// Its name on the hosts; `None`: the image's or the file's own name.
    pub name: Option<ObjectName>,
    /// How long hosts keep it.
    pub pin: Pin,
    /// An older image on the hosts that shares many blocks with this one.
    pub base: Option<String>,
    /// Rules for the images that are sent, and for their form.
    pub formats: FormatRules,
    /// The cloud with the image and the hosts.
    pub cloud: CloudChoice,
    /// The network.
    pub network: Network,
    /// The rate, or how it is chosen.
    pub rate: RateChoice,
    /// The largest IP packet that reaches every host; `None`: the interface's MTU.
    pub mtu: Option<u16>,
    /// The hosts that it is for. If they are named, no other host writes it.
    pub targets: Targets,
    /// By which ways the hosts are reached.
    pub reach: ReachOptions,
    /// Whether Nova caches the image on the aggregates when all hosts hold it.
    pub confirm: bool,
    /// The redundancy of a push that no host answers; `None` for a push with answers.
    pub one_way: Option<OneWay>,
    /// The time after which the push ends; `None`: derived from the rate.
    pub timeout: Option<Duration>,
    /// Time after the image was sent for which hosts are waited for that were never heard; meanwhile nothing is sent that
    /// nobody lacks. `None`: until the push ends.
    pub join_timeout: Option<Duration>,
    /// The group key that seals it.
    pub key: KeySource,
    /// The sender key that signs it.
    pub signing: Signing,
    /// The hosts that are known by their keys.
    pub known_hosts: KnownHostsOptions,
    /// What becomes of hosts that never answered.
    pub missing: MissingHosts,
    /// Whether and how hard blocks are compressed.
    pub compression: Compression,
    /// The directory for the spool, and for images that are converted.
    pub spool: PathBuf,
}

/// The image of a push.
#[derive(Clone, Debug)]
pub enum Image {
    /// An image in Glance.
    Glance(GlanceImage),
    /// A file on this machine.
    File(FileImage),
}

/// An image in Glance, and the proofs that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlanceImage {
    /// Its name or id.
    pub name_or_id: String,
    /// Which image is meant, here and by `base`, if several active ones have the name.
    pub namesakes: Namesakes,
    /// The check of its signature.
    pub signatures: SignatureRule,
    /// Whether it is sent even if Glance keeps no hash of it that can be computed here.
    pub allow_unverified: bool,
    /// The time without data from Glance after which the push fails.
    pub stall_timeout: Duration,
}

/// The check of an image's signature (`img_signature` and the like).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureRule {
    /// Not checked.
    Ignore,
    /// Verified if there is one, against the certificates in this directory.
    VerifySigned(PathBuf),
    /// Verified against the certificates in this directory; an image without a signature is refused.
    Require(PathBuf),
}

/// A file on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileImage {
    /// The file's path.
    pub path: PathBuf,
    /// The id of the image in Glance of which it is a copy.
    pub image_id: Option<ImageId>,
    /// The format that it must have; `None`: the format that is detected.
    pub format: Option<DiskFormat>,
}

/// The signing of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// The sender key in this file.
    Key(PathBuf),
    /// None, as the operator wishes.
    Unsigned,
    /// None, possibly by oversight: a warning is printed.
    Unset,
}

impl PushOptions {
    /// Returns a push of an image to every host that answers, with the defaults of the command line.
    pub fn new(image: Image, key: KeySource) -> Self {
        let group: Group = Group::DEFAULT.parse().expect("the default group is a group");
        Self {
            image,
            name: None,
            pin: Pin::None,
            base: None,
            formats: FormatRules {
                conversion: Conversion::ToRaw,
                unsandboxed: Unsandboxed::Refused,
                virtual_bytes_max: 2 << 40,
                allowed: Vec::new(),
            },
            cloud: CloudChoice::default(),
            network: Network {
                destinations: group.into(),
                interface: None,
                reply_port: 0,
                marking: Marking { ttl: 1, dscp: 8 },
                offload: Offload::Used,
            },
            rate: RateChoice::Auto,
            mtu: None,
            targets: Targets::Anyone,
            reach: ReachOptions::default(),
            confirm: false,
            one_way: None,
            timeout: None,
            join_timeout: Some(JOIN_TIMEOUT),
            key,
            signing: Signing::Unset,
            known_hosts: KnownHostsOptions::default(),
            missing: MissingHosts::default(),
            compression: Compression::Auto,
            spool: "/var/tmp".into(),
        }
    }
}

/// A push with consistent options.
#[derive(Clone, Debug)]
pub struct PushRequest(PushOptions);

impl PushRequest {
    /// Checks what can be checked without the network, the image or the cloud.
    ///
    /// # Errors
    /// The first rule that the options break.
    pub fn new(options: PushOptions) -> Result<Self, RequestError> {
        use RequestError as Error;
        let broken = [
            (options.confirm && !options.has_aggregates()).then_some(Error::ConfirmWhere),
            (options.confirm && !options.is_in_glance()).then_some(Error::ConfirmWhat),
            options.one_way.and_then(|one_way| options.one_way_fault(one_way)),
            options.reach.fault(matches!(options.targets.all(), Targets::Named(_) | Targets::Nova { .. })),
            options.out_of_range().map(Error::OutOfRange),
        ];
        broken.into_iter().flatten().next().map_or(Ok(Self(options)), Err)
    }

    /// Returns the options.
    pub fn options(&self) -> &PushOptions {
        &self.0
    }
}

impl PushOptions {
    fn has_aggregates(&self) -> bool {
        matches!(self.targets.all(), Targets::Nova { aggregates, .. } if !aggregates.is_empty())
    }

    /// Whether the image has an id by which Nova can cache it.
    fn is_in_glance(&self) -> bool {
        !matches!(&self.image, Image::File(FileImage { image_id: None, .. }))
    }

    fn one_way_fault(&self, one_way: OneWay) -> Option<RequestError> {
        if !matches!(self.rate, RateChoice::Fixed(_)) {
            return Some(RequestError::OneWayRate);
        }
        if matches!(self.targets, Targets::Count(_)) || self.base.is_some() {
            return Some(RequestError::OneWayHosts);
        }
        let is_possible =
            (0.0..=1.0).contains(&one_way.overhead) && (1..=PASSES_MAX).contains(&one_way.passes);
        (!is_possible)
            .then_some(RequestError::OutOfRange("--overhead is at most 100 %, and --repeat 1 to 1000"))
    }

    fn out_of_range(&self) -> Option<&'static str> {
        let Marking { ttl, dscp } = self.network.marking;
        let stall = match &self.image {
            Image::Glance(image) => image.stall_timeout,
            Image::File(_) => STALL_TIMEOUT_MIN,
        };
        [
            (ttl == 0, "a TTL is at least 1"),
            (dscp > 63, "a DSCP is at most 63"),
            (self.mtu.is_some_and(|mtu| !(MTU_MIN..=MTU_MAX).contains(&mtu)), "no such MTU is possible"),
            (self.targets == Targets::Count(0), "at least one host has to be expected"),
            (stall < STALL_TIMEOUT_MIN, "a stall timeout is a second at least"),
            (matches!(self.pin, Pin::For(time) if time < PIN_MIN), "a pin lasts a second at least"),
        ]
        .into_iter()
        .find_map(|(is_out, text)| is_out.then_some(text))
    }
}

/// The join timeout if none is chosen: several times that in which a busy host says hello.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of passes of a one-way push.
pub(crate) const PASSES_MAX: u32 = 1000;
/// Shorter silences are usual for Glance's stores.
pub(crate) const STALL_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The unit of the announcement: whole seconds.
pub(crate) const PIN_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn file(image_id: Option<&str>) -> PushOptions {
        let image_id = image_id.map(|id| id.parse().expect("an id"));
        let image = FileImage { path: "/x.raw".into(), image_id, format: None };
        PushOptions::new(Image::File(image), KeySource::Insecure)
    }

    fn nova(aggregates: &[&str], zones: &[&str]) -> Targets {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Targets::Nova { aggregates: owned(aggregates), zones: owned(zones) }
    }

    fn fault(options: PushOptions) -> Option<String> {
        PushRequest::new(options).err().map(|error| error.to_string())
    }

    #[test]
    fn a_push_with_the_defaults_breaks_no_rule() {
        assert_eq!(fault(file(None)), None);
    }

    #[test]
    fn nova_confirms_by_aggregate_and_image_id() {
        let with = |id, targets| fault(PushOptions { confirm: true, targets, ..file(id) });
        let id = Some("4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44");
        assert_eq!(with(id, nova(&["gpu"], &[])), None);
        assert!(with(id, nova(&[], &["z"])).is_some_and(|text| text.contains("needs --aggregate")));
        assert!(with(None, nova(&["gpu"], &[])).is_some_and(|text| text.contains("give --image-id")));
    }

    #[test]
    fn a_push_that_nobody_answers_has_a_rate_and_expects_nobody() {
        let rate = RateChoice::Fixed("1gbit".parse().expect("a rate"));
        let with = |rate, overhead, passes, targets| {
            let one_way = Some(OneWay { overhead, passes });
            fault(PushOptions { rate, one_way, targets, ..file(None) })
        };
        assert_eq!(with(rate, 0.1, 1, Targets::Anyone), None);
        assert!(with(RateChoice::Auto, 0.1, 1, Targets::Anyone).is_some_and(|text| text.contains("500mbit")));
        assert!(with(rate, 0.1, 1, Targets::Count(2)).is_some());
        assert!(with(rate, 1.1, 1, Targets::Anyone).is_some());
        assert!(with(rate, 0.1, 0, Targets::Anyone).is_some());
    }

    #[test]
    fn values_out_of_their_range_are_refused_whoever_made_them() {
        let good = file(None);
        let marked = |ttl, dscp| Network { marking: Marking { ttl, dscp }, ..good.network.clone() };
        for options in [
            PushOptions { network: marked(0, 8), ..good.clone() },
            PushOptions { network: marked(1, 64), ..good.clone() },
            PushOptions { mtu: Some(MTU_MIN - 1), ..good.clone() },
            PushOptions { targets: Targets::Count(0), ..good.clone() },
            PushOptions { pin: Pin::For(Duration::from_millis(20)), ..good.clone() },
        ] {
            assert!(fault(options.clone()).is_some(), "{options:?}");
        }
    }
}
