//! `glancecast send`: builds the request, runs it, and prints the result.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::Occasion;
use glancecast_proto::sender::Verdict;
use glancecast_proto::wire::printable;

use super::args::SendArgs;
use super::follow::Signals;
use super::{Failure, block_on, print_list, print_outcome, tell_failure};
use crate::output::events::{Events, Lines};
use crate::output::plan::{Planned, explain};
use crate::output::progress::{Bar, Bars, Preparation};
use crate::output::push_report::{Refused, Report};
use crate::output::push_table::{COLUMNS, confirmations, list, summary};
use crate::output::terminal::output_room;
use crate::output::{json, notices};
use crate::pipeline::push::Progress;
use crate::request::{PushPlan, RequestError, Told};

/// Pushes an image and prints the result.
pub(super) fn run(mut args: SendArgs) -> Result<u8, Failure> {
    let json = args.output.json();
    let lines = match args.events.take() {
        Some(path) if path.as_os_str() == "-" && (json || !args.output.is_plain()) => {
            return Err(RequestError::EventsAndMore.into());
        }
        Some(path) => {
            args.lists = path.as_os_str() != "-";
            Some(Lines::open(&path).map_err(|error| RequestError::Events { path, error })?)
        }
        None => None,
    };
    let mut events = lines.map_or(Followed::Nobody, Followed::Prepared);
    let result = block_on(send(args, &mut events))?;
    if let (Err(failure), Followed::Prepared(lines)) = (&result, events) {
        lines.fail(failure.code(), &failure.message());
    }
    if let (Err(failure @ Failure::Request(error)), true) = (&result, json)
        && let Some(rule) = error.rule()
    {
        print_outcome(&json::line(&Refused::new(rule, failure.code(), &failure.message())));
    }
    result
}

/// Who follows a push by its events.
enum Followed {
    Nobody,
    /// Somebody, and the push has not begun.
    Prepared(Lines),
    /// Somebody, from the start to the end.
    Running(Events),
}

async fn send(args: SendArgs, followed: &mut Followed) -> Result<u8, Failure> {
    let (json, quiet, lists) = (args.output.json(), args.quiet, args.lists);
    let looked_at = match (args.dry_run, args.explain) {
        (true, _) => LookedAt::Only,
        (false, true) => LookedAt::First,
        (false, false) => LookedAt::Never,
    };
    let bars = if json || quiet { Bars::Off } else { Bars::of_errors() };
    let listing = args.output.listing(&COLUMNS)?;
    let mut signals = Signals::listen()?;
    let request = args.request()?;
    let preparation = Preparation::new(bars);
    let prepared = signals.or(request.prepare(&preparation.observer())).await;
    preparation.clear();
    let prepared = prepared?;
    if bars != Bars::Off {
        cli::tell(notices::intro(request.options(), &prepared.plan).trim_end());
    }
    for text in notices::warnings(request.options(), &prepared) {
        tracing::warn!("{text}");
    }
    if looked_at != LookedAt::Never {
        show_plan(&prepared.plan, looked_at, json);
    }
    if looked_at == LookedAt::Only {
        return Ok(cli::EXIT_OK);
    }
    let mut bar = Bar::new(&prepared.plan, bars);
    let mut push = prepared.start()?;
    if let Followed::Prepared(lines) = std::mem::replace(followed, Followed::Nobody) {
        *followed = Followed::Running(Events::new(lines, &push.plan));
    }
    let show = |progress: Progress| {
        bar.show(&progress);
        if let Followed::Running(events) = followed {
            events.show(&progress);
        }
    };
    signals.follow(&mut push.running, TICK, show).await;
    bar.clear();
    let progress = push.running.progress();
    let result = push.finish().await;
    if let Followed::Running(mut events) = std::mem::replace(followed, Followed::Nobody) {
        events.show(&progress);
        events.finish(&result);
    }
    let told = if quiet { Told::IfWrong } else { Told::Always };
    request.options().known_hosts.remember(&result.outcome.first_uses, Occasion::FirstUse).tell(told);
    let verdict = &result.outcome.verdict;
    if json {
        print_outcome(&json::line(&Report::new(&result)));
    } else if lists && !(quiet && *verdict == Verdict::Complete) {
        tell_failure(print_list(&listing, &list(&result, &listing, output_room()), &summary(&result)));
    }
    if let (Verdict::Aborted(_) | Verdict::GivenUp(_), Some(reason)) = (verdict, result.reason()) {
        cli::tell(&format!("glancecast: {}", printable(&reason)));
    }
    if !json && lists {
        tell_failure(print_list(&listing, "", &confirmations(&result)));
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", result.outcome.discards);
    Ok(result.exit_code())
}

/// Whether the plan of a push is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookedAt {
    Never,
    /// Before the push: `--explain`.
    First,
    /// And nothing is sent: `--dry-run`.
    Only,
}

/// Prints by which ways the hosts are reached. The JSON object on standard output is that of the push, if there is one.
fn show_plan(plan: &PushPlan, looked_at: LookedAt, json: bool) {
    let view = plan.view();
    match (json, looked_at) {
        (false, _) => print_outcome(&explain(plan, &view)),
        (true, LookedAt::Only) => print_outcome(&json::line(&Planned::new(plan, &view))),
        (true, _) => cli::tell(json::line(&Planned::new(plan, &view)).trim_end()),
    }
}

const TICK: Duration = Duration::from_millis(100);
