//! `glancecast hosts`, `status`, `verify`, `unpin`: sends a query to the group, and prints the hosts' answers.

use std::time::Duration;

use glancecast_platform::known_hosts::Occasion;

use super::args::{ImageQueryArgs, QueryArgs};
use super::follow::Signals;
use super::{Failure, block_on};
use crate::openstack::Namesakes;
use crate::output::progress::verifying;
use crate::output::query_report::Report;
use crate::output::query_table::table;
use crate::output::{json, notices};
use crate::request::{QueryKind, QueryRequest, Told};

/// Whether the keys of hosts that answer are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrol {
    Yes,
    No,
}

/// Asks the hosts and prints the result.
pub(super) fn run(
    args: QueryArgs,
    kind: QueryKind,
    namesakes: Namesakes,
    enrol: Enrol,
) -> Result<u8, Failure> {
    let (json, request) = (args.output.json, args.request(kind, namesakes)?);
    block_on(ask(request, enrol, json))?
}

/// Asks about the copies of an image.
pub(super) fn about_image(args: ImageQueryArgs, kind: fn(String) -> QueryKind) -> Result<u8, Failure> {
    let namesakes = args.namesakes();
    run(args.query, kind(args.image), namesakes, Enrol::No)
}

async fn ask(request: QueryRequest, enrol: Enrol, json: bool) -> Result<u8, Failure> {
    let mut signals = Signals::listen()?;
    let mut query = signals.or(request.start()).await?;
    if let Some(text) = notices::insecure(&request.key) {
        tracing::warn!("{text}");
    }
    if let Some(text) = notices::rekeying(&request.key) {
        tracing::warn!("{text}");
    }
    let expected = query.plan.config.expected.clone();
    let show = |tally| {
        if let Some(text) = verifying(tally, &expected) {
            eprintln!("{text}");
        }
    };
    signals.follow(&mut query.running, PROGRESS_GAP, show).await;
    let result = query.finish()?;
    if enrol == Enrol::Yes {
        request.known_hosts.remember(&result.answers.first_uses, Occasion::Enrolled).tell(Told::Always);
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", result.answers.discards);
    match json {
        true => println!("{}", json::to_string(&Report::new(&result))),
        false => print!("{}", table(&result)),
    }
    Ok(result.exit_code())
}

const PROGRESS_GAP: Duration = Duration::from_secs(5);
