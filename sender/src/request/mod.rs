//! The request for a push or a query, as validated values, and the code that runs it. The command line, tests and other
//! front ends build a [`PushRequest`] or a [`QueryRequest`]; this module neither parses a command line nor prints.
//!
//! ```text
//! request -> prepare: keys, interface, hosts, image -> start: threads -> finish: result
//! ```

pub(crate) mod alike;
mod confirm;
mod doctor;
mod error;
mod formats;
mod host_list;
mod image;
mod known;
pub(crate) mod listed;
mod lookout;
pub(crate) mod natural;
mod prepare;
mod push;
mod push_result;
mod query;
mod query_result;
mod queue;
mod reach;
mod rekey;
mod repair;
pub(crate) mod standing;
mod survey;
mod targets;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glancecast_platform::interface::Interface;
use glancecast_platform::path::at_present;
use glancecast_platform::transport::{Destinations, Downlink, Marking, Offload};
use glancecast_platform::{keyfile, random};
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::limits::OUTAGE_MAX;
use glancecast_proto::seal::GroupKey;
use zeroize::Zeroizing;

pub use confirm::Confirmation;
pub(crate) use confirm::EXISTING;
pub use doctor::{DoctorRequest, DoctorResult, DoctorRun};
pub use error::{ErrorKind, RequestError};
pub use formats::{Conversion, FormatRules};
pub use host_list::{HostList, HostListError};
pub use image::{ImageId, ImageIdError};
pub use known::KnownHostsOptions;
pub(crate) use known::Told;
pub use listed::{Listed, ListedError};
pub use prepare::{PreparedPush, PushPlan, PushRun};
pub use push::{FileImage, GlanceImage, Image, PushOptions, PushRequest, SignatureRule, Signing};
pub(crate) use push::{PASSES_MAX, PIN_MIN, STALL_TIMEOUT_MIN};
pub use push_result::PushResult;
pub use query::{QueryKind, QueryPlan, QueryRequest, QueryRun};
pub use query_result::{CopyVerdict, QueryResult};
pub use queue::{QueueRequest, QueuedPush};
pub use reach::{
    HostAddress, HostAddressError, Rack, RackError, ReachOptions, Relaying, RelaysFileError, Ways,
};
pub(crate) use rekey::is_under_way;
pub use rekey::{OldKey, Progress, RekeyError, RekeyHost, RekeyRequest, RekeyResult, RekeyStep};
pub use repair::Damage;
pub use standing::Standing;
pub use survey::MissingHosts;
pub use targets::{LeftOut, ResolvedTargets, Targets};

/// The network of a push or a query.
#[derive(Clone, Debug)]
pub struct Network {
    /// The destinations of datagrams.
    pub destinations: Destinations,
    /// Name or address of the interface; `None`: the interface of the route to the destinations.
    pub interface: Option<String>,
    /// The UDP port to which hosts answer; 0 for any free port.
    pub reply_port: u16,
    /// TTL and DSCP.
    pub marking: Marking,
    /// Whether the kernel may cut batches into datagrams.
    pub offload: Offload,
}

impl Network {
    fn interface(&self) -> Result<Interface, RequestError> {
        Ok(Interface::choose(self.interface.as_deref(), self.destinations.first())?)
    }

    /// Returns the interface `before` as it is at present. While it is away it is waited for: it was there before, and
    /// what was done since then is not worth less than a push that is under way.
    async fn again(&self, before: &Interface) -> Result<Interface, RequestError> {
        let (since, mut is_told) = (Instant::now(), false);
        loop {
            let present = at_present(before, self.interface.as_deref(), self.destinations.first());
            let error = match present.map(|interface| (UdpSocket::bind(interface.socket_addr(0)), interface))
            {
                Ok((Ok(_), interface)) => return Ok(interface),
                // An IPv6 address that was just added is not used before it is known to be no duplicate.
                Ok((Err(error), interface)) => format!("{interface} cannot be bound to: {error}"),
                Err(error) => error.to_string(),
            };
            if since.elapsed() >= OUTAGE_MAX {
                return Err(RequestError::InterfaceAway { error, seconds: OUTAGE_MAX.as_secs() });
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!("{error}; waiting for it to come back");
            }
            tokio::time::sleep(AGAIN_GAP).await;
        }
    }

    /// Opens the sockets, for datagrams of at most `segment` bytes.
    fn open(&self, interface: &Interface, segment: usize) -> Result<Downlink, RequestError> {
        let (destinations, offload) = (self.destinations.clone(), self.offload);
        Downlink::open(destinations, interface, self.reply_port, self.marking, segment, offload)
            .map_err(|error| RequestError::Socket { interface: interface.name.clone(), error })
    }
}

/// Time between two looks for an interface that is away.
const AGAIN_GAP: Duration = Duration::from_millis(200);

/// The key that seals every datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The group key in this file.
    File(PathBuf),
    /// The publicly known key, only for a lab.
    Insecure,
}

impl KeySource {
    fn load(&self) -> Result<GroupKey, RequestError> {
        match self {
            Self::File(path) => Ok(keyfile::load(path)?),
            Self::Insecure => Ok(GroupKey::insecure()),
        }
    }
}

/// Draws this sender's half of the keys that it shares with hosts.
fn agreement() -> Result<AgreementKey, RequestError> {
    let seed = Zeroizing::new(random::bytes().map_err(RequestError::Random)?);
    Ok(AgreementKey::from_seed(&seed))
}

/// A function that is called with each preparation step that takes long.
pub type Observer = Arc<dyn Fn(Preparing<'_>) + Send + Sync>;

/// A step in the preparation of a push that takes long.
#[derive(Clone, Copy, Debug)]
pub enum Preparing<'a> {
    /// The download of an image that cannot be sent as it arrives.
    Downloading {
        /// Bytes that have arrived.
        got: u64,
        /// Bytes of the image.
        of: u64,
    },
    /// The conversion to raw.
    Converting {
        /// The image's current format.
        from: &'static str,
        /// The percentage done, as `qemu-img` prints it.
        percent: &'a str,
    },
}
