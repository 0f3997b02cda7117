//! `/v1/pushes`.

use axum::Json;
use axum::extract::State;
use axum::http::header::{HeaderName, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use glancecast_platform::clock::wall;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{Body, Caller, Path, Query};
use super::links::Base;
use super::paging::{Page, limit, no_marker};
use super::push_body::CreatePush;
use super::push_view::{PushHostView, PushView};
use super::{ApiError, Shared, resolve};
use crate::auth::{Action, Owner};
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, QUEUE_MAX};
use crate::model::{Item, Push, Status, parse_time};
use crate::store::{Accepted, NewPush, PushFilter, PushPage, SortKey, TimeBound};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Asks for a push. It waits in the queue of its profile.
#[utoipa::path(post, path = "/v1/pushes", tag = "pushes", request_body = CreatePush,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key makes one push, however often it comes")),
    responses((status = 202, description = "accepted: Location has its address", body = PushView),
        (status = 400, description = "wrong"), (status = 409, description = "the key came with another push"),
        (status = 503, description = "the queue is full, or Glance does not answer")))]
pub(super) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<CreatePush>,
) -> Result<Response, ApiError> {
    let own =
        Owner { project_id: caller.user.project_id.clone(), user_id: Some(caller.user.user_id.clone()) };
    app.check(Action::CreatePush, &caller.user, &own)?;
    let idempotency = idempotency(&headers, &body)?;
    let profile = app.profile(body.profile.clone())?;
    let priority = body.priority;
    let (images, request) = body.check()?;
    let push = NewPush {
        id: Uuid::new_v4().to_string(),
        at: wall(),
        profile,
        priority,
        request,
        targets: resolve::targets(&app, &images).await?,
        origin: caller.origin(),
        idempotency,
    };
    let id = match app.store.accept(&push).await? {
        Accepted::New => push.id,
        Accepted::Before(id) => id,
        Accepted::OtherRequest => {
            return Err(ApiError::conflict("other-request", "This Idempotency-Key came with another push."));
        }
        Accepted::Full => {
            let detail = format!("{QUEUE_MAX} pushes wait; try again when some of them have ended.");
            return Err(ApiError::unavailable("queue-full", detail));
        }
    };
    let base = Base::of(&app.config, &headers);
    let location = base.link(&format!("/v1/pushes/{id}"));
    let (push, items) = app.store.push(&id).await?.ok_or_else(|| no_push(&id))?;
    let body = Json(json!({ "push": PushView::new(push, items, &base) }));
    let location = HeaderValue::from_str(&location).expect("a host and an id are ASCII");
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}

/// Returns the client's key of a request, and what the request asks for.
fn idempotency(headers: &HeaderMap, body: &CreatePush) -> Result<Option<(String, String)>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX);
    let key = key.ok_or_else(|| {
        let detail = format!("Idempotency-Key: from 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters of ASCII");
        ApiError::bad_request("bad-key", detail)
    })?;
    let text = serde_json::to_string(body).expect("a body that was JSON is JSON again");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some((key.to_owned(), digits)))
}

/// Lists pushes, the newest first.
#[utoipa::path(get, path = "/v1/pushes", tag = "pushes",
    params(("limit" = Option<u64>, Query, description = "rows of a page, at most 1 000"),
        ("marker" = Option<String>, Query, description = "the id of the last push of the page before"),
        ("sort" = Option<String>, Query, description = "created_at or updated_at, with :asc or :desc"),
        ("status" = Option<String>, Query, description = "one or several, with commas or in:"),
        ("image" = Option<String>, Query, description = "an image's id"),
        ("policy" = Option<String>, Query, description = "a policy's name"),
        ("created_at" = Option<String>, Query, description = "a bound: gte:2026-11-30T00:00:00Z; gt, lte, lt"),
        ("updated_at" = Option<String>, Query, description = "as created_at")),
    responses((status = 200, description = "pushes, and pushes_links with the next page")))]
pub(super) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadPushes, &caller.user, &Owner::default())?;
    query.only(&["limit", "marker", "sort", "image", "policy"], &["status", "created_at", "updated_at"])?;
    let limit = limit(query.get("limit"))?;
    let (key, is_ascending) = sort(query.get("sort"))?;
    let filter = PushFilter {
        status: statuses(&query)?,
        image_id: query.get("image").map(str::to_owned),
        policy: query.get("policy").map(str::to_owned),
        bounds: bounds(&query)?,
    };
    let marker = query.get("marker").map(str::to_owned);
    // One more shows whether there is another page.
    let page = PushPage { key, is_ascending, marker: marker.clone(), limit: limit + 1 };
    let rows = app.store.pushes(&filter, &page).await?;
    let rows = rows.ok_or_else(|| no_marker(marker.as_deref().unwrap_or_default()))?;
    let page = Page::of(rows, limit);
    let base = Base::of(&app.config, &headers);
    let links = page.links(&base, "/v1/pushes", &query.0, |(push, _)| push.id.clone());
    let views: Vec<PushView> =
        page.rows.into_iter().map(|(push, items)| PushView::new(push, items, &base)).collect();
    Ok(Json(json!({ "pushes": views, "pushes_links": links })))
}

fn sort(asked: Option<&str>) -> Result<(SortKey, bool), ApiError> {
    let (key, direction) =
        asked.map_or(("created_at", "desc"), |text| text.split_once(':').unwrap_or((text, "desc")));
    let key = match key {
        "created_at" => Some(SortKey::Created),
        "updated_at" => Some(SortKey::Updated),
        _ => None,
    };
    match (key, direction) {
        (Some(key), "asc") => Ok((key, true)),
        (Some(key), "desc") => Ok((key, false)),
        _ => Err(ApiError::bad_request(
            "bad-query",
            "sort: write created_at or updated_at, with :asc or :desc behind it",
        )),
    }
}

