//! `/v1/pushes/{id}/events`: what happens to a push, as Server-Sent Events (HTML Living Standard, 9.2). The id of an event is
//! its number; `Last-Event-ID` resumes after it, at any controller.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::extract::{Caller, Path, Query};
use super::{ApiError, Shared, pushes};
use crate::auth::Action;
use crate::limits::{HEARTBEAT, STREAM_BATCH, STREAM_LOOK, STREAMS_MAX};
use crate::store::Event;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Streams the events of a push from the first on, or from the one after `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/pushes/{id}/events", tag = "pushes",
    params(("id" = String, Path), ("Last-Event-ID" = Option<i64>, Header), ("last_event_id" = Option<i64>, Query)),
    responses((status = 200, content_type = "text/event-stream", description = "status, started, host, progress, finished, gap"),
        (status = 204, description = "the push has ended, and so has its stream"), (status = 404, description = "no such push")))]
pub(super) async fn stream(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path,
    query: Query,
) -> Result<Response, ApiError> {
    let (push, _) = pushes::find(&app, &caller, Action::ReadPushes, &id).await?;
    query.only(&["last_event_id"], &[])?;
    let last =
        headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).or(query.get("last_event_id"));
    let last =
        match last {
            None => 0,
            Some(text) => text.trim().parse::<i64>().ok().filter(|id| *id >= 0).ok_or_else(|| {
                ApiError::bad_request("bad-event-id", "Last-Event-ID: the number of an event")
            })?,
        };
    if push.status.is_end() && app.store.events(&id, last, 1).await?.is_empty() {
        // Any other answer would have a browser ask again and again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        ApiError::unavailable("too-many-streams", format!("{STREAMS_MAX} streams are open; try again."))
    })?;
    let (changes, shutdown) = (app.store.changes(), app.shutdown.clone());
    let follower = Follower { app, id, last, ready: VecDeque::new(), changes, shutdown, _permit: permit };
    let messages = unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((Ok::<_, Infallible>(message), follower))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(messages).keep_alive(keep_alive).into_response())
}

/// One stream.
struct Follower {
    app: Shared,
    id: String,
    /// The number of the last event that was read.
    last: i64,
    ready: VecDeque<Message>,
    changes: watch::Receiver<u64>,
    shutdown: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Returns the next message; `None` when the push has ended, or the program does.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            self.changes.mark_unchanged();
            // Whether it has ended is asked first: an end that is seen has its events in what is read after it.
            let ended = match self.app.store.push(&self.id).await {
                Ok(Some((push, _))) => push.status.is_end(),
                Ok(None) => true,
                Err(_) => false,
            };
            let events = self.app.store.events(&self.id, self.last, STREAM_BATCH).await;
            let events = events.unwrap_or_else(|error| {
                tracing::debug!(%error, "a stream waits for the database");
                Vec::new()
            });
            match events.is_empty() {
                false => events.into_iter().for_each(|event| self.take(event)),
                true if ended => return None,
                true => self.wait().await?,
            }
        }
    }

    fn take(&mut self, event: Event) {
        if event.seq > self.last + 1 {
            let body = json!({"after": self.last, "next": event.seq});
            self.ready.push_back(Message::default().event("gap").data(body.to_string()));
        }
        self.last = event.seq;
        let message = Message::default().id(event.seq.to_string()).event(event.kind).data(event.body);
        self.ready.push_back(message);
    }

    /// Waits until there may be more. `None` when the program ends.
    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            // Another controller's changes are not heard of.
            _ = timeout(STREAM_LOOK, self.changes.changed()) => Some(()),
            _ = self.shutdown.wait_for(|stop| *stop) => None,
        }
    }
}
