//! The state: pushes, their events, jobs, policies, what hosts hold, and who leads. In SQLite by default, or in the cloud's own
//! MariaDB. Both get the same statements.
//!
//! Every change of a push is a transaction with an event in it, so that whoever follows the events has seen every change. A
//! process that ends at any moment leaves whole transactions.

mod events;
mod hosts;
mod jobs;
mod lease;
mod planner;
mod policies;
mod pushes;
mod queue;
mod retention;
mod rows;

use std::path::Path;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use glancecast_proto::time::WallClock;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyQueryResult};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, ConnectOptions, SqlSafeStr, Transaction};
use tokio::sync::watch;

use crate::settings::{Database, Secret};

pub use events::{Event, EventKind};
pub use hosts::{CopyRow, HostsFilter};
pub use jobs::{Job, JobKind, NewJob};
pub use lease::Lease;
pub use planner::{ApprovalRow, FailedTask, FailureRow, PlacementRow, Verdicts};
pub use policies::PolicyRow;
pub use pushes::{Accepted, HostRow, NewPush, PushFilter, PushPage, SortKey, TimeBound};
pub use queue::{Interruption, ItemChange, ItemEnd, Next};

/// The database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    /// Changes with every change of this process, so that streams of events and the queue need not wait.
    changes: watch::Sender<u64>,
}

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    MySql,
}

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database fails.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("database: {0}; was it written by a newer version?")]
    Migration(#[from] MigrateError),
    /// The configuration of the database is wrong.
    #[error("database: {0}")]
    Configuration(String),
    /// What is stored is not what this program stores.
    #[error("database: {table} has {what}, which this version does not know")]
    Odd {
        /// The table.
        table: &'static str,
        /// What is in it.
        what: String,
    },
}

impl Store {
    /// Opens the database, and makes or updates its tables.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let (kind, options) = match database {
            Database::Sqlite(path) => (Kind::Sqlite, sqlite(path)?),
            Database::Server { url, password } => (Kind::MySql, server(url, password.as_deref())?),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in kind.preparation() {
                        sqlx::query(*statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        migrations().run(&pool).await?;
        Ok(Self { pool, kind, changes: watch::Sender::new(0) })
    }

    /// Returns what changes with every change of this process.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn check(&self) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT COUNT(*) FROM leases").fetch_one(&self.pool).await?;
        drop(row);
        Ok(())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a transaction that writes. With SQLite it has the write lock from its beginning: one that begins as a reader
    /// cannot always become a writer.
    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Kind::MySql => self.pool.begin().await?,
        })
    }

    /// Ends a transaction that has changed something.
    async fn commit(&self, transaction: Transaction<'static, Any>) -> Result<(), StoreError> {
        transaction.commit().await?;
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}

impl Kind {
    /// Returns the statements that prepare a connection.
    fn preparation(self) -> &'static [&'static str] {
        match self {
            // WAL: readers do not wait for the writer. FULL: what was answered survives a power failure.
            Self::Sqlite => {
                &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA busy_timeout = 10000"]
            }
            // Each statement sees what was committed before it, and locks no gaps.
            Self::MySql => &["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"],
        }
    }
}

fn sqlite(path: &Path) -> Result<AnyConnectOptions, StoreError> {
    let path = path.to_str().ok_or_else(|| {
        StoreError::Configuration(format!("the path {} has bytes that are no text", path.display()))
    })?;
    let encoded: String = path.bytes().map(percent).collect();
    options(&format!("sqlite://{encoded}?mode=rwc"))
}

fn server(url: &str, password: Option<&Path>) -> Result<AnyConnectOptions, StoreError> {
    let Some(password) = password else { return options(url) };
    let secret = Secret::read(password).map_err(StoreError::Configuration)?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("mysql", url));
    let (user, host) = rest.split_once('@').unwrap_or(("root", rest));
    let password: String = secret.expose().bytes().map(percent).collect();
    options(&format!("{scheme}://{user}:{password}@{host}"))
}

fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    // The error may quote the address, which has the password.
    let options = AnyConnectOptions::from_str(url)
        .map_err(|_| StoreError::Configuration("the address is no URL".to_owned()))?;
    Ok(options.disable_statement_logging())
}

/// Returns a byte as a URL has it.
fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

fn migrations() -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// Each changes the tables of the one before it, and is never changed once it was released.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "state", include_str!("../../migrations/0001_state.sql"))];

/// Returns a time as the database has it.
fn millis(at: WallClock) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// Returns whether a statement changed a row.
fn is_changed(result: &AnyQueryResult) -> bool {
    result.rows_affected() > 0
}

/// Connections to the database. SQLite writes through one at a time anyway.
const CONNECTIONS_MAX: u32 = 8;
/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
