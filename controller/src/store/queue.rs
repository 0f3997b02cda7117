//! Pushes as the controller that leads sees them: taken from the queue, followed, ended, and put back.
//!
//! ```text
//! queued --take--> running --finish--> done | partial | failed | cancelled
//!    ^                |
//!    +--interrupted <-+ put_back: the controller or the child ended first
//! ```

use glancecast_proto::time::WallClock;
use serde_json::{Value, json};
use sqlx::{Any, Transaction};

use super::events::{EventKind, append};
use super::pushes::{HostRow, item_of, push_of};
use super::rows::{from_count, number, text};
use super::{Store, StoreError, is_changed, millis};
use crate::limits::{CRASHES_MAX, INTERRUPTIONS_MAX};
use crate::model::{Item, Push, Status};

/// A push whose turn it is.
#[derive(Clone, Debug)]
pub struct Next {
    /// The push.
    pub push: Push,
    /// Its images, in their order. Those that have ended are not pushed again.
    pub items: Vec<Item>,
}

/// What has happened to an image of a push.
#[derive(Clone, Debug, Default)]
pub struct ItemChange {
    /// The events, in their order.
    pub events: Vec<(EventKind, Value)>,
    /// Hosts that have changed.
    pub hosts: Vec<HostRow>,
    /// The sender's last `progress`, or a plan: JSON.
    pub progress: Option<String>,
    /// The sender's id of its session.
    pub session: Option<String>,
    /// The length of the image.
    pub bytes: Option<u64>,
    /// Hosts that are expected to hold it.
    pub expected: Option<u64>,
    /// How it ended, if it has.
    pub end: Option<ItemEnd>,
}

/// How an image of a push ended.
#[derive(Clone, Debug)]
pub struct ItemEnd {
    /// What has become of it.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// The exit code of the child.
    pub exit_code: Option<i64>,
    /// BLAKE3 of the image.
    pub root: Option<String>,
    /// Bytes on the wire.
    pub wire_bytes: Option<u64>,
    /// Hosts that hold it.
    pub holding: Option<u64>,
}

/// Why a push that ran is put back into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The controller ended, or lost its lease.
    Controller,
    /// The child ended without a result.
    Child,
}

impl Store {
    /// Takes the first push of a profile from the queue: the highest priority, and of several the one that was asked for
    /// first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn take_next(&self, profile: &str, at: WallClock) -> Result<Option<Next>, StoreError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "SELECT * FROM pushes WHERE status = ? AND profile = ? ORDER BY priority DESC, created_at, id LIMIT 1",
        )
        .bind(Status::Queued.name())
        .bind(profile)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let push = push_of(&row)?;
        let taken = sqlx::query(
            "UPDATE pushes SET status = ?, started_at = COALESCE(started_at, ?) WHERE id = ? AND status = ?",
        )
        .bind(Status::Running.name())
        .bind(millis(at))
        .bind(&push.id)
        .bind(Status::Queued.name())
        .execute(&mut *transaction)
        .await?;
        if !is_changed(&taken) {
            return Ok(None);
        }
        let body = json!({ "status": Status::Running, "reason": null });
        append(&mut transaction, &push.id, at, &[(EventKind::Status, body)]).await?;
        let rows = sqlx::query("SELECT * FROM push_items WHERE push_id = ? ORDER BY position")
            .bind(&push.id)
            .fetch_all(&mut *transaction)
            .await?;
        let items = rows.iter().map(item_of).collect::<Result<_, _>>()?;
        self.commit(transaction).await?;
        Ok(Some(Next { push: Push { status: Status::Running, ..push }, items }))
    }

    /// Whether a push waits for its turn in any of its profiles.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn queue_depth(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS depth FROM pushes WHERE status = ?");
        let row = row.bind(Status::Queued.name()).fetch_one(&self.pool).await?;
        Ok(u64::try_from(number(&row, "depth")?).unwrap_or(0))
    }

    /// Returns the pushes that run, with whether somebody wants them to end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn running(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let rows = sqlx::query("SELECT id, cancelled FROM pushes WHERE status = ?");
        let rows = rows.bind(Status::Running.name()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((text(row, "id")?, number(row, "cancelled")? != 0))).collect()
    }

    /// Notes that the child of an image begins.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_item(&self, push: &str, position: i64, at: WallClock) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE push_items SET status = ?, started_at = ?, finished_at = NULL, reason = NULL, exit_code = NULL \
             WHERE push_id = ? AND position = ?",
        )
        .bind(Status::Running.name())
        .bind(millis(at))
        .bind(push)
        .bind(position)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE pushes SET updated_at = ? WHERE id = ?")
            .bind(millis(at))
            .bind(push)
            .execute(&mut *transaction)
            .await?;
        self.commit(transaction).await
    }

    /// Writes what has happened to an image.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn record(
        &self,
        push: &str,
        position: i64,
        at: WallClock,
        change: &ItemChange,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for row in &change.hosts {
            sqlx::query(
                "REPLACE INTO push_hosts (push_id, position, host, state, reason, millis) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(push)
            .bind(position)
            .bind(&row.host)
            .bind(&row.state)
            .bind(row.reason.clone())
            .bind(from_count(row.millis))
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "UPDATE push_items SET progress = COALESCE(?, progress), session = COALESCE(?, session), \
             bytes = COALESCE(?, bytes), expected = COALESCE(?, expected) WHERE push_id = ? AND position = ?",
        )
        .bind(change.progress.clone())
        .bind(change.session.clone())
        .bind(from_count(change.bytes))
        .bind(from_count(change.expected))
        .bind(push)
        .bind(position)
        .execute(&mut *transaction)
        .await?;
        if let Some(end) = &change.end {
            end_item(&mut transaction, push, position, at, end).await?;
        }
        append(&mut transaction, push, at, &change.events).await?;
        self.commit(transaction).await
    }

    /// Ends a push. Images that were not begun get the same end as the push, if that was cancelled.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn finish(
        &self,
        push: &str,
        at: WallClock,
        status: Status,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        finish(&mut transaction, push, at, status, reason).await?;
        self.commit(transaction).await
    }

    /// Puts a push that ran back into the queue, or ends it: if somebody wants that, or it was put back too often. Returns its
    /// status.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_back(
        &self,
        push: &str,
        at: WallClock,
        why: Interruption,
        reason: &str,
    ) -> Result<Status, StoreError> {
        let mut transaction = self.begin().await?;
        let status = put_back(&mut transaction, push, at, why, reason).await?;
        self.commit(transaction).await?;
        Ok(status)
    }

    /// Puts back every push that runs by the database's word: whoever ran it is gone. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recover(&self, at: WallClock) -> Result<usize, StoreError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query("SELECT id FROM pushes WHERE status IN (?, ?)")
            .bind(Status::Running.name())
            .bind(Status::Interrupted.name())
            .fetch_all(&mut *transaction)
            .await?;
        for row in &rows {
            let why = Interruption::Controller;
            put_back(&mut transaction, &text(row, "id")?, at, why, "the controller that ran it has ended")
                .await?;
        }
        self.commit(transaction).await?;
        Ok(rows.len())
    }
}

