//! The options of the command line, and the requests that are built from them.

mod brief;
mod common;
mod doctor;
mod listing;
mod query;
mod reach;
mod rekey;
mod send;
mod units;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use common::joined;
use common::{Cloud, Output};
pub(crate) use doctor::DoctorArgs;
use listing::ListArgs;
pub(crate) use query::{HostsArgs, ImageQueryArgs, PinArgs, QueryArgs, RemoveArgs, StatusArgs, VerifyArgs};
pub(crate) use rekey::RekeyArgs;
pub(crate) use send::SendArgs;

/// What `--version` prints: the versions of the program and of its protocol.
const VERSION_LINE: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 2)");
const _: () = assert!(glancecast_proto::wire::VERSION == 2, "VERSION_LINE names it");

/// Copies an operating-system image to many hosts at once, over multicast, and proves every copy.
#[derive(Debug, Parser)]
#[command(name = "glancecast", version = VERSION_LINE, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) places: Places,
    /// Log what is done, on standard error. Twice: log also what libraries do [default: warnings, or RUST_LOG]
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
}

/// The places that settings are read from.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Places {
    /// Read settings from this TOML file instead of /etc/glancecast/glancecast.toml and
    /// ~/.config/glancecast/config.toml; see `glancecast config`
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Use the settings of [profile.NAME] in the configuration [default: its default_profile]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
}

impl Args {
    /// Returns the number of `-v`.
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }
}

/// Returns the command line that is parsed: with a sentence for each option after `-h`, and everything after `--help`.
pub(crate) fn command() -> clap::Command {
    brief::with_brief_help(Args::command())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Push an image to every host that listens on the group
    #[command(after_long_help = SEND_EXIT_CODES)]
    Send(Box<SendArgs>),
    /// List the images in Glance
    Images(Box<ImagesArgs>),
    /// List the hosts that listen on the group, and what they hold; or forget the keys of hosts
    #[command(after_long_help = HOSTS_EXIT_CODES)]
    Hosts(Box<HostsArgs>),
    /// Show which hosts hold an image, when it was proven and how long it is kept; or list all that lies on the hosts
    #[command(after_long_help = STATUS_EXIT_CODES)]
    Status(Box<StatusArgs>),
    /// Have the hosts hash their copies of an image again
    #[command(after_long_help = VERIFY_EXIT_CODES)]
    Verify(Box<VerifyArgs>),
    /// Pin an image where it lies on the hosts: they keep it for a time from now on, or until it is unpinned
    #[command(after_long_help = PIN_EXIT_CODES)]
    Pin(Box<PinArgs>),
    /// End the pin of an image: hosts keep it no longer than their own rules say
    #[command(after_long_help = UNPIN_EXIT_CODES)]
    Unpin(Box<ImageQueryArgs>),
    /// Remove an image from the hosts; what an instance or a push uses stays, and what is pinned
    #[command(after_long_help = REMOVE_EXIT_CODES)]
    Remove(Box<RemoveArgs>),
    /// Examine the path to the hosts: what is wrong with it, on which hosts, and the command that mends it
    #[command(after_long_help = DOCTOR_EXIT_CODES)]
    Doctor(Box<DoctorArgs>),
    /// Replace the group key: give a new one to every known host, over the wire, and leave out those that are named
    #[command(after_long_help = REKEY_EXIT_CODES)]
    Rekey(Box<RekeyArgs>),
    /// Create a key, or with --all the keys of a group and its sender
    Keygen(KeygenArgs),
    /// Show the settings in force, and where each comes from: the configuration, the environment, or the default
    #[command(after_long_help = CONFIG_EXIT_CODES)]
    Config(ConfigArgs),
}

impl Command {
    /// Whether the result is to be JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Send(args) => args.output.json(),
            Self::Images(args) => args.output.json(),
            Self::Hosts(args) => args.query.output.json(),
            Self::Status(args) => args.query.output.json(),
            Self::Verify(args) => args.image.query.output.json(),
            Self::Unpin(args) => args.query.output.json(),
            Self::Pin(args) => args.image.query.output.json(),
            Self::Remove(args) => args.image.query.output.json(),
            Self::Doctor(args) => args.output.json,
            Self::Rekey(args) => args.output.json,
            Self::Keygen(args) => args.json,
            Self::Config(args) => args.output.json,
        }
    }
}

