//! `/v1/hosts`: the hosts that Nova or the group knows, and what they hold.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use glancecast_platform::clock::wall;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::extract::{Caller, Path, Query};
use super::images::pinned;
use super::links::Base;
use super::paging::{Page, limit};
use super::{ApiError, Shared};
use crate::auth::{Action, Owner};
use crate::model::{Host, Inventory, rfc3339};
use crate::store::HostsFilter;

/// A host.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct HostView {
    /// Its name.
    pub name: String,
    /// Its availability zone; null if Nova does not know the host.
    pub zone: Option<String>,
    /// The aggregates that it is in.
    pub aggregates: Vec<String>,
    /// Why Nova would not start instances on it now; null if it would, or does not know it.
    pub out_of_use: Option<String>,
    /// What came of the last question what it holds: docs/json.md has the states; `unasked` before the first one.
    pub state: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Its program and version.
    pub software: Option<String>,
    /// What can still be written to its store.
    pub free_bytes: Option<u64>,
    /// When it was asked last.
    pub asked_at: Option<String>,
    /// When it answered last.
    pub answered_at: Option<String>,
    /// Seconds since it answered.
    pub age_seconds: Option<u64>,
}

/// Lists hosts by name.
#[utoipa::path(get, path = "/v1/hosts", tag = "hosts",
    params(("limit" = Option<u64>, Query), ("marker" = Option<String>, Query), ("state" = Option<String>, Query),
        ("aggregate" = Option<String>, Query), ("zone" = Option<String>, Query), ("profile" = Option<String>, Query)),
    responses((status = 200, description = "hosts, and hosts_links with the next page")))]
pub(super) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadHosts, &caller.user, &Owner::default())?;
    query.only(&["limit", "marker", "state", "aggregate", "zone", "profile"], &[])?;
    let limit = limit(query.get("limit"))?;
    let profile = app.profile(query.get("profile").map(str::to_owned))?.unwrap_or_default();
    let said = app.store.hosts(&profile, &HostsFilter::default()).await?;
    let cloud = app.cloud.as_ref().map(|access| access.seen());
    let mut all = together(cloud.as_ref().map(|cloud| cloud.hosts.as_slice()).unwrap_or_default(), said);
    all.retain(|host| {
        let is = |name: &str, value: Option<&str>| query.get(name).is_none_or(|wanted| Some(wanted) == value);
        is("state", Some(&host.state))
            && is("zone", host.zone.as_deref())
            && query.get("aggregate").is_none_or(|wanted| host.aggregates.iter().any(|name| name == wanted))
    });
    let page = Page::cut(all, query.get("marker"), limit, |host| &host.name)?;
    let base = Base::of(&app.config, &headers);
    let links = page.links(&base, "/v1/hosts", &query.0, |host| host.name.clone());
    Ok(Json(json!({ "hosts": page.rows, "hosts_links": links })))
}

/// Joins what Nova says of hosts with what they say themselves.
fn together(of_nova: &[Host], said: Vec<Inventory>) -> Vec<HostView> {
    let now = wall();
    let mut hosts: BTreeMap<String, HostView> = BTreeMap::new();
    for host in of_nova {
        let view = HostView {
            name: host.name.clone(),
            zone: Some(host.zone.clone()),
            aggregates: host.aggregates.clone(),
            out_of_use: host.out_of_use.clone(),
            state: "unasked".to_owned(),
            ..HostView::default()
        };
        hosts.insert(host.name.clone(), view);
    }
    for inventory in said {
        let name = inventory.host.clone();
        let view = hosts.entry(name.clone()).or_insert_with(|| HostView { name, ..HostView::default() });
        view.state = inventory.state;
        view.reason = inventory.reason;
        view.software = inventory.software;
        view.free_bytes = inventory.free_bytes;
        view.asked_at = Some(rfc3339(inventory.asked_at));
        view.answered_at = inventory.answered_at.map(rfc3339);
        view.age_seconds = inventory.answered_at.map(|at| now.0.saturating_sub(at.0) / 1_000);
    }
    hosts.into_values().collect()
}

/// Lists the images on a host.
#[utoipa::path(get, path = "/v1/hosts/{name}/images", tag = "hosts",
    params(("name" = String, Path), ("profile" = Option<String>, Query)),
    responses((status = 200, description = "images, and the age of what is known"), (status = 404, description = "no such host")))]
pub(super) async fn images(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadHosts, &caller.user, &Owner::default())?;
    query.only(&["profile"], &[])?;
    let profile = app.profile(query.get("profile").map(str::to_owned))?.unwrap_or_default();
    let filter = HostsFilter { host: Some(name.clone()), ..HostsFilter::default() };
    let host = app.store.hosts(&profile, &filter).await?.into_iter().next();
    let in_nova =
        app.cloud.as_ref().is_some_and(|access| access.seen().hosts.iter().any(|host| host.name == name));
    if host.is_none() && !in_nova {
        let name: String = name.chars().take(80).collect();
        return Err(ApiError::not_found("no-such-host", format!("There is no host {name:?}.")));
    }
    let copies = app.store.copies_on(&profile, &name).await?;
    let images: Vec<Value> = copies
        .into_iter()
        .map(|copy| {
            json!({"name": copy.name, "image_id": copy.image_id, "bytes": copy.bytes, "root": copy.root,
                "pinned": pinned(copy.pinned)})
        })
        .collect();
    let age = host.and_then(|host| host.answered_at).map(|at| wall().0.saturating_sub(at.0) / 1_000);
    Ok(Json(json!({ "images": images, "age_seconds": age })))
}
