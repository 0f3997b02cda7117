//! Waits until no other push of this machine goes to the group, and says for whom it waits.

use std::time::{Duration, Instant};

use glancecast_platform::cli;
use glancecast_platform::multicast::Group;
use glancecast_platform::turn::{Holder, NoTurn, Turn};

use super::failure::Failure;

/// What a push does when another one goes to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfTaken {
    Wait {
        /// The longest wait; `None`: until the other push ends.
        longest: Option<Duration>,
    },
    Fail,
    /// It goes at the same time. The hosts take part in one after the other.
    Go,
}

/// Waits for the turn. A machine on which nothing can be locked has no turns.
pub(super) async fn wait(group: Group, image: &str, if_taken: IfTaken) -> Result<Option<Turn>, Failure> {
    if if_taken == IfTaken::Go {
        return Ok(None);
    }
    let (began, mut said) = (Instant::now(), None::<Instant>);
    loop {
        let holder = match Turn::take(group, image) {
            Ok(turn) => return Ok(Some(turn)),
            Err(NoTurn::Taken(holder)) => holder,
            Err(NoTurn::NoLock(error)) => {
                tracing::debug!("pushes of this machine take no turns: {error}");
                return Ok(None);
            }
        };
        let is_over = match if_taken {
            IfTaken::Wait { longest } => longest.is_some_and(|longest| began.elapsed() >= longest),
            IfTaken::Fail | IfTaken::Go => true,
        };
        if is_over {
            return Err(Failure::Taken(of(&holder, group)));
        }
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            said = Some(Instant::now());
            cli::tell(&format!("glancecast: waits for {}: --no-wait fails at once", of(&holder, group)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn of(holder: &Holder, group: Group) -> String {
    let Holder { image, user, pid } = holder;
    format!("the push of {image} by {user}, pid {pid}, to {group}")
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
const SAID_EVERY: Duration = Duration::from_secs(10);
