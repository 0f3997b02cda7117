//! JSON that is safe to print on a terminal: untrusted text is escaped, and nothing of it is lost.

use std::io;

use glancecast_proto::ids::is_unprintable;
use serde::Serialize;
use serde_json::ser::Formatter;

/// Returns one object on one line, with the end of the line.
pub(crate) fn line(value: &impl Serialize) -> String {
    to_string(value) + "\n"
}

/// Returns one object on one line. Characters that could control a terminal are written as `\uXXXX`, which every JSON
/// parser decodes to the same text.
pub(crate) fn to_string(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Escaping);
    value.serialize(&mut serializer).expect("numbers and texts are JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut shown = 0;
        for (at, c) in fragment.char_indices().filter(|&(_, c)| is_unprintable(c)) {
            out.write_all(&fragment.as_bytes()[shown..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            shown = at + c.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[shown..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_steers_no_terminal_and_loses_nothing() {
        let text = "März \u{1b}[2J\u{9b}1A\u{202e}\u{7f}\"\\\n 日本 \u{feff}";
        let json = to_string(&[text]);
        assert!(!json.chars().any(is_unprintable), "{json:?}");
        assert!(json.contains("März") && json.contains("日本") && json.contains("\\u202e"), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).expect("JSON"), [text]);
    }
}
