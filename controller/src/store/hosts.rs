//! What hosts say that they hold: one row a host and profile, and one a copy.

use glancecast_proto::time::WallClock;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Transaction};

use super::rows::{maybe_count, maybe_number, maybe_text, maybe_time, number, text, time};
use super::{Store, StoreError, millis};
use crate::model::{Copy, Inventory, Pinned};

/// Which hosts are listed.
#[derive(Clone, Debug, Default)]
pub struct HostsFilter {
    /// Those in this state.
    pub state: Option<String>,
    /// Those of this name alone.
    pub host: Option<String>,
    /// Those after this name.
    pub after: Option<String>,
    /// Most rows; `None` for all.
    pub limit: Option<u64>,
}

/// A copy with the host that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRow {
    /// The host.
    pub host: String,
    /// The copy.
    pub copy: Copy,
    /// When the host said so.
    pub answered_at: Option<WallClock>,
}

impl Store {
    /// Writes what hosts of a profile said. The copies of a host that did not answer stay as they were; those of a host whose
    /// digest is the same are not written again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn store_inventory(&self, profile: &str, said: &[Inventory]) -> Result<(), StoreError> {
        // Each of them a transaction of its own, so that other writers get their turn.
        for some in said.chunks(HOSTS_A_TRANSACTION) {
            let mut transaction = self.begin().await?;
            for inventory in some {
                store_one(&mut transaction, profile, inventory).await?;
            }
            self.commit(transaction).await?;
        }
        Ok(())
    }

    /// Returns the hosts of a profile by name, without their copies.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn hosts(&self, profile: &str, filter: &HostsFilter) -> Result<Vec<Inventory>, StoreError> {
        let mut query = QueryBuilder::<Any>::new("SELECT * FROM hosts WHERE profile = ");
        query.push_bind(profile.to_owned());
        for (condition, value) in [
            (" AND state = ", &filter.state),
            (" AND host = ", &filter.host),
            (" AND host > ", &filter.after),
        ] {
            if let Some(value) = value {
                query.push(condition).push_bind(value.clone());
            }
        }
        query.push(" ORDER BY host");
        if let Some(limit) = filter.limit {
            query.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(inventory_of).collect()
    }

    /// Returns the copies on one host of a profile.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn copies_on(&self, profile: &str, host: &str) -> Result<Vec<Copy>, StoreError> {
        let rows = sqlx::query("SELECT * FROM copies WHERE profile = ? AND host = ? ORDER BY number")
            .bind(profile)
            .bind(host)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(copy_of).collect()
    }

    /// Returns all copies of a profile, or those of an image by its id, with the hosts that hold them, by host.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn copies(&self, profile: &str, image: Option<&str>) -> Result<Vec<CopyRow>, StoreError> {
        let mut query = QueryBuilder::<Any>::new(
            "SELECT copies.*, hosts.answered_at FROM copies JOIN hosts \
             ON hosts.profile = copies.profile AND hosts.host = copies.host WHERE copies.profile = ",
        );
        query.push_bind(profile.to_owned());
        if let Some(image) = image {
            query.push(" AND copies.image_id = ").push_bind(image.to_owned());
        }
        query.push(" ORDER BY copies.host, copies.number");
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(CopyRow {
                    host: text(row, "host")?,
                    copy: copy_of(row)?,
                    answered_at: maybe_time(row, "answered_at")?,
                })
            })
            .collect()
    }

    /// Notes that hosts hold a copy: a push said so.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_copies(
        &self,
        profile: &str,
        hosts: &[String],
        copy: &Copy,
        at: WallClock,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for host in hosts {
            let known = sqlx::query("SELECT host FROM hosts WHERE profile = ? AND host = ?");
            let known = known.bind(profile).bind(host).fetch_optional(&mut *transaction).await?;
            if known.is_none() {
                sqlx::query(
                    "INSERT INTO hosts (profile, host, asked_at, answered_at, state, delivered_at) \
                     VALUES (?, ?, ?, ?, 'answered', ?)",
                )
                .bind(profile)
                .bind(host)
                .bind(millis(at))
                .bind(millis(at))
                .bind(millis(at))
                .execute(&mut *transaction)
                .await?;
            } else {
                // The next answer is written whatever its digest.
                let update = sqlx::query(
                    "UPDATE hosts SET digest = NULL, delivered_at = ? WHERE profile = ? AND host = ?",
                );
                update.bind(millis(at)).bind(profile).bind(host).execute(&mut *transaction).await?;
            }
            let rows =
                sqlx::query("SELECT * FROM copies WHERE profile = ? AND host = ?").bind(profile).bind(host);
            let rows = rows.fetch_all(&mut *transaction).await?;
            let copies = rows.iter().map(copy_of).collect::<Result<Vec<Copy>, _>>()?;
            if copies.iter().any(|held| held.root == copy.root && held.name == copy.name) {
                continue;
            }
            let mut last = -1;
            for row in &rows {
                last = last.max(number(row, "number")?);
            }
            insert_copy(&mut transaction, profile, host, last + 1, copy).await?;
        }
        self.commit(transaction).await
    }
}

