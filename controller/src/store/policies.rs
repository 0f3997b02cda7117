//! Policies that came by the API. Those of files are in their files alone.

use glancecast_proto::time::WallClock;

use super::rows::{text, time};
use super::{Store, StoreError, is_changed, millis};

/// A policy of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its name.
    pub name: String,
    /// The policy as JSON.
    pub body: String,
    /// When it was made.
    pub created_at: WallClock,
    /// When it was changed last.
    pub updated_at: WallClock,
}

impl Store {
    /// Returns all policies of the API by name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn policies(&self) -> Result<Vec<PolicyRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM policies ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(PolicyRow {
                    name: text(row, "name")?,
                    body: text(row, "body")?,
                    created_at: time(row, "created_at")?,
                    updated_at: time(row, "updated_at")?,
                })
            })
            .collect()
    }

    /// Makes a policy. Returns whether it is new: one of this name is not replaced.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_policy(&self, name: &str, body: &str, at: WallClock) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let made =
            sqlx::query("INSERT INTO policies (name, body, created_at, updated_at) VALUES (?, ?, ?, ?)")
                .bind(name)
                .bind(body)
                .bind(millis(at))
                .bind(millis(at))
                .execute(&mut *transaction)
                .await;
        match made {
            Ok(_) => self.commit(transaction).await.map(|()| true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces a policy. Returns whether there is one of this name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn replace_policy(&self, name: &str, body: &str, at: WallClock) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query("UPDATE policies SET body = ?, updated_at = ? WHERE name = ?")
            .bind(body)
            .bind(millis(at))
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        self.commit(transaction).await?;
        Ok(is_changed(&changed))
    }

    /// Removes a policy. Returns whether there was one of this name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn remove_policy(&self, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let removed = sqlx::query("DELETE FROM policies WHERE name = ?");
        let removed = removed.bind(name).execute(&mut *transaction).await?;
        self.commit(transaction).await?;
        Ok(is_changed(&removed))
    }
}
