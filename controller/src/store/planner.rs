//! What the reconciler remembers: what policies have placed, what has failed, what a person has approved.

use std::collections::BTreeMap;

use glancecast_proto::time::WallClock;
use sqlx::{Any, Transaction};

use super::rows::{json, maybe_text, number, text, time, to_json};
use super::{Store, StoreError, millis};

/// A copy that a push of policies has placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementRow {
    /// The profile.
    pub profile: String,
    /// The image.
    pub image_id: String,
    /// The host.
    pub host: String,
    /// The policies that wanted it there.
    pub policies: Vec<String>,
    /// The image's name.
    pub name: Option<String>,
    /// BLAKE3 of the copy.
    pub root: String,
}

/// Failures in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// What was tried.
    pub task: FailedTask,
    /// The profile.
    pub profile: String,
    /// The image.
    pub image_id: String,
    /// The host; empty if the push has failed as a whole.
    pub host: String,
    /// How many.
    pub times: i64,
    /// When the last one was.
    pub last_at: WallClock,
    /// Why.
    pub reason: String,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedTask {
    /// The image should come to the host.
    Push,
    /// Its pin there should end.
    Unpin,
}

impl FailedTask {
    fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Unpin => "unpin",
        }
    }
}

/// A plan that a person has approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// The policy.
    pub policy: String,
    /// When.
    pub approved_at: WallClock,
    /// What was pending then: JSON.
    pub pending: String,
}

/// What a push of an image has come to, for the reconciler.
#[derive(Clone, Debug)]
pub struct Verdicts<'a> {
    /// The profile.
    pub profile: &'a str,
    /// The image.
    pub image_id: &'a str,
    /// Its name.
    pub name: Option<&'a str>,
    /// BLAKE3 of it, if that was proven.
    pub root: Option<&'a str>,
    /// The policies that wanted it, by host; `None` for a push of a person.
    pub placed_for: Option<&'a BTreeMap<String, Vec<String>>>,
    /// The state of each host at the end, and why.
    pub hosts: &'a [(String, String, Option<String>)],
    /// Why no host got it; `None` if the push came to a verdict.
    pub failed: Option<&'a str>,
}

