//! Follows a push or a query: shows its progress while it runs, and stops it on a signal.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::failure::Failure;
use crate::pipeline::running::Running;

/// The signals that end a command in order: SIGINT, SIGTERM, and SIGHUP, unless it is to outlast its terminal (nohup(1)).
/// A push that ends without a word keeps its hosts waiting for it.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    caught: Option<Caught>,
}

/// A signal that ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caught {
    Interrupt,
    Terminate,
    Hangup,
}

impl Caught {
    /// Returns the exit code that shells have for a program that a signal ended: 128 and its number.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored(hangup) { None } else { Some(signal(hangup)?) },
            caught: None,
        })
    }

    /// Returns the first signal that came.
    pub(super) fn caught(&self) -> Option<Caught> {
        self.caught
    }

    async fn next(&mut self) -> Caught {
        let caught = tokio::select! {
            _ = self.interrupt.recv() => Caught::Interrupt,
            _ = self.terminate.recv() => Caught::Terminate,
            Some(()) = async { self.hangup.as_mut()?.recv().await } => Caught::Hangup,
        };
        *self.caught.get_or_insert(caught)
    }

    /// Awaits the preparation of a push or a query, unless a signal comes first.
    pub(super) async fn or<T, E>(
        &mut self,
        preparation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        tokio::select! {
            prepared = preparation => Ok(prepared?),
            caught = self.next() => Err(Failure::Interrupted(caught)),
        }
    }

    /// Waits for the end of `running`. Calls `show` with the progress after each `gap`; stops it on a signal.
    pub(super) async fn follow<P: Clone, R>(
        &mut self,
        running: &mut Running<P, R>,
        gap: Duration,
        mut show: impl FnMut(P),
    ) {
        let mut ticks = tokio::time::interval(gap);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = running.ended() => return,
                _ = self.next() => running.stop(),
                _ = ticks.tick() => show(running.progress()),
            }
        }
    }

    /// The same, and awaits `beside` as long as `running` lasts.
    pub(super) async fn follow_and<P: Clone, R>(
        &mut self,
        running: &mut Running<P, R>,
        gap: Duration,
        show: impl FnMut(P),
        beside: impl Future<Output = ()>,
    ) {
        let mut follow = pin!(self.follow(running, gap, show));
        tokio::select! {
            () = &mut follow => {}
            () = beside => follow.await,
        }
    }
}

/// Whether whoever started this process had it ignore the signal (proc(5), `SigIgn`).
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw_value() - 1)) != 0
}
