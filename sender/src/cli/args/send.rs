//! The options of `glancecast send`.

use std::path::PathBuf;
use std::time::Duration;

use glancecast_inspect::{DiskFormat, Waiver};
use glancecast_platform::units::{RateChoice, parse_duration};
use glancecast_proto::ids::ObjectName;
use glancecast_proto::sender::OneWay;
use glancecast_proto::wire::Pin;
use glancecast_sandbox::Unsandboxed;

use super::common::{Afterwards, Cloud, GroupKey, Hosts, Known, Network, SigningArgs, namesakes};
use super::listing::ListArgs;
use super::reach::ReachArgs;
use super::units;
use crate::cli::turn::IfTaken;
use crate::pipeline::compress::Compression;
use crate::request::{
    Conversion, FileImage, FormatRules, GlanceImage, Image, ImageId, PASSES_MAX, PushOptions, PushRequest,
    QueueRequest, RequestError, SignatureRule,
};

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// The image in Glance: its name or id. Several are pushed one after the other
    #[arg(conflicts_with = "file")]
    image: Vec<String>,
    /// Push this file instead of an image in Glance
    #[arg(long, value_name = "PATH", conflicts_with = "tag")]
    file: Option<PathBuf>,
    /// Name of the image on the hosts [default: the file's or the image's name]
    #[arg(long, value_parser = ObjectName::new)]
    name: Option<ObjectName>,
    /// With --file: id of the image in Glance that the file is a copy of; hosts with a nova store need it
    #[arg(long, value_name = "UUID", requires = "file", conflicts_with = "image")]
    image_id: Option<ImageId>,
    /// How long hosts with a nova store keep the image after its publication, used or not: 7d, or forever [default:
    /// Nova's own rule, a day after its last use]
    #[arg(long, value_name = "DUR|forever", value_parser = units::pin)]
    pin: Option<Pin>,
    /// With --file: disk format that the file must have, as Glance names it: raw, qcow2, vmdk, vhd, vhdx, vdi, iso,
    /// ami, aki, ari; raw also allows not-a-disk (see --allow) [default: the format that it looks like]
    // Clap drops the requirement if an argument that conflicts with the required one is given, here an image.
    #[arg(long, value_name = "FORMAT", requires = "file", conflicts_with = "image")]
    disk_format: Option<DiskFormat>,
    /// An older image on the hosts that shares many blocks with this one: only blocks that hosts do not find in it are
    /// sent. Its name or id in Glance; with --file its name on the hosts or its id
    #[arg(long, value_name = "IMAGE", conflicts_with = "one_way")]
    base: Option<String>,
    /// Send a qcow2, vmdk or other image as it is, for hosts whose nova.conf has force_raw_images = False [default: it
    /// is converted to raw here, once for all hosts, with qemu-img]
    #[arg(long)]
    as_is: bool,
    /// Convert images also where the kernel has no sandbox for qemu-img (Landlock or user namespaces): a hostile image
    /// can then read every file that this user can read [default: refuse them]
    #[arg(long)]
    allow_unsandboxed: bool,
    /// Send a disk that breaks this rule, for hosts with a directory store; a nova store refuses it all the same. Rules:
    /// partition-table (a boot sector that Nova does not take in a raw image), not-a-disk (a compressed file, an archive)
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = units::waiver)]
    allow: Vec<Waiver>,
    /// Refuse an image whose virtual disk is larger, as in 100G
    #[arg(long, value_name = "SIZE", default_value = "2T", value_parser = units::size)]
    max_virtual_size: u64,
    /// How to compress blocks: auto: as hard as the sender's cores can without slowing the push down, and only data
    /// that shrinks; off; or a zstd level from 1 to 19
    #[arg(long, value_name = "auto|off|LEVEL", default_value = "auto", value_parser = units::compression)]
    compress: Compression,
    /// Directory for temporary files: compressed blocks, the local copy of a Glance image, converted images
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    spool: PathBuf,

    /// Have the hosts read their copies again first, and take the names of damaged ones, as verify --quarantine does;
    /// then push to those hosts alone that do not hold an intact copy. What is intact of a damaged copy is not sent
    #[arg(long, conflicts_with_all = ["one_way", "confirm", "dry_run", "explain"])]
    pub(crate) repair: bool,

    #[command(flatten)]
    glance: Glance,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    delivery: Delivery,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    key: GroupKey,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    afterwards: Afterwards,
    #[command(flatten)]
    pub(crate) output: ListArgs,
    /// Print by which ways the hosts will be reached, and how long that will take, before anything is sent
    #[arg(long, help_heading = "Output")]
    pub(crate) explain: bool,
    /// Do the same, and send nothing. The image is found and inspected all the same, and converted if it has to be
    #[arg(long, help_heading = "Output", conflicts_with = "quiet")]
    pub(crate) dry_run: bool,
    /// Print what happens as JSON lines on standard output, in place of the table, or in this file: hosts that join, are done or
    /// fail, and each second how far the push is. docs/json.md describes them
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-", help_heading = "Output")]
    pub(crate) events: Option<PathBuf>,
    /// Write the result as metrics into this file, for the textfile collector of node_exporter: its name ends in .prom.
    /// docs/monitoring.md lists them
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Whether standard output gets the table.
    #[arg(skip = true)]
    pub(crate) lists: bool,
    /// With --dry-run: ask the hosts too, and print which do not answer, lack space, or hold an image of this name
    #[arg(long, help_heading = "Output", requires = "dry_run")]
    pub(crate) ask: bool,
    /// Print no progress, and no table when the push is complete
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// An image in Glance, and what proves it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "OpenStack")]
struct Glance {
    #[command(flatten)]
    cloud: Cloud,
    /// Push the active images with this tag, one after the other; if repeated, those with all of the tags
    #[arg(long, conflicts_with = "image")]
    tag: Vec<String>,
    /// Of several active images of the name, here and with --base, take the one that was created last; with --tag: push
    /// that one alone [default: refuse them]
    #[arg(long, conflicts_with = "file")]
    latest: bool,
    /// Directory of trusted certificates, PEM or DER files with any name: signed images (img_signature and the like)
    /// are verified against them
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    trusted_certs: Option<PathBuf>,
    /// Refuse an image that is not signed
    #[arg(long, requires = "trusted_certs")]
    verify_signatures: bool,
    /// Push an image also if Glance has no hash of it, or one that cannot be computed here: nothing proves then that
    /// it is what was uploaded
    #[arg(long)]
    allow_unverified: bool,
    /// Fail when Glance has sent nothing of the image for this long
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = units::stall_timeout)]
    stall_timeout: Duration,
    /// When all hosts hold the image, have Nova run its own call that caches it on each --aggregate: each host must
    /// answer `existing`
    #[arg(long)]
    confirm: bool,
}

