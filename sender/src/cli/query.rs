//! `glancecast hosts`, `status`, `verify`, `unpin`: sends a query to the group, and prints the hosts' answers.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::Occasion;

use super::args::{ImageQueryArgs, QueryArgs, StatusArgs};
use super::follow::Signals;
use super::{Failure, block_on, print};
use crate::openstack::Namesakes;
use crate::output::inventory;
use crate::output::progress::verifying;
use crate::output::query_report::Report;
use crate::output::query_table::table;
use crate::output::{json, notices};
use crate::request::{QueryKind, Told};

/// Whether the keys of hosts that answer are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrol {
    Yes,
    No,
}

/// What is shown of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// The hosts, or their copies of the image.
    Rows,
    /// The images that lie on the hosts.
    Images,
}

/// Asks the hosts and prints the result.
pub(super) fn run(
    args: QueryArgs,
    kind: QueryKind,
    namesakes: Namesakes,
    enrol: Enrol,
) -> Result<u8, Failure> {
    block_on(ask(args, kind, namesakes, enrol, View::Rows))?
}

/// Asks about the copies of an image, or for all that the hosts hold.
pub(super) fn status(args: StatusArgs) -> Result<u8, Failure> {
    let namesakes = args.namesakes();
    match args.image {
        Some(image) => run(args.query, QueryKind::Status(image), namesakes, Enrol::No),
        None => block_on(ask(args.query, QueryKind::Hosts, namesakes, Enrol::No, View::Images))?,
    }
}

/// Asks about the copies of an image.
pub(super) fn about_image(args: ImageQueryArgs, kind: fn(String) -> QueryKind) -> Result<u8, Failure> {
    let namesakes = args.namesakes();
    run(args.query, kind(args.image), namesakes, Enrol::No)
}

async fn ask(
    args: QueryArgs,
    kind: QueryKind,
    namesakes: Namesakes,
    enrol: Enrol,
    view: View,
) -> Result<u8, Failure> {
    let json = args.output.json;
    let mut signals = Signals::listen()?;
    let request = args.request(kind, namesakes)?;
    let mut query = signals.or(request.start()).await?;
    if let Some(text) = notices::insecure(&request.key) {
        tracing::warn!("{text}");
    }
    if let Some(text) = notices::rekeying(&request.key) {
        tracing::warn!("{text}");
    }
    if let Some(text) = &query.plan.notice {
        tracing::warn!("{text}");
    }
    let expected = query.plan.config.expected.clone();
    let show = |tally| {
        if let Some(text) = verifying(tally, &expected) {
            cli::tell(&text);
        }
    };
    signals.follow(&mut query.running, PROGRESS_GAP, show).await;
    let result = query.finish().await?;
    if enrol == Enrol::Yes {
        request.known_hosts.remember(&result.answers.first_uses, Occasion::Enrolled).tell(Told::Always);
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", result.answers.discards);
    match (json, view) {
        (true, _) => print(&json::line(&Report::new(&result)))?,
        (false, View::Rows) => print(&table(&result))?,
        (false, View::Images) => print(&inventory::table(&result))?,
    }
    Ok(result.exit_code())
}

const PROGRESS_GAP: Duration = Duration::from_secs(5);
