//! Login: from settings to a token and its catalog.

use std::sync::Arc;

use reqwest::header::HeaderValue;
use reqwest::{Method as Verb, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::auth::{self, Method};
use super::catalog::Catalog;
use super::config::Settings;
use super::discovery::{Discovery, Version, discover, is_versioned, with_slash};
use super::error::{CloudError, json_fault, shown_url};
use super::http::{ANSWER_TIMEOUT, Answer, Http, Repeat};
use super::oidc;
use super::service::{Peer, Service};
use super::tokens::Expired;

/// A Keystone v3 with a known address.
#[derive(Debug)]
pub(super) struct Keystone {
    http: Arc<Http>,
    settings: Arc<Settings>,
    /// Ends in "/v3/".
    url: Url,
    peer: Peer,
    /// The status with which it hides its versions: whether it is a Keystone is not known.
    hides: Option<StatusCode>,
}

/// The result of a login.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) token: SecretString,
    /// The services that the project may use.
    pub(super) catalog: Catalog,
    pub(super) rights: Rights,
}

/// What a token is good for, as far as messages have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// A project's, as the user's roles have them.
    Project,
    /// A project's, narrowed by the access rules of an application credential.
    AccessRules,
    /// Of a domain, without a project.
    Domain,
    /// Of the whole cloud, without a project.
    System,
    /// None: the token has no scope.
    Unscoped,
}

impl Keystone {
    /// Finds Keystone by the versions that its `auth_url` lists. An address that ends in `/v3` and hides its versions is
    /// taken for Keystone's, as keystoneauth does.
    ///
    /// # Errors
    /// `NotKeystone`, `BadSettings`, and those of [`Http::ask`].
    pub(super) async fn find(http: &Arc<Http>, settings: &Arc<Settings>) -> Result<Self, CloudError> {
        let start = auth_url(settings)?;
        let peer = http.peer(Service::Keystone, &start);
        let (url, hides) = match discover(http, &peer, &start, V3, None).await? {
            Discovery::Found(url) => (url, None),
            Discovery::Nothing(status) if is_versioned(&start, V3) && HIDDEN.contains(&status) => {
                (with_slash(start.clone()), Some(status))
            }
            Discovery::Nothing(status @ StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                return Err(CloudError::status(&peer, status));
            }
            Discovery::Nothing(status) => {
                return Err(CloudError::not_keystone(&peer, status, &settings.origin));
            }
            Discovery::OtherVersions => {
                return Err(CloudError::not_keystone(&peer, StatusCode::OK, &settings.origin));
            }
        };
        let (http, settings) = (Arc::clone(http), Arc::clone(settings));
        Ok(Self { http, settings, peer: peer.at(&url), url, hides })
    }

    /// Logs in with the credentials of the settings.
    ///
    /// # Errors
    /// `CredentialsRefused`, `SecondFactor`, `LoginForbidden`, `Incomplete`, `BadSettings`, and those of [`Http::ask`].
    pub(super) async fn log_in(&self) -> Result<Login, CloudError> {
        let name = self.settings.auth_type();
        let method = Method::named(name)
            .ok_or_else(|| self.bad(format!("auth_type `{name}` is not supported here")))?;
        let answer = match method {
            Method::OidcAccessToken | Method::OidcClientCredentials => self.federated(method).await?,
            _ => {
                let body =
                    auth::body(method, &self.settings).map_err(|missing| self.bad(missing.to_string()))?;
                self.post(self.token_request(&body)?).await?
            }
        };
        let answer = self.with_further_factors(answer).await?;
        self.login(method, &answer)
    }

