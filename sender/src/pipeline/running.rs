//! A push or a query in a thread of its own, with a handle to see its progress, stop it, and take its result.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use glancecast_platform::wake::Waker;
use tokio::sync::oneshot;

/// The handle of a thread that makes progress `P` and ends with a result `R`.
pub struct Running<P, R> {
    thread: JoinHandle<R>,
    ended: oneshot::Receiver<()>,
    control: Control<P>,
    waker: Waker,
}

impl<P: Clone, R> Running<P, R> {
    /// Starts `work` in a thread called `name`. The work checks `control`; `waker` wakes it to do so.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub(crate) fn start(
        name: &str,
        control: Control<P>,
        waker: Waker,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> io::Result<Self>
    where
        R: Send + 'static,
    {
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let result = work();
            // The receiver is gone if the thread was joined without waiting for its end.
            let _ = end.send(());
            result
        })?;
        Ok(Self { thread, ended, control, waker })
    }

    /// Returns the progress; it is at most 100 ms old.
    pub fn progress(&self) -> P {
        self.control.progress()
    }

    /// Returns what the thread shares with this handle, for whoever follows its progress.
    pub(crate) fn control(&self) -> Control<P> {
        self.control.clone()
    }

    /// Ends the work early: a push sends its hosts the end and gives up, a query waits for no more answers.
    pub fn stop(&self) {
        self.control.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Completes when there is a result, so that [`join`](Self::join) does not block. Cancel-safe.
    pub async fn ended(&mut self) {
        // A receiver must not be polled after its end. No caller does so: a thread that has ended is joined.
        let _ = (&mut self.ended).await;
    }

    /// Waits for the result and returns it.
    ///
    /// # Panics
    /// If the thread panicked, which is a defect.
    pub fn join(self) -> R {
        self.thread.join().expect("the thread of a push or a query does not panic")
    }
}

/// The state that the thread and its handle share.
#[derive(Clone, Default)]
pub(crate) struct Control<P> {
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<P>>,
}

impl<P> Control<P> {
    /// Whether the handle asks for the end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns the progress; it is at most 100 ms old.
    pub(crate) fn progress(&self) -> P
    where
        P: Clone,
    {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the progress that the handle shows.
    pub(crate) fn update(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use glancecast_platform::wake::Sleeper;

    use super::*;

    #[test]
    fn a_thread_that_is_stopped_wakes_up_and_its_progress_and_result_are_seen() {
        let (sleeper, waker) = Sleeper::new().expect("an event");
        let control = Control::<u32>::default();
        let seen = control.clone();
        let work = move || {
            seen.update(|progress| *progress = 7);
            while !seen.is_stopped() {
                sleeper.sleep([], Duration::from_secs(60)).expect("it sleeps");
            }
            "stopped"
        };
        let mut running = Running::start("test", control, waker, work).expect("a thread");
        running.stop();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(running.ended());
        assert_eq!(running.progress(), 7);
        assert_eq!(running.join(), "stopped");
    }
}
