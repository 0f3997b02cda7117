//! Keystone's catalog: where services are. Only Glance and Nova are looked for. Everything else in it is skipped,
//! whatever its form, as no mistake in the entry of another service keeps anybody from pushing images. What is needed
//! and broken is named.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde_json::Value;

use super::error::{CloudError, shown};
use super::service::{Peer, Service};

/// The endpoints of the services that are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    endpoints: Vec<Endpoint>,
    /// The number of services in the catalog, needed or not.
    services: usize,
}

/// Where a service is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// `public`, `internal` or `admin`, at least one: the first at which the service is.
    pub(super) interfaces: &'a [String],
    pub(super) region: Option<&'a str>,
    /// The source of the settings, for messages.
    pub(super) origin: &'a str,
}

/// A service that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) url: Url,
    pub(super) interface: String,
    pub(super) region: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    service: Service,
    /// How the entry says which service it is; the best comes first.
    told: Told,
    interface: String,
    /// `region_id` and `region`, which are mostly the same.
    regions: Vec<String>,
    url: Result<Url, String>,
}

/// How an entry says which service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// By the type, as the authority on service types has it: `image`.
    Type,
    /// By a type with a version: `imagev2`.
    VersionedType,
    /// By the name, where there is no type, or by a type that is the project's name: `glance`.
    Name,
}

impl Catalog {
    /// Reads the catalog of a token. Never fails: an entry that cannot be read is skipped.
    pub(super) fn read(catalog: &Value) -> Self {
        let services = catalog.as_array().map(Vec::as_slice).unwrap_or_default();
        let endpoints = services.iter().filter_map(service_of).flat_map(|(service, told, entry)| {
            let endpoints = entry.get("endpoints").and_then(Value::as_array).map(Vec::as_slice);
            let endpoints = endpoints.unwrap_or_default().iter();
            endpoints.filter_map(move |endpoint| Endpoint::read(service, told, endpoint))
        });
        let mut endpoints: Vec<_> = endpoints.take(ENDPOINTS_MAX).collect();
        endpoints.sort_by_key(|endpoint| endpoint.told); // stable: else in the catalog's order
        Self { endpoints, services: services.len() }
    }

    /// Finds a service.
    ///
    /// # Errors
    /// `NoEndpoint` with what the catalog has instead, `BadEndpoint` if its address is none, `SeveralRegions` if it is in
    /// several and none is chosen.
    pub(super) fn find(&self, service: Service, place: Place<'_>) -> Result<Found, CloudError> {
        let all: Vec<_> = self.endpoints.iter().filter(|endpoint| endpoint.service == service).collect();
        let mut broken = None;
        for interface in place.interfaces {
            let at = || all.iter().copied().filter(|endpoint| endpoint.interface == *interface);
            let regions: BTreeSet<&str> = at().filter_map(Endpoint::region).collect();
            if place.region.is_none() && regions.len() > 1 {
                return Err(CloudError::SeveralRegions {
                    service: service.name(),
                    regions: listed(regions),
                    origin: place.origin.to_owned(),
                });
            }
            for endpoint in at().filter(|endpoint| endpoint.is_in(place.region)) {
                let region = place.region.or(endpoint.region()).map(str::to_owned);
                match &endpoint.url {
                    Ok(url) => return Ok(Found { url: url.clone(), interface: interface.clone(), region }),
                    Err(fault) => broken = broken.or(Some((interface, region, fault.clone()))),
                }
            }
        }
        Err(match broken {
            Some((interface, region, fault)) => CloudError::BadEndpoint {
                service: service.name(),
                place: words(interface, region.as_deref()),
                fault,
                remedy: service.remedy(),
            },
            None => self.missing(service, &all, place),
        })
    }

    fn missing(&self, service: Service, all: &[&Endpoint], place: Place<'_>) -> CloudError {
        let mut offers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for endpoint in all {
            offers.entry(&endpoint.interface).or_default().extend(endpoint.region());
        }
        let offers = offers.iter().take(LISTED_MAX).map(|(interface, regions)| match regions.len() {
            0 => format!("interface `{}`", shown(interface)),
            1 => format!("interface `{}` in region {}", shown(interface), listed(regions.iter().copied())),
            _ => format!("interface `{}` in regions {}", shown(interface), listed(regions.iter().copied())),
        });
        let has = match (all.is_empty(), self.services) {
            (false, _) => format!("has it at {}", offers.collect::<Vec<_>>().join("; ")),
            (true, 0) => "is empty".to_owned(),
            (true, 1) => "has another service only".to_owned(),
            (true, count) => format!("has {count} other services"),
        };
        let place_text = words(&place.interfaces.join("` or `"), place.region);
        let also = match service {
            Service::Nova => ", or name the hosts with --hosts or --hosts-file",
            _ => "",
        };
        CloudError::NoEndpoint {
            what: format!("{} for {place_text}", service.name()),
            has,
            remedy: format!("{}{also}", place.origin),
        }
    }
}

