//! Follows a push or a query: shows its progress while it runs, and stops it on a signal.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::Failure;
use crate::pipeline::running::Running;

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
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
            () = self.next() => Err(Failure::Interrupted),
        }
    }

    /// Waits for the end of `running`. Calls `show` with the progress after each `gap`; stops it on a signal.
    pub(super) async fn follow<P: Clone, R>(
        &mut self,
        running: &mut Running<P, R>,
        gap: Duration,
        show: impl Fn(P),
    ) {
        let mut ticks = tokio::time::interval(gap);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = running.ended() => return,
                () = self.next() => running.stop(),
                _ = ticks.tick() => show(running.progress()),
            }
        }
    }
}