fn statuses(query: &Query) -> Result<Vec<Status>, ApiError> {
    let of = |name: &str| {
        Status::of(name).ok_or_else(|| {
            let known = Status::ALL.map(Status::name).join(", ");
            ApiError::bad_request("bad-query", format!("status {name:?} is none of {known}"))
        })
    };
    query.all("status").iter().map(|name| of(name.strip_prefix("in:").unwrap_or(name))).collect()
}

fn bounds(query: &Query) -> Result<Vec<TimeBound>, ApiError> {
    let mut bounds = Vec::new();
    for (name, key) in [("created_at", SortKey::Created), ("updated_at", SortKey::Updated)] {
        for (_, value) in query.0.iter().filter(|(known, _)| known == name) {
            let (operator, time) = match value.split_once(':') {
                Some(("gte", time)) => (">=", time),
                Some(("gt", time)) => (">", time),
                Some(("lte", time)) => ("<=", time),
                Some(("lt", time)) => ("<", time),
                _ => ("=", value.as_str()),
            };
            let at = parse_time(time).ok_or_else(|| {
                let detail = format!("{name}={value}: write it as gte:2026-11-30T00:00:00Z");
                ApiError::bad_request("bad-query", detail)
            })?;
            bounds.push(TimeBound { key, operator, at });
        }
    }
    Ok(bounds)
}

/// Shows a push.
#[utoipa::path(get, path = "/v1/pushes/{id}", tag = "pushes", params(("id" = String, Path)),
    responses((status = 200, body = PushView, description = "the push"), (status = 404, description = "there is none")))]
pub(super) async fn show(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path,
) -> Result<Json<Value>, ApiError> {
    let (push, items) = find(&app, &caller, Action::ReadPushes, &id).await?;
    let base = Base::of(&app.config, &headers);
    Ok(Json(json!({ "push": PushView::new(push, items, &base) })))
}

/// Ends a push: one that waits at once, one that runs as soon as its sender has told the hosts.
#[utoipa::path(delete, path = "/v1/pushes/{id}", tag = "pushes", params(("id" = String, Path)),
    responses((status = 202, body = PushView, description = "it ends"), (status = 404, description = "there is none"),
        (status = 409, description = "it has ended")))]
pub(super) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path,
) -> Result<Response, ApiError> {
    find(&app, &caller, Action::CancelPush, &id).await?;
    let before = app.store.cancel(&id, wall(), &caller.user.user_name).await?;
    let before = before.ok_or_else(|| no_push(&id))?;
    if before.is_end() {
        let detail = format!("Push {id} has ended: it is {}.", before.name());
        return Err(ApiError::conflict("push-has-ended", detail));
    }
    tracing::info!(push = id, by = caller.user.user_name, request = caller.request.traced(), "cancelled");
    let (push, items) = app.store.push(&id).await?.ok_or_else(|| no_push(&id))?;
    let base = Base::of(&app.config, &headers);
    let body = Json(json!({ "push": PushView::new(push, items, &base) }));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

/// Lists the hosts of a push, in the order of images and names.
#[utoipa::path(get, path = "/v1/pushes/{id}/hosts", tag = "pushes",
    params(("id" = String, Path), ("limit" = Option<u64>, Query),
        ("marker" = Option<String>, Query, description = "IMAGE:HOST of the last row of the page before"),
        ("state" = Option<String>, Query, description = "one or several, with commas")),
    responses((status = 200, description = "hosts, and hosts_links with the next page"), (status = 404, description = "no such push")))]
pub(super) async fn hosts(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    find(&app, &caller, Action::ReadPushes, &id).await?;
    query.only(&["limit", "marker"], &["state"])?;
    let limit = limit(query.get("limit"))?;
    let after = query.get("marker").map(|marker| {
        let parts = marker.split_once(':').and_then(|(at, host)| Some((at.parse().ok()?, host.to_owned())));
        parts.ok_or_else(|| no_marker(marker))
    });
    let after = after.transpose()?;
    let rows = app.store.push_hosts(&id, &query.all("state"), after, limit + 1).await?;
    let page = Page::of(rows, limit);
    let base = Base::of(&app.config, &headers);
    let path = format!("/v1/pushes/{id}/hosts");
    let links = page.links(&base, &path, &query.0, |row| format!("{}:{}", row.position, row.host));
    let views: Vec<PushHostView> = page.rows.into_iter().map(PushHostView::from).collect();
    Ok(Json(json!({ "hosts": views, "hosts_links": links })))
}

/// Returns a push that the caller may do something with.
pub(super) async fn find(
    app: &Shared,
    caller: &Caller,
    action: Action,
    id: &str,
) -> Result<(Push, Vec<Item>), ApiError> {
    let found = app.store.push(id).await?;
    let owner = found.as_ref().map_or_else(Owner::default, |(push, _)| Owner {
        project_id: push.origin.project_id.clone(),
        user_id: Some(push.origin.user_id.clone()),
    });
    // Who may not read learns from neither answer whether there is one.
    app.check(action, &caller.user, &owner)?;
    found.ok_or_else(|| no_push(id))
}

fn no_push(id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    ApiError::not_found("no-such-push", format!("There is no push {id:?}."))
}