const SEND_EXIT_CODES: &str = "\
Example:
  glancecast send ubuntu-24.04 --aggregate gpu
  glancecast send --file debian-13.raw --hosts 'compute-[1-40],!compute-7' --dry-run
  glancecast send ubuntu-24.04 --aggregate gpu --repair

Exit codes:
  0  every expected host holds a proven copy
  1  the push failed (source, network): nothing was published
  2  a mistake in the command line, the configuration or the credentials,
     or an image that no host should use: the message ends with the rule that it breaks
  3  some expected host does not hold a proven copy: the table says which and why
  130, 143, 129  SIGINT (Ctrl-C), SIGTERM or SIGHUP ended it: hosts keep what they have, and the same command goes on
Of several images the worst code counts: 2, then 1, then 3";

const HOSTS_EXIT_CODES: &str = "\
Example:
  glancecast hosts --hosts-file nodes.txt
  glancecast hosts --forget compute-[1-4]

Exit codes:
  0  every expected host answered; where none is expected, at least one did.
     With --forget: none of these hosts is known
  1  the query could not be sent
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host did not answer: the table says which";

const STATUS_EXIT_CODES: &str = "\
Example:
  glancecast status ubuntu-24.04 --aggregate gpu

Exit codes:
  0  every expected host holds the image; where none is expected, at least one does. Without IMAGE: every expected host
     answered
  1  the query could not be sent
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host does not hold it or did not answer: the table says which";

const VERIFY_EXIT_CODES: &str = "\
Example:
  glancecast verify ubuntu-24.04 --hosts compute-[1-40]

Exit codes:
  0  every copy is intact, and every expected host has one
  1  the query could not be sent
  2  a mistake in the command line, the configuration or the credentials
  3  some copy differs or could not be read, or some expected host has none or did not answer: the table says which";

const UNPIN_EXIT_CODES: &str = "\
Example:
  glancecast unpin ubuntu-24.04 --everyone

Exit codes:
  0  every host that answered has ended its pin, and every expected host has answered
  1  the query could not be sent
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host did not answer, or no host holds the image";

const PIN_EXIT_CODES: &str = "\
Example:
  glancecast pin ubuntu-24.04 --hosts compute-[1-40] --for 7d

Exit codes:
  0  every expected host holds the image and has pinned it; where none is expected, at least one has
  1  the query could not be sent
  2  a mistake in the command line, the configuration or the credentials
  3  some expected host does not hold it or did not answer, or could not pin it: the table says which";

const REMOVE_EXIT_CODES: &str = "\
Exit codes:
  0  no host that answered holds it any more, and every expected host has answered
  1  the query could not be sent, or the question was not answered with yes
  2  a mistake in the command line, the configuration or the credentials
  3  some host keeps it or did not answer: the table says which and why";

const DOCTOR_EXIT_CODES: &str = "\
Example:
  glancecast doctor --aggregate gpu
  glancecast doctor --to compute-1=10.0.0.11,compute-2=10.0.0.12 --rate 1gbit

Exit codes:
  0  nothing is wrong
  1  nothing could be sent
  2  a mistake in the command line, the configuration or the credentials
  3  something is wrong: the table says what, where, and how it is mended (docs/doctor.md)";

const REKEY_EXIT_CODES: &str = "\
Example:
  glancecast rekey --key group.key --sender-key sender.key --without compute-7

Exit codes:
  0  every host that is not left out has the new key, and the old one is retired (with --keep-old: not retired yet)
  1  the hosts could not be asked
  2  a mistake in the command line, or a key or the file of known hosts is unusable
  3  some host does not have the new key, or still accepts the old one: the table says which; --resume goes on";

const CONFIG_EXIT_CODES: &str = "\
Example:
  glancecast config --profile prod

Exit codes:
  0  every value can be used
  2  some value cannot: each mistake is named with its file and line, or its variable";

