//! Logins that succeed and are of no use, and application credentials.

use glancecast_tests::fake_cloud::{FakeCloud, Fault, Knobs, project};
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

use super::{SOON, ends, images, names, push};

#[test]
fn a_token_that_is_for_no_project_is_named_with_what_to_set() {
    let testbed = Testbed::loopback();
    for (token, words) in [
        (json!({"system": {"all": true}}), &["system_scope", "project_name"][..]),
        (json!({"domain": {"id": "d", "name": "D"}}), &["domain", "project_name"]),
        (json!({"catalog": []}), &["no project", "project_name"]),
        (json!({"catalog": null}), &["no project", "project_name"]),
    ] {
        let faults = vec![Fault::status("GET /v2/images", 9, 403)];
        let cloud = FakeCloud::start(Knobs { token, faults, ..Knobs::default() });
        let mut process = images(&testbed, &cloud, &[]);
        let code = process.wait(SOON).code().expect("no signal");
        ends(process, code, words);
    }
}

#[test]
fn access_rules_that_lack_a_request_are_named_with_those_that_send_needs() {
    let testbed = Testbed::loopback();
    let rules = json!([{"id": "r", "service": "image", "method": "GET", "path": "/v2/images"}]);
    let mut token = project();
    token["application_credential"] =
        json!({"id": "a", "name": "n", "restricted": true, "access_rules": rules});
    let faults = vec![Fault::status("GET /v2/images/", 9, 401)];
    let cloud = FakeCloud::start(Knobs { token, faults, ..Knobs::default() });
    let words = ["access rules", "GET /v2/images,", "GET /v2/images/*", "GET /v2/images/*/file"];
    ends(push(&testbed, &cloud, &["debian", "--expect", "1"]).process, 1, &words);
}

#[test]
fn an_application_credential_may_be_given_by_its_name() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    let settings = [
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_APPLICATION_CREDENTIAL_NAME", "pusher"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s3cret"),
    ];
    assert_eq!(names(&mut images(&testbed, &cloud, &settings)), ["debian"]);
    let login = cloud.heard().into_iter().find(|request| request.line.starts_with("POST")).expect("one");
    let body: Value = serde_json::from_str(&login.body).expect("JSON");
    let user = json!({"name": "operator", "domain": {"name": "Default"}});
    let credential = json!({"name": "pusher", "secret": "s3cret", "user": user});
    assert_eq!(body["auth"]["identity"]["application_credential"], credential);
    assert_eq!(body["auth"].get("scope"), None);
}
