//! The lease: of several controllers with one database, the one that holds it pushes.
//!
//! Times are the holder's own. A controller whose clock is ahead by more than the lease would take it over too early, as would
//! any that shares a database without sharing a clock; the clouds that this is for run NTP.

use std::time::Duration;

use glancecast_proto::time::WallClock;

use super::rows::{text, time};
use super::{Store, StoreError, is_changed, millis};

/// Who holds the lease, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The start of a controller: its name and an id that is drawn at each start.
    pub holder: String,
    /// When it ends unless it is renewed.
    pub expires_at: WallClock,
}

impl Store {
    /// Takes or renews the lease for `time`. Returns whether `holder` has it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn lease(&self, holder: &str, at: WallClock, time: Duration) -> Result<bool, StoreError> {
        let until = millis(at).saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let mut transaction = self.begin().await?;
        let renewed = sqlx::query(
            "UPDATE leases SET holder = ?, expires_at = ? WHERE name = ? AND (holder = ? OR expires_at < ?)",
        )
        .bind(holder)
        .bind(until)
        .bind(NAME)
        .bind(holder)
        .bind(millis(at))
        .execute(&mut *transaction)
        .await?;
        if is_changed(&renewed) {
            transaction.commit().await?;
            return Ok(true);
        }
        let held = sqlx::query("SELECT name FROM leases WHERE name = ?");
        if held.bind(NAME).fetch_optional(&mut *transaction).await?.is_some() {
            return Ok(false);
        }
        let made = sqlx::query("INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?)")
            .bind(NAME)
            .bind(holder)
            .bind(until)
            .execute(&mut *transaction)
            .await;
        match made {
            Ok(_) => {
                transaction.commit().await?;
                Ok(true)
            }
            // Another one was first.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lease up, so that another one need not wait for its end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn release(&self, holder: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM leases WHERE name = ? AND holder = ?");
        query.bind(NAME).bind(holder).execute(&self.pool).await?;
        Ok(())
    }

    /// Returns who holds the lease.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn holder(&self) -> Result<Option<Lease>, StoreError> {
        let row = sqlx::query("SELECT holder, expires_at FROM leases WHERE name = ?");
        let row = row.bind(NAME).fetch_optional(&self.pool).await?;
        row.map(|row| Ok(Lease { holder: text(&row, "holder")?, expires_at: time(&row, "expires_at")? }))
            .transpose()
    }
}

/// The name of the only lease.
const NAME: &str = "pushes";
