//! What a push or a query is asked to do, as validated values, and what runs them. The command line, tests and other
//! front ends build a [`PushRequest`] or a [`QueryRequest`]; nothing in here parses a command line or prints.
//!
//! ```text
//! request -> prepare: keys, interface, hosts, image -> start: threads -> finish: result
//! ```

mod confirm;
mod error;
mod formats;
mod image;
mod prepare;
mod push;
mod push_result;
mod query;
mod query_result;
mod targets;

use std::path::PathBuf;
use std::sync::Arc;

use glancecast_platform::interface::Interface;
use glancecast_platform::keyfile;
use glancecast_platform::transport::{Destinations, Downlink, Marking};
use glancecast_proto::seal::GroupKey;

pub use confirm::Confirmation;
pub(crate) use confirm::EXISTING;
pub use error::{ErrorKind, RequestError};
pub use formats::{Conversion, FormatRules};
pub use image::{ImageId, ImageIdError};
pub use prepare::{PreparedPush, PushPlan, PushRun};
pub use push::{FileImage, GlanceImage, Image, PushOptions, PushRequest, SignatureRule, Signing};
pub(crate) use push::{PASSES_MAX, PIN_MIN, STALL_TIMEOUT_MIN};
pub use push_result::PushResult;
pub use query::{QueryKind, QueryPlan, QueryRequest, QueryRun};
pub use query_result::{CopyVerdict, QueryResult};
pub use targets::{LeftOut, ResolvedTargets, Targets};

/// The network that a push or a query goes out to.
#[derive(Clone, Debug)]
pub struct Network {
    /// Where the datagrams go.
    pub destinations: Destinations,
    /// Name or address of the interface; `None`: the one that the routing table has for the
    /// destinations.
    pub interface: Option<String>,
    /// UDP port that hosts answer to; 0: any free one.
    pub reply_port: u16,
    /// TTL and DSCP.
    pub marking: Marking,
}

impl Network {
    fn interface(&self) -> Result<Interface, RequestError> {
        Ok(Interface::choose(self.interface.as_deref(), self.destinations.first())?)
    }

    /// The way there, for datagrams of at most `segment` bytes.
    fn open(&self, interface: &Interface, segment: usize) -> Result<Downlink, RequestError> {
        Downlink::open(self.destinations.clone(), interface, self.reply_port, self.marking, segment)
            .map_err(|error| RequestError::Socket { interface: interface.name.clone(), error })
    }
}

/// The key that seals every datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The group key in this file.
    File(PathBuf),
    /// The key that everybody knows: for a lab only.
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

/// Called with each step of the preparation that takes long.
pub type Observer = Arc<dyn Fn(Preparing<'_>) + Send + Sync>;

/// A step of the preparation of a push that takes long.
#[derive(Clone, Copy, Debug)]
pub enum Preparing<'a> {
    /// An image that cannot be sent as it arrives is downloaded first.
    Downloading {
        /// Bytes that have arrived.
        got: u64,
        /// Bytes of the image.
        of: u64,
    },
    /// It is converted to raw.
    Converting {
        /// The format that it is in.
        from: &'static str,
        /// How much of it is done, in percent, as `qemu-img` prints it.
        percent: &'a str,
    },
}