async fn end_item(
    transaction: &mut Transaction<'static, Any>,
    push: &str,
    position: i64,
    at: WallClock,
    end: &ItemEnd,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE push_items SET status = ?, reason = ?, exit_code = ?, root = COALESCE(?, root), wire_bytes = ?, \
         holding = ?, finished_at = ? WHERE push_id = ? AND position = ?",
    )
    .bind(end.status.name())
    .bind(end.reason.clone())
    .bind(end.exit_code)
    .bind(end.root.clone())
    .bind(from_count(end.wire_bytes))
    .bind(from_count(end.holding))
    .bind(millis(at))
    .bind(push)
    .bind(position)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn finish(
    transaction: &mut Transaction<'static, Any>,
    push: &str,
    at: WallClock,
    status: Status,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    debug_assert!(status.is_end());
    sqlx::query(
        "UPDATE pushes SET status = ?, reason = COALESCE(?, reason), finished_at = ? WHERE id = ? AND status NOT IN (?, ?, ?, ?)",
    )
    .bind(status.name())
    .bind(reason)
    .bind(millis(at))
    .bind(push)
    .bind(Status::Done.name())
    .bind(Status::Partial.name())
    .bind(Status::Failed.name())
    .bind(Status::Cancelled.name())
    .execute(&mut **transaction)
    .await?;
    let left = if status == Status::Cancelled { Status::Cancelled } else { Status::Failed };
    sqlx::query(
        "UPDATE push_items SET status = ?, finished_at = ? WHERE push_id = ? AND status IN (?, ?, ?)",
    )
    .bind(left.name())
    .bind(millis(at))
    .bind(push)
    .bind(Status::Queued.name())
    .bind(Status::Running.name())
    .bind(Status::Interrupted.name())
    .execute(&mut **transaction)
    .await?;
    let body = json!({ "status": status, "reason": reason });
    append(transaction, push, at, &[(EventKind::Status, body)]).await
}

async fn put_back(
    transaction: &mut Transaction<'static, Any>,
    push: &str,
    at: WallClock,
    why: Interruption,
    reason: &str,
) -> Result<Status, StoreError> {
    let row = sqlx::query("SELECT cancelled, interruptions, crashes FROM pushes WHERE id = ?");
    let row = row.bind(push).fetch_one(&mut **transaction).await?;
    let (interruptions, crashes) = (number(&row, "interruptions")?, number(&row, "crashes")?);
    let (interruptions, crashes) = match why {
        Interruption::Controller => (interruptions + 1, crashes),
        Interruption::Child => (interruptions, crashes + 1),
    };
    sqlx::query("UPDATE pushes SET interruptions = ?, crashes = ? WHERE id = ?")
        .bind(interruptions)
        .bind(crashes)
        .bind(push)
        .execute(&mut **transaction)
        .await?;
    if number(&row, "cancelled")? != 0 {
        finish(transaction, push, at, Status::Cancelled, None).await?;
        return Ok(Status::Cancelled);
    }
    if interruptions > INTERRUPTIONS_MAX || crashes > CRASHES_MAX {
        let reason = format!("interrupted too often, the last time because {reason}");
        finish(transaction, push, at, Status::Failed, Some(&reason)).await?;
        return Ok(Status::Failed);
    }
    sqlx::query("UPDATE pushes SET status = ?, reason = ? WHERE id = ?")
        .bind(Status::Queued.name())
        .bind(reason)
        .bind(push)
        .execute(&mut **transaction)
        .await?;
    sqlx::query("UPDATE push_items SET status = ? WHERE push_id = ? AND status IN (?, ?)")
        .bind(Status::Queued.name())
        .bind(push)
        .bind(Status::Running.name())
        .bind(Status::Interrupted.name())
        .execute(&mut **transaction)
        .await?;
    let bodies = [Status::Interrupted, Status::Queued]
        .map(|status| (EventKind::Status, json!({ "status": status, "reason": reason })));
    append(transaction, push, at, &bodies).await?;
    Ok(Status::Queued)
}
