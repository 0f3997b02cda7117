//! The service on a compute node.

#![deny(clippy::print_stdout, clippy::print_stderr)] // a closed pipe would end the program

use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::logging::{self, Format};
use glancecast_platform::notify::Notifier;
use glancecast_platform::transport;
use glancecast_platform::units::Rate;
use glancecast_platform::{cli, host_key, random};
use glancecast_proto::agree::StartSecret;
use glancecast_proto::query::ResponderConfig;
use glancecast_proto::receiver::ReceiverConfig;
use glancecast_proto::relay::RelayConfig;
use glancecast_proto::wire::VERSION;
use glancecast_receiver::config::{Args, Command, Config, Senders, StatusArgs, runtime_directory};
use glancecast_receiver::network::{Forwarding, Network, NetworkConfig, NetworkError};
use glancecast_receiver::observe::{self, Board, client};
use glancecast_receiver::on_published::Hook;
use glancecast_receiver::receive_loop::{Ended, Listening, ReceiveLoop, Setup, Stopper};
use glancecast_receiver::settings::{self, Settings};
use glancecast_receiver::store::{Store, find_tool};
use glancecast_receiver::{check, doctor, heap, rights, state};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

fn main() -> ExitCode {
    // Enter the sandbox before there is anything to leak.
    glancecast_sandbox::enter();
    if let Some(code) = doctor::run_if_asked() {
        return code;
    }
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            logging::tell_error(&format!("glancecastd: {error:#}"));
            return ExitCode::from(cli::EXIT_FAILED);
        }
    };
    heap::give_back_large_pieces();
    let args = match cli::parse::<Args>("glancecastd") {
        Ok(args) => args,
        Err(code) => return code,
    };
    match &args.command {
        Some(Command::Status(status)) => show_status(status),
        None if args.check => check(&args),
        None => serve(signals, &args),
    }
}

/// Receives until a signal ends it.
fn serve(signals: Signals, args: &Args) -> ExitCode {
    let failed = |error: anyhow::Error, code| {
        logging::tell_error(&format!("glancecastd: {error:#}"));
        ExitCode::from(code)
    };
    let config = match args.resolve() {
        Ok(config) => config,
        Err(mistake) => return failed(anyhow::Error::msg(mistake), cli::EXIT_CONFIG),
    };
    let format = config.log_format.unwrap_or_else(Format::by_default);
    logging::start(format, "glancecastd", config.name.as_str());
    let notifier = Notifier::from_environment();
    let (receive_loop, stopper) = match prepare(&config, args.once, &notifier) {
        Ok(prepared) => prepared,
        Err(Unready::Configuration(error)) => return failed(error, cli::EXIT_CONFIG),
        Err(Unready::System(error)) => return failed(error, cli::EXIT_FAILED),
    };
    let reload = || {
        notifier.reloading();
        stopper.set(Settings::reload(args, &config));
    };
    match run(signals, receive_loop, &stopper, reload) {
        Ok(Ended::Stopped | Ended::Published) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(cli::EXIT_FAILED),
        Err(error) => failed(error, cli::EXIT_FAILED),
    }
}

/// Prints every mistake in the configuration.
fn check(args: &Args) -> ExitCode {
    let check::Findings { mistakes, notes } = check::look(args);
    for line in mistakes.iter().chain(&notes) {
        cli::tell(&format!("glancecastd: {line}"));
    }
    if mistakes.is_empty() {
        cli::tell("glancecastd: the configuration is good");
        ExitCode::SUCCESS
    } else {
        ExitCode::from(cli::EXIT_CONFIG)
    }
}

