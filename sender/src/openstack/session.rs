//! The authenticated session: a renewable token, the addresses of Glance and Nova, and requests to Glance for JSON.
//! `find`, `list`, `download` and `nova` build on it.

use std::sync::{Arc, PoisonError, RwLock};

use openstack_sdk_core::catalog::{Catalog, CatalogError};
use openstack_sdk_core::types::{ApiVersion, ServiceType};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::SecretString;

use super::config::{CloudChoice, Settings};
use super::error::{CloudError, one_line, shown_url};
use super::http::{self, ANSWER_TIMEOUT, with_token};
use super::keystone::{EndpointScope, Keystone, Login, at_server, discover};

/// An authenticated session. Clones share the token.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Client,
    settings: Settings,
    keystone: Keystone,
    token: RwLock<SecretString>,
    /// The image API's address; ends in "/v2/".
    glance: Url,
    /// Nova's address, if the catalog has one.
    nova: Option<Url>,
}

impl Cloud {
    /// Logs in with the settings of the cloud that is chosen, else of OS_CLOUD, else of the OS_* variables.
    ///
    /// # Errors
    /// Kind `Usage` if the configuration is missing or wrong; `Source` if Keystone refuses, or cannot be reached within
    /// `CONNECT_TIMEOUT` per address tried.
    pub(crate) async fn connect(choice: &CloudChoice) -> Result<Self, CloudError> {
        Self::open(Settings::load(choice)?).await
    }

    pub(super) async fn open(settings: Settings) -> Result<Self, CloudError> {
        tracing::info!("credentials of {}", settings.origin);
        if let Some(warning) = settings.unverified() {
            tracing::warn!("{warning}");
        }
        let http = http::client(&settings)?;
        let keystone = Keystone::find(&http, &settings).await?;
        let Login { token, mut catalog } = keystone.log_in(&http, &settings).await?;
        let glance = glance(&http, &settings, &mut catalog, &token).await?;
        let place = &settings.compute;
        let (region, interface) = (place.region.as_deref(), place.interfaces[0].as_str());
        let nova = catalog.get_service_endpoint("compute", None, region, Some(interface));
        let nova = nova.ok().map(|endpoint| endpoint.url().clone());
        let token = RwLock::new(token);
        Ok(Self { inner: Arc::new(Inner { http, settings, keystone, token, glance, nova }) })
    }

    /// Gets a new token for the same credentials, which all clones use from then on.
    pub(super) async fn renew(&self) -> Result<(), CloudError> {
        let Inner { http, settings, keystone, token, .. } = &*self.inner;
        let login = keystone.log_in(http, settings).await?;
        *token.write().unwrap_or_else(PoisonError::into_inner) = login.token;
        Ok(())
    }

    /// Sends a GET for `path` below Glance's address. Returns the answer's status and body.
    ///
    /// # Errors
    /// `Unreachable`, `Redirected`, `TokenRefused`, `AnswerTooLong`, and those of a new login.
    pub(super) async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(StatusCode, Vec<u8>), CloudError> {
        let mut url = self.glance().join(path).map_err(|error| CloudError::BadAnswer {
            url: self.glance_text(),
            reason: format!("{error} in {path:?}"),
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http().get(url).timeout(ANSWER_TIMEOUT);
        let answer = self.authorized("Glance", &self.glance_text(), request).await?;
        http::read(&self.glance_text(), answer).await
    }

    /// Sends a request with the token, and again with a new one if the old one has expired. Returns the answer. `url`
    /// is for messages.
    ///
    /// # Errors
    /// `Unreachable`, `Redirected`, `TokenRefused`, and those of a new login.
    pub(super) async fn authorized(
        &self,
        service: &'static str,
        url: &str,
        request: RequestBuilder,
    ) -> Result<Response, CloudError> {
        let mut renewed = false;
        loop {
            let again = request.try_clone().expect("its body is not a stream");
            let token = self.inner.token.read().unwrap_or_else(PoisonError::into_inner).clone();
            let again = with_token(again, Some(&token)).ok_or_else(|| self.token_refused(service, url))?;
            let answer = again.send().await.map_err(|error| http::unanswered(url, &error))?;
            match answer.status() {
                StatusCode::UNAUTHORIZED if !renewed => self.renew().await?,
                StatusCode::UNAUTHORIZED => return Err(self.token_refused(service, url)),
                _ => return Ok(answer),
            }
            renewed = true;
        }
    }

    pub(super) fn http(&self) -> &Client {
        &self.inner.http
    }

    pub(super) fn glance(&self) -> &Url {
        &self.inner.glance
    }

    /// Returns Glance's address for messages.
    pub(super) fn glance_text(&self) -> String {
        shown_url(self.inner.glance.as_str())
    }

    pub(super) fn nova(&self) -> Option<&Url> {
        self.inner.nova.as_ref()
    }

    /// Returns the source of the settings for messages: "cloud `x` in /etc/openstack/clouds.yaml".
    pub(crate) fn origin(&self) -> String {
        self.inner.settings.origin.clone()
    }

    fn token_refused(&self, service: &'static str, url: &str) -> CloudError {
        CloudError::TokenRefused { service, url: url.to_owned(), origin: self.origin() }
    }

    pub(super) fn no_compute_service(&self) -> CloudError {
        let (interface, region, origin) = self.inner.settings.catalog_terms();
        CloudError::NoComputeService { interface, region, origin }
    }
}

fn scope(settings: &Settings) -> EndpointScope<'_> {
    EndpointScope { region: settings.image.region.as_deref(), interface: &settings.image.interfaces[0] }
}

/// Returns the image API's address.
async fn glance(
    http: &Client,
    settings: &Settings,
    catalog: &mut Catalog,
    token: &SecretString,
) -> Result<Url, CloudError> {
    let scope = scope(settings);
    let listed = catalog.get_service_endpoint("image", None, scope.region, Some(scope.interface));
    let listed = listed.map_err(|error| catalog_error(&error, settings))?.url().clone();
    if let Some(status) = discover(http, catalog, &ServiceType::Image, scope, Some(token)).await? {
        return Err(CloudError::GlanceStatus { url: shown_url(listed.as_str()), status: status.as_u16() });
    }
    let version = ApiVersion::from((2, 0));
    let found = catalog.get_service_endpoint("image", Some(&version), scope.region, Some(scope.interface));
    let found = found.map_err(|error| catalog_error(&error, settings))?.url().clone();
    image_api(at_server(found, listed.as_str()), settings)
}

/// Checks the image API's address. An `image_endpoint_override` is used without discovery, and may lack the final
/// slash, which is added, or the version, which is an error.
fn image_api(mut url: Url, settings: &Settings) -> Result<Url, CloudError> {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    match url.path().ends_with("/v2/") {
        true => Ok(url),
        false => Err(CloudError::BadSettings {
            origin: settings.origin.clone(),
            reason: format!("image endpoint {} does not end in /v2", shown_url(url.as_str())),
        }),
    }
}

fn catalog_error(error: &CatalogError, settings: &Settings) -> CloudError {
    match error {
        CatalogError::ServiceNotConfigured { .. } => {
            let (interface, region, origin) = settings.catalog_terms();
            CloudError::NoImageService { interface, region, origin }
        }
        other => CloudError::Client { reason: one_line(&other.to_string()) },
    }
}
