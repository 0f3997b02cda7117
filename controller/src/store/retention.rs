//! Forgets pushes and jobs that ended long ago, or that are too many.

use std::time::Duration;

use glancecast_proto::time::WallClock;

use super::rows::{number, text};
use super::{Store, StoreError, millis};

impl Store {
    /// Forgets pushes and jobs that ended more than `time` ago, and the oldest of more than `most`. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forget_old(&self, at: WallClock, time: Duration, most: i64) -> Result<usize, StoreError> {
        let before = millis(at).saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let mut forgotten = 0;
        loop {
            let some = self.forget_some(before, most).await?;
            forgotten += some;
            // Others get their turn in between.
            if some < SOME as usize {
                break;
            }
        }
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?")
            .bind(before)
            .execute(&mut *transaction)
            .await?;
        self.commit(transaction).await?;
        Ok(forgotten)
    }

    async fn forget_some(&self, before: i64, most: i64) -> Result<usize, StoreError> {
        let mut transaction = self.begin().await?;
        let ended = sqlx::query("SELECT COUNT(*) AS ended FROM pushes WHERE finished_at IS NOT NULL");
        let ended = number(&ended.fetch_one(&mut *transaction).await?, "ended")?;
        let rows = sqlx::query(
            "SELECT id, finished_at FROM pushes WHERE finished_at IS NOT NULL ORDER BY finished_at, id LIMIT ?",
        );
        let rows = rows.bind(SOME).fetch_all(&mut *transaction).await?;
        let mut forgotten = 0;
        for row in &rows {
            let is_old = number(row, "finished_at")? < before;
            if !is_old && ended - (forgotten as i64) <= most {
                break;
            }
            let id = text(row, "id")?;
            for statement in [
                "DELETE FROM push_events WHERE push_id = ?",
                "DELETE FROM push_hosts WHERE push_id = ?",
                "DELETE FROM push_items WHERE push_id = ?",
                "DELETE FROM pushes WHERE id = ?",
            ] {
                sqlx::query(statement).bind(&id).execute(&mut *transaction).await?;
            }
            forgotten += 1;
        }
        self.commit(transaction).await?;
        Ok(forgotten)
    }
}

/// Pushes that are forgotten in one transaction.
const SOME: i64 = 100;
