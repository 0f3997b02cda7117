//! The service from its settings to its end: what is opened in which order, which tasks run, and how they end.
//!
//! ```text
//! SIGTERM -> streams end, children get SIGTERM -> their pushes are queued again -> the lease is given up
//! ```

use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::notify::{Notifier, Service};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::api::{self, App};
use crate::auth::{
    Authenticator, Keystone, KeystoneSettings, Rules, TOKENS_FILE, Tokens, new_token as draw, read_rules,
    token_line,
};
use crate::cloud::CloudAccess;
use crate::limits::{CONNECTIONS_MAX, METRICS_CONNECTIONS_MAX};
use crate::metrics::Metrics;
use crate::page;
use crate::reconcile::{self, Board};
use crate::settings::{Auth, Config};
use crate::store::Store;
use crate::work::{self, Context, Launcher, Role};

/// Why the service cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The configuration is wrong: another attempt ends alike.
    Configuration(String),
    /// The machine or the database lacks something at the moment.
    System(String),
}

/// Returns every mistake in the files that the configuration names.
pub fn check(config: &Config) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !config.state.is_dir() {
        mistakes.push(format!(
            "state {}: there is no such directory; make it, or name another",
            config.state.display()
        ));
    }
    if let Some(images) = config.sender.images.as_ref().filter(|path| !path.is_dir()) {
        mistakes.push(format!("images {}: there is no such directory", images.display()));
    }
    if let Some(policies) = config.policies.as_ref().filter(|path| !path.is_dir()) {
        mistakes.push(format!("policies {}: there is no such directory", policies.display()));
    }
    if let Some(Err(error)) = config.policy_file.as_ref().map(|path| read_rules(path)) {
        mistakes.push(error.to_string());
    }
    if let Auth::Tokens { file: Some(path) } = &config.auth
        && let Err(mistake) = Tokens::read(path)
    {
        mistakes.push(mistake);
    }
    if let Some(cloud) = &config.cloud
        && let Err(error) = CloudAccess::new(cloud.clone()).auth_url()
    {
        mistakes.push(error.to_string());
    }
    mistakes
}

/// Returns a new token, and the line that accepts it.
///
/// # Errors
/// One line about a name or a role that cannot stand in the file.
pub fn new_token(user: &str, roles: &[String]) -> Result<(String, String), String> {
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !matches!(c, '#' | ','));
    if !is_word(user) || roles.is_empty() || !roles.iter().all(|role| is_word(role)) {
        return Err("users and roles are words without blanks, commas and #".to_owned());
    }
    let token = draw().map_err(|error| error.to_string())?;
    let line = token_line(user, roles, &token);
    Ok((token, line))
}

/// Runs the service until SIGTERM or SIGINT.
///
/// # Errors
/// [`Unready`]
pub async fn run(config: Config) -> Result<(), Unready> {
    let system = |error: std::io::Error| Unready::System(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let (stop, shutdown) = watch::channel(false);
    let mut service = Service::new(Notifier::from_environment());
    let running = Running::start(config, shutdown).await?;
    service.ready();
    let patience = service.patience().min(Duration::from_secs(3_600));
    let start = std::time::Instant::now();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // The tasks that wait here are those of the whole program: while they turn, it does.
            () = tokio::time::sleep(patience) => {
                let now = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                service.ping(glancecast_proto::time::Moment::from_micros(now));
            }
        }
    }
    service.stopping();
    tracing::info!("ends");
    stop.send_replace(true);
    running.end().await;
    Ok(())
}

/// The tasks of the service.
struct Running {
    store: Store,
    holder: String,
    /// Those that write, in the order in which their ends are waited for.
    tasks: Vec<JoinHandle<()>>,
    lease: JoinHandle<()>,
    end_lease: watch::Sender<bool>,
}

