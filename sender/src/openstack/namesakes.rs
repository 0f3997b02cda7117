//! Images by name: which one is meant if several have it, from as many pages as Glance lists them on.

use std::cmp::Reverse;

use chrono::{DateTime, FixedOffset};
use serde::Deserialize;
use serde_json::Value;

use super::error::{CloudError, shown};
use super::image::{ImageRecord, Wire, bad_answer};

/// What is done if several active images have the name that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namesakes {
    /// None of them is taken.
    #[default]
    Refused,
    /// The one that was created last is taken.
    Latest,
}

/// A page of the answer to `GET /v2/images`.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    images: Vec<Value>,
    /// Present if there is another page, which begins after the last image of this one.
    next: Option<Value>,
}

impl Page {
    /// # Errors
    /// `BadAnswer`.
    pub(super) fn parse(json: &[u8], peer: &str) -> Result<Self, CloudError> {
        serde_json::from_slice(json).map_err(|error| bad_answer(&error, peer))
    }

    /// Returns the id of the last image, if there is another page.
    pub(super) fn marker(&self) -> Option<String> {
        self.next.as_ref().filter(|next| !next.is_null())?;
        let mut ids = self.images.iter().rev().filter_map(|image| image.get("id")?.as_str());
        ids.next().map(str::to_owned)
    }

    /// Returns the images, unchecked.
    pub(super) fn into_images(self) -> Vec<Value> {
        self.images
    }
}

/// The images of one name.
#[derive(Debug)]
pub(super) struct SameName<'a> {
    wanted: &'a str,
    images: Vec<Wire>,
}

impl<'a> SameName<'a> {
    pub(super) fn new(wanted: &'a str) -> Self {
        Self { wanted, images: Vec::new() }
    }

