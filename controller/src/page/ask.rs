//! Questions of the page to the API's own router.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Path};
use axum::http::header::HeaderValue;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;
use tower::ServiceExt;

use super::layout::{self, Frame};
use super::session::Session;
use super::{Page, actions};
use crate::auth::{Action, Asked, Owner};

/// Why the page cannot show what was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The user has to sign in, first or again.
    SignIn,
    /// The API's own answer, for people.
    Said(StatusCode, String),
}

impl Refusal {
    pub(super) fn not_found() -> Self {
        Self::Said(StatusCode::NOT_FOUND, "There is no such page.".to_owned())
    }

    pub(super) fn forbidden(reason: &str) -> Self {
        Self::Said(StatusCode::FORBIDDEN, reason.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::SignIn => actions::form(StatusCode::UNAUTHORIZED, None),
            Self::Said(status, text) => {
                let mut body = super::html::Html::default();
                body.raw("<p class=\"note bad\" role=\"alert\">").text(text).raw("</p>");
                let title = status.canonical_reason().unwrap_or("Error");
                layout::page(status, &Frame { title, form_key: None, is_live: false }, &body)
            }
        }
    }
}

impl Page {
    /// Returns the JSON of a path of the API.
    pub(super) async fn ask(&self, session: &Session, method: Method, path: &str) -> Result<Value, Refusal> {
        let answer = self.call(session, method, path, &HeaderMap::new()).await?;
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED => Err(Refusal::SignIn),
            status => {
                Err(Refusal::Said(status, body["error"]["message"].as_str().unwrap_or_default().to_owned()))
            }
        }
    }

    /// Returns the API's answer as it is.
    pub(super) async fn call(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        more: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .map_err(|_| Refusal::not_found())?;
        *request.headers_mut() = more.clone();
        request.headers_mut().extend(token(session));
        let Ok(answer) = self.api.clone().oneshot(request).await;
        Ok(answer)
    }

    /// Whether the user may do something by a request of the API, so that the page offers it.
    pub(super) async fn may(&self, session: &Session, action: Action, path: &str, owner: &Owner) -> bool {
        let method = if action == Action::CancelPush { Method::DELETE } else { Method::POST };
        let headers = token(session);
        let asked = Asked { method: &method, path, headers: &headers };
        let user = self.app.auth.identify(asked).await;
        user.is_ok_and(|user| self.app.rules.allow(action, &user, owner))
    }
}

fn token(session: &Session) -> HeaderMap {
    let value = session.token.as_deref().and_then(|token| HeaderValue::from_str(token).ok());
    value.into_iter().map(|value| (axum::http::HeaderName::from_static("x-auth-token"), value)).collect()
}

/// A part of the page's address that may become a part of the API's.
pub(super) struct Part(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let part = Path::<String>::from_request_parts(parts, state).await.ok();
        part.filter(|Path(part)| is_plain(part)).map(|Path(part)| Self(part)).ok_or_else(Refusal::not_found)
    }
}

impl FromRequestParts<Arc<Page>> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, page: &Arc<Page>) -> Result<Self, Refusal> {
        page.session(&parts.headers).ok_or(Refusal::SignIn)
    }
}

pub(super) fn is_plain(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && part.len() <= 255 && part.chars().all(plain) && !part.starts_with('.')
}

/// Bytes of an answer of the API: a status of some images on 10 000 hosts.
const ANSWER_BYTES_MAX: usize = 32 << 20;
