//! TOML and JSON as one tree, with the lines of TOML. A name that a table has twice is refused by both parsers.

use std::fmt;

use glancecast_proto::wire::printable;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value, and the line on which it stands, if that is known.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: Option<usize>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Switch(bool),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// A value of a kind that no field has.
    Other,
}

/// A text that is not TOML or not JSON: the line and the reason.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) line: Option<usize>,
    pub(super) reason: String,
}

/// Parses TOML. The depth of a document is bounded by the parser.
pub(super) fn of_toml(text: &str) -> Result<Node, Malformed> {
    let table = DeTable::parse(text).map_err(|error| Malformed {
        line: error.span().map(|span| line_at(text, span.start)),
        reason: format!("is not TOML: {}", printable(error.message().lines().next().unwrap_or_default())),
    })?;
    Ok(Node { line: None, value: of_table(text, table.get_ref()) })
}

/// Parses JSON. The depth of a document is bounded by the parser.
pub(super) fn of_json(bytes: &[u8]) -> Result<Node, Malformed> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = (error.line() > 0).then_some(error.line());
        let text = printable(&error.to_string());
        let reason = if error.is_data() { text } else { format!("is not JSON: {text}") };
        Malformed { line, reason }
    })
}

fn of_table(text: &str, table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        let node =
            Node { line: Some(line_at(text, key.span().start)), value: of_value(text, value.get_ref()) };
        (key.get_ref().to_string(), node)
    };
    Value::Table(table.iter().map(entry).collect())
}

fn of_value(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(value) => Value::Text(value.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
        }
        DeValue::Boolean(is_on) => Value::Switch(*is_on),
        DeValue::Array(items) => {
            let item = |item: &Spanned<DeValue<'_>>| Node {
                line: Some(line_at(text, item.span().start)),
                value: of_value(text, item.get_ref()),
            };
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(table) => of_table(text, table),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    }
}

/// Returns the number of the line in which a byte is.
fn line_at(text: &str, at: usize) -> usize {
    text[..text.floor_char_boundary(at)].matches('\n').count() + 1
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(|value| Self { line: None, value })
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<Value, E> {
        Ok(Value::Switch(is_on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table: Vec<(String, Node)> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some((name, value)) = entries.next_entry::<String, Node>()? {
            if !names.insert(name.clone()) {
                return Err(de::Error::custom(format!("the field {:?} is there twice", printable(&name))));
            }
            table.push((name, value));
        }
        Ok(Value::Table(table))
    }
}
