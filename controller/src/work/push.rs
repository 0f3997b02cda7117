//! Runs a push: its images one after the other, each in a child. What the child prints becomes rows and events.

use std::time::Duration;

use glancecast_platform::clock::wall;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Context;
use super::child::{Child, ChildEnd, ChildError};
use super::follow::{Follow, own_end};
use super::launcher::Lists;
use super::leadership::Role;
use crate::limits::{CHILD_END_TIME, EVENTS_GAP, REPORT_KEPT_BYTES_MAX};
use crate::model::{Copy, Item, Pinned, Push, Status};
use crate::store::{EventKind, Interruption, ItemChange, ItemEnd, Next, StoreError, Verdicts};

/// Why a child is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody wants it.
    Cancelled,
    /// This program ends.
    Shutdown,
    /// Another controller may lead. Nothing is written any more: that one writes.
    Deposed,
}

/// What may end a push or a job from outside.
#[derive(Clone, Debug)]
pub(super) struct Stops {
    pub(super) cancelled: watch::Receiver<bool>,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) role: watch::Receiver<Role>,
    /// The role in which it was begun.
    pub(super) term: Role,
}

impl Stops {
    /// Returns why to end, if so.
    pub(super) fn now(&self) -> Option<Stop> {
        if *self.role.borrow() != self.term {
            return Some(Stop::Deposed);
        }
        match (*self.cancelled.borrow(), *self.shutdown.borrow()) {
            (true, _) => Some(Stop::Cancelled),
            (_, true) => Some(Stop::Shutdown),
            _ => None,
        }
    }

    /// Waits until there is a reason to end.
    pub(super) async fn wait(&mut self) -> Stop {
        loop {
            if let Some(stop) = self.now() {
                return stop;
            }
            // A sender that is gone says no more; the others still do.
            tokio::select! {
                Ok(()) = self.cancelled.changed() => {}
                Ok(()) = self.shutdown.changed() => {}
                Ok(()) = self.role.changed() => {}
                else => std::future::pending().await,
            }
        }
    }
}

/// How the push of an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Ended(Status),
    /// The child ended without a result.
    Crashed(String),
    Stopped(Stop),
}

/// Runs a push to its end, or until it is stopped.
pub(super) async fn run(context: &Context, next: Next, mut stops: Stops) {
    let Next { push, items } = next;
    let started = std::time::Instant::now();
    tracing::info!(push = push.id, images = items.len(), request = push.origin.request_id, "push begins");
    let mut ends: Vec<Status> = Vec::new();
    let mut last = None;
    for item in items {
        if item.status.is_end() {
            ends.push(item.status);
            continue;
        }
        let outcome = match stops.now() {
            Some(stop) => Outcome::Stopped(stop),
            None => run_item(context, &push, &item, &mut stops).await,
        };
        match outcome {
            Outcome::Ended(status) => ends.push(status),
            other => {
                last = Some(other);
                break;
            }
        }
    }
    let status = conclude(context, &push, &ends, last, &stops).await;
    if let Some(status) = status {
        tracing::info!(push = push.id, status = status.name(), "push ended");
        context.metrics.push_ended(status, started.elapsed());
    }
    context.ended.notify_one();
}

/// Writes what has become of the push. Returns its end; `None` if it goes on later or elsewhere.
async fn conclude(
    context: &Context,
    push: &Push,
    ends: &[Status],
    last: Option<Outcome>,
    stops: &Stops,
) -> Option<Status> {
    let store = &context.store;
    let finish = |status: Status| persist(stops, move || store.finish(&push.id, wall(), status, None));
    let put_back = |why: Interruption, reason: String| async move {
        let status = persist(stops, || store.put_back(&push.id, wall(), why, &reason)).await?;
        status.is_end().then_some(status)
    };
    match last {
        None => finish(Status::of_items(ends)).await.map(|()| Status::of_items(ends)),
        Some(Outcome::Stopped(Stop::Cancelled)) => {
            finish(Status::Cancelled).await.map(|()| Status::Cancelled)
        }
        Some(Outcome::Stopped(Stop::Shutdown)) => {
            put_back(Interruption::Controller, "the controller was stopped".to_owned()).await
        }
        Some(Outcome::Crashed(reason)) => put_back(Interruption::Child, reason).await,
        Some(Outcome::Stopped(Stop::Deposed) | Outcome::Ended(_)) => None,
    }
}

