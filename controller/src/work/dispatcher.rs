//! Takes pushes and jobs from the queue while this controller leads: one push at a time for each profile, a few jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::clock::wall;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::leadership::Role;
use super::push::Stops;
use super::{Context, end_leftovers, job, push};
use crate::limits::{ENDED_MAX, ENDED_TIME, JOBS_RUNNING_MAX};
use crate::store::StoreError;

/// What runs.
#[derive(Debug, Default)]
struct Running {
    /// Pushes by their profile.
    pushes: HashMap<Option<String>, RunningPush>,
    jobs: HashMap<String, watch::Sender<bool>>,
}

/// A push that runs.
#[derive(Debug)]
struct RunningPush {
    id: String,
    cancel: watch::Sender<bool>,
}

/// What a task was.
#[derive(Debug)]
enum Task {
    Push(Option<String>),
    Job(String),
}

/// Does the work until `shutdown`, and then waits until all children have ended.
pub async fn run(context: Arc<Context>, mut shutdown: watch::Receiver<bool>) {
    let mut dispatcher = Dispatcher {
        running: Running::default(),
        tasks: JoinSet::new(),
        term: Role::Follower,
        shutdown: shutdown.clone(),
        forgotten_at: None,
        context,
    };
    let mut changes = dispatcher.context.store.changes();
    let mut role = dispatcher.context.role.clone();
    let mut tick = interval(TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Ok(()) = changes.changed() => {}
            Ok(()) = role.changed() => {}
            Some(task) = dispatcher.tasks.join_next() => dispatcher.ended(task),
            _ = shutdown.wait_for(|stop| *stop) => break,
        }
        if let Err(error) = dispatcher.turn().await {
            tracing::warn!(%error, "the queue cannot be read");
            // The database is not asked at once: its change would be the next try.
            tokio::time::sleep(PAUSE).await;
        }
    }
    while let Some(task) = dispatcher.tasks.join_next().await {
        dispatcher.ended(task);
    }
}

struct Dispatcher {
    context: Arc<Context>,
    running: Running,
    tasks: JoinSet<Task>,
    /// The time of leadership that was prepared.
    term: Role,
    shutdown: watch::Receiver<bool>,
    forgotten_at: Option<Instant>,
}

impl Dispatcher {
    async fn turn(&mut self) -> Result<(), StoreError> {
        let role = *self.context.role.borrow();
        if role == Role::Follower || *self.shutdown.borrow() {
            return Ok(());
        }
        if role != self.term {
            // Those of an earlier time have been stopped, and end soon.
            if !self.tasks.is_empty() {
                return Ok(());
            }
            self.prepare().await?;
            self.term = role;
        }
        self.cancel().await?;
        self.take_pushes().await?;
        self.take_jobs().await?;
        self.forget().await
    }

    /// Ends what an earlier start left, and puts back what ran.
    async fn prepare(&self) -> Result<(), StoreError> {
        if let Err(error) = end_leftovers(self.context.launcher.mark()).await {
            tracing::error!(%error, "children of an earlier start may still run");
        }
        let store = &self.context.store;
        let count = store.recover(wall()).await?;
        if count > 0 {
            tracing::warn!(count, "pushes were interrupted; they are queued again");
        }
        store.recover_jobs(wall()).await
    }

    /// Ends what somebody wants to end.
    async fn cancel(&mut self) -> Result<(), StoreError> {
        if !self.running.pushes.is_empty() {
            for (id, is_cancelled) in self.context.store.running().await? {
                let push = self.running.pushes.values().find(|push| push.id == id);
                if let Some(push) = push.filter(|_| is_cancelled) {
                    push.cancel.send_replace(true);
                }
            }
        }
        if !self.running.jobs.is_empty() {
            for id in self.context.store.cancelled_jobs().await? {
                if let Some(cancel) = self.running.jobs.get(&id) {
                    cancel.send_replace(true);
                }
            }
        }
        Ok(())
    }

    async fn take_pushes(&mut self) -> Result<(), StoreError> {
        for profile in self.context.profiles.clone() {
            if self.running.pushes.contains_key(&profile) {
                continue;
            }
            let name = profile.clone().unwrap_or_default();
            let Some(next) = self.context.store.take_next(&name, wall()).await? else { continue };
            let (cancel, cancelled) = watch::channel(next.push.is_cancelled);
            self.running.pushes.insert(profile.clone(), RunningPush { id: next.push.id.clone(), cancel });
            let (context, stops) = (Arc::clone(&self.context), self.stops(cancelled));
            self.tasks.spawn(async move {
                push::run(&context, next, stops).await;
                Task::Push(profile)
            });
        }
        Ok(())
    }

    async fn take_jobs(&mut self) -> Result<(), StoreError> {
        while self.running.jobs.len() < JOBS_RUNNING_MAX {
            let Some(job) = self.context.store.take_job(wall()).await? else { return Ok(()) };
            let (cancel, cancelled) = watch::channel(job.is_cancelled);
            let id = job.id.clone();
            self.running.jobs.insert(id.clone(), cancel);
            let (context, stops) = (Arc::clone(&self.context), self.stops(cancelled));
            self.tasks.spawn(async move {
                job::run(&context, job, stops).await;
                Task::Job(id)
            });
        }
        Ok(())
    }

    fn stops(&self, cancelled: watch::Receiver<bool>) -> Stops {
        let (shutdown, role) = (self.shutdown.clone(), self.context.role.clone());
        Stops { cancelled, shutdown, role, term: self.term }
    }

    fn ended(&mut self, task: Result<Task, tokio::task::JoinError>) {
        match task {
            Ok(Task::Push(profile)) => drop(self.running.pushes.remove(&profile)),
            Ok(Task::Job(id)) => drop(self.running.jobs.remove(&id)),
            // Nothing aborts a task, and a panic ends the program.
            Err(error) => tracing::error!(%error, "a task was lost"),
        }
    }

    async fn forget(&mut self) -> Result<(), StoreError> {
        if self.forgotten_at.is_some_and(|at| at.elapsed() < FORGET_GAP) {
            return Ok(());
        }
        self.forgotten_at = Some(Instant::now());
        let count = self.context.store.forget_old(wall(), ENDED_TIME, ENDED_MAX).await?;
        if count > 0 {
            tracing::info!(count, "forgot old pushes");
        }
        Ok(())
    }
}

/// Longest time until the queue of another controller is noticed.
const TICK: Duration = Duration::from_secs(1);
/// Pause after a fault of the database.
const PAUSE: Duration = Duration::from_millis(500);
/// Time between two looks for old pushes.
const FORGET_GAP: Duration = Duration::from_secs(3_600);
