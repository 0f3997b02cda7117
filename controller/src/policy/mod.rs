//! Policies: which images should be on which hosts.
//!
//! ```text
//! [[policy]]                                  # policies.d/golden.toml, or the same fields as JSON by the API
//! name   = "golden-on-gpu"
//! images = { tag = "golden", visibility = "public", newest_by = "name", newest = 2 }
//! hosts  = { aggregate = "gpu", state = "up" }
//! window = "22:00-06:00 Europe/Berlin"
//! ```
//!
//! A text becomes a tree (`node.rs`), the tree a [`Policy`] or all of its mistakes (`read.rs`), each with its file and line.
//! Nothing is taken that a person may have meant otherwise: unknown fields, fields that are there twice, and
//! contradictions are refused. Pure: texts, not files, are arguments.

pub mod limits;
mod mistake;
mod names;
mod node;
mod quantity;
mod read;
mod reader;
mod selection;
mod set;
mod window;
mod write;

use glancecast_platform::units::RateChoice;

pub use mistake::{Mistake, Mistakes, Place};
pub use names::{Group, ImageId, PolicyName};
pub use quantity::{Quorum, Size};
pub use read::{parse_file, parse_json};
pub use selection::{
    Among, DisabledHosts, HostSelection, HostsOf, ImagePattern, ImageSelection, Newest, Visibility,
};
pub use set::{Listed, Policies};
pub use window::Window;
pub(crate) use write::rate_text;

/// Images that are wanted on hosts, and how they get there.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name, which no other policy has.
    pub name: PolicyName,
    /// The images.
    pub images: ImageSelection,
    /// The hosts.
    pub hosts: HostSelection,
    /// The multicast group in which the hosts are: `profile`.
    pub group: Group,
    /// The hours in which pushes may begin; `None`: always. A push that runs when the window closes goes on.
    pub window: Option<Window>,
    /// The rate of its pushes; `None`: as the settings of `glancecast` say.
    pub rate: Option<RateChoice>,
    /// The longest image that is pushed. Longer ones are reported.
    pub max_image: Size,
    /// Pushes of a higher priority go first, from -100 to 100.
    pub priority: i32,
    /// What becomes of images that the policy has placed and does not want any more.
    pub remove: Remove,
    /// The share of its hosts that have to hold an image before older ones are let go. Below it the policy needs attention.
    pub quorum: Quorum,
    /// What one plan may write without approval.
    pub guard: Guard,
}

/// What becomes of images that a policy has placed and does not want any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// They stay.
    Keep,
    /// The pin that the policy's push has set is ended, and the host's own rules decide.
    Unpin,
}

/// What one plan of a policy may write without approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Hosts.
    pub hosts: u32,
    /// Bytes on all hosts together.
    pub bytes: Size,
}
