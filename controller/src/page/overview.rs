//! What is wanted, what is so, what runs.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Response, StatusCode};
use serde_json::Value;

use super::ask::{Part, Refusal};
use super::html::Html;
use super::layout::{Frame, grid, hidden, page, push_table, rows, text};
use super::session::Session;
use super::{Page, Ui};
use crate::auth::{Action, Owner};
use crate::model::Status;

/// Shows everything at a glance.
pub(super) async fn show(State(ui): Ui, session: Session) -> Result<Response<Body>, Refusal> {
    let mut html = Html::default();
    running(&ui, &session, &mut html).await?;
    wanted(&ui, &session, &mut html).await?;
    hosts(&ui, &session, &mut html).await?;
    let frame = Frame { title: "Overview", form_key: session.sign_out(), is_live: false };
    Ok(page(StatusCode::OK, &frame, &html))
}

async fn running(ui: &Page, session: &Session, html: &mut Html) -> Result<(), Refusal> {
    html.raw("<h2>What runs</h2>");
    for (status, caption) in [(Status::Running, "Running"), (Status::Queued, "Queued")] {
        let path = format!("/v1/pushes?limit=20&status={}", status.name());
        let answer = ui.ask(session, Method::GET, &path).await?;
        let pushes = rows(&answer["pushes"]);
        if pushes.is_empty() {
            html.raw("<p>").raw(caption).raw(": nothing.</p>");
        } else {
            push_table(html, caption, pushes);
        }
    }
    Ok(())
}

async fn wanted(ui: &Page, session: &Session, html: &mut Html) -> Result<(), Refusal> {
    html.raw("<h2>What is wanted</h2>");
    let answer = ui.ask(session, Method::GET, "/v1/policies").await?;
    for mistake in rows(&answer["mistakes"]) {
        let mistake = mistake.as_str().map_or_else(|| mistake.to_string(), str::to_owned);
        html.raw("<p class=\"note bad\">No policy is followed before this is mended: ")
            .text(mistake)
            .raw("</p>");
    }
    let policies = rows(&answer["policies"]);
    if policies.is_empty() {
        html.raw("<p>There are no policies.</p>");
        return Ok(());
    }
    html.raw("<ul>");
    for policy in policies.iter().take(POLICIES_SHOWN) {
        let name = text(&policy["name"]);
        html.raw("<li><a href=\"/ui/policies/").text(name).raw("\">").text(name).raw("</a>: ");
        match ui.ask(session, Method::GET, &format!("/v1/policies/{name}/status")).await {
            Ok(status) => html.text(in_words(&status)),
            Err(Refusal::Said(_, reason)) => html.text(reason),
            Err(Refusal::SignIn) => return Err(Refusal::SignIn),
        };
        html.raw("</li>");
    }
    html.raw("</ul>");
    if policies.len() > POLICIES_SHOWN {
        html.raw("<p>and ").text(policies.len() - POLICIES_SHOWN).raw(" more</p>");
    }
    Ok(())
}

/// Returns a policy's status in a line: the number of hosts in each class.
fn in_words(status: &Value) -> String {
    let counts = status["status"]["counts"].as_object().into_iter().flatten();
    let mut words: Vec<String> = counts.map(|(class, count)| format!("{count} {class}")).collect();
    if status["status"]["needs_approval"] == true {
        words.push("waits for approval".to_owned());
    }
    match words.is_empty() {
        true => "no hosts".to_owned(),
        false => words.join(", "),
    }
}

/// Adds the hosts by availability zone: the only place that Nova tells for each of them.
async fn hosts(ui: &Page, session: &Session, html: &mut Html) -> Result<(), Refusal> {
    html.raw("<h2>What is so</h2>");
    let answer = ui.ask(session, Method::GET, "/v1/hosts").await?;
    let mut zones: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for host in rows(&answer["hosts"]) {
        zones.entry(host["zone"].as_str().unwrap_or("No zone")).or_default().push(host);
    }
    if zones.is_empty() {
        html.raw("<p>No host is known yet.</p>");
    }
    for (zone, hosts) in zones {
        html.raw("<h3>").text(zone).raw(", ").text(hosts.len());
        html.raw(if hosts.len() == 1 { " host</h3>" } else { " hosts</h3>" });
        grid(
            html,
            hosts.into_iter().map(|host| {
                let reason = host["reason"].as_str().unwrap_or(text(&host["out_of_use"]));
                (text(&host["name"]), text(&host["state"]), reason)
            }),
        );
    }
    if !rows(&answer["hosts_links"]).is_empty() {
        html.raw("<p>There are more hosts; the API lists them all.</p>");
    }
    Ok(())
}

/// Shows what is so of one policy.
pub(super) async fn policy(
    State(ui): Ui,
    session: Session,
    Part(name): Part,
) -> Result<Response<Body>, Refusal> {
    let answer = ui.ask(&session, Method::GET, &format!("/v1/policies/{name}/status")).await?;
    let status = &answer["status"];
    let mut html = Html::default();
    html.raw("<p>").text(in_words(&answer)).raw(". As of ").text(text(&answer["at"])).raw(".</p>");
    for problem in rows(&status["problems"]) {
        html.raw("<p class=\"note bad\">").text(text(problem)).raw("</p>");
    }
    approval(&ui, &session, &name, status, &mut html).await;
    html.raw("<h2>Images</h2><ul>");
    for image in rows(&status["images"]) {
        html.raw("<li>").text(image["name"].as_str().unwrap_or(text(&image["image"]))).raw(": on ");
        html.text(&image["holding"]).raw(" of ").text(&image["counted"]).raw(" hosts</li>");
    }
    html.raw("</ul><h2>Hosts</h2>");
    let hosts = status["hosts"].as_object().into_iter().flatten();
    grid(&mut html, hosts.map(|(name, why)| (name.as_str(), text(&why["state"]), text(&why["reason"]))));
    let frame = Frame { title: &format!("Policy {name}"), form_key: session.sign_out(), is_live: false };
    Ok(page(StatusCode::OK, &frame, &html))
}

async fn approval(ui: &Page, session: &Session, name: &str, status: &Value, html: &mut Html) {
    if status["needs_approval"] != true {
        return;
    }
    let pending = &status["pending"];
    html.raw("<div class=\"note\"><p>The plan waits for approval: ").text(&pending["hosts"]).raw(" hosts, ");
    html.text(&pending["written_bytes"]).raw(" bytes to write.</p>");
    let path = format!("/v1/policies/{name}/approve");
    if ui.may(session, Action::ApprovePolicy, &path, &Owner::default()).await {
        html.raw("<form method=\"post\" action=\"/ui/policies/").text(name).raw("/approve\">");
        hidden(html, &session.form_key);
        html.raw("<button>Approve</button></form>");
    }
    html.raw("</div>");
}

/// Policies whose status the overview tells; the rest are counted.
const POLICIES_SHOWN: usize = 50;
