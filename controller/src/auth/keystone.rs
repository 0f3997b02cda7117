//! Users of Keystone. A token is validated once and then believed for a time; requests with the same token wait for one
//! question. The model is keystonemiddleware's `auth_token`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_platform::locks::lock;
use glancecast_proto::time::WallClock;
use glancecast_sender::cloud::Expired;
use serde_json::Value;
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio::time::timeout;

use super::cache::Cache;
use super::identity::TokenInfo;
use super::tokens::sha256;
use super::{Asked, AuthError, Identity, header};
use crate::limits::{NO_TOKEN_TIME, TOKEN_TIME, TOKENS_MAX, VALIDATION_TIME, VALIDATIONS_MAX};

/// Asks what a token is.
pub trait Validate: Send + Sync + 'static {
    /// Returns the member `token` of Keystone's answer; `None` if the token is not valid.
    ///
    /// # Errors
    /// Why Keystone cannot be asked, in one line.
    fn validate(
        &self,
        token: &str,
        expired: Expired,
    ) -> impl Future<Output = Result<Option<Value>, String>> + Send;
}

/// How Keystone is used.
#[derive(Clone, Debug)]
pub struct KeystoneSettings {
    /// Its address for clients.
    pub uri: String,
    /// The roles of which a service token needs one.
    pub service_roles: Vec<String>,
}

/// Users of Keystone.
#[derive(Debug)]
pub struct Keystone<V> {
    validate: V,
    settings: KeystoneSettings,
    cache: Mutex<Cache<Key, Verdict>>,
    /// Who asks about a token at the moment; the others wait.
    turns: Mutex<HashMap<Key, Arc<Turn<()>>>>,
    permits: Semaphore,
    counts: Counts,
}

/// How often Keystone was asked, by what it said.
#[derive(Debug, Default)]
pub struct Counts {
    /// Tokens that were valid.
    pub valid: AtomicU64,
    /// Tokens that were not.
    pub invalid: AtomicU64,
    /// Questions without an answer.
    pub failed: AtomicU64,
    /// Requests that needed no question.
    pub cached: AtomicU64,
}

