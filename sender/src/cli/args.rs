//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use glancecast_inspect::DiskFormat;
use glancecast_platform::args::{RateChoice, parse_duration};
use glancecast_platform::multicast::Group;
use glancecast_platform::transport::Destinations;
use glancecast_proto::ids::{HostName, ObjectName};
use glancecast_proto::limits::{HOSTS_MAX, MTU_MAX, MTU_MIN};
use glancecast_proto::wire::{Pin, is_image_id};

use super::expected::Wanted;
use crate::pipeline::compress::{Compression, LEVELS};

/// Puts an operating-system image on many hosts at once, over multicast, and proves every copy.
#[derive(Debug, Parser)]
#[command(name = "glancecast", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Push an image to every host that listens on the group
    #[command(after_help = SEND_EXIT_CODES)]
    Send(Box<Send>),
    /// List the images of Glance that could be pushed
    Images(Box<Images>),
    /// Ask the group who listens and what they hold
    #[command(after_help = HOSTS_EXIT_CODES)]
    Hosts(Box<Hosts>),
    /// Ask the group who holds an image, proven when and kept how long
    #[command(after_help = STATUS_EXIT_CODES)]
    Status(Box<About>),
    /// Have the hosts hash their copies of an image again
    #[command(after_help = VERIFY_EXIT_CODES)]
    Verify(Box<About>),
    /// Have the hosts keep an image no longer than their own rules say
    #[command(after_help = UNPIN_EXIT_CODES)]
    Unpin(Box<About>),
    /// Make new keys: with --all those of a group and of its sender, else one of them
    Keygen(Keygen),
}

const SEND_EXIT_CODES: &str = "\
Exit codes:
  0  every expected host holds a proven copy
  1  the push failed (source, network): nothing was published
  2  a mistake in the command line, the configuration or the credentials, or an image that no host should use: the
     message ends with the rule that it breaks
  3  some expected host does not hold a proven copy: the table says which and why";

const HOSTS_EXIT_CODES: &str = "\
Exit codes:
  0  every expected host answered, or somebody did where nobody is expected
  1  the query could not be asked
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host did not answer: the table says which";

const STATUS_EXIT_CODES: &str = "\
Exit codes:
  0  every expected host holds the image, or somebody does where nobody is expected
  1  the query could not be asked
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host does not hold it or did not answer: the table says which";

const VERIFY_EXIT_CODES: &str = "\
Exit codes:
  0  every copy is what was proven, and every expected host has one
  1  the query could not be asked
  2  a mistake in the command line, the configuration or the credentials
  3  some copy differs or could not be read, or some expected host has none or did not answer: the table says which";

const UNPIN_EXIT_CODES: &str = "\
Exit codes:
  0  every host that answered has let go, and every expected host has answered
  1  the query could not be asked
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host did not answer, or nobody holds the image";

#[derive(Debug, clap::Args)]
pub(crate) struct Hosts {
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(crate) struct About {
    /// The image: its name on the hosts or in Glance, or Glance's id
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// What all queries have.
#[derive(Debug, clap::Args)]
pub(crate) struct Asking {
    /// Ask for so long; a host that has begun to answer, or that verifies, is waited for after it
    #[arg(long, value_name = "DUR", default_value = "2s", value_parser = parse_duration)]
    pub(crate) wait: Duration,

    /// Hosts that should answer: names with commas between them; asking ends when all have
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = HostName::new, group = "answering")]
    pub(crate) hosts: Vec<HostName>,
    /// The same from a file, a name a line, # begins a comment
    #[arg(long, value_name = "FILE", group = "answering")]
    pub(crate) hosts_file: Option<PathBuf>,
    /// So many hosts should answer, whoever they are [default: whoever answers]
    #[arg(long, value_name = "N", group = "answering", value_parser = clap::value_parser!(u32).range(1..=HOSTS_MAX as i64))]
    pub(crate) expect: Option<u32>,
    /// The hosts of this aggregate of Nova should answer, but for those that are disabled or down; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "answering")]
    pub(crate) aggregate: Vec<String>,
    /// The same for an availability zone of Nova; together with --aggregate: the hosts of both
    #[arg(long, value_name = "NAME", conflicts_with = "answering")]
    pub(crate) availability_zone: Vec<String>,
    /// Use this cloud of clouds.yaml [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(crate) os_cloud: Option<String>,

