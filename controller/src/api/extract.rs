//! Parts of a request as values, whose faults are answered as all others are.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::around::RequestId;
use super::{ApiError, Shared};
use crate::auth::Identity;
use crate::limits::{ANSWER_TIME, BODY_BYTES_MAX};
use crate::model::Origin;

/// Who asks, and by which request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: Identity,
    pub(super) request: RequestId,
}

impl Caller {
    /// Returns what is stored with a thing that the caller makes.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            policy: None,
            user_id: cut(&self.user.user_id),
            user_name: cut(&self.user.user_name),
            project_id: self.user.project_id.clone(),
            request_id: self.request.traced().to_owned(),
        }
    }
}

/// Returns a text that fits its column.
fn cut(text: &str) -> String {
    text.chars().take(COLUMN_CHARS).collect()
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let user = parts.extensions.get::<Identity>().cloned();
        let request = parts.extensions.get::<RequestId>().cloned();
        match (user, request) {
            (Some(user), Some(request)) => Ok(Self { user, request }),
            _ => Err(ApiError::unauthorized(&app.auth.challenge())),
        }
    }
}

/// A body of JSON.
#[derive(Clone, Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, ApiError> {
        let kind = request.headers().get(axum::http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            let detail = "The body has to be JSON: send Content-Type: application/json.";
            return Err(ApiError::body(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = timeout(ANSWER_TIME, collect(request.into_body())).await.unwrap_or_else(|_| {
            Err(ApiError::body(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time."))
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::bad_request("bad-body", format!("The body is wrong: {error}.")))
    }
}

/// Reads a body. The rest of one that is too long is read, too, up to a bound: a client that is cut off while it sends
/// may never see the answer.
async fn collect(body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    let (mut pieces, mut bytes, mut length) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| ApiError::body(StatusCode::BAD_REQUEST, error.to_string()))?;
        length += piece.len();
        if length <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&piece);
        } else if length > PASSED_OVER_MAX {
            break;
        }
    }
    match length > BODY_BYTES_MAX {
        true => {
            let detail = format!("The body is longer than {BODY_BYTES_MAX} bytes.");
            Err(ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        false => Ok(bytes),
    }
}

/// Bytes of a body after which a client that goes on is cut off.
const PASSED_OVER_MAX: usize = 16 << 20;

/// The query of a request: each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    /// Returns the value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks that there are no other names. Those of `repeated` may come several times.
    ///
    /// # Errors
    /// 400: a filter that is passed over would show what was not asked for.
    pub(super) fn only(&self, names: &[&str], repeated: &[&str]) -> Result<(), ApiError> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            let is_again = self.0[..at].iter().any(|(before, _)| before == name);
            match (names.contains(&name.as_str()), repeated.contains(&name.as_str())) {
                (_, true) => {}
                (true, _) if !is_again => {}
                (true, _) => {
                    return Err(ApiError::bad_request("bad-query", format!("{name} stands there twice")));
                }
                (false, _) => {
                    let known = [names, repeated].concat().join(", ");
                    let detail = format!("there is no parameter {name:?}; there are {known}");
                    return Err(ApiError::bad_request("bad-query", detail));
                }
            }
        }
        Ok(())
    }

    /// Returns all values of a name, those with commas between them apart.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(known, _)| known == name);
        values.flat_map(|(_, value)| value.split(',')).map(str::to_owned).collect()
    }
}

impl FromRequestParts<Shared> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| ApiError::bad_request("bad-query", error.body_text()))
    }
}

/// A part of the path.
#[derive(Clone, Debug)]
pub(super) struct Path(pub(super) String);

impl FromRequestParts<Shared> for Path {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|error| ApiError::bad_request("bad-path", error.body_text()))
    }
}

/// The length of a column of names.
const COLUMN_CHARS: usize = 255;