impl Found {
    /// Adds the place to how messages name the service.
    pub(super) fn peer(&self, peer: Peer) -> Peer {
        peer.found(&self.interface, self.region.as_deref().map(shown).as_deref())
    }
}

impl Endpoint {
    fn read(service: Service, told: Told, endpoint: &Value) -> Option<Self> {
        let text = |key: &str| endpoint.get(key).and_then(Value::as_str);
        let interface = text("interface").unwrap_or("public");
        let interface = interface.strip_suffix("URL").unwrap_or(interface).to_ascii_lowercase();
        let mut regions = Vec::new();
        for region in [text("region_id"), text("region")].into_iter().flatten() {
            if !region.is_empty() && !regions.iter().any(|known| known == region) {
                regions.push(region.to_owned());
            }
        }
        let url = match endpoint.get("url") {
            None if endpoint.get("interface").is_none() => return None,
            None => Err("no URL".to_owned()),
            Some(Value::String(url)) => address(url),
            Some(_) => Err("a URL that is no text".to_owned()),
        };
        Some(Self { service, told, interface, regions, url })
    }

    fn is_in(&self, region: Option<&str>) -> bool {
        region.is_none_or(|region| self.regions.iter().any(|known| known == region))
    }

    fn region(&self) -> Option<&str> {
        self.regions.first().map(String::as_str)
    }
}

/// Returns which service an entry is of, if it is one that is needed.
fn service_of(entry: &Value) -> Option<(Service, Told, &Value)> {
    let text =
        |key: &str| entry.get(key).and_then(Value::as_str).map(|text| text.trim().to_ascii_lowercase());
    let (kind, name) = (text("type").unwrap_or_default(), text("name").unwrap_or_default());
    [Service::Glance, Service::Nova].into_iter().find_map(|service| {
        let project = service.name().to_ascii_lowercase();
        let is_version = |rest: &str| {
            let rest = rest.trim_start_matches(['-', '_', ':']);
            rest.strip_prefix('v').is_some_and(|rest| rest.starts_with('2'))
        };
        let told = if kind == service.kind() {
            Told::Type
        } else if kind.strip_prefix(service.kind()).is_some_and(is_version) {
            Told::VersionedType
        } else if kind == project || kind.is_empty() && (name == project || name == service.kind()) {
            Told::Name
        } else {
            return None;
        };
        Some((service, told, entry))
    })
}

/// Reads the address of an endpoint.
///
/// # Errors
/// What it is instead, for a message.
fn address(text: &str) -> Result<Url, String> {
    let text = text.trim();
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err(format!("the URL {}, which is not http", shown(text)))
        }
        Ok(url) if text.contains("%(") || text.contains("$(") => {
            Err(format!("the URL {}, in which a value was not filled in", shown(url.as_str())))
        }
        Ok(url) => Ok(url),
        Err(error) => Err(format!("the URL `{}` ({error})", shown(text))),
    }
}

fn words(interface: &str, region: Option<&str>) -> String {
    match region {
        Some(region) => format!("interface `{interface}` in region `{}`", shown(region)),
        None => format!("interface `{interface}`"),
    }
}

fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = words.into_iter();
    let mut listed: Vec<String> = words.by_ref().take(LISTED_MAX).map(shown).collect();
    if words.next().is_some() {
        listed.push("..".to_owned());
    }
    listed.join(", ")
}

