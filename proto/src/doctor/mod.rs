//! The diagnosis of the path from a sender to its hosts: what is measured, and what follows from it.
//!
//! ```text
//!            sender                                               host
//!
//! Examiner --- Ask: snapshot, train ---------------------> Responder: begins to count a train
//!    |   <--- Answer: settings of the network ------------         |    its shell: reads the counters
//!    |--- Probe, Probe, ... by the group, by unicast ------> counts them by way, length and TTL
//!    |--- Ask: report, train ----------------------------->        |
//!    |   <--- Answer: how far the counters rose, the train -       '
//!    |
//! Evidence --> judge --> Finding: id, hosts, evidence, the command that mends it
//!          '-> islands: networks that this machine's multicast does not reach, and who hears whom there
//! ```
//!
//! [`Examiner`] is a machine as the others are, made of queries and trains one after the other. [`findings`] is a
//! function of what it has found. `docs/doctor.md` explains each finding to an operator.

mod answered;
mod around;
mod asking;
mod counters;
mod evidence;
mod examiner;
mod fault;
mod finding;
mod firewall;
pub mod igmp;
mod islands;
mod judge;
#[cfg(test)]
mod judge_tests;
mod plans;
mod sending;
mod train;
mod unanswered;

pub use counters::{Counters, Gauge, Layer, Refusal};
pub use evidence::{Bond, Echo, Evidence, Heard, HostEvidence, Passing, SenderEvidence, Trial};
pub use examiner::{Examiner, ExaminerConfig, Extent, Outgoing, Stage};
pub use finding::{Finding, FindingId, Mend};
pub use firewall::{DropRule, drop_rules};
pub use islands::{Island, Member, islands};
pub use judge::findings;
pub use train::{Bucket, PlannedProbe, Tally, TrainPlan, Way};
