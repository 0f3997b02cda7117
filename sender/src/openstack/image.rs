//! Glance's record of one image, checked once: an `ImageRecord` is active, has a length, and can be downloaded as far
//! as the record shows.

use glancecast_proto::wire::is_image_id;
use serde::Deserialize;

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

    /// # Errors
    /// Those of `parse`, except `BadAnswer`.
    pub(super) fn from_wire(wire: Wire) -> Result<Self, CloudError> {
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

pub(super) fn bad_answer(error: &serde_json::Error, peer: &str) -> CloudError {
    CloudError::BadAnswer { peer: peer.to_owned(), what: "an image record", reason: json_fault(error) }
}

/// The members of Glance's image schema that are used, unchecked.
#[derive(Debug, Deserialize)]
pub(super) struct Wire {
    pub(super) id: String,
    pub(super) status: String,
    name: Option<String>,
    size: Option<u64>,
    container_format: Option<String>,
    disk_format: Option<String>,
    pub(super) created_at: Option<String>,
    checksum: Option<String>,
    os_hash_algo: Option<String>,
    os_hash_value: Option<String>,
    #[serde(flatten)]
    signature: SignatureProperties,
}

impl Wire {
    pub(super) fn is_active(&self) -> bool {
        status_hint(&self.status).is_none()
    }

    fn hash(&self) -> ImageHash {
        match (&self.os_hash_algo, &self.os_hash_value, &self.checksum) {
            (Some(algo), Some(hex), _) => ImageHash::Multihash { algo: algo.clone(), hex: hex.clone() },
            (_, _, Some(hex)) => ImageHash::Md5 { hex: hex.clone() },
            _ => ImageHash::None,
        }
    }
}

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
    }
}
