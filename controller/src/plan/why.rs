//! The state of an image on a host, with the reason. The reason determines the class, so that each host is in exactly one.

use std::fmt;

use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use serde::{Serialize, Serializer};

use super::actual::{By, PushId};
use super::shown;
use crate::policy::Size;

/// How an image and a host stand to each other, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The host runs no instances of images. It is not counted.
    Ineligible,
    /// The host is disabled in Nova. It is not counted.
    Disabled,
    /// The host is down in Nova. It is not counted.
    Down,
    /// The host holds the image.
    Holding,
    /// A push that brings it runs, or begins with this plan.
    Coming,
    /// The host lacks it, and a push will bring it.
    Lacking,
    /// What the host holds is not known.
    Unknown,
    /// The host lacks it, and the last push did not bring it. Another one will be tried.
    Failing,
    /// The host lacks it, and it is not pushed until something changes.
    Refused,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 9] = [
        Self::Ineligible,
        Self::Disabled,
        Self::Down,
        Self::Holding,
        Self::Coming,
        Self::Lacking,
        Self::Unknown,
        Self::Failing,
        Self::Refused,
    ];

    /// Whether a host of this class counts for the quorum.
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Ineligible | Self::Disabled | Self::Down)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ineligible => "ineligible",
            Self::Disabled => "disabled",
            Self::Down => "down",
            Self::Holding => "holding",
            Self::Coming => "coming",
            Self::Lacking => "lacking",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
            Self::Refused => "refused",
        }
    }
}

/// Why a host is in its class.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It is not eligible, for this reason.
    Ineligible(String),
    /// Nova has it disabled, for this reason.
    Disabled(Option<String>),
    /// Nova does not hear it.
    Down,
    /// It holds the image.
    Holds,
    /// Its policy wants no image.
    NothingWanted,
    /// A push runs.
    InPush(PushId),
    /// This plan begins a push.
    Begins,
    /// The policy's plan needs approval.
    Approval,
    /// A push of the image was cancelled, and rests.
    Cancelled {
        /// By whom.
        by: By,
        /// Until then.
        until: WallClock,
    },
    /// The policy's window is closed.
    Window {
        /// When it opens; `None` if it does not within days.
        opens: Option<WallClock>,
    },
    /// The host takes part in another push.
    Busy(PushId),
    /// A push of the image to other hosts runs.
    SameImage(PushId),
    /// Other pushes of the group come first.
    Queue {
        /// How many wait before it.
        ahead: usize,
    },
    /// It has never answered.
    NeverHeard,
    /// It has not answered lately.
    NotHeardSince(WallClock),
    /// Its answers do not count, for this reason.
    Trouble(String),
    /// It has failed with the image.
    HostFailed {
        /// How often in a row.
        times: u32,
        /// The last cause.
        reason: String,
        /// When it is tried again.
        again: WallClock,
    },
    /// The push has failed for all hosts.
    PushFailed {
        /// How often in a row.
        times: u32,
        /// The last cause.
        reason: String,
        /// When it is tried again.
        again: WallClock,
    },
    /// It holds other bytes under the image's id, and a published file is never replaced.
    OtherContent(Root),
    /// The image cannot be pushed, for this reason.
    Obstacle(String),
    /// The image is longer than the policy's `max_image`.
    TooLong {
        /// Its length.
        size: Size,
        /// The limit.
        max: Size,
    },
    /// The host has less room than the image needs.
    NoRoom {
        /// Its room.
        free: u64,
        /// The length of the image.
        size: u64,
    },
}

impl Why {
    /// The class that the reason belongs to.
    pub const fn class(&self) -> Class {
        match self {
            Self::Ineligible(_) => Class::Ineligible,
            Self::Disabled(_) => Class::Disabled,
            Self::Down => Class::Down,
            Self::Holds | Self::NothingWanted => Class::Holding,
            Self::InPush(_) | Self::Begins => Class::Coming,
            Self::Approval
            | Self::Cancelled { .. }
            | Self::Window { .. }
            | Self::Busy(_)
            | Self::SameImage(_)
            | Self::Queue { .. } => Class::Lacking,
            Self::NeverHeard | Self::NotHeardSince(_) | Self::Trouble(_) => Class::Unknown,
            Self::HostFailed { .. } | Self::PushFailed { .. } => Class::Failing,
            Self::OtherContent(_) | Self::Obstacle(_) | Self::TooLong { .. } | Self::NoRoom { .. } => {
                Class::Refused
            }
        }
    }

    /// When time alone changes it.
    pub(super) const fn ends(&self) -> Option<WallClock> {
        match self {
            Self::Cancelled { until, .. } => Some(*until),
            Self::Window { opens } => *opens,
            Self::HostFailed { again, .. } | Self::PushFailed { again, .. } => Some(*again),
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ineligible(reason) | Self::Trouble(reason) | Self::Obstacle(reason) => f.write_str(reason),
            Self::Disabled(Some(reason)) if !reason.is_empty() => write!(f, "disabled in Nova: {reason}"),
            Self::Disabled(_) => f.write_str("disabled in Nova"),
            Self::Down => f.write_str("its nova-compute is down"),
            Self::Holds => f.write_str("holds the image"),
            Self::NothingWanted => f.write_str("the policy wants no image"),
            Self::InPush(push) => write!(f, "push {push} runs"),
            Self::Begins => f.write_str("a push begins"),
            Self::Approval => f.write_str("the plan needs approval: it is larger than the policy's guard"),
            Self::Cancelled { by: By::Person, until } => {
                write!(f, "a person has cancelled the push; it is tried again after {}", shown(*until))
            }
            Self::Cancelled { by: By::Policy, until } => {
                write!(f, "no policy wanted the image for a while; it is pushed after {}", shown(*until))
            }
            Self::Window { opens: Some(opens) } => write!(f, "the window opens at {}", shown(*opens)),
            Self::Window { opens: None } => f.write_str("the window does not open within days"),
            Self::Busy(push) => write!(f, "the host takes part in push {push}"),
            Self::SameImage(push) => write!(f, "waits for push {push} of the same image to other hosts"),
            Self::Queue { ahead: 0 } => f.write_str("the next push of the group brings it"),
            Self::Queue { ahead } => write!(f, "waits for the group, behind {ahead} other pushes"),
            Self::NeverHeard => {
                f.write_str("never answered: is glancecastd running there, with the group's key?")
            }
            Self::NotHeardSince(at) => write!(f, "last answered at {}", shown(*at)),
            Self::HostFailed { times, reason, again } => {
                write!(f, "failed {times} times, tried again after {}: {reason}", shown(*again))
            }
            Self::PushFailed { times, reason, again } => {
                write!(f, "the push failed {times} times, tried again after {}: {reason}", shown(*again))
            }
            Self::OtherContent(root) => {
                write!(
                    f,
                    "holds other bytes under this image's id (BLAKE3 {root}), and files are never replaced: see glancecast remove"
                )
            }
            Self::TooLong { size, max } => write!(f, "the image has {size}, and max_image is {max}"),
            Self::NoRoom { free, size } => write!(f, "has {free} bytes free, and the image has {size}"),
        }
    }
}

/// An object of `state` and `reason`.
impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row {
            state: Class,
            reason: String,
            until_ms: Option<u64>,
        }
        let until_ms = self.ends().map(|WallClock(ms)| ms);
        Row { state: self.class(), reason: self.to_string(), until_ms }.serialize(serializer)
    }
}
