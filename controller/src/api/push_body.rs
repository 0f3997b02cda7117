//! What clients send to ask for a push or a job, and its checks. Pure.

use glancecast_platform::units::{RateChoice, parse_duration};
use glancecast_sender::request::HostList;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiError;
use crate::limits::{AGGREGATES_MAX, IMAGES_PER_PUSH_MAX, PRIORITY_MAX};
use crate::model::{HostChoice, PushRequest, Reach};

/// The body of `POST /v1/pushes`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatePush {
    /// The images, pushed one after the other: an id or a name in Glance, `tag:NAME` for the active images with this tag, or
    /// `file:NAME` for a file of the controller's directory of images.
    pub images: Vec<String>,
    /// The hosts that the images are for.
    pub hosts: Hosts,
    /// A profile of the controller's settings: the group that the push goes to.
    #[serde(default)]
    pub profile: Option<String>,
    /// The rate, as in `2gbit` or `auto:5gbit`.
    #[serde(default)]
    pub rate: Option<String>,
    /// The longest time of an image, as in `10m`.
    #[serde(default)]
    pub timeout: Option<String>,
    /// How long hosts keep the images: `7d`, or `forever`.
    #[serde(default)]
    pub pin: Option<String>,
    /// From -100 to 100: the highest is pushed first.
    #[serde(default)]
    pub priority: i64,
    /// Whether Nova is made to run its own call on the aggregates at the end, to confirm the copies.
    #[serde(default)]
    pub confirm: bool,
    /// Whether nothing is sent: the push ends with its plan.
    #[serde(default)]
    pub dry_run: bool,
}

/// The hosts that something is for: one of `all`, `names`, or aggregates and zones.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hosts {
    /// Every host of the group; none has to answer.
    #[serde(default)]
    pub all: bool,
    /// Names and folded ranges, as in `compute-[1-40],!compute-7`.
    #[serde(default)]
    pub names: Option<OneOrMore>,
    /// The hosts of these aggregates of Nova, except those that are disabled or down.
    #[serde(default, alias = "aggregates")]
    pub aggregate: Option<OneOrMore>,
    /// The hosts of these availability zones.
    #[serde(default, alias = "availability_zones")]
    pub availability_zone: Option<OneOrMore>,
    /// Hosts that are left out of them.
    #[serde(default)]
    pub exclude: Option<OneOrMore>,
}

/// A text, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(list) => list,
        }
    }
}

impl CreatePush {
    /// Checks everything that needs no cloud.
    ///
    /// # Errors
    /// 400
    pub(super) fn check(self) -> Result<(Vec<String>, PushRequest), ApiError> {
        let bad = |detail: String| ApiError::bad_request("bad-push", detail);
        if self.images.is_empty() || self.images.len() > IMAGES_PER_PUSH_MAX {
            return Err(bad(format!("images: give from 1 to {IMAGES_PER_PUSH_MAX}")));
        }
        if let Some(odd) =
            self.images.iter().find(|image| image.is_empty() || image.len() > REFERENCE_BYTES_MAX)
        {
            return Err(bad(format!("images: {:?} is no image", odd.chars().take(80).collect::<String>())));
        }
        if self.priority.abs() > PRIORITY_MAX {
            return Err(bad(format!("priority: from -{PRIORITY_MAX} to {PRIORITY_MAX}")));
        }
        if let Some(rate) = &self.rate {
            rate.parse::<RateChoice>().map_err(|error| bad(format!("rate: {error}")))?;
        }
        if let Some(timeout) = &self.timeout {
            parse_duration(timeout).map_err(|error| bad(format!("timeout: {error}")))?;
        }
        if let Some(pin) = self.pin.as_deref().filter(|pin| *pin != "forever") {
            parse_duration(pin).map_err(|error| bad(format!("pin: {error}; or write forever")))?;
        }
        let (hosts, exclude) = self.hosts.check()?;
        let is_aggregate = matches!(&hosts, HostChoice::Nova { aggregates, .. } if !aggregates.is_empty());
        if self.confirm && !is_aggregate {
            return Err(bad(
                "confirm: Nova confirms the hosts of an aggregate; name one in hosts.aggregate".into()
            ));
        }
        let request = PushRequest {
            hosts,
            exclude,
            reach: Reach::AsSet,
            rate: self.rate,
            timeout: self.timeout,
            pin: self.pin,
            confirm: self.confirm,
            dry_run: self.dry_run,
            placed_for: Default::default(),
        };
        Ok((self.images, request))
    }
}

