//! Who asks, and what that user may do.
//!
//! ```text
//! headers --Authenticator--> Identity --Rules (policy.yaml)--> allowed, or not
//!           tokens of a file
//!           Keystone: cache -> one question a token -> access rules
//! ```

mod access_rules;
mod cache;
mod identity;
mod keystone;
mod policy_file;
mod rules;
mod tokens;

use axum::http::{HeaderMap, Method};

pub use access_rules::SERVICE_TYPE;
pub use identity::Identity;
pub use keystone::{Counts, Keystone, KeystoneSettings, Validate};
pub use policy_file::{PolicyFileError, read as read_rules};
pub use rules::{ACTIONS, Action, Owner, RuleError, Rules};
pub use tokens::{TOKENS_FILE, Tokens, line as token_line, new_token};

use crate::limits::TOKEN_BYTES_MAX;

/// Finds out who asks.
#[derive(Debug)]
pub enum Authenticator<V> {
    /// By the tokens of a file.
    Tokens(Tokens),
    /// By Keystone.
    Keystone(Box<Keystone<V>>),
    /// Everybody is the administrator; for a listener on loopback.
    Nobody,
}

/// Why nobody is known to have asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No token, or an invalid one.
    #[error("the request has no valid token in X-Auth-Token")]
    Unauthorized,
    /// Keystone cannot be asked.
    #[error("{0}")]
    Unavailable(String),
}

/// A request as far as it matters who makes it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl<V: Validate> Authenticator<V> {
    /// Returns who makes a request.
    ///
    /// # Errors
    /// [`AuthError`]
    pub async fn identify(&self, asked: Asked<'_>) -> Result<Identity, AuthError> {
        match self {
            Self::Nobody => Ok(Identity::administrator("local")),
            Self::Tokens(tokens) => {
                let token = header(asked.headers, "x-auth-token").ok_or(AuthError::Unauthorized)?;
                tokens.identify(token).ok_or(AuthError::Unauthorized)
            }
            Self::Keystone(keystone) => keystone.identify(asked).await,
        }
    }

    /// Returns the header `WWW-Authenticate` for a request without a valid token.
    pub fn challenge(&self) -> String {
        match self {
            Self::Keystone(keystone) => format!("Keystone uri=\"{}\"", keystone.uri()),
            Self::Tokens(_) | Self::Nobody => "Token realm=\"glancecast-controller\"".to_owned(),
        }
    }
}

/// Returns the value of a header with a token; `None` if it is missing or no token.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= TOKEN_BYTES_MAX).then_some(value)
}