/// More endpoints of Glance and Nova than a catalog of many regions has.
const ENDPOINTS_MAX: usize = 10_000;
/// More regions in a message do not help to find the right one.
const LISTED_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(interface: &str, region: &str, url: &str) -> Value {
        json!({"id": "e", "interface": interface, "region": region, "region_id": region, "url": url})
    }

    fn image(endpoints: &[Value]) -> Value {
        json!({"id": "i", "type": "image", "name": "glance", "endpoints": endpoints})
    }

    fn found(catalog: &Value, interface: &str, region: Option<&str>) -> Result<String, String> {
        let interfaces: Vec<String> = interface.split(' ').map(str::to_owned).collect();
        let place = Place { interfaces: &interfaces, region, origin: "cloud `x`" };
        let found = Catalog::read(catalog).find(Service::Glance, place);
        found.map(|found| found.url.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_needed_is_skipped_whatever_its_form() {
        let good = image(&[endpoint("public", "R1", "http://gl:9292")]);
        for odd in [
            json!({"type": "messaging-websocket", "endpoints": [endpoint("public", "R1", "ws://127.0.0.1:9000")]}),
            json!({"type": "metric", "endpoints": [{"interface": "public", "url": null}]}),
            json!({"type": "dns", "endpoints": [endpoint("public", "R1", "not a URL %(tenant)s")]}),
            json!({"type": "volumev3", "endpoints": {"a": 1}}),
            json!({"type": "object-store", "endpoints": [17, null, "x", [], {}]}),
            json!({"type": 17, "name": ["x"], "endpoints": null}),
            json!({"endpoints": []}),
            json!({}),
            json!([]),
            json!(null),
            json!("x"),
            json!(1e300),
        ] {
            for catalog in [json!([odd, good]), json!([good, odd])] {
                let url = found(&catalog, "public", Some("R1"));
                assert_eq!(url.as_deref(), Ok("http://gl:9292/"), "{catalog}");
            }
        }
        for catalog in [json!(null), json!({}), json!([]), json!([null]), json!("x")] {
            let error = found(&catalog, "public", None).unwrap_err();
            assert!(error.contains("Glance"), "{error}");
        }
    }

    #[test]
    fn interface_and_region_choose_and_what_there_is_instead_is_named() {
        let catalog = json!([image(&[
            endpoint("public", "R1", "http://p1"),
            endpoint("internal", "R1", "http://i1"),
            endpoint("admin", "R2", "http://a2"),
            endpoint("public", "R2", "http://p2"),
        ])]);
        assert_eq!(found(&catalog, "internal", Some("R1")).unwrap(), "http://i1/");
        assert_eq!(found(&catalog, "internal", None).unwrap(), "http://i1/", "in one region only");
        assert_eq!(found(&catalog, "public", Some("R2")).unwrap(), "http://p2/");
        assert_eq!(
            found(&catalog, "internal public", Some("R2")).unwrap(),
            "http://p2/",
            "the first there is"
        );
        assert_eq!(found(&catalog, "internal public", Some("R1")).unwrap(), "http://i1/");
        let error = found(&catalog, "internal", Some("R2")).unwrap_err();
        assert!(error.contains("interface `internal` in region `R2`"), "{error}");
        assert!(error.contains("interface `public` in regions R1, R2"), "{error}");
        let error = found(&catalog, "public", None).unwrap_err();
        assert!(error.contains("R1, R2") && error.contains("cloud `x`"), "{error}");
    }

    #[test]
    fn members_may_be_missing_and_words_old() {
        let mut plain = endpoint("publicURL", "R1", "http://p1");
        plain.as_object_mut().unwrap().remove("region_id");
        let mut new = endpoint("public", "R2", " http://p2 ");
        new.as_object_mut().unwrap().remove("region");
        let catalog = json!([image(&[plain, new])]);
        assert_eq!(found(&catalog, "public", Some("R1")).unwrap(), "http://p1/");
        assert_eq!(found(&catalog, "public", Some("R2")).unwrap(), "http://p2/");
        let nowhere = json!({"interface": "public", "url": "http://p3", "region": null});
        assert_eq!(found(&json!([image(&[nowhere])]), "public", None).unwrap(), "http://p3/");
    }

    #[test]
    fn a_service_is_known_by_type_version_or_name_and_the_type_counts_most() {
        let named = |kind: Value, name: &str, url: &str| json!({"type": kind, "name": name, "endpoints": [endpoint("public", "R1", url)]});
        for (kind, name) in [
            (json!("image"), "x"),
            (json!("imagev2"), "x"),
            (json!("image-v2"), "x"),
            (json!("glance"), "x"),
            (json!(null), "glance"),
            (json!(""), "image"),
        ] {
            let catalog = json!([named(kind, name, "http://it")]);
            assert_eq!(found(&catalog, "public", None).as_deref(), Ok("http://it/"), "{catalog}");
        }
        for (kind, name) in
            [("images", "glance"), ("imagev1", "glance"), ("compute", "glance"), ("x", "image")]
        {
            let catalog = json!([named(json!(kind), name, "http://it")]);
            assert!(found(&catalog, "public", None).is_err(), "{catalog}");
        }
        let both =
            json!([named(json!("imagev2"), "x", "http://old"), named(json!("image"), "x", "http://new")]);
        assert_eq!(found(&both, "public", None).unwrap(), "http://new/");
    }

    #[test]
    fn a_needed_address_that_is_none_is_named_unless_another_is_good() {
        for (bad, words) in [
            (json!("ws://gl:9292"), "ws://gl:9292"),
            (json!("gl:9292"), "gl:9292"),
            (json!("/image"), "/image"),
            (json!("http://gl:9292/%(tenant_id)s"), "filled in"),
            (json!(null), "no text"),
            (json!(""), "``"),
            (json!("http://\u{1b}[2J:x/"), "URL"),
        ] {
            let mut broken = endpoint("public", "R1", "");
            broken["url"] = bad;
            let error = found(&json!([image(std::slice::from_ref(&broken))]), "public", None).unwrap_err();
            assert!(error.contains(words) && error.contains("interface `public` in region `R1`"), "{error}");
            assert!(error.contains("image_endpoint_override") && !error.contains('\u{1b}'), "{error}");
            let catalog = json!([image(&[broken]), image(&[endpoint("public", "R1", "http://good")])]);
            assert_eq!(found(&catalog, "public", Some("R1")).unwrap(), "http://good/");
        }
    }
}