async fn store_one(
    transaction: &mut Transaction<'static, Any>,
    profile: &str,
    inventory: &Inventory,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT * FROM hosts WHERE profile = ? AND host = ?");
    let row = row.bind(profile).bind(&inventory.host).fetch_optional(&mut **transaction).await?;
    let before = row.as_ref().map(inventory_of).transpose()?;
    let has_answered = inventory.answered_at.is_some();
    let delivered_at = row.as_ref().map(|row| maybe_number(row, "delivered_at")).transpose()?.flatten();
    // A push that has ended since the question knows better than the answer.
    let is_outdated = delivered_at.is_some_and(|at| at >= millis(inventory.asked_at));
    let (answered_at, free_bytes, digest, software) = match (&before, has_answered) {
        (Some(before), false) => {
            (before.answered_at, before.free_bytes, before.digest.clone(), before.software.clone())
        }
        _ => (
            inventory.answered_at,
            inventory.free_bytes,
            inventory.digest.clone(),
            inventory.software.clone(),
        ),
    };
    sqlx::query(
        "REPLACE INTO hosts (profile, host, asked_at, answered_at, state, reason, software, free_bytes, digest, \
         delivered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(profile)
    .bind(&inventory.host)
    .bind(millis(inventory.asked_at))
    .bind(answered_at.map(millis))
    .bind(&inventory.state)
    .bind(inventory.reason.clone())
    .bind(software)
    .bind(super::rows::from_count(free_bytes))
    .bind(if is_outdated { None } else { digest })
    .bind(delivered_at)
    .execute(&mut **transaction)
    .await?;
    let is_same =
        before.and_then(|before| before.digest).is_some_and(|digest| Some(digest) == inventory.digest);
    if !has_answered || is_same || is_outdated {
        return Ok(());
    }
    let delete = sqlx::query("DELETE FROM copies WHERE profile = ? AND host = ?");
    delete.bind(profile).bind(&inventory.host).execute(&mut **transaction).await?;
    for (number, copy) in inventory.copies.iter().enumerate() {
        insert_copy(transaction, profile, &inventory.host, number as i64, copy).await?;
    }
    Ok(())
}

async fn insert_copy(
    transaction: &mut Transaction<'static, Any>,
    profile: &str,
    host: &str,
    number: i64,
    copy: &Copy,
) -> Result<(), StoreError> {
    let pinned = match copy.pinned {
        Pinned::No => NOT_PINNED,
        Pinned::Forever => PINNED_FOREVER,
        Pinned::Until(at) => i64::try_from(at).unwrap_or(i64::MAX),
    };
    sqlx::query(
        "INSERT INTO copies (profile, host, number, name, image_id, bytes, root, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(profile)
    .bind(host)
    .bind(number)
    .bind(&copy.name)
    .bind(copy.image_id.clone())
    .bind(super::rows::from_count(Some(copy.bytes)))
    .bind(&copy.root)
    .bind(pinned)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn inventory_of(row: &AnyRow) -> Result<Inventory, StoreError> {
    Ok(Inventory {
        host: text(row, "host")?,
        asked_at: time(row, "asked_at")?,
        answered_at: maybe_time(row, "answered_at")?,
        state: text(row, "state")?,
        reason: maybe_text(row, "reason")?,
        software: maybe_text(row, "software")?,
        free_bytes: maybe_count(row, "free_bytes")?,
        digest: maybe_text(row, "digest")?,
        copies: Vec::new(),
    })
}

fn copy_of(row: &AnyRow) -> Result<Copy, StoreError> {
    let pinned = match number(row, "pinned")? {
        NOT_PINNED => Pinned::No,
        PINNED_FOREVER => Pinned::Forever,
        at => Pinned::Until(u64::try_from(at).unwrap_or(0)),
    };
    Ok(Copy {
        name: text(row, "name")?,
        image_id: maybe_text(row, "image_id")?,
        bytes: maybe_count(row, "bytes")?.unwrap_or(0),
        root: text(row, "root")?,
        pinned,
    })
}

/// The column of a copy that is not pinned.
const NOT_PINNED: i64 = 0;
/// The column of a copy that is pinned for ever.
const PINNED_FOREVER: i64 = -1;
/// Hosts that are written at a time.
const HOSTS_A_TRANSACTION: usize = 50;