impl Hosts {
    /// Returns the hosts that are meant and those that are left out.
    ///
    /// # Errors
    /// 400
    pub(super) fn check(self) -> Result<(HostChoice, Vec<String>), ApiError> {
        let bad = |detail: String| ApiError::bad_request("bad-hosts", detail);
        let Self { all, names, aggregate, availability_zone, exclude } = self;
        let in_nova = aggregate.is_some() || availability_zone.is_some();
        let exclude = match exclude {
            Some(exclude) => expand("exclude", exclude)?,
            None => Vec::new(),
        };
        let choice = match (all, names, in_nova) {
            (true, None, false) => HostChoice::All,
            (false, Some(names), false) => {
                let names = expand("names", names)?;
                match names.is_empty() {
                    true => return Err(bad("hosts.names: no host is left".into())),
                    false => HostChoice::Names(names),
                }
            }
            (false, None, true) => {
                let aggregates = aggregate.map(OneOrMore::list).unwrap_or_default();
                let zones = availability_zone.map(OneOrMore::list).unwrap_or_default();
                let count = aggregates.len() + zones.len();
                let is_odd = |name: &String| name.is_empty() || name.len() > REFERENCE_BYTES_MAX;
                if count == 0 || count > AGGREGATES_MAX || aggregates.iter().chain(&zones).any(is_odd) {
                    return Err(bad(format!("hosts: name from 1 to {AGGREGATES_MAX} aggregates and zones")));
                }
                HostChoice::Nova { aggregates, zones }
            }
            _ => {
                let detail = "hosts: give one of all, names, or aggregate and availability_zone";
                return Err(bad(detail.into()));
            }
        };
        Ok((choice, exclude))
    }
}

/// Returns the names of folded ranges.
fn expand(member: &str, lists: OneOrMore) -> Result<Vec<String>, ApiError> {
    let bad = |detail: String| ApiError::bad_request("bad-hosts", format!("hosts.{member}: {detail}"));
    let mut all = HostList::default();
    for text in lists.list() {
        let list: HostList = text.parse().map_err(|error| bad(format!("{error}")))?;
        // A client must not have the controller read its files.
        if !list.files.is_empty() || !list.except_files.is_empty() {
            return Err(bad("a file is no host; write the names".into()));
        }
        all.add(list).map_err(|error| bad(error.to_string()))?;
    }
    Ok(all.names().iter().map(ToString::to_string).collect())
}

/// Glance's names have 255 characters.
const REFERENCE_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(body: Value) -> Result<(Vec<String>, PushRequest), String> {
        let push: CreatePush = serde_json::from_value(body).map_err(|error| error.to_string())?;
        push.check().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn ranges_are_unfolded_and_nova_is_asked_later() {
        let (images, request) =
            check(json!({"images": ["debian"], "hosts": {"names": ["c[1-3]", "!c2"]}})).expect("valid");
        assert_eq!(images, ["debian"]);
        assert_eq!(request.hosts, HostChoice::Names(vec!["c1".into(), "c3".into()]));
        let (_, request) =
            check(json!({"images": ["x"], "hosts": {"aggregate": "gpu", "exclude": "c7"}, "confirm": true}))
                .expect("valid");
        assert_eq!(request.hosts, HostChoice::Nova { aggregates: vec!["gpu".into()], zones: vec![] });
        assert_eq!(request.exclude, ["c7"]);
        check(json!({"images": ["x"], "hosts": {"all": true}, "rate": "auto:2gbit", "pin": "forever",
            "timeout": "10m", "priority": -5, "dry_run": true}))
        .expect("valid");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, says) in [
            (json!({"images": [], "hosts": {"all": true}}), "images"),
            (json!({"images": [""], "hosts": {"all": true}}), "images"),
            (json!({"images": ["x"]}), "hosts"),
            (json!({"images": ["x"], "hosts": {}}), "give one of"),
            (json!({"images": ["x"], "hosts": {"all": true, "names": "c1"}}), "give one of"),
            (json!({"images": ["x"], "hosts": {"names": "c1", "aggregate": "gpu"}}), "give one of"),
            (json!({"images": ["x"], "hosts": {"names": "@/etc/shadow"}}), "a file is no host"),
            (json!({"images": ["x"], "hosts": {"names": "!@/etc/shadow"}}), "a file is no host"),
            (json!({"images": ["x"], "hosts": {"names": "c[1-99999]"}}), "hosts.names"),
            (json!({"images": ["x"], "hosts": {"names": "c 1"}}), "hosts.names"),
            (json!({"images": ["x"], "hosts": {"names": []}}), "no host is left"),
            (json!({"images": ["x"], "hosts": {"aggregate": []}}), "aggregates"),
            (json!({"images": ["x"], "hosts": {"all": true}, "rate": "fast"}), "rate"),
            (json!({"images": ["x"], "hosts": {"all": true}, "timeout": "10"}), "timeout"),
            (json!({"images": ["x"], "hosts": {"all": true}, "pin": "long"}), "forever"),
            (json!({"images": ["x"], "hosts": {"all": true}, "priority": 101}), "priority"),
            (json!({"images": ["x"], "hosts": {"all": true}, "confirm": true}), "aggregate"),
            (json!({"images": ["x"], "hosts": {"all": true}, "rat": "1gbit"}), "unknown field"),
        ] {
            let error = check(body.clone()).expect_err("a mistake");
            assert!(error.contains(says), "{body}: {error}");
        }
    }
}
