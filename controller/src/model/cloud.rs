//! What Glance and Nova list, as one look at the cloud has it.

use glancecast_proto::time::WallClock;
use glancecast_sender::cloud::{CloudHost, CloudImage};

use super::parse_time;

/// One look at the cloud.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    /// When it was taken; `None` if there was none yet.
    pub taken: Option<WallClock>,
    /// The images, by id.
    pub images: Vec<Image>,
    /// The hosts, by name.
    pub hosts: Vec<Host>,
    /// Why the last attempt to look failed; `None` if it did not.
    pub fault: Option<String>,
}

/// An image as Glance lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    pub name: Option<String>,
    /// `active`, `queued`, `deactivated` and so on.
    pub status: String,
    /// `public`, `private`, `shared` or `community`.
    pub visibility: Option<String>,
    /// The project that it belongs to.
    pub owner: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The length of its data in bytes; `None` until it has some.
    pub size: Option<u64>,
    /// The format that its owner stated.
    pub disk_format: Option<String>,
    /// When it was created.
    pub created_at: WallClock,
    /// When its record was changed last.
    pub updated_at: WallClock,
    /// The algorithm of `os_hash_value`.
    pub os_hash_algo: Option<String>,
    /// The hash of its data.
    pub os_hash_value: Option<String>,
    /// Why it cannot be pushed; `None` if nothing in its record is against it.
    pub obstacle: Option<String>,
}

impl From<CloudImage> for Image {
    fn from(image: CloudImage) -> Self {
        let time = |text: Option<String>| text.as_deref().and_then(parse_time).unwrap_or(WallClock(0));
        Self {
            id: image.id,
            name: image.name,
            status: image.status,
            visibility: image.visibility,
            owner: image.owner,
            tags: image.tags,
            size: image.size,
            disk_format: image.disk_format,
            created_at: time(image.created_at),
            updated_at: time(image.updated_at),
            os_hash_algo: image.os_hash_algo,
            os_hash_value: image.os_hash_value,
            obstacle: image.obstacle,
        }
    }
}

/// A compute host as Nova lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Nova's name of it, which its receiver has, too.
    pub name: String,
    /// Its availability zone.
    pub zone: String,
    /// The aggregates that it is in.
    pub aggregates: Vec<String>,
    /// Why Nova would not start instances on it now; `None` if it would.
    pub out_of_use: Option<String>,
    /// Whether Nova does not hear it, disabled or not.
    pub is_down: bool,
}

impl From<CloudHost> for Host {
    fn from(host: CloudHost) -> Self {
        let CloudHost { name, zone, aggregates, out_of_use, is_down } = host;
        Self { name, zone, aggregates: aggregates.into_iter().collect(), out_of_use, is_down }
    }
}
