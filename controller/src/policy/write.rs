//! A policy as its fields. What is written here is read again as the same policy, from JSON and from TOML.

use glancecast_platform::units::RateChoice;
use glancecast_proto::ranges::fold;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::selection::{Among, DisabledHosts, HostSelection, HostsOf, ImageSelection};
use super::{Policy, Remove};

impl Serialize for Policy {
    /// All fields that have a value, defaults included. Tables come last, as in a file.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", self.name.as_str())?;
        if let Some(profile) = self.group.profile() {
            map.serialize_entry("profile", profile)?;
        }
        if let Some(window) = &self.window {
            map.serialize_entry("window", &window.to_string())?;
        }
        if let Some(rate) = self.rate {
            map.serialize_entry("rate", &rate_text(rate))?;
        }
        map.serialize_entry("max_image", &self.max_image.to_string())?;
        map.serialize_entry("priority", &self.priority)?;
        let remove = match self.remove {
            Remove::Keep => "keep",
            Remove::Unpin => "unpin",
        };
        map.serialize_entry("remove", remove)?;
        map.serialize_entry("quorum", &self.quorum.to_string())?;
        map.serialize_entry("images", &images(&self.images))?;
        map.serialize_entry("hosts", &hosts(&self.hosts))?;
        let guard = json!({"hosts": self.guard.hosts, "size": self.guard.bytes.to_string()});
        map.serialize_entry("guard", &guard)?;
        map.end()
    }
}

fn images(selection: &ImageSelection) -> Value {
    let mut fields = Map::new();
    match selection {
        ImageSelection::Ids(ids) => add(&mut fields, "id", ids.iter().map(|id| id.as_str())),
        ImageSelection::Matching(pattern) => {
            add(&mut fields, "tag", pattern.tags.iter().map(String::as_str));
            add(&mut fields, "name", pattern.names.iter().map(String::as_str));
            if let Some(visibility) = pattern.visibility {
                fields.insert("visibility".into(), visibility.as_str().into());
            }
            if let Some(newest) = pattern.newest {
                fields.insert("newest".into(), newest.count.into());
                if newest.among == Among::EachName {
                    fields.insert("newest_by".into(), "name".into());
                }
            }
        }
    }
    Value::Object(fields)
}

fn hosts(selection: &HostSelection) -> Value {
    let mut fields = Map::new();
    match &selection.of {
        HostsOf::All => drop(fields.insert("all".into(), true.into())),
        HostsOf::Any { aggregates, zones, names } => {
            add(&mut fields, "aggregate", aggregates.iter().map(String::as_str));
            add(&mut fields, "availability_zone", zones.iter().map(String::as_str));
            if !names.is_empty() {
                fields.insert("names".into(), fold(names).into());
            }
        }
    }
    if !selection.exclude.is_empty() {
        fields.insert("exclude".into(), fold(&selection.exclude).into());
    }
    fields.insert("state".into(), "up".into());
    if selection.disabled == DisabledHosts::Included {
        fields.insert("include_disabled".into(), true.into());
    }
    Value::Object(fields)
}

/// Adds one text, or a list of several.
fn add<'a>(fields: &mut Map<String, Value>, name: &str, texts: impl Iterator<Item = &'a str>) {
    let mut texts: Vec<Value> = texts.map(Value::from).collect();
    match texts.len() {
        0 => {}
        1 => drop(fields.insert(name.into(), texts.remove(0))),
        _ => drop(fields.insert(name.into(), texts.into())),
    }
}

/// Returns a rate as `--rate` takes it.
pub(crate) fn rate_text(rate: RateChoice) -> String {
    match rate {
        RateChoice::Fixed(rate) => format!("{}bit", rate.bits()),
        RateChoice::Auto => "auto".to_owned(),
        RateChoice::AutoUpTo(rate) => format!("auto:{}bit", rate.bits()),
    }
}
