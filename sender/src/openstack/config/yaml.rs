//! From the text of a settings file to its values, as PyYAML's `safe_load` composes them: anchors, merge keys (`<<`),
//! and the last one of two equal keys. Pure; bounded in depth and size, also where aliases multiply.
//!
//! Errors never repeat what the file says, because that may be a password.

use std::collections::{BTreeMap, HashMap};

use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

use super::flow::indented;
use super::scalar::Reading;

/// A value of a settings file. It may be a secret, so it has no `Debug`.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Text(Scalar),
    List(Vec<Value>),
    Map(Map),
}

/// A text as it was written.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// What PyYAML reads there; never `Null`.
    pub(super) reading: Reading,
}

/// Values by their keys.
pub(super) type Map = BTreeMap<String, Value>;

/// Why a file has no values, and in which line, counted from 1; line 0 for the whole file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct Fault {
    line: usize,
    reason: &'static str,
}

impl Value {
    /// Returns a text that is nothing but a text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Scalar { text: text.into(), reading: Reading::Text })
    }

    pub(super) fn of_bool(value: bool) -> Self {
        Self::Text(Scalar { text: value.to_string(), reading: Reading::Bool(value) })
    }

    /// Composes the one document of a file.
    ///
    /// # Errors
    /// [`Fault`] if it is not YAML, has more than one document, a tag that `safe_load` refuses, or exceeds a limit.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        // Python opens the file with universal newlines; YAML 1.1 has one more; and PyYAML skips the mark.
        let text = text.replace("\r\n", "\n").replace(['\r', '\u{85}'], "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // The first fault is the one to name.
        Self::composed(text).or_else(|fault| Self::composed(&indented(text)).map_err(|_| fault))
    }

    fn composed(text: &str) -> Result<Self, Fault> {
        let parser = Parser::new_from_str(text);
        let mut composer = Composer { parser, anchors: HashMap::new(), room: WEIGHT_MAX };
        composer.document()
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Returns the room that the value takes, in bytes and a bit more for each member.
    fn weight(&self) -> usize {
        let members: usize = match self {
            Self::Null => 0,
            Self::Text(scalar) => scalar.text.len(),
            Self::List(list) => list.iter().map(Self::weight).sum(),
            Self::Map(map) => map.iter().map(|(key, value)| key.len() + value.weight()).sum(),
        };
        members + MEMBER_WEIGHT
    }
}

struct Composer<'a> {
    parser: Parser<std::str::Chars<'a>>,
    /// The values that aliases may name, by the parser's number.
    anchors: HashMap<usize, Value>,
    /// The weight that may still be composed.
    room: usize,
}

impl Composer<'_> {
    fn document(&mut self) -> Result<Value, Fault> {
        let mut document = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(document.unwrap_or(Value::Null)),
                (Event::StreamStart | Event::DocumentStart | Event::DocumentEnd | Event::Nothing, _) => {}
                (_, line) if document.is_some() => return fault(line, "it has a second document"),
                (event, line) => document = Some(self.value(event, line, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event, usize), Fault> {
        let line = |marker: &Marker| marker.line();
        match self.parser.next_token() {
            Ok((event, marker)) => Ok((event, line(&marker))),
            Err(error) => fault(line(error.marker()), reason_of(&error)),
        }
    }

    fn value(&mut self, event: Event, line: usize, depth: usize) -> Result<Value, Fault> {
        if depth > DEPTH_MAX {
            return fault(line, "it is nested too deeply");
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(value) => (0, value.clone()),
                None => return fault(line, "an alias refers to what it stands in"),
            },
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(text, style, tag.as_ref(), line)?),
            Event::SequenceStart(anchor, tag) => {
                expect_tag(tag.as_ref(), "seq", line)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                expect_tag(tag.as_ref(), "map", line)?;
                (anchor, self.map(depth)?)
            }
            _ => return fault(line, NOT_YAML),
        };
        if anchor != 0 {
            self.take_room(&value, line)?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(list)),
                (event, line) => {
                    let value = self.value(event, line, depth + 1)?;
                    self.take_room(&value, line)?;
                    list.push(value);
                }
            }
        }
    }

    /// Composes a mapping. What it merges comes first, so that its own keys win; of several merged mappings the first
    /// one in a list wins, and the last one of several merge keys.
    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let (mut merged, mut own) = (Map::new(), Map::new());
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, line) => (event, line),
            };
            let is_merge = matches!(&key, Event::Scalar(text, TScalarStyle::Plain, _, None) if text == "<<");
            // A key of yes, no, a number or null is its text too.
            let key = match (&key, self.value(key.clone(), line, depth + 1)?) {
                (Event::Scalar(text, ..), _) => text.clone(),
                (_, Value::Text(alias)) => alias.text,
                _ => return fault(line, "a key is a list or a mapping"),
            };
            let (event, line) = self.next()?;
            let value = self.value(event, line, depth + 1)?;
            self.take_room(&value, line)?;
            match is_merge {
                true => merge(&mut merged, value, line)?,
                false => drop(own.insert(key, value)),
            }
        }
        merged.extend(own);
        Ok(Value::Map(merged))
    }

    /// Aliases of aliases would otherwise grow without bound.
    fn take_room(&mut self, value: &Value, line: usize) -> Result<(), Fault> {
        match self.room.checked_sub(value.weight()) {
            Some(room) => self.room = room,
            None => return fault(line, "it is too large, or its aliases are"),
        }
        Ok(())
    }
}

