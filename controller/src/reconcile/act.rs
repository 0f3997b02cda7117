//! Carries a plan out: pushes into the queue, cancels, ends of pins. Only the controller that leads does.

use std::time::Duration;

use glancecast_platform::clock::wall;
use serde_json::Value;
use uuid::Uuid;

use super::known::RECONCILER;
use crate::limits::REPORT_BYTES_MAX;
use crate::model::{HostChoice, Origin, PushRequest, Reach, Target};
use crate::plan::{Placements, Plan, PushOrder, Start, Unpin, Way};
use crate::policy::{Group, ImageId, rate_text};
use crate::store::{NewPush, PlacementRow, StoreError};
use crate::work::Context;

/// Carries a plan out. Pushes of people are taken from the queue by the dispatcher, in the same order.
pub(super) async fn carry_out(context: &Context, plan: &Plan) -> Result<(), StoreError> {
    let store = &context.store;
    for id in &plan.cancel {
        tracing::info!(push = id.0, "cancelled: no policy wants it any more");
        store.cancel(&id.0, wall(), RECONCILER).await?;
    }
    for start in &plan.start {
        let Start::New(order) = start else { continue };
        let push = push_of(order);
        tracing::info!(
            push = push.id, image = %order.image, hosts = order.hosts.len(), policy = push.origin.policy,
            "a policy lacks an image"
        );
        store.accept(&push).await?;
    }
    for order in &plan.unpin {
        unpin(context, order).await?;
    }
    Ok(())
}

/// Returns the push of an order.
fn push_of(order: &PushOrder) -> NewPush {
    let text = |name: &crate::policy::PolicyName| name.as_str().to_owned();
    let placed_for = order
        .hosts
        .iter()
        .map(|(host, policies)| (host.to_string(), policies.iter().map(text).collect::<Vec<String>>()));
    let first = order.hosts.values().flatten().next().map(text);
    let image = order.image.as_str().to_owned();
    NewPush {
        id: Uuid::new_v4().to_string(),
        at: wall(),
        profile: order.group.profile().map(str::to_owned),
        priority: i64::from(order.priority),
        request: PushRequest {
            hosts: HostChoice::Names(order.hosts.keys().map(ToString::to_string).collect()),
            exclude: Vec::new(),
            reach: if order.way == Way::Unicast { Reach::Unicast } else { Reach::AsSet },
            rate: order.rate.map(rate_text),
            timeout: None,
            pin: Some("forever".to_owned()),
            confirm: false,
            dry_run: false,
            placed_for: placed_for.collect(),
        },
        targets: vec![Target {
            reference: image.clone(),
            image_id: Some(image),
            name: order.name.clone(),
            bytes: Some(order.record.size),
        }],
        origin: Origin {
            policy: first,
            user_id: "reconciler".to_owned(),
            user_name: "reconciler".to_owned(),
            project_id: None,
            request_id: format!("req-{}", Uuid::new_v4()),
        },
        idempotency: None,
    }
}

/// Ends pins, and notes for each host whether it said so.
async fn unpin(context: &Context, order: &Unpin) -> Result<(), StoreError> {
    let profile = order.group.profile();
    let hosts: Vec<String> = order.hosts.iter().map(ToString::to_string).collect();
    let image = order.image.as_str();
    let report = ask(context, profile, image, hosts.clone()).await;
    let failed = report.as_ref().err().cloned();
    for host in &hosts {
        let reason = match &report {
            Ok(report) => refusal(report, host),
            Err(_) => failed.clone(),
        };
        let name = profile.unwrap_or_default();
        context.store.unpinned(name, image, host, reason.as_deref(), wall()).await?;
    }
    tracing::info!(image, hosts = hosts.len(), failed, "ended the pins of an image");
    Ok(())
}

async fn ask(
    context: &Context,
    profile: Option<&str>,
    image: &str,
    hosts: Vec<String>,
) -> Result<Value, String> {
    let lists = context.launcher.lists("unpin", &HostChoice::Names(hosts), &[]);
    let lists = lists.map_err(|error| error.to_string())?;
    let words = context.launcher.front(profile).unpin(image, &lists.files);
    let mut child = context.launcher.start(words).map_err(|error| error.to_string())?;
    let signaller = child.signaller();
    let output = tokio::time::timeout(QUERY_TIME, child.output(REPORT_BYTES_MAX)).await;
    if !matches!(output, Ok(Ok(_))) {
        signaller.kill();
    }
    let ended = child.wait().await.map_err(|error| error.to_string())?;
    let bytes = match output {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("it took more than {} s", QUERY_TIME.as_secs())),
    };
    serde_json::from_slice(&bytes).map_err(|_| ended.words())
}

/// Returns why a host has not ended the pin; `None` if it has.
fn refusal(report: &Value, host: &str) -> Option<String> {
    let rows = report["hosts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(row) = rows.iter().find(|row| row["name"] == host) else {
        return Some("it did not answer".to_owned());
    };
    match row["state"].as_str() {
        Some("answered") => None,
        state => Some(row["reason"].as_str().or(state).unwrap_or("it did not answer").to_owned()),
    }
}

/// Returns the placements that are not among those that are left.
pub(super) fn lost(before: Vec<PlacementRow>, left: &Placements) -> Vec<PlacementRow> {
    let is_left = |row: &PlacementRow| {
        left.iter().any(|(group, image, host, _): (&Group, &ImageId, _, _)| {
            group.profile().unwrap_or_default() == row.profile
                && image.as_str() == row.image_id
                && host.as_str() == row.host
        })
    };
    let left_count = left.iter().count();
    // Mostly none is lost, and nothing has to be looked for.
    if left_count == before.len() {
        return Vec::new();
    }
    before.into_iter().filter(|row| !is_left(row)).collect()
}

/// Longest time of a question.
const QUERY_TIME: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pin_has_ended_only_where_the_host_says_so() {
        let report = json!({"hosts": [{"name": "c1", "state": "answered"}, {"name": "c2", "state": "never_answered", "reason": null},
            {"name": "c3", "state": "failed", "reason": "its disk is broken"}]});
        assert_eq!(refusal(&report, "c1"), None);
        assert_eq!(refusal(&report, "c2").as_deref(), Some("never_answered"));
        assert_eq!(refusal(&report, "c3").as_deref(), Some("its disk is broken"));
        assert_eq!(refusal(&report, "c4").as_deref(), Some("it did not answer"));
    }
}
