//! What is told of the loop: events in the log, and the state that others read.

use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::transport::Buffer;
use glancecast_proto::receiver::ReceiverEvent;
use glancecast_proto::time::Moment;

use super::{Ended, ReceiveLoop};
use crate::events::{self, Context};
use crate::observe::Turn;

impl ReceiveLoop {
    /// Tells the service manager that the loop turns, and once a second everybody what this host is at.
    pub(super) fn tell(&mut self) {
        let now = self.clock.now();
        self.service.ping(now);
        if !self.tally.is_due(now) {
            return;
        }
        if std::mem::take(&mut self.was_heard) {
            self.heard_ms = Some(wall().0);
        }
        if !self.service.is_ready() && now.since(Moment::default()) >= READY_WAIT_MAX {
            self.service.ready();
        }
        let push = self.machine.intake(now).zip(self.machine.session());
        let turn = Turn {
            network: self.network.state(self.heard_ms),
            push: push.map(|(intake, announce)| (announce.session, announce.reply_to.to_string(), intake)),
            discards: self.machine.discards(),
            query_discards: self.responder.discards(),
            socket_drops: self.drops.since_start,
            corrupt: self.machine.corrupt_blocks(),
            clocks: &self.clocks,
            relay: self.forwarder.counts(),
            relay_allowed: self.forwarder.is_allowed(),
            relay_active: self.forwarder.is_at_work(),
        };
        let status = self.tally.publish(now, turn);
        self.service.status(status);
    }

    pub(super) fn log_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            let context = Context { corrupt: self.machine.corrupt_blocks(), kept_for: self.kept_for };
            events::log(&event, context);
            self.tally.note_end(&event);
            match event {
                ReceiverEvent::Published { .. } => self.finish(Ended::Published),
                ReceiverEvent::Failed { .. } => self.finish(Ended::Failed),
                _ => {}
            }
        }
    }

    /// Logs what was discarded since the start, as the last words.
    pub(super) fn log_discards(&self) {
        self.forwarder.log_counts();
        if self.responder.discards().seen().next().is_some() {
            tracing::info!("discarded queries by reason: {}", self.responder.discards());
        }
        tracing::info!("discarded datagrams by reason: {}", self.machine.discards());
    }
}

pub(super) fn log_short_buffer(buffer: Buffer) {
    if buffer.is_short() {
        tracing::warn!(
            "the socket's receive buffer is {} KiB instead of {} KiB: while this host is busy for longer than that holds, \
             datagrams are dropped here and have to be repaired: {}",
            buffer.bytes >> 10,
            buffer.wanted >> 10,
            buffer.remedy()
        );
    }
}

/// How long a service without its interface is not ready yet. After that the boot goes on without it: it waits inside.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);