impl Counts {
    /// Returns all of them with their names.
    pub fn totals(&self) -> [(&'static str, u64); 4] {
        [
            ("valid", &self.valid),
            ("invalid", &self.invalid),
            ("failed", &self.failed),
            ("cached", &self.cached),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// The SHA-256 of a token, and whether it may have expired.
type Key = ([u8; 32], bool);

/// What is known of a token.
#[derive(Clone, Debug)]
enum Verdict {
    Valid(Arc<TokenInfo>),
    Invalid,
    /// Keystone could not be asked a moment ago.
    Unavailable(Arc<str>),
}

impl<V: Validate> Keystone<V> {
    /// Returns users who are known to whom `validate` asks.
    pub fn new(validate: V, settings: KeystoneSettings) -> Self {
        Self {
            validate,
            settings,
            cache: Mutex::new(Cache::new(TOKENS_MAX)),
            turns: Mutex::default(),
            permits: Semaphore::new(VALIDATIONS_MAX),
            counts: Counts::default(),
        }
    }

    /// Returns the address of Keystone for clients.
    pub fn uri(&self) -> &str {
        &self.settings.uri
    }

    /// Returns how often Keystone was asked.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the number of tokens that are remembered.
    pub fn remembered(&self) -> usize {
        lock(&self.cache).len()
    }

    pub(super) async fn identify(&self, asked: Asked<'_>) -> Result<Identity, AuthError> {
        let has_service_token = asked.headers.contains_key("x-service-token");
        let expired = match has_service_token {
            true => self.service(asked).await?,
            false => Expired::Refused,
        };
        let token = header(asked.headers, "x-auth-token").ok_or(AuthError::Unauthorized)?;
        let info = self.info(token, expired).await?;
        if expired == Expired::Refused && info.expires_at <= wall() {
            return Err(AuthError::Unauthorized);
        }
        // A service token shows that the request is a part of another one, which the rules were about.
        let is_restricted = !has_service_token;
        if let Some(rules) = info.access_rules.as_ref().filter(|_| is_restricted)
            && !rules.iter().any(|rule| rule.allows(asked.method, asked.path))
        {
            return Err(AuthError::Unauthorized);
        }
        Ok(info.identity.clone())
    }

    /// Checks the service token. It has to be valid, and to have one of the roles of services: `service_token_roles_required`
    /// of keystonemiddleware is always on here.
    async fn service(&self, asked: Asked<'_>) -> Result<Expired, AuthError> {
        let token = header(asked.headers, "x-service-token").ok_or(AuthError::Unauthorized)?;
        let info = self.info(token, Expired::Refused).await?;
        let roles = self.settings.service_roles.iter().map(|role| role.to_lowercase());
        let has_role = roles.into_iter().any(|role| info.identity.roles.contains(&role));
        match has_role && info.expires_at > wall() {
            true => Ok(Expired::Allowed),
            false => Err(AuthError::Unauthorized),
        }
    }

    /// Returns what a token is.
    async fn info(&self, token: &str, expired: Expired) -> Result<Arc<TokenInfo>, AuthError> {
        let key = (sha256(token), expired == Expired::Allowed);
        if let Some(verdict) = self.known(&key) {
            self.counts.cached.fetch_add(1, Ordering::Relaxed);
            return verdict.into_result();
        }
        let verdict = timeout(VALIDATION_TIME, self.ask_once(key, token, expired)).await;
        verdict
            .unwrap_or_else(|_| {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                let seconds = VALIDATION_TIME.as_secs();
                Verdict::Unavailable(format!("Keystone did not answer within {seconds} s").into())
            })
            .into_result()
    }

    fn known(&self, key: &Key) -> Option<Verdict> {
        lock(&self.cache).get(key, Instant::now())
    }

    /// Asks Keystone, unless another request with the same token does so and learns it first.
    async fn ask_once(&self, key: Key, token: &str, expired: Expired) -> Verdict {
        let turn = Arc::clone(lock(&self.turns).entry(key).or_default());
        let _leaves = Leaves { turns: &self.turns, key };
        let _turn = turn.lock().await;
        if let Some(verdict) = self.known(&key) {
            return verdict;
        }
        let _permit = self.permits.acquire().await.expect("it is never closed");
        let verdict = match self.validate.validate(token, expired).await {
            Ok(Some(token)) => match TokenInfo::read(&token) {
                Some(info) => Verdict::Valid(Arc::new(info)),
                None => Verdict::Unavailable("Keystone describes the token in another form".into()),
            },
            Ok(None) => Verdict::Invalid,
            Err(reason) => {
                tracing::warn!("a token cannot be validated: {reason}");
                Verdict::Unavailable("the Keystone service is temporarily unavailable".into())
            }
        };
        let count = match &verdict {
            Verdict::Valid(_) => &self.counts.valid,
            Verdict::Invalid => &self.counts.invalid,
            Verdict::Unavailable(_) => &self.counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let end = Instant::now() + verdict.time(wall(), expired);
        lock(&self.cache).put(key, verdict.clone(), end);
        verdict
    }
}

impl Verdict {
    /// Returns how long the verdict is believed.
    fn time(&self, now: WallClock, expired: Expired) -> Duration {
        match self {
            Self::Valid(info) if expired == Expired::Refused => {
                TOKEN_TIME.min(Duration::from_millis(info.expires_at.0.saturating_sub(now.0)))
            }
            // Keystone itself ends what is allowed of an expired token.
            Self::Valid(_) => TOKEN_TIME,
            Self::Invalid => NO_TOKEN_TIME,
            Self::Unavailable(_) => UNAVAILABLE_TIME,
        }
    }

    fn into_result(self) -> Result<Arc<TokenInfo>, AuthError> {
        match self {
            Self::Valid(info) => Ok(info),
            Self::Invalid => Err(AuthError::Unauthorized),
            Self::Unavailable(reason) => Err(AuthError::Unavailable(reason.to_string())),
        }
    }
}

/// Removes the turn of a token when nobody else waits for it.
struct Leaves<'a> {
    turns: &'a Mutex<HashMap<Key, Arc<Turn<()>>>>,
    key: Key,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut turns = lock(self.turns);
        // The map has one; the request that leaves, which is dropped after this, has another.
        if turns.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) <= 2) {
            turns.remove(&self.key);
        }
    }
}

/// Time for which requests are refused without asking after a question had no answer.
const UNAVAILABLE_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
