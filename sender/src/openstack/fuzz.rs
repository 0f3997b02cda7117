//! Fuzzing of answers from Glance and Nova.

use std::path::Path;

use glancecast_proto::ids::is_unprintable;
use reqwest::Url;
use serde::Deserialize;

use super::catalog::{Catalog, Place};
use super::check::ContentCheck;
use super::download::ContentRange;
use super::error::{CloudError, shown_url};
use super::hosts::{Aggregate, ComputeService, choose};
use super::image::ImageRecord;
use super::list::ListedImage;
use super::namesakes::{Namesakes, Page, choose_by_name};
use super::nova::compute_api;
use super::service::Service;

/// Parses the input as the answer to the query that the first byte selects.
///
/// # Panics
/// If a result contradicts itself, or would be shown as more than one plain line.
pub(crate) fn answers(input: &[u8]) {
    let Some((query, answer)) = input.split_first() else { return };
    match query % 6 {
        0 => match ImageRecord::parse(answer, URL) {
            Ok(image) => use_image(&image),
            Err(error) => assert_shown(&error),
        },
        1 => match choose_by_name(answer, "debian", rule(answer), URL) {
            Ok(image) => {
                assert_eq!(image.name.as_deref(), Some("debian"), "no other one");
                use_image(&image);
            }
            Err(error) => assert_shown(&error),
        },
        2 => {
            let Ok(page) = Page::parse(answer, URL) else { return };
            let images = ListedImage::read(page);
            let rows = serde_json::to_value(&images).expect("numbers and texts are JSON");
            assert_eq!(rows.as_array().map(Vec::len), Some(images.len()));
        }
        3 => {
            choose_hosts(answer);
            find_service(answer);
        }
        4 => {
            let text = String::from_utf8_lossy(answer);
            if let Some(range) = ContentRange::parse(&text) {
                let ContentRange { first, last, size } = range;
                assert_eq!(ContentRange::parse(&format!("bytes {first}-{last}/{size}")), Some(range));
            }
        }
        _ => {
            let text = String::from_utf8_lossy(answer);
            let shown = shown_url(&text);
            assert!(!shown.contains(is_unprintable), "{shown:?}");
            if let Ok(url) = Url::parse(&text)
                && url.has_host()
            {
                assert!(Url::parse(&shown).is_ok_and(|shown| shown.password().is_none()));
                assert!(compute_api(url).path().ends_with('/'));
            }
        }
    }
}

/// Returns one of the rules, by the length of the answer.
fn rule(answer: &[u8]) -> Namesakes {
    if answer.len().is_multiple_of(2) { Namesakes::Refused } else { Namesakes::Latest }
}

/// Reads the input as a catalog, too.
fn find_service(answer: &[u8]) {
    let Ok(catalog) = serde_json::from_slice(answer) else { return };
    let catalog = Catalog::read(&catalog);
    let interfaces = ["internal".to_owned(), "public".to_owned()];
    for service in [Service::Glance, Service::Nova] {
        match catalog.find(service, Place { interfaces: &interfaces, region: None, origin: "a test" }) {
            Ok(found) => assert!(matches!(found.url.scheme(), "http" | "https")),
            Err(error) => assert_shown(&error),
        }
    }
}

fn use_image(image: &ImageRecord) {
    assert_plain(&image.label());
    match ContentCheck::new(&image.hash) {
        Ok(mut check) => {
            check.update(b"what is sent");
            check.finish().err().iter().for_each(assert_shown);
        }
        Err(error) => assert_shown(&error),
    }
    if let Err(error) = image.signature.check(Path::new("/no/such/directory")) {
        assert_plain(&error.to_string());
    }
}

fn choose_hosts(answer: &[u8]) {
    #[derive(Deserialize)]
    struct Answers {
        aggregates: Vec<Aggregate>,
        services: Vec<ComputeService>,
    }
    let Ok(answers) = serde_json::from_slice::<Answers>(answer) else { return };
    let hosts = answers.services.len() + answers.aggregates.iter().map(|all| all.hosts.len()).sum::<usize>();
    match choose(&["racks".to_owned()], &["nova".to_owned()], answers.aggregates, &answers.services) {
        Ok(choice) => {
            assert!(!choice.hosts.is_empty() && choice.hosts.len() + choice.skipped.len() <= hosts);
            assert!(choice.skipped.keys().all(|host| !choice.hosts.contains(host)));
            choice.skipped.values().for_each(|reason| assert_plain(reason));
        }
        Err(error) => assert_shown(&error),
    }
}

fn assert_shown(error: &CloudError) {
    let _ = error.kind();
    assert_plain(&error.to_string());
}

/// Checks that a text is one line without control characters, as names are untrusted input.
fn assert_plain(text: &str) {
    assert!(!text.is_empty() && !text.contains(is_unprintable), "{text:?}");
}

const URL: &str = "http://glance:9292/v2/images";