impl Store {
    /// Notes what a push has come to.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn settle(&self, verdicts: &Verdicts<'_>, at: WallClock) -> Result<(), StoreError> {
        let Verdicts { profile, image_id, .. } = *verdicts;
        let mut transaction = self.begin().await?;
        match verdicts.failed {
            Some(reason) => {
                fail(&mut transaction, FailedTask::Push, profile, image_id, "", at, reason).await?;
            }
            None => clear(&mut transaction, FailedTask::Push, profile, image_id, "").await?,
        }
        for (host, state, reason) in verdicts.hosts {
            if !matches!(state.as_str(), "done" | "existing") {
                let reason = reason.as_deref().unwrap_or(state);
                fail(&mut transaction, FailedTask::Push, profile, image_id, host, at, reason).await?;
                continue;
            }
            clear(&mut transaction, FailedTask::Push, profile, image_id, host).await?;
            // What was there before is nobody's placement.
            if state != "done" {
                continue;
            }
            match (verdicts.placed_for, verdicts.root) {
                (Some(placed_for), Some(root)) => {
                    let policies = placed_for.get(host).cloned().unwrap_or_default();
                    sqlx::query(
                        "REPLACE INTO placements (profile, image_id, host, policies, name, root) VALUES (?, ?, ?, ?, ?, ?)",
                    )
                    .bind(profile)
                    .bind(image_id)
                    .bind(host)
                    .bind(to_json(&policies))
                    .bind(verdicts.name)
                    .bind(root)
                    .execute(&mut *transaction)
                    .await?;
                }
                _ => forget_placement(&mut transaction, profile, image_id, host).await?,
            }
        }
        self.commit(transaction).await
    }

    /// Notes what the end of a pin has come to on a host: why it failed, or nothing.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unpinned(
        &self,
        profile: &str,
        image_id: &str,
        host: &str,
        failed: Option<&str>,
        at: WallClock,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        match failed {
            Some(reason) => {
                fail(&mut transaction, FailedTask::Unpin, profile, image_id, host, at, reason).await?;
            }
            None => {
                clear(&mut transaction, FailedTask::Unpin, profile, image_id, host).await?;
                forget_placement(&mut transaction, profile, image_id, host).await?;
                let pinned = "UPDATE copies SET pinned = 0 WHERE profile = ? AND host = ? AND image_id = ?";
                sqlx::query(pinned)
                    .bind(profile)
                    .bind(host)
                    .bind(image_id)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        self.commit(transaction).await
    }

    /// Forgets placements.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forget_placements(&self, lost: &[PlacementRow]) -> Result<(), StoreError> {
        if lost.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        for row in lost {
            forget_placement(&mut transaction, &row.profile, &row.image_id, &row.host).await?;
        }
        self.commit(transaction).await
    }

    /// Returns all placements.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn placements(&self) -> Result<Vec<PlacementRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM placements").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(PlacementRow {
                    profile: text(row, "profile")?,
                    image_id: text(row, "image_id")?,
                    host: text(row, "host")?,
                    policies: json(row, "policies", "placements")?,
                    name: maybe_text(row, "name")?,
                    root: text(row, "root")?,
                })
            })
            .collect()
    }

    /// Returns all failures.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn failures(&self) -> Result<Vec<FailureRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM failures").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let is_unpin = text(row, "task")? == FailedTask::Unpin.name();
                Ok(FailureRow {
                    task: if is_unpin { FailedTask::Unpin } else { FailedTask::Push },
                    profile: text(row, "profile")?,
                    image_id: text(row, "image_id")?,
                    host: text(row, "host")?,
                    times: number(row, "times")?,
                    last_at: time(row, "last_at")?,
                    reason: text(row, "reason")?,
                })
            })
            .collect()
    }

    /// Keeps the approval of a plan; an earlier one of the policy goes.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn approve(&self, approval: &ApprovalRow, by: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("REPLACE INTO approvals (policy, approved_at, approved_by, pending) VALUES (?, ?, ?, ?)")
            .bind(&approval.policy)
            .bind(millis(approval.approved_at))
            .bind(by)
            .bind(&approval.pending)
            .execute(&mut *transaction)
            .await?;
        self.commit(transaction).await
    }

    /// Returns all approvals.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn approvals(&self) -> Result<Vec<ApprovalRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM approvals").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(ApprovalRow {
                    policy: text(row, "policy")?,
                    approved_at: time(row, "approved_at")?,
                    pending: text(row, "pending")?,
                })
            })
            .collect()
    }
}

async fn fail(
    transaction: &mut Transaction<'static, Any>,
    task: FailedTask,
    profile: &str,
    image_id: &str,
    host: &str,
    at: WallClock,
    reason: &str,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT times FROM failures WHERE task = ? AND profile = ? AND image_id = ? AND host = ?",
    );
    let row = row.bind(task.name()).bind(profile).bind(image_id).bind(host);
    let before = row.fetch_optional(&mut **transaction).await?;
    let times = before.map(|row| number(&row, "times")).transpose()?.unwrap_or(0) + 1;
    sqlx::query(
        "REPLACE INTO failures (task, profile, image_id, host, times, last_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(task.name())
    .bind(profile)
    .bind(image_id)
    .bind(host)
    .bind(times)
    .bind(millis(at))
    .bind(reason)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn clear(
    transaction: &mut Transaction<'static, Any>,
    task: FailedTask,
    profile: &str,
    image_id: &str,
    host: &str,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM failures WHERE task = ? AND profile = ? AND image_id = ? AND host = ?";
    let delete = sqlx::query(delete).bind(task.name()).bind(profile).bind(image_id).bind(host);
    delete.execute(&mut **transaction).await?;
    Ok(())
}

async fn forget_placement(
    transaction: &mut Transaction<'static, Any>,
    profile: &str,
    image_id: &str,
    host: &str,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM placements WHERE profile = ? AND image_id = ? AND host = ?";
    let delete = sqlx::query(delete).bind(profile).bind(image_id).bind(host);
    delete.execute(&mut **transaction).await?;
    Ok(())
}
