//! Pushes as clients see them: accepted, listed, shown, cancelled.

use glancecast_proto::time::WallClock;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row, Transaction};

use super::events::{EventKind, append};
use super::rows::{
    filled, from_count, json, maybe_count, maybe_number, maybe_text, maybe_time, number, status, text, time,
    to_json,
};
use super::{Store, StoreError, is_changed, millis};
use crate::limits::QUEUE_MAX;
use crate::model::{Item, Origin, Push, PushRequest, Status, Target};

/// A push that somebody asks for.
#[derive(Clone, Debug)]
pub struct NewPush {
    /// Its id, drawn by the caller.
    pub id: String,
    /// When it is asked for.
    pub at: WallClock,
    /// The profile that it goes by.
    pub profile: Option<String>,
    /// Its place in the queue.
    pub priority: i64,
    /// What it does.
    pub request: PushRequest,
    /// The images, in their order.
    pub targets: Vec<Target>,
    /// Who asks.
    pub origin: Origin,
    /// The client's key of the request, with a digest of what it asks for.
    pub idempotency: Option<(String, String)>,
}

/// What became of a request for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the queue.
    New,
    /// The same request came before: its push has this id.
    Before(String),
    /// The key came before, with another request.
    OtherRequest,
    /// The queue is full.
    Full,
}

/// Which pushes are listed.
#[derive(Clone, Debug, Default)]
pub struct PushFilter {
    /// Those in one of these states; empty for all.
    pub status: Vec<Status>,
    /// Those with this image, by id.
    pub image_id: Option<String>,
    /// Those of this policy.
    pub policy: Option<String>,
    /// Bounds on times.
    pub bounds: Vec<TimeBound>,
}

/// A bound on a time.
#[derive(Clone, Copy, Debug)]
pub struct TimeBound {
    /// Which time.
    pub key: SortKey,
    /// The comparison, as in SQL.
    pub operator: &'static str,
    /// The bound.
    pub at: WallClock,
}

/// By which time pushes are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// When they were asked for.
    #[default]
    Created,
    /// When they changed last.
    Updated,
}

impl SortKey {
    fn column(self) -> &'static str {
        match self {
            Self::Created => "created_at",
            Self::Updated => "updated_at",
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct PushPage {
    /// The time by which the list is sorted.
    pub key: SortKey,
    /// Whether the oldest comes first.
    pub is_ascending: bool,
    /// The id of the last push of the page before.
    pub marker: Option<String>,
    /// Most rows.
    pub limit: u64,
}

/// A host of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// The image, by its position in the push.
    pub position: i64,
    /// The host.
    pub host: String,
    /// What has become of it.
    pub state: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Milliseconds since the start of the image's push.
    pub millis: Option<u64>,
}

impl Store {
    /// Puts a push into the queue, once for each key of its user.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn accept(&self, push: &NewPush) -> Result<Accepted, StoreError> {
        let mut transaction = self.begin().await?;
        if let Some((key, digest)) = &push.idempotency {
            let row = sqlx::query(
                "SELECT id, request_digest FROM pushes WHERE user_id = ? AND idempotency_key = ?",
            )
            .bind(&push.origin.user_id)
            .bind(key)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some(row) = row {
                return Ok(match maybe_text(&row, "request_digest")?.as_ref() == Some(digest) {
                    true => Accepted::Before(text(&row, "id")?),
                    false => Accepted::OtherRequest,
                });
            }
        }
        let waiting = sqlx::query("SELECT COUNT(*) FROM pushes WHERE status = ?")
            .bind(Status::Queued.name())
            .fetch_one(&mut *transaction)
            .await?
            .try_get::<i64, _>(0)?;
        if waiting >= QUEUE_MAX {
            return Ok(Accepted::Full);
        }
        match insert(&mut transaction, push).await {
            Ok(()) => {}
            // Another controller took the same request in between.
            Err(StoreError::Database(sqlx::Error::Database(error)))
                if error.is_unique_violation() && push.idempotency.is_some() =>
            {
                drop(transaction);
                return Box::pin(self.accept(push)).await;
            }
            Err(error) => return Err(error),
        }
        self.commit(transaction).await?;
        Ok(Accepted::New)
    }

