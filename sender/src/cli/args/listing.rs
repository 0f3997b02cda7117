//! How a list is printed: the options that the `openstack` command has, too.

use super::common::Output;
use crate::output::Rows;
use crate::output::formats::{Format, Listing};
use crate::output::grid::Column;
use crate::request::RequestError;

/// The output of a command that lists something.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: Output,
    /// Form of the list, as the openstack command has them: a table, or its rows as JSON, CSV, YAML or bare values
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, conflicts_with = "json")]
    format: Format,
    /// Column of the list to print; can be repeated [default: all]
    #[arg(short, long, value_name = "COLUMN", conflicts_with = "json")]
    column: Vec<String>,
    /// Column by which rows are sorted; can be repeated
    #[arg(long, value_name = "COLUMN", conflicts_with = "json")]
    sort_column: Vec<String>,
    /// Print a row for each host, however many there are [default: up to 50 hosts; else what they have in common]
    #[arg(long, conflicts_with = "json")]
    all: bool,
}

impl ListArgs {
    /// Whether one JSON object is printed instead of a list.
    pub(crate) fn json(&self) -> bool {
        self.output.json
    }

    /// Whether the list has its usual form.
    pub(crate) fn is_plain(&self) -> bool {
        self.format == Format::Table && self.column.is_empty() && self.sort_column.is_empty()
    }

    /// Returns how a list with these columns is printed.
    ///
    /// # Errors
    /// [`RequestError::NoColumn`] if a column is named that it does not have.
    pub(crate) fn listing(&self, columns: &[Column]) -> Result<Listing, RequestError> {
        let listing = Listing {
            format: self.format,
            columns: self.column.clone(),
            sort: self.sort_column.clone(),
            rows: if self.all { Rows::All } else { Rows::IfFew },
        };
        match listing.unknown(columns) {
            Some((column, columns)) => Err(RequestError::NoColumn { column: column.to_owned(), columns }),
            None => Ok(listing),
        }
    }
}
