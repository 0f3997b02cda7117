//! A tree becomes policies, or all of its mistakes.

use std::collections::BTreeSet;
use std::str::FromStr;

use glancecast_platform::units::RateChoice;
use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::unfold;
use glancecast_proto::wire::printable;

use super::limits::{
    GUARD_BYTES_DEFAULT, GUARD_BYTES_MAX, GUARD_HOSTS_DEFAULT, HOSTS_PER_POLICY_MAX, IMAGE_BYTES_MAX,
    NAME_MAX, NEWEST_MAX, POLICIES_MAX, POLICY_BYTES_MAX, PRIORITY_MAX, QUORUM_DEFAULT, TEXT_MAX,
};
use super::mistake::{Mistakes, Place};
use super::names::{Group, ImageId, PolicyName};
use super::node::{self, Malformed, Node, Value};
use super::quantity::{Quorum, Size};
use super::reader::{Reader, shown};
use super::selection::{
    Among, DisabledHosts, HostSelection, HostsOf, ImagePattern, ImageSelection, Newest, Visibility,
};
use super::set::Listed;
use super::{Guard, Policy, Remove};

/// Parses a file of policies: TOML with a `[[policy]]` for each.
///
/// # Errors
/// All mistakes, each with the file, the line and the reason.
pub fn parse_file(file: &str, text: &str) -> Result<Vec<Listed>, Mistakes> {
    let mut reader = Reader::new(Some(file));
    let policies = match text.len() {
        0..=POLICY_BYTES_MAX => reader.file(text),
        _ => reader.refuse(None, "", format!("a file of policies is at most {POLICY_BYTES_MAX} bytes long")),
    };
    reader.finish(policies)
}

/// Parses a policy that the API receives: a JSON object with the fields of a `[[policy]]`.
///
/// # Errors
/// All mistakes, each with the field and the reason.
pub fn parse_json(body: &[u8]) -> Result<Policy, Mistakes> {
    let mut reader = Reader::new(None);
    let policy = match body.len() {
        0..=POLICY_BYTES_MAX => match node::of_json(body) {
            Ok(node) => reader.policy(&node),
            Err(Malformed { line, reason }) => reader.refuse(line, "", reason),
        },
        _ => reader.refuse(None, "", format!("a policy is at most {POLICY_BYTES_MAX} bytes long")),
    };
    reader.finish(policy)
}