    /// Adds those of a page with exactly this name: Glance reads `in:a,b` as a list of names. Records of other images
    /// are skipped, whatever their form.
    ///
    /// # Errors
    /// `BadAnswer` if one of this name cannot be read.
    pub(super) fn add(&mut self, images: Vec<Value>, peer: &str) -> Result<(), CloudError> {
        for image in images {
            if image.get("name").and_then(Value::as_str) == Some(self.wanted) {
                self.images.push(serde_json::from_value(image).map_err(|error| bad_answer(&error, peer))?);
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    /// Returns the image: the only one, the only active one, or the one that the rule takes.
    ///
    /// # Errors
    /// `UnknownImage`, `AmbiguousName` and `NoLatest` with the ids, and those of `ImageRecord::parse`.
    pub(super) fn choose(self, rule: Namesakes) -> Result<ImageRecord, CloudError> {
        let Self { wanted, mut images } = self;
        let all = images.len();
        if all > 1 && images.iter().any(Wire::is_active) {
            images.retain(Wire::is_active);
        }
        match (images.len(), rule) {
            (0, _) => return Err(CloudError::UnknownImage { wanted: wanted.to_owned() }),
            (1, _) => {}
            (_, Namesakes::Latest) if images[0].is_active() => latest_first(wanted, &mut images)?,
            (count, _) => {
                let what =
                    if images[0].is_active() { "active images" } else { "images, none of them active," };
                let (wanted, candidates) = (wanted.to_owned(), candidates(&images));
                return Err(CloudError::AmbiguousName { wanted, what, count, candidates });
            }
        }
        let image = ImageRecord::from_wire(images.swap_remove(0))?;
        if all > 1 {
            tracing::info!("of {all} images of this name, {} is taken", image.label());
        }
        Ok(image)
    }
}

/// Moves the image that was created last to the front.
///
/// # Errors
/// `NoLatest` if it is not certain which one that is.
fn latest_first(wanted: &str, images: &mut [Wire]) -> Result<(), CloudError> {
    let fault = |reason, images: &[Wire]| CloudError::NoLatest {
        wanted: wanted.to_owned(),
        reason,
        candidates: candidates(images),
    };
    if images.iter().any(|image| created(image).is_none()) {
        return Err(fault("Glance does not say when each was created", images));
    }
    images.sort_by_key(|image| Reverse(created(image)));
    match created(&images[0]) == created(&images[1]) {
        true => Err(fault("the newest were created at the same time", images)),
        false => Ok(()),
    }
}

fn created(image: &Wire) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(image.created_at.as_deref()?).ok()
}

/// Selects the image from the answer to `GET /v2/images?name=wanted`, if that is one page.
///
/// # Errors
/// Those of [`Page::parse`], [`SameName::add`] and [`SameName::choose`].
#[cfg(any(test, fuzzing))]
pub(super) fn choose_by_name(
    json: &[u8],
    wanted: &str,
    rule: Namesakes,
    peer: &str,
) -> Result<ImageRecord, CloudError> {
    let mut found = SameName::new(wanted);
    found.add(Page::parse(json, peer)?.into_images(), peer)?;
    found.choose(rule)
}

fn candidates(images: &[Wire]) -> String {
    let candidate = |image: &Wire| {
        let created = image.created_at.as_deref().map(|at| format!(", created {}", shown(at)));
        format!("{} ({}{})", shown(&image.id), shown(&image.status), created.unwrap_or_default())
    };
    let mut names = images.iter().take(CANDIDATES_SHOWN_MAX).map(candidate).collect::<Vec<_>>();
    if images.len() > CANDIDATES_SHOWN_MAX {
        names.push("..".to_owned());
    }
    names.join(", ")
}

/// The maximum number of ids in a message, so that it stays within a few lines of a terminal.
const CANDIDATES_SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use glancecast_proto::ids::is_unprintable;
    use serde_json::json;

    use super::super::error::CloudErrorKind;
    use super::*;

    const ID: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";

    fn active() -> Value {
        json!({"id": ID, "name": "debian", "status": "active", "size": 1048576, "disk_format": "raw",
               "container_format": "bare"})
    }

    fn with(key: &str, member: Value) -> Value {
        let mut value = active();
        value[key] = member;
        value
    }

    fn choose(images: &[Value], wanted: &str) -> Result<ImageRecord, CloudError> {
        choose_as(images, wanted, Namesakes::Refused)
    }

    fn choose_as(images: &[Value], wanted: &str, rule: Namesakes) -> Result<ImageRecord, CloudError> {
        let list = json!({"images": images, "first": "/v2/images"}).to_string();
        choose_by_name(list.as_bytes(), wanted, rule, "http://gl/")
    }

    /// Returns images of one name, each with its last digit, status and creation.
    fn namesakes(all: &[(char, &str, Value)]) -> Vec<Value> {
        let one = |(digit, status, created): &(char, &str, Value)| {
            let mut image = with("id", json!(format!("{}{digit}", &ID[..35])));
            (image["status"], image["created_at"]) = (json!(status), created.clone());
            image
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn one_image_of_the_name_is_it() {
        assert_eq!(choose(&[active()], "debian").unwrap().id, ID);
    }

    #[test]
    fn several_active_images_of_one_name_are_listed_and_none_is_taken() {
        let images =
            namesakes(&[('1', "active", json!("2026-01-01T00:00:00Z")), ('2', "active", Value::Null)]);
        let error = choose(&images, "debian").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("2 active images are named `debian`") && text.contains("--latest"),
            "{text}"
        );
        assert!(text.contains("1 (active, created 2026-01-01T00:00:00Z)"), "{text}");
        assert_eq!(error.kind(), CloudErrorKind::Usage);
    }

    #[test]
    fn the_only_active_one_of_a_name_is_taken() {
        let old = json!("2025-01-01T00:00:00Z");
        let images = namesakes(&[
            ('1', "queued", Value::Null),
            ('2', "active", old),
            ('3', "deactivated", Value::Null),
        ]);
        for rule in [Namesakes::Refused, Namesakes::Latest] {
            assert!(choose_as(&images, "debian", rule).unwrap().id.ends_with('2'));
        }
        let without = [images[0].clone(), images[2].clone()];
        for rule in [Namesakes::Refused, Namesakes::Latest] {
            let text = choose_as(&without, "debian", rule).unwrap_err().to_string();
            assert!(text.contains("none of them active") && text.contains("deactivated"), "{text}");
        }
    }

    #[test]
    fn the_newest_active_one_is_taken_when_asked_for_and_certain() {
        let at = |hour: u32| json!(format!("2026-01-01T{hour:02}:00:00Z"));
        let latest = |all: &[(char, &str, Value)]| choose_as(&namesakes(all), "debian", Namesakes::Latest);
        let clear =
            [('1', "active", at(1)), ('3', "active", at(3)), ('2', "active", at(2)), ('4', "queued", at(4))];
        assert!(latest(&clear).unwrap().id.ends_with('3'));
        let zone = [('1', "active", at(1)), ('2', "active", json!("2026-01-01T02:00:00+05:00"))];
        assert!(latest(&zone).unwrap().id.ends_with('1'));
        for unclear in [
            [('1', "active", at(1)), ('2', "active", at(1))],
            [('1', "active", at(1)), ('2', "active", Value::Null)],
            [('1', "active", at(1)), ('2', "active", json!("yesterday"))],
        ] {
            let text = latest(&unclear).unwrap_err().to_string();
            assert!(text.contains("--latest does not choose") && text.contains("2 (active"), "{text}");
        }
    }

    #[test]
    fn the_record_of_another_image_may_be_odd() {
        for odd in [json!(5), json!({"name": 7}), json!({"name": "other", "status": null}), Value::Null] {
            assert_eq!(choose(&[odd, active()], "debian").unwrap().id, ID);
        }
        let error = choose(&[with("size", json!("big"))], "debian").unwrap_err();
        assert!(matches!(error, CloudError::BadAnswer { .. }), "{error}");
    }

    #[test]
    fn a_long_list_of_namesakes_is_cut() {
        let text = choose(&vec![active(); 30], "debian").unwrap_err().to_string();
        assert!(text.starts_with("30 active images") && text.matches(ID).count() == 10, "{text}");
    }

    #[test]
    fn a_name_that_glance_takes_for_a_list_finds_nothing() {
        let error = choose(&[active()], "in:debian,other").unwrap_err();
        assert!(matches!(error, CloudError::UnknownImage { .. }));
    }

    #[test]
    fn what_others_wrote_into_a_list_steers_no_terminal() {
        let foul = "\u{1b}[2J\u{202e}\nroot# ";
        let mut namesake = with("created_at", json!(foul));
        namesake["id"] = json!(foul);
        let text = choose(&[active(), namesake], "debian").unwrap_err().to_string();
        assert!(!text.contains(is_unprintable), "{text:?}");
    }
}
