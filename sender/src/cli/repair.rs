//! `glancecast send --repair`: has the hosts verify their copies before the push, and leaves out those whose copies are
//! intact.

use glancecast_platform::cli;

use super::follow::Signals;
use super::query::{Enrol, once};
use super::{Failure, print, print_outcome};
use crate::output::json;
use crate::output::query_report::Report;
use crate::request::{Damage, PushRequest, QueryResult, Told};

/// What is left of a push that repairs.
pub(super) enum Limited {
    /// The push to the hosts that do not hold an intact copy.
    To(Box<PushRequest>),
    /// No host lacks one.
    Nothing(Box<QueryResult>),
}

/// Has the hosts of a push verify their copies, and returns the push to those that need it.
pub(super) async fn limit(
    request: &PushRequest,
    signals: &mut Signals,
    told: Told,
) -> Result<Limited, Failure> {
    let found = once(&request.verification(), signals, Enrol::No).await?;
    if let Some(caught) = signals.caught() {
        return Err(Failure::Interrupted(caught));
    }
    let damage = Damage::of(&found);
    let image = found.plan.config.query.sought().map_or_else(String::new, ToString::to_string);
    let mut lines = damage.told(&image).into_iter();
    if let (Some(first), Told::Always) = (lines.next(), told) {
        cli::tell(&format!("glancecast: {first}"));
    }
    lines.for_each(|line| tracing::warn!("{line}"));
    Ok(match request.clone().repairing(&found, &damage)? {
        Some(limited) => Limited::To(Box::new(limited)),
        None => Limited::Nothing(Box::new(found)),
    })
}

/// Prints that nothing is to be repaired. The JSON object is that of `verify`.
pub(super) fn print_nothing(found: &QueryResult, json: bool, lists: bool) -> Result<u8, Failure> {
    match (json, lists) {
        (true, _) => print_outcome(&json::line(&Report::new(found))),
        (false, true) => print("nothing had to be repaired, and nothing was sent\n")?,
        (false, false) => {}
    }
    Ok(found.exit_code())
}
