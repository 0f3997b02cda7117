//! `glancecast hosts`, `status`, `verify`, `pin`, `unpin`: sends a query to the group, and prints the hosts' answers.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::Occasion;

use super::args::{ImageQueryArgs, QueryArgs, StatusArgs};
use super::follow::Signals;
use super::{Failure, block_on, print, print_list};
use crate::openstack::Namesakes;
use crate::output::grid::Column;
use crate::output::inventory;
use crate::output::progress::verifying;
use crate::output::query_report::Report;
use crate::output::query_table::{COPIES, HOSTS, UNPINNED, below, instant, list};
use crate::output::terminal::{is_output_terminal, output_room};
use crate::output::{json, notices};
use crate::request::{QueryKind, QueryRequest, QueryResult, RequestError, Told};

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
pub(super) fn about_image(
    args: ImageQueryArgs,
    kind: impl FnOnce(String) -> QueryKind,
) -> Result<u8, Failure> {
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
    let json = args.output.json();
    let columns = if view == View::Images { &inventory::COLUMNS[..] } else { columns(&kind) };
    let listing = args.output.listing(columns)?;
    let watch = args.watch;
    if watch.is_some() && !matches!(kind, QueryKind::Hosts | QueryKind::Status(_)) {
        return Err(RequestError::WatchWhat.into());
    }
    let mut signals = Signals::listen()?;
    let request = args.request(kind, namesakes)?;
    if let Some(text) = notices::insecure(&request.key) {
        tracing::warn!("{text}");
    }
    if let Some(text) = notices::rekeying(&request.key) {
        tracing::warn!("{text}");
    }
    loop {
        let result = once(&request, &mut signals, enrol).await?;
        if watch.is_some() && is_output_terminal() {
            print(HOME)?;
        }
        match (json, view) {
            (true, _) => print(&json::line(&Report::new(&result)))?,
            (false, View::Rows) => {
                print_list(&listing, &list(&result, &listing, output_room()), &below(&result))?;
            }
            (false, View::Images) => {
                let images = listing.text(inventory::grid(&result), output_room());
                print_list(&listing, &images, &inventory::below(&result))?;
            }
        }
        let Some(gap) = watch else { return Ok(result.exit_code()) };
        if !json && listing.is_table() {
            print(&between(&result))?;
        }
        let pause = async {
            tokio::time::sleep(gap).await;
            Ok::<_, Failure>(())
        };
        // A signal is how watching ends; the last list is the result.
        if signals.caught().is_some() || signals.or(pause).await.is_err() {
            return Ok(result.exit_code());
        }
    }
}

/// Sends the query once, and shows its progress if it lasts.
pub(super) async fn once(
    request: &QueryRequest,
    signals: &mut Signals,
    enrol: Enrol,
) -> Result<QueryResult, Failure> {
    let mut query = signals.or(request.start()).await?;
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
    Ok(result)
}

/// Returns what stands below a list that is followed by another one.
fn between(result: &QueryResult) -> String {
    let at = instant(result.plan.config.started);
    let at = at.map_or_else(String::new, |at| at.format("as of %H:%M:%SZ; ").to_string());
    format!("{at}Ctrl-C ends it\n\n")
}

/// Returns the columns of the list of a query.
fn columns(kind: &QueryKind) -> &'static [Column] {
    match kind {
        QueryKind::Hosts => &HOSTS,
        QueryKind::Status(_)
        | QueryKind::Pin(..)
        | QueryKind::Verify(_)
        | QueryKind::Remove(_)
        | QueryKind::RemovePinned(_)
        | QueryKind::SetAside(_) => &COPIES,
        QueryKind::Unpin(_) => &UNPINNED,
    }
}

/// To the first place of the screen, and erase what is below (ECMA-48, CUP and ED).
const HOME: &str = "\u{1b}[H\u{1b}[J";
const PROGRESS_GAP: Duration = Duration::from_secs(5);
