//! Versions of a service: finds its API by the version document at its address or above it.
//!
//! A version document names addresses, mostly those that the service has behind a proxy. As in keystoneauth
//! (`_combine_relative_url`), only the path of such an address counts: scheme, host and port stay those of the address
//! that was asked, so that no other server gets a password or a token. A path that does not lie below the one that was
//! asked is the back end's, too, and the usual path is taken.

use reqwest::{Method, StatusCode, Url};
use secrecy::SecretString;
use serde_json::Value;

use super::error::CloudError;
use super::http::{ANSWER_TIMEOUT, Answer, Http, Repeat, with_token};
use super::service::Peer;

/// The version of an API that is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    /// The major version.
    pub(super) major: u32,
    /// Its path segment: `v2`.
    pub(super) segment: &'static str,
}

/// What was found at an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    /// The API; ends in a slash.
    Found(Url),
    /// The service has other versions.
    OtherVersions,
    /// No version document; the status of the first answer.
    Nothing(StatusCode),
}

/// Looks for an API at an address of a service and at those above it. `token` is sent along, if there is one.
///
/// # Errors
/// Those of [`Http::ask`].
pub(super) async fn discover(
    http: &Http,
    peer: &Peer,
    start: &Url,
    version: Version,
    token: Option<&SecretString>,
) -> Result<Discovery, CloudError> {
    let mut url = with_slash(start.clone());
    let (mut first, mut other_versions) = (None, false);
    for _ in 0..STEPS_MAX {
        let answer = ask(http, &peer.at(&url), &url, token).await?;
        first.get_or_insert(answer.status);
        match api(&answer, &url, version) {
            Some(Some(api)) => return Ok(Discovery::Found(api)),
            // Above the address is perhaps another service.
            Some(None) => other_versions |= url == with_slash(start.clone()),
            None => {}
        }
        let Some(above) = above(&url) else { break };
        url = above;
    }
    match other_versions {
        true => Ok(Discovery::OtherVersions),
        false => Ok(Discovery::Nothing(first.expect("at least one step was made"))),
    }
}

async fn ask(
    http: &Http,
    peer: &Peer,
    url: &Url,
    token: Option<&SecretString>,
) -> Result<Answer, CloudError> {
    let mut request = http.request(peer, Method::GET, url.clone())?.timeout(ANSWER_TIMEOUT);
    if let Some(token) = token {
        request = with_token(request, token).ok_or_else(CloudError::unsendable_token)?;
    }
    http.ask(peer, request.header("Accept", "application/json"), Repeat::Yes).await
}

