//! `--confirm`: has Nova's own call to cache an image run over each aggregate after the push. A host that has the copy
//! answers `existing`; Nova keeps the answers in its log and does not hand them out, so they are not awaited here.

use std::fmt::Write;

use glancecast_proto::sender::Verdict;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::expected::{Hosts, LeftOut};

/// What became of the call for one aggregate.
#[derive(Debug, Serialize)]
pub(super) struct Confirmation {
    aggregate: String,
    /// Nova took the order.
    asked: bool,
    /// What each host must have answered.
    answer_must_be: &'static str,
    /// Why it was not asked.
    reason: Option<String>,
}

/// Asks Nova for each aggregate, if every host holds the image: on others Nova would fetch it from Glance.
pub(super) async fn confirm(hosts: &Hosts, image_id: &str, verdict: &Verdict) -> Vec<Confirmation> {
    let mut confirmations = Vec::new();
    for aggregate in &hosts.choice.aggregates {
        let asked = match &hosts.nova {
            Some(nova) if *verdict == Verdict::Complete => {
                nova.cache_image(aggregate.id, image_id).await.map_err(|error| error.to_string())
            }
            _ => Err(INCOMPLETE.to_owned()),
        };
        confirmations.push(Confirmation {
            aggregate: aggregate.name.clone(),
            asked: asked.is_ok(),
            answer_must_be: EXISTING,
            reason: asked.err(),
        });
    }
    confirmations
}

/// For people: what was asked, and where the answers are.
pub(super) fn text(confirmations: &[Confirmation], left_out: &LeftOut, image_id: &str) -> String {
    let mut text = String::new();
    for Confirmation { aggregate, asked, reason, .. } in confirmations {
        let aggregate = printable(aggregate);
        let _ = match (asked, reason) {
            (true, _) => writeln!(text, "aggregate {aggregate}: Nova was asked to cache the image"),
            (false, reason) => writeln!(
                text,
                "aggregate {aggregate}: not confirmed: {}",
                printable(reason.as_deref().unwrap_or("not asked"))
            ),
        };
    }
    if confirmations.iter().any(|confirmation| confirmation.asked) {
        let _ = writeln!(
            text,
            "each host must answer `{EXISTING}`: nova-compute logs \"Image {image_id} already cached\", and nova-conductor \
             \"0 cached, N existing, 0 errors\"; `cached` means that Nova fetched the image from Glance"
        );
        let names: Vec<String> = left_out.all().map(|(host, _)| printable(host)).collect();
        if !names.is_empty() {
            let _ = writeln!(
                text,
                "left out here, so Nova fetches it there unless the service is down: {}",
                names.join(", ")
            );
        }
    }
    text
}

const EXISTING: &str = "existing";
const INCOMPLETE: &str =
    "not asked, as some host does not hold a proven copy: Nova would fetch the image from Glance there";
