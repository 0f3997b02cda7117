//! `/v1/policies`: which images should be on which hosts, and what is so.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use glancecast_platform::clock::wall;
use serde_json::{Value, json};

use super::extract::{Caller, Path};
use super::links::Base;
use super::{ApiError, Shared};
use crate::auth::{Action, Owner};
use crate::model::rfc3339;
use crate::plan::{PolicyStatus, Start};
use crate::policy::limits::POLICIES_MAX;
use crate::policy::{Policy, PolicyName, parse_json};
use crate::reconcile::Outlook;
use crate::store::ApprovalRow;

/// Lists policies by name.
#[utoipa::path(get, path = "/v1/policies", tag = "policies",
    responses((status = 200, description = "policies, each with where it stands; mistakes: what keeps others from counting")))]
pub(super) async fn list(State(app): State<Shared>, caller: Caller) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadPolicies, &caller.user, &Owner::default())?;
    let outlook = app.board.outlook();
    let of_api = app.store.policies().await?;
    let mut rows: Vec<Value> = outlook.listing.policies.iter().map(|policy| view(&outlook, policy)).collect();
    for row in of_api {
        // Made since the last turn.
        let is_known = rows.iter().any(|known| known["name"] == row.name.as_str());
        if let Some(policy) = parse_json(row.body.as_bytes()).ok().filter(|_| !is_known) {
            rows.push(view(&outlook, &policy));
        }
    }
    rows.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(Json(json!({ "policies": rows, "mistakes": outlook.listing.mistakes })))
}

/// Shows a policy.
#[utoipa::path(get, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, description = "the policy"), (status = 404, description = "there is none")))]
pub(super) async fn show(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadPolicies, &caller.user, &Owner::default())?;
    let policy = find(&app, &name).await?;
    Ok(Json(json!({ "policy": view(&app.board.outlook(), &policy) })))
}

/// Makes a policy. Its form is that of a `[[policy]]` in a file, as JSON.
#[utoipa::path(post, path = "/v1/policies", tag = "policies", request_body(content = Object, content_type = "application/json"),
    responses((status = 201, description = "made"), (status = 400, description = "wrong"), (status = 409, description = "the name is taken")))]
pub(super) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    app.check(Action::WritePolicies, &caller.user, &Owner::default())?;
    let (policy, text) = read(&app, &body)?;
    let name = policy.name.as_str();
    let outlook = app.board.outlook();
    refuse_files(&outlook, &policy.name)?;
    if outlook.listing.policies.iter().count() >= POLICIES_MAX {
        let detail = format!("There are {POLICIES_MAX} policies; remove one first.");
        return Err(ApiError::conflict("too-many-policies", detail));
    }
    if !app.store.add_policy(name, &text, wall()).await? {
        return Err(ApiError::conflict(
            "name-taken",
            format!("There is a policy {name:?}; change it with PUT."),
        ));
    }
    app.board.wake();
    tracing::info!(
        policy = name,
        by = caller.user.user_name,
        request = caller.request.traced(),
        "policy made"
    );
    let location = Base::of(&app.config, &headers).link(&format!("/v1/policies/{name}"));
    let body = Json(json!({ "policy": view(&outlook, &policy) }));
    Ok((StatusCode::CREATED, [("location", location)], body).into_response())
}

/// Replaces a policy.
#[utoipa::path(put, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "replaced"), (status = 404, description = "there is none"), (status = 409, description = "it stands in a file")))]
pub(super) async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::WritePolicies, &caller.user, &Owner::default())?;
    let (policy, text) = read(&app, &body)?;
    if policy.name.as_str() != name {
        return Err(ApiError::bad_request("bad-policy", format!("name: the address says {name:?}")));
    }
    let outlook = app.board.outlook();
    refuse_files(&outlook, &policy.name)?;
    if !app.store.replace_policy(&name, &text, wall()).await? {
        return Err(no_policy(&name));
    }
    app.board.wake();
    tracing::info!(
        policy = name,
        by = caller.user.user_name,
        request = caller.request.traced(),
        "policy replaced"
    );
    Ok(Json(json!({ "policy": view(&outlook, &policy) })))
}

/// Removes a policy. What it has placed stays on the hosts.
#[utoipa::path(delete, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 204, description = "removed"), (status = 404, description = "there is none"), (status = 409, description = "it stands in a file")))]
pub(super) async fn remove(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
) -> Result<StatusCode, ApiError> {
    app.check(Action::WritePolicies, &caller.user, &Owner::default())?;
    let known = PolicyName::new(&name).ok_or_else(|| no_policy(&name))?;
    refuse_files(&app.board.outlook(), &known)?;
    if !app.store.remove_policy(&name).await? {
        return Err(no_policy(&name));
    }
    app.board.wake();
    tracing::info!(
        policy = name,
        by = caller.user.user_name,
        request = caller.request.traced(),
        "policy removed"
    );
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what is so of a policy: each image on each host, with the reason.
#[utoipa::path(get, path = "/v1/policies/{name}/status", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, description = "the status, and when it was so"), (status = 404, description = "there is none"),
        (status = 503, description = "nothing is known yet")))]
