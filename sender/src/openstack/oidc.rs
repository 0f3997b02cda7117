//! The access token that an OpenID Connect provider gives to a client with a secret (`v3oidcclientcredentials`; OAuth
//! 2.0, RFC 6749 §4.4).

use reqwest::{Method as Verb, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::config::Settings;
use super::error::{CloudError, json_fault, shown_url};
use super::http::{ANSWER_TIMEOUT, Answer, Http, Repeat};
use super::service::{Peer, Service};

/// Asks the provider for an access token.
///
/// # Errors
/// `BadSettings`, `CredentialsRefused`, `BadAnswer`, and those of [`Http::ask`].
pub(super) async fn access_token(http: &Http, settings: &Settings) -> Result<SecretString, CloudError> {
    let client = Client { http, settings };
    let endpoint = client.endpoint().await?;
    let id = client.given("client_id").ok_or_else(|| client.bad("`client_id` is missing".to_owned()))?;
    let scope = client.given("scope").unwrap_or_else(|| "openid profile".to_owned());
    let peer = http.peer(Service::IdentityProvider, &endpoint);
    let request = http.request(&peer, Verb::POST, endpoint)?.timeout(ANSWER_TIMEOUT);
    let mut form = vec![("grant_type", "client_credentials"), ("scope", scope.as_str())];
    let request = match settings.credential("client_secret") {
        Some(secret) => request.basic_auth(&id, Some(secret.expose_secret())),
        None => {
            form.push(("client_id", &id));
            request
        }
    };
    let mut encoded = Url::parse("http://form/").expect("a URL");
    encoded.query_pairs_mut().extend_pairs(form);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let request = request.body(encoded.query().unwrap_or_default().to_owned());
    let answer = http.ask(&peer, request, Repeat::Yes).await?;
    if !answer.status.is_success() {
        let (status, origin) = (answer.status.as_u16(), settings.origin.clone());
        let what = "the client_id, the client_secret or the scope";
        return Err(CloudError::CredentialsRefused { peer: peer.to_string(), status, origin, what });
    }
    let kind = client.given("access_token_type").unwrap_or_else(|| "access_token".to_owned());
    let token = json(&peer, &answer)?.get(&kind).and_then(Value::as_str).map(SecretString::from);
    token.ok_or_else(|| CloudError::BadAnswer {
        peer: peer.to_string(),
        what: "an access token",
        reason: format!("it has no `{kind}`"),
    })
}

struct Client<'a> {
    http: &'a Http,
    settings: &'a Settings,
}

impl Client<'_> {
    /// Returns where tokens are given: as configured, or as the provider's discovery document names it.
    async fn endpoint(&self) -> Result<Url, CloudError> {
        if let Some(url) = self.given("access_token_endpoint") {
            return self.url("access_token_endpoint", &url);
        }
        let document = self.given("discovery_endpoint");
        let document = document.ok_or_else(|| {
            self.bad("`access_token_endpoint` and `discovery_endpoint` are missing".to_owned())
        })?;
        let url = self.url("discovery_endpoint", &document)?;
        let peer = self.http.peer(Service::IdentityProvider, &url);
        let request = self.http.request(&peer, Verb::GET, url)?.timeout(ANSWER_TIMEOUT);
        let answer = self.http.ask(&peer, request, Repeat::Yes).await?;
        if !answer.status.is_success() {
            return Err(CloudError::status(&peer, answer.status));
        }
        let document = json(&peer, &answer)?;
        let endpoint = document.get("token_endpoint").and_then(Value::as_str).unwrap_or_default();
        self.url("token_endpoint of the identity provider", endpoint)
    }

    fn given(&self, name: &str) -> Option<String> {
        self.settings.credential(name).map(|value| value.expose_secret().to_owned())
    }

    fn url(&self, name: &str, text: &str) -> Result<Url, CloudError> {
        let url = Url::parse(text).map_err(|error| self.bad(format!("{name} is no URL ({error})")))?;
        match matches!(url.scheme(), "http" | "https") {
            true => Ok(url),
            false => Err(self.bad(format!("{name} {} is not http:// or https://", shown_url(url.as_str())))),
        }
    }

    fn bad(&self, reason: String) -> CloudError {
        CloudError::BadSettings { origin: self.settings.origin.clone(), reason }
    }
}

fn json(peer: &Peer, answer: &Answer) -> Result<Value, CloudError> {
    serde_json::from_slice(&answer.body).map_err(|error| CloudError::BadAnswer {
        peer: peer.to_string(),
        what: "JSON",
        reason: json_fault(&error),
    })
}
