//! The work: pushes and jobs, each a child of its own, done by the controller that leads.
//!
//! ```text
//! leadership --Role--> dispatcher: queue -> a slot for each profile -> push runner -> child: glancecast send --events
//!                          |                                            |   ^           | JSON lines
//!                          +-> job runner -> child                      v   +-----------+
//!                                                                     Store
//! ```

pub mod arguments;
mod child;
mod dispatcher;
mod events;
mod follow;
mod job;
mod launcher;
mod leadership;
mod leftovers;
mod push;

use std::sync::Arc;

use tokio::sync::{Notify, watch};

pub use child::{Child, ChildEnd, ChildError};
pub use dispatcher::run;
pub use events::SenderEvent;
pub use launcher::Launcher;
pub use leadership::{Role, lead};
pub use leftovers::end_leftovers;

use crate::metrics::Metrics;
use crate::store::Store;

/// What all work shares.
#[derive(Debug)]
pub struct Context {
    /// The state.
    pub store: Store,
    /// Starts children.
    pub launcher: Launcher,
    /// The profiles that pushes go by; `None` is the default.
    pub profiles: Vec<Option<String>>,
    /// Counts of what happens.
    pub metrics: Arc<Metrics>,
    /// Told of every push that has ended.
    pub ended: Notify,
    /// Whether this controller leads.
    pub role: watch::Receiver<Role>,
}
