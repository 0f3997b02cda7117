//! One event of the log: its level, its words, its fields in their order.

use std::fmt::{Debug, Write};

use glancecast_proto::wire::printable;
use serde_json::{Map, Number, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::super::clock::{utc, wall};

/// An event.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut record =
            Self { level: *event.metadata().level(), message: String::new(), fields: Vec::new() };
        event.record(&mut record);
        record
    }

    /// Returns one line for people: the words, then `field=value`, in quotes where the value has blanks.
    pub(super) fn text(&self) -> String {
        let mut line = printable(&self.message);
        for (name, value) in &self.fields {
            let text = plain(value);
            let is_bare = !text.is_empty() && !text.contains([' ', '"', '=', '\\']);
            let text = if is_bare { printable(&text) } else { printable(&format!("{text:?}")) };
            // Writing to a String cannot fail.
            let _ = write!(line, " {name}={text}");
        }
        line
    }

    /// Returns one line of JSON: `time`, `level`, `message`, and the fields.
    pub(super) fn json(self) -> String {
        let mut object = Map::new();
        object.insert("time".into(), utc(wall()).into());
        object.insert("level".into(), self.level.as_str().into());
        object.insert("message".into(), self.message.into());
        for (name, value) in self.fields {
            // The three above are taken.
            let name = if object.contains_key(name) { format!("{name}_") } else { name.to_owned() };
            object.insert(name, value);
        }
        format!("{}\n", Value::Object(object))
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

/// Returns a value without the quotes of JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Number::from_f64(value).map_or(Value::Null, Value::Number));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_split_at_blanks_and_an_object_parsed() {
        let record = || Record {
            level: Level::WARN,
            message: "push ended".into(),
            fields: vec![
                ("name", "Windows Server".into()),
                ("bytes", 7.into()),
                ("level", "x".into()),
                ("path", "a\u{1b}[2J".into()),
                ("empty", "".into()),
            ],
        };
        assert_eq!(
            record().text(),
            "push ended name=\"Windows Server\" bytes=7 level=x path=a?[2J empty=\"\""
        );
        let json = record().json();
        assert!(json.ends_with("}\n") && json.lines().count() == 1, "{json}");
        let object: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&object["level"], &object["level_"]), (&"WARN".into(), &"x".into()));
        assert_eq!((&object["bytes"], &object["message"]), (&7.into(), &"push ended".into()));
    }
}
