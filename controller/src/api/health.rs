//! Whether this controller is well, for balancers and people; and the listener of metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use glancecast_platform::clock::wall;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Shared;
use crate::auth::Authenticator;
use crate::metrics::Readings;
use crate::model::rfc3339;
use crate::store::HostsFilter;
use crate::work::Role;

/// `GET /healthcheck`: whether a balancer may send requests here, as oslo.middleware's. It asks nobody: a cloud that is away
/// is no reason to take every controller out.
#[utoipa::path(get, path = "/healthcheck", tag = "health", security(()),
    responses((status = 200, description = "OK"), (status = 503, description = "disabled by the operator")))]
pub(super) async fn check(State(app): State<Shared>) -> (StatusCode, &'static str) {
    match app.config.disable_file.as_ref().is_some_and(|path| path.exists()) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "DISABLED BY FILE"),
        false => (StatusCode::OK, "OK"),
    }
}

/// `GET /readyz`: what works and what does not. 503 only for faults of this controller: its database.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "ready"), (status = 503, description = "the database does not answer")))]
pub(super) async fn ready(State(app): State<Shared>) -> (StatusCode, Json<Value>) {
    let database = timeout(PATIENCE, app.store.check()).await;
    let is_well = matches!(database, Ok(Ok(())));
    let holder = match is_well {
        true => app.store.holder().await.ok().flatten(),
        false => None,
    };
    let cloud = app.cloud.as_ref().map(|access| {
        let seen = access.seen();
        json!({"seen_at": seen.taken.map(rfc3339), "is_well": seen.taken.is_some() && seen.fault.is_none()})
    });
    let body = json!({
        "database": is_well,
        "leads": *app.role.borrow() != Role::Follower,
        "leader": holder.map(|lease| lease.holder),
        "cloud": cloud,
        "version": env!("CARGO_PKG_VERSION"),
    });
    (if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Returns what the listener of metrics answers.
pub fn metrics_router(app: Shared) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<Shared>) -> impl IntoResponse {
    if let Authenticator::Keystone(keystone) = &app.auth {
        app.metrics.validated(keystone.counts().totals());
    }
    let leads = *app.role.borrow() != Role::Follower;
    let readings = Readings {
        queue_depth: timeout(PATIENCE, app.store.queue_depth()).await.ok().and_then(Result::ok),
        leads,
        inventory_age: timeout(PATIENCE, inventory_age(&app)).await.ok().flatten(),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.text(readings))
}

/// Returns the age of the oldest answer of a host; `None` if no host was asked.
async fn inventory_age(app: &Arc<super::App>) -> Option<Duration> {
    let mut oldest = None;
    for profile in &app.config.profiles {
        let profile = profile.clone().unwrap_or_default();
        let hosts = app.store.hosts(&profile, &HostsFilter::default()).await.ok()?;
        oldest = oldest.into_iter().chain(hosts.iter().filter_map(|host| host.answered_at)).min();
    }
    oldest.map(|at| Duration::from_millis(wall().0.saturating_sub(at.0)))
}

/// Longest wait for the database.
const PATIENCE: Duration = Duration::from_secs(5);
