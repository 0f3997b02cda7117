//! What hosts say that they hold.

use glancecast_proto::time::WallClock;
use serde::{Deserialize, Serialize};

/// What one host said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The host.
    pub host: String,
    /// When it was asked last.
    pub asked_at: WallClock,
    /// When it answered last; `None` if it never did.
    pub answered_at: Option<WallClock>,
    /// `answered`, `never_answered`, `key_changed` and so on: docs/json.md has them.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// Its program and version.
    pub software: Option<String>,
    /// What can still be written to its store.
    pub free_bytes: Option<u64>,
    /// A digest of all that it holds.
    pub digest: Option<String>,
    /// Its copies, as of `answered_at`.
    pub copies: Vec<Copy>,
}

/// A copy on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Its name in its last push.
    pub name: String,
    /// Glance's id, where the push knew it.
    pub image_id: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of what was proven.
    pub root: String,
    /// How long the host keeps it.
    pub pinned: Pinned,
}

/// How long a host keeps a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinned {
    /// By the rule of its store.
    No,
    /// Until this time, in milliseconds since 1970.
    Until(u64),
    /// For ever.
    Forever,
}