/// Prints what the service on this node is at.
fn show_status(args: &StatusArgs) -> ExitCode {
    let runtime = runtime_directory(args.runtime.clone());
    let form = if args.json { client::Form::Json } else { client::Form::Table };
    let printed = client::ask(&runtime, form).map_err(anyhow::Error::from);
    match printed.and_then(|text| Ok(cli::print(&text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::tell(&format!("glancecastd: {error:#}"));
            ExitCode::from(cli::EXIT_FAILED)
        }
    }
}

/// Why the service cannot start.
enum Unready {
    /// The configuration is wrong: another attempt ends alike.
    Configuration(anyhow::Error),
    /// The machine lacks something at the moment.
    System(anyhow::Error),
}

impl Unready {
    fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::Configuration(error.into())
    }

    fn system(error: impl Into<anyhow::Error>) -> Self {
        Self::System(error.into())
    }
}

/// The signals that end the program or have it read settings anew, and the runtime that waits for them. They are handled
/// from the start, so that none of them kills the process: to systemd, one that SIGHUP killed has ended well.
struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn take() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("signals")?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("signals")?;
        let interrupt = signal(SignalKind::interrupt()).context("signals")?;
        let hangup = signal(SignalKind::hangup()).context("signals")?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }
}

/// Does everything that can fail for good before the first datagram, in the order of rights. First the process closes itself up,
/// before keys are read. Then it opens the sockets and drops capabilities. Then it opens the store and starts the first
/// thread.
fn prepare(config: &Config, once: bool, notifier: &Notifier) -> Result<(ReceiveLoop, Stopper), Unready> {
    rights::close_up().context("give up rights").map_err(Unready::System)?;
    let Settings { keys, senders, .. } = Settings::load(config).map_err(Unready::configuration)?;
    state::keep_apart(&config.state, &config.store).map_err(Unready::configuration)?;
    let host_key = host_key::load_or_create(&config.state).map_err(Unready::configuration)?;
    let keys = settings::keyring(config, keys).map_err(Unready::configuration)?;
    let network = Network::open(network_config(config)).map_err(|error| match error {
        NetworkError::Interface(_) => Unready::configuration(error),
        NetworkError::Socket(_) => Unready::system(error),
    })?;
    rights::drop_capabilities().context("give up capabilities").map_err(Unready::System)?;
    Store::claim(&config.store).context("store").map_err(Unready::Configuration)?;
    let store = Store::open(&config.store, config.store_options);
    let store = store.context("store").map_err(Unready::Configuration)?;
    store.spawn_refresher().context("store").map_err(Unready::System)?;
    find_tool();
    let draw = Draw;
    let receiver = ReceiverConfig {
        name: config.name.clone(),
        software: concat!("glancecastd ", env!("CARGO_PKG_VERSION")).into(),
        keys: keys.keys().cloned().collect(),
        host_key: host_key.key.clone(),
        secret: StartSecret::new(draw.bytes()?),
        mtu: None,
        senders,
        start: draw.bytes()?,
        seed: draw.bytes()?,
        buffer_bytes: BUFFER_BYTES,
        // The receive loop says so once it is reached by unicast.
        can_relay: false,
    };
    let responder = ResponderConfig {
        name: receiver.name.clone(),
        software: receiver.software.clone(),
        keys,
        senders: receiver.senders.clone(),
        host_key: host_key.key.clone(),
        secret: StartSecret::new(draw.bytes()?),
        start: draw.bytes()?,
        seed: draw.bytes()?,
        started: wall(),
    };
    let relay = RelayConfig {
        allowed: config.relaying.allowed,
        rate_max: config.relaying.rate_max.map(Rate::bits),
        parents: config.relaying.parents.clone(),
        host_key: host_key.key.clone(),
    };
    let key = host_key.key.public();
    let board = Board::default();
    observe::answer(&config.observe, board.clone()).map_err(Unready::system)?;
    let on_published = (!config.on_published.is_empty()).then(|| Hook::start(config.on_published.clone()));
    let on_published = on_published.transpose().context("on_published").map_err(Unready::System)?;
    let setup = Setup {
        on_published,
        network,
        listening: listening(config, store.to_string(), key.to_string(), &receiver),
        store,
        state: config.state.clone(),
        write_rate: config.write_rate,
        read_rate: config.read_rate,
        receiver,
        responder,
        relay,
        once,
        kept_for: config.store_options.keep_unfinished.time,
        notifier: notifier.clone(),
        board,
        group: config.membership.group().to_string(),
        metrics_file: config.observe.metrics_file.clone(),
    };
    let (receive_loop, stopper) = ReceiveLoop::new(setup).map_err(Unready::system)?;
    warn_of_settings(config);
    if host_key.origin == host_key::Origin::Made {
        tracing::info!(%key, state = %config.state.display(), "made a host key");
    }
    Ok((receive_loop, stopper))
}

