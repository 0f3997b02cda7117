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
//! ```
//!
//! [`Examiner`] is a machine as the others are, made of queries and trains one after the other. [`findings`] is a
//! function of what it has found. `docs/doctor.md` explains each finding to an operator.

mod counters;
mod evidence;
mod examiner;
#[cfg(test)]
mod examiner_tests;
mod finding;
mod fold;
mod judge;
#[cfg(test)]
mod judge_tests;
mod train;

pub use counters::{Counters, Gauge, Refusal};
pub use evidence::{Echo, Evidence, Heard, HostEvidence, SenderEvidence, Trial};
pub use examiner::{Examiner, ExaminerConfig, Extent, Outgoing, Stage};
pub use finding::{Finding, FindingId, Mend};
pub use fold::folded;
pub use judge::findings;
pub use train::{Bucket, Tally, TrainPlan, Way};
