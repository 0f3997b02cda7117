//! Verifications and diagnoses: queries that somebody asks for and reads later.

use glancecast_proto::time::WallClock;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::rows::{filled, json, maybe_number, maybe_text, maybe_time, number, status, text, time, to_json};
use super::{Store, StoreError, is_changed, millis};
use crate::limits::{INTERRUPTIONS_MAX, JOBS_WAITING_MAX};
use crate::model::{JobRequest, Origin, Status};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Hosts hash their copies of an image again.
    Verification,
    /// The path to the hosts is examined.
    Diagnosis,
}

impl JobKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Verification, Self::Diagnosis];

    /// Returns its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Diagnosis => "diagnosis",
        }
    }
}

/// A job that somebody asks for.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id, drawn by the caller.
    pub id: String,
    /// What it does.
    pub kind: JobKind,
    /// When it is asked for.
    pub at: WallClock,
    /// The profile that it goes by.
    pub profile: Option<String>,
    /// What is asked.
    pub request: JobRequest,
    /// Who asks.
    pub origin: Origin,
}

/// A job as it is stored.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: JobKind,
    /// What has become of it.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: WallClock,
    /// When it changed last.
    pub updated_at: WallClock,
    /// When its child began.
    pub started_at: Option<WallClock>,
    /// When it ended.
    pub finished_at: Option<WallClock>,
    /// The profile that it goes by.
    pub profile: Option<String>,
    /// What was asked.
    pub request: JobRequest,
    /// The exit code of the child.
    pub exit_code: Option<i64>,
    /// The child's report: JSON.
    pub report: Option<String>,
    /// Who asked.
    pub origin: Origin,
    /// Whether somebody wants it to end.
    pub is_cancelled: bool,
}

