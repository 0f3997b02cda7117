//! `/v1/images`: the images of Glance, in the manner of Nova's list, and which hosts hold each.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use glancecast_platform::clock::wall;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::extract::{Caller, Path, Query};
use super::links::Base;
use super::paging::{Page, limit};
use super::{ApiError, Shared};
use crate::auth::{Action, Owner};
use crate::model::{Image, Pinned, rfc3339};
use crate::store::CopyRow;

/// An image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ImageView {
    /// Glance's id; for an image that Glance does not have: its BLAKE3, as hosts have it.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Glance's status; `unknown` for an image that Glance does not have.
    pub status: String,
    /// Its visibility.
    pub visibility: Option<String>,
    /// The project that it belongs to.
    pub owner: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its length.
    pub size: Option<u64>,
    /// When it was created.
    pub created: Option<String>,
    /// When its record was changed last.
    pub updated: Option<String>,
    /// Why it cannot be pushed; null if nothing in its record is against it.
    pub obstacle: Option<String>,
    /// The number of hosts that hold a copy.
    pub holding: u64,
    /// Their names; only with `with_hosts=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// The address of the list of hosts.
    #[schema(value_type = Vec<Object>)]
    pub links: Value,
}

/// A host that holds an image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct HolderView {
    /// The host.
    pub name: String,
    /// The name of the copy there.
    pub copy: String,
    /// BLAKE3 of the copy.
    pub root: String,
    /// How long the host keeps it: `no`, `forever`, or a time.
    pub pinned: String,
    /// Seconds since the host said so.
    pub age_seconds: Option<u64>,
}

/// Lists images, the newest first.
#[utoipa::path(get, path = "/v1/images", tag = "images",
    params(("limit" = Option<u64>, Query), ("marker" = Option<String>, Query), ("name" = Option<String>, Query),
        ("status" = Option<String>, Query), ("tag" = Option<String>, Query), ("visibility" = Option<String>, Query),
        ("profile" = Option<String>, Query), ("with_hosts" = Option<bool>, Query)),
    responses((status = 200, description = "images, images_links with the next page, and seen_at: when Glance was looked at")))]
pub(super) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadImages, &caller.user, &Owner::default())?;
    query.only(&["limit", "marker", "name", "status", "visibility", "profile", "with_hosts"], &["tag"])?;
    let limit = limit(query.get("limit"))?;
    let profile = app.profile(query.get("profile").map(str::to_owned))?.unwrap_or_default();
    let with_hosts = match query.get("with_hosts") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::bad_request("bad-query", "with_hosts: true or false")),
    };
    let copies = app.store.copies(&profile, None).await?;
    let holders = holders(&copies);
    let cloud = app.cloud.as_ref().map(|access| access.seen());
    let images = cloud.as_ref().map(|cloud| cloud.images.as_slice()).unwrap_or_default();
    let mut all: Vec<ImageView> = images.iter().map(|image| view(image, &holders)).collect();
    all.extend(of_hosts_alone(images, &copies));
    let tags: Vec<&String> = query.0.iter().filter(|(name, _)| name == "tag").map(|(_, tag)| tag).collect();
    all.retain(|image| {
        let is = |name: &str, value: Option<&str>| query.get(name).is_none_or(|wanted| Some(wanted) == value);
        is("name", image.name.as_deref())
            && is("status", Some(&image.status))
            && is("visibility", image.visibility.as_deref())
            && tags.iter().all(|tag| image.tags.contains(tag))
    });
    all.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
    let page = Page::cut(all, query.get("marker"), limit, |image| &image.id)?;
    let base = Base::of(&app.config, &headers);
    let links = page.links(&base, "/v1/images", &query.0, |image| image.id.clone());
    let rows: Vec<ImageView> = page
        .rows
        .into_iter()
        .map(|image| {
            let hosts = holders.get(image.id.as_str()).filter(|_| with_hosts);
            let hosts = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
            let href = base.link(&format!("/v1/images/{}/hosts", image.id));
            let hosts = hosts.or(with_hosts.then(Vec::new));
            ImageView { hosts, links: json!([{"rel": "hosts", "href": href}]), ..image }
        })
        .collect();
    let (seen_at, fault) = match &cloud {
        Some(cloud) => (cloud.taken.map(rfc3339), cloud.fault.clone()),
        None => (None, None),
    };
    Ok(Json(json!({ "images": rows, "images_links": links, "seen_at": seen_at, "fault": fault })))
}

