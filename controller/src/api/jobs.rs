//! `/v1/verifications` and `/v1/diagnoses`: queries to hosts, as jobs.

use axum::Json;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use glancecast_platform::clock::wall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::{Body, Caller, Path, Query};
use super::links::Base;
use super::paging::{Page, limit, no_marker};
use super::push_body::Hosts;
use super::push_view;
use super::{ApiError, Shared};
use crate::auth::{Action, Owner};
use crate::limits::JOBS_WAITING_MAX;
use crate::model::{JobRequest, Status, rfc3339};
use crate::store::{Job, JobKind, NewJob};

/// The body of `POST /v1/verifications`: hosts hash their copies of an image again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateVerification {
    /// The image: its name on the hosts or in Glance, or its id.
    pub image: String,
    /// Whether damaged copies lose their names, so that the next push sends what is damaged.
    #[serde(default)]
    pub quarantine: bool,
    /// The hosts that are asked.
    pub hosts: Hosts,
    /// A profile of the controller's settings.
    #[serde(default)]
    pub profile: Option<String>,
}

/// The body of `POST /v1/diagnoses`: the path to the hosts is examined.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateDiagnosis {
    /// The hosts that are examined.
    pub hosts: Hosts,
    /// A profile of the controller's settings.
    #[serde(default)]
    pub profile: Option<String>,
}

/// A verification or a diagnosis.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct JobView {
    /// Its id.
    pub id: String,
    /// What has become of it: `done`: all is well; `partial`: it is not, and the report says what.
    pub status: Status,
    /// Why, for people.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The profile that it goes by.
    pub profile: Option<String>,
    /// The image; null for a diagnosis.
    pub image: Option<String>,
    /// The hosts that are asked.
    #[schema(value_type = Object)]
    pub hosts: Value,
    /// The exit code of glancecast.
    pub exit_code: Option<i64>,
    /// The report of `glancecast verify --json` or `glancecast doctor --json`: docs/json.md. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
    /// Who asked.
    pub user_name: String,
    /// The id of the request that asked.
    pub request_id: String,
}

/// Asks for a verification.
#[utoipa::path(post, path = "/v1/verifications", tag = "jobs", request_body = CreateVerification,
    responses((status = 202, body = JobView, description = "accepted"), (status = 400, description = "wrong")))]
pub(super) async fn verify(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<CreateVerification>,
) -> Result<Response, ApiError> {
    if body.image.is_empty() || body.image.len() > IMAGE_BYTES_MAX {
        return Err(ApiError::bad_request("bad-job", "image: give a name or an id"));
    }
    let (hosts, exclude) = body.hosts.check()?;
    let request = JobRequest { image: Some(body.image), quarantine: body.quarantine, hosts, exclude };
    create(&app, &caller, &headers, JobKind::Verification, body.profile, request).await
}

/// Asks for a diagnosis.
#[utoipa::path(post, path = "/v1/diagnoses", tag = "jobs", request_body = CreateDiagnosis,
    responses((status = 202, body = JobView, description = "accepted"), (status = 400, description = "wrong")))]
pub(super) async fn diagnose(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<CreateDiagnosis>,
) -> Result<Response, ApiError> {
    let (hosts, exclude) = body.hosts.check()?;
    let request = JobRequest { image: None, quarantine: false, hosts, exclude };
    create(&app, &caller, &headers, JobKind::Diagnosis, body.profile, request).await
}

async fn create(
    app: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    kind: JobKind,
    profile: Option<String>,
    request: JobRequest,
) -> Result<Response, ApiError> {
    let own =
        Owner { project_id: caller.user.project_id.clone(), user_id: Some(caller.user.user_id.clone()) };
    app.check(Action::CreateJob, &caller.user, &own)?;
    let job = NewJob {
        id: Uuid::new_v4().to_string(),
        kind,
        at: wall(),
        profile: app.profile(profile)?,
        request,
        origin: caller.origin(),
    };
    if !app.store.accept_job(&job).await? {
        let detail = format!("{JOBS_WAITING_MAX} verifications and diagnoses wait; try again later.");
        return Err(ApiError::unavailable("queue-full", detail));
    }
    let stored = app.store.job(kind, &job.id).await?.ok_or_else(|| no_job(kind, &job.id))?;
    let href = Base::of(&app.config, headers).link(&format!("/v1/{}/{}", plural(kind), job.id));
    let location = HeaderValue::from_str(&href).expect("a host and an id are ASCII");
    let body = Json(json!({ kind.name(): view(stored) }));
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}

/// Lists verifications, the newest first.
#[utoipa::path(get, path = "/v1/verifications", tag = "jobs", params(("limit" = Option<u64>, Query), ("marker" = Option<String>, Query)),
    responses((status = 200, description = "verifications, and verifications_links with the next page")))]
pub(super) async fn list_verifications(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    list(&app, &caller, &headers, &query, JobKind::Verification).await
}