/// What is expected of the hosts besides their names.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Delivery")]
struct Delivery {
    /// End the push after this time, even if hosts are missing [default: 2m plus four times what a fixed --rate needs,
    /// or twenty times what the maximum of --rate auto needs]
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Fail at once if another push of this machine goes to the group [default: wait for it, at most --timeout]
    #[arg(long, conflicts_with = "no_lock")]
    no_wait: bool,
    /// Neither wait for other pushes of this machine nor let them wait: hosts take part in one after the other
    #[arg(long)]
    no_lock: bool,
    /// Give up hosts that were never heard this long after the image was sent; with none heard, this long after the start,
    /// and nothing is sent
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration)]
    join_timeout: Duration,
    /// For hosts that cannot answer: send everything with redundancy and wait for nobody; which hosts hold the image
    /// is not known then
    #[arg(long, conflicts_with = "expect")]
    one_way: bool,
    /// With --one-way: repair symbols in addition to the image; they make good about as much loss
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = units::overhead, requires = "one_way")]
    overhead: f64,
    /// With --one-way: number of times that everything is sent
    #[arg(
        long, value_name = "N", default_value_t = 1, requires = "one_way",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(PASSES_MAX))
    )]
    repeat: u32,
}

/// How fast datagrams go out, and how large they are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
struct Speed {
    /// Bits per second on the wire: a fixed rate of one copy, as in 390mbit or 1gbit; auto: what the network and the hosts can
    /// take, up to 70 % of the interface's speed; auto:5gbit: up to that rate
    #[arg(long, value_name = "RATE|auto[:MAX]", default_value = "auto")]
    rate: RateChoice,
    /// Differentiated services code point (DSCP) of the datagrams; 8 (CS1) yields to other traffic
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..64))]
    dscp: u8,
    /// Largest IP packet that reaches every host [default: the interface's MTU, at most 9000]
    #[arg(long, value_name = "N", value_parser = units::mtu)]
    mtu: Option<u16>,
}

