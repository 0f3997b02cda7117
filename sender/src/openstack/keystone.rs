//! Login: from settings to a token and its catalog. The catalog and the parsing of version documents are the SDK's;
//! requests go through this crate's own client.

use bytes::Bytes;
use openstack_sdk_core::OpenStackError;
use openstack_sdk_core::catalog::{Catalog, CatalogError};
use openstack_sdk_core::types::ServiceType;
use reqwest::{Client, StatusCode, Url};
use secrecy::SecretString;
use tokio::time::timeout;

use super::config::Settings;
use super::error::{CloudError, one_line, shown_url};
use super::http::{self, ANSWER_TIMEOUT, with_token};
use super::login;
use super::login_error::login_error;

/// A Keystone v3 with a known address.
#[derive(Clone, Debug)]
pub(super) struct Keystone {
    /// Ends in "/v3/".
    url: Url,
}

/// The result of a login.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) token: SecretString,
    /// The services that the project may use.
    pub(super) catalog: Catalog,
}

impl Keystone {
    /// Finds Keystone by the versions that its `auth_url` lists.
    ///
    /// # Errors
    /// `NotKeystone`, `Keystone` for status 500 and above, `Unreachable`, `Redirected`, `BadSettings`.
    pub(super) async fn find(http: &Client, settings: &Settings) -> Result<Self, CloudError> {
        let failed = |error: CatalogError| {
            login_error(OpenStackError::catalog(error), &settings.auth_url, &settings.origin)
        };
        let mut catalog = Catalog::default();
        // Only the configured address counts, whatever interface and region the other services have.
        let (region, interface) = (None::<&str>, Some("public"));
        catalog
            .register_catalog_endpoint("identity", &settings.auth_url, region, interface)
            .map_err(failed)?;
        catalog.configure(&settings.config).map_err(failed)?;
        let scope = EndpointScope { region: None, interface: "public" };
        let status = discover(http, &mut catalog, &ServiceType::Identity, scope, None).await?;
        let found =
            catalog.get_service_endpoint("identity", Some(&IDENTITY_VERSION.into()), region, interface);
        match (found, status) {
            (Ok(endpoint), None) => Ok(Self { url: at_server(endpoint.url().clone(), &settings.auth_url) }),
            (_, status) => {
                let (url, origin) = (shown_url(&settings.auth_url), settings.origin.clone());
                Err(match status.unwrap_or(StatusCode::OK).as_u16() {
                    status if status >= 500 => CloudError::Keystone { url, status, origin },
                    status => CloudError::NotKeystone { url, status, origin },
                })
            }
        }
    }

    /// Logs in with the credentials of the settings.
    ///
    /// # Errors
    /// `CredentialsRefused`, `SecondFactor`, `Keystone`, `Unreachable`, `Redirected`, `BadSettings`.
    pub(super) async fn log_in(&self, http: &Client, settings: &Settings) -> Result<Login, CloudError> {
        let login = timeout(ANSWER_TIMEOUT, login::token(http, &self.url, settings)).await;
        let token = login
            .map_err(|_| CloudError::Unreachable {
                url: shown_url(&settings.auth_url),
                reason: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            })?
            .map_err(|error| login_error(error, self.url.as_str(), &settings.origin))?;
        let info = token.auth_info.map(|info| info.token).unwrap_or_default();
        let mut catalog = Catalog::default();
        catalog.set_project_id(info.project.and_then(|project| project.id));
        let configured = catalog
            .configure(&settings.config)
            .and_then(|catalog| catalog.process_catalog_endpoints(&info.catalog.unwrap_or_default()));
        configured.map_err(|error| CloudError::Client { reason: one_line(&error.to_string()) })?;
        Ok(Login { token: token.token, catalog })
    }
}

/// The region and interface in which a service is looked up.
#[derive(Clone, Copy)]
pub(super) struct EndpointScope<'a> {
    pub(super) region: Option<&'a str>,
    pub(super) interface: &'a str,
}

/// Asks a service of the catalog for its versions, at its address and those above it. If no version document is found,
/// returns the status of the first answer.
///
/// # Errors
/// `Unreachable`, `Redirected`, `AnswerTooLong`.
pub(super) async fn discover(
    http: &Client,
    catalog: &mut Catalog,
    service: &ServiceType,
    scope: EndpointScope<'_>,
    token: Option<&SecretString>,
) -> Result<Option<StatusCode>, CloudError> {
    let name = service.to_string();
    let endpoint = catalog.get_service_endpoint(&name, None, scope.region, Some(scope.interface));
    let Some(mut url) = endpoint.ok().map(|endpoint| endpoint.url().clone()) else {
        return Ok(None);
    };
    if !catalog.discovery_allowed(&name) {
        return Ok(None);
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let mut first = None;
    for _ in 0..DISCOVERY_STEPS_MAX {
        let shown = shown_url(url.as_str());
        let request = http.get(url.clone()).timeout(ANSWER_TIMEOUT);
        let request = with_token(request, token).ok_or_else(|| CloudError::Client {
            reason: "the token cannot be sent: it has characters that no header has".to_owned(),
        })?;
        let answer = request.send().await.map_err(|error| http::unanswered(&shown, &error))?;
        let (status, body) = http::read(&shown, answer).await?;
        first.get_or_insert(status);
        let body = Bytes::from(body);
        let found = status != StatusCode::NOT_FOUND
            && catalog
                .process_endpoint_discovery(service, &url, &body, scope.region, Some(scope.interface))
                .is_ok();
        if found {
            return Ok(None);
        }
        if url.path() == "/" {
            break;
        }
        // The first step only removes the trailing slash.
        url.path_segments_mut().expect("http has segments").pop();
    }
    Ok(first)
}

/// Moves the address from a version document to the server that was asked, so that no other server gets the password or
/// a token. Behind a proxy the document often names the server behind it (keystoneauth1's `_combine_relative_url` does
/// the same).
pub(super) fn at_server(mut told: Url, asked: &str) -> Url {
    let Ok(asked) = Url::parse(asked) else { return told };
    let (path, query) = (told.path().to_owned(), told.query().map(str::to_owned));
    told = asked;
    told.set_path(&path);
    told.set_query(query.as_deref());
    told
}

const IDENTITY_VERSION: (u8, u8) = (3, 0);

/// More steps than any service's path has below its server's root.
const DISCOVERY_STEPS_MAX: usize = 10;
