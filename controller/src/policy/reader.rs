//! Reads the fields of tables, and collects what is wrong with them.

use std::collections::BTreeSet;

use glancecast_proto::wire::printable;

use super::limits::{LIST_MAX, NAME_MAX};
use super::mistake::{Mistake, Mistakes, Place};
use super::node::{Node, Value};
use super::quantity::Size;

/// What has been wrong so far. Its methods return `None` for what is wrong, and go on, so that all mistakes are found.
pub(super) struct Reader<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) mistakes: Vec<Mistake>,
}

/// The fields of a table, by name.
pub(super) struct Fields<'a> {
    /// Where the table is, as in `policy "gpu": images`.
    path: String,
    line: Option<usize>,
    pub(super) entries: Vec<(&'a str, &'a Node)>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, node)| *node)
    }

    /// Returns the path of a field, or of the table for an empty name.
    pub(super) fn path(&self, name: &str) -> String {
        match (self.path.as_str(), name) {
            (path, "") => path.to_owned(),
            ("", name) => name.to_owned(),
            (path, name) if path.ends_with('"') => format!("{path}: {name}"),
            (path, name) => format!("{path}.{name}"),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: Option<&'a str>) -> Self {
        Self { file, mistakes: Vec::new() }
    }

    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, Mistakes> {
        match read {
            Some(read) if self.mistakes.is_empty() => Ok(read),
            _ => Err(Mistakes::new(self.mistakes)),
        }
    }

    pub(super) fn refuse<T>(
        &mut self,
        line: Option<usize>,
        field: &str,
        reason: impl Into<String>,
    ) -> Option<T> {
        let place = Place { file: self.file.map(str::to_owned), line };
        self.mistakes.push(Mistake { place, field: field.to_owned(), reason: reason.into() });
        None
    }

    /// Returns the fields of a table; unknown ones are mistakes.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: String, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Table(entries) = &node.value else {
            return self.refuse(node.line, &path, "write a table of fields, as in { name = \"value\" }");
        };
        let mut fields = Fields { path, line: node.line, entries: Vec::new() };
        for (name, value) in entries {
            match known.contains(&name.as_str()) {
                true => fields.entries.push((name, value)),
                false => {
                    let reason = format!("there is no such field; the fields are {}", known.join(", "));
                    let path = fields.path(&shown(name));
                    self.refuse::<()>(value.line, &path, reason);
                }
            }
        }
        Some(fields)
    }

    pub(super) fn required<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        match fields.get(name) {
            Some(node) => read(self, node, &fields.path(name)),
            None => self.refuse(fields.line, &fields.path(""), format!("{name} is missing")),
        }
    }

    pub(super) fn optional<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        fields.get(name).and_then(|node| read(self, node, &fields.path(name)))
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => self.refuse(node.line, path, "write a text in quotes"),
        }
    }

    pub(super) fn parsed<T, E: Into<String>>(
        &mut self,
        node: &Node,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, path)?;
        parse(text).map_or_else(|error| self.refuse(node.line, path, error), Some)
    }

    pub(super) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(*value),
            None => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                self.refuse(node.line, path, format!("write {}", words.join(" or ")))
            }
        }
    }

    pub(super) fn size(&mut self, node: &Node, path: &str, max: u64) -> Option<Size> {
        let size: Size = self.parsed(node, path, str::parse)?;
        match size.0 {
            0 => {
                self.refuse(node.line, path, "a size of 0 lets nothing through: leave the policy out instead")
            }
            bytes if bytes > max => self.refuse(node.line, path, format!("is at most {}", Size(max))),
            _ => Some(size),
        }
    }

    pub(super) fn number(&mut self, node: &Node, path: &str, min: i64, max: i64) -> Option<i64> {
        match node.value {
            Value::Integer(number) if (min..=max).contains(&number) => Some(number),
            _ => self.refuse(
                node.line,
                path,
                format!("write a whole number from {min} to {max}, without quotes"),
            ),
        }
    }

    pub(super) fn switch(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Switch(is_on) => Some(is_on),
            _ => self.refuse(node.line, path, "write true or false, without quotes"),
        }
    }

    /// Reads one text or a list of texts. Each is there once.
    pub(super) fn set<T: Ord, E: Into<String>>(
        &mut self,
        node: &Node,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<BTreeSet<T>> {
        let items = match &node.value {
            Value::List(items) if items.is_empty() => {
                return self.refuse(node.line, path, "the list is empty: leave the field out");
            }
            Value::List(items) if items.len() > LIST_MAX => {
                return self.refuse(node.line, path, format!("the list has at most {LIST_MAX} items"));
            }
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(node),
            _ => return self.refuse(node.line, path, "write a text in quotes, or several: [\"a\", \"b\"]"),
        };
        let mut set = BTreeSet::new();
        for item in items {
            if !set.insert(self.parsed(item, path, &parse)?) {
                return self.refuse(item.line, path, "an item is there twice");
            }
        }
        Some(set)
    }
}

/// Returns what of a text fits a message.
pub(super) fn shown(text: &str) -> String {
    printable(&text[..text.floor_char_boundary(NAME_MAX)])
}
