//! Errors in TOML files, printable in a log or on a terminal.

use glancecast_proto::wire::printable;

/// Returns the parser's reason as one line. It quotes the file, whose text must not move the cursor of a terminal.
pub(crate) fn one_line(error: &toml::de::Error) -> String {
    printable(&error.message().replace('\n', " "))
}
