//! The REST API: version 1, in the manner of OpenStack's.
//!
//! ```text
//! connection -> around: request id, microversion, who asks, time -> handler: may it? what is it? -> Store
//!                 ^                                                      |
//!                 +-- both forms of an error, headers, metrics <---------+
//! ```

mod around;
mod error;
mod events;
mod extract;
mod health;
mod hosts;
mod images;
mod jobs;
mod links;
mod openapi;
mod paging;
mod policies;
mod push_body;
mod push_view;
mod pushes;
mod resolve;
mod serve;
mod version;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};

pub use error::ApiError;
pub use health::metrics_router;
pub use openapi::document;
pub use serve::serve;
pub use version::{MAX, MIN};

use crate::auth::{Action, Authenticator, Identity, Owner, Rules};
use crate::cloud::CloudAccess;
use crate::limits::{BODY_BYTES_MAX, STREAMS_MAX};
use crate::metrics::Metrics;
use crate::reconcile::Board;
use crate::settings::Config;
use crate::store::Store;
use crate::work::Role;

/// What all handlers share.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// The state.
    pub store: Store,
    /// Finds out who asks.
    pub auth: Authenticator<CloudAccess>,
    /// Says who may do what.
    pub rules: Rules,
    /// The cloud; `None` without OpenStack.
    pub cloud: Option<CloudAccess>,
    /// What the reconciler saw last.
    pub board: Arc<Board>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Whether this controller leads.
    pub role: watch::Receiver<Role>,
    /// Whether the program ends.
    pub shutdown: watch::Receiver<bool>,
    /// Streams of events that may still be opened.
    pub streams: Arc<Semaphore>,
}

/// The handlers' state.
pub type Shared = Arc<App>;

impl App {
    /// Returns the bound of streams for [`App::streams`].
    pub fn stream_permits() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(STREAMS_MAX))
    }

    /// Checks that a user may do something with a thing of `owner`.
    fn check(&self, action: Action, user: &Identity, owner: &Owner) -> Result<(), ApiError> {
        match self.rules.allow(action, user, owner) {
            true => Ok(()),
            false => Err(ApiError::forbidden()),
        }
    }

    /// Checks that a profile may be named.
    fn profile(&self, asked: Option<String>) -> Result<Option<String>, ApiError> {
        let asked = asked.filter(|name| !name.is_empty());
        match self.config.profiles.contains(&asked) {
            true => Ok(asked),
            false => Err(ApiError::bad_request(
                "no-such-profile",
                format!("there is no profile {:?} in the controller's settings", asked.unwrap_or_default()),
            )),
        }
    }
}

/// Returns the API.
pub fn router(app: Shared) -> Router {
    let v1 = Router::new()
        .route("/pushes", get(pushes::list).post(pushes::create))
        .route("/pushes/{id}", get(pushes::show).delete(pushes::cancel))
        .route("/pushes/{id}/hosts", get(pushes::hosts))
        .route("/pushes/{id}/events", get(events::stream))
        .route("/images", get(images::list))
        .route("/images/{id}/hosts", get(images::hosts))
        .route("/hosts", get(hosts::list))
        .route("/hosts/{name}/images", get(hosts::images))
        .route("/policies", get(policies::list).post(policies::create))
        .route("/policies/{name}", get(policies::show).put(policies::replace).delete(policies::remove))
        .route("/policies/{name}/status", get(policies::status))
        .route("/policies/{name}/plan", post(policies::plan))
        .route("/policies/{name}/approve", post(policies::approve))
        .route("/verifications", get(jobs::list_verifications).post(jobs::verify))
        .route("/verifications/{id}", get(jobs::show_verification).delete(jobs::cancel_verification))
        .route("/diagnoses", get(jobs::list_diagnoses).post(jobs::diagnose))
        .route("/diagnoses/{id}", get(jobs::show_diagnosis).delete(jobs::cancel_diagnosis));
    Router::new()
        .route("/", get(version::versions))
        .route("/v1", get(version::version))
        .route("/v1/", get(version::version))
        .nest("/v1", v1)
        .route("/healthcheck", get(health::check))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::show))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), around::around))
        .with_state(app)
}