impl Store {
    /// Puts a job into the queue. Returns whether there was room.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn accept_job(&self, job: &NewJob) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let waiting = sqlx::query("SELECT COUNT(*) FROM jobs WHERE status = ?");
        let waiting = waiting.bind(Status::Queued.name()).fetch_one(&mut *transaction).await?;
        if waiting.try_get::<i64, _>(0)? >= JOBS_WAITING_MAX {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO jobs (id, kind, created_at, updated_at, status, cancelled, interruptions, profile, request, \
             user_id, user_name, project_id, request_id) VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&job.id)
        .bind(job.kind.name())
        .bind(millis(job.at))
        .bind(millis(job.at))
        .bind(Status::Queued.name())
        .bind(job.profile.clone().unwrap_or_default())
        .bind(to_json(&job.request))
        .bind(&job.origin.user_id)
        .bind(&job.origin.user_name)
        .bind(job.origin.project_id.clone())
        .bind(&job.origin.request_id)
        .execute(&mut *transaction)
        .await?;
        self.commit(transaction).await?;
        Ok(true)
    }

    /// Returns a job; `None` if there is none of this kind with this id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn job(&self, kind: JobKind, id: &str) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query("SELECT * FROM jobs WHERE kind = ? AND id = ?");
        row.bind(kind.name()).bind(id).fetch_optional(&self.pool).await?.as_ref().map(job_of).transpose()
    }

    /// Returns a page of jobs of a kind, the newest first. `None` if there is none with the id of the marker.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn jobs(
        &self,
        kind: JobKind,
        marker: Option<&str>,
        limit: u64,
    ) -> Result<Option<Vec<Job>>, StoreError> {
        let after = match marker {
            None => (i64::MAX, String::new()),
            Some(marker) => match self.job(kind, marker).await? {
                None => return Ok(None),
                Some(job) => (millis(job.created_at), job.id),
            },
        };
        let rows = sqlx::query(
            "SELECT * FROM jobs WHERE kind = ? AND (created_at < ? OR (created_at = ? AND id < ?)) \
             ORDER BY created_at DESC, id DESC LIMIT ?",
        )
        .bind(kind.name())
        .bind(after.0)
        .bind(after.0)
        .bind(after.1)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job_of).collect::<Result<_, _>>().map(Some)
    }

    /// Takes the oldest job from the queue.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn take_job(&self, at: WallClock) -> Result<Option<Job>, StoreError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT * FROM jobs WHERE status = ? ORDER BY created_at, id LIMIT 1");
        let row = row.bind(Status::Queued.name()).fetch_optional(&mut *transaction).await?;
        let Some(row) = row else { return Ok(None) };
        let job = job_of(&row)?;
        let taken = sqlx::query(
            "UPDATE jobs SET status = ?, started_at = ?, updated_at = ? WHERE id = ? AND status = ?",
        )
        .bind(Status::Running.name())
        .bind(millis(at))
        .bind(millis(at))
        .bind(&job.id)
        .bind(Status::Queued.name())
        .execute(&mut *transaction)
        .await?;
        self.commit(transaction).await?;
        Ok(is_changed(&taken).then_some(job))
    }

    /// Ends a job.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn finish_job(
        &self,
        id: &str,
        at: WallClock,
        status: Status,
        reason: Option<&str>,
        exit_code: Option<i64>,
        report: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE jobs SET status = ?, reason = ?, exit_code = ?, report = ?, finished_at = ?, updated_at = ? WHERE id = ?",
        )
        .bind(status.name())
        .bind(reason)
        .bind(exit_code)
        .bind(report)
        .bind(millis(at))
        .bind(millis(at))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        self.commit(transaction).await
    }

    /// Notes that a job is to end. Returns what it was before; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn cancel_job(
        &self,
        kind: JobKind,
        id: &str,
        at: WallClock,
        by: &str,
    ) -> Result<Option<Status>, StoreError> {
        let Some(job) = self.job(kind, id).await? else { return Ok(None) };
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE jobs SET cancelled = 1, reason = ?, updated_at = ?, \
             finished_at = CASE WHEN status = 'queued' THEN ? ELSE finished_at END, \
             status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END \
             WHERE id = ? AND status IN ('queued', 'running')",
        )
        .bind(format!("cancelled by {by}"))
        .bind(millis(at))
        .bind(millis(at))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        self.commit(transaction).await?;
        Ok(Some(job.status))
    }

    /// Returns the jobs that run and that somebody wants to end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn cancelled_jobs(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT id FROM jobs WHERE status = ? AND cancelled = 1");
        let rows = rows.bind(Status::Running.name()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| text(row, "id")).collect()
    }

    /// Puts back every job that runs by the database's word: whoever ran it is gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recover_jobs(&self, at: WallClock) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query("SELECT id, interruptions, cancelled FROM jobs WHERE status = ?");
        let rows = rows.bind(Status::Running.name()).fetch_all(&mut *transaction).await?;
        for row in &rows {
            let interruptions = number(row, "interruptions")? + 1;
            let status = match (number(row, "cancelled")?, interruptions > INTERRUPTIONS_MAX) {
                (0, false) => Status::Queued,
                (0, true) => Status::Failed,
                _ => Status::Cancelled,
            };
            let finished_at = status.is_end().then_some(millis(at));
            sqlx::query(
                "UPDATE jobs SET status = ?, interruptions = ?, finished_at = ?, updated_at = ?, reason = ? WHERE id = ?",
            )
            .bind(status.name())
            .bind(interruptions)
            .bind(finished_at)
            .bind(millis(at))
            .bind("the controller that ran it has ended")
            .bind(text(row, "id")?)
            .execute(&mut *transaction)
            .await?;
        }
        self.commit(transaction).await
    }
}

fn job_of(row: &AnyRow) -> Result<Job, StoreError> {
    let name = text(row, "kind")?;
    let kind = JobKind::ALL.into_iter().find(|kind| kind.name() == name);
    Ok(Job {
        id: text(row, "id")?,
        kind: kind.ok_or_else(|| StoreError::Odd { table: "jobs", what: format!("the kind {name:?}") })?,
        status: status(row, "jobs")?,
        reason: maybe_text(row, "reason")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        started_at: maybe_time(row, "started_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        profile: filled(row, "profile")?,
        request: json(row, "request", "jobs")?,
        exit_code: maybe_number(row, "exit_code")?,
        report: maybe_text(row, "report")?,
        origin: Origin {
            policy: None,
            user_id: text(row, "user_id")?,
            user_name: text(row, "user_name")?,
            project_id: maybe_text(row, "project_id")?,
            request_id: text(row, "request_id")?,
        },
        is_cancelled: number(row, "cancelled")? != 0,
    })
}
