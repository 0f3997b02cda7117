//! The loop that compares what is with what policies want. It is level-triggered: each turn looks anew, whatever happened
//! before, so that an event that was missed costs an interval and nothing else.
//!
//! ```text
//! interval, events -> cloud (Glance, Nova) + inventory (glancecast hosts --json) + policies + state
//!                         --> plan::plan (pure) --> pushes in the queue, cancels, unpins: by the controller that leads
//!                                               --> the outlook, which the API shows: by each controller
//! ```

mod act;
mod inventory;
mod known;
mod listed;

use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::random;
use glancecast_proto::time::WallClock;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

pub use listed::Listing;

use crate::cloud::CloudAccess;
use crate::plan::{Memory, Plan, plan, select};
use crate::settings::Config;
use crate::store::StoreError;
use crate::work::{Context, Role};

/// What the last turn saw, and how the next one is asked for.
#[derive(Debug, Default)]
pub struct Board {
    seen: watch::Sender<Arc<Outlook>>,
    wake: Notify,
}

/// What a turn saw and planned.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// When; `None` before the first turn.
    pub at: Option<WallClock>,
    /// The policies in force.
    pub listing: Listing,
    /// The plan; `None` while Glance and Nova were never seen, or a policy file is wrong.
    pub plan: Option<Plan>,
}

impl Board {
    /// Returns what the last turn saw.
    pub fn outlook(&self) -> Arc<Outlook> {
        self.seen.borrow().clone()
    }

    /// Asks for a turn: a policy has changed, or was approved.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Compares and acts until `shutdown`.
pub async fn run(
    context: Arc<Context>,
    config: Config,
    cloud: Option<CloudAccess>,
    board: Arc<Board>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut turns = Turns { context, config, cloud, board, memory: Memory::default(), asked: None };
    let mut role = turns.context.role.clone();
    let (mut look_at, mut plan_at) = (Instant::now(), Instant::now());
    loop {
        let (context, board) = (Arc::clone(&turns.context), Arc::clone(&turns.board));
        tokio::select! {
            () = sleep_until(look_at.min(plan_at)) => {}
            () = context.ended.notified() => {}
            () = board.wake.notified() => {}
            // Who begins to lead looks at once.
            Ok(()) = role.changed() => {}
            () = ends(&mut shutdown) => return,
        }
        let is_due = Instant::now() >= look_at;
        if is_due {
            look_at = Instant::now() + jittered(turns.config.interval);
        }
        let turn = turns.turn(is_due, shutdown.clone());
        let mut stop = shutdown.clone();
        let wake_at = tokio::select! {
            planned = turn => planned.unwrap_or_else(|error| {
                tracing::warn!(%error, "the reconciler cannot read or write; it tries again");
                None
            }),
            () = ends(&mut stop) => return,
        };
        let wait = wake_at.map(|at| Duration::from_millis(at.0.saturating_sub(wall().0)));
        plan_at = Instant::now() + wait.unwrap_or(turns.config.interval).max(PLAN_GAP);
    }
}

/// Waits until the program ends.
async fn ends(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

struct Turns {
    context: Arc<Context>,
    config: Config,
    cloud: Option<CloudAccess>,
    board: Arc<Board>,
    memory: Memory,
    /// When the hosts were asked last.
    asked: Option<Instant>,
}

impl Turns {
    /// Looks, plans and acts. Returns when time alone changes the plan.
    async fn turn(
        &mut self,
        is_due: bool,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Option<WallClock>, StoreError> {
        if let Some(cloud) = self.cloud.as_ref().filter(|_| is_due) {
            cloud.look().await;
        }
        let leads = || *self.context.role.borrow() != Role::Follower;
        if leads() && self.asked.is_none_or(|at| at.elapsed() >= self.config.inventory_interval) {
            self.asked = Some(Instant::now());
            for profile in &self.context.profiles {
                let seen = self.cloud.as_ref().map(|cloud| cloud.seen());
                inventory::ask(&self.context, profile.as_deref(), seen.as_deref(), &mut shutdown.clone())
                    .await;
            }
        }
        let Some(planned) = self.plan().await? else { return Ok(None) };
        self.memory = planned.memory.clone();
        if leads() {
            act::carry_out(&self.context, &planned).await?;
        }
        Ok(planned.wake_at)
    }

    /// Plans, and shows what is planned. Returns nothing if nothing can be planned.
    async fn plan(&self) -> Result<Option<Plan>, StoreError> {
        let store = &self.context.store;
        let now = wall();
        let listing = listed::read(self.config.policies.as_deref(), &store.policies().await?);
        let (listing, is_whole) = match listing {
            Ok(listing) => (listing, true),
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| tracing::warn!("policies are not followed: {mistake}"));
                (Listing { mistakes, ..Listing::default() }, false)
            }
        };
        let seen = self.cloud.as_ref().map(|cloud| cloud.seen()).filter(|seen| seen.taken.is_some());
        let mut planned = None;
        if let Some(seen) = seen.filter(|_| is_whole) {
            let mut actual = known::actual(store, &self.context.profiles, now).await?;
            let before = store.placements().await?;
            actual.forget_lost_placements();
            actual.memory = self.memory.clone();
            let desired = select(&listing.policies, &known::catalog(&seen));
            planned = Some(plan(&desired, &actual, now));
            if *self.context.role.borrow() != Role::Follower {
                store.forget_placements(&act::lost(before, &actual.placements)).await?;
            }
        }
        let outlook = Outlook { at: Some(now), listing, plan: planned.clone() };
        self.board.seen.send_replace(Arc::new(outlook));
        Ok(planned)
    }
}

/// Returns a time of nine to eleven tenths of an interval, so that several controllers do not ask at the same moment.
fn jittered(interval: Duration) -> Duration {
    let draw = random::bytes::<4>().map_or(0, u32::from_be_bytes);
    let share = 0.9 + 0.2 * f64::from(draw) / f64::from(u32::MAX);
    interval.mul_f64(share)
}

/// Least time between two plans that time alone asks for.
const PLAN_GAP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_kept_but_for_a_tenth() {
        for _ in 0..100 {
            let time = jittered(Duration::from_secs(60));
            assert!((54..=66).contains(&time.as_secs()), "{time:?}");
        }
    }
}
