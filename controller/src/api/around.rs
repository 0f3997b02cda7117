//! What happens to every request before and after its handler.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method, Response};
use axum::middleware::Next;
use axum::response::IntoResponse;
use tokio::time::timeout;
use uuid::Uuid;

use super::{ApiError, Shared, version};
use crate::auth::{Asked, AuthError, SERVICE_TYPE};
use crate::limits::ANSWER_TIME;
use crate::metrics::Verb;

/// The ids of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId {
    /// This service's own.
    pub(super) local: String,
    /// The one with which the request began, at another service.
    pub(super) global: Option<String>,
}

impl RequestId {
    fn new(headers: &HeaderMap) -> Self {
        let global = headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(|text| is_id(text));
        Self { local: format!("req-{}", Uuid::new_v4()), global: global.map(str::to_owned) }
    }

    /// Returns the id by which other services' logs have the request.
    pub(super) fn traced(&self) -> &str {
        self.global.as_deref().unwrap_or(&self.local)
    }
}

/// Whether a text is an id of a request (oslo.middleware, request_id.py).
fn is_id(text: &str) -> bool {
    let uuid = text.strip_prefix("req-").filter(|uuid| uuid.len() == 36 && !uuid.contains('{'));
    uuid.is_some_and(|uuid| Uuid::try_parse(uuid).is_ok())
}

const HEADER: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Gives a request its id, answers it, and counts it.
pub(super) async fn around(State(app): State<Shared>, mut request: Request, next: Next) -> Response<Body> {
    let start = Instant::now();
    let id = RequestId::new(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    request.extensions_mut().insert(id.clone());
    let is_versioned = path.starts_with("/v1");
    let mut version = None;
    let outcome = match is_versioned.then(|| version::negotiate(request.headers())).transpose() {
        Ok(asked) => {
            version = asked;
            within(&app, request, next).await
        }
        Err(error) => Err(error),
    };
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    };
    if let Some(error) = answer.extensions_mut().remove::<ApiError>() {
        answer = error.answer(&id.local);
    }
    finish(&mut answer, &id, is_versioned, version);
    let code = answer.status().as_u16();
    app.metrics.answered(verb(&method), &route, code, start.elapsed());
    let (request, millis) = (id.traced(), start.elapsed().as_secs_f64() * 1_000.0);
    tracing::debug!(request, %method, path, code, millis, "answered");
    answer
}

/// Finds out who asks, and lets the handler answer within a time.
async fn within(app: &Shared, mut request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    if needs_user(request.uri().path()) {
        let asked =
            Asked { method: request.method(), path: request.uri().path(), headers: request.headers() };
        let user = app.auth.identify(asked).await.map_err(|error| match error {
            AuthError::Unauthorized => ApiError::unauthorized(&app.auth.challenge()),
            AuthError::Unavailable(reason) => ApiError::unavailable("keystone", reason),
        })?;
        request.extensions_mut().insert(user);
    }
    let answered = timeout(ANSWER_TIME, next.run(request)).await;
    answered.map_err(|_| {
        let seconds = ANSWER_TIME.as_secs();
        ApiError::unavailable("too-slow", format!("The request took more than {seconds} s."))
    })
}

/// Whether only a known user gets an answer. Versions, health and the description of the API are for everybody.
fn needs_user(path: &str) -> bool {
    path.starts_with("/v1/") && path != "/v1/"
}

fn finish(
    answer: &mut Response<Body>,
    id: &RequestId,
    is_versioned: bool,
    version: Option<version::Version>,
) {
    let headers = answer.headers_mut();
    let local = HeaderValue::from_str(&id.local).expect("an id is ASCII");
    headers.insert(HEADER, local);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_versioned {
        headers.append(VARY, HeaderValue::from_static("OpenStack-API-Version"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if let Some(version) = version {
        let value = HeaderValue::from_str(&format!("{SERVICE_TYPE} {version}"));
        headers.insert(version::HEADER, value.expect("it is ASCII"));
    }
}

fn verb(method: &Method) -> Verb {
    match *method {
        Method::GET => Verb::Get,
        Method::HEAD => Verb::Head,
        Method::POST => Verb::Post,
        Method::PUT => Verb::Put,
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_service_is_kept_and_nothing_else() {
        assert!(is_id("req-9f1b9c5e-6a4c-4b57-9f6c-0a8f3b6f2b11"));
        for odd in [
            "req-1",
            "9f1b9c5e-6a4c-4b57-9f6c-0a8f3b6f2b11",
            "req-9f1b9c5e6a4c4b579f6c0a8f3b6f2b11",
            "req-x\n",
            "req-{9f1b9c5e-6a4c-4b57-9f6c-0a8f3b6f2b1}",
        ] {
            assert!(!is_id(odd), "{odd}");
        }
    }
}
