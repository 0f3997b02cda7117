//! The service on a compute node.

#![deny(clippy::print_stdout, clippy::print_stderr)] // a closed pipe would end the program

use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::transport::Listening;
use glancecast_platform::units::Rate;
use glancecast_platform::{cli, host_key, random};
use glancecast_proto::agree::StartSecret;
use glancecast_proto::query::ResponderConfig;
use glancecast_proto::receiver::ReceiverConfig;
use glancecast_proto::relay::RelayConfig;
use glancecast_receiver::config::{Args, Config, Senders};
use glancecast_receiver::network::{Forwarding, Network, NetworkConfig};
use glancecast_receiver::receive_loop::{Ended, ReceiveLoop, Setup, Stopper};
use glancecast_receiver::settings::{self, Settings};
use glancecast_receiver::store::{Store, find_tool};
use glancecast_receiver::{doctor, heap, rights, state};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Enter the sandbox before there is anything to leak.
    glancecast_sandbox::enter();
    if let Some(code) = doctor::run_if_asked() {
        return code;
    }
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            cli::tell(&format!("glancecastd: {error:#}"));
            return ExitCode::from(cli::EXIT_FAILED);
        }
    };
    heap::give_back_large_pieces();
    let args = match cli::parse::<Args>("glancecastd") {
        Ok(args) => args,
        Err(code) => return code,
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        // By default a line that cannot be written is reported by `eprintln!`, which ends the program.
        .log_internal_errors(false)
        .init();
    let prepared = args.resolve().map_err(anyhow::Error::msg).and_then(|config| {
        prepare(&config, args.once).map(|(receive_loop, stopper)| (config, receive_loop, stopper))
    });
    let (config, receive_loop, stopper) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            cli::tell(&format!("glancecastd: {error:#}"));
            return ExitCode::from(cli::EXIT_USAGE);
        }
    };
    let reload = || match Settings::reload(&args, &config) {
        Ok(settings) => stopper.set(settings),
        Err(error) => tracing::error!(
            "the keys and senders stay as they were, as they cannot be read anew: {error}; then reload again"
        ),
    };
    match run(signals, receive_loop, &stopper, reload) {
        Ok(Ended::Stopped | Ended::Published) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(cli::EXIT_FAILED),
        Err(error) => {
            cli::tell(&format!("glancecastd: {error:#}"));
            ExitCode::from(cli::EXIT_FAILED)
        }
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
fn prepare(config: &Config, once: bool) -> anyhow::Result<(ReceiveLoop, Stopper)> {
    rights::close_up().context("give up rights")?;
    let Settings { keys, senders } = Settings::load(config)?;
    state::keep_apart(&config.state, &config.store)?;
    let host_key = host_key::load_or_create(&config.state)?;
    let keys = settings::keyring(config, keys)?;
    let network = NetworkConfig {
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
    };
    let network = Network::open(network)?;
    rights::drop_capabilities().context("give up capabilities")?;
    let store = Store::open(&config.store, config.store_options).context("store")?;
    store.spawn_refresher().context("store")?;
    find_tool();
    let where_to = store.to_string();
    let receiver = ReceiverConfig {
        name: config.name.clone(),
        software: concat!("glancecastd ", env!("CARGO_PKG_VERSION")).into(),
        keys: keys.keys().cloned().collect(),
        host_key: host_key.key.clone(),
        secret: StartSecret::new(random::bytes().context("random numbers")?),
        mtu: None,
        senders,
        start: random::bytes().context("random numbers")?,
        seed: random::bytes().context("random numbers")?,
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
        secret: StartSecret::new(random::bytes().context("random numbers")?),
        start: random::bytes().context("random numbers")?,
        seed: random::bytes().context("random numbers")?,
        started: wall(),
    };
    let relay = RelayConfig {
        allowed: config.relaying.allowed,
        rate_max: config.relaying.rate_max.map(Rate::bits),
        parents: config.relaying.parents.clone(),
        host_key: host_key.key.clone(),
    };
    let (write_rate, read_rate) = (config.write_rate, config.read_rate);
    let state = config.state.clone();
    let key = host_key.key.public();
    let Config { name, membership, .. } = config.clone();
    let (group, source) = (membership.group(), membership.source());
    let from = source.map_or_else(|| "any".to_owned(), |source| source.to_string());
    let relays = config.relaying.allowed;
    let listening = Box::new(move |interface: &Interface, unicast: Listening| {
        let relays = if relays && matches!(unicast, Listening::AtGroupPort(_)) { "on" } else { "off" };
        tracing::info!(
            %name, %group, %interface, from, %unicast, relay = relays, store = where_to, %key, "listening"
        );
    });
    let setup =
        Setup { network, listening, store, state, write_rate, read_rate, receiver, responder, relay, once };
    let (receive_loop, stopper) = ReceiveLoop::new(setup)?;
    warn_of_settings(config);
    if host_key.origin == host_key::Origin::Made {
        tracing::info!(%key, state = %config.state.display(), "made a host key");
    }
    Ok((receive_loop, stopper))
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