impl SendArgs {
    /// Returns what is done when another push of this machine goes to the group.
    pub(crate) fn if_taken(&self) -> IfTaken {
        let Delivery { no_wait, no_lock, timeout, .. } = self.delivery;
        match (no_wait, no_lock) {
            (true, _) => IfTaken::Fail,
            (_, true) => IfTaken::Go,
            (false, false) => IfTaken::Wait { longest: timeout },
        }
    }

    /// Reads the hosts file, if there is one. Returns the images that are meant, and the push of one of them.
    pub(crate) fn queue(self) -> Result<QueueRequest, RequestError> {
        let (cloud, namesakes) = (self.glance.cloud.choice(), namesakes(self.glance.latest));
        let (images, tags) = (self.image.clone(), self.glance.tag.clone());
        let name_or_id = images.first().or(tags.first()).cloned();
        if self.name.is_some() && (images.len() > 1 || !tags.is_empty()) {
            return Err(RequestError::OneName);
        }
        let first = self.request_for(name_or_id)?;
        Ok(QueueRequest { first, images, tags, cloud, namesakes })
    }

    fn request_for(self, name_or_id: Option<String>) -> Result<PushRequest, RequestError> {
        let Self { glance, delivery, speed, .. } = self;
        let Delivery { timeout, join_timeout, one_way, overhead, repeat: passes, .. } = delivery;
        let (confirm, cloud) = (glance.confirm, glance.cloud.choice());
        let image = match (self.file, name_or_id) {
            (Some(path), _) if path.as_os_str() == "-" => return Err(RequestError::StandardInput),
            (Some(path), _) => {
                Image::File(FileImage { path, image_id: self.image_id, format: self.disk_format })
            }
            (None, Some(name_or_id)) => Image::Glance(glance.image(name_or_id)),
            (None, None) => return Err(RequestError::NoImage),
        };
        let formats = FormatRules {
            conversion: if self.as_is { Conversion::AsIs } else { Conversion::ToRaw },
            unsandboxed: if self.allow_unsandboxed { Unsandboxed::Allowed } else { Unsandboxed::Refused },
            virtual_bytes_max: self.max_virtual_size,
            allowed: self.allow,
        };
        let (targets, reach) = self.reach.with(self.hosts)?;
        PushRequest::new(PushOptions {
            image,
            name: self.name,
            pin: self.pin.unwrap_or_default(),
            base: self.base,
            formats,
            cloud,
            network: self.network.marked(speed.dscp),
            rate: speed.rate,
            mtu: speed.mtu,
            targets,
            reach,
            confirm,
            one_way: one_way.then_some(OneWay { overhead, passes }),
            timeout,
            join_timeout: Some(join_timeout),
            key: self.key.source()?,
            signing: self.signing.signing(),
            known_hosts: self.known.options(),
            missing: self.afterwards.missing(),
            compression: self.compress,
            spool: self.spool,
        })
    }
}

impl Glance {
    fn image(self, name_or_id: String) -> GlanceImage {
        let signatures = match (self.trusted_certs, self.verify_signatures) {
            (None, _) => SignatureRule::Ignore,
            (Some(trusted), false) => SignatureRule::VerifySigned(trusted),
            (Some(trusted), true) => SignatureRule::Require(trusted),
        };
        let Self { allow_unverified, stall_timeout, .. } = self;
        let namesakes = namesakes(self.latest);
        GlanceImage { name_or_id, namesakes, signatures, allow_unverified, stall_timeout }
    }
}