    /// Returns a push and its images; `None` if there is none with this id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn push(&self, id: &str) -> Result<Option<(Push, Vec<Item>)>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM pushes WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let push = push_of(&row)?;
        let mut items = self.items_of(std::slice::from_ref(&push)).await?;
        Ok(Some((push, items.remove(id).unwrap_or_default())))
    }

    /// Returns a page of pushes with their images. `None` if there is no push with the id of the marker.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn pushes(
        &self,
        filter: &PushFilter,
        page: &PushPage,
    ) -> Result<Option<Vec<(Push, Vec<Item>)>>, StoreError> {
        let after = match &page.marker {
            None => None,
            Some(marker) => {
                let row = sqlx::query("SELECT created_at, updated_at FROM pushes WHERE id = ?")
                    .bind(marker)
                    .fetch_optional(&self.pool)
                    .await?;
                let Some(row) = row else { return Ok(None) };
                Some((number(&row, page.key.column())?, marker.clone()))
            }
        };
        let mut query = list_query(filter, page, after);
        let rows = query.build().fetch_all(&self.pool).await?;
        let pushes = rows.iter().map(push_of).collect::<Result<Vec<Push>, _>>()?;
        let mut items = self.items_of(&pushes).await?;
        let with_items = pushes.into_iter().map(|push| {
            let items = items.remove(&push.id).unwrap_or_default();
            (push, items)
        });
        Ok(Some(with_items.collect()))
    }

    async fn items_of(
        &self,
        pushes: &[Push],
    ) -> Result<std::collections::BTreeMap<String, Vec<Item>>, StoreError> {
        let mut items: std::collections::BTreeMap<String, Vec<Item>> = Default::default();
        // SQLite takes at most 32 766 values in a statement.
        for some in pushes.chunks(VALUES_MAX) {
            let mut query = QueryBuilder::<Any>::new("SELECT * FROM push_items WHERE push_id IN (");
            let mut ids = query.separated(", ");
            for push in some {
                ids.push_bind(push.id.clone());
            }
            query.push(") ORDER BY push_id, position");
            for row in query.build().fetch_all(&self.pool).await? {
                items.entry(text(&row, "push_id")?).or_default().push(item_of(&row)?);
            }
        }
        Ok(items)
    }

    /// Returns hosts of a push after a position and name, in the order of images and names.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn push_hosts(
        &self,
        id: &str,
        states: &[String],
        after: Option<(i64, String)>,
        limit: u64,
    ) -> Result<Vec<HostRow>, StoreError> {
        let mut query = QueryBuilder::<Any>::new("SELECT * FROM push_hosts WHERE push_id = ");
        query.push_bind(id.to_owned());
        if !states.is_empty() {
            query.push(" AND state IN (");
            let mut names = query.separated(", ");
            for state in states {
                names.push_bind(state.clone());
            }
            query.push(")");
        }
        if let Some((position, host)) = after {
            query.push(" AND (position > ").push_bind(position).push(" OR (position = ").push_bind(position);
            query.push(" AND host > ").push_bind(host).push("))");
        }
        query.push(" ORDER BY position, host LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(HostRow {
                    position: number(row, "position")?,
                    host: text(row, "host")?,
                    state: text(row, "state")?,
                    reason: maybe_text(row, "reason")?,
                    millis: maybe_count(row, "millis")?,
                })
            })
            .collect()
    }

    /// Notes that a push is to end: one that waits ends at once, one that runs when its child has ended. Returns what it was
    /// before; `None` if there is no such push.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn cancel(&self, id: &str, at: WallClock, by: &str) -> Result<Option<Status>, StoreError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT * FROM pushes WHERE id = ?");
        let Some(row) = row.bind(id).fetch_optional(&mut *transaction).await? else { return Ok(None) };
        let push = push_of(&row)?;
        if push.status.is_end() || push.is_cancelled {
            return Ok(Some(push.status));
        }
        let reason = format!("cancelled by {by}");
        let ended = sqlx::query(
            "UPDATE pushes SET cancelled = 1, status = ?, reason = ?, finished_at = ?, updated_at = ? \
             WHERE id = ? AND status IN (?, ?)",
        )
        .bind(Status::Cancelled.name())
        .bind(&reason)
        .bind(millis(at))
        .bind(millis(at))
        .bind(id)
        .bind(Status::Queued.name())
        .bind(Status::Interrupted.name())
        .execute(&mut *transaction)
        .await?;
        let status = if is_changed(&ended) {
            sqlx::query(
                "UPDATE push_items SET status = ?, finished_at = ? WHERE push_id = ? AND status IN (?, ?)",
            )
            .bind(Status::Cancelled.name())
            .bind(millis(at))
            .bind(id)
            .bind(Status::Queued.name())
            .bind(Status::Interrupted.name())
            .execute(&mut *transaction)
            .await?;
            Status::Cancelled
        } else {
            sqlx::query("UPDATE pushes SET cancelled = 1, reason = ?, updated_at = ? WHERE id = ?")
                .bind(&reason)
                .bind(millis(at))
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            push.status
        };
        let body = serde_json::json!({ "status": status, "reason": reason, "cancelled": true });
        append(&mut transaction, id, at, &[(EventKind::Status, body)]).await?;
        self.commit(transaction).await?;
        Ok(Some(push.status))
    }
}

