//! All images and all hosts of a cloud, for a program that compares them with what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::error::CloudError;
use super::list::{IMAGES_MAX, ImageFilter, ListedImage, PAGE_IMAGES};
use super::nova::Nova;
use super::session::Cloud;

/// An image as Glance lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CloudImage {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    pub name: Option<String>,
    /// `active`, `queued`, `deactivated` and so on.
    pub status: String,
    /// `public`, `private`, `shared` or `community`.
    pub visibility: Option<String>,
    /// The project that it belongs to.
    pub owner: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The length of its data; `None` until it has some.
    pub size: Option<u64>,
    /// The format that its owner stated.
    pub disk_format: Option<String>,
    /// When it was created, in the form of RFC 3339.
    pub created_at: Option<String>,
    /// When its record was changed last.
    pub updated_at: Option<String>,
    /// The algorithm of `os_hash_value`.
    pub os_hash_algo: Option<String>,
    /// The hash of its data.
    pub os_hash_value: Option<String>,
    /// Why it cannot be pushed; `None` if nothing in its record is against it.
    #[serde(skip)]
    pub obstacle: Option<String>,
}

/// A compute host as Nova lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudHost {
    /// Nova's name of it.
    pub name: String,
    /// Its availability zone.
    pub zone: String,
    /// The aggregates that it is in, by name.
    pub aggregates: BTreeSet<String>,
    /// Why Nova would not start instances on it now; `None` if it would.
    pub out_of_use: Option<String>,
    /// Whether Nova does not hear it, disabled or not.
    pub is_down: bool,
}

impl Cloud {
    /// Returns all images that this project can see, by id. A record that is none is left out.
    ///
    /// # Errors
    /// `TooManyImages`, `BadAnswer`, and those of [`Cloud::ask_glance`].
    pub(crate) async fn all_images(&self) -> Result<Vec<CloudImage>, CloudError> {
        let filter = ImageFilter::default();
        let (mut images, mut marker): (BTreeMap<String, CloudImage>, Option<String>) = Default::default();
        loop {
            let page = self.page(&filter, marker.as_deref(), PAGE_IMAGES).await?;
            let next = page.marker();
            let before = images.len();
            images.extend(
                page.into_images().into_iter().filter_map(read).map(|image| (image.id.clone(), image)),
            );
            if next.is_none() || next == marker {
                return Ok(images.into_values().collect());
            }
            // A list that goes on without an image that is new does not end.
            if images.len() > IMAGES_MAX || images.len() == before {
                return Err(CloudError::TooManyImages { max: IMAGES_MAX });
            }
            marker = next;
        }
    }
}

impl Nova {
    /// Returns all hosts with a nova-compute that runs guests, by name.
    ///
    /// # Errors
    /// Those of [`Nova::aggregates`].
    pub(crate) async fn all_hosts(&self) -> Result<Vec<CloudHost>, CloudError> {
        let (aggregates, services) = (self.aggregates().await?, self.compute_services().await?);
        let bare_metal = self.bare_metal().await;
        let of = |host: &str| {
            let holds = aggregates.iter().filter(|aggregate| aggregate.hosts.iter().any(|name| name == host));
            holds.map(|aggregate| aggregate.name.clone()).collect()
        };
        let guests = services.iter().filter(|service| !bare_metal.contains(&service.host));
        let hosts = guests.map(|service| CloudHost {
            name: service.host.clone(),
            zone: service.zone.clone(),
            aggregates: of(&service.host),
            out_of_use: service.out_of_use(),
            is_down: service.is_down(),
        });
        let by_name: BTreeMap<String, CloudHost> = hosts.map(|host| (host.name.clone(), host)).collect();
        Ok(by_name.into_values().collect())
    }
}

fn read(image: Value) -> Option<CloudImage> {
    let obstacle = ListedImage::obstacle_of(&image)?;
    let image: CloudImage = serde_json::from_value(image).ok()?;
    Some(CloudImage { obstacle, ..image })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_with_its_tags_and_hash_and_one_that_is_none_is_left_out() {
        let record = json!({"id": "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44", "name": "debian", "status": "active", "size": 5,
            "disk_format": "raw", "container_format": "bare", "visibility": "public", "owner": "p", "tags": ["golden"],
            "created_at": "2026-11-29T05:00:00Z", "updated_at": "2026-11-29T05:00:01Z", "os_hash_algo": "sha512",
            "os_hash_value": "ab", "hw_disk_bus": "virtio"});
        let image = read(record.clone()).expect("an image");
        assert_eq!((image.tags, image.obstacle), (vec!["golden".to_owned()], None));
        assert_eq!(image.os_hash_value.as_deref(), Some("ab"));
        let mut queued = record;
        (queued["status"], queued["size"]) = (json!("queued"), Value::Null);
        assert_eq!(read(queued).expect("an image").obstacle.as_deref(), Some("it is queued"));
        for odd in [Value::Null, json!(5), json!({"id": 5, "status": "active"})] {
            assert_eq!(read(odd), None);
        }
    }
}
