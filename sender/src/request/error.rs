//! Why a push or a query cannot be run. Each message is one line that ends with what to do.

use std::io;
use std::path::PathBuf;

use glancecast_inspect::{Refusal, Rule, UnknownDiskFormat};
use glancecast_platform::interface::InterfaceError;
use glancecast_platform::keyfile::KeyFileError;
use glancecast_platform::known_hosts::KnownHostsError;
use glancecast_platform::sender_keys::SenderKeyError;
use glancecast_platform::transport::{DestinationsError, SocketError};
use glancecast_proto::geometry::GeometryError;
use glancecast_proto::ids::{HostName, NameError};
use glancecast_proto::limits::{HOSTS_MAX, PATHS_MAX};

use super::RekeyError;
use super::host_list::HostListError;
use super::listed::ListedError;
use super::queue::QUEUE_MAX;
use super::reach::RelaysFileError;
use crate::openstack::{CloudError, CloudErrorKind, SignatureError};
use crate::pipeline::query::NetworkAway;
use crate::pipeline::source::convert::ConvertError;
use crate::pipeline::source::{OpenError, SourceError};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request, the configuration or the image is wrong: repeating it cannot help.
    Usage,
    /// The attempt failed.
    Failed,
}

/// Why a push or a query could not start, or not be completed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RequestError {
    #[error(
        "no key: give --key FILE, or key = \"FILE\" in /etc/glancecast/glancecast.toml (make keys with: glancecast keygen --all \
         DIR), or --insecure in a lab of your own"
    )]
    NoKey,
    #[error("nothing to push: name an image in Glance, or give --file PATH")]
    NoImage,
    #[error("--name is for one image, and several may be pushed: push them one by one, or without --name")]
    OneName,
    #[error(
        "--file -: an image is inspected before it is sent, and read again for hosts that come late, which needs a file: save \
         it and give its path (./- for a file of that name)"
    )]
    StandardInput,
    #[error("no active image has the tag {0}: `glancecast images --tag TAG` lists those that do")]
    NoImageWithTag(String),
    #[error("{0} images; at most {QUEUE_MAX} are pushed in one call")]
    TooManyImages(usize),
    #[error(
        "--confirm needs --aggregate: Nova caches images by aggregate only, an availability zone has no such call; name the \
         aggregate that makes the zone (`openstack aggregate list --long`)"
    )]
    ConfirmWhere,
    #[error("--confirm needs an image of Glance, as Nova asks for it by its id: give --image-id with --file")]
    ConfirmWhat,
    #[error(
        "--one-way needs a rate, as in --rate 500mbit: no host tells this sender that the rate is too high"
    )]
    OneWayRate,
    #[error("--one-way takes no --expect and no --base: nobody answers")]
    OneWayHosts,
    #[error("{0}")]
    OutOfRange(&'static str),
    #[error("--events prints lines on standard output, where nothing else goes: give --events=FILE")]
    EventsAndMore,
    #[error("cannot write events to {}: {error}", path.display())]
    Events { path: PathBuf, error: io::Error },
    #[error("--watch is for hosts and status: what changes or reads copies is asked for once")]
    WatchWhat,
    #[error("the list has no column {column:?}: its columns are {columns}")]
    NoColumn { column: String, columns: String },

    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    SenderKey(#[from] SenderKeyError),
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
    #[error(transparent)]
    Rekey(#[from] RekeyError),
    #[error(
        "no place for known hosts: neither HOME nor XDG_STATE_HOME names a directory; give --known-hosts FILE"
    )]
    NoKnownHosts,
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(
        "{error}; it was there before, and did not come back within {seconds} s: set it up, and start again"
    )]
    InterfaceAway { error: String, seconds: u64 },
    #[error("--mtu {mtu} is more than the MTU of interface {interface}, which is {max}")]
    Mtu { mtu: u16, interface: String, max: u32 },
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    #[error("interface {interface}: {error}")]
    Socket { interface: String, error: SocketError },

    #[error("hosts file {path}: {error}", path = path.display())]
    HostsFile { path: PathBuf, error: io::Error },
    #[error("hosts file {path} line {line}: {error}", path = path.display())]
    HostsFileLine { path: PathBuf, line: usize, error: ListedError },
    #[error("hosts file {path}: there is no host in it", path = .0.display())]
    HostsFileEmpty(PathBuf),
    #[error(transparent)]
    HostList(#[from] HostListError),
    #[error(transparent)]
    Listed(#[from] ListedError),
    #[error(transparent)]
    Relays(#[from] RelaysFileError),
    #[error("the group's address and port are missing, by which hosts are found")]
    NoGroup,
    #[error("--reach multicast sends to the group alone: it takes no --network, --relays or --no-relays")]
    OnlyTheGroup,
    #[error("the addresses of the hosts: {0}")]
    Destinations(#[from] DestinationsError),
    #[error(
        "--reach unicast needs to know its hosts: give --to HOST=ADDRESS, --hosts, --hosts-file, --aggregate or \
         --availability-zone"
    )]
    UnicastWhom,
    #[error(
        "{hosts}: no address ({why}): give --to HOST=ADDRESS, a line `HOST ADDRESS` in --hosts-file, or --network for one of \
         several networks"
    )]
    NoAddress { hosts: String, why: String },
    #[error(
        "{0} hosts get copies of their own, and at most {PATHS_MAX} are possible: let hosts relay (no --no-relays, no --one-way)"
    )]
    TooManyCopies(usize),
    #[error("the list of hosts has only hosts that are left out: name those that are meant too")]
    NoHostNamed,
    #[error(
        "--exclude needs the hosts that are meant (--hosts, --hosts-file, --aggregate or --availability-zone): a push to everyone is \
         written by each host of the group"
    )]
    ExcludeWhat,
    #[error("!{0} takes nothing away: no host of that name is in the list before it")]
    ExceptsNothing(HostName),
    #[error("every host that was chosen is excluded: nobody is left")]
    AllExcluded,
    #[error("{0} hosts; at most {HOSTS_MAX} are possible in one push")]
    TooManyHosts(usize),
    #[error("{missing}, and Nova has no other host there: set another `host` in their nova.conf")]
    NoHostWithAName { missing: String },

    #[error("{name:?} cannot be the name of the image on the hosts: {error}; give --name")]
    ObjectName { name: String, error: NameError },
    #[error("{name:?} cannot be the name of an image on the hosts: {error}")]
    SoughtName { name: String, error: NameError },
    #[error("--base {base:?}: {error}; give the name that it has on the hosts, not a path")]
    Base { base: String, error: String },

    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(
        "{image} has the container format {container}, which holds no disk that a host can boot: {remedy}"
    )]
    Container { image: String, container: String, remedy: &'static str },
    #[error("{image} has no disk format: set it in Glance")]
    NoDiskFormat { image: String },
    #[error("{image} is refused: {error} (rule {rule})", rule = Rule::UnsupportedFormat.name())]
    UnknownFormat { image: String, error: UnknownDiskFormat },
    #[error("{image} is refused: {error} (rule {rule})", rule = error.rule())]
    Signature { image: String, error: SignatureError },
    #[error("{image} is refused: {text}{way} (rule {rule})",
        text = refusal.text, way = way_round(refusal.rule), rule = refusal.rule)]
    Refused { image: String, refusal: Refusal },
    #[error("{image}: {error}")]
    Unproven { image: String, error: CloudError },
    #[error("{image}: {error}")]
    Convert { image: String, error: ConvertError },
    #[error("{image}: {error}")]
    Read { image: String, error: io::Error },
    #[error("--spool {path}: no file can be made there: {error}", path = path.display())]
    Spool { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Source(#[from] SourceError),

    #[error("no random numbers: {0}")]
    Random(io::Error),
    #[error("cannot start a thread: {0}")]
    Start(io::Error),
    #[error(transparent)]
    Away(#[from] NetworkAway),
    #[error(
        "interface {interface} takes nothing for the group: {error}; ip route get GROUP shows where it would go"
    )]
    NotSent { interface: String, error: io::Error },
}

