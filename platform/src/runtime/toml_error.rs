//! Errors in TOML files, printable in a log or on a terminal.

use glancecast_proto::wire::printable;
use toml::de::{DeTable, Error};

/// Returns the parser's reason as one line. It quotes the file, whose text must not move the cursor of a terminal.
pub fn one_line(error: &Error) -> String {
    printable(&error.message().replace('\n', " "))
}

/// Returns where an error in a text is, and what to write there: the line as it is says more than a grammar.
pub fn explained(error: &Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| text.floor_char_boundary(span.start));
    let number = text[..at].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let reason = one_line(error);
    if DeTable::parse(text).is_err() {
        let shown = printable(&line[..line.floor_char_boundary(LINE_BYTES_MAX)]);
        return format!("line {number} is not TOML: {shown:?} ({reason})");
    }
    let setting = line.split('=').next().unwrap_or_default().trim();
    match remedy(&reason) {
        Some(remedy) => format!("line {number}: {}: {remedy} ({reason})", printable(setting)),
        None => format!("line {number}: {reason}"),
    }
}

/// Returns what to write where a value has another type than its setting.
fn remedy(reason: &str) -> Option<&'static str> {
    let (found, expected) = reason.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    match expected {
        "a boolean" => Some("write true or false, without quotes"),
        "a string" => Some("write a text in quotes"),
        number if number.starts_with(['u', 'i']) && found.starts_with("string") => {
            Some("write a number, without quotes")
        }
        _ => None,
    }
}

/// Most bytes of a line in a message.
const LINE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Settings {
        dscp: Option<u8>,
        name: Option<String>,
        insecure: Option<bool>,
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        for (text, message) in [
            ("\ndscp = \"8\"", "line 2: dscp: write a number, without quotes ("),
            ("dscp = = 8", "line 1 is not TOML: \"dscp = = 8\" ("),
            ("name = 8", "line 1: name: write a text in quotes ("),
            ("insecure = \"yes\"", "line 1: insecure: write true or false, without quotes ("),
            ("nmae = \"x\"", "line 1: unknown field `nmae`"),
            ("a\u{1b}[2J", "line 1 is not TOML"),
        ] {
            let error = toml::from_str::<Settings>(text).expect_err(text);
            let found = explained(&error, text);
            assert!(found.starts_with(message) && !found.contains(['\n', '\u{1b}']), "{text}: {found}");
        }
    }
}