/// The options of `glancecast config`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Print nothing if every value can be used, and all mistakes otherwise
    #[arg(long, conflicts_with = "json")]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    #[command(flatten)]
    pub(crate) cloud: Cloud,
    /// Only images with exactly this name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only images in this status; active ones can be pushed
    #[arg(long, value_parser = IMAGE_STATUSES)]
    pub(crate) status: Option<String>,
    /// Only images with this visibility; all: community images too [default: own, public, and accepted shared images]
    #[arg(long, value_parser = ["public", "private", "shared", "community", "all"])]
    pub(crate) visibility: Option<String>,
    /// Only images with this tag; if repeated, with all of them
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// Largest number of images to list [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Start after the image with this id
    #[arg(long, value_name = "ID")]
    pub(crate) marker: Option<String>,
    #[command(flatten)]
    pub(crate) output: ListArgs,
}

/// Glance's image statuses. It returns an empty list for an unknown status, so a misspelt one has to be detected here.
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
pub(crate) struct KeygenArgs {
    /// File for a new group key, mode 0600; an existing file is never replaced
    #[arg(required_unless_present_any = ["all", "public", "fingerprint"])]
    pub(crate) file: Option<PathBuf>,
    /// Create a sender's key pair instead: the file holds the secret half; the public half is printed, for --sender on
    /// the hosts
    #[arg(long, requires = "file")]
    pub(crate) sender: bool,
    /// Create all keys of a group in this directory: group.key, sender.key and sender.pub; says which goes where
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "sender"])]
    pub(crate) all: Option<PathBuf>,
    /// Create nothing: print the public half of the sender key in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "sender", "all"])]
    pub(crate) public: Option<PathBuf>,
    /// Create nothing: print the fingerprint of the group key in this file, which glancecastd logs as group_key= and shows in
    /// `glancecastd status`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "sender", "all", "public"])]
    pub(crate) fingerprint: Option<PathBuf>,
    /// With --all: print one JSON object on standard output instead of text
    // Clap drops the requirement if an argument that conflicts with the required one is given, here a file.
    #[arg(long, requires = "all", conflicts_with = "file")]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::openstack::Namesakes;
    use crate::request::{
        GlanceImage, Image, KeySource, KnownHostsOptions, PushOptions, QueryKind, SignatureRule,
    };

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn an_image_or_a_file_and_one_way_to_say_which_hosts_must_have_it() {
        for good in [
            "send ubuntu",
            "send --file /x --hosts a,b",
            "send --file /x --hosts compute-[1-40,44],!compute-7 --exclude compute-[8-9] --exclude compute-44",
            "unpin ubuntu --aggregate gpu --exclude ironic-[0-3]",
            "send ubuntu --rate auto:5gbit",
            "send ubuntu --aggregate a --aggregate b --availability-zone z",
            "send --file /x --aggregate gpu",
            "hosts --aggregate gpu --json",
            "verify ubuntu --hosts a,b --wait 500ms",
            "send ubuntu --latest",
            "send ubuntu debian --hosts a",
            "send --tag gpu --tag ready --latest",
            "send ubuntu --no-wait",
            "unpin ubuntu --latest",
            "pin ubuntu --hosts a,b",
            "pin ubuntu --everyone --for 7d",
            "pin ubuntu --hosts a --for forever --json",
            "send ubuntu --pin 7d",
            "send ubuntu --repair --hosts a,b",
            "send --file /x --repair --aggregate gpu --json",
            "send ubuntu --compress auto",
            "send ubuntu --compress off",
            "send ubuntu --compress 1",
            "send ubuntu --compress 19",
            "send --file /x --disk-format qcow2 --as-is",
            "send --file /x --pin forever --image-id 4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44",
            "send ubuntu --one-way --overhead 5% --repeat 3",
            "send ubuntu --one-way --hosts a,b --rate 1gbit",
            "send ubuntu --everyone",
            "hosts --everyone",
            "status ubuntu --sender-key /s",
            "status --hosts a",
            "send ubuntu --known-hosts /k --strict-hosts",
            "send ubuntu --no-offload",
            "hosts --no-offload",
            "verify ubuntu --known-hosts /k --strict-hosts",
            "hosts --forget c1 c2 --json",
            "send ubuntu --os-cloud prod --os-region-name R2",
            "status ubuntu --os-region-name R2",
        ] {
            assert!(parse(&format!("glancecast {good} --insecure")).is_ok(), "{good}");
        }
        for good in [
            "images --tag a --tag b --limit 3 --status active",
            "keygen group.key",
            "keygen --sender sender.key",
            "keygen --all /etc/glancecast --json",
            "hosts --forget c1,c2 --known-hosts /k --json",
            "hosts --forget c[1-2] d1 --known-hosts /k",
            "rekey --key /k --sender-key /s --without c[01-03],d1",
            "rekey --key /k --sender-key /s --without c1,c2 --out /n --keep-old --json",
            "rekey --key /k --sender-key /s --resume --without c3 --wait 1s --timeout 5m",
            "rekey --key /k --sender-key /s --finish --known-hosts /h",
            "rekey --key /k --sender-key /s --again --without c8",
            "rekey --key /k --sender-key /s --no-offload",
            "config --json --profile prod",
            "config --check --config /c",
            "--profile prod -vv images",
            "doctor --insecure",
            "doctor --insecure --to a=10.0.0.1 --rate 1gbit --json",
            "doctor --insecure --aggregate gpu --network 10.0.0.0/8",
            "doctor --insecure --to a=10.0.0.1 --write relays.toml --force",
            "send ubuntu --insecure --no-diagnosis",
            "hosts --insecure --hosts a --no-diagnosis",
        ] {
            assert!(parse(&format!("glancecast {good}")).is_ok(), "{good}");
        }
    }

    #[test]
    fn mistakes_are_found_where_they_are_made() {
        for bad in [
            "glancecast keygen",
            "glancecast keygen --sender",
            "glancecast keygen --json group.key",
            "glancecast keygen --all /d group.key",
            "glancecast keygen --all /d --sender",
            "glancecast send ubuntu --key /k --unsigned --sender-key /s",
            "glancecast send ubuntu --file /x --insecure",
            "glancecast send ubuntu --tag x --insecure",
            "glancecast send --file /x --tag x --insecure",
            "glancecast send ubuntu --insecure --no-wait --no-lock",
            "glancecast send ubuntu --insecure --key /k",
            "glancecast send ubuntu --insecure --repair --dry-run",
            "glancecast send ubuntu --insecure --repair --one-way --rate 1gbit",
            "glancecast send ubuntu --insecure --repair --aggregate gpu --confirm",
            "glancecast pin ubuntu --insecure --for 0s",
            "glancecast pin ubuntu --insecure --for never",
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
            "glancecast send ubuntu --insecure --image-id 4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44",
            "glancecast send --file /x --insecure --image-id 4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44",
            "glancecast send ubuntu --insecure --rate auto:",
            "glancecast send ubuntu --insecure --repeat 2",
            "glancecast send ubuntu --insecure --one-way --expect 2",
            "glancecast send ubuntu --insecure --one-way --overhead 101%",
            "glancecast send ubuntu --insecure --aggregate gpu --hosts a",
            "glancecast send ubuntu --insecure --everyone --hosts a",
            "glancecast hosts --insecure --everyone --aggregate gpu",
            "glancecast send ubuntu --insecure --stall-timeout 10ms",
            "glancecast images --limit 0",
            "glancecast verify --insecure",
            "glancecast hosts --insecure --latest",
            "glancecast send --file /x --insecure --latest",
            "glancecast hosts --insecure --expect 2 --hosts a",
            "glancecast hosts --insecure --expect 2 --aggregate gpu",
            "glancecast unpin ubuntu --insecure --key /k",
            "glancecast hosts --forget",
            "glancecast hosts --forget c/1",
            "glancecast hosts --forget c1 --exclude c2",
            "glancecast send ubuntu --insecure --hosts c[1-",
            "glancecast send ubuntu --insecure --hosts c1 --exclude c[9-1]",
            "glancecast hosts --forget c1 --hosts c2",
            "glancecast hosts --forget c1 --aggregate gpu",
            "glancecast hosts --forget c1 --strict-hosts",
            "glancecast status ubuntu --insecure --forget c1",
            "glancecast hosts --insecure --wait 2",
            "glancecast images --status activ",
            "glancecast config --check --json",
            "glancecast doctor --insecure --rate fast",
            "glancecast doctor --insecure --rate auto",
            "glancecast doctor --insecure --force",
            "glancecast doctor --insecure --no-diagnosis",
            "glancecast rekey --key /k",
            "glancecast rekey --sender-key /s",
            "glancecast rekey --key /k --sender-key /s --resume --finish",
            "glancecast rekey --key /k --sender-key /s --resume --out /n",
            "glancecast rekey --key /k --sender-key /s --finish --keep-old",
            "glancecast rekey --key /k --sender-key /s --without a/b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_push_without_options_is_the_default_one() {
        let Command::Send(args) = parse("glancecast send ubuntu --insecure").expect("a push").command else {
            panic!("not a push")
        };
        let image = GlanceImage {
            name_or_id: "ubuntu".into(),
            namesakes: Namesakes::Refused,
            signatures: SignatureRule::Ignore,
            allow_unverified: false,
            stall_timeout: Duration::from_secs(30),
        };
        let defaults = PushOptions::new(Image::Glance(image), KeySource::Insecure);
        let request = args.queue().expect("a request").first;
        assert_eq!(format!("{:?}", request.options()), format!("{defaults:?}"));
    }

    #[test]
    fn known_hosts_are_part_of_a_push_and_of_a_query() {
        let strict = KnownHostsOptions {
            file: Some("/k".into()),
            unknown: glancecast_proto::known::UnknownHosts::Refused,
        };
        for (flags, expected) in
            [("", KnownHostsOptions::default()), (" --known-hosts /k --strict-hosts", strict)]
        {
            let found = match parse(&format!("glancecast send ubuntu --insecure{flags}"))
                .expect("a push")
                .command
            {
                Command::Send(args) => args.queue().expect("a request").first.options().known_hosts.clone(),
                _ => panic!("not a push"),
            };
            assert_eq!(found, expected);
            let found = match parse(&format!("glancecast hosts --insecure{flags}")).expect("a query").command
            {
                Command::Hosts(args) => {
                    args.query.request(QueryKind::Hosts, Namesakes::Refused).expect("a request").known_hosts
                }
                _ => panic!("not a query"),
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn options_of_which_something_is_missing_are_refused_with_what_to_give() {
        let refused = |line: &str| match parse(line).expect("clap sees no mistake").command {
            Command::Send(args) => args.queue().map(drop).map_err(|error| error.to_string()),
            Command::Hosts(args) => args
                .query
                .request(QueryKind::Hosts, Namesakes::Refused)
                .map(drop)
                .map_err(|error| error.to_string()),
            _ => panic!("neither a push nor a query"),
        };
        for (line, hint) in [
            ("glancecast send ubuntu", "no key: give --key FILE"),
            ("glancecast hosts", "no key: give --key FILE"),
            ("glancecast send --insecure", "give --file PATH"),
            ("glancecast send --insecure --file -", "needs a file"),
            ("glancecast send --insecure a b --name x", "--name is for one image"),
            ("glancecast send --insecure --tag a --name x", "--name is for one image"),
            ("glancecast send ubuntu --insecure --one-way", "--rate 500mbit"),
            ("glancecast send ubuntu --insecure --confirm --hosts a", "needs --aggregate"),
            ("glancecast hosts --insecure --hosts-file /nowhere", "hosts file /nowhere: "),
            ("glancecast hosts --insecure --hosts @/nowhere", "hosts file /nowhere: "),
            ("glancecast hosts --insecure --hosts !a", "only hosts that are left out"),
            ("glancecast hosts --insecure --exclude a", "--exclude needs the hosts that are meant"),
            (
                "glancecast hosts --insecure --expect 3 --exclude a",
                "--exclude needs the hosts that are meant",
            ),
        ] {
            let error = refused(line).expect_err(line);
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }
}
