//! `/openapi.json`: the description of the API, made of the handlers' own.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{events, health, hosts, images, jobs, policies, push_view, pushes, version};

#[derive(OpenApi)]
#[openapi(
    info(title = "glancecast-controller", description = "Keeps images on the hosts where policies want them."),
    paths(
        version::versions, version::version, pushes::create, pushes::list, pushes::show, pushes::cancel, pushes::hosts,
        events::stream, images::list, images::hosts, hosts::list, hosts::images, jobs::verify, jobs::list_verifications,
        jobs::show_verification, jobs::cancel_verification, jobs::diagnose, jobs::list_diagnoses, jobs::show_diagnosis,
        jobs::cancel_diagnosis, policies::list, policies::show, policies::create, policies::replace, policies::remove,
        policies::status, policies::plan, policies::approve, health::check, health::ready, show,
    ),
    components(schemas(push_view::PushHostView, images::ImageView, images::HolderView, hosts::HostView)),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

/// The token in a header.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Auth-Token")));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Returns the description.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// `GET /openapi.json`
#[utoipa::path(get, path = "/openapi.json", tag = "versions", security(()), responses((status = 200, description = "this")))]
pub(super) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described_with_its_methods() {
        let document = serde_json::to_value(document()).expect("JSON");
        for (path, methods) in [
            ("/v1/pushes", &["get", "post"][..]),
            ("/v1/pushes/{id}", &["delete", "get"]),
            ("/v1/pushes/{id}/events", &["get"]),
            ("/v1/images", &["get"]),
            ("/v1/hosts/{name}/images", &["get"]),
            ("/v1/diagnoses/{id}", &["delete", "get"]),
        ] {
            for method in methods {
                assert!(document["paths"][path][method].is_object(), "{method} {path}");
            }
        }
        assert!(document["components"]["schemas"]["CreatePush"].is_object());
        assert_eq!(document["components"]["securitySchemes"]["token"]["name"], "X-Auth-Token");
    }
}
