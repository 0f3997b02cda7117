//! Queries about the copies that a host holds: they are listed, let go of, and hashed.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_proto::ids::ObjectName;
use glancecast_proto::integrity::Root;
use glancecast_proto::query::Reply;
use glancecast_proto::wire::{AnswerState, Finding, Held, HeldDigest, Kept, Query, Sought};

use super::{QueryWorker, Task, empty_reply};
use crate::store::{self, Pinned, StoreError, Verified};

/// Copies to hash: `reply` has an entry for each, `files` the file of each.
pub(super) struct HashTask {
    task: Task,
    reply: Reply,
    files: Vec<String>,
}

impl QueryWorker {
    /// Answers a query about copies, or gives the copies to the thread that hashes.
    pub(super) fn answer_one(&self, task: Task, hashing: &SyncSender<HashTask>) {
        let inventory = self.store.inventory();
        let pinned = inventory.iter().filter(|held| held.pinned != Pinned::No).count();
        let mut reply = Reply {
            free_bytes: self.store.free_bytes(),
            held: count(inventory.len()),
            pinned: count(pinned),
            digest: digest(&inventory),
            ..empty_reply(&self.store.to_string(), AnswerState::Final)
        };
        let is_meant = |held: &store::Held| {
            task.query.sought().is_none_or(|sought| sought.matches(&held.name, held.image_id.as_deref()))
        };
        let meant: Vec<store::Held> = inventory.into_iter().filter(is_meant).collect();
        match &task.query {
            Query::Hosts | Query::Status(_) => {
                reply.objects = meant.iter().filter_map(|held| entry(held, Finding::Listed)).collect();
            }
            Query::Unpin(sought) => {
                reply.objects = meant.iter().filter_map(|held| self.unpin(held, sought)).collect();
                let let_go = meant.iter().filter(|held| held.pinned != Pinned::No).count();
                reply.pinned = count(pinned - let_go);
            }
            Query::Verify(_) => {
                let listed =
                    meant.iter().filter_map(|held| Some((held.file.clone(), entry(held, Finding::Pending)?)));
                let files;
                (files, reply.objects) = listed.unzip();
                if !reply.objects.is_empty() {
                    return self.give_to_hash(HashTask { task, reply, files }, hashing);
                }
            }
            Query::Rekey => unreachable!("it is no query about copies"),
            Query::Remove(_) | Query::Diagnose { .. } | Query::Retire => {
                unreachable!("the machine answers these itself")
            }
        }
        self.reply(task.id, reply);
    }

    fn unpin(&self, held: &store::Held, sought: &Sought) -> Option<Held> {
        let was = kept(held.pinned);
        self.store.unpin(&held.file);
        tracing::info!(file = held.file, name = held.name, %sought, "let go of, as somebody asked for");
        let listed = entry(held, Finding::LetGo(was))?;
        Some(Held { kept: Kept::ByRule, ..listed })
    }

    fn give_to_hash(&self, task: HashTask, hashing: &SyncSender<HashTask>) {
        let (id, reply) = (task.task.id, task.reply.clone());
        // Send this before the task is handed over, so that it does not overtake the final reply.
        self.reply(
            id,
            Reply { state: AnswerState::Verifying { done: 0, of: total(&reply) }, ..reply.clone() },
        );
        if hashing.try_send(task).is_err() {
            self.reply(id, Reply { state: AnswerState::Busy, objects: Vec::new(), ..reply });
        }
    }

    /// Runs the thread that hashes.
    pub(super) fn verify(&self, tasks: &Receiver<HashTask>) {
        for HashTask { task, mut reply, files } in tasks {
            let (mut before, of) = (0, total(&reply));
            for (i, file) in files.iter().enumerate() {
                let progress = |done| Reply {
                    state: AnswerState::Verifying { done: before + done, of },
                    ..reply.clone()
                };
                let Some(result) = self.hash(&task, file, progress).transpose() else { break };
                let object = &mut reply.objects[i];
                object.finding = finding(result);
                if object.finding == Finding::Intact {
                    object.proven = wall();
                }
                before += object.bytes;
            }
            if !task.is_given_up() {
                reply.objects.retain(|object| object.finding != Finding::Pending);
                self.reply(task.id, Reply { state: AnswerState::Final, ..reply });
            }
        }
    }

    /// Hashes a copy; returns `None` if the query was cancelled.
    pub(super) fn hash(
        &self,
        task: &Task,
        file: &str,
        progress: impl Fn(u64) -> Reply,
    ) -> Result<Option<Verified>, StoreError> {
        let mut reported = Instant::now();
        let (mut piece, mut before) = (Instant::now(), 0);
        self.store.verify_in_steps(file, |done| {
            if reported.elapsed() >= PROGRESS_GAP {
                reported = Instant::now();
                self.reply(task.id, progress(done));
            }
            let read = done.saturating_sub(std::mem::replace(&mut before, done));
            let at_work = self.at_work.load(Ordering::Relaxed);
            if at_work {
                thread::sleep(piece.elapsed().min(PAUSE_MAX));
            }
            let go_on = self.limit.wait(if at_work { 2 * read } else { read }, || !task.is_given_up());
            piece = Instant::now();
            go_on
        })
    }
}

/// Returns an object's entry in a reply, or `None` if no object can have its name.
fn entry(held: &store::Held, finding: Finding) -> Option<Held> {
    Some(Held {
        name: ObjectName::new(&held.name).ok()?,
        image_id: held.image_id.clone(),
        bytes: held.bytes,
        root: held.root,
        proven: held.proven,
        kept: kept(held.pinned),
        finding,
    })
}

fn kept(pinned: Pinned) -> Kept {
    match pinned {
        Pinned::No => Kept::ByRule,
        Pinned::Until(until) => Kept::Until(until),
        Pinned::Forever => Kept::Forever,
    }
}

/// Returns the finding for a result of hashing. A file that has gone meanwhile stays pending and gets no entry.
fn finding(result: Result<Verified, StoreError>) -> Finding {
    match result {
        Ok(Verified::Proven(_)) => Finding::Intact,
        Ok(Verified::Differs(root)) => Finding::Differs(root),
        Ok(Verified::NotHeld) => Finding::Pending,
        Err(error) => Finding::Failed(error.to_string()),
    }
}

/// Returns the digest of all that the host holds, whatever the query is about.
fn digest(inventory: &[store::Held]) -> HeldDigest {
    let named = |held: &store::Held| Some((ObjectName::new(&held.name).ok()?, held.root));
    let named: Vec<(ObjectName, Root)> = inventory.iter().filter_map(named).collect();
    HeldDigest::of(named.iter().map(|(name, root)| (name, *root)))
}

fn total(reply: &Reply) -> u64 {
    reply.objects.iter().map(|object| object.bytes).sum()
}

fn count(objects: usize) -> u32 {
    u32::try_from(objects).unwrap_or(u32::MAX)
}

/// Time between two progress replies of a verification.
const PROGRESS_GAP: Duration = Duration::from_secs(1);

/// Longest pause of hashing while a push is received; otherwise a pause is as long as the last step took.
const PAUSE_MAX: Duration = Duration::from_millis(100);
