//! `glancecast hosts`, `status`, `verify`, `unpin`: sends a query to the group, and prints the hosts' answers.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::Occasion;

use super::args::{ImageQueryArgs, QueryArgs};
use super::follow::Signals;
use super::{Failure, block_on, print, print_list};
use crate::openstack::Namesakes;
use crate::output::grid::Column;
use crate::output::progress::verifying;
use crate::output::query_report::Report;
use crate::output::query_table::{COPIES, HOSTS, UNPINNED, below, list};
use crate::output::terminal::output_room;
use crate::output::{json, notices};
use crate::request::{QueryKind, Told};

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
    block_on(ask(args, kind, namesakes, enrol))?
}

/// Asks about the copies of an image.
pub(super) fn about_image(args: ImageQueryArgs, kind: fn(String) -> QueryKind) -> Result<u8, Failure> {
    let namesakes = args.namesakes();
    run(args.query, kind(args.image), namesakes, Enrol::No)
}

async fn ask(args: QueryArgs, kind: QueryKind, namesakes: Namesakes, enrol: Enrol) -> Result<u8, Failure> {
    let json = args.output.json();
    let listing = args.output.listing(columns(&kind))?;
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
    match json {
        true => print(&json::line(&Report::new(&result)))?,
        false => print_list(&listing, &list(&result, &listing, output_room()), &below(&result))?,
    }
    Ok(result.exit_code())
}

/// Returns the columns of the list of a query.
fn columns(kind: &QueryKind) -> &'static [Column] {
    match kind {
        QueryKind::Hosts => &HOSTS,
        QueryKind::Status(_) | QueryKind::Verify(_) => &COPIES,
        QueryKind::Unpin(_) => &UNPINNED,
    }
}

const PROGRESS_GAP: Duration = Duration::from_secs(5);
