//! What the page does: sign in and out, cancel, approve. Each is a POST whose form is the page's own.

use std::time::Instant;

use axum::Form;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::ask::{Part, Refusal};
use super::html::Html;
use super::layout::{Frame, page};
use super::session::{COOKIE_NAME, SESSION_TIME, Session};
use super::{Page, Ui};
use crate::auth::{Asked, AuthError};

/// The form of an action.
#[derive(Deserialize)]
pub(super) struct Keyed {
    key: String,
}

/// The form of a token. It has no `Debug`: a token is not for logs.
#[derive(Deserialize)]
pub(super) struct SignIn {
    token: String,
}

/// Shows the form for a token.
pub(super) async fn sign_in_form() -> Response<Body> {
    form(StatusCode::OK, None)
}

/// Begins a session for a valid token.
pub(super) async fn sign_in(
    State(ui): Ui,
    headers: HeaderMap,
    Form(asked): Form<SignIn>,
) -> Result<Response<Body>, Refusal> {
    if !is_same_origin(&headers) {
        return Err(Refusal::forbidden("The form came from another site."));
    }
    let token = asked.token.trim();
    let mut probe = HeaderMap::new();
    match token.parse() {
        Ok(value) => probe.insert("x-auth-token", value),
        Err(_) => return Ok(form(StatusCode::UNAUTHORIZED, Some("The token is not valid."))),
    };
    // The overview's own question, so that a token whose access rules let it read is taken.
    let asked = Asked { method: &Method::GET, path: "/v1/pushes", headers: &probe };
    match ui.app.auth.identify(asked).await {
        Ok(_) => {
            let cookie =
                ui.cookie(&ui.sessions.begin(token.to_owned(), Instant::now()), SESSION_TIME.as_secs());
            Ok(([(SET_COOKIE, cookie)], Redirect::to("/ui/")).into_response())
        }
        Err(AuthError::Unauthorized) => Ok(form(StatusCode::UNAUTHORIZED, Some("The token is not valid."))),
        Err(AuthError::Unavailable(_)) => {
            Ok(form(StatusCode::SERVICE_UNAVAILABLE, Some("Keystone cannot be asked now; try again.")))
        }
    }
}

/// Ends the session.
pub(super) async fn sign_out(
    State(ui): Ui,
    headers: HeaderMap,
    Form(asked): Form<Keyed>,
) -> Result<Response<Body>, Refusal> {
    ui.acting(&headers, &asked)?;
    ui.sessions.end(&headers);
    Ok(([(SET_COOKIE, ui.cookie("", 0))], Redirect::to("/ui/sign-in")).into_response())
}

/// Ends a push.
pub(super) async fn cancel(
    State(ui): Ui,
    headers: HeaderMap,
    Part(id): Part,
    Form(asked): Form<Keyed>,
) -> Result<Redirect, Refusal> {
    let session = ui.acting(&headers, &asked)?;
    ui.ask(&session, Method::DELETE, &format!("/v1/pushes/{id}")).await?;
    Ok(Redirect::to(&format!("/ui/pushes/{id}")))
}

/// Approves the plan of a policy.
pub(super) async fn approve(
    State(ui): Ui,
    headers: HeaderMap,
    Part(name): Part,
    Form(asked): Form<Keyed>,
) -> Result<Redirect, Refusal> {
    let session = ui.acting(&headers, &asked)?;
    ui.ask(&session, Method::POST, &format!("/v1/policies/{name}/approve")).await?;
    Ok(Redirect::to(&format!("/ui/policies/{name}")))
}

impl Page {
    /// Returns the session for which a form of the page acts.
    fn acting(&self, headers: &HeaderMap, form: &Keyed) -> Result<Session, Refusal> {
        let session = self.session(headers).ok_or(Refusal::SignIn)?;
        let is_own = aws_lc_rs::constant_time::verify_slices_are_equal(
            form.key.as_bytes(),
            session.form_key.as_bytes(),
        );
        match is_own.is_ok() && is_same_origin(headers) {
            true => Ok(session),
            false => Err(Refusal::forbidden("The form is not of this session: load the page again.")),
        }
    }

    fn cookie(&self, value: &str, seconds: u64) -> String {
        let is_https = self.app.config.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let secure = if is_https { "; Secure" } else { "" };
        format!("{COOKIE_NAME}={value}; Path=/ui; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }
}

/// Whether a browser says that the form came from this page, or says nothing: the key of the form decides then.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text(ORIGIN.as_str()).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, host)| Some(host) == text(HOST.as_str()))
    });
    site && origin
}

/// Returns the page with the form for a token.
pub(super) fn form(status: StatusCode, mistake: Option<&'static str>) -> Response<Body> {
    let mut html = Html::default();
    if let Some(mistake) = mistake {
        html.raw("<p class=\"note bad\" role=\"alert\">").raw(mistake).raw("</p>");
    }
    html.raw("<form method=\"post\" action=\"/ui/sign-in\"><label for=\"token\">Token</label>");
    html.raw("<input id=\"token\" name=\"token\" type=\"password\" required autocomplete=\"off\"> ");
    html.raw("<button>Sign in</button></form>");
    page(status, &Frame { title: "Sign in", form_key: None, is_live: false }, &html)
}
