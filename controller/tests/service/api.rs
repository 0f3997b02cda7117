//! Requests and answers.

use glancecast_controller::model::{HostChoice, Origin, PushRequest, Target};
use glancecast_controller::settings::Database;
use glancecast_controller::store::{NewPush, Store};
use glancecast_proto::time::WallClock;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::service::{Service, json as body_of};

#[tokio::test]
async fn a_push_is_accepted_runs_and_is_read_in_all_its_parts() {
    let service = Service::start(&[]).await;
    let body = json!({"images": ["file:quick"], "hosts": {"names": "c1"}, "rate": "auto:1gbit"});
    let answer = service.send(Method::POST, "/v1/pushes", Some(body)).await;
    assert_eq!(answer.status(), 202);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    let accepted = body_of(answer).await["push"].take();
    let id = accepted["id"].as_str().expect("an id");
    assert_eq!(location, service.url(&format!("/v1/pushes/{id}")));
    assert_eq!((&accepted["rate"], &accepted["images"][0]["bytes"]), (&json!("auto:1gbit"), &json!(8)));

    let done = service.wait_for(id, "done").await;
    let image = &done["images"][0];
    assert_eq!(
        (&image["status"], &image["root"], &image["wire_bytes"]),
        (&json!("done"), &json!("ab"), &json!(9))
    );
    assert_eq!(
        (&done["progress"], &image["holding"], &image["exit_code"]),
        (&json!(100), &json!(1), &json!(0))
    );
    let hosts = service.get(&format!("/v1/pushes/{id}/hosts")).await;
    assert_eq!((&hosts["hosts"][0]["name"], &hosts["hosts"][0]["state"]), (&json!("c1"), &json!("done")));
    let none = service.get(&format!("/v1/pushes/{id}/hosts?state=failed")).await;
    assert_eq!(none["hosts"], json!([]));
    let listed = service.get("/v1/pushes?status=done").await;
    assert_eq!((listed["pushes"][0]["id"].as_str(), &listed["pushes_links"]), (Some(id), &json!([])));
    let late = service.send(Method::DELETE, &format!("/v1/pushes/{id}"), None).await;
    assert_eq!(late.status(), 409);

    let partial = service.push("partial").await;
    service.wait_for(&partial, "partial").await;
    let broken = service.push("broken").await;
    let failed = service.wait_for(&broken, "failed").await;
    assert!(failed["reason"].as_str().expect("a reason").contains("no key"), "{failed}");
    let plan = json!({"images": ["file:quick"], "hosts": {"all": true}, "dry_run": true});
    let plan = body_of(service.send(Method::POST, "/v1/pushes", Some(plan)).await).await;
    let plan = service.wait_for(plan["push"]["id"].as_str().expect("an id"), "done").await;
    assert_eq!(plan["images"][0]["progress"]["plan"]["copies"], 1);
}

