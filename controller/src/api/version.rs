//! Versions: which there are, and which one a request asks for (API-SIG, microversions).

use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::links::Base;
use super::{ApiError, Shared};
use crate::auth::SERVICE_TYPE;

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The major version.
    pub major: u32,
    /// The microversion.
    pub minor: u32,
}

/// The oldest version that is answered; also for requests that ask for none.
pub const MIN: Version = Version { major: 1, minor: 1 };
/// The newest version.
pub const MAX: Version = Version { major: 1, minor: 1 };

/// The header of the version.
pub(super) const HEADER: HeaderName = HeaderName::from_static("openstack-api-version");

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Returns the version that a request asks for.
///
/// # Errors
/// 400 if the header has another form, 406 if there is no such version.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Version, ApiError> {
    let mut asked = None;
    for value in headers.get_all(HEADER) {
        let value = value.to_str().map_err(|_| malformed("bytes that are no text"))?;
        // Other services' versions may stand beside ours.
        for part in value.split(',') {
            let mut words = part.split_whitespace();
            let Some(service) = words.next() else { continue };
            if service.eq_ignore_ascii_case(SERVICE_TYPE) {
                match (words.next(), words.next()) {
                    (Some(version), None) => asked = Some(parse(version)?),
                    _ => return Err(malformed(part)),
                }
            }
        }
    }
    let version = asked.unwrap_or(MIN);
    match (MIN..=MAX).contains(&version) {
        true => Ok(version),
        false => Err(ApiError::not_acceptable(
            format!("Version {version} is not supported by the API. Minimum is {MIN} and maximum is {MAX}."),
            vec![("min_version", MIN.to_string().into()), ("max_version", MAX.to_string().into())],
        )),
    }
}

fn parse(text: &str) -> Result<Version, ApiError> {
    if text.eq_ignore_ascii_case("latest") {
        return Ok(MAX);
    }
    let number = |digits: &str| {
        let is_plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        is_plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let version = text.split_once('.').and_then(|(major, minor)| {
        Some(Version { major: number(major).filter(|major| *major > 0)?, minor: number(minor)? })
    });
    version.ok_or_else(|| malformed(text))
}

fn malformed(text: &str) -> ApiError {
    let text: String = text.chars().take(80).collect();
    ApiError::bad_request(
        "malformed-version",
        format!("{text:?} is not a version: write OpenStack-API-Version: {SERVICE_TYPE} {MAX}, or latest"),
    )
}

/// `GET /`: the versions of the API.
#[utoipa::path(get, path = "/", tag = "versions", security(()), responses((status = 300, description = "the versions")))]
pub(super) async fn versions(State(app): State<Shared>, headers: HeaderMap) -> impl IntoResponse {
    let base = Base::of(&app.config, &headers);
    (StatusCode::MULTIPLE_CHOICES, Json(json!({ "versions": [entry(&base)] })))
}

/// `GET /v1`: this version.
#[utoipa::path(get, path = "/v1/", tag = "versions", security(()), responses((status = 200, description = "the version")))]
pub(super) async fn version(State(app): State<Shared>, headers: HeaderMap) -> Json<Value> {
    let base = Base::of(&app.config, &headers);
    Json(json!({ "version": entry(&base) }))
}

fn entry(base: &Base) -> Value {
    json!({
        "id": "v1",
        "status": "CURRENT",
        "version": MAX.to_string(),
        "min_version": MIN.to_string(),
        "links": [
            {"rel": "self", "href": base.link("/v1/")},
            {"rel": "describedby", "type": "application/json", "href": base.link("/openapi.json")},
        ],
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Result<Version, ApiError> {
        let value = |text: &&str| (HEADER, HeaderValue::from_str(text).expect("a header"));
        negotiate(&values.iter().map(value).collect())
    }

    #[test]
    fn the_version_of_this_service_is_found_among_others() {
        for values in [
            &[][..],
            &["compute 2.79"],
            &["image-distribution 1.1"],
            &["Image-Distribution LATEST"],
            &["compute 2.79, image-distribution 1.1"],
            &["compute 2.79", "image-distribution latest"],
            &["", "identity"],
        ] {
            assert_eq!(of(values), Ok(MAX), "{values:?}");
        }
    }

    #[test]
    fn a_version_that_is_none_is_400_and_one_that_is_not_there_is_406() {
        for text in [
            "image-distribution",
            "image-distribution one",
            "image-distribution 1",
            "image-distribution 1.x",
            "image-distribution 01.1",
            "image-distribution 1.01",
            "image-distribution 0.1",
            "image-distribution 1.1 1.2",
            "image-distribution -1.1",
            "image-distribution 1.1.1",
        ] {
            let error = of(&[text]).expect_err(text);
            assert_eq!(error.answer("r").status(), 400, "{text}");
        }
        for text in [
            "image-distribution 1.0",
            "image-distribution 1.2",
            "image-distribution 2.0",
            "image-distribution 99999999999.1",
        ] {
            let error = of(&[text]).expect_err(text);
            assert_eq!(error.answer("r").status(), 406, "{text}");
        }
    }
}
