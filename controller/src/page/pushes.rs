//! Pushes: a list by pages, and one of them live.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::ask::{Part, Refusal, is_plain};
use super::html::Html;
use super::layout::{Frame, hidden, images, page, push_table, rows, state_cell, text};
use super::session::Session;
use super::{Page, Ui};
use crate::auth::{Action, Owner};
use crate::model::Status;

/// Where a page of the list begins.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    marker: Option<String>,
}

/// Lists pushes, the newest first.
pub(super) async fn list(
    State(ui): Ui,
    session: Session,
    Query(from): Query<From>,
) -> Result<Response<Body>, Refusal> {
    let mut path = format!("/v1/pushes?limit={PUSHES_SHOWN}");
    if let Some(marker) = from.marker {
        if !is_plain(&marker) {
            return Err(Refusal::not_found());
        }
        path.push_str("&marker=");
        path.push_str(&marker);
    }
    let answer = ui.ask(&session, Method::GET, &path).await?;
    let (mut html, pushes) = (Html::default(), rows(&answer["pushes"]));
    push_table(&mut html, "The newest first", pushes);
    if let Some(last) = pushes.last().filter(|_| !rows(&answer["pushes_links"]).is_empty()) {
        html.raw("<p><a rel=\"next\" href=\"/ui/pushes?marker=")
            .text(text(&last["id"]))
            .raw("\">Older pushes</a></p>");
    }
    let frame = Frame { title: "Pushes", form_key: session.sign_out(), is_live: false };
    Ok(page(StatusCode::OK, &frame, &html))
}

/// Shows one push. The script goes on from there.
pub(super) async fn show(State(ui): Ui, session: Session, Part(id): Part) -> Result<Response<Body>, Refusal> {
    let answer = ui.ask(&session, Method::GET, &format!("/v1/pushes/{id}")).await?;
    let push = &answer["push"];
    let hosts = ui.ask(&session, Method::GET, &format!("/v1/pushes/{id}/hosts")).await?;
    let has_ended = Status::of(text(&push["status"])).is_some_and(Status::is_end);
    let mut html = Html::default();
    state(push, has_ended, &mut html);
    cancel(&ui, &session, push, has_ended, &mut html).await;
    host_table(&hosts, &mut html);
    let title = format!("Push of {}", images(push));
    let frame = Frame { title: &title, form_key: session.sign_out(), is_live: !has_ended };
    Ok(page(StatusCode::OK, &frame, &html))
}

fn state(push: &Value, has_ended: bool, html: &mut Html) {
    html.raw("<section id=\"live\" aria-label=\"State\"");
    if !has_ended {
        html.raw(" data-events=\"/ui/pushes/").text(text(&push["id"])).raw("/events\"");
    }
    html.raw("><p role=\"status\">State: <strong>").text(text(&push["status"])).raw("</strong>");
    if let Some(reason) = push["reason"].as_str() {
        html.raw(", ").text(reason);
    }
    html.raw("</p><progress id=\"bar\" max=\"100\" aria-label=\"Percent sent\" value=\"")
        .text(&push["progress"]);
    html.raw("\"></progress><p id=\"figures\">").text(&push["progress"]).raw(" %</p><p id=\"late\">");
    let last = rows(&push["images"]).iter().rev().find_map(|image| image["progress"]["late"].as_array());
    for late in last.filter(|_| !has_ended).into_iter().flatten() {
        html.text(text(&late["host"])).raw(": ").text(text(&late["reason"])).raw("; ");
    }
    html.raw("</p></section><p>Asked for at ").text(text(&push["created_at"])).raw(" by ");
    html.text(push["policy"].as_str().unwrap_or(text(&push["user_name"]))).raw(".</p>");
}

async fn cancel(ui: &Page, session: &Session, push: &Value, has_ended: bool, html: &mut Html) {
    let path = format!("/v1/pushes/{}", text(&push["id"]));
    let part = |name: &str| push[name].as_str().map(str::to_owned);
    let owner = Owner { project_id: part("project_id"), user_id: part("user_id") };
    if has_ended || push["cancelled"] == true || !ui.may(session, Action::CancelPush, &path, &owner).await {
        return;
    }
    html.raw("<form method=\"post\" action=\"/ui/pushes/").text(text(&push["id"])).raw("/cancel\">");
    hidden(html, &session.form_key);
    html.raw("<button>Cancel this push</button></form>");
}

fn host_table(answer: &Value, html: &mut Html) {
    html.raw("<h2>Hosts</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">Host</th><th scope=\"col\">State</th>");
    html.raw("<th scope=\"col\">Reason</th></tr></thead><tbody id=\"hosts\">");
    for host in rows(&answer["hosts"]) {
        html.raw("<tr data-key=\"").text(&host["image"]).raw(" ").text(text(&host["name"])).raw("\"><td>");
        html.text(text(&host["name"])).raw("</td>");
        state_cell(html, text(&host["state"]));
        html.raw("<td>").text(text(&host["reason"])).raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
    if !rows(&answer["hosts_links"]).is_empty() {
        html.raw("<p>There are more hosts; the API lists them all.</p>");
    }
}

/// Passes the API's stream on. It ends with the push, and at the end of the program.
pub(super) async fn events(
    State(ui): Ui,
    session: Session,
    headers: HeaderMap,
    Part(id): Part,
) -> Result<Response<Body>, Refusal> {
    let name = HeaderName::from_static("last-event-id");
    let more: HeaderMap = headers.get(&name).map(|last| (name, last.clone())).into_iter().collect();
    ui.call(&session, Method::GET, &format!("/v1/pushes/{id}/events"), &more).await
}

/// Rows of a page of the list.
const PUSHES_SHOWN: usize = 50;