impl RequestError {
    /// Returns whether the request is wrong, or failed.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cloud(error) => match error.kind() {
                CloudErrorKind::Usage => ErrorKind::Usage,
                CloudErrorKind::Source => ErrorKind::Failed,
            },
            Self::Convert { error, .. } if error.is_usage() => ErrorKind::Usage,
            Self::Socket { .. }
            | Self::InterfaceAway { .. }
            | Self::Unproven { .. }
            | Self::Convert { .. }
            | Self::Read { .. }
            | Self::Source(_)
            | Self::Random(_)
            | Self::Start(_)
            | Self::NotSent { .. }
            | Self::Away(_) => ErrorKind::Failed,
            _ => ErrorKind::Usage,
        }
    }

    /// Returns the name of the rule by which the image was refused; `None` if it was not refused.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.rule.name()),
            Self::UnknownFormat { .. } => Some(Rule::UnsupportedFormat.name()),
            Self::Signature { error, .. } => Some(error.rule()),
            Self::Cloud(CloudError::Empty { .. } | CloudError::VolumeBacked { .. }) => {
                Some(Rule::Empty.name())
            }
            _ => None,
        }
    }

    /// Converts an error; a refused image is an error of its own, whether the inspection or `qemu-img` refused it.
    pub(super) fn convert(image: &str, error: ConvertError) -> Self {
        let image = image.to_owned();
        match error {
            ConvertError::Refused(refusal) => Self::Refused { image, refusal },
            error => Self::Convert { image, error },
        }
    }
}

/// Returns how to send an image that breaks a rule all the same; nothing for most rules.
fn way_round(rule: Rule) -> &'static str {
    match rule {
        Rule::PartitionTable => "; for directory stores, give --allow partition-table",
        Rule::NotADisk => "; for directory stores, give --allow not-a-disk",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_help_another_time_is_a_failure() {
        assert_eq!(RequestError::Cloud(CloudError::NoHash).kind(), ErrorKind::Failed);
        assert_eq!(RequestError::ConfirmWhat.kind(), ErrorKind::Usage);
        let convert = |error| RequestError::convert("x", error).kind();
        assert_eq!(convert(ConvertError::NoTool), ErrorKind::Usage);
        assert_eq!(convert(ConvertError::Length { got: 1, expected: 2 }), ErrorKind::Failed);
    }
}
