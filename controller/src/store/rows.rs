//! Columns of rows as values.

use glancecast_proto::time::WallClock;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::StoreError;
use crate::model::Status;

/// Returns a number.
pub(super) fn number(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

/// Returns a number that may be missing.
pub(super) fn maybe_number(row: &AnyRow, column: &str) -> Result<Option<i64>, StoreError> {
    Ok(row.try_get(column)?)
}

/// Returns a count that may be missing.
pub(super) fn maybe_count(row: &AnyRow, column: &str) -> Result<Option<u64>, StoreError> {
    Ok(maybe_number(row, column)?.and_then(|number| u64::try_from(number).ok()))
}

/// Returns a text.
pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

/// Returns a text that may be missing.
pub(super) fn maybe_text(row: &AnyRow, column: &str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

/// Returns a text; `None` where it is empty.
pub(super) fn filled(row: &AnyRow, column: &str) -> Result<Option<String>, StoreError> {
    Ok(Some(text(row, column)?).filter(|text| !text.is_empty()))
}

/// Returns a time.
pub(super) fn time(row: &AnyRow, column: &str) -> Result<WallClock, StoreError> {
    Ok(WallClock(u64::try_from(number(row, column)?).unwrap_or(0)))
}

/// Returns a time that may be missing.
pub(super) fn maybe_time(row: &AnyRow, column: &str) -> Result<Option<WallClock>, StoreError> {
    Ok(maybe_count(row, column)?.map(WallClock))
}

/// Returns the status of a row.
pub(super) fn status(row: &AnyRow, table: &'static str) -> Result<Status, StoreError> {
    let name = text(row, "status")?;
    Status::of(&name).ok_or_else(|| StoreError::Odd { table, what: format!("the status {name:?}") })
}

/// Returns a value that is stored as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    column: &'static str,
    table: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(&text(row, column)?)
        .map_err(|error| StoreError::Odd { table, what: format!("{column} of another form ({error})") })
}

/// Returns a value as JSON.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values of this program have no maps with odd keys")
}

/// Returns a count as the database has it.
pub(super) fn from_count(count: Option<u64>) -> Option<i64> {
    count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