    /// Gets a token by the identity provider's, and then one for the scope of the settings.
    async fn federated(&self, method: Method) -> Result<Answer, CloudError> {
        let access_token = match method {
            Method::OidcClientCredentials => oidc::access_token(&self.http, &self.settings).await?,
            _ => self.settings.credential("access_token").ok_or_else(|| self.missing("access_token"))?,
        };
        let required = |name| self.settings.credential(name).ok_or_else(|| self.missing(name));
        let (provider, protocol) = (required("identity_provider")?, required("protocol")?);
        let path = ["OS-FEDERATION", "identity_providers", provider.expose_secret(), "protocols"];
        let mut url = self.url.clone();
        let segments = url.path_segments_mut();
        segments
            .expect("http has segments")
            .pop_if_empty()
            .extend(path)
            .push(protocol.expose_secret())
            .push("auth");
        let request = self.http.request(&self.peer, Verb::POST, url)?.timeout(ANSWER_TIMEOUT);
        let answer = self.post(request.bearer_auth(access_token.expose_secret())).await?;
        if !answer.status.is_success() {
            return Ok(answer);
        }
        let unscoped = token(&answer).ok_or_else(|| self.no_token("without X-Subject-Token".to_owned()))?;
        match auth::rescope(&unscoped, &self.settings).map_err(|missing| self.bad(missing.to_string()))? {
            Some(body) => self.post(self.token_request(&body)?).await,
            None => Ok(answer),
        }
    }

    /// Sends the further factors that Keystone asks for, if it does and the settings have them.
    async fn with_further_factors(&self, answer: Answer) -> Result<Answer, CloudError> {
        let Some(receipt) = answer.headers.get(RECEIPT).filter(|_| answer.status == StatusCode::UNAUTHORIZED)
        else {
            return Ok(answer);
        };
        let asked: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(body) = auth::further_factors(&asked, &self.settings) else {
            return Err(CloudError::SecondFactor {
                peer: self.peer.to_string(),
                origin: self.settings.origin.clone(),
            });
        };
        self.post(self.token_request(&body)?.header(RECEIPT, receipt.clone())).await
    }

    fn token_request(&self, body: &Value) -> Result<RequestBuilder, CloudError> {
        let url = self.url.join("auth/tokens").expect("a relative path");
        let request = self.http.request(&self.peer, Verb::POST, url)?.timeout(ANSWER_TIMEOUT);
        Ok(request.header("Content-Type", "application/json").body(body.to_string()))
    }

    /// Returns how messages name it.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the question what a token is; `None` if the text cannot be in a header. The token of who asks is to be added.
    ///
    /// # Errors
    /// Those of [`Http::request`].
    pub(super) fn question_about(
        &self,
        subject: &SecretString,
        expired: Expired,
    ) -> Result<Option<RequestBuilder>, CloudError> {
        let Ok(mut subject) = HeaderValue::from_str(subject.expose_secret()) else { return Ok(None) };
        subject.set_sensitive(true);
        let mut url = self.url.join("auth/tokens").expect("a relative path");
        url.set_query(Some(match expired {
            Expired::Refused => "nocatalog",
            Expired::Allowed => "nocatalog&allow_expired=1",
        }));
        let request = self.http.request(&self.peer, Verb::GET, url)?.timeout(ANSWER_TIMEOUT);
        // Keystone does not validate a credential with access rules for a service that does not say that it enforces them.
        let request =
            request.header("OpenStack-Identity-Access-Rules", "1").header("X-Subject-Token", subject);
        Ok(Some(request.header("Accept", "application/json")))
    }

    /// Sends a request for a token. It changes nothing that counts, so it may be sent again.
    async fn post(&self, request: RequestBuilder) -> Result<Answer, CloudError> {
        self.http.ask(&self.peer, request.header("Accept", "application/json"), Repeat::Yes).await
    }