/// Writes until that succeeds. `None` if another controller may lead by then.
pub(super) async fn persist<T, F>(stops: &Stops, write: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = RETRY_MIN;
    loop {
        if stops.now() == Some(Stop::Deposed) {
            return None;
        }
        match write().await {
            Ok(value) => return Some(value),
            Err(error) => tracing::warn!(%error, "cannot write; trying again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Pushes one image.
async fn run_item(context: &Context, push: &Push, item: &Item, stops: &mut Stops) -> Outcome {
    let store = &context.store;
    if persist(stops, || store.begin_item(&push.id, item.position, wall())).await.is_none() {
        return Outcome::Stopped(Stop::Deposed);
    }
    let name = format!("{}-{}", push.id, item.position);
    let request = &push.request;
    let lists = context.launcher.lists(&name, &request.hosts, &request.exclude);
    let child = lists.and_then(|lists: Lists| {
        let words = context.launcher.front(push.profile.as_deref()).send(&item.target, request, &lists.files);
        Ok((context.launcher.start(words)?, lists))
    });
    let (mut child, lists) = match child {
        Ok(child) => child,
        Err(error) => {
            let reason = format!("glancecast cannot be started: {error}");
            settle(context, push, item, &Delivered::default(), Some(&reason), stops).await;
            return end(context, push, item, failed(reason, None), ItemChange::default(), stops).await;
        }
    };
    let outcome = match request.dry_run {
        true => plan(context, push, item, &mut child, stops).await,
        false => follow(context, push, item, &mut child, stops).await,
    };
    drop(lists);
    outcome
}

/// Follows the events of a child to its end.
async fn follow(
    context: &Context,
    push: &Push,
    item: &Item,
    child: &mut Child,
    stops: &mut Stops,
) -> Outcome {
    let store = &context.store;
    let mut lines = child.lines();
    let mut follow = Follow::new(item.position);
    let mut due: Option<Instant> = None;
    let mut stopping = Stopping::default();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(Ok(line)) => {
                    follow.take(&line);
                    due.get_or_insert_with(|| Instant::now() + EVENTS_GAP);
                }
                Some(Err(error)) => {
                    follow.broke(&error);
                    child.signaller().kill();
                    break;
                }
                None => break,
            },
            () = at(due) => {
                due = None;
                let change = follow.change();
                let written = persist(stops, || store.record(&push.id, item.position, wall(), &change));
                if written.await.is_none() {
                    stopping.begin(child, Stop::Deposed);
                }
            }
            stop = stops.wait(), if stopping.why.is_none() => stopping.begin(child, stop),
            () = at(stopping.kill_at) => {
                stopping.kill_at = None;
                child.signaller().kill();
            }
        }
    }
    let ended = wait(child, &mut stopping, stops).await;
    let change = follow.change();
    if stopping.why == Some(Stop::Deposed) {
        return Outcome::Stopped(Stop::Deposed);
    }
    match (follow.end(), ended) {
        (Some((item_end, delivered)), Ok(ended)) => {
            // A push that was stopped ends as `failed`, with the signal's exit code; one that was complete by then counts.
            let is_stopped = stopping.why.is_some() && item_end.status == Status::Failed;
            match (stopping.why, is_stopped) {
                (Some(stop), true) => stopped(context, push, item, stop, change, item_end, stops).await,
                _ => {
                    let exit_code = ended.status.code().map(i64::from).or(item_end.exit_code);
                    let item_end = ItemEnd { exit_code, ..item_end };
                    let failed = item_end.reason.clone().filter(|_| item_end.status == Status::Failed);
                    // Before the image has ended: a plan in between would push it again.
                    settle(context, push, item, &delivered, failed.as_deref(), stops).await;
                    note_copies(context, push, item, delivered, stops).await;
                    end(context, push, item, item_end, change, stops).await
                }
            }
        }
        (None, Ok(ended)) => match stopping.why {
            Some(stop) => {
                let end = failed("it was stopped".to_owned(), ended.status.code());
                stopped(context, push, item, stop, change, end, stops).await
            }
            None => {
                crashed(context, push, item, follow.fault().unwrap_or(ended.words()), change, stops).await
            }
        },
        (_, Err(error)) => crashed(context, push, item, error.to_string(), change, stops).await,
    }
}

/// Reads the plan that a dry run prints.
async fn plan(context: &Context, push: &Push, item: &Item, child: &mut Child, stops: &mut Stops) -> Outcome {
    let (output, why) = read_report(child, REPORT_KEPT_BYTES_MAX, stops).await;
    if why == Some(Stop::Deposed) {
        return Outcome::Stopped(Stop::Deposed);
    }
    let (report, ended) = match output {
        Ok(output) => output,
        Err(error) => return crashed(context, push, item, error, ItemChange::default(), stops).await,
    };
    let report: Value = serde_json::from_slice(&report).unwrap_or(Value::Null);
    let exit_code = ended.status.code();
    let reason = report["reason"].as_str().map_or_else(|| ended.words(), str::to_owned);
    let item_end = match exit_code {
        Some(0 | 3) if report.is_object() => {
            ItemEnd { status: Status::Done, ..failed(String::new(), exit_code) }
        }
        _ => failed(reason, exit_code),
    };
    let item_end = match item_end.status {
        Status::Done => ItemEnd { reason: None, ..item_end },
        _ => item_end,
    };
    let change = ItemChange {
        progress: report.is_object().then(|| report.to_string()),
        events: vec![(EventKind::Finished, serde_json::json!({"image": item.position, "plan": report}))],
        ..ItemChange::default()
    };
    match why {
        Some(stop) => stopped(context, push, item, stop, change, item_end, stops).await,
        None => end(context, push, item, item_end, change, stops).await,
    }
}

/// Reads all that a child prints, and waits for its end. Returns also why it was stopped, if it was.
pub(super) async fn read_report(
    child: &mut Child,
    max: usize,
    stops: &mut Stops,
) -> (Result<(Vec<u8>, ChildEnd), String>, Option<Stop>) {
    let mut stopping = Stopping::default();
    let signaller = child.signaller();
    let output = {
        let mut output = std::pin::pin!(child.output(max));
        loop {
            tokio::select! {
                output = &mut output => break output,
                stop = stops.wait(), if stopping.why.is_none() => {
                    signaller.terminate();
                    stopping.why = Some(stop);
                    stopping.kill_at = Some(Instant::now() + CHILD_END_TIME);
                }
                () = at(stopping.kill_at) => {
                    stopping.kill_at = None;
                    signaller.kill();
                }
            }
        }
    };
    if output.is_err() {
        signaller.kill();
    }
    let ended = wait(child, &mut stopping, stops).await;
    let both = match (output, ended) {
        (Ok(output), Ok(ended)) => Ok((output, ended)),
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(error.to_string()),
    };
    (both, stopping.why)
}

/// The end of a child that was asked for.
#[derive(Debug, Default)]
struct Stopping {
    why: Option<Stop>,
    kill_at: Option<Instant>,
}

impl Stopping {
    fn begin(&mut self, child: &Child, why: Stop) {
        if self.why.is_none() {
            child.signaller().terminate();
            self.kill_at = Some(Instant::now() + CHILD_END_TIME);
        }
        self.why = Some(why);
    }
}

/// Waits for the end of a child whose output has ended, and ends it if that is asked for meanwhile.
async fn wait(child: &mut Child, stopping: &mut Stopping, stops: &mut Stops) -> Result<ChildEnd, ChildError> {
    let signaller = child.signaller();
    let mut ended = std::pin::pin!(child.wait());
    // A child without an output has nothing left to do.
    let last = Instant::now() + CHILD_END_TIME;
    let mut kill_at = Some(stopping.kill_at.map_or(last, |at| at.min(last)));
    loop {
        tokio::select! {
            ended = &mut ended => return Ok(ended?),
            stop = stops.wait(), if stopping.why.is_none() => {
                signaller.terminate();
                stopping.why = Some(stop);
            }
            () = at(kill_at) => {
                kill_at = None;
                signaller.kill();
            }
        }
    }
}

/// Waits until a time; for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn failed(reason: String, exit_code: Option<i32>) -> ItemEnd {
    ItemEnd {
        status: Status::Failed,
        reason: Some(reason),
        exit_code: exit_code.map(i64::from),
        root: None,
        wire_bytes: None,
        holding: None,
    }
}

