//! A cloud that a test makes up: as much of Keystone, Glance and Nova as the controller asks for, on loopback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What the cloud says.
#[derive(Default)]
pub(crate) struct Cloud {
    pub(crate) url: Mutex<String>,
    /// Tokens of users, with their roles.
    pub(crate) tokens: Mutex<BTreeMap<String, Vec<String>>>,
    pub(crate) images: Mutex<Vec<Value>>,
    /// The hosts of the aggregate `gpu`, each with whether it is up.
    pub(crate) hosts: Mutex<Vec<(String, bool)>>,
    /// Questions about tokens of users.
    pub(crate) validations: AtomicUsize,
}

impl Cloud {
    /// Starts a cloud.
    pub(crate) async fn start() -> Arc<Self> {
        let cloud = Arc::new(Self::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        *cloud.url.lock().expect("no panic") = url;
        let router = Router::new()
            .route(
                "/v3/",
                get(|| async { Json(json!({"version": {"id": "v3.14", "status": "stable", "links": []}})) }),
            )
            .route(
                "/v3",
                get(|| async { Json(json!({"version": {"id": "v3.14", "status": "stable", "links": []}})) }),
            )
            .route("/v3/auth/tokens", get(validate).post(log_in))
            .route("/v2/images", get(images))
            .route("/v2.1/os-aggregates", get(aggregates))
            .route("/v2.1/os-services", get(services))
            .route("/v2.1/os-hypervisors/detail", get(|| async { Json(json!({"hypervisors": []})) }))
            .with_state(Arc::clone(&cloud));
        tokio::spawn(async move { axum_serve(listener, router).await });
        cloud
    }

    /// Adds an active image with the tag `golden`.
    pub(crate) fn add_image(&self, id: &str, name: &str, created: &str) {
        self.images.lock().expect("no panic").push(
            json!({"id": id, "name": name, "status": "active", "size": 7,
            "disk_format": "raw", "container_format": "bare", "visibility": "public", "tags": ["golden"],
            "created_at": created, "updated_at": created, "os_hash_algo": "sha512", "os_hash_value": id}),
        );
    }
}

/// Answers each connection until the test ends.
async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    glancecast_controller::api::serve(listener, router, 64, shutdown).await;
}

async fn log_in(State(cloud): State<Arc<Cloud>>) -> Response {
    let url = cloud.url.lock().expect("no panic").clone();
    let service = |kind: &str, path: &str| {
        json!({"type": kind, "name": kind, "endpoints": [{"interface": "public", "region": "r", "region_id": "r",
            "url": format!("{url}{path}")}]})
    };
    let token = json!({"token": {"project": {"id": "p"}, "user": {"id": "s"}, "expires_at": "2099-01-01T00:00:00Z",
        "catalog": [service("image", "/v2"), service("compute", "/v2.1")]}});
    (StatusCode::CREATED, [("X-Subject-Token", "service-token")], Json(token)).into_response()
}

async fn validate(State(cloud): State<Arc<Cloud>>, headers: HeaderMap) -> Response {
    cloud.validations.fetch_add(1, Ordering::SeqCst);
    let subject = headers["x-subject-token"].to_str().expect("text");
    let roles = cloud.tokens.lock().expect("no panic").get(subject).cloned();
    match roles {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(roles) => {
            let roles: Vec<Value> = roles.iter().map(|role| json!({ "name": role })).collect();
            Json(json!({"token": {"user": {"id": subject, "name": subject}, "project": {"id": "p"}, "roles": roles,
                "expires_at": "2099-01-01T00:00:00.000000Z"}}))
            .into_response()
        }
    }
}

async fn images(State(cloud): State<Arc<Cloud>>) -> Json<Value> {
    Json(json!({"images": *cloud.images.lock().expect("no panic")}))
}

async fn aggregates(State(cloud): State<Arc<Cloud>>) -> Json<Value> {
    let hosts: Vec<String> =
        cloud.hosts.lock().expect("no panic").iter().map(|(host, _)| host.clone()).collect();
    Json(json!({"aggregates": [{"id": 1, "name": "gpu", "hosts": hosts}]}))
}

async fn services(State(cloud): State<Arc<Cloud>>) -> Json<Value> {
    let service = |(host, is_up): &(String, bool)| {
        json!({"host": host, "zone": "nova", "status": "enabled", "state": if *is_up { "up" } else { "down" },
            "disabled_reason": null})
    };
    let services: Vec<Value> = cloud.hosts.lock().expect("no panic").iter().map(service).collect();
    Json(json!({ "services": services }))
}
