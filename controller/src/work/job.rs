//! Runs a verification or a diagnosis: a child, whose report is kept.

use glancecast_platform::clock::wall;
use serde_json::Value;

use super::Context;
use super::push::{Stop, Stops, persist, read_report};
use crate::limits::{REPORT_BYTES_MAX, REPORT_KEPT_BYTES_MAX};
use crate::model::Status;
use crate::store::Job;

/// How a job ended.
#[derive(Debug, Default)]
struct End {
    status: Option<Status>,
    reason: Option<String>,
    exit_code: Option<i64>,
    report: Option<String>,
}

/// Runs a job to its end, or until it is stopped.
pub(super) async fn run(context: &Context, job: Job, mut stops: Stops) {
    tracing::info!(job = job.id, kind = job.kind.name(), request = job.origin.request_id, "job begins");
    let end = child(context, &job, &mut stops).await;
    // Without an end it is found as running by whoever leads next, and queued again.
    let Some(status) = end.status else { return };
    tracing::info!(job = job.id, status = status.name(), "job ended");
    let (store, reason, report) = (&context.store, end.reason.as_deref(), end.report.as_deref());
    persist(&stops, || store.finish_job(&job.id, wall(), status, reason, end.exit_code, report)).await;
}

async fn child(context: &Context, job: &Job, stops: &mut Stops) -> End {
    let request = &job.request;
    let failed =
        |reason: String| End { status: Some(Status::Failed), reason: Some(reason), ..End::default() };
    let lists = match context.launcher.lists(&job.id, &request.hosts, &request.exclude) {
        Ok(lists) => lists,
        Err(error) => return failed(format!("the list of hosts cannot be written: {error}")),
    };
    let words = context.launcher.front(job.profile.as_deref()).job(job.kind, request, &lists.files);
    let mut child = match context.launcher.start(words) {
        Ok(child) => child,
        Err(error) => return failed(format!("glancecast cannot be started: {error}")),
    };
    let (output, why) = read_report(&mut child, REPORT_BYTES_MAX, stops).await;
    match why {
        Some(Stop::Cancelled) => return End { status: Some(Status::Cancelled), ..End::default() },
        Some(Stop::Shutdown | Stop::Deposed) => return End::default(),
        None => {}
    }
    let (bytes, ended) = match output {
        Ok(output) => output,
        Err(reason) => return failed(reason),
    };
    let report: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let status = match ended.status.code() {
        Some(0) => Status::Done,
        Some(3) => Status::Partial,
        _ => Status::Failed,
    };
    let said = report["reason"].as_str().map(str::to_owned);
    let said = said.or_else(|| (status == Status::Failed).then(|| ended.words()));
    let text = report.is_object().then(|| report.to_string());
    let (report, reason) = match text {
        Some(text) if text.len() > REPORT_KEPT_BYTES_MAX => {
            (None, Some(format!("the report has {} bytes, too many to be kept", text.len())))
        }
        text => (text, said),
    };
    End { status: Some(status), reason, exit_code: ended.status.code().map(i64::from), report }
}