/// Whether an address ends in the segment of the version: it is the API's own.
pub(super) fn is_versioned(url: &Url, version: Version) -> bool {
    url.path().trim_end_matches('/').rsplit('/').next().is_some_and(|last| {
        last.strip_prefix(version.segment).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Adds the final slash, so that paths are joined below the address. Removes query and fragment.
pub(super) fn with_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Returns the address one segment above, which also ends in a slash.
fn above(url: &Url) -> Option<Url> {
    let (above, _) = url.path().trim_end_matches('/').rsplit_once('/')?;
    let mut url = url.clone();
    url.set_path(&format!("{above}/"));
    Some(url)
}

/// Reads an answer as a version document. Returns the API's address if the document has the version, and `None` within
/// if it has others only.
fn api(answer: &Answer, asked: &Url, version: Version) -> Option<Option<Url>> {
    // 300 Multiple Choices is the usual status of a list of versions.
    if !answer.status.is_success() && answer.status != StatusCode::MULTIPLE_CHOICES {
        return None;
    }
    let document: Value = serde_json::from_slice(&answer.body).ok()?;
    let versions = versions(&document)?;
    let best = versions.iter().filter_map(|entry| Some((number(entry)?, *entry)));
    let best = best.filter(|((major, _), _)| *major == version.major).max_by_key(|(number, _)| *number);
    Some(best.map(|(_, entry)| address(link(entry), asked, version)))
}

/// Returns the versions of a document: `{"versions": [..]}`, `{"versions": {"values": [..]}}` or `{"version": {..}}`.
fn versions(document: &Value) -> Option<Vec<&Value>> {
    if let Some(version) = document.get("version") {
        return version.is_object().then(|| vec![version]);
    }
    let versions = document.get("versions")?;
    let list = versions.as_array().or_else(|| versions.get("values")?.as_array())?;
    Some(list.iter().take(VERSIONS_MAX).collect())
}

/// Returns the number of a version: `v2.15` is (2, 15).
fn number(version: &Value) -> Option<(u32, u32)> {
    let id = version.get("id")?;
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let mut parts = id.trim().trim_start_matches(['v', 'V']).split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Returns the address that a version names as its own.
fn link(version: &Value) -> Option<&str> {
    let links = version.get("links")?.as_array()?;
    let of_self = links.iter().find(|link| link.get("rel").and_then(Value::as_str) == Some("self"));
    of_self.or(links.first())?.get("href")?.as_str()
}

/// Returns the API's address at the server that was asked.
fn address(link: Option<&str>, asked: &Url, version: Version) -> Url {
    let base = if is_versioned(asked, version) {
        above(asked).unwrap_or_else(|| asked.clone())
    } else {
        asked.clone()
    };
    let mut usual = base.clone();
    usual.set_path(&format!("{}{}/", base.path(), version.segment));
    // `join` takes relative addresses, too.
    let told = link.and_then(|link| asked.join(link.trim()).ok()).map(with_slash);
    match told {
        Some(told) if told.path().starts_with(base.path()) && is_versioned(&told, version) => {
            usual.set_path(told.path());
            usual
        }
        _ => usual,
    }
}

/// More steps than any service's path has below its server's root.
const STEPS_MAX: usize = 10;
/// More versions than any service has.
const VERSIONS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    const V2: Version = Version { major: 2, segment: "v2" };

    fn found(asked: &str, document: &Value) -> Option<Option<String>> {
        let (status, body) = (StatusCode::MULTIPLE_CHOICES, document.to_string().into_bytes());
        let answer = Answer { status, headers: HeaderMap::new(), body };
        api(&answer, &Url::parse(asked).unwrap(), V2).map(|api| api.map(String::from))
    }

    fn linked(asked: &str, href: &str) -> String {
        let document = json!({"versions": [{"id": "v2.15", "links": [{"rel": "self", "href": href}]}]});
        found(asked, &document).unwrap().unwrap()
    }

    #[test]
    fn host_and_port_stay_those_of_the_address_that_was_asked() {
        for (asked, href, api) in [
            ("http://gl:9292/", "http://gl:9292/v2/", "http://gl:9292/v2/"),
            ("http://gl:9292/", "http://glance.internal:19292/v2/", "http://gl:9292/v2/"),
            ("https://cloud/image/", "http://cloud/image/v2/", "https://cloud/image/v2/"),
            ("https://cloud/image/", "http://10.0.0.1:9292/v2", "https://cloud/image/v2/"),
            ("https://cloud/image/", "http://10.0.0.1:9292/glance-api/v2/", "https://cloud/image/v2/"),
            ("https://cloud/image/v2/", "http://10.0.0.1:9292/v2/", "https://cloud/image/v2/"),
            ("https://cloud/", "http://10.0.0.1/image/v2/", "https://cloud/image/v2/"),
            ("https://cloud/image/", "v2/", "https://cloud/image/v2/"),
            ("https://cloud/image/", "/image/v2/", "https://cloud/image/v2/"),
            ("https://cloud/image/", "//evil/v2/?x=1#y", "https://cloud/image/v2/"),
            ("https://cloud/image/", "http://x:99999/v2", "https://cloud/image/v2/"),
            ("https://cloud/image/", "https://cloud/image/v2/tasks", "https://cloud/image/v2/"),
            ("https://cloud/image/", "javascript:x", "https://cloud/image/v2/"),
            ("https://u:p@cloud/image/", "http://cloud/image/v2", "https://u:p@cloud/image/v2/"),
        ] {
            assert_eq!(linked(asked, href), api, "{asked} {href}");
        }
    }

    #[test]
    fn every_form_of_a_version_document_is_read() {
        let v2 = json!({"id": "v2.3", "links": [{"rel": "self", "href": "http://gl/v2/"}]});
        let v1 = json!({"id": "v1.1", "links": []});
        let api = Some(Some("http://gl/v2/".to_owned()));
        for document in [
            json!({"versions": [v1, v2]}),
            json!({"versions": {"values": [v2]}}),
            json!({"version": v2}),
            json!({"versions": [{"id": "v2.0"}]}),
            json!({"versions": [17, null, {"id": null}, {"id": "v2", "links": "x"}]}),
            json!({"versions": [{"id": 2.0, "links": [{"href": 5}]}]}),
        ] {
            assert_eq!(found("http://gl/", &document), api, "{document}");
        }
        for other in [json!({"versions": [v1]}), json!({"versions": []}), json!({"version": {}})] {
            assert_eq!(found("http://gl/", &other), Some(None), "{other}");
        }
        for none in [json!({}), json!([]), json!("x"), json!({"versions": 5}), json!({"version": 5})] {
            assert_eq!(found("http://gl/", &none), None, "{none}");
        }
    }

    #[test]
    fn an_address_with_the_version_is_the_apis_own() {
        let is = |url: &str| is_versioned(&Url::parse(url).unwrap(), V2);
        assert!(is("http://gl/v2") && is("http://gl/image/v2/") && is("http://gl/v2.1"));
        assert!(!is("http://gl/") && !is("http://gl/v20") && !is("http://gl/v2/images"));
    }
}
