//! Glance's record of one image, checked once: an `ImageRecord` is active, has a length, and can be downloaded as far
//! as the record shows.

use chrono::{DateTime, FixedOffset};
use glancecast_proto::wire::is_image_id;
use serde::Deserialize;
use serde_json::Value;

use super::error::{CloudError, json_fault, shown};
use super::signature::SignatureProperties;

/// An active image. Only `parse` creates one.
#[derive(Clone, Debug)]
pub(crate) struct ImageRecord {
    /// A UUID in lower-case letters; Nova names its cached file after this text.
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    /// The length of the download in bytes.
    pub(crate) size: u64,
    /// With anything but "bare" it is not a disk that Nova could boot.
    pub(crate) container_format: Option<String>,
    /// The format that its owner stated.
    pub(crate) disk_format: Option<String>,
    pub(crate) hash: ImageHash,
    /// The properties of its signature, if it has any.
    pub(crate) signature: SignatureProperties,
}

/// What is done if several active images have the name that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namesakes {
    /// None of them is taken.
    #[default]
    Refused,
    /// The one that was created last is taken.
    Latest,
}

/// The strongest hash of the bytes that Glance keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageHash {
    /// `os_hash_algo` (a hashlib name, sha512 unless configured) and `os_hash_value`.
    Multihash {
        algo: String,
        hex: String,
    },
    /// The old `checksum`; images from before 2018 have no other.
    Md5 {
        hex: String,
    },
    None,
}

impl ImageRecord {
    /// Returns the image's name and id for messages.
    pub(crate) fn label(&self) -> String {
        label(&self.id, self.name.as_deref())
    }

    /// Parses Glance's JSON of one image; `peer` is Glance for messages.
    ///
    /// # Errors
    /// `NotActive` with what to do about the status, `BadImageId`, `NoSize`, `BadAnswer`.
    pub(super) fn parse(json: &[u8], peer: &str) -> Result<Self, CloudError> {
        let wire = serde_json::from_slice::<Wire>(json).map_err(|error| bad_answer(&error, peer))?;
        Self::from_wire(wire)
    }

    fn from_wire(wire: Wire) -> Result<Self, CloudError> {
        // Status first: an upload that was refused half-way leaves a queued image with a hash and no size.
        if let Some(hint) = status_hint(&wire.status) {
            return Err(CloudError::NotActive {
                image: label(&wire.id, wire.name.as_deref()),
                status: shown(&wire.status),
                hint,
            });
        }
        if let Some(fault) = id_fault(&wire.id) {
            return Err(CloudError::BadImageId { image: label(&wire.id, wire.name.as_deref()), fault });
        }
        let hash = wire.hash();
        let Some(size) = wire.size else {
            return Err(CloudError::NoSize { id: wire.id });
        };
        let Wire { id, name, container_format, disk_format, signature, .. } = wire;
        Ok(Self { id, name, size, container_format, disk_format, hash, signature })
    }
}

/// Returns why an id is not one that hosts accept. Glance accepts any id from the uploader that has up to 36 characters
/// and the form of a UUID. What another service in its place accepts is unknown.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    match (is_image_id(id), is_image_id(&id.to_ascii_lowercase())) {
        (true, _) => None,
        (false, true) => Some("with upper-case letters"),
        (false, false) => Some("that is no UUID"),
    }
}

/// Returns how messages name an image: by its name, if it has one, and its id.
fn label(id: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("`{}` ({})", shown(name), shown(id)),
        None => shown(id),
    }
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
        Some(self.images.last()?.get("id")?.as_str()?.to_owned())
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
    if images.iter().any(|image| image.created().is_none()) {
        return Err(fault("Glance does not say when each was created", images));
    }
    images.sort_by_key(|image| std::cmp::Reverse(image.created()));
    match images[0].created() == images[1].created() {
        true => Err(fault("the newest were created at the same time", images)),
        false => Ok(()),
    }
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

/// Returns what to do about an image in this status; `None` if it can be sent.
fn status_hint(status: &str) -> Option<&'static str> {
    Some(match status {
        "active" => return None,
        "queued" => "it has no data yet; upload its data, or choose another image",
        "saving" | "uploading" | "importing" => "its upload is still running; wait until it is active",
        "deactivated" => {
            "its owner or an administrator withdrew it; `openstack image set --activate` brings it back"
        }
        "killed" => "its upload failed; upload it again",
        "deleted" | "pending_delete" => "it is being deleted; choose another image",
        _ => "only an active image can be sent",
    })
}

fn bad_answer(error: &serde_json::Error, peer: &str) -> CloudError {
    CloudError::BadAnswer { peer: peer.to_owned(), what: "an image record", reason: json_fault(error) }
}

/// The members of Glance's image schema that are used, unchecked.
#[derive(Debug, Deserialize)]
struct Wire {
    id: String,
    status: String,
    name: Option<String>,
    size: Option<u64>,
    container_format: Option<String>,
    disk_format: Option<String>,
    created_at: Option<String>,
    checksum: Option<String>,
    os_hash_algo: Option<String>,
    os_hash_value: Option<String>,
    #[serde(flatten)]
    signature: SignatureProperties,
}

impl Wire {
    fn is_active(&self) -> bool {
        status_hint(&self.status).is_none()
    }

    fn created(&self) -> Option<DateTime<FixedOffset>> {
        DateTime::parse_from_rfc3339(self.created_at.as_deref()?).ok()
    }

