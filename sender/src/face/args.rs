//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use glancecast_host::args::{Group, RateChoice, parse_duration};
use glancecast_proto::ids::{HostName, ObjectName};
use glancecast_proto::limits::{HOSTS_MAX, MTU_MAX, MTU_MIN};
use glancecast_proto::wire::{Pin, is_image_id};

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
    /// Make a new key: that of a group, or with --sender one that a sender signs with
    Keygen(Keygen),
}

const SEND_EXIT_CODES: &str = "\
Exit codes:
  0  every expected host holds a proven copy
  1  the push failed (source, network): nothing was published
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host does not hold a proven copy: the table says which and why";

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
    /// Use this cloud of clouds.yaml [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(crate) os_cloud: Option<String>,

    /// Multicast group and port
    #[arg(long, value_name = "ADDR:PORT", default_value = Group::DEFAULT)]
    pub(crate) group: Group,
    /// Interface to send on: name or address [default: where the routing table sends the group]
    #[arg(long, value_name = "IF")]
    pub(crate) interface: Option<String>,
    /// How fast to send, in bits on the wire: a rate, as in 390mbit or 1gbit; auto: what network and hosts take, up to 70 %
    /// of the interface's speed; auto:5gbit: up to that
    #[arg(long, value_name = "RATE|auto[:MAX]", default_value = "auto")]
    pub(crate) rate: RateChoice,
    /// UDP port that hosts answer to, for firewalls [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub(crate) reply_port: u16,
    /// Routers that a datagram may pass, plus one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) ttl: u8,
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
    /// Nobody answers: send everything with a surplus, and do not wait for anybody. Who has it is not known then
    #[arg(long, conflicts_with = "expected")]
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
    /// Use the key that everybody knows: for a lab only
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Directory for a local copy of an image from Glance while it is being pushed
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub(crate) spool: PathBuf,

    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, and no table when everything went well
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Keygen {
    /// The new key file, mode 0600; an existing one is never replaced
    pub(crate) file: PathBuf,
    /// A sender's key pair: the file is the secret half, the public one is printed, for --sender on the hosts
    #[arg(long)]
    pub(crate) sender: bool,
}

fn parse_image_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_lowercase();
    if is_image_id(&id) { Ok(id) } else { Err("an image id is a UUID, as Glance prints it".to_owned()) }
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

fn parse_overhead(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    match percent {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("an overhead is between 0% and 100%".to_owned()),
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
        assert!(parse("glancecast send ubuntu --insecure --pin 7d").is_ok());
        assert!(
            parse(&format!("glancecast send --file /x --insecure --pin forever --image-id {IMAGE}")).is_ok()
        );
        assert!(parse(&format!("glancecast send ubuntu --insecure --image-id {IMAGE}")).is_err());
        assert!(parse("glancecast send ubuntu --insecure --one-way --overhead 5% --repeat 3").is_ok());
        for bad in [
            "glancecast send ubuntu --file /x --insecure",
            "glancecast send ubuntu --insecure --key /k",
            "glancecast send ubuntu --insecure --expect 3 --hosts a",
            "glancecast send ubuntu --insecure --expect 0",
            "glancecast send ubuntu --insecure --hosts a,,b",
            "glancecast send ubuntu --insecure --mtu 300",
            "glancecast send ubuntu --insecure --ttl 0",
            "glancecast send ubuntu --insecure --rate fast",
            "glancecast send ubuntu --insecure --pin ever",
            "glancecast send ubuntu --insecure --pin 20ms",
            "glancecast send --file /x --insecure --image-id ubuntu",
            "glancecast send ubuntu --insecure --rate auto:",
            "glancecast send ubuntu --insecure --repeat 2",
            "glancecast send ubuntu --insecure --one-way --expect 2",
            "glancecast send ubuntu --insecure --one-way --overhead 101%",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    const IMAGE: &str = "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44";
}
