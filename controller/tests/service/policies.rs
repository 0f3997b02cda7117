//! Policies with a made-up cloud: users of Keystone, images of Glance, hosts of Nova.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::service::{Service, json as body_of, until};

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

#[tokio::test]
async fn users_of_keystone_have_their_roles_and_a_token_is_asked_about_once() {
    let (cloud, mut service) = with_cloud().await;
    for _ in 0..5 {
        service.get("/v1/pushes").await;
    }
    assert_eq!(cloud.validations.load(Ordering::SeqCst), 1);
    service.token = Some("reader".into());
    service.get("/v1/pushes").await;
    let body = json!({"images": [FIRST], "hosts": {"all": true}});
    assert_eq!(service.send(Method::POST, "/v1/pushes", Some(body)).await.status(), 403);
    service.token = Some("stranger".into());
    let refused = service.send(Method::GET, "/v1/pushes", None).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers()["www-authenticate"].to_str().expect("text").starts_with("Keystone uri="));
}

#[tokio::test]
async fn a_policy_converges_and_nothing_is_pushed_twice() {
    let (cloud, service) = with_cloud().await;
    cloud.add_image(FIRST, "golden", "2026-11-01T00:00:00Z");
    let policy = json!({"name": "golden", "images": {"tag": "golden", "newest_by": "name", "newest": 1},
        "hosts": {"aggregate": "gpu"}});
    let made = service.send(Method::POST, "/v1/policies", Some(policy.clone())).await;
    assert_eq!(made.status(), 201, "{}", body_of(made).await);
    converged(&service, 2).await;
    assert_eq!(pushed(&service), [format!("{FIRST} c1"), format!("{FIRST} c2")]);

    // A host is added, and gets what it lacks.
    cloud.hosts.lock().expect("no panic").push(("c3".into(), true));
    converged(&service, 3).await;
    assert_eq!(pushed(&service)[2..], [format!("{FIRST} c3")]);

    // A host is wiped.
    fs::remove_file(service.path("held/c1")).expect("it held one");
    until("it is caught up", || async { (pushed(&service).len() == 4).then_some(()) }).await;
    converged(&service, 3).await;
    assert_eq!(pushed(&service)[3..], [format!("{FIRST} c1")]);

    // A newer image of the name takes its place.
    cloud.add_image(SECOND, "golden", "2026-11-02T00:00:00Z");
    until("the new image is everywhere", || async { (pushed(&service).len() == 7).then_some(()) }).await;
    converged(&service, 3).await;
    let news = pushed(&service);
    assert!(news[4..].iter().all(|push| push.starts_with(SECOND)), "{news:?}");
    let pushes = service.get("/v1/pushes?policy=golden").await;
    assert!(
        pushes["pushes"].as_array().is_some_and(|pushes| pushes.iter().all(|push| push["status"] == "done"))
    );

    let twice = service.send(Method::POST, "/v1/policies", Some(policy)).await;
    assert_eq!(twice.status(), 409);
    assert_eq!(service.send(Method::DELETE, "/v1/policies/golden", None).await.status(), 204);
    assert_eq!(service.send(Method::GET, "/v1/policies/golden", None).await.status(), 404);
}

#[tokio::test]
async fn a_large_plan_waits_for_approval_and_a_wrong_policy_names_its_mistakes() {
    let (cloud, service) = with_cloud().await;
    cloud.add_image(FIRST, "golden", "2026-11-01T00:00:00Z");
    let policy = json!({"name": "golden", "images": {"tag": "golden"}, "hosts": {"aggregate": "gpu"},
        "guard": {"hosts": 1}});
    assert_eq!(service.send(Method::POST, "/v1/policies", Some(policy)).await.status(), 201);
    until("it waits for approval", || async {
        let answer = service.send(Method::POST, "/v1/policies/golden/plan", None).await;
        let plan = (answer.status() == 200).then_some(body_of(answer).await)?;
        (plan["plan"]["needs_approval"] == true && plan["plan"]["pending"]["hosts"] == 2).then_some(())
    })
    .await;
    assert!(pushed(&service).is_empty());
    let approved = service.send(Method::POST, "/v1/policies/golden/approve", None).await;
    assert_eq!(approved.status(), 200);
    converged(&service, 2).await;
    let again = service.send(Method::POST, "/v1/policies/golden/approve", None).await;
    assert_eq!(again.status(), 409);

    let wrong = json!({"name": "wrong", "images": {"tga": "golden"}, "hosts": {"aggregate": "gpu"}, "quorum": "200%"});
    let refused = service.send(Method::POST, "/v1/policies", Some(wrong)).await;
    assert_eq!(refused.status(), 400);
    let detail = body_of(refused).await["error"]["message"].as_str().expect("a text").to_owned();
    assert!(detail.contains("tga") && detail.contains("quorum"), "{detail}");
}

async fn with_cloud() -> (Arc<Cloud>, Service) {
    let cloud = Cloud::start().await;
    for (token, role) in [("admin", "admin"), ("reader", "reader")] {
        cloud.tokens.lock().expect("no panic").insert(token.into(), vec![role.into()]);
    }
    *cloud.hosts.lock().expect("no panic") = vec![("c1".into(), true), ("c2".into(), true)];
    let mut service = Service::prepare(&[]);
    fs::create_dir(service.path("held")).expect("made");
    service.cloud = Some(cloud.url.lock().expect("no panic").clone());
    service.token = Some("admin".into());
    service.again().await;
    (cloud, service)
}

/// Waits until every host holds what the policy wants.
async fn converged(service: &Service, hosts: usize) {
    until("the policy converges", || async {
        let answer = service.send(Method::GET, "/v1/policies/golden/status", None).await;
        let status: Value = (answer.status() == 200).then_some(body_of(answer).await)?;
        let holding = &status["status"]["counts"]["holding"];
        (status["converged"] == true && *holding == hosts).then_some(())
    })
    .await;
}

/// Returns the images and hosts that were pushed, in their order.
fn pushed(service: &Service) -> Vec<String> {
    let calls = service.calls();
    calls.iter().filter_map(|call| call.strip_prefix("push ")).map(str::to_owned).collect()
}
