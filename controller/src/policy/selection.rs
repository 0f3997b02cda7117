//! What a policy selects: images of Glance, hosts of Nova.

use std::collections::BTreeSet;

use glancecast_proto::ids::HostName;

use super::names::ImageId;

/// Which images are wanted. Only active ones are; of the fields that are given, an image matches all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSelection {
    /// These images and no others.
    Ids(BTreeSet<ImageId>),
    /// Those that match a description.
    Matching(ImagePattern),
}

/// A description of images. An empty set or `None` describes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePattern {
    /// Tags; the image has all of them.
    pub tags: BTreeSet<String>,
    /// Names; the image has one of them.
    pub names: BTreeSet<String>,
    /// Its visibility.
    pub visibility: Option<Visibility>,
    /// How many of the images that match.
    pub newest: Option<Newest>,
}

/// The newest images, by the time at which Glance has created them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// How many.
    pub count: u32,
    /// Of which images.
    pub among: Among,
}

/// Among which images the newest are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Among all that match.
    All,
    /// Among those of each name: `newest_by = "name"`.
    EachName,
}

/// Who may use an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// Everybody, and it is in everybody's list.
    Public,
    /// Everybody who knows its id.
    Community,
    /// Its project, and those that it is shared with. Glance's default.
    Shared,
    /// Its project.
    Private,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Public, Self::Community, Self::Shared, Self::Private];

    /// The word of Glance.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Community => "community",
            Self::Shared => "shared",
            Self::Private => "private",
        }
    }
}

/// On which hosts images are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSelection {
    /// Where they are found.
    pub of: HostsOf,
    /// Hosts that are left out.
    pub exclude: BTreeSet<HostName>,
    /// Whether hosts that are disabled in Nova are served and counted as the others are: a host that is warmed up before it
    /// is enabled. A host that is down never is.
    pub disabled: DisabledHosts,
}

/// The hosts of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostsOf {
    /// All that Nova has; without Nova, all of the group that answer.
    All,
    /// Those in any of these.
    Any {
        /// Aggregates of Nova.
        aggregates: BTreeSet<String>,
        /// Availability zones.
        zones: BTreeSet<String>,
        /// Names.
        names: BTreeSet<HostName>,
    },
}

/// What becomes of hosts that an administrator has disabled in Nova.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledHosts {
    /// They are neither served nor counted.
    LeftOut,
    /// They are as others.
    Included,
}
