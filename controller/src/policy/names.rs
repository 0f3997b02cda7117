//! The names that policies speak of: policies, groups, images.

use std::fmt;

use glancecast_proto::ids::is_image_id;

use super::limits::NAME_MAX;

/// The name of a policy: letters, digits, `.`, `-`, `_`, at most [`NAME_MAX`] bytes, because it is a part of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    /// Returns the name, or `None` for a text that is none.
    pub fn new(text: &str) -> Option<Self> {
        is_plain(text).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A multicast group, by the profile of `glancecast.toml` that has its settings. One push at a time is multicast in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Option<Box<str>>);

impl Group {
    /// Returns the group of a profile, or `None` for a text that is no name of one.
    pub fn of_profile(name: &str) -> Option<Self> {
        is_plain(name).then(|| Self(Some(name.into())))
    }

    /// The profile; `None` is what `glancecast.toml` has outside of profiles.
    pub fn profile(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.profile().unwrap_or("default"))
    }
}

/// The id of an image in Glance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(Box<str>);

impl ImageId {
    /// Returns the id, or `None` for a text that is no UUID as Glance prints it.
    pub fn new(text: &str) -> Option<Self> {
        is_image_id(text).then(|| Self(text.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(allowed) && !text.starts_with(['.', '-'])
}

/// Each is written as its text.
macro_rules! serialized_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialized_as_text!(PolicyName, Group, ImageId);