    fn login(&self, method: Method, answer: &Answer) -> Result<Login, CloudError> {
        if !answer.status.is_success() {
            return Err(self.refusal(method, answer));
        }
        let token = token(answer).ok_or_else(|| self.no_token("without X-Subject-Token".to_owned()))?;
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| self.no_token(json_fault(&error)))?;
        let info = &body["token"];
        Ok(Login { token, catalog: Catalog::read(&info["catalog"]), rights: Rights::of(info) })
    }

    fn refusal(&self, method: Method, answer: &Answer) -> CloudError {
        let (peer, origin) = (self.peer.to_string(), self.settings.origin.clone());
        let status = answer.status.as_u16();
        match (answer.status, self.hides) {
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, Some(hides)) => {
                CloudError::not_keystone(&self.peer, hides, &origin)
            }
            // Keystone answers 404 for an invalid or expired token.
            (StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, _) => {
                CloudError::CredentialsRefused { peer, status, origin, what: method.refused() }
            }
            (StatusCode::BAD_REQUEST, _) => CloudError::Incomplete { peer, origin },
            (StatusCode::FORBIDDEN, _) => CloudError::LoginForbidden { peer, origin },
            _ if answer.status.is_redirection() => {
                CloudError::unfollowed(&self.peer, answer.status, &answer.headers)
            }
            _ => CloudError::status(&self.peer, answer.status),
        }
    }

    fn bad(&self, reason: String) -> CloudError {
        CloudError::BadSettings { origin: self.settings.origin.clone(), reason }
    }

    fn missing(&self, name: &str) -> CloudError {
        self.bad(format!("`{name}` is missing"))
    }

    fn no_token(&self, reason: String) -> CloudError {
        CloudError::BadAnswer { peer: self.peer.to_string(), what: "a token", reason }
    }
}

impl Rights {
    fn of(info: &Value) -> Self {
        let has = |key: &str| info.get(key).is_some_and(|value| !value.is_null());
        let rules = info.get("application_credential").and_then(|credential| credential.get("access_rules"));
        if rules.and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()) {
            Self::AccessRules
        } else if has("project") {
            Self::Project
        } else if has("system") {
            Self::System
        } else if has("domain") {
            Self::Domain
        } else {
            Self::Unscoped
        }
    }

    /// Returns why a service may refuse the token, and what to do; `None` if its rights are a project's.
    pub(super) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Project => return None,
            Self::AccessRules => {
                "the application credential has access rules, and they do not have this request; send needs GET \
                 /v2/images, GET /v2/images/* and GET /v2/images/*/file of the service image, --aggregate and \
                 --availability-zone GET /v2.1/os-aggregates and GET /v2.1/os-services of compute, --confirm POST \
                 /v2.1/os-aggregates/*/images; make one with these rules, or without any"
            }
            Self::Domain => {
                "the token is for a domain, and images belong to projects; give project_name and project_domain_name \
                 instead of domain_name (domain_id)"
            }
            Self::System => {
                "the token is for the system (system_scope), and images belong to projects; give project_name and \
                 project_domain_name instead"
            }
            Self::Unscoped => {
                "the token is for no project, and the user has no default project; give project_name and \
                 project_domain_name (or project_id)"
            }
        })
    }
}

/// Returns the address in the settings.
fn auth_url(settings: &Settings) -> Result<Url, CloudError> {
    let bad = |reason: String| CloudError::BadSettings { origin: settings.origin.clone(), reason };
    let url = Url::parse(settings.auth_url.trim())
        .map_err(|error| bad(format!("auth_url is no URL ({error}); it begins with http:// or https://")))?;
    match matches!(url.scheme(), "http" | "https") {
        true => Ok(url),
        false => Err(bad(format!("auth_url {} is not http:// or https://", shown_url(url.as_str())))),
    }
}

fn token(answer: &Answer) -> Option<SecretString> {
    let token = answer.headers.get("X-Subject-Token")?.to_str().ok()?;
    (!token.is_empty()).then(|| token.into())
}

const V3: Version = Version { major: 3, segment: "v3" };
/// The statuses with which a gateway hides the versions of a Keystone behind it.
const HIDDEN: [StatusCode; 4] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
/// The header of a log-in that needs another factor.
const RECEIPT: &str = "openstack-auth-receipt";
