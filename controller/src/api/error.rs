//! Errors, in both forms in which clients of OpenStack read them: the API-SIG's `errors`, and `error` with `message`, which
//! keystoneauth takes.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::auth::SERVICE_TYPE;
use crate::store::StoreError;

/// Why a request is refused. The request's id is added when the answer goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    /// For programs: `image-distribution.` and this.
    code: &'static str,
    /// For people: what is wrong, and what to do.
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Further members of the API-SIG's form.
    more: Vec<(&'static str, Value)>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new(), more: Vec::new() }
    }

    /// 400: the request is wrong.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: nobody is known to have asked.
    pub fn unauthorized(challenge: &str) -> Self {
        let detail = "The request you have made requires authentication.";
        let error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        match HeaderValue::from_str(challenge) {
            Ok(challenge) => Self { headers: vec![(WWW_AUTHENTICATE, challenge)], ..error },
            Err(_) => error,
        }
    }

    /// 403: the rules of the policy file do not let this user do it.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The policy does not allow this user to do that.")
    }

    /// 404: there is no such thing.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 406: there is no such version.
    pub fn not_acceptable(detail: impl Into<String>, more: Vec<(&'static str, Value)>) -> Self {
        let error = Self::new(StatusCode::NOT_ACCEPTABLE, "no-such-version", detail);
        Self { more, ..error }
    }

    /// 409: it does not fit what is there.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 413, 415 and 408: the body cannot be taken.
    pub fn body(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "bad-body", detail)
    }

    /// 503: not now.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        Self { headers: vec![(RETRY_AFTER, HeaderValue::from_static("5"))], ..error }
    }

    /// Returns the answer with the id of the request.
    pub(super) fn answer(&self, request_id: &str) -> Response<Body> {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut first = Map::new();
        first.insert("request_id".into(), request_id.into());
        first.insert("code".into(), format!("{SERVICE_TYPE}.{}", self.code).into());
        first.insert("status".into(), self.status.as_u16().into());
        first.insert("title".into(), title.into());
        first.insert("detail".into(), self.detail.clone().into());
        first.insert("links".into(), json!([{"rel": "help", "href": HELP}]));
        first.extend(self.more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let body = json!({
            "errors": [first],
            "error": {"code": self.status.as_u16(), "title": title, "message": self.detail},
        });
        let mut answer = Response::new(Body::from(body.to_string()));
        *answer.status_mut() = self.status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers_mut().extend(self.headers.iter().cloned());
        answer
    }
}

/// Carries the error to where the request's id is known.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = self.status;
        answer.extensions_mut().insert(self);
        answer
    }
}

/// The database fails: it is not the client's fault, and its words are for the log.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::unavailable("database", "The controller's database does not answer; try again.")
    }
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found("no-such-path", format!("There is nothing at {}.", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{method} is not for {}.", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", detail)
}

const HELP: &str = "https://github.com/glancecast/glancecast/blob/main/docs/api.md#errors";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_has_both_forms() {
        let error = ApiError::not_found("no-such-push", "There is no push x.");
        let answer = error.answer("req-1");
        assert_eq!(answer.status(), 404);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["error"]["message"], "There is no push x.");
        assert_eq!(body["errors"][0]["code"], "image-distribution.no-such-push");
        assert_eq!(
            (&body["errors"][0]["request_id"], &body["errors"][0]["status"]),
            (&json!("req-1"), &json!(404))
        );
    }
}