/// Writes the end of an image.
async fn end(
    context: &Context,
    push: &Push,
    item: &Item,
    item_end: ItemEnd,
    change: ItemChange,
    stops: &Stops,
) -> Outcome {
    let status = item_end.status;
    context.metrics.image_ended(&item_end);
    let mut change = ItemChange { end: Some(item_end), ..change };
    if !change.events.iter().any(|(kind, _)| *kind == EventKind::Finished) {
        let reason = change.end.as_ref().and_then(|end| end.reason.clone());
        change.events.push((EventKind::Finished, own_end(item.position, reason.as_deref())));
    }
    let store = &context.store;
    match persist(stops, || store.record(&push.id, item.position, wall(), &change)).await {
        Some(()) => Outcome::Ended(status),
        None => Outcome::Stopped(Stop::Deposed),
    }
}

/// Writes what a stopped child said last. A cancelled image has ended; one of a program that ends goes on later.
async fn stopped(
    context: &Context,
    push: &Push,
    item: &Item,
    stop: Stop,
    change: ItemChange,
    item_end: ItemEnd,
    stops: &Stops,
) -> Outcome {
    let end = match stop {
        Stop::Cancelled => Some(ItemEnd { status: Status::Cancelled, ..item_end }),
        _ => None,
    };
    let change = ItemChange { end, ..change };
    let store = &context.store;
    match persist(stops, || store.record(&push.id, item.position, wall(), &change)).await {
        Some(()) => Outcome::Stopped(stop),
        None => Outcome::Stopped(Stop::Deposed),
    }
}

