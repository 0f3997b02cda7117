//! The service on a compute node.

use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use glancecast_host::clock::wall;
use glancecast_host::interface::{Chosen, Interface};
use glancecast_host::{cli, keyfile, random, sender_keys};
use glancecast_proto::questions::RespondentConfig;
use glancecast_proto::receiver::ReceiverConfig;
use glancecast_proto::seal::GroupKey;
use glancecast_receiver::config::{Args, Config};
use glancecast_receiver::drive::{Drive, Ended, Setup, Stopper};
use glancecast_receiver::heap;
use glancecast_receiver::store::{Store, find_tool};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Before there is anything to give away.
    glancecast_sandbox::enter();
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
        .init();
    let prepared = args.resolve().map_err(anyhow::Error::msg).and_then(|config| prepare(config, args.once));
    let (drive, stopper) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("glancecastd: {error:#}");
            return ExitCode::from(cli::EXIT_USAGE);
        }
    };
    match run(drive, stopper) {
        Ok(Ended::Stopped | Ended::Published) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(cli::EXIT_FAILED),
        Err(error) => {
            eprintln!("glancecastd: {error:#}");
            ExitCode::from(cli::EXIT_FAILED)
        }
    }
}

/// Everything that can be wrong before the first datagram.
fn prepare(config: Config, once: bool) -> anyhow::Result<(Drive, Stopper)> {
    let mut keys = keyfile::load_all(&config.keys)?;
    let senders = sender_keys::public_keys(&config.senders)?;
    if keys.is_empty() {
        tracing::warn!(
            "--insecure: sealed under a key that everybody knows; whoever reaches this network can push here"
        );
        keys.push(GroupKey::insecure());
    }
    let interface = Interface::choose(config.interface.as_deref(), config.group)?;
    if interface.chosen == Chosen::ByRoute && interface.is_loopback() {
        tracing::warn!("{}", LOOPBACK);
    }
    let store = Store::open(&config.store, config.keep_unfinished).context("store")?;
    store.keep().context("store")?;
    find_tool();
    let where_to = store.to_string();
    let receiver = ReceiverConfig {
        name: config.name.clone(),
        software: concat!("glancecastd ", env!("CARGO_PKG_VERSION")).into(),
        keys,
        senders,
        start: random::bytes().context("random numbers")?,
        seed: random::bytes().context("random numbers")?,
        buffer_bytes: BUFFER_BYTES,
    };
    let respondent = RespondentConfig {
        name: receiver.name.clone(),
        software: receiver.software.clone(),
        keys: receiver.keys.clone(),
        start: random::bytes().context("random numbers")?,
        seed: random::bytes().context("random numbers")?,
        started: wall(),
    };
    let on = interface.to_string();
    let Config { group, source, dscp, write_rate, .. } = config;
    let setup = Setup { group, interface, source, dscp, store, write_rate, receiver, respondent, once };
    let (drive, stopper) = Drive::new(setup)?;
    let from = source.map_or_else(|| "any".to_owned(), |source| source.to_string());
    tracing::info!(name = %config.name, %group, interface = on, from, store = where_to, "listening");
    Ok((drive, stopper))
}

/// Runs the receiving thread until it ends or a signal asks it to.
fn run(drive: Drive, stopper: Stopper) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, mut end) = oneshot::channel();
    let thread = thread::Builder::new().name("receive".into()).spawn(move || {
        let result = drive.run();
        let _ = ended.send(());
        result
    })?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = &mut end => return anyhow::Ok(()),
                _ = terminate.recv() => stopper.stop(),
                _ = interrupt.recv() => stopper.stop(),
            }
        }
    })?;
    Ok(thread.join().map_err(|_| anyhow::anyhow!("the receiving thread panicked"))??)
}

const LOOPBACK: &str = "the routing table sends the group to the loopback interface, where no other machine is heard: \
                        name the interface with --interface";

/// Memory for blocks on their way, of the 256 MiB that a receiver may use in all.
const BUFFER_BYTES: usize = 96 << 20;
