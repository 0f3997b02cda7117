//! The authenticated session: logging in, renewing the token, and asking Glance for JSON. Owns the
//! SDK's client; `find` and `download` build on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openstack_sdk::api::{ApiError, AsyncClient, QueryAsync, RestEndpoint, raw};
use openstack_sdk::auth::auth_helper::{AuthHelper, AuthHelperError};
use openstack_sdk::catalog::CatalogError;
use openstack_sdk::types::{ApiVersion, ServiceType};
use openstack_sdk::{AsyncOpenStack, OpenStackError, RestError};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use secrecy::SecretString;

// Named only to be linked: each registers itself when the program starts. The SDK's build script
// means to do this, but looks for its dependencies in a form that its Cargo.toml has in its
// repository and not as published; without these lines only passwords and tokens work.
use openstack_sdk_auth_applicationcredential as _;
use openstack_sdk_auth_oidcaccesstoken as _;
use openstack_sdk_auth_oidcclientcredentials as _;
use openstack_sdk_auth_totp as _;

use super::config::Settings;
use super::error::{CloudError, login_error, one_line, root_cause, shown_url};

/// An authenticated session. Clones share the token.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sdk: AsyncOpenStack,
    /// For image bytes; see `download` for why it is not the SDK's.
    http: Client,
    settings: Settings,
    /// Of the image API, ends in "/v2/".
    glance: Url,
}

impl Cloud {
    /// Logs in with the settings of `cloud_name`, else of OS_CLOUD, else of the OS_* variables.
    ///
    /// # Errors
    /// Kind `Usage` when the configuration is missing or wrong, `Source` when Keystone refuses or
    /// cannot be reached, within `CONNECT_TIMEOUT` per address tried.
    pub(crate) async fn connect(cloud_name: Option<&str>) -> Result<Self, CloudError> {
        let settings = Settings::load(cloud_name)?;
        let http = http_client(&settings)?;
        let login = AsyncOpenStack::builder(&settings.config)
            // Otherwise tokens are written to the user's home.
            .disable_auth_cache(true)
            .auth_helper(NoPrompt)
            // A 401 is answered by `renew`: the SDK's own retry forgets the versions it discovered.
            .max_auth_retries(0)
            .http_connect_timeout(CONNECT_TIMEOUT)
            .connect()
            .await;
        let sdk = match login {
            Ok(sdk) => sdk,
            Err(
                OpenStackError::Discovery { .. } | OpenStackError::Api { source: ApiError::Catalog { .. } },
            ) => return Err(no_keystone(&http, &settings).await),
            Err(error) => return Err(login_error(error, &settings.auth_url, &settings.origin)),
        };
        let glance = discover_glance(&sdk, &http, &settings).await?;
        Ok(Self { inner: Arc::new(Inner { sdk, http, settings, glance }) })
    }

    /// A new token for the same credentials; every clone uses it from here on.
    pub(super) async fn renew(&self) -> Result<(), CloudError> {
        let Inner { sdk, http, settings, .. } = &*self.inner;
        sdk.authorize_with_auth_helper(None, &NoPrompt, true)
            .await
            .map_err(|error| login_error(error, &settings.auth_url, &settings.origin))?;
        discover_glance(sdk, http, settings).await.map(|_| ())
    }

    /// The body of a Glance answer with its status, after one renewal of the token if that was
    /// what was wrong.
    pub(super) async fn ask<E>(&self, endpoint: E) -> Result<(StatusCode, Vec<u8>), CloudError>
    where
        E: RestEndpoint + Clone + Sync,
    {
        let mut renewed = false;
        loop {
            let answer = raw(endpoint.clone())
                .skip_error_check(true)
                .query_async(&self.inner.sdk)
                .await
                .map_err(|error| self.api_error(error))?;
            match answer.status() {
                StatusCode::UNAUTHORIZED if !renewed => self.renew().await?,
                StatusCode::UNAUTHORIZED => return Err(self.token_refused("Glance", &self.glance_text())),
                status => return Ok((status, answer.into_body().to_vec())),
            }
            renewed = true;
        }
    }

    pub(super) fn token(&self) -> Option<SecretString> {
        self.inner.sdk.get_auth_token()
    }

    pub(super) fn http(&self) -> &Client {
        &self.inner.http
    }

    pub(super) fn glance(&self) -> &Url {
        &self.inner.glance
    }

    /// Glance's address for messages.
    pub(super) fn glance_text(&self) -> String {
        shown_url(self.inner.glance.as_str())
    }

    pub(super) fn sdk(&self) -> &AsyncOpenStack {
        &self.inner.sdk
    }

    /// Where the settings came from, for messages.
    pub(super) fn origin(&self) -> String {
        self.inner.settings.origin.clone()
    }