    #[command(flatten)]
    pub(crate) network: Network,
    /// Differentiated services code point of the datagrams [default: 0, best effort: they are few]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(0..64))]
    pub(crate) dscp: u8,

    /// The group's key file
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) key: Option<PathBuf>,
    /// Use the key that everybody knows: for a lab only
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

impl Asking {
    /// Who should answer.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            hosts: &self.hosts,
            hosts_file: self.hosts_file.as_deref(),
            expect: self.expect,
            aggregates: &self.aggregate,
            zones: &self.availability_zone,
        }
    }
}

/// Where pushes go and queries too.
#[derive(Debug, clap::Args)]
pub(crate) struct Network {
    /// Multicast group and port
    #[arg(long, value_name = "ADDR:PORT", default_value = Group::DEFAULT)]
    pub(crate) group: Group,
    /// Interface to send on: name or address [default: where the routing table sends the group]
    #[arg(long, value_name = "IF")]
    pub(crate) interface: Option<String>,
    /// UDP port that hosts answer to, for firewalls [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub(crate) reply_port: u16,
    /// Routers that a datagram may pass, plus one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) ttl: u8,
}

impl Network {
    /// Where the datagrams go.
    pub(super) fn destinations(&self) -> Destinations {
        self.group.into()
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// An image in Glance: its name or id
    #[arg(conflicts_with = "file")]
    pub(crate) image: Option<String>,
    /// Push this file instead of an image in Glance
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// What the hosts call it [default: the file's or the image's name]
    #[arg(long, value_parser = ObjectName::new)]
    pub(crate) name: Option<ObjectName>,
    /// With --file: the image's id in Glance, which hosts with a nova store need; the file must be what it is there
    #[arg(long, value_name = "UUID", requires = "file", conflicts_with = "image", value_parser = parse_image_id)]
    pub(crate) image_id: Option<String>,
    /// Hosts with a nova store keep it so long after its publication, whoever uses it: 7d, or forever [default: Nova's own
    /// rule, a day after its last use]
    #[arg(long, value_name = "DUR|forever", value_parser = parse_pin)]
    pub(crate) pin: Option<Pin>,
    /// With --file: the disk format that it has to be in, in Glance's words: raw, qcow2, vmdk, vhd, vhdx, vdi, iso, ami, aki, ari
    /// [default: the one that it looks like]
    // Clap lets a requirement go that is in conflict with what is given: an image.
    #[arg(long, value_name = "FORMAT", requires = "file", conflicts_with = "image")]
    pub(crate) disk_format: Option<DiskFormat>,
    /// An older image that hosts hold, of which this one has many blocks: only what they do not find in it is sent, and where
    /// they find nothing, everything. Its name or id in Glance; with --file the name that it has on the hosts, or its id
    #[arg(long, value_name = "IMAGE", conflicts_with = "one_way")]
    pub(crate) base: Option<String>,
    /// Send the bytes of a qcow2, vmdk or other image as they are, for hosts whose nova.conf has force_raw_images = False
    /// [default: they are converted to raw here, once for all hosts, with qemu-img]
    #[arg(long)]
    pub(crate) as_is: bool,
    /// Let qemu-img read the image with all rights of this process where the kernel gives no sandbox for it (Landlock, or user
    /// namespaces): a hostile image may then read any file that this user can read [default: such images are refused there]
    #[arg(long)]
    pub(crate) allow_unsandboxed: bool,
    /// Refuse an image that makes a larger disk than this, as in 100G
    #[arg(long, value_name = "SIZE", default_value = "2T", value_parser = parse_size)]
    pub(crate) max_virtual_size: u64,
    /// Verify signed images (img_signature and its like) against the certificates in this directory: PEM or DER files, named by
    /// their UUID in the key manager or anyhow
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub(crate) trusted_certs: Option<PathBuf>,
    /// Refuse an image that is not signed
    #[arg(long, requires = "trusted_certs")]
    pub(crate) verify_signatures: bool,
    /// Use this cloud of clouds.yaml [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(crate) os_cloud: Option<String>,

    #[command(flatten)]
    pub(crate) network: Network,
    /// How fast to send, in bits on the wire: a rate, as in 390mbit or 1gbit; auto: what network and hosts take, up to 70 %
    /// of the interface's speed; auto:5gbit: up to that
    #[arg(long, value_name = "RATE|auto[:MAX]", default_value = "auto")]
    pub(crate) rate: RateChoice,
    /// Differentiated services code point of the datagrams; 8 (CS1) gives way to other traffic
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..64))]
    pub(crate) dscp: u8,
    /// Largest IP packet on the way to every host [default: the interface's MTU, at most 9000]
    #[arg(long, value_name = "N", value_parser = parse_mtu)]
    pub(crate) mtu: Option<u16>,

    /// Hosts that must hold it: names with commas between them
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = HostName::new, group = "expected")]
    pub(crate) hosts: Vec<HostName>,
    /// The same from a file, a name a line, # begins a comment
    #[arg(long, value_name = "FILE", group = "expected")]
    pub(crate) hosts_file: Option<PathBuf>,
    /// So many hosts must hold it, whoever they are [default: whoever answers]
    #[arg(long, value_name = "N", group = "expected", value_parser = clap::value_parser!(u32).range(1..=HOSTS_MAX as i64))]
    pub(crate) expect: Option<u32>,
    /// Answer and repair for the hosts that are named alone: others may hear the push, and have no say in it
    #[arg(long)]
    pub(crate) only_listed: bool,
    /// The hosts of this aggregate of Nova must hold it, but for those that are disabled or down; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    pub(crate) aggregate: Vec<String>,
    /// The same for an availability zone of Nova; together with --aggregate: the hosts of both
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    pub(crate) availability_zone: Vec<String>,
    /// When all hosts hold it, have Nova run its own call to cache the image on each --aggregate: each host must answer
    /// `existing`
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Nobody answers: send everything with a surplus, and do not wait for anybody. Who has it is not known then
    #[arg(long, conflicts_with_all = ["expected", "aggregate", "availability_zone"])]
    pub(crate) one_way: bool,
    /// With --one-way: repair symbols on top of the image, which make good as much loss
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = parse_overhead, requires = "one_way")]
    pub(crate) overhead: f64,
    /// With --one-way: send everything so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "one_way")]
    pub(crate) repeat: u32,
    /// End the push after this time, whoever is missing [default: 2m and four times what the rate needs]
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// The group's key file; of several the first is used
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) key: Vec<PathBuf>,
    /// Sign the push with this key, so that hosts which list it (--sender there) take it from nobody else
    #[arg(long, value_name = "FILE")]
    pub(crate) sender_key: Option<PathBuf>,
    /// Do not warn that the push is not signed: for hosts that take pushes from anybody who has the group key
    #[arg(long, conflicts_with = "sender_key")]
    pub(crate) unsigned: bool,
    /// Use the key that everybody knows: for a lab only
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Give up when Glance has sent nothing of the image for this long
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_stall_timeout)]
    pub(crate) stall_timeout: Duration,
    /// Push an image also if Glance keeps no hash of it, or one that cannot be computed here: nothing proves then that it
    /// is what was uploaded
    #[arg(long)]
    pub(crate) allow_unverified: bool,
    /// How blocks are compressed: auto: as hard as the sender's cores can without holding up the line, and not where it is
    /// of no use; off; or a level of zstd, 1 to 19
    #[arg(long, value_name = "auto|off|LEVEL", default_value = "auto", value_parser = parse_compression)]
    pub(crate) compress: Compression,
    /// Directory for what repairs are made from while it is being pushed: compressed blocks, a local copy of an image from
    /// Glance, and images made raw
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub(crate) spool: PathBuf,

    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, and no table when everything went well
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Send {
    /// Who must have it.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            hosts: &self.hosts,
            hosts_file: self.hosts_file.as_deref(),
            expect: self.expect,
            aggregates: &self.aggregate,
            zones: &self.availability_zone,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Images {
    /// Use this cloud of clouds.yaml [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(crate) os_cloud: Option<String>,
    /// Only images of exactly this name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only images in this status; active ones can be pushed
    #[arg(long, value_parser = IMAGE_STATUSES)]
    pub(crate) status: Option<String>,
    /// Only images seen by these; all: community images too [default: own, public, and shared ones that were accepted]
    #[arg(long, value_parser = ["public", "private", "shared", "community", "all"])]
    pub(crate) visibility: Option<String>,
    /// Only images with this tag; can be repeated: with all of them
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// So many images at most [default: all]
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub(crate) limit: Option<usize>,
    /// Begin behind the image with this id
    #[arg(long, value_name = "ID")]
    pub(crate) marker: Option<String>,
    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Glance lists nothing for a status that it does not know, so a misspelt one has to be found here.
const IMAGE_STATUSES: [&str; 9] = [
    "active",
    "queued",
    "saving",
    "uploading",
    "importing",
    "deactivated",
    "killed",
    "deleted",
    "pending_delete",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Keygen {
    /// A new group key, mode 0600; an existing file is never replaced
    #[arg(required_unless_present = "all")]
    pub(crate) file: Option<PathBuf>,
    /// A sender's key pair instead: the file is the secret half, the public one is printed, for --sender on the hosts
    #[arg(long, requires = "file")]
    pub(crate) sender: bool,
    /// All that a group needs, in this directory: group.key, sender.key and sender.pub; says which goes where
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "sender"])]
    pub(crate) all: Option<PathBuf>,
    /// With --all: print one JSON object on standard output instead
    // Clap lets a requirement go that is in conflict with what is given: a file.
    #[arg(long, requires = "all", conflicts_with = "file")]
    pub(crate) json: bool,
}

