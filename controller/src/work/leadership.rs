//! Whether this controller leads: the one that holds the lease in the database pushes.
//!
//! The holder stops its children when it could not renew the lease for [`LEASE_SAFE`]: by its own clock, whether the database
//! answers or not, and before another controller can take the lease over.

use std::time::Instant;

use glancecast_platform::clock::wall;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::limits::{LEASE_RENEWAL, LEASE_SAFE, LEASE_TIME};
use crate::store::Store;

/// Whether this controller leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Another one does, or nobody.
    #[default]
    Follower,
    /// It does, for the time with this number.
    Leader(u64),
}

/// Takes the lease whenever that is possible, and renews it, until `stop`.
pub async fn lead(store: Store, holder: String, role: watch::Sender<Role>, mut stop: watch::Receiver<bool>) {
    let (mut renewed, mut terms): (Option<Instant>, u64) = (None, 0);
    loop {
        let asked = Instant::now();
        let answer = timeout(LEASE_SAFE / 2, store.lease(&holder, wall(), LEASE_TIME)).await;
        match answer {
            Ok(Ok(true)) => {
                renewed = Some(asked);
                if *role.borrow() == Role::Follower {
                    terms += 1;
                    tracing::info!(holder, "this controller leads");
                    role.send_replace(Role::Leader(terms));
                }
            }
            Ok(Ok(false)) => {
                if role.send_replace(Role::Follower) != Role::Follower {
                    tracing::warn!(holder, "another controller has taken the lease over");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lease cannot be renewed"),
            Err(_) => tracing::warn!("the lease cannot be renewed: the database does not answer"),
        }
        let is_lost = renewed.is_none_or(|at| at.elapsed() >= LEASE_SAFE);
        if is_lost && role.send_replace(Role::Follower) != Role::Follower {
            tracing::warn!(holder, "the lease could not be renewed in time; children are ended");
        }
        // Sooner while it is in doubt.
        let is_sure = renewed.is_some_and(|at| at.elapsed() < LEASE_RENEWAL) || renewed.is_none();
        let pause = if is_sure { LEASE_RENEWAL } else { LEASE_RENEWAL / 5 };
        let pause = if *role.borrow() == Role::Follower { pause.min(LEASE_RENEWAL / 2) } else { pause };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
}