impl Reader<'_> {
    fn file(&mut self, text: &str) -> Option<Vec<Listed>> {
        let root = match node::of_toml(text) {
            Ok(root) => root,
            Err(Malformed { line, reason }) => return self.refuse(line, "", reason),
        };
        let fields = self.fields(&root, String::new(), &["policy"])?;
        let Some(list) = fields.get("policy") else {
            return self.refuse(None, "", "has no policy: each begins with [[policy]]");
        };
        let Value::List(items) = &list.value else {
            return self.refuse(list.line, "", "a policy begins with [[policy]], in two pairs of brackets");
        };
        if items.len() > POLICIES_MAX {
            return self.refuse(list.line, "", format!("there are at most {POLICIES_MAX} policies"));
        }
        let policies = items.iter().filter_map(|item| self.listed(item)).collect();
        Some(policies)
    }

    fn listed(&mut self, node: &Node) -> Option<Listed> {
        let policy = self.policy(node)?;
        Some(Listed { policy, place: Place { file: self.file.map(str::to_owned), line: node.line } })
    }

    fn policy(&mut self, node: &Node) -> Option<Policy> {
        const FIELDS: [&str; 11] = [
            "name",
            "images",
            "hosts",
            "profile",
            "window",
            "rate",
            "max_image",
            "priority",
            "remove",
            "quorum",
            "guard",
        ];
        let named = match &node.value {
            Value::Table(entries) => entries.iter().find_map(|(key, node)| match &node.value {
                Value::Text(name) if key == "name" => Some(format!("policy {:?}", shown(name))),
                _ => None,
            }),
            _ => None,
        };
        let fields = self.fields(node, named.unwrap_or_default(), &FIELDS)?;
        let before = self.mistakes.len();

        let name = self.required(&fields, "name", |reader, node, path| {
            reader.parsed(node, path, |text| PolicyName::new(text).ok_or_else(name_form))
        });
        let images = self.required(&fields, "images", Self::images);
        let hosts = self.required(&fields, "hosts", Self::hosts);
        let group = self.optional(&fields, "profile", |reader, node, path| {
            reader.parsed(node, path, |text| Group::of_profile(text).ok_or_else(name_form))
        });
        let window =
            self.optional(&fields, "window", |reader, node, path| reader.parsed(node, path, str::parse));
        let rate = self.optional(&fields, "rate", |reader, node, path| {
            reader.parsed(node, path, |text| text.parse::<RateChoice>().map_err(|error| error.to_string()))
        });
        let max_image = self
            .optional(&fields, "max_image", |reader, node, path| reader.size(node, path, IMAGE_BYTES_MAX));
        let priority = self.optional(&fields, "priority", |reader, node, path| {
            reader.number(node, path, -PRIORITY_MAX, PRIORITY_MAX)
        });
        let remove = self.optional(&fields, "remove", |reader, node, path| {
            reader.word(node, path, &[("keep", Remove::Keep), ("unpin", Remove::Unpin)])
        });
        let quorum = self
            .optional(&fields, "quorum", |reader, node, path| reader.parsed(node, path, Quorum::from_str));
        let guard = self.optional(&fields, "guard", Self::guard);
        if self.mistakes.len() > before {
            return None;
        }
        Some(Policy {
            name: name?,
            images: images?,
            hosts: hosts?,
            group: group.unwrap_or_default(),
            window,
            rate,
            max_image: max_image.unwrap_or(Size(IMAGE_BYTES_MAX)),
            priority: priority.map_or(0, |priority| priority as i32),
            remove: remove.unwrap_or(Remove::Keep),
            quorum: quorum.or(Quorum::from_hundredths(QUORUM_DEFAULT)).expect("a share"),
            guard: guard.unwrap_or_default(),
        })
    }

    fn images(&mut self, node: &Node, path: &str) -> Option<ImageSelection> {
        let fields =
            self.fields(node, path.to_owned(), &["tag", "name", "id", "visibility", "newest", "newest_by"])?;
        let before = self.mistakes.len();
        let ids = self.optional(&fields, "id", |reader, node, path| {
            reader.set(node, path, |text| {
                ImageId::new(text).ok_or("is no id of Glance: write 8-4-4-4-12 lower-case hex digits")
            })
        });
        let tags = self.optional(&fields, "tag", |reader, node, path| reader.set(node, path, plain_text));
        let names = self.optional(&fields, "name", |reader, node, path| reader.set(node, path, plain_text));
        let visibility = self.optional(&fields, "visibility", |reader, node, path| {
            reader.word(node, path, &Visibility::ALL.map(|visibility| (visibility.as_str(), visibility)))
        });
        let newest = self.optional(&fields, "newest", |reader, node, path| {
            reader.number(node, path, 1, NEWEST_MAX as i64)
        });
        let newest_by = self.optional(&fields, "newest_by", |reader, node, path| {
            reader.word(node, path, &[("name", Among::EachName)])
        });
        if self.mistakes.len() > before {
            return None;
        }
        let describes = tags.is_some() || names.is_some() || visibility.is_some();
        if let Some(ids) = ids {
            return match describes || newest.is_some() || newest_by.is_some() {
                true => self.refuse(node.line, path, "id names the images: no other field goes with it"),
                false => Some(ImageSelection::Ids(ids)),
            };
        }
        if !describes {
            return self.refuse(node.line, path, "give at least one of tag, name, id and visibility");
        }
        let newest = match (newest, newest_by) {
            (None, Some(_)) => {
                return self.refuse(
                    node.line,
                    path,
                    "newest_by needs newest, the number of images of each name",
                );
            }
            (None, None) => None,
            (Some(count), among) => Some(Newest { count: count as u32, among: among.unwrap_or(Among::All) }),
        };
        let (tags, names) = (tags.unwrap_or_default(), names.unwrap_or_default());
        Some(ImageSelection::Matching(ImagePattern { tags, names, visibility, newest }))
    }

    fn hosts(&mut self, node: &Node, path: &str) -> Option<HostSelection> {
        const FIELDS: [&str; 7] =
            ["aggregate", "availability_zone", "names", "all", "exclude", "state", "include_disabled"];
        let fields = self.fields(node, path.to_owned(), &FIELDS)?;
        let before = self.mistakes.len();
        let aggregates =
            self.optional(&fields, "aggregate", |reader, node, path| reader.set(node, path, plain_text));
        let zones = self
            .optional(&fields, "availability_zone", |reader, node, path| reader.set(node, path, plain_text));
        let names = self.optional(&fields, "names", Self::host_names);
        let all = self.optional(&fields, "all", Self::switch);
        let exclude = self.optional(&fields, "exclude", Self::host_names);
        self.optional(&fields, "state", |reader, node, path| reader.word(node, path, &[("up", ())]));
        let disabled = self.optional(&fields, "include_disabled", Self::switch);
        if self.mistakes.len() > before {
            return None;
        }
        let some = aggregates.is_some() || zones.is_some() || names.is_some();
        let of = match (all, some) {
            (Some(false), false) | (None, false) => {
                return self.refuse(
                    node.line,
                    path,
                    "give at least one of aggregate, availability_zone, names and all",
                );
            }
            (Some(true), true) => {
                return self.refuse(
                    node.line,
                    path,
                    "all = true means every host: no aggregate, zone or name goes with it",
                );
            }
            (Some(true), false) => HostsOf::All,
            (_, true) => HostsOf::Any {
                aggregates: aggregates.unwrap_or_default(),
                zones: zones.unwrap_or_default(),
                names: names.unwrap_or_default(),
            },
        };
        let exclude = exclude.unwrap_or_default();
        if let HostsOf::Any { names, .. } = &of
            && let Some(both) = names.intersection(&exclude).next()
        {
            return self.refuse(node.line, path, format!("{both} is in names and in exclude"));
        }
        let disabled = if disabled == Some(true) { DisabledHosts::Included } else { DisabledHosts::LeftOut };
        Some(HostSelection { of, exclude, disabled })
    }

    fn guard(&mut self, node: &Node, path: &str) -> Option<Guard> {
        let fields = self.fields(node, path.to_owned(), &["hosts", "size"])?;
        if fields.entries.is_empty() {
            return self.refuse(node.line, path, "give hosts or size, or both");
        }
        let before = self.mistakes.len();
        let hosts = self.optional(&fields, "hosts", |reader, node, path| {
            reader.number(node, path, 1, HOSTS_PER_POLICY_MAX as i64)
        });
        let bytes =
            self.optional(&fields, "size", |reader, node, path| reader.size(node, path, GUARD_BYTES_MAX));
        let default = Guard::default();
        let guard =
            Guard { hosts: hosts.map_or(default.hosts, |n| n as u32), bytes: bytes.unwrap_or(default.bytes) };
        (self.mistakes.len() == before).then_some(guard)
    }

    /// Reads names of hosts: folded ranges with commas between them, or a list of such texts.
    fn host_names(&mut self, node: &Node, path: &str) -> Option<BTreeSet<HostName>> {
        let ranges =
            self.set(node, path, |text| unfold(text).map_err(|error| printable(&error.to_string())))?;
        let mut names = BTreeSet::new();
        for name in ranges.into_iter().flatten() {
            if !names.insert(name.clone()) {
                return self.refuse(node.line, path, format!("{name} is there twice"));
            }
        }
        match names.len() {
            0..=HOSTS_PER_POLICY_MAX => Some(names),
            _ => self.refuse(node.line, path, format!("there are at most {HOSTS_PER_POLICY_MAX} names")),
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self { hosts: GUARD_HOSTS_DEFAULT as u32, bytes: Size(GUARD_BYTES_DEFAULT) }
    }
}

/// Checks a tag, or a name in Glance or Nova.
fn plain_text(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("a text cannot be empty".to_owned()),
        1..=TEXT_MAX => Ok(text.to_owned()),
        _ => Err(format!("a text has at most {TEXT_MAX} characters")),
    }
}

fn name_form() -> String {
    format!(
        "a name has letters, digits, '.', '-' and '_', and at most {NAME_MAX} of them; it begins with no '.' or '-'"
    )
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