#[tokio::test]
async fn what_hosts_hold_is_listed_by_image_and_by_host() {
    let service = Service::start(&[]).await;
    let id = service.push("quick").await;
    service.wait_for(&id, "done").await;
    crate::service::until("the copies are known", || async {
        let images = service.get("/v1/images?with_hosts=true").await;
        let names: Vec<&str> =
            images["images"].as_array()?.iter().filter_map(|image| image["name"].as_str()).collect();
        (names.contains(&"old") && images["images"][0]["hosts"] == json!(["c1"])).then_some(())
    })
    .await;
    let hosts = service.get("/v1/hosts").await;
    assert_eq!((&hosts["hosts"][0]["name"], &hosts["hosts"][0]["state"]), (&json!("c1"), &json!("answered")));
    let images = service.get("/v1/hosts/c1/images").await;
    assert!(images["images"].as_array().is_some_and(|images| !images.is_empty()), "{images}");
    let holders = service.get("/v1/images/cd/hosts").await;
    assert_eq!(holders["hosts"][0]["name"], "c1");
    for path in ["/v1/hosts/nobody/images", "/v1/images/nothing/hosts"] {
        assert_eq!(service.send(Method::GET, path, None).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn verifications_and_diagnoses_end_with_their_reports() {
    let service = Service::start(&[]).await;
    for (path, name, body) in [
        ("/v1/verifications", "verification", json!({"image": "debian", "hosts": {"all": true}})),
        ("/v1/diagnoses", "diagnosis", json!({"hosts": {"names": "c[1-3]"}})),
    ] {
        let answer = service.send(Method::POST, path, Some(body)).await;
        assert_eq!(answer.status(), 202, "{path}");
        let id = body_of(answer).await[name]["id"].as_str().expect("an id").to_owned();
        let job = crate::service::until("the job is done", || async {
            let job = service.get(&format!("{path}/{id}")).await[name].take();
            (job["status"] == "done").then_some(job)
        })
        .await;
        assert_eq!(job["report"]["outcome"], "complete");
        let listed = service.get(path).await;
        let plural = path.trim_start_matches("/v1/");
        assert!(listed[plural][0].get("report").is_none(), "{listed}");
    }
}

#[tokio::test]
async fn a_request_without_a_right_is_refused_in_both_forms() {
    let service = Service::start(&[]).await;
    let answer = service.anonymous(Method::GET, &service.url("/v1/pushes")).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().contains_key("www-authenticate"));
    let id = answer.headers()["x-openstack-request-id"].to_str().expect("text").to_owned();
    let error = body_of(answer).await;
    assert_eq!((&error["error"]["code"], &error["errors"][0]["request_id"]), (&json!(401), &json!(id)));
    let guess = reqwest::Client::builder().no_proxy().build().expect("a client");
    let guess = guess.get(service.url("/v1/pushes")).header("X-Auth-Token", "guess").send().await;
    assert_eq!(guess.expect("an answer").status(), 401);
}

#[tokio::test]
async fn every_mistake_has_its_status_and_says_what_is_wrong() {
    let service = Service::start(&[]).await;
    let good = || json!({"images": ["file:quick"], "hosts": {"names": "c1"}});
    let with = |name: &str, value: Value| {
        let mut body = good();
        body[name] = value;
        Some(body)
    };
    for (method, path, body, status, says) in [
        (Method::GET, "/v1/nothing", None, 404, "nothing at"),
        (Method::GET, "/nothing", None, 404, "nothing at"),
        (Method::PUT, "/v1/pushes", None, 405, "PUT is not for"),
        (Method::GET, "/v1/pushes/x", None, 404, "no push"),
        (Method::DELETE, "/v1/pushes/x", None, 404, "no push"),
        (Method::GET, "/v1/pushes/x/events", None, 404, "no push"),
        (Method::GET, "/v1/pushes?limit=-1", None, 400, "limit"),
        (Method::GET, "/v1/pushes?marker=x", None, 400, "marker"),
        (Method::GET, "/v1/pushes?status=lost", None, 400, "none of"),
        (Method::GET, "/v1/pushes?sort=name", None, 400, "sort"),
        (Method::GET, "/v1/pushes?color=red", None, 400, "no parameter"),
        (Method::GET, "/v1/pushes?limit=1&limit=2", None, 400, "twice"),
        (Method::GET, "/v1/pushes?created_at=gte:soon", None, 400, "gte:"),
        (Method::POST, "/v1/pushes", Some(json!({})), 400, "images"),
        (Method::POST, "/v1/pushes", Some(json!([])), 400, "wrong"),
        (Method::POST, "/v1/pushes", with("rat", json!("1gbit")), 400, "unknown field"),
        (Method::POST, "/v1/pushes", with("rate", json!("fast")), 400, "rate"),
        (Method::POST, "/v1/pushes", with("profile", json!("nowhere")), 400, "profile"),
        (Method::POST, "/v1/pushes", with("images", json!(["debian"])), 400, "no Glance"),
        (
            Method::POST,
            "/v1/pushes",
            with("images", json!(["file:../state/admin.token"])),
            400,
            "name of a file",
        ),
        (Method::POST, "/v1/pushes", with("images", json!(["file:nothing"])), 400, "no such file"),
        (
            Method::POST,
            "/v1/pushes",
            with("hosts", json!({"names": "@/etc/passwd"})),
            400,
            "a file is no host",
        ),
    ] {
        let shown = format!("{method} {path} {body:?}");
        let answer = service.send(method, path, body).await;
        assert_eq!(answer.status(), status, "{shown}");
        let error = body_of(answer).await;
        let detail = error["errors"][0]["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{shown}: {detail}");
        assert_eq!((&error["error"]["message"], &error["error"]["code"]), (&json!(detail), &json!(status)));
    }
    let long = service.send(Method::POST, "/v1/pushes", with("images", json!(["x".repeat(2 << 20)]))).await;
    assert_eq!(long.status(), 413);
    let kind = [("Content-Type", "text/plain")];
    assert_eq!(service.send_with(Method::POST, "/v1/pushes", None, &kind).await.status(), 415);
}

#[tokio::test]
async fn versions_are_negotiated_and_echoed() {
    let service = Service::start(&[]).await;
    let versions = service.anonymous(Method::GET, &service.url("/")).await;
    assert_eq!(versions.status(), 300);
    assert_eq!(body_of(versions).await["versions"][0]["min_version"], "1.1");
    assert_eq!(
        body_of(service.anonymous(Method::GET, &service.url("/v1/")).await).await["version"]["id"],
        "v1"
    );
    for (asked, status) in [
        ("image-distribution 1.1", 200),
        ("image-distribution latest", 200),
        ("compute 2.79", 200),
        ("image-distribution 1.2", 406),
        ("image-distribution one", 400),
    ] {
        let headers = [("OpenStack-API-Version", asked)];
        let answer = service.send_with(Method::GET, "/v1/pushes", None, &headers).await;
        assert_eq!(answer.status(), status, "{asked}");
        assert_eq!(answer.headers()["vary"], "OpenStack-API-Version");
        match status {
            200 => assert_eq!(answer.headers()["openstack-api-version"], "image-distribution 1.1"),
            _ => assert!(!answer.headers().contains_key("openstack-api-version")),
        }
        if status == 406 {
            assert_eq!(body_of(answer).await["errors"][0]["max_version"], "1.1");
        }
    }
}

#[tokio::test]
async fn a_request_is_known_by_its_id_and_a_key_makes_one_push() {
    let service = Service::start(&[]).await;
    let global = "req-9f1b9c5e-6a4c-4b57-9f6c-0a8f3b6f2b11";
    let body = || Some(json!({"images": ["file:quick"], "hosts": {"names": "c1"}}));
    let headers = [("X-OpenStack-Request-ID", global), ("Idempotency-Key", "a key")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = service.send_with(Method::POST, "/v1/pushes", body(), &headers).await;
        assert_eq!(answer.status(), 202);
        assert_ne!(answer.headers()["x-openstack-request-id"], global);
        let push = body_of(answer).await["push"].take();
        assert_eq!(push["request_id"], global);
        ids.push(push["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let other = Some(json!({"images": ["file:some"], "hosts": {"names": "c1"}}));
    assert_eq!(service.send_with(Method::POST, "/v1/pushes", other, &headers).await.status(), 409);
}

#[tokio::test]
async fn health_metrics_and_the_description_need_no_token() {
    let service = Service::start(&[]).await;
    let get = |url: String| service.anonymous_text(url);
    assert_eq!(get(service.url("/healthcheck")).await, (200, "OK".to_owned()));
    assert_eq!(service.anonymous(Method::HEAD, &service.url("/healthcheck")).await.status(), 200);
    let (status, ready) = get(service.url("/readyz")).await;
    assert!(status == 200 && ready.contains("\"database\":true"), "{ready}");
    let (_, openapi) = get(service.url("/openapi.json")).await;
    assert!(openapi.contains("/v1/pushes/{id}/events"));
    let (_, metrics) = get(format!("http://127.0.0.1:{}/metrics", service.metrics)).await;
    assert!(metrics.contains("glancecast_http_requests_total"), "{metrics}");
    assert_eq!(get(service.url("/metrics")).await.0, 404, "metrics have a listener of their own");
}

#[tokio::test]
async fn markers_walk_over_5000_pushes_without_a_gap_or_a_double() {
    let mut service = Service::prepare(&[]);
    let store = Store::open(&Database::Sqlite(service.path("state/state.db"))).await.expect("a database");
    for number in 0..5_000_u64 {
        // No controller takes pushes of a profile that it does not have. Many have the same time.
        let push = NewPush { at: WallClock(1_000 + number / 7), ..waiting(&format!("p{number:05}")) };
        store.accept(&push).await.expect("stored");
    }
    store.close().await;
    service.again().await;
    let mut seen = Vec::new();
    let mut path = "/v1/pushes?limit=333&sort=created_at:asc".to_owned();
    loop {
        let page = service.get(&path).await;
        let rows = page["pushes"].as_array().expect("rows");
        seen.extend(rows.iter().map(|push| push["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["pushes_links"][0]["href"].as_str() else { break };
        path = next.strip_prefix(&service.url("")).expect("here").to_owned();
    }
    let expected: Vec<String> = (0..5_000).map(|number| format!("p{number:05}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_stream_resumes_where_it_was_left_and_ends_with_its_push() {
    let service = Service::start(&[]).await;
    let id = service.push("waits").await;
    let path = format!("/v1/pushes/{id}/events");
    let mut first = service.send(Method::GET, &path, None).await;
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let seen = read_until(&mut first, "joined").await;
    drop(first);
    let last = seen.last().expect("events").0;
    std::fs::write(service.path("go"), "").expect("written");
    let rest = service.send_with(Method::GET, &path, None, &[("Last-Event-ID", &last.to_string())]).await;
    let rest = read_all(rest).await;
    assert!(rest.iter().any(|(_, kind, _)| kind == "finished"), "{rest:?}");
    assert!(rest.last().expect("events").2.contains("\"done\""), "{rest:?}");
    let numbers: Vec<i64> = seen.iter().chain(&rest).map(|(id, ..)| *id).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "no gap and no double");
    let over = [("Last-Event-ID", "9999")];
    assert_eq!(service.send_with(Method::GET, &path, None, &over).await.status(), 204);
}

#[tokio::test]
async fn a_push_that_runs_is_cancelled_and_one_that_waits_never_begins() {
    let service = Service::start(&[]).await;
    let (running, waiting) = (service.push("waits").await, service.push("quick").await);
    service.wait_for(&running, "running").await;
    for id in [&waiting, &running] {
        let answer = service.send(Method::DELETE, &format!("/v1/pushes/{id}"), None).await;
        assert_eq!(answer.status(), 202);
    }
    service.wait_for(&running, "cancelled").await;
    let waiting = service.wait_for(&waiting, "cancelled").await;
    assert!(waiting["reason"].as_str().expect("a reason").contains("admin"), "{waiting}");
    assert!(service.calls().iter().all(|call| !call.contains("quick")), "{:?}", service.calls());
}

impl Service {
    async fn anonymous_text(&self, url: String) -> (u16, String) {
        let answer = self.anonymous(Method::GET, &url).await;
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }
}

/// The number, kind and body of an event.
type Message = (i64, String, String);

/// Reads a stream until an event has these words.
async fn read_until(answer: &mut Response, words: &str) -> Vec<Message> {
    let mut text = String::new();
    while let Some(piece) = answer.chunk().await.expect("the stream goes on") {
        text.push_str(std::str::from_utf8(&piece).expect("text"));
        let whole = &text[..text.rfind("\n\n").map_or(0, |end| end + 2)];
        if whole.contains(words) {
            return messages(whole);
        }
    }
    panic!("the stream ended without {words}: {text}");
}

/// Reads a stream to its end.
async fn read_all(answer: Response) -> Vec<Message> {
    messages(&answer.text().await.expect("the stream ends"))
}

fn messages(text: &str) -> Vec<Message> {
    let message = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some((field("id:")?.parse().ok()?, field("event:")?.to_owned(), field("data:")?.to_owned()))
    };
    text.split("\n\n").filter_map(message).collect()
}

fn waiting(id: &str) -> NewPush {
    NewPush {
        id: id.into(),
        at: WallClock(0),
        profile: Some("elsewhere".into()),
        priority: 0,
        request: PushRequest {
            hosts: HostChoice::All,
            exclude: Vec::new(),
            reach: Default::default(),
            rate: None,
            timeout: None,
            pin: None,
            confirm: false,
            dry_run: false,
            placed_for: Default::default(),
        },
        targets: vec![Target { reference: "x".into(), image_id: None, name: None, bytes: None }],
        origin: Origin { user_id: "u".into(), ..Origin::default() },
        idempotency: None,
    }
}