/// Lists diagnoses, the newest first.
#[utoipa::path(get, path = "/v1/diagnoses", tag = "jobs", params(("limit" = Option<u64>, Query), ("marker" = Option<String>, Query)),
    responses((status = 200, description = "diagnoses, and diagnoses_links with the next page")))]
pub(super) async fn list_diagnoses(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    list(&app, &caller, &headers, &query, JobKind::Diagnosis).await
}

async fn list(
    app: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    query: &Query,
    kind: JobKind,
) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadJobs, &caller.user, &Owner::default())?;
    query.only(&["limit", "marker"], &[])?;
    let limit = limit(query.get("limit"))?;
    let marker = query.get("marker");
    let rows = app.store.jobs(kind, marker, limit + 1).await?;
    let page = Page::of(rows.ok_or_else(|| no_marker(marker.unwrap_or_default()))?, limit);
    let base = Base::of(&app.config, headers);
    let name = plural(kind);
    let links = page.links(&base, &format!("/v1/{name}"), &query.0, |job| job.id.clone());
    let views: Vec<JobView> =
        page.rows.into_iter().map(|job| JobView { report: None, ..view(job) }).collect();
    Ok(Json(json!({ name: views, format!("{name}_links"): links })))
}

/// Shows a verification with its report.
#[utoipa::path(get, path = "/v1/verifications/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView, description = "the verification"), (status = 404, description = "there is none")))]
pub(super) async fn show_verification(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path,
) -> Result<Json<Value>, ApiError> {
    show(&app, &caller, JobKind::Verification, &id).await
}

/// Shows a diagnosis with its report.
#[utoipa::path(get, path = "/v1/diagnoses/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView, description = "the diagnosis"), (status = 404, description = "there is none")))]
pub(super) async fn show_diagnosis(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path,
) -> Result<Json<Value>, ApiError> {
    show(&app, &caller, JobKind::Diagnosis, &id).await
}

async fn show(app: &Shared, caller: &Caller, kind: JobKind, id: &str) -> Result<Json<Value>, ApiError> {
    app.check(Action::ReadJobs, &caller.user, &Owner::default())?;
    let job = app.store.job(kind, id).await?.ok_or_else(|| no_job(kind, id))?;
    Ok(Json(json!({ kind.name(): view(job) })))
}

/// Ends a verification.
#[utoipa::path(delete, path = "/v1/verifications/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, description = "it ends"), (status = 404, description = "there is none"), (status = 409, description = "it has ended")))]
pub(super) async fn cancel_verification(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path,
) -> Result<StatusCode, ApiError> {
    cancel(&app, &caller, JobKind::Verification, &id).await
}

/// Ends a diagnosis.
#[utoipa::path(delete, path = "/v1/diagnoses/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, description = "it ends"), (status = 404, description = "there is none"), (status = 409, description = "it has ended")))]
pub(super) async fn cancel_diagnosis(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path,
) -> Result<StatusCode, ApiError> {
    cancel(&app, &caller, JobKind::Diagnosis, &id).await
}

async fn cancel(app: &Shared, caller: &Caller, kind: JobKind, id: &str) -> Result<StatusCode, ApiError> {
    let job = app.store.job(kind, id).await?;
    let owner = job.as_ref().map_or_else(Owner::default, |job| Owner {
        project_id: job.origin.project_id.clone(),
        user_id: Some(job.origin.user_id.clone()),
    });
    app.check(Action::CreateJob, &caller.user, &owner)?;
    let before = app.store.cancel_job(kind, id, wall(), &caller.user.user_name).await?;
    match before.ok_or_else(|| no_job(kind, id))?.is_end() {
        true => Err(ApiError::conflict("job-has-ended", format!("The {} {id} has ended.", kind.name()))),
        false => Ok(StatusCode::ACCEPTED),
    }
}

fn view(job: Job) -> JobView {
    JobView {
        id: job.id,
        status: job.status,
        reason: job.reason,
        created_at: rfc3339(job.created_at),
        updated_at: rfc3339(job.updated_at),
        started_at: job.started_at.map(rfc3339),
        finished_at: job.finished_at.map(rfc3339),
        profile: job.profile,
        image: job.request.image,
        hosts: push_view::hosts(&job.request.hosts, &job.request.exclude),
        exit_code: job.exit_code,
        report: job.report.and_then(|text| serde_json::from_str(&text).ok()),
        user_name: job.origin.user_name,
        request_id: job.origin.request_id,
    }
}

fn plural(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Verification => "verifications",
        JobKind::Diagnosis => "diagnoses",
    }
}

fn no_job(kind: JobKind, id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    ApiError::not_found("no-such-job", format!("There is no {} {id:?}.", kind.name()))
}

/// Glance's names have 255 characters.
const IMAGE_BYTES_MAX: usize = 1_024;