async fn insert(transaction: &mut Transaction<'static, Any>, push: &NewPush) -> Result<(), StoreError> {
    let (key, digest) = push.idempotency.clone().unzip();
    sqlx::query(
        "INSERT INTO pushes (id, created_at, updated_at, status, profile, priority, cancelled, interruptions, crashes, \
         last_event, request, policy, user_id, user_name, project_id, request_id, idempotency_key, request_digest) \
         VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&push.id)
    .bind(millis(push.at))
    .bind(millis(push.at))
    .bind(Status::Queued.name())
    .bind(push.profile.clone().unwrap_or_default())
    .bind(push.priority)
    .bind(to_json(&push.request))
    .bind(push.origin.policy.clone())
    .bind(&push.origin.user_id)
    .bind(&push.origin.user_name)
    .bind(push.origin.project_id.clone())
    .bind(&push.origin.request_id)
    .bind(key)
    .bind(digest)
    .execute(&mut **transaction)
    .await?;
    for (position, target) in push.targets.iter().enumerate() {
        sqlx::query(
            "INSERT INTO push_items (push_id, position, reference, image_id, name, bytes, status) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&push.id)
        .bind(position as i64)
        .bind(&target.reference)
        .bind(target.image_id.clone())
        .bind(target.name.clone())
        .bind(from_count(target.bytes))
        .bind(Status::Queued.name())
        .execute(&mut **transaction)
        .await?;
    }
    let body = serde_json::json!({ "status": Status::Queued, "reason": null });
    append(transaction, &push.id, push.at, &[(EventKind::Status, body)]).await
}

fn list_query(filter: &PushFilter, page: &PushPage, after: Option<(i64, String)>) -> QueryBuilder<Any> {
    let column = page.key.column();
    let (order, beyond) = if page.is_ascending { ("ASC", ">") } else { ("DESC", "<") };
    let mut query = QueryBuilder::<Any>::new("SELECT * FROM pushes WHERE 1 = 1");
    if !filter.status.is_empty() {
        query.push(" AND status IN (");
        let mut names = query.separated(", ");
        for status in &filter.status {
            names.push_bind(status.name());
        }
        query.push(")");
    }
    if let Some(image) = &filter.image_id {
        query.push(" AND id IN (SELECT push_id FROM push_items WHERE image_id = ");
        query.push_bind(image.clone()).push(")");
    }
    if let Some(policy) = &filter.policy {
        query.push(" AND policy = ").push_bind(policy.clone());
    }
    for bound in &filter.bounds {
        query.push(format!(" AND {} {} ", bound.key.column(), bound.operator)).push_bind(millis(bound.at));
    }
    if let Some((at, id)) = after {
        query.push(format!(" AND ({column} {beyond} ")).push_bind(at);
        query.push(format!(" OR ({column} = ")).push_bind(at);
        query.push(format!(" AND id {beyond} ")).push_bind(id).push("))");
    }
    query.push(format!(" ORDER BY {column} {order}, id {order} LIMIT "));
    query.push_bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
    query
}

/// Returns the push of a row.
pub(super) fn push_of(row: &AnyRow) -> Result<Push, StoreError> {
    Ok(Push {
        id: text(row, "id")?,
        status: status(row, "pushes")?,
        reason: maybe_text(row, "reason")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        started_at: maybe_time(row, "started_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        profile: filled(row, "profile")?,
        priority: number(row, "priority")?,
        is_cancelled: number(row, "cancelled")? != 0,
        request: json(row, "request", "pushes")?,
        origin: Origin {
            policy: maybe_text(row, "policy")?,
            user_id: text(row, "user_id")?,
            user_name: text(row, "user_name")?,
            project_id: maybe_text(row, "project_id")?,
            request_id: text(row, "request_id")?,
        },
    })
}

/// Returns the image of a row.
pub(super) fn item_of(row: &AnyRow) -> Result<Item, StoreError> {
    Ok(Item {
        position: number(row, "position")?,
        target: Target {
            reference: text(row, "reference")?,
            image_id: maybe_text(row, "image_id")?,
            name: maybe_text(row, "name")?,
            bytes: maybe_count(row, "bytes")?,
        },
        status: status(row, "push_items")?,
        reason: maybe_text(row, "reason")?,
        session: maybe_text(row, "session")?,
        root: maybe_text(row, "root")?,
        wire_bytes: maybe_count(row, "wire_bytes")?,
        expected: maybe_count(row, "expected")?,
        holding: maybe_count(row, "holding")?,
        exit_code: maybe_number(row, "exit_code")?,
        started_at: maybe_time(row, "started_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        progress: maybe_text(row, "progress")?,
    })
}

/// Values of one statement.
const VALUES_MAX: usize = 1_000;
