//! What the cloud has: images of Glance, hosts of Nova. The shell fills it from whole, successful listings only; while Glance
//! or Nova is away, it hands over the last ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use glancecast_proto::ids::HostName;
use glancecast_proto::time::WallClock;

use crate::policy::{Group, ImageId, Visibility};

/// Images and hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// Images in any status, by id.
    pub images: BTreeMap<ImageId, Image>,
    /// Hosts.
    pub compute: Compute,
}

/// An image as Glance lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name, which others may have, too.
    pub name: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Who may use it; `None` for a word that is not known.
    pub visibility: Option<Visibility>,
    /// What Glance says of it.
    pub status: ImageStatus,
    /// When Glance has created it.
    pub created_at: WallClock,
    /// What proves its bytes, or why it cannot be pushed.
    pub record: Result<Record, String>,
}

/// What Glance keeps of an image's bytes. Another record is another content, also under the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `os_hash_algo`.
    pub algorithm: String,
    /// `os_hash_value`.
    pub hash: String,
    /// `size`, in bytes.
    pub size: u64,
}

/// The status of an image, in the words of Glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageStatus {
    /// It can be used.
    Active,
    /// An administrator keeps it from being used.
    Deactivated,
    /// It has no data yet.
    Queued,
    /// Its data are on their way to the store.
    Saving,
    /// Glance takes its data in.
    Importing,
    /// Its data are on their way to the staging area.
    Uploading,
    /// Its upload has failed.
    Killed,
    /// It is gone.
    Deleted,
    /// It is gone, and its data will be.
    PendingDelete,
    /// A word that is not known.
    Other(String),
}

impl ImageStatus {
    /// Reads the field `status` of an image.
    pub fn of_glance(word: &str) -> Self {
        match Self::WORDS.iter().find(|(_, known)| *known == word) {
            Some((status, _)) => status.clone(),
            None => Self::Other(super::brief(word)),
        }
    }

    const WORDS: [(Self, &str); 9] = [
        (Self::Active, "active"),
        (Self::Deactivated, "deactivated"),
        (Self::Queued, "queued"),
        (Self::Saving, "saving"),
        (Self::Importing, "importing"),
        (Self::Uploading, "uploading"),
        (Self::Killed, "killed"),
        (Self::Deleted, "deleted"),
        (Self::PendingDelete, "pending_delete"),
    ];
}

impl fmt::Display for ImageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(word) => f.write_str(word),
            known => {
                let word = Self::WORDS.iter().find(|(status, _)| status == known).map(|(_, word)| *word);
                f.write_str(word.expect("every other status has a word"))
            }
        }
    }
}

/// Where hosts are known from.
#[derive(Clone, Debug, PartialEq)]
pub enum Compute {
    /// Nova.
    Nova {
        /// The services nova-compute, by Nova's name of their host.
        services: BTreeMap<String, Service>,
        /// Names of the hosts of each aggregate. Several aggregates of one name are one.
        aggregates: BTreeMap<String, BTreeSet<String>>,
    },
    /// There is no Nova: the hosts that answer in each group are all that there are.
    Absent {
        /// Those hosts.
        heard: BTreeMap<Group, BTreeSet<HostName>>,
    },
}

/// The service nova-compute of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its availability zone.
    pub zone: String,
    /// What Nova says of it.
    pub state: ServiceState,
}

/// What Nova says of a host. A host that is disabled and down is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// Enabled and up.
    Up,
    /// Up, and disabled by an administrator, with the reason that was given.
    Disabled(Option<String>),
    /// Not heard by Nova.
    Down,
    /// It runs bare-metal nodes, which have no image cache.
    BareMetal,
}
