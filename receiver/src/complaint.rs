//! The reason that a parser gives for refusing a file, for a log or a terminal.

use glancecast_proto::wire::printable;

/// Returns the reason on one line. It quotes the file, which may hold what steers a terminal.
pub(crate) fn of_toml(error: &toml::de::Error) -> String {
    printable(&error.message().replace('\n', " "))
}
