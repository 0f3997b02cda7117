//! Queries about the copies that a host holds: they are listed, pinned, let go of, removed, hashed, and set aside.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::clock::wall;
use glancecast_proto::ids::ObjectName;
use glancecast_proto::integrity::Root;
use glancecast_proto::query::{Asker, Reply};
use glancecast_proto::wire::{AnswerState, Finding, Held, HeldDigest, Kept, Pin, PinTime, Query, printable};

use super::{QueryWorker, Task, empty_reply};
use crate::store::{self, PinChange, Pinned, Pins, Removal, StoreError, Verified};

/// Copies to hash: `reply` has an entry for each, `files` the file of each.
pub(super) struct HashTask {
    task: Task,
    reply: Reply,
    files: Vec<String>,
}

impl QueryWorker {
    /// Answers a query about copies, or gives the copies to the thread that hashes.
    pub(super) fn answer_one(&self, task: Task, hashing: &SyncSender<HashTask>) {
        let is_meant = |held: &store::Held| {
            task.query.sought().is_none_or(|sought| sought.matches(&held.name, held.image_id.as_deref()))
        };
        let meant: Vec<store::Held> = self.store.inventory().into_iter().filter(is_meant).collect();
        let objects: Vec<Held> = match &task.query {
            Query::Hosts | Query::Status(_) => {
                meant.iter().filter_map(|held| entry(held, Finding::Listed)).collect()
            }
            Query::Unpin(_) => meant.iter().filter_map(|held| self.unpin(held, &task)).collect(),
            &Query::Pin(_, time) => meant.iter().filter_map(|held| self.pin(held, time, &task)).collect(),
            Query::Remove(_) | Query::RemovePinned(_) if meant.is_empty() => Vec::new(),
            Query::Remove(_) | Query::RemovePinned(_) => {
                // The search for users may take longer than a querier waits for a sign of life.
                let of = meant.iter().map(|held| held.bytes).sum();
                let at_work = AnswerState::Verifying { done: 0, of };
                self.reply(task.id, Reply { state: at_work, ..self.overview() });
                meant.iter().filter_map(|held| self.remove(held, &task)).collect()
            }
            Query::Verify(_) | Query::SetAside(_) => {
                let listed =
                    meant.iter().filter_map(|held| Some((held.file.clone(), entry(held, Finding::Pending)?)));
                let (files, objects): (Vec<String>, Vec<Held>) = listed.unzip();
                if !objects.is_empty() {
                    let reply = Reply { objects, ..self.overview() };
                    return self.give_to_hash(HashTask { task, reply, files }, hashing);
                }
                objects
            }
            Query::Rekey => unreachable!("it is no query about copies"),
            Query::Diagnose { .. } | Query::Retire => unreachable!("the machine answers these itself"),
        };
        self.reply(task.id, Reply { objects, ..self.overview() });
    }

    /// Returns a final reply about all that the store holds now, without objects.
    fn overview(&self) -> Reply {
        let inventory = self.store.inventory();
        Reply {
            free_bytes: self.store.free_bytes(),
            held: count(inventory.len()),
            pinned: count(inventory.iter().filter(|held| held.pinned != Pinned::No).count()),
            digest: digest(&inventory),
            ..empty_reply(&self.store.to_string(), AnswerState::Final)
        }
    }

    fn unpin(&self, held: &store::Held, task: &Task) -> Option<Held> {
        let was = kept(held.pinned);
        self.store.unpin(&held.file);
        tracing::info!(file = held.file, asker = %task.asker, "unpinned {}", printable(&held.name));
        let listed = entry(held, Finding::LetGo(was))?;
        Some(Held { kept: Kept::ByRule, ..listed })
    }

    fn pin(&self, held: &store::Held, time: PinTime, task: &Task) -> Option<Held> {
        let (file, name, asker) = (&held.file, printable(&held.name), task.asker);
        match self.store.pin(file, time) {
            Ok(Some(PinChange { was, pinned })) => {
                tracing::info!(file, %asker, "pinned {name} {}", Pin::from(time));
                let listed = entry(held, Finding::PinSet(kept(was)))?;
                Some(Held { kept: kept(pinned), ..listed })
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(file, %asker, "{name} is not pinned: its record cannot be written: {error}");
                entry(held, Finding::Failed(format!("its record cannot be written: {error}")))
            }
        }
    }

    fn remove(&self, held: &store::Held, task: &Task) -> Option<Held> {
        let (file, name, asker) = (&held.file, printable(&held.name), task.asker);
        let removed = match task.query {
            Query::RemovePinned(_) => self.store.remove(file, Pins::Ended),
            _ => self.store.remove(file, Pins::Heeded),
        };
        let finding = match removed {
            Ok(Removal::Done) => {
                tracing::info!(file, %asker, "removed {name}");
                Finding::Removed
            }
            Ok(Removal::NotHeld) => return None,
            Ok(Removal::Pinned) => {
                tracing::info!(file, %asker, "{name} is not removed: it is pinned");
                Finding::Pinned
            }
            Ok(Removal::InUse(by)) => {
                tracing::info!(file, %asker, "{name} is not removed: it is in use by {by}");
                Finding::InUse(by)
            }
            Err(error) => {
                tracing::warn!(file, %asker, "{name} is not removed: {error}");
                Finding::Failed(error.to_string())
            }
        };
        entry(held, finding)
    }

    /// Takes the name of a copy that was found damaged.
    fn set_aside(&self, file: &str, found: Root, asker: Asker) -> Finding {
        match self.store.set_aside(file) {
            Ok(Removal::Done) => {
                tracing::warn!(file, %asker, "is damaged, and set aside: the next push of it sends what is damaged");
                Finding::SetAside(found)
            }
            Ok(Removal::InUse(by)) => {
                tracing::warn!(file, %asker, "is damaged, and not set aside: it is in use by {by}");
                Finding::InUse(format!("{by}; and it is damaged"))
            }
            Ok(Removal::NotHeld | Removal::Pinned) => Finding::Pending,
            Err(error) => {
                tracing::warn!(file, %asker, "is damaged, and cannot be set aside: {error}");
                Finding::Failed(format!("it is damaged, and cannot be set aside: {error}"))
            }
        }
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
                let (bytes, asker) = (object.bytes, task.asker);
                object.finding = match (finding(result), &task.query) {
                    (Finding::Differs(found), Query::SetAside(_)) => self.set_aside(file, found, asker),
                    (Finding::Differs(found), _) => {
                        tracing::warn!(file, %asker, "is damaged: its hash is not the one that was proven");
                        Finding::Differs(found)
                    }
                    (finding, _) => finding,
                };
                if object.finding == Finding::Intact {
                    object.proven = wall();
                }
                before += bytes;
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