    pub(super) fn token_refused(&self, service: &'static str, url: &str) -> CloudError {
        CloudError::TokenRefused { service, url: url.to_owned(), origin: self.origin() }
    }

    pub(super) fn no_compute_service(&self) -> CloudError {
        let (interface, region, origin) = self.inner.settings.catalog_terms();
        CloudError::NoComputeService { interface, region, origin }
    }

    fn api_error(&self, error: ApiError<RestError>) -> CloudError {
        match error {
            ApiError::Client { source: RestError::Communication { source } } => {
                CloudError::Unreachable { url: self.glance_text(), reason: root_cause(&source) }
            }
            ApiError::Catalog { source } => catalog_error(&source, &self.inner.settings),
            other => CloudError::Client { reason: one_line(&other.to_string()) },
        }
    }
}

/// Answers the SDK's questions for values the configuration lacks: nobody is asked, the missing
/// one is named.
#[derive(Clone)]
struct NoPrompt;

#[async_trait]
impl AuthHelper for NoPrompt {
    fn clone_box(&self) -> Box<dyn AuthHelper> {
        Box::new(self.clone())
    }

    async fn get(&self, key: String, _cloud: Option<String>) -> Result<String, AuthHelperError> {
        Err(AuthHelperError::Other(format!("`{key}` is missing")))
    }

    async fn get_secret(&self, key: String, _cloud: Option<String>) -> Result<SecretString, AuthHelperError> {
        Err(AuthHelperError::Other(format!("`{key}` is missing")))
    }
}

async fn discover_glance(
    sdk: &AsyncOpenStack,
    http: &Client,
    settings: &Settings,
) -> Result<Url, CloudError> {
    let version = ApiVersion::from((2, 0));
    match sdk.discover_service_endpoint(&ServiceType::Image).await {
        Ok(()) => {}
        Err(OpenStackError::Discovery { url, .. }) => {
            let status = ask_why(http, &url).await?;
            let url = shown_url(&url);
            return Err(CloudError::GlanceStatus { url, status });
        }
        Err(other) => {
            return Err(CloudError::Client { reason: one_line(&other.to_string()) });
        }
    }
    match sdk.get_service_endpoint(&ServiceType::Image, Some(&version)).await {
        Ok(endpoint) => image_api(endpoint.url().clone(), settings),
        Err(ApiError::Catalog { source }) => Err(catalog_error(&source, settings)),
        Err(other) => Err(CloudError::Client { reason: one_line(&other.to_string()) }),
    }
}

/// An `image_endpoint_override` is taken as it stands, without discovery: the operator may have
/// left out the slash, which is added, or the version, which is an error.
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

async fn no_keystone(http: &Client, settings: &Settings) -> CloudError {
    let url = shown_url(&settings.auth_url);
    let origin = settings.origin.clone();
    match ask_why(http, &settings.auth_url).await {
        Ok(status) if status >= 500 => CloudError::Keystone { url, status, origin },
        Ok(status) => CloudError::NotKeystone { url, status, origin },
        Err(error) => error,
    }
}

/// The SDK says only that discovery failed; one plain request tells why: the status that is there
/// instead of a version document, or what keeps the service from being reached.
async fn ask_why(http: &Client, url: &str) -> Result<u16, CloudError> {
    let answer = http.get(url).timeout(DIAGNOSIS_TIMEOUT).send().await;
    match answer {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => Err(CloudError::Unreachable { url: shown_url(url), reason: root_cause(&error) }),
    }
}

fn http_client(settings: &Settings) -> Result<Client, CloudError> {
    let bad = |reason| CloudError::BadSettings { origin: settings.origin.clone(), reason };
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // One stream that fills the link: HTTP/2 would put its own window around TCP's.
        .http1_only()
        // X-Auth-Token is not among the headers that a redirect to another host drops.
        .redirect(redirect::Policy::none())
        // A transparently unpacked body has another length than Content-Length and Range say.
        .no_gzip()
        .no_deflate();
    if let Some(path) = &settings.config.cacert {
        let path = openstack_path(path);
        let pem = std::fs::read(&path).map_err(|error| bad(format!("cacert {path}: {error}")))?;
        let bundle = Certificate::from_pem_bundle(&pem)
            .map_err(|error| bad(format!("cacert {path}: {}", root_cause(&error))))?;
        for certificate in bundle {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if settings.config.verify == Some(false) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| bad(root_cause(&error)))
}

/// A leading `~/` is the home directory, as in the SDK's reading of the same setting.
fn openstack_path(path: &str) -> String {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).display().to_string(),
        _ => path.to_owned(),
    }
}

/// Per TCP address; a host that drops packets is noticed after this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the one request that explains a failed login.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(10);