    fn hash(&self) -> ImageHash {
        match (&self.os_hash_algo, &self.os_hash_value, &self.checksum) {
            (Some(algo), Some(hex), _) => ImageHash::Multihash { algo: algo.clone(), hex: hex.clone() },
            (_, _, Some(hex)) => ImageHash::Md5 { hex: hex.clone() },
            _ => ImageHash::None,
        }
    }
}

/// The maximum number of ids in a message, so that it stays within a few lines of a terminal.
const CANDIDATES_SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use glancecast_proto::ids::is_unprintable;
    use serde_json::{Value, json};

    use super::super::error::CloudErrorKind;
    use super::*;

    const ID: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";

    fn active() -> Value {
        json!({"id": ID, "name": "debian", "status": "active", "size": 1048576,
               "virtual_size": 1048576, "disk_format": "raw", "container_format": "bare",
               "visibility": "shared", "owner": "p1", "checksum": "aa", "os_hash_algo": "sha512",
               "os_hash_value": "bb", "stores": "file", "hw_disk_bus": "virtio", "tags": []})
    }

    fn parse(value: &Value) -> Result<ImageRecord, CloudError> {
        ImageRecord::parse(value.to_string().as_bytes(), "http://gl/v2/images/x")
    }

    fn with(key: &str, member: Value) -> Value {
        let mut value = active();
        value[key] = member;
        value
    }

    #[test]
    fn an_active_image_is_read_with_its_strongest_hash() {
        let image = parse(&active()).unwrap();
        assert_eq!((image.id.as_str(), image.size), (ID, 1_048_576));
        let strongest = ImageHash::Multihash { algo: "sha512".into(), hex: "bb".into() };
        assert_eq!(image.hash, strongest);
    }

    #[test]
    fn an_old_image_has_its_checksum_and_one_by_location_nothing() {
        let old = parse(&with("os_hash_value", Value::Null)).unwrap();
        assert_eq!(old.hash, ImageHash::Md5 { hex: "aa".into() });
        let mut bare = with("os_hash_value", Value::Null);
        bare["checksum"] = Value::Null;
        assert_eq!(parse(&bare).unwrap().hash, ImageHash::None);
    }

    #[test]
    fn every_other_status_is_named_with_what_to_do() {
        for status in ["queued", "saving", "importing", "deactivated", "killed", "novel"] {
            let error = parse(&with("status", json!(status))).unwrap_err();
            assert!(error.to_string().contains(&format!("`{status}`")), "{error}");
            assert_eq!(error.kind(), CloudErrorKind::Source);
        }
    }

    #[test]
    fn a_queued_image_with_a_hash_is_still_queued() {
        let mut half = with("size", Value::Null);
        half["status"] = json!("queued");
        assert!(matches!(parse(&half), Err(CloudError::NotActive { .. })));
    }

    #[test]
    fn an_active_image_without_size_is_refused() {
        let error = parse(&with("size", Value::Null)).unwrap_err();
        assert!(matches!(error, CloudError::NoSize { .. }));
    }

    #[test]
    fn an_id_that_hosts_do_not_know_is_refused_with_the_reason() {
        let upper = ID.to_ascii_uppercase();
        let mixed = ID.replacen('b', "B", 1);
        for id in [&upper, &mixed] {
            let error = parse(&with("id", json!(id))).unwrap_err();
            assert!(
                error.to_string().contains("upper-case") && error.to_string().contains(id.as_str()),
                "{error}"
            );
            assert_eq!(error.kind(), CloudErrorKind::Usage);
        }
        let long = "x".repeat(100_000);
        for id in ["", "debian", "../../v2/tasks", &ID[1..], &format!("{ID}0"), &ID.replace('-', ""), &long] {
            let error = parse(&with("id", json!(id))).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, CloudError::BadImageId { .. }) && text.contains("no UUID"), "{text}");
            assert!(text.len() < 1000, "{}", text.len());
        }
    }

    #[test]
    fn names_of_any_length_and_content_are_one_short_line() {
        for name in ["n".repeat(1 << 20), "\u{1f600}".repeat(1 << 16), "\n\r\u{202e}\u{9b}".repeat(1 << 16)] {
            let label = parse(&with("name", json!(name))).unwrap().label();
            assert!(label.chars().count() < 500 && !label.chars().any(is_unprintable), "{label:?}");
        }
    }

    #[test]
    fn a_page_of_html_or_a_negative_size_is_a_bad_answer() {
        let html = ImageRecord::parse(b"<html>secret</html>", "http://gl/").unwrap_err();
        assert!(!html.to_string().contains("secret"), "{html}");
        let error = parse(&with("size", json!(-1))).unwrap_err();
        assert!(matches!(error, CloudError::BadAnswer { .. }));
    }

    #[test]
    fn what_others_wrote_into_a_record_steers_no_terminal() {
        let foul = "\u{1b}[2J\u{202e}\nroot# ";
        let mut image = with("name", json!(foul));
        assert!(!parse(&image).unwrap().label().contains(is_unprintable));
        for (key, value) in [("status", json!(foul)), ("size", Value::Null), ("id", json!(foul))] {
            image[key] = value;
            let text = parse(&image).unwrap_err().to_string();
            assert!(!text.contains(is_unprintable), "{key}: {text:?}");
            image["status"] = json!("active");
        }
        let mut namesake = with("created_at", json!(foul));
        namesake["id"] = json!(foul);
        let text = choose(&[active(), namesake], "debian").unwrap_err().to_string();
        assert!(!text.contains(is_unprintable), "{text:?}");
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
}
