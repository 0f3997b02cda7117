//! What all pages have around their content, and the parts that several of them show.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;

use super::html::Html;

/// What surrounds a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The heading.
    pub(super) title: &'a str,
    /// For the form that signs out; `None` where nobody has signed in.
    pub(super) form_key: Option<&'a str>,
    /// Whether the script follows a push.
    pub(super) is_live: bool,
}

/// Returns a page.
pub(super) fn page(status: StatusCode, frame: &Frame<'_>, body: &Html) -> Response<Body> {
    let mut html = Html::default();
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>").text(frame.title);
    html.raw(" - glancecast</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<link rel=\"stylesheet\" href=\"/ui/style.css\">");
    if frame.is_live {
        html.raw("<script src=\"/ui/page.js\" defer></script>");
    }
    html.raw(
        "</head><body><a class=\"skip\" href=\"#main\">To the content</a><header><strong>glancecast</strong>",
    );
    html.raw(
        "<nav aria-label=\"Pages\"><a href=\"/ui/\">Overview</a> <a href=\"/ui/pushes\">Pushes</a></nav>",
    );
    if let Some(key) = frame.form_key {
        html.raw("<form method=\"post\" action=\"/ui/sign-out\">");
        hidden(&mut html, key);
        html.raw("<button>Sign out</button></form>");
    }
    html.raw("</header><main id=\"main\"><h1>").text(frame.title).raw("</h1>").part(body);
    html.raw("</main></body></html>");
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html.finish()).into_response()
}

/// Adds what a form brings back, by which it is known to be the page's own.
pub(super) fn hidden(html: &mut Html, key: &str) {
    html.raw("<input type=\"hidden\" name=\"key\" value=\"").text(key).raw("\">");
}

/// Adds pushes as a table.
pub(super) fn push_table(html: &mut Html, caption: &'static str, pushes: &[Value]) {
    html.raw("<div class=\"wide\"><table><caption>").raw(caption).raw("</caption><thead><tr>");
    html.raw("<th scope=\"col\">Push</th><th scope=\"col\">State</th><th scope=\"col\">Sent</th>");
    html.raw("<th scope=\"col\">Asked for</th><th scope=\"col\">By</th></tr></thead><tbody>");
    for push in pushes {
        html.raw("<tr><td><a href=\"/ui/pushes/")
            .text(text(&push["id"]))
            .raw("\">")
            .text(images(push))
            .raw("</a></td>");
        state_cell(html, text(&push["status"]));
        html.raw("<td>")
            .text(&push["progress"])
            .raw(" %</td><td>")
            .text(text(&push["created_at"]))
            .raw("</td><td>");
        html.text(push["policy"].as_str().unwrap_or(text(&push["user_name"]))).raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

/// Adds a state as a cell of a table.
pub(super) fn state_cell(html: &mut Html, state: &str) {
    html.raw("<td class=\"").raw(colour(state)).raw("\">").text(state).raw("</td>");
}

/// Adds hosts as a grid: each with its state as a word, since colours do not reach everybody.
pub(super) fn grid<'a>(html: &mut Html, hosts: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
    html.raw("<ul class=\"grid\">");
    for (name, state, reason) in hosts {
        html.raw("<li class=\"").raw(colour(state)).raw("\">").text(name).raw("<small>").text(state);
        if !reason.is_empty() {
            html.raw(": ").text(reason);
        }
        html.raw("</small></li>");
    }
    html.raw("</ul>");
}

/// Returns the class of a state. A word that is not known has no colour.
fn colour(state: &str) -> &'static str {
    match state {
        "done" | "existing" | "answered" | "holding" => "good",
        "running" | "joined" | "coming" | "queued" => "busy",
        "failed" | "partial" | "failing" | "refused" | "never_answered" | "silent" | "key_changed"
        | "unknown_key" | "other_version" | "incomplete" => "bad",
        _ => "plain",
    }
}

/// Returns the names of a push's images.
pub(super) fn images(push: &Value) -> String {
    let images = push["images"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = images
        .iter()
        .map(|image| image["name"].as_str().unwrap_or(text(&image["reference"])))
        .take(3)
        .collect();
    let more = images.len().saturating_sub(names.len());
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Returns a text of JSON; nothing for what is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns a list of JSON; an empty one for what is none.
pub(super) fn rows(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