/// Writes what a child said that ended without a result.
async fn crashed(
    context: &Context,
    push: &Push,
    item: &Item,
    reason: String,
    change: ItemChange,
    stops: &Stops,
) -> Outcome {
    tracing::warn!(push = push.id, image = item.position, reason, "the child ended without a result");
    settle(context, push, item, &Delivered::default(), Some(&reason), stops).await;
    let store = &context.store;
    match persist(stops, || store.record(&push.id, item.position, wall(), &change)).await {
        Some(()) => Outcome::Crashed(reason),
        None => Outcome::Stopped(Stop::Deposed),
    }
}

/// Notes which hosts hold the image, so that nobody has to ask them before the next plan.
async fn note_copies(context: &Context, push: &Push, item: &Item, delivered: Delivered, stops: &Stops) {
    let hosts = delivered.holders();
    let Delivered { root: Some(root), name: Some(name), bytes: Some(bytes), .. } = delivered else { return };
    let pinned = if push.request.pin.is_some() { Pinned::Forever } else { Pinned::No };
    let copy = Copy { name, image_id: item.target.image_id.clone(), bytes, root, pinned };
    let (store, profile) = (&context.store, push.profile.clone().unwrap_or_default());
    for some in hosts.chunks(HOSTS_A_TRANSACTION) {
        persist(stops, || store.add_copies(&profile, some, &copy, wall())).await;
    }
}

/// Notes what the push has come to on each host, for the reconciler.
async fn settle(
    context: &Context,
    push: &Push,
    item: &Item,
    delivered: &Delivered,
    failed: Option<&str>,
    stops: &Stops,
) {
    let Some(image_id) = item.target.image_id.as_deref() else { return };
    let profile = push.profile.clone().unwrap_or_default();
    let verdicts = Verdicts {
        profile: &profile,
        image_id,
        name: item.target.name.as_deref(),
        root: delivered.root.as_deref(),
        placed_for: push.origin.policy.as_ref().map(|_| &push.request.placed_for),
        hosts: &delivered.hosts,
        failed: failed.filter(|_| delivered.hosts.is_empty()),
    };
    persist(stops, || context.store.settle(&verdicts, wall())).await;
}

/// What an image has come to at the end of its push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Each host with its state, and why it is in it.
    pub(super) hosts: Vec<(String, String, Option<String>)>,
    pub(super) root: Option<String>,
    pub(super) name: Option<String>,
    pub(super) bytes: Option<u64>,
}

impl Delivered {
    /// Returns the hosts that hold it.
    fn holders(&self) -> Vec<String> {
        let holds = |state: &str| matches!(state, "done" | "existing");
        self.hosts.iter().filter(|(_, state, _)| holds(state)).map(|(host, ..)| host.clone()).collect()
    }
}

/// Hosts that are written at a time.
const HOSTS_A_TRANSACTION: usize = 100;
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