fn parse_image_id(text: &str) -> Result<String, String> {
    match (is_image_id(text), is_image_id(&text.to_ascii_lowercase())) {
        (true, _) => Ok(text.to_owned()),
        (false, true) => {
            Err("Nova looks for its copy under the id letter by letter, and hosts take ids in lower-case \
                              letters alone, as Glance makes them: is this how Glance prints it?"
                .to_owned())
        }
        (false, false) => Err("an image id is a UUID, as Glance prints it".to_owned()),
    }
}

fn parse_pin(text: &str) -> Result<Pin, String> {
    match text {
        "forever" => Ok(Pin::Forever),
        _ => match parse_duration(text) {
            Ok(time) if time >= PIN_MIN => Ok(Pin::For(time)),
            Ok(_) => Err("a pin lasts a second at least".to_owned()),
            Err(error) => Err(format!("{error}; or write forever")),
        },
    }
}

/// What the announcement can say: whole seconds.
const PIN_MIN: Duration = Duration::from_secs(1);

fn parse_compression(text: &str) -> Result<Compression, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Compression::Auto),
        ("off", _) => Ok(Compression::Off),
        (_, Ok(level)) if LEVELS.contains(&level) => Ok(Compression::Level(level)),
        _ => Err(format!("write auto, off, or a level of zstd from {} to {}", LEVELS.start(), LEVELS.end())),
    }
}

