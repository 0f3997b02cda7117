//! Runs Nova's own call to cache an image for each aggregate after the push. A host that has the copy answers
//! `existing`. Nova keeps the answers in its log and does not return them, so they are not awaited here.

use glancecast_proto::sender::Verdict;
use serde::Serialize;

use super::ResolvedTargets;

/// The result of the call for one aggregate.
#[derive(Clone, Debug, Serialize)]
pub struct Confirmation {
    /// The aggregate's name.
    pub aggregate: String,
    /// Whether Nova accepted the request.
    pub asked: bool,
    /// The answer that each host must have given.
    pub answer_must_be: &'static str,
    /// Why Nova was not asked, or refused.
    pub reason: Option<String>,
}

/// Calls Nova for each aggregate if every host holds the image: on other hosts Nova would fetch it from Glance.
pub(super) async fn confirm(
    targets: &ResolvedTargets,
    image_id: &str,
    verdict: &Verdict,
) -> Vec<Confirmation> {
    let mut confirmations = Vec::new();
    for aggregate in &targets.choice.aggregates {
        let asked = match &targets.nova {
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

/// The answer of a host that has the copy.
pub(crate) const EXISTING: &str = "existing";

const INCOMPLETE: &str =
    "not asked, as some host does not hold a proven copy: Nova would fetch the image from Glance there";
