//! The cloud as the controller sees it: one session, opened when it is first needed and again until that succeeds, and the
//! last look at images and hosts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_sender::cloud::{Access, AccessError, Expired, auth_url};
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::auth::Validate;
use crate::limits::CLOUD_TIME;
use crate::model::{Cloud, Host, Image};
use crate::settings::CloudSettings;

/// The cloud. Clones share the session and the look.
#[derive(Clone, Debug)]
pub struct CloudAccess {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: CloudSettings,
    session: Mutex<Session>,
    seen: watch::Sender<Arc<Cloud>>,
    /// One look at a time.
    looks: Mutex<()>,
}

#[derive(Debug, Default)]
struct Session {
    access: Option<Access>,
    /// When and why it could not be opened.
    failed: Option<(Instant, String)>,
}

impl CloudAccess {
    /// Returns access to a cloud. No request is made.
    pub fn new(settings: CloudSettings) -> Self {
        let (session, looks) = (Mutex::default(), Mutex::default());
        let seen = watch::Sender::new(Arc::default());
        Self { inner: Arc::new(Inner { settings, session, seen, looks }) }
    }

    /// Returns the address of Keystone in the configuration.
    ///
    /// # Errors
    /// [`AccessError`] if the configuration is missing or wrong.
    pub fn auth_url(&self) -> Result<String, AccessError> {
        let CloudSettings { cloud, region } = &self.inner.settings;
        auth_url(cloud.as_deref(), region.as_deref())
    }

    /// Returns the session. A log-in that failed is tried again after a second.
    async fn access(&self) -> Result<Access, String> {
        let mut session = self.inner.session.lock().await;
        if let Some(access) = &session.access {
            return Ok(access.clone());
        }
        if let Some((at, reason)) = session.failed.as_ref().filter(|(at, _)| at.elapsed() < AGAIN) {
            tracing::debug!(seconds = at.elapsed().as_secs_f32(), "the log-in failed a moment ago");
            return Err(reason.clone());
        }
        let CloudSettings { cloud, region } = &self.inner.settings;
        let opened = timeout(LOG_IN_TIME, Access::open(cloud.as_deref(), region.as_deref())).await;
        let opened = match opened {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the log-in took more than {} s", LOG_IN_TIME.as_secs())),
        };
        match opened {
            Ok(access) => {
                session.access = Some(access.clone());
                session.failed = None;
                Ok(access)
            }
            Err(reason) => {
                session.failed = Some((Instant::now(), reason.clone()));
                Err(reason)
            }
        }
    }

    /// Returns the last look.
    pub fn seen(&self) -> Arc<Cloud> {
        self.inner.seen.borrow().clone()
    }

    /// Looks at all images and hosts. A look that fails leaves what was seen before, and says why.
    pub async fn look(&self) -> Arc<Cloud> {
        let _turn = self.inner.looks.lock().await;
        let looked = timeout(CLOUD_TIME, self.fetch()).await;
        let looked = looked.unwrap_or_else(|_| Err(format!("it took more than {} s", CLOUD_TIME.as_secs())));
        let cloud = Arc::new(match looked {
            Ok(cloud) => cloud,
            Err(reason) => {
                tracing::warn!("the cloud cannot be looked at: {reason}");
                Cloud { fault: Some(reason), ..(*self.seen()).clone() }
            }
        });
        self.inner.seen.send_replace(Arc::clone(&cloud));
        cloud
    }

    async fn fetch(&self) -> Result<Cloud, String> {
        let taken = wall();
        let access = self.access().await?;
        let images = access.images().await.map_err(|error| error.to_string())?;
        let hosts = access.hosts().await.map_err(|error| error.to_string())?;
        Ok(Cloud {
            taken: Some(taken),
            images: images.into_iter().map(Image::from).collect(),
            hosts: hosts.into_iter().map(Host::from).collect(),
            fault: None,
        })
    }
}

impl Validate for CloudAccess {
    async fn validate(&self, token: &str, expired: Expired) -> Result<Option<Value>, String> {
        let access = self.access().await?;
        access.token_of(token, expired).await.map_err(|error| error.to_string())
    }
}

/// Time until a log-in that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest time of a log-in.
const LOG_IN_TIME: Duration = Duration::from_secs(60);
