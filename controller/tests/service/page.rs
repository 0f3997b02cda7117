//! The page: without script over plain HTTP, and in Chromium.

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::json;

use crate::browser::Browser;
use crate::service::{Service, until};

#[tokio::test]
async fn only_a_valid_token_signs_in_and_the_browser_never_gets_it_back() {
    let service = Service::start(&[]).await;
    let reader = Reader::new(&service);
    let first = reader.get("/ui/", "").await;
    assert_eq!(first.status(), 401);
    let policy = first.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(first.text().await.expect("a page").contains("action=\"/ui/sign-in\""));

    let wrong = reader.post("/ui/sign-in", "", "token=guess").await;
    assert_eq!((wrong.status().as_u16(), wrong.headers().get(SET_COOKIE)), (401, None));
    let foreign = reader.client.post(service.url("/ui/sign-in")).header("Origin", "http://evil.example");
    let foreign = foreign.header(CONTENT_TYPE, FORM).body(format!("token={}", token(&service)));
    assert_eq!(foreign.send().await.expect("an answer").status(), 403);

    let cookie = reader.sign_in(&service).await;
    let page = reader.get("/ui/", &cookie).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("a page");
    assert!(page.contains("What runs") && !page.contains(&token(&service)));

    assert_eq!(reader.post("/ui/sign-out", &cookie, "key=guess").await.status(), 403);
    let out = reader.post("/ui/sign-out", &cookie, &format!("key={}", form_key(&page))).await;
    assert_eq!(out.headers()[LOCATION], "/ui/sign-in");
    assert_eq!(reader.get("/ui/", &cookie).await.status(), 401);
}

#[tokio::test]
async fn a_push_is_cancelled_by_a_form_of_the_session_alone() {
    let service = Service::start(&[]).await;
    let reader = Reader::new(&service);
    let cookie = reader.sign_in(&service).await;
    let id = service.push("waits").await;
    service.wait_for(&id, "running").await;
    let path = format!("/ui/pushes/{id}");
    let page = reader.get(&path, &cookie).await.text().await.expect("a page");
    assert!(page.contains("Cancel this push"), "{page}");
    assert_eq!(reader.post(&format!("{path}/cancel"), &cookie, "key=guess").await.status(), 403);
    let done = reader.post(&format!("{path}/cancel"), &cookie, &format!("key={}", form_key(&page))).await;
    assert_eq!(done.status(), 303);
    service.wait_for(&id, "cancelled").await;
}

#[tokio::test]
async fn without_script_a_page_tells_the_host_that_failed_and_its_state() {
    let service = Service::start(&["--auth", "none"]).await;
    let reader = Reader::new(&service);
    let body = json!({"images": ["file:partial"], "hosts": {"names": "c1"}});
    let answer = reader.client.post(service.url("/v1/pushes")).header(CONTENT_TYPE, "application/json");
    let answer = answer.body(body.to_string()).send().await.expect("an answer");
    let id = crate::service::json(answer).await["push"]["id"].as_str().expect("an id").to_owned();
    let page = until("the push has ended", || async {
        let page = reader.get(&format!("/ui/pushes/{id}"), "").await.text().await.ok()?;
        page.contains("<strong>partial</strong>").then_some(page)
    })
    .await;
    assert!(page.contains("<td>c1</td><td class=\"bad\">never_answered</td>"), "{page}");
    assert!(!page.contains("<script"), "a push that has ended needs none");
    let rebound = reader.client.get(service.url("/ui/")).header("Host", "evil.example");
    assert_eq!(rebound.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn in_chromium_a_user_signs_in_and_sees_a_push_to_its_end() {
    let Some(browser) = Browser::start().await else {
        glancecast_testkit::skip(
            "chromium and chromedriver are missing: apt install chromium chromium-driver",
        );
        return;
    };
    let service = Service::start(&[]).await;
    // Without a session, /ui/ is 401, which the console would name.
    browser.open(&service.url("/ui/sign-in")).await;
    let token = json!(token(&service));
    let fill = "document.getElementById('token').value = arguments[0]; document.querySelector('main button').click()";
    browser.run(fill, token).await;
    browser.until("document.querySelector('h1').textContent == 'Overview'").await;

    let id = service.push("waits").await;
    service.wait_for(&id, "running").await;
    browser.open(&service.url(&format!("/ui/pushes/{id}"))).await;
    browser.until("document.getElementById('hosts').textContent.includes('joined')").await;
    std::fs::write(service.path("go"), "").expect("written");
    browser.until("document.querySelector('[role=status] strong').textContent == 'done'").await;
    browser.screenshot("page-push").await;
    browser.open(&service.url("/ui/")).await;
    browser.screenshot("page-overview").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// A browser without script.
struct Reader {
    client: Client,
    base: String,
}

impl Reader {
    fn new(service: &Service) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { client, base: service.url("") }
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base)).header(COOKIE, cookie);
        request.send().await.expect("an answer")
    }

    async fn post(&self, path: &str, cookie: &str, form: &str) -> Response {
        let request = self.client.post(format!("{}{path}", self.base)).header(COOKIE, cookie);
        request.header(CONTENT_TYPE, FORM).body(form.to_owned()).send().await.expect("an answer")
    }

    async fn sign_in(&self, service: &Service) -> String {
        let answer = self.post("/ui/sign-in", "", &format!("token={}", token(service))).await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("text");
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().expect("a pair").to_owned()
    }
}

fn token(service: &Service) -> String {
    std::fs::read_to_string(service.path("state/admin.token")).expect("it was made").trim().to_owned()
}

fn form_key(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"key\" value=\"").expect("a form");
    rest.split_once('"').expect("an end").0
}

const FORM: &str = "application/x-www-form-urlencoded";