/// Returns the hosts that hold each image, by the image's id or, where hosts have none, by the copy's BLAKE3.
fn holders(copies: &[CopyRow]) -> BTreeMap<&str, Vec<&str>> {
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in copies {
        let hosts = holders.entry(key(row)).or_default();
        // The rows are by host.
        if hosts.last() != Some(&row.host.as_str()) {
            hosts.push(&row.host);
        }
    }
    holders
}

fn key(row: &CopyRow) -> &str {
    row.copy.image_id.as_deref().unwrap_or(&row.copy.root)
}

fn view(image: &Image, holders: &BTreeMap<&str, Vec<&str>>) -> ImageView {
    ImageView {
        id: image.id.clone(),
        name: image.name.clone(),
        status: image.status.clone(),
        visibility: image.visibility.clone(),
        owner: image.owner.clone(),
        tags: image.tags.clone(),
        size: image.size,
        created: Some(rfc3339(image.created_at)),
        updated: Some(rfc3339(image.updated_at)),
        obstacle: image.obstacle.clone(),
        holding: holders.get(image.id.as_str()).map_or(0, |hosts| hosts.len() as u64),
        hosts: None,
        links: Value::Null,
    }
}

/// Returns the images that hosts hold and Glance does not have, or no longer.
fn of_hosts_alone(images: &[Image], copies: &[CopyRow]) -> Vec<ImageView> {
    let holders = holders(copies);
    let mut alone: BTreeMap<&str, ImageView> = BTreeMap::new();
    for row in copies {
        let id = key(row);
        if alone.contains_key(id) || images.iter().any(|image| image.id == id) {
            continue;
        }
        let image = ImageView {
            id: id.to_owned(),
            name: Some(row.copy.name.clone()),
            status: "unknown".to_owned(),
            visibility: None,
            owner: None,
            tags: Vec::new(),
            size: Some(row.copy.bytes),
            created: None,
            updated: None,
            obstacle: None,
            holding: holders.get(id).map_or(0, |hosts| hosts.len() as u64),
            hosts: None,
            links: Value::Null,
        };
        alone.insert(id, image);
    }
    alone.into_values().collect()
}

/// Lists the hosts that hold an image, by name.
#[utoipa::path(get, path = "/v1/images/{id}/hosts", tag = "images",
    params(("id" = String, Path), ("limit" = Option<u64>, Query), ("marker" = Option<String>, Query), ("profile" = Option<String>, Query)),
    responses((status = 200, description = "hosts, and hosts_links with the next page"), (status = 404, description = "no such image")))]
pub(super) async fn hosts(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadImages, &caller.user, &Owner::default())?;
    query.only(&["limit", "marker", "profile"], &[])?;
    let limit = limit(query.get("limit"))?;
    let profile = app.profile(query.get("profile").map(str::to_owned))?.unwrap_or_default();
    let mut copies = app.store.copies(&profile, Some(&id)).await?;
    if copies.is_empty() {
        // A copy without an id of Glance is known by its BLAKE3.
        copies = app.store.copies(&profile, None).await?;
        copies.retain(|row| row.copy.image_id.is_none() && row.copy.root == id);
    }
    let is_known =
        app.cloud.as_ref().is_some_and(|access| access.seen().images.iter().any(|image| image.id == id));
    if copies.is_empty() && !is_known {
        let id: String = id.chars().take(80).collect();
        return Err(ApiError::not_found("no-such-image", format!("There is no image {id:?}.")));
    }
    copies.dedup_by(|a, b| a.host == b.host);
    let now = wall();
    let rows = copies.into_iter().map(|row| HolderView {
        name: row.host,
        copy: row.copy.name,
        root: row.copy.root,
        pinned: pinned(row.copy.pinned),
        age_seconds: row.answered_at.map(|at| now.0.saturating_sub(at.0) / 1_000),
    });
    let page = Page::cut(rows.collect(), query.get("marker"), limit, |row: &HolderView| &row.name)?;
    let base = Base::of(&app.config, &headers);
    let links = page.links(&base, &format!("/v1/images/{id}/hosts"), &query.0, |row| row.name.clone());
    Ok(Json(json!({ "hosts": page.rows, "hosts_links": links })))
}

/// Returns how long a host keeps a copy, in a word.
pub(super) fn pinned(pinned: Pinned) -> String {
    match pinned {
        Pinned::No => "no".to_owned(),
        Pinned::Forever => "forever".to_owned(),
        Pinned::Until(at) => rfc3339(glancecast_proto::time::WallClock(at)),
    }
}
