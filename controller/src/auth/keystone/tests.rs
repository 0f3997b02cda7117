//! Users of Keystone, with one that the test makes up.

use std::sync::atomic::AtomicUsize;

use axum::http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use tokio::sync::Notify;

use super::*;
use crate::model::rfc3339;

#[tokio::test]
async fn a_token_is_asked_about_once_however_many_requests_have_it() {
    let keystone = Arc::new(keystone([("good", token("u", &["reader"], 3_600))]));
    keystone.validate.holds.store(true, Ordering::SeqCst);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let keystone = Arc::clone(&keystone);
            tokio::spawn(async move { get(&keystone, &[("x-auth-token", "good")]).await })
        })
        .collect();
    keystone.validate.arrived.notified().await;
    keystone.validate.holds.store(false, Ordering::SeqCst);
    keystone.validate.go.notify_one();
    for request in requests {
        assert_eq!(request.await.expect("it ends").expect("a user").user_id, "u");
    }
    assert_eq!(keystone.validate.asked.load(Ordering::SeqCst), 1);
    assert!(lock(&keystone.turns).is_empty(), "nobody waits");
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_without_asking_again() {
    let keystone = keystone([]);
    for _ in 0..3 {
        assert_eq!(get(&keystone, &[("x-auth-token", "bad")]).await, Err(AuthError::Unauthorized));
    }
    assert_eq!(get(&keystone, &[]).await, Err(AuthError::Unauthorized));
    assert_eq!(keystone.validate.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_is_believed_no_longer_than_the_token_lives() {
    let expired = token("u", &[], -1);
    let keystone = keystone([("old", expired.clone())]);
    assert_eq!(get(&keystone, &[("x-auth-token", "old")]).await, Err(AuthError::Unauthorized));
    let info = Arc::new(TokenInfo::read(&token("u", &[], 100)).expect("a token"));
    let time = Verdict::Valid(info).time(wall(), Expired::Refused);
    assert!(time <= Duration::from_secs(100) && time > Duration::from_secs(90), "{time:?}");
    let info = Arc::new(TokenInfo::read(&token("u", &[], 9_000)).expect("a token"));
    assert_eq!(Verdict::Valid(info).time(wall(), Expired::Refused), TOKEN_TIME);
}

#[tokio::test]
async fn an_expired_token_counts_only_beside_a_service_token_with_the_role() {
    let tokens = [
        ("old", token("u", &["admin"], -1)),
        ("service", token("s", &["Service"], 3_600)),
        ("person", token("p", &["admin"], 3_600)),
    ];
    let keystone = keystone(tokens);
    let with = |service: &'static str| [("x-auth-token", "old"), ("x-service-token", service)];
    assert_eq!(get(&keystone, &with("service")).await.expect("a user").user_id, "u");
    assert_eq!(get(&keystone, &with("person")).await, Err(AuthError::Unauthorized));
    assert_eq!(get(&keystone, &with("forged")).await, Err(AuthError::Unauthorized));
    assert_eq!(get(&keystone, &with("")).await, Err(AuthError::Unauthorized));
    assert_eq!(get(&keystone, &with("service")[..1]).await, Err(AuthError::Unauthorized), "on its own");
}

#[tokio::test]
async fn access_rules_hold_unless_a_service_asks() {
    let mut restricted = token("u", &["admin"], 3_600);
    restricted["application_credential"] = json!({"access_rules":
        [{"service": "image-distribution", "method": "GET", "path": "/v1/pushes/*"}]});
    let mut nothing = token("n", &["admin"], 3_600);
    nothing["application_credential"] = json!({"access_rules": []});
    let service = token("s", &["service"], 3_600);
    let keystone = keystone([("restricted", restricted), ("nothing", nothing), ("service", service)]);
    let ask = async |method: Method, path: &str, headers: &[(&'static str, &str)]| {
        let headers = map(headers);
        keystone.identify(Asked { method: &method, path, headers: &headers }).await.is_ok()
    };
    let restricted = [("x-auth-token", "restricted"), ("x-service-token", "service")];
    assert!(ask(Method::GET, "/v1/pushes/a", &restricted[..1]).await);
    assert!(!ask(Method::GET, "/v1/pushes", &restricted[..1]).await);
    assert!(!ask(Method::DELETE, "/v1/pushes/a", &restricted[..1]).await);
    assert!(!ask(Method::GET, "/v1/pushes/a", &[("x-auth-token", "nothing")]).await);
    assert!(ask(Method::DELETE, "/v1/pushes/a", &restricted).await, "a part of another request");
}

#[tokio::test]
async fn while_keystone_is_away_requests_are_unavailable_and_heal() {
    let keystone = keystone([("good", token("u", &[], 3_600))]);
    keystone.validate.is_away.store(true, Ordering::SeqCst);
    let refused = get(&keystone, &[("x-auth-token", "good")]).await;
    assert!(matches!(refused, Err(AuthError::Unavailable(_))), "{refused:?}");
    keystone.validate.is_away.store(false, Ordering::SeqCst);
    tokio::time::sleep(UNAVAILABLE_TIME).await;
    assert!(get(&keystone, &[("x-auth-token", "good")]).await.is_ok());
}

async fn get(keystone: &Keystone<Fake>, headers: &[(&'static str, &str)]) -> Result<Identity, AuthError> {
    let headers = map(headers);
    keystone.identify(Asked { method: &Method::GET, path: "/v1/pushes", headers: &headers }).await
}

fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("a header");
    headers.iter().map(|(name, text)| ((*name).parse().expect("a name"), value(text))).collect()
}

fn token(user: &str, roles: &[&str], seconds: i64) -> Value {
    let end = WallClock(wall().0.saturating_add_signed(seconds * 1_000));
    let roles: Vec<Value> = roles.iter().map(|role| json!({ "name": role })).collect();
    json!({"user": {"id": user, "name": user}, "roles": roles, "expires_at": rfc3339(end)})
}

fn keystone<const N: usize>(tokens: [(&'static str, Value); N]) -> Keystone<Fake> {
    let fake = Fake { tokens: HashMap::from(tokens), ..Fake::default() };
    let settings = KeystoneSettings { uri: "http://ks".into(), service_roles: vec!["service".to_owned()] };
    Keystone::new(fake, settings)
}

/// A Keystone that knows some tokens. It takes every expired token if that is allowed.
#[derive(Debug, Default)]
struct Fake {
    tokens: HashMap<&'static str, Value>,
    is_away: std::sync::atomic::AtomicBool,
    /// Whether answers wait for `go`.
    holds: std::sync::atomic::AtomicBool,
    arrived: Notify,
    go: Notify,
    asked: AtomicUsize,
}

impl Validate for Fake {
    async fn validate(&self, token: &str, expired: Expired) -> Result<Option<Value>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.holds.load(Ordering::SeqCst) {
            self.arrived.notify_one();
            self.go.notified().await;
        }
        if self.is_away.load(Ordering::SeqCst) {
            return Err("connection refused".into());
        }
        let token = self.tokens.get(token).cloned();
        let lives = |token: &Value| TokenInfo::read(token).is_some_and(|info| info.expires_at > wall());
        Ok(token.filter(|token| expired == Expired::Allowed || lives(token)))
    }
}