fn merge(merged: &mut Map, value: Value, line: usize) -> Result<(), Fault> {
    match value {
        Value::Map(map) => merged.extend(map),
        Value::List(list) => {
            for value in list.into_iter().rev() {
                let Value::Map(map) = value else { return fault(line, MERGE) };
                merged.extend(map);
            }
        }
        _ => return fault(line, MERGE),
    }
    Ok(())
}

fn scalar(text: String, style: TScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Value, Fault> {
    let plain = style == TScalarStyle::Plain;
    let reading = match tag.map(|tag| (tag.handle.as_str(), tag.suffix.as_str())) {
        None if plain => Reading::of(&text),
        None | Some((CORE, "str")) => Reading::Text,
        Some(_) if tag.is_some_and(is_non_specific) => Reading::Text,
        Some((CORE, "null")) => Reading::Null,
        Some((CORE, "int" | "float" | "bool" | "timestamp")) => match Reading::of(&text) {
            Reading::Null => Reading::Other,
            reading => reading,
        },
        Some(_) => return fault(line, TAG),
    };
    Ok(match reading {
        Reading::Null => Value::Null,
        reading => Value::Text(Scalar { text, reading }),
    })
}

fn expect_tag(tag: Option<&Tag>, kind: &str, line: usize) -> Result<(), Fault> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.handle == CORE && tag.suffix == kind || is_non_specific(tag) => Ok(()),
        Some(_) => fault(line, TAG),
    }
}

/// Whether a tag is `!` alone, which says that nothing is to be resolved.
fn is_non_specific(tag: &Tag) -> bool {
    matches!((tag.handle.as_str(), tag.suffix.as_str()), ("!", "") | ("", "!"))
}

/// Returns a text that quotes nothing of the file.
fn reason_of(error: &ScanError) -> &'static str {
    match error.info().contains("unknown anchor") {
        true => "an alias (`*`) has no anchor (`&`); text that begins with `*` needs quotes",
        false => NOT_YAML,
    }
}

fn fault<T>(line: usize, reason: &'static str) -> Result<T, Fault> {
    Err(Fault { line, reason })
}

/// The handle of YAML's own tags, of which `!!` is short.
const CORE: &str = "tag:yaml.org,2002:";
const NOT_YAML: &str = "it is not YAML; text with special characters needs quotes";
const TAG: &str = "its tag (`!`) is unknown; text that begins with `!` needs quotes";
const MERGE: &str = "`<<` merges what is no mapping";