/// Bytes, with a unit of powers of 1024 as qemu-img has them.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a size is a number of bytes, or one with K, M, G or T behind it".to_owned()),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    size.ok_or_else(|| "a size is a number of bytes, or one with K, M, G or T behind it".to_owned())
}

fn parse_overhead(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    match percent {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("an overhead is between 0% and 100%".to_owned()),
    }
}

fn parse_stall_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        time if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("a stall timeout is a second at least".to_owned()),
    }
}

fn parse_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err("a limit is a number above 0".to_owned()),
    }
}

fn parse_mtu(text: &str) -> Result<u16, String> {
    let range = MTU_MIN..=MTU_MAX;
    match text.parse::<u16>() {
        Ok(mtu) if range.contains(&mtu) => Ok(mtu),
        _ => Err(format!("an MTU is between {MTU_MIN} and {MTU_MAX} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_image_or_a_file_and_one_way_to_say_who_must_have_it() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("glancecast send ubuntu --insecure").is_ok());
        assert!(parse("glancecast send --file /x --insecure --hosts a,b").is_ok());
        assert!(parse("glancecast send ubuntu --insecure --rate auto:5gbit").is_ok());
        assert!(
            parse("glancecast send ubuntu --insecure --aggregate a --aggregate b --availability-zone z")
                .is_ok()
        );
        assert!(parse("glancecast send --file /x --insecure --aggregate gpu").is_ok());
        assert!(parse("glancecast hosts --insecure --aggregate gpu --json").is_ok());
        assert!(parse("glancecast verify ubuntu --insecure --hosts a,b --wait 500ms").is_ok());
        assert!(parse("glancecast images --tag a --tag b --limit 3 --status active").is_ok());
        assert!(parse("glancecast send ubuntu --insecure --pin 7d").is_ok());
        for good in ["auto", "off", "1", "19"] {
            assert!(parse(&format!("glancecast send ubuntu --insecure --compress {good}")).is_ok(), "{good}");
        }
        assert!(parse("glancecast send --file /x --insecure --disk-format qcow2 --as-is").is_ok());
        assert!(
            parse(&format!("glancecast send --file /x --insecure --pin forever --image-id {IMAGE}")).is_ok()
        );
        assert!(parse(&format!("glancecast send ubuntu --insecure --image-id {IMAGE}")).is_err());
        assert!(parse("glancecast send ubuntu --insecure --one-way --overhead 5% --repeat 3").is_ok());
        assert!(parse("glancecast keygen group.key").is_ok());
        assert!(parse("glancecast keygen --sender sender.key").is_ok());
        assert!(parse("glancecast keygen --all /etc/glancecast --json").is_ok());
        for bad in [
            "glancecast keygen",
            "glancecast keygen --sender",
            "glancecast keygen --json group.key",
            "glancecast keygen --all /d group.key",
            "glancecast keygen --all /d --sender",
            "glancecast send ubuntu --key /k --unsigned --sender-key /s",
            "glancecast send ubuntu --file /x --insecure",
            "glancecast send ubuntu --insecure --key /k",
            "glancecast send ubuntu --insecure --expect 3 --hosts a",
            "glancecast send ubuntu --insecure --expect 0",
            "glancecast send ubuntu --insecure --hosts a,,b",
            "glancecast send ubuntu --insecure --mtu 300",
            "glancecast send ubuntu --insecure --ttl 0",
            "glancecast send ubuntu --insecure --rate fast",
            "glancecast send ubuntu --insecure --disk-format raw",
            "glancecast send --file /x --insecure --disk-format ploop",
            "glancecast send ubuntu --insecure --max-virtual-size 5gb",
            "glancecast send ubuntu --insecure --max-virtual-size 99999999999T",
            "glancecast send ubuntu --insecure --verify-signatures",
            "glancecast send --file /x --insecure --trusted-certs /d --verify-signatures",
            "glancecast send ubuntu --insecure --pin ever",
            "glancecast send ubuntu --insecure --compress 0",
            "glancecast send ubuntu --insecure --compress 20",
            "glancecast send ubuntu --insecure --compress zstd",
            "glancecast send ubuntu --insecure --pin 20ms",
            "glancecast send --file /x --insecure --image-id ubuntu",
            "glancecast send --file /x --insecure --image-id 4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44",
            "glancecast send ubuntu --insecure --rate auto:",
            "glancecast send ubuntu --insecure --repeat 2",
            "glancecast send ubuntu --insecure --one-way --expect 2",
            "glancecast send ubuntu --insecure --one-way --overhead 101%",
            "glancecast send ubuntu --insecure --aggregate gpu --hosts a",
            "glancecast send ubuntu --insecure --aggregate gpu --one-way --rate 1gbit",
            "glancecast send ubuntu --insecure --stall-timeout 10ms",
            "glancecast images --limit 0",
            "glancecast status --insecure",
            "glancecast hosts --insecure --expect 2 --hosts a",
            "glancecast hosts --insecure --expect 2 --aggregate gpu",
            "glancecast unpin ubuntu --insecure --key /k",
            "glancecast hosts --insecure --wait 2",
            "glancecast images --status activ",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_as_qemu_img_has_them() {
        let sizes = ["512", "1K", "20M", "100G", "2T"].map(|text| parse_size(text).ok());
        assert_eq!(sizes, [512, 1 << 10, 20 << 20, 100 << 30, 2 << 40].map(Some));
        assert!(["", "T", "-1", "1.5G", "1GB"].iter().all(|text| parse_size(text).is_err()));
    }

    const IMAGE: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";
}
