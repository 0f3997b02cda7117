//! What others may see of this service: its status and its metrics.
//!
//! ```text
//! receive loop --once a second--> Board --> answerer: `glancecastd status` (a Unix socket), Prometheus (a local port)
//!              (tally)              ^-----> surveyor: the textfile for node_exporter
//!                                           | looks at the store after each push and once a minute
//!                                           +--> Board
//! ```
//!
//! The loop counts in plain integers of its own and makes a [`Snapshot`] of them by a timer. It never waits for a
//! reader: while one takes the snapshot, the loop keeps its own for the next second.

mod answerer;
mod board;
pub mod client;
mod http;
mod metrics;
mod snapshot;
mod surveyor;
mod table;
mod tally;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use board::Board;
pub(crate) use snapshot::NetworkState;
pub use snapshot::Snapshot;
pub(crate) use surveyor::{Nudge, Surveyor};
pub(crate) use tally::{Identity, Tally, Turn};

/// Where the status and the metrics are given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObserveConfig {
    /// The directory of the socket that `glancecastd status` asks; `None` for none.
    pub runtime: Option<PathBuf>,
    /// The address at which metrics are scraped; `None` for none.
    pub metrics: Option<SocketAddr>,
    /// The file that metrics are written to; `None` for none.
    pub metrics_file: Option<PathBuf>,
}

/// Starts the thread that answers questions about the status. What cannot be opened is reported in the log: a host without
/// metrics receives all the same.
///
/// # Errors
/// If a thread cannot be started.
pub fn answer(config: &ObserveConfig, board: Board) -> std::io::Result<()> {
    answerer::start(config, board)
}
