//! Pushes: what was asked for, what has become of it, item by item.

use std::collections::BTreeMap;

use glancecast_proto::time::WallClock;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What has become of a push or a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its turn.
    Queued,
    /// A child is at work on it.
    Running,
    /// Every expected host holds a proven copy of every image.
    Done,
    /// Some expected host does not hold a copy, or not all images were pushed.
    Partial,
    /// Nothing was pushed.
    Failed,
    /// Somebody ended it.
    Cancelled,
    /// The controller or the child ended before it did. It is queued again, or failed.
    Interrupted,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Returns its name, as in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the status of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether nothing more comes.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Partial | Self::Failed | Self::Cancelled)
    }

    /// Returns the status of a push whose images have come to these ends. An image that was not begun has none.
    pub fn of_items(items: &[Self]) -> Self {
        let has = |status| items.contains(&status);
        match () {
            () if has(Self::Cancelled) => Self::Cancelled,
            () if items.iter().all(|item| *item == Self::Done) => Self::Done,
            () if items.iter().all(|item| *item == Self::Failed) => Self::Failed,
            () => Self::Partial,
        }
    }
}

/// The hosts that a push is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostChoice {
    /// Every host of the group; none has to answer.
    All,
    /// These hosts.
    Names(Vec<String>),
    /// The hosts of aggregates and availability zones that Nova uses when the push begins.
    Nova {
        /// The aggregates.
        aggregates: Vec<String>,
        /// The zones.
        zones: Vec<String>,
    },
}

/// By which ways a push goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// As the sender's settings say.
    #[default]
    AsSet,
    /// By unicast alone.
    Unicast,
}

/// What a push was asked to do with its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The hosts that it is for.
    pub hosts: HostChoice,
    /// Hosts that are left out of them.
    pub exclude: Vec<String>,
    /// The way.
    #[serde(default)]
    pub reach: Reach,
    /// The rate, as `glancecast send --rate` takes it; `None`: as the sender's settings say.
    pub rate: Option<String>,
    /// The longest time of an image.
    pub timeout: Option<String>,
    /// How long hosts keep the images.
    pub pin: Option<String>,
    /// Whether Nova is made to run its own call on the aggregates at the end.
    pub confirm: bool,
    /// Whether the push is only planned.
    pub dry_run: bool,
    /// Of a push of policies: for each host, the policies that want the image there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub placed_for: BTreeMap<String, Vec<String>>,
}

/// What a verification or a diagnosis was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The image, by its id or its name on the hosts; `None` for a diagnosis.
    pub image: Option<String>,
    /// Whether damaged copies lose their names.
    pub quarantine: bool,
    /// The hosts that are asked.
    pub hosts: HostChoice,
    /// Hosts that are left out of them.
    pub exclude: Vec<String>,
}

/// An image of a push before it is stored: what it is called, and what Glance says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was asked for: an id, a name, a tag, a file.
    pub reference: String,
    /// Glance's id; `None` for a file.
    pub image_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its length.
    pub bytes: Option<u64>,
}

/// Who asked for a push or a job, and by which request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The policy that wants it; `None` for a person's.
    pub policy: Option<String>,
    /// The user's id.
    pub user_id: String,
    /// The user's name, for people.
    pub user_name: String,
    /// The project of the user's token.
    pub project_id: Option<String>,
    /// The id of the request.
    pub request_id: String,
}

/// A push as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its id, a UUID.
    pub id: String,
    /// What has become of it.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: WallClock,
    /// When anything of it changed last.
    pub updated_at: WallClock,
    /// When its first child began.
    pub started_at: Option<WallClock>,
    /// When it ended.
    pub finished_at: Option<WallClock>,
    /// The profile of glancecast's configuration that it goes by: a multicast group; `None`: the default.
    pub profile: Option<String>,
    /// Its place in the queue: the highest comes first.
    pub priority: i64,
    /// Whether somebody wants it to end.
    pub is_cancelled: bool,
    /// What it was asked to do.
    pub request: PushRequest,
    /// Who asked.
    pub origin: Origin,
}

/// An image of a push as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the push, from 0 on.
    pub position: i64,
    /// What it is.
    pub target: Target,
    /// What has become of it.
    pub status: ItemStatus,
    /// Why, for people.
    pub reason: Option<String>,
    /// The sender's id of its session.
    pub session: Option<String>,
    /// BLAKE3 of the image.
    pub root: Option<String>,
    /// Bytes that the sender has put on the wire.
    pub wire_bytes: Option<u64>,
    /// Hosts that are expected to hold it; `None` where every host is meant.
    pub expected: Option<u64>,
    /// Those of them that hold it.
    pub holding: Option<u64>,
    /// The exit code of its child.
    pub exit_code: Option<i64>,
    /// When its child began.
    pub started_at: Option<WallClock>,
    /// When it ended.
    pub finished_at: Option<WallClock>,
    /// The sender's last `progress`, or the plan of a dry run: JSON.
    pub progress: Option<String>,
}

/// What has become of an image of a push. The same words as for the push itself.
pub type ItemStatus = Status;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_what_its_images_are() {
        use Status::{Cancelled, Done, Failed, Partial};
        for (items, push) in [
            (&[Done, Done][..], Done),
            (&[Done, Failed], Partial),
            (&[Failed, Failed], Failed),
            (&[Partial], Partial),
            (&[Done, Cancelled], Cancelled),
        ] {
            assert_eq!(Status::of_items(items), push, "{items:?}");
        }
    }

    #[test]
    fn every_status_is_found_by_its_name() {
        for status in Status::ALL {
            assert_eq!(Status::of(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.name());
        }
        assert_eq!(Status::of("lost"), None);
    }
}