fn network_config(config: &Config) -> NetworkConfig {
    NetworkConfig {
        membership: config.membership,
        interface: config.interface.clone(),
        dscp: config.dscp,
        offload: config.offload,
        renewal: config.renew_membership,
        listen: config.listen,
        forwarding: config
            .relaying
            .allowed
            .then(|| Forwarding { interface: config.relaying.interface.clone() }),
    }
}

/// Returns what logs that the group is joined, with what an operator compares between machines.
fn listening(config: &Config, store: String, key: String, receiver: &ReceiverConfig) -> Listening {
    let Config { name, membership, .. } = config.clone();
    let (group, source) = (membership.group(), membership.source());
    let from = source.map_or_else(|| "any".to_owned(), |source| source.to_string());
    let relays = config.relaying.allowed;
    let group_key: Vec<String> = receiver.keys.iter().map(|key| key.id().fingerprint()).collect();
    let group_key = group_key.join(",");
    Box::new(move |interface: &Interface, unicast: transport::Listening| {
        let relays =
            if relays && matches!(unicast, transport::Listening::AtGroupPort(_)) { "on" } else { "off" };
        tracing::info!(
            %name, %group, %interface, from, %unicast, relay = relays, store, %key, group_key, protocol = VERSION,
            "listening"
        );
    })
}

/// Draws random numbers.
struct Draw;

impl Draw {
    fn bytes<const N: usize>(&self) -> Result<[u8; N], Unready> {
        random::bytes().context("random numbers").map_err(Unready::System)
    }
}

/// Warns of risky settings once the program is sure to start, so that an error stays a single line.
fn warn_of_settings(config: &Config) {
    match (config.keys.is_empty(), &config.senders) {
        (true, Senders::Any) => tracing::warn!("{INSECURE}; {INSECURE_ANY}"),
        (true, Senders::Listed(_)) => tracing::warn!("{INSECURE}"),
        (false, Senders::Any) => tracing::warn!("{ANY_SENDER}"),
        (false, Senders::Listed(_)) => {}
    }
}

/// Runs the receive loop until it ends or a signal stops it. Calls `reload` on SIGHUP.
fn run(
    signals: Signals,
    receive_loop: ReceiveLoop,
    stopper: &Stopper,
    reload: impl Fn(),
) -> anyhow::Result<Ended> {
    let Signals { runtime, mut terminate, mut interrupt, mut hangup } = signals;
    let (ended, mut end) = oneshot::channel();
    let thread = thread::Builder::new().name("receive".into()).spawn(move || {
        let result = receive_loop.run();
        let _ = ended.send(());
        result
    })?;
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = &mut end => return,
                _ = terminate.recv() => stopper.stop(),
                _ = interrupt.recv() => stopper.stop(),
                _ = hangup.recv() => reload(),
            }
        }
    });
    Ok(thread.join().map_err(|_| anyhow::anyhow!("the receiving thread panicked"))??)
}

const INSECURE: &str = "--insecure: sealed under a key that everybody knows";

const INSECURE_ANY: &str =
    "it implies --sender any: whoever reaches this network can push any image to this host";

const ANY_SENDER: &str = "senders = \"any\": whoever has the group's key, as each node has, can push any image to this host; \
                          list your sender's public key instead";

/// Memory for blocks in transit, out of the 256 MiB that a receiver may use in all.
const BUFFER_BYTES: usize = 96 << 20;
