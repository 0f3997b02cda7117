//! The JSON report of a query: one object, for scripts. docs/json.md describes its fields.

use std::time::Duration;

use chrono::SecondsFormat;
use glancecast_proto::query::HostAnswer;
use glancecast_proto::sender::Expected;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Finding, Held, Kept, Query};
use serde::Serialize;

use super::crowd::Cause;
use super::query_crowd::{self, Extremes, Shared};
use super::query_table::instant;
use super::{HintReport, Outages, SCHEMA, Skipped, seconds};
use crate::request::alike::Hints;
use crate::request::{CopyVerdict, QueryPlan, QueryResult};

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    query: &'static str,
    signed_by: Option<String>,
    outcome: &'static str,
    exit_code: u8,
    reason: Option<&'a str>,
    group: String,
    interface: &'a str,
    address: String,
    image: Option<Image<'a>>,
    seconds: f64,
    started: Option<String>,
    finished: Option<String>,
    outages: Outages<'a>,
    summary: Summary<'a>,
    hosts: Vec<Host<'a>>,
    skipped: Vec<Skipped<'a>>,
}

#[derive(Serialize)]
struct Image<'a> {
    name: Option<&'a str>,
    image_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    expected: bool,
    address: Option<String>,
    state: &'static str,
    reason: Option<&'a str>,
    hint: Option<HintReport<'a>>,
    key: Option<String>,
    software: Option<&'a str>,
    store: Option<&'a str>,
    free_bytes: Option<u64>,
    held: Option<u32>,
    pinned: Option<u32>,
    digest: Option<String>,
    objects: Vec<Object<'a>>,
    objects_left_out: u32,
}

/// The answers in a few numbers.
#[derive(Serialize)]
struct Summary<'a> {
    expected: Option<usize>,
    answered: usize,
    holding: usize,
    versions: Vec<Shared<'a>>,
    free_bytes: Option<Extremes<'a>>,
    causes: Vec<Cause>,
}

impl<'a> Summary<'a> {
    fn new(result: &'a QueryResult) -> Self {
        let rows = &result.answers.rows;
        let expected = match &result.plan.config.expected {
            Expected::Named(names) => Some(names.len() + result.plan.left_out.unnameable.len()),
            Expected::Count(count) => Some(*count as usize),
            Expected::Anyone => None,
        };
        Self {
            expected,
            answered: rows.iter().filter(|row| row.about.is_some()).count(),
            holding: rows.iter().filter(|row| !row.objects.is_empty()).count(),
            versions: query_crowd::versions(rows),
            free_bytes: query_crowd::free(rows),
            causes: query_crowd::causes(result),
        }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    name: &'a str,
    image_id: Option<&'a str>,
    bytes: u64,
    root: String,
    proven: Option<String>,
    pinned: &'static str,
    pinned_until: Option<String>,
    verdict: &'static str,
    found_root: Option<String>,
    was_pinned: Option<&'static str>,
    was_pinned_until: Option<String>,
    reason: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(result: &'a QueryResult) -> Self {
        let QueryPlan { config, network, interface, left_out, .. } = &result.plan;
        let image = config.query.sought().map(|sought| Image {
            name: sought.name().map(|name| name.as_str()),
            image_id: sought.image_id(),
        });
        Self {
            schema: SCHEMA,
            glancecast: env!("CARGO_PKG_VERSION"),
            query: match config.query {
                Query::Hosts => "hosts",
                Query::Status(_) => "status",
                Query::Verify(_) => "verify",
                Query::Unpin(_) => "unpin",
                Query::Pin(..) => "pin",
                Query::Remove(_) | Query::RemovePinned(_) => "remove",
                Query::SetAside(_) => "verify",
                Query::Diagnose { .. } => "diagnose",
                Query::Rekey => "rekey",
                Query::Retire => "retire",
            },
            signed_by: config.signer.as_ref().map(|key| key.public().to_string()),
            outcome: if result.reason.is_none() { "complete" } else { "incomplete" },
            exit_code: result.exit_code(),
            reason: result.reason.as_deref(),
            group: network.destinations.to_string(),
            interface: &interface.name,
            address: interface.addr.to_string(),
            image,
            seconds: seconds(result.answers.time),
            started: rfc3339(config.started),
            finished: rfc3339(after(config.started, result.answers.time)),
            outages: Outages::of(&result.answers.outages),
            summary: Summary::new(result),
            hosts: result.answers.rows.iter().map(|row| Host::new(row, &result.hints)).collect(),
            skipped: Skipped::of(left_out),
        }
    }
}

impl<'a> Host<'a> {
    fn new(row: &'a HostAnswer, hints: &'a Hints) -> Self {
        let about = row.about.as_ref();
        Self {
            name: row.name.as_str(),
            expected: row.expected,
            address: row.addr.map(|addr| addr.ip().to_canonical().to_string()),
            state: row.standing.name(),
            reason: row.reason.as_deref(),
            hint: hints.get(&row.name).map(HintReport::of),
            key: about.map(|about| about.key.to_string()),
            software: about.map(|about| about.software.as_str()),
            store: about.map(|about| about.store.as_str()),
            free_bytes: about.and_then(|about| about.free_bytes),
            held: about.map(|about| about.held),
            pinned: about.map(|about| about.pinned),
            digest: about.map(|about| about.digest.to_string()),
            objects: row.objects.iter().map(Object::new).collect(),
            objects_left_out: row.left_out,
        }
    }
}

impl<'a> Object<'a> {
    fn new(held: &'a Held) -> Self {
        let was = match held.finding {
            Finding::LetGo(was) | Finding::PinSet(was) => Some(was),
            _ => None,
        };
        Self {
            name: held.name.as_str(),
            image_id: held.image_id.as_deref(),
            bytes: held.bytes,
            root: held.root.to_string(),
            proven: rfc3339(held.proven),
            pinned: word(held.kept),
            pinned_until: until(held.kept),
            verdict: CopyVerdict::of(held).name(),
            found_root: match held.finding {
                Finding::Differs(root) | Finding::SetAside(root) => Some(root.to_string()),
                _ => None,
            },
            was_pinned: was.map(word),
            was_pinned_until: was.and_then(until),
            reason: match &held.finding {
                Finding::Failed(reason) => Some(reason),
                Finding::InUse(by) => Some(by),
                _ => None,
            },
        }
    }
}

fn word(kept: Kept) -> &'static str {
    match kept {
        Kept::ByRule => "no",
        Kept::Until(_) => "until",
        Kept::Forever => "forever",
    }
}

fn until(kept: Kept) -> Option<String> {
    match kept {
        Kept::Until(until) => rfc3339(until),
        Kept::ByRule | Kept::Forever => None,
    }
}

/// Returns the time so long after another one.
pub(super) fn after(start: WallClock, time: Duration) -> WallClock {
    WallClock(start.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// Returns a time as in RFC 3339, in UTC with milliseconds.
pub(super) fn rfc3339(at: WallClock) -> Option<String> {
    instant(at).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}