impl Running {
    async fn start(config: Config, shutdown: watch::Receiver<bool>) -> Result<Self, Unready> {
        let rules = match &config.policy_file {
            Some(path) => read_rules(path).map_err(|error| Unready::Configuration(error.to_string()))?,
            None => Rules::default(),
        };
        let cloud = config.cloud.clone().map(CloudAccess::new);
        let auth = authenticator(&config, cloud.as_ref())?;
        let launcher = Launcher::new(config.sender.clone(), config.cloud.clone(), &config.state);
        let launcher = launcher
            .map_err(|error| Unready::Configuration(format!("state {}: {error}", config.state.display())))?;
        let store =
            Store::open(&config.database).await.map_err(|error| Unready::System(error.to_string()))?;
        let listener = bind("listen", config.listen).await?;
        let metrics_listener = match config.metrics {
            Some(address) => Some(bind("metrics", address).await?),
            None => None,
        };
        let metrics = Arc::new(Metrics::default());
        // Each start is another holder: what ran in an earlier one is not this one's.
        let holder = format!("{}/{}", config.name, Uuid::new_v4());
        let (lead, role) = watch::channel(Role::default());
        let (end_lease, lease_ends) = watch::channel(false);
        let lease = tokio::spawn(work::lead(store.clone(), holder.clone(), lead, lease_ends));
        let context = Arc::new(Context {
            store: store.clone(),
            launcher,
            profiles: config.profiles.clone(),
            metrics: Arc::clone(&metrics),
            ended: Notify::new(),
            role: role.clone(),
        });
        let board = Arc::new(Board::default());
        let app = Arc::new(App {
            board: Arc::clone(&board),
            store: store.clone(),
            auth,
            rules,
            cloud: cloud.clone(),
            metrics,
            role,
            shutdown: shutdown.clone(),
            streams: App::stream_permits(),
            config: config.clone(),
        });
        tracing::info!(listen = %config.listen, name = config.name, "listening");
        let mut tasks = vec![
            tokio::spawn(work::run(Arc::clone(&context), shutdown.clone())),
            tokio::spawn(reconcile::run(context, config, cloud, board, shutdown.clone())),
            tokio::spawn(api::serve(
                listener,
                page::with_page(api::router(Arc::clone(&app)), Arc::clone(&app)),
                CONNECTIONS_MAX,
                shutdown.clone(),
            )),
        ];
        if let Some(listener) = metrics_listener {
            let router = api::metrics_router(app);
            tasks.push(tokio::spawn(api::serve(listener, router, METRICS_CONNECTIONS_MAX, shutdown)));
        }
        Ok(Self { store, holder, tasks, lease, end_lease })
    }

    /// Waits until everything has ended, and gives the lease up.
    async fn end(self) {
        for task in self.tasks {
            let _ = task.await;
        }
        self.end_lease.send_replace(true);
        let _ = self.lease.await;
        if let Err(error) = self.store.release(&self.holder).await {
            tracing::warn!(%error, "the lease was not given up; another controller waits for its end");
        }
        self.store.close().await;
    }
}

fn authenticator(
    config: &Config,
    cloud: Option<&CloudAccess>,
) -> Result<Authenticator<CloudAccess>, Unready> {
    Ok(match (&config.auth, cloud) {
        (Auth::Nobody, _) => {
            tracing::warn!("auth = \"none\": every user of this machine can push images to every host");
            Authenticator::Nobody
        }
        (Auth::Tokens { file: Some(path) }, _) => {
            Authenticator::Tokens(Tokens::read(path).map_err(Unready::Configuration)?)
        }
        (Auth::Tokens { file: None }, _) => {
            let (tokens, is_made) = Tokens::load_or_make(&config.state).map_err(Unready::Configuration)?;
            if is_made {
                let path = config.state.join(TOKENS_FILE);
                tracing::info!(path = %path.display(), "made a token for X-Auth-Token");
            }
            Authenticator::Tokens(tokens)
        }
        (Auth::Keystone { uri, service_roles }, Some(cloud)) => {
            let uri = match uri {
                Some(uri) => uri.clone(),
                None => cloud.auth_url().map_err(|error| Unready::Configuration(error.to_string()))?,
            };
            let settings = KeystoneSettings { uri, service_roles: service_roles.clone() };
            Authenticator::Keystone(Box::new(Keystone::new(cloud.clone(), settings)))
        }
        (Auth::Keystone { .. }, None) => {
            return Err(Unready::Configuration("auth = \"keystone\" needs a cloud".to_owned()));
        }
    })
}

async fn bind(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener, Unready> {
    TcpListener::bind(address).await.map_err(|error| {
        let reason = format!("{setting} {address}: {error}");
        match error.kind() {
            // Another process may go; an address that this machine does not have will not come.
            std::io::ErrorKind::AddrInUse => Unready::System(reason),
            _ => Unready::Configuration(reason),
        }
    })
}
