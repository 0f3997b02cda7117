//! The page under `/ui/`: what is wanted, what is so, what runs; plain HTML, which one short script keeps up to date.
//!
//! ```text
//! browser --cookie--> page --token of the session--> the API's own router --JSON--> views --escaped--> browser
//! ```
//!
//! The page is a client of the API within the program: it has no rights and no figures of its own.

mod actions;
mod ask;
mod html;
mod layout;
mod overview;
mod pushes;
mod session;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Response};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};

use crate::api::Shared;
use crate::auth::Authenticator;
use session::{Session, Sessions, random};

/// What the page's handlers share.
struct Page {
    app: Shared,
    api: Router,
    sessions: Sessions,
    /// What forms bring back where nobody signs in.
    form_key: String,
}

type Ui = State<Arc<Page>>;

/// Adds the page to the API.
pub fn with_page(api: Router, app: Shared) -> Router {
    let page = Page { app, api: api.clone(), sessions: Sessions::default(), form_key: random() };
    let ui = Router::new()
        .route("/ui", get(|| async { Redirect::to("/ui/") }))
        .route("/ui/", get(overview::show))
        .route("/ui/pushes", get(pushes::list))
        .route("/ui/pushes/{id}", get(pushes::show))
        .route("/ui/pushes/{id}/events", get(pushes::events))
        .route("/ui/pushes/{id}/cancel", post(actions::cancel))
        .route("/ui/policies/{name}", get(overview::policy))
        .route("/ui/policies/{name}/approve", post(actions::approve))
        .route("/ui/sign-in", get(actions::sign_in_form).post(actions::sign_in))
        .route("/ui/sign-out", post(actions::sign_out))
        .route("/ui/style.css", get(|| file("text/css", include_str!("style.css"))))
        .route("/ui/page.js", get(|| file("text/javascript", include_str!("page.js"))))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(protect))
        .with_state(Arc::new(page));
    ui.fallback_service(api)
}

impl Page {
    /// Returns the session of a request; `None` if its user has to sign in.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        match self.app.auth {
            // A page of another name that leads to this address (DNS rebinding) must not act for the user.
            Authenticator::Nobody => {
                is_loopback(headers).then(|| Session { token: None, form_key: self.form_key.clone() })
            }
            _ => self.sessions.find(headers, Instant::now()),
        }
    }
}

/// Whether a request was meant for this machine by an address of it.
fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
        Ok(_) => name,
        Err(_) => host,
    });
    name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// Keeps every answer of the page from being framed, kept, or made to run what is not its own.
async fn protect(request: Request, next: Next) -> Response<Body> {
    let mut answer = next.run(request).await;
    let fixed: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_str(value).expect("it is ASCII"));
    }
    answer
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
/// Bytes of a form: a token of the longest kind, each byte of it escaped. Longer ones are answered with 413.
const FORM_BYTES_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_is_one() {
        let is = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().expect("a header"));
            is_loopback(&headers)
        };
        for good in ["localhost", "localhost:9718", "127.0.0.1:9718", "[::1]:9718", "[::1]"] {
            assert!(is(good), "{good}");
        }
        for odd in ["evil.example:9718", "127.0.0.1.evil.example", "10.0.0.1:9718", ""] {
            assert!(!is(odd), "{odd:?}");
        }
    }
}
