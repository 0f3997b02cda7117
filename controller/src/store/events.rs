//! The events of a push: numbered without gaps, bounded, in the order in which they happened.

use glancecast_proto::time::WallClock;
use serde_json::Value;
use sqlx::{Any, Transaction};

use super::rows::{number, text};
use super::{Store, StoreError, millis};
use crate::limits::EVENTS_PER_PUSH_MAX;
use crate::model::rfc3339;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The push itself changed.
    Status,
    /// The child began to push an image.
    Started,
    /// A host changed.
    Host,
    /// How far the image is.
    Progress,
    /// The child has ended with an image.
    Finished,
}

impl EventKind {
    /// Returns its name, as in a stream of events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Started => "started",
            Self::Host => "host",
            Self::Progress => "progress",
            Self::Finished => "finished",
        }
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the push, from 1 on.
    pub seq: i64,
    /// The name of its kind.
    pub kind: String,
    /// A JSON object.
    pub body: String,
}

impl Store {
    /// Returns events of a push with numbers above `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn events(&self, push: &str, after: i64, limit: i64) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, kind, body FROM push_events WHERE push_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(push)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Event { seq: number(row, "seq")?, kind: text(row, "kind")?, body: text(row, "body")? })
            })
            .collect()
    }
}

/// Adds events to a push, and forgets the oldest beyond [`EVENTS_PER_PUSH_MAX`].
pub(super) async fn append(
    transaction: &mut Transaction<'static, Any>,
    push: &str,
    at: WallClock,
    events: &[(EventKind, Value)],
) -> Result<(), StoreError> {
    // The row's lock makes numbers of two controllers differ.
    sqlx::query("UPDATE pushes SET last_event = last_event + ?, updated_at = ? WHERE id = ?")
        .bind(events.len() as i64)
        .bind(millis(at))
        .bind(push)
        .execute(&mut **transaction)
        .await?;
    let row = sqlx::query("SELECT last_event FROM pushes WHERE id = ?");
    let last = number(&row.bind(push).fetch_one(&mut **transaction).await?, "last_event")?;
    let first = last - events.len() as i64 + 1;
    for (seq, (kind, body)) in (first..).zip(events) {
        let mut body = body.clone();
        if let Value::Object(members) = &mut body {
            members.entry("time").or_insert_with(|| rfc3339(at).into());
        }
        sqlx::query("INSERT INTO push_events (push_id, seq, kind, body) VALUES (?, ?, ?, ?)")
            .bind(push)
            .bind(seq)
            .bind(kind.name())
            .bind(body.to_string())
            .execute(&mut **transaction)
            .await?;
    }
    if last > EVENTS_PER_PUSH_MAX {
        sqlx::query("DELETE FROM push_events WHERE push_id = ? AND seq <= ?")
            .bind(push)
            .bind(last - EVENTS_PER_PUSH_MAX)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
