//! The request for a token. Keystone's own methods are sent by this code; the exchange with an identity provider is the
//! SDK's.

use async_trait::async_trait;
use openstack_sdk_auth_core::authtoken::AuthTokenError;
use openstack_sdk_auth_core::types::AuthReceiptResponse;
use openstack_sdk_auth_core::{Auth, AuthError, AuthToken, OpenStackAuthType, execute_auth_request};
use openstack_sdk_core::OpenStackError;
use openstack_sdk_core::auth::auth_helper::{AuthHelper, AuthHelperError};
use openstack_sdk_core::auth::gather_auth_data;
use reqwest::{Client, Url};
use secrecy::SecretString;

use super::config::{Method, Methods, Scope, Settings, request};

/// Gets a token for the scope of the settings. `keystone` ends in "/v3/".
///
/// # Errors
/// Those of the request, and the SDK's, for `login_error`.
pub(super) async fn token(
    http: &Client,
    keystone: &Url,
    settings: &Settings,
) -> Result<AuthToken, OpenStackError> {
    let credentials = &settings.credentials;
    let scope = &credentials.scope;
    match &credentials.methods {
        Methods::Own(methods) => match ask(http, keystone, methods, scope, None).await {
            Err(AuthError::AuthReceipt(receipt)) => match &credentials.second {
                Some(second) if receipt.lacks(second) => {
                    let token = receipt.token.as_deref();
                    Ok(ask(http, keystone, std::slice::from_ref(second), scope, token).await?)
                }
                _ => Err(AuthError::AuthReceipt(receipt).into()),
            },
            other => Ok(other?),
        },
        Methods::Federated(name) => {
            let token = exchanged(http, keystone, name, settings).await?;
            match scope {
                Scope::Unscoped => Ok(token),
                // An identity provider's token is for no project; Keystone gives another one for it.
                scope => Ok(ask(http, keystone, &[Method::Token { token: token.token }], scope, None).await?),
            }
        }
    }
}

/// Sends a log-in. `receipt` is what Keystone gave for the first of two factors.
async fn ask(
    http: &Client,
    keystone: &Url,
    methods: &[Method],
    scope: &Scope,
    receipt: Option<&str>,
) -> Result<AuthToken, AuthError> {
    let mut sent = http.post(keystone.join("auth/tokens")?).json(&request(methods, scope));
    if let Some(receipt) = receipt {
        sent = sent.header("openstack-auth-receipt", receipt);
    }
    let answer = execute_auth_request(http, sent.build()?).await?;
    AuthToken::from_reqwest_response(answer).await
}

/// Logs in at an identity provider, by the SDK's method of this name.
async fn exchanged(
    http: &Client,
    keystone: &Url,
    name: &str,
    settings: &Settings,
) -> Result<AuthToken, OpenStackError> {
    let method = FEDERATED.iter().find(|method| method.get_supported_auth_methods().contains(&name));
    let method = method.ok_or_else(|| AuthTokenError::IdentityMethod { auth_type: name.into() })?;
    let values = gather_auth_data(&method.requirements(None)?, &settings.config, &NoPrompt).await?;
    match method.auth(http, keystone, &values, None, None).await? {
        Auth::AuthToken(token) => Ok(*token),
        _ => Err(OpenStackError::NoAuth),
    }
}

/// What Keystone says of a first factor.
trait Receipt {
    /// Whether this method is one that it still asks for.
    fn lacks(&self, method: &Method) -> bool;
}

impl Receipt for AuthReceiptResponse {
    fn lacks(&self, method: &Method) -> bool {
        let name = method.name();
        let is_wanted = self.required_auth_methods.iter().flatten().any(|wanted| wanted == name);
        is_wanted && !self.receipt.methods.iter().any(|done| done == name)
    }
}

static FEDERATED: [&dyn OpenStackAuthType; 2] =
    [&openstack_sdk_auth_oidcaccesstoken::ANCHOR, &openstack_sdk_auth_oidcclientcredentials::ANCHOR];

/// Answers the SDK's prompts for values that the configuration lacks with an error that names the value.
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
