//! The authenticated session: a renewable token, the addresses of Glance and Nova, and requests to them. `find`, `list`,
//! `download` and `nova` build on it.

use std::sync::{Arc, PoisonError, RwLock};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::catalog::{Catalog, Found, Place};
use super::config::{CloudChoice, Settings};
use super::discovery::{Discovery, Version, discover, is_versioned, with_slash};
use super::error::{CloudError, shown_url};
use super::http::{ANSWER_TIMEOUT, Answer, Http, Repeat, with_token};
use super::keystone::{Keystone, Login, Rights};
use super::service::{Peer, Service};

/// An authenticated session. Clones share the token.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Arc<Http>,
    settings: Arc<Settings>,
    keystone: Keystone,
    token: RwLock<SecretString>,
    rights: Rights,
    catalog: Catalog,
    /// Found when it is first needed: who asks Nova alone needs no Glance.
    glance: OnceCell<Api>,
}

/// A service's API.
#[derive(Clone, Debug)]
pub(super) struct Api {
    /// Ends in "/".
    pub(super) url: Url,
    pub(super) peer: Peer,
}

impl Cloud {
    /// Logs in with the settings of the cloud that is chosen, else of OS_CLOUD, else of the OS_* variables.
    ///
    /// # Errors
    /// Kind `Usage` if the configuration is missing or wrong; `Source` if Keystone cannot be reached within
    /// `CONNECT_TIMEOUT` per address tried, three times.
    pub(crate) async fn connect(choice: &CloudChoice) -> Result<Self, CloudError> {
        Self::open(Settings::load(choice)?).await
    }

    pub(super) async fn open(settings: Settings) -> Result<Self, CloudError> {
        tracing::info!("credentials of {}", settings.origin);
        if let Some(warning) = settings.unverified() {
            tracing::warn!("{warning}");
        }
        let settings = Arc::new(settings);
        let http = Arc::new(Http::new(Arc::clone(&settings))?);
        let keystone = Keystone::find(&http, &settings).await?;
        let Login { token, catalog, rights } = keystone.log_in().await?;
        let (token, glance) = (RwLock::new(token), OnceCell::new());
        Ok(Self { inner: Arc::new(Inner { http, settings, keystone, token, rights, catalog, glance }) })
    }

    /// Gets a new token for the same credentials, which all clones use from then on.
    async fn renew(&self) -> Result<(), CloudError> {
        let login = self.inner.keystone.log_in().await?;
        *self.inner.token.write().unwrap_or_else(PoisonError::into_inner) = login.token;
        Ok(())
    }

    /// Sends a GET for `path` below Glance's address. Returns the answer, whatever its status.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub(super) async fn ask_glance(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, CloudError> {
        let Api { url, peer } = self.glance().await?;
        let mut url = url.join(path).map_err(|error| CloudError::BadAnswer {
            peer: peer.to_string(),
            what: "an image",
            reason: format!("{error} in {path:?}"),
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.request(peer, Method::GET, url)?.timeout(ANSWER_TIMEOUT);
        self.ask(peer, request, Repeat::Yes).await
    }

    /// Begins a request.
    ///
    /// # Errors
    /// Those of [`Http::request`].
    pub(super) fn request(
        &self,
        peer: &Peer,
        method: Method,
        url: Url,
    ) -> Result<RequestBuilder, CloudError> {
        self.inner.http.request(peer, method, url)
    }

    /// Sends a request with the token, and again with a new one if the old one has expired. Returns the whole answer.
    ///
    /// # Errors
    /// `TokenRefused`, `Redirected`, and those of [`Http::ask`] and of a new login.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<Answer, CloudError> {
        let mut renewed = false;
        loop {
            let answer = self.inner.http.ask(peer, self.authorized(&request)?, repeat).await?;
            match answer.status {
                StatusCode::UNAUTHORIZED if !renewed => self.renew().await?,
                StatusCode::UNAUTHORIZED => return Err(self.token_refused(peer)),
                status if status.is_redirection() => {
                    return Err(CloudError::unfollowed(peer, status, &answer.headers));
                }
                _ => return Ok(answer),
            }
            renewed = true;
        }
    }

    /// Like [`Self::ask`], but returns the answer when it begins, and makes the request once.
    ///
    /// # Errors
    /// `TokenRefused`, `Redirected`, and those of [`Http::open`] and of a new login.
    pub(super) async fn begin(&self, peer: &Peer, request: RequestBuilder) -> Result<Response, CloudError> {
        let mut renewed = false;
        loop {
            let answer = self.inner.http.open(peer, self.authorized(&request)?).await?;
            match answer.status() {
                StatusCode::UNAUTHORIZED if !renewed => self.renew().await?,
                StatusCode::UNAUTHORIZED => return Err(self.token_refused(peer)),
                status if status.is_redirection() => {
                    return Err(CloudError::unfollowed(peer, status, answer.headers()));
                }
                _ => return Ok(answer),
            }
            renewed = true;
        }
    }