pub(super) async fn status(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadPolicies, &caller.user, &Owner::default())?;
    find(&app, &name).await?;
    let outlook = app.board.outlook();
    let status = status_of(&outlook, &name)?;
    Ok(Json(json!({ "status": status, "converged": status.is_converged(),
        "below_quorum": status.is_below_quorum(), "at": outlook.at.map(rfc3339) })))
}

/// Shows what the reconciler would do for a policy. Nothing is done by that.
#[utoipa::path(post, path = "/v1/policies/{name}/plan", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, description = "what is pending, and the pushes that begin"), (status = 404, description = "there is none"),
        (status = 503, description = "nothing is known yet")))]
pub(super) async fn plan(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadPolicies, &caller.user, &Owner::default())?;
    find(&app, &name).await?;
    let outlook = app.board.outlook();
    let status = status_of(&outlook, &name)?;
    let starts = outlook.plan.iter().flat_map(|plan| &plan.start).filter_map(|start| match start {
        Start::New(order) => Some(order),
        Start::Queued(_) => None,
    });
    let of_policy =
        starts.filter(|order| order.hosts.values().flatten().any(|policy| policy.as_str() == name));
    let pushes: Vec<Value> = of_policy
        .map(|order| {
            let hosts: Vec<&str> = order.hosts.keys().map(|host| host.as_str()).collect();
            json!({"image": order.image, "name": order.name, "bytes": order.record.size, "hosts": hosts})
        })
        .collect();
    Ok(Json(
        json!({ "plan": {"pending": status.pending, "needs_approval": status.needs_approval, "pushes": pushes},
        "at": outlook.at.map(rfc3339) }),
    ))
}

/// Approves what is pending of a policy, where that is more than its guard lets pass.
#[utoipa::path(post, path = "/v1/policies/{name}/approve", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, description = "what was approved"), (status = 404, description = "there is none"),
        (status = 409, description = "nothing waits for approval")))]
pub(super) async fn approve(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ApprovePolicy, &caller.user, &Owner::default())?;
    find(&app, &name).await?;
    let outlook = app.board.outlook();
    let status = status_of(&outlook, &name)?;
    if !status.needs_approval {
        return Err(ApiError::conflict(
            "nothing-to-approve",
            format!("Nothing of policy {name:?} waits for approval."),
        ));
    }
    let approval = status.approval(wall());
    let pending = serde_json::to_string(&approval.pending).expect("it has no maps with odd keys");
    let row = ApprovalRow { policy: name.clone(), approved_at: approval.at, pending };
    app.store.approve(&row, &caller.user.user_name).await?;
    app.board.wake();
    tracing::info!(
        policy = name,
        by = caller.user.user_name,
        request = caller.request.traced(),
        "plan approved"
    );
    Ok(Json(json!({ "approved": approval.pending })))
}

/// Reads a body, whose mistakes are all named.
fn read(app: &Shared, body: &[u8]) -> Result<(Policy, String), ApiError> {
    let policy =
        parse_json(body).map_err(|mistakes| ApiError::bad_request("bad-policy", mistakes.to_string()))?;
    app.profile(policy.group.profile().map(str::to_owned))?;
    let text = serde_json::to_string(&policy).expect("a policy that was JSON is JSON again");
    Ok((policy, text))
}

/// Refuses to change a policy of a file.
fn refuse_files(outlook: &Outlook, name: &PolicyName) -> Result<(), ApiError> {
    let file = outlook.listing.policies.get(name).and_then(|listed| listed.place.file.as_ref());
    match file {
        None => Ok(()),
        Some(file) => Err(ApiError::conflict(
            "in-a-file",
            format!("Policy {name:?} stands in {file}, and is changed there."),
        )),
    }
}

/// Returns a policy: of a file, else of the API.
async fn find(app: &Shared, name: &str) -> Result<Policy, ApiError> {
    let outlook = app.board.outlook();
    let known = PolicyName::new(name).and_then(|name| outlook.listing.policies.get(&name));
    if let Some(listed) = known.filter(|listed| listed.place.file.is_some()) {
        return Ok(listed.policy.clone());
    }
    let rows = app.store.policies().await?;
    let row = rows.into_iter().find(|row| row.name == name);
    row.and_then(|row| parse_json(row.body.as_bytes()).ok()).ok_or_else(|| no_policy(name))
}

fn status_of<'a>(outlook: &'a Outlook, name: &str) -> Result<&'a PolicyStatus, ApiError> {
    let statuses = outlook.plan.as_ref().map(|plan| plan.policies.as_slice()).unwrap_or_default();
    statuses.iter().find(|status| status.policy.as_str() == name).ok_or_else(|| {
        let detail = match outlook.listing.mistakes.first() {
            Some(mistake) => format!("No policy is followed before this is mended: {mistake}"),
            None => "The controller has not seen Glance and Nova since the policy was made.".to_owned(),
        };
        ApiError::unavailable("not-planned", detail)
    })
}

fn view(outlook: &Outlook, policy: &Policy) -> Value {
    let mut view = serde_json::to_value(policy).unwrap_or_default();
    let place = outlook.listing.policies.get(&policy.name).map(|listed| &listed.place);
    view["file"] = place.and_then(|place| place.file.clone()).into();
    view
}

fn no_policy(name: &str) -> ApiError {
    let name: String = name.chars().take(80).collect();
    ApiError::not_found("no-such-policy", format!("There is no policy {name:?}."))
}