/// A clouds.yaml has six levels.
const DEPTH_MAX: usize = 40;
/// The weight of all values together, with those that aliases repeat.
const WEIGHT_MAX: usize = 32 << 20;
/// The weight of a value besides its text.
const MEMBER_WEIGHT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values as JSON, in which an odd scalar is its text.
    fn json(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Text(scalar) => scalar.text.clone().into(),
            Value::List(list) => list.iter().map(json).collect(),
            Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        }
    }

    fn parsed(text: &str) -> serde_json::Value {
        json(&Value::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}")))
    }

    fn refused(text: &str) -> String {
        Value::parse(text).err().unwrap_or_else(|| panic!("{text} is taken")).to_string()
    }

    #[test]
    fn scalars_are_the_text_that_was_written() {
        let text = "a: 0123456789\nb: 01234567\nc: yes\nd: 'null'\ne: ~\nf: 1e3\ng: 12:30:45\nh: \"\\u00e4\\t\"\ni:\n";
        let expected = serde_json::json!({"a": "0123456789", "b": "01234567", "c": "yes", "d": "null", "e": null,
            "f": "1e3", "g": "12:30:45", "h": "ä\t", "i": null});
        assert_eq!(parsed(text), expected);
        assert_eq!(
            parsed("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: x\n  y\n"),
            serde_json::json!({"a": "x\ny\n", "b": "x y", "c": "x y"})
        );
        assert_eq!(
            parsed("a: !!str 012\nb: !!int 012\nc: ! 012\n"),
            serde_json::json!({"a": "012", "b": "012", "c": "012"})
        );
    }

    #[test]
    fn a_mark_and_other_line_ends_change_nothing() {
        let expected = serde_json::json!({"a": {"b": "c", "d": "e"}});
        for text in [
            "a:\n  b: c\n  d: e\n",
            "\u{feff}a:\r\n  b: c\r\n  d: e\r\n",
            "a:\r  b: c\r  d: e",
            "---\na: {b: c, d: e}\n...\n",
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        assert_eq!(parsed(""), serde_json::Value::Null);
    }

    #[test]
    fn merge_keys_give_what_a_mapping_does_not_say_itself() {
        let base = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\n";
        for (map, expected) in [
            ("{<<: *x, b: 9}", serde_json::json!({"a": "1", "b": "9"})),
            ("{b: 9, <<: *x}", serde_json::json!({"a": "1", "b": "9"})),
            ("{<<: [*x, *y]}", serde_json::json!({"a": "1", "b": "2", "c": "4"})),
            ("{<<: [*y, *x]}", serde_json::json!({"a": "1", "b": "3", "c": "4"})),
            ("{'<<': 1}", serde_json::json!({"<<": "1"})),
            ("{b: 1, b: 2}", serde_json::json!({"b": "2"})),
        ] {
            assert_eq!(parsed(&format!("{base}z: {map}\n"))["z"], expected, "{map}");
        }
        assert_eq!(
            parsed("a: &a\n  b: &b {c: 1}\n  <<: *b\nd:\n  <<: *a\n")["d"],
            serde_json::json!({"b": {"c": "1"}, "c": "1"})
        );
    }

    #[test]
    fn brackets_may_end_at_any_indentation() {
        let expected = serde_json::json!({"a": {"b": {"c": "d", "e": ["f"]}}, "g": "h"});
        for text in [
            "a:\n  b: {\n  \"c\": \"d\",\n  \"e\": [\n\"f\"\n]\n}\ng: h\n",
            "a: {\nb: {c: d, e: [\n  f\n]}\n}\ng: 'h'\n",
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_settings_file_is_refused_without_its_words() {
        for text in [
            "a: [hunter2",
            "a: *hunter2",
            "a: !hunter2 x",
            "a: hunter2: b",
            "a: @hunter2",
            "a: `hunter2",
            "{hunter2",
            "a: 'hunter2",
            "a: b\n hunter2: c",
            "a: &a {b: *a}",
            "<<: hunter2",
            "a: b\n---\nhunter2: d",
            "? [hunter2]\n: b",
            "a: \"\\q\"",
            "a:\n\tb: c",
        ] {
            let reason = refused(text);
            assert!(!reason.contains("hunter2") && reason.starts_with("line "), "{text}: {reason}");
        }
    }

    #[test]
    fn aliases_that_multiply_and_depth_have_a_bound() {
        let mut text = format!("a0: &a0 {}\n", "x".repeat(100));
        for level in 1..60 {
            let inner = format!("*a{},", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(refused(&text).contains("too large"));
        assert!(refused(&format!("{}{}", "[".repeat(50), "]".repeat(50))).contains("nested"));
        let _ = Value::parse(&"[".repeat(100_000));
        let _ = Value::parse(&"- ".repeat(100_000));
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let pieces = [
            "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!", "!!str ", "|", ">", "'",
            "\"", "\\", "#", "?", "%", "---", "...", "\t", "\u{feff}", "ä", "<<",
        ];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let _ = Value::parse(&text);
        }
    }
}