    fn authorized(&self, request: &RequestBuilder) -> Result<RequestBuilder, CloudError> {
        let request = request.try_clone().expect("its body is not a stream");
        with_token(request, &self.token()).ok_or_else(CloudError::unsendable_token)
    }

    /// Returns the image API, which is looked for once.
    ///
    /// # Errors
    /// Those of [`Catalog::find`] and [`discover`], and `BadAnswer` if it offers other versions.
    pub(super) async fn glance(&self) -> Result<&Api, CloudError> {
        let Inner { http, settings, catalog, rights, .. } = &*self.inner;
        self.inner.glance.get_or_try_init(|| glance(http, settings, catalog, *rights, self.token())).await
    }

    /// Returns Keystone, which this session has its token of.
    pub(super) fn keystone(&self) -> &Keystone {
        &self.inner.keystone
    }

    fn token(&self) -> SecretString {
        self.inner.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns Nova's address as the settings or the catalog have it.
    ///
    /// # Errors
    /// Those of [`Catalog::find`].
    pub(super) fn nova(&self) -> Result<Api, CloudError> {
        let Inner { http, settings, catalog, .. } = &*self.inner;
        listed(http, settings, catalog, Service::Nova)
    }

    /// Returns the source of the settings for messages: "cloud `x` in /etc/openstack/clouds.yaml".
    pub(crate) fn origin(&self) -> String {
        self.inner.settings.origin.clone()
    }

    /// Returns the error of an answer that no caller has words for.
    pub(super) fn refused(&self, peer: &Peer, status: StatusCode) -> CloudError {
        match self.hint().filter(|_| status == StatusCode::FORBIDDEN) {
            Some(hint) => CloudError::Status {
                peer: peer.to_string(),
                status: status.as_u16(),
                advice: hint.to_owned(),
            },
            None => CloudError::status(peer, status),
        }
    }

    /// Returns why a service may refuse what this token asks, if its rights are narrower than a project's.
    pub(super) fn hint(&self) -> Option<&'static str> {
        self.inner.rights.hint()
    }

    fn token_refused(&self, peer: &Peer) -> CloudError {
        let service = peer.service.name();
        let advice = match self.hint() {
            Some(hint) => hint.to_owned(),
            None => format!("check that {service} uses the same Keystone, and that {service} can reach it"),
        };
        CloudError::TokenRefused { peer: peer.to_string(), origin: self.origin(), advice }
    }
}

/// Returns the image API.
async fn glance(
    http: &Http,
    settings: &Settings,
    catalog: &Catalog,
    rights: Rights,
    token: SecretString,
) -> Result<Api, CloudError> {
    let listed =
        listed(http, settings, catalog, Service::Glance).map_err(|error| match (error, rights.hint()) {
            // A token without a project has no catalog, or one without endpoints.
            (CloudError::NoEndpoint { .. }, Some(hint)) if rights != Rights::AccessRules => {
                CloudError::BadSettings { origin: settings.origin.clone(), reason: hint.to_owned() }
            }
            (error, _) => error,
        })?;
    // keystoneauth, too, uses an address with the version as it is.
    if is_versioned(&listed.url, V2) {
        return Ok(listed.at(with_slash(listed.url.clone())));
    }
    match discover(http, &listed.peer, &listed.url, V2, Some(&token)).await? {
        Discovery::Found(url) => Ok(listed.at(url)),
        Discovery::OtherVersions => Err(CloudError::BadAnswer {
            peer: listed.peer.to_string(),
            what: "an image API of version 2",
            reason: "it offers other versions".to_owned(),
        }),
        // A gateway, or the access rules of an application credential, hide the versions.
        Discovery::Nothing(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let url = with_slash(listed.url.clone()).join("v2/").expect("a relative path");
            Ok(listed.at(url))
        }
        Discovery::Nothing(status) if status.is_success() => Err(CloudError::BadAnswer {
            peer: listed.peer.to_string(),
            what: "a list of versions",
            reason: format!("is it Glance? If that is elsewhere, {}", Service::Glance.remedy()),
        }),
        Discovery::Nothing(status) => Err(CloudError::status(&listed.peer, status)),
    }
}

/// Returns the address of a service in the settings, else in the catalog.
fn listed(http: &Http, settings: &Settings, catalog: &Catalog, service: Service) -> Result<Api, CloudError> {
    if let Some(text) = settings.endpoint_override(service) {
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| CloudError::BadSettings {
            origin: settings.origin.clone(),
            reason: format!(
                "{}_endpoint_override {} is not http:// or https://",
                service.kind(),
                shown_url(text)
            ),
        })?;
        return Ok(Api { peer: http.peer(service, &url), url });
    }
    let place = Place {
        interfaces: settings.interfaces(service),
        region: settings.region(service),
        origin: &settings.origin,
    };
    let found: Found = catalog.find(service, place)?;
    let peer = found.peer(http.peer(service, &found.url));
    Ok(Api { url: found.url, peer })
}

impl Api {
    /// Returns the same service at another of its addresses.
    pub(super) fn at(&self, url: Url) -> Self {
        Self { peer: self.peer.at(&url), url }
    }
}

const V2: Version = Version { major: 2, segment: "v2" };
