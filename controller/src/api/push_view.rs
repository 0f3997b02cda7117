//! Pushes, their images and hosts as clients see them.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::links::Base;
use crate::model::{HostChoice, Item, Push, Status, rfc3339};
use crate::store::HostRow;

/// A push.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PushView {
    /// Its id.
    pub id: String,
    /// What has become of it.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// When it was asked for, in UTC.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
    /// When its first image began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The profile that it goes by; null for the default.
    pub profile: Option<String>,
    /// Its place in the queue.
    pub priority: i64,
    /// Whether somebody wants it to end.
    pub cancelled: bool,
    /// Percent of the bytes of its images that were sent.
    pub progress: u64,
    /// The policy that wants it; null for a person's.
    pub policy: Option<String>,
    /// The hosts that it is for.
    #[schema(value_type = Object)]
    pub hosts: Value,
    /// The rate that was asked for.
    pub rate: Option<String>,
    /// The longest time of an image.
    pub timeout: Option<String>,
    /// How long hosts keep the images.
    pub pin: Option<String>,
    /// Whether Nova confirms.
    pub confirm: bool,
    /// Whether it is only planned.
    pub dry_run: bool,
    /// Its images, in their order.
    pub images: Vec<ItemView>,
    /// Who asked: the user's id.
    pub user_id: String,
    /// Who asked: the user's name.
    pub user_name: String,
    /// The project of the user's token.
    pub project_id: Option<String>,
    /// The id of the request that asked.
    pub request_id: String,
    /// The address of this push.
    #[schema(value_type = Vec<Object>)]
    pub links: Value,
}

/// An image of a push.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ItemView {
    /// As it was asked for.
    pub reference: String,
    /// Glance's id; null for a file.
    pub image_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its length.
    pub bytes: Option<u64>,
    /// What has become of it.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// The sender's id of its session, which hosts log.
    pub session: Option<String>,
    /// BLAKE3 of the image.
    pub root: Option<String>,
    /// Bytes on the wire.
    pub wire_bytes: Option<u64>,
    /// Hosts that are expected; null where every host is meant.
    pub expected: Option<u64>,
    /// Those of them that hold it.
    pub holding: Option<u64>,
    /// The exit code of the sender.
    pub exit_code: Option<i64>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The sender's last `progress` event, or the plan of a dry run: docs/json.md has the members.
    #[schema(value_type = Option<Object>)]
    pub progress: Option<Value>,
}

/// A host of a push.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PushHostView {
    /// The image, by its place in the push.
    pub image: i64,
    /// The host.
    pub name: String,
    /// What has become of it: docs/json.md has the states; `waiting` before it was heard.
    pub state: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Seconds since the image's push began.
    pub seconds: Option<f64>,
}

impl PushView {
    /// Returns a push as clients see it.
    pub(super) fn new(push: Push, items: Vec<Item>, base: &Base) -> Self {
        let progress = progress(&items);
        let href = base.link(&format!("/v1/pushes/{}", push.id));
        Self {
            status: push.status,
            reason: push.reason,
            created_at: rfc3339(push.created_at),
            updated_at: rfc3339(push.updated_at),
            started_at: push.started_at.map(rfc3339),
            finished_at: push.finished_at.map(rfc3339),
            profile: push.profile,
            priority: push.priority,
            cancelled: push.is_cancelled,
            progress,
            policy: push.origin.policy,
            hosts: hosts(&push.request.hosts, &push.request.exclude),
            rate: push.request.rate,
            timeout: push.request.timeout,
            pin: push.request.pin,
            confirm: push.request.confirm,
            dry_run: push.request.dry_run,
            images: items.into_iter().map(ItemView::new).collect(),
            user_id: push.origin.user_id,
            user_name: push.origin.user_name,
            project_id: push.origin.project_id,
            request_id: push.origin.request_id,
            links: json!([{"rel": "self", "href": href}]),
            id: push.id,
        }
    }
}

impl ItemView {
    fn new(item: Item) -> Self {
        Self {
            reference: item.target.reference,
            image_id: item.target.image_id,
            name: item.target.name,
            bytes: item.target.bytes,
            status: item.status,
            reason: item.reason,
            session: item.session,
            root: item.root,
            wire_bytes: item.wire_bytes,
            expected: item.expected,
            holding: item.holding,
            exit_code: item.exit_code,
            started_at: item.started_at.map(rfc3339),
            finished_at: item.finished_at.map(rfc3339),
            progress: item.progress.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

impl From<HostRow> for PushHostView {
    fn from(row: HostRow) -> Self {
        let HostRow { position, host, state, reason, millis } = row;
        let seconds = millis.map(|millis| millis as f64 / 1_000.0);
        Self { image: position, name: host, state, reason, seconds }
    }
}

/// Returns hosts as they were asked for.
pub(super) fn hosts(choice: &HostChoice, exclude: &[String]) -> Value {
    let mut hosts = match choice {
        HostChoice::All => json!({"all": true}),
        HostChoice::Names(names) => json!({ "names": names }),
        HostChoice::Nova { aggregates, zones } => {
            json!({"aggregate": aggregates, "availability_zone": zones})
        }
    };
    if !exclude.is_empty() {
        hosts["exclude"] = json!(exclude);
    }
    hosts
}

/// Returns the percentage of all images together: each counts the same, as not every length is known.
fn progress(items: &[Item]) -> u64 {
    let percent = |item: &Item| -> u64 {
        let told = item.progress.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        match item.status {
            status if status.is_end() => 100,
            _ => told.and_then(|told| told["percent"].as_u64()).unwrap_or(0).min(100),
        }
    };
    match items.len() as u64 {
        0 => 0,
        count => items.iter().map(percent).sum::<u64>() / count,
    }
}
