//! `glancecast send`: builds the request, runs it, and prints the result.

use std::path::Path;
use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::clock::wall;
use glancecast_platform::known_hosts::Occasion;
use glancecast_proto::sender::Verdict;
use glancecast_proto::wire::printable;

use super::args::SendArgs;
use super::follow::{Caught, Signals};
use super::repair::Limited;
use super::turn::{self, IfTaken};
use super::{Failure, block_on, print_list, print_outcome, repair, tell_failure};
use crate::output::events::{Events, Lines};
use crate::output::formats::Listing;
use crate::output::plan::{Planned, explain};
use crate::output::preflight::Preflight;
use crate::output::progress::{Bar, Bars, Preparation};
use crate::output::push_report::Report;
use crate::output::push_table::{COLUMNS, confirmations, list, summary};
use crate::output::terminal::output_room;
use crate::output::{json, metrics, notices};
use crate::pipeline::push::Progress;
use crate::request::{PushPlan, PushRequest, QueuedPush, RequestError, Told};

/// Pushes one image after the other, and prints the result of each.
pub(super) fn run(args: SendArgs) -> Result<u8, Failure> {
    let (metrics_file, started) = (args.metrics_file.clone().filter(|_| !args.dry_run), wall());
    let result = push_all(args);
    if let (Err(failure), Some(path)) = (&result, &metrics_file) {
        metrics::write_ending(path, started, failure.code());
    }
    result
}

fn push_all(mut args: SendArgs) -> Result<u8, Failure> {
    let mut lines = events(&mut args)?;
    let result = block_on(send(args, lines.as_mut()))?;
    if let (Err(failure), Some(lines)) = (&result, &mut lines) {
        lines.fail(failure.code(), &failure.message());
    }
    if let Some(lines) = lines {
        lines.close();
    }
    result
}

/// Opens what events are written to, if somebody follows them.
fn events(args: &mut SendArgs) -> Result<Option<Lines>, Failure> {
    let Some(path) = args.events.take() else { return Ok(None) };
    let is_output = path.as_os_str() == "-";
    if is_output && (args.output.json() || !args.output.is_plain()) {
        return Err(RequestError::EventsAndMore.into());
    }
    args.lists = !is_output;
    Ok(Some(Lines::open(&path).map_err(|error| RequestError::Events { path, error })?))
}

async fn send(args: SendArgs, mut lines: Option<&mut Lines>) -> Result<u8, Failure> {
    let (json, quiet, lists) = (args.output.json(), args.quiet, args.lists);
    let looked_at = match (args.dry_run, args.explain) {
        (true, _) => LookedAt::Only,
        (false, true) => LookedAt::First,
        (false, false) => LookedAt::Never,
    };
    let bars = if json || quiet { Bars::Off } else { Bars::of_errors() };
    let listing = args.output.listing(&COLUMNS)?;
    let mut signals = Signals::listen()?;
    let (ask, repair) = (args.ask, args.repair);
    let (if_taken, metrics_file) = (args.if_taken(), args.metrics_file.clone());
    let metrics_file = metrics_file.as_deref().filter(|_| looked_at != LookedAt::Only);
    let manner = Manner {
        ask,
        json,
        quiet,
        lists,
        looked_at,
        bars,
        listing: &listing,
        if_taken,
        metrics_file,
        repair,
    };
    let queue = signals.or(args.queue()?.resolve()).await?;
    let (count, mut worst) = (queue.len(), cli::EXIT_OK);
    for (i, QueuedPush { label, request }) in queue.into_iter().enumerate() {
        if count == 1 {
            return push(&request, &label, manner, &mut signals, lines).await;
        }
        if !quiet {
            cli::tell(&format!("glancecast: image {} of {count}: {label}", i + 1));
        }
        let started = wall();
        let code = match push(&request, &label, manner, &mut signals, lines.as_deref_mut()).await {
            Ok(code) => code,
            Err(failure @ (Failure::Interrupted(_) | Failure::System(_))) => return Err(failure),
            Err(failure) => {
                let problem = failure.problem();
                problem.print(json);
                if let Some(path) = metrics_file {
                    metrics::write_ending(path, started, problem.code);
                }
                if let Some(lines) = &mut lines {
                    lines.fail(problem.code, &problem.message);
                }
                problem.code
            }
        };
        worst = worse(worst, code);
        if signals.caught().is_some() {
            break;
        }
    }
    Ok(worst)
}

/// Returns the code that says more: that something was wrong, then that it failed, then that hosts are missing. A signal
/// ends all.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: u8| match code {
        cli::EXIT_OK => 0,
        cli::EXIT_INCOMPLETE => 1,
        cli::EXIT_FAILED => 2,
        cli::EXIT_USAGE => 3,
        _ => 4,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// How a push is run and what is printed of it.
#[derive(Clone, Copy)]
struct Manner<'a> {
    /// Whether hosts are asked before nothing is sent.
    ask: bool,
    json: bool,
    quiet: bool,
    /// Whether standard output gets the list of hosts.
    lists: bool,
    listing: &'a Listing,
    looked_at: LookedAt,
    bars: Bars,
    if_taken: IfTaken,
    /// Where the result goes as metrics.
    metrics_file: Option<&'a Path>,
    /// Whether the hosts verify their copies first.
    repair: bool,
}

impl Manner<'_> {
    /// Whether what is only good to know is told.
    fn told(&self) -> Told {
        if self.quiet { Told::IfWrong } else { Told::Always }
    }
}

/// Pushes one image and prints the result.
async fn push(
    request: &PushRequest,
    label: &str,
    manner: Manner<'_>,
    signals: &mut Signals,
    lines: Option<&mut Lines>,
) -> Result<u8, Failure> {
    let Manner { ask, json, quiet, lists, listing, looked_at, bars, if_taken, metrics_file, .. } = manner;
    let limited = match manner.repair {
        false => None,
        true => match repair::limit(request, signals, manner.told()).await? {
            Limited::To(limited) => Some(*limited),
            Limited::Nothing(found) => {
                if let Some(path) = metrics_file {
                    metrics::write_ending(path, found.plan.config.started, found.exit_code());
                }
                return repair::print_nothing(&found, manner.json, manner.lists);
            }
        },
    };
    let request = limited.as_ref().unwrap_or(request);
    let _turn = match request.options().network.destinations.group() {
        Some(group) if looked_at != LookedAt::Only => signals.or(turn::wait(group, label, if_taken)).await?,
        _ => None,
    };
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
    if looked_at != LookedAt::Never && !(ask && json) {
        show_plan(&prepared.plan, looked_at, json);
    }
    if looked_at == LookedAt::Only {
        return match ask {
            true => preflight(&prepared.plan, json, signals).await,
            false => Ok(cli::EXIT_OK),
        };
    }
    let mut bar = Bar::new(&prepared.plan, bars);
    let mut push = prepared.start()?;
    let mut events = lines.map(|lines| Events::new(lines, &push.plan));
    let show = |progress: Progress| {
        bar.show(&progress);
        if let Some(events) = &mut events {
            events.show(&progress);
        }
    };
    let look = push.plan.look_for_unheard(push.running.control());
    signals.follow_and(&mut push.running, TICK, show, look).await;
    bar.clear();
    let progress = push.running.progress();
    let mut result = push.finish().await;
    result.interrupted = signals.caught().map(Caught::exit_code);
    if let Some(mut events) = events {
        events.show(&progress);
        events.finish(&result);
    }
    let known_hosts = &request.options().known_hosts;
    known_hosts.remember(&result.outcome.first_uses, Occasion::FirstUse).tell(manner.told());
    if let Some(path) = metrics_file {
        metrics::write(path, &result);
    }
    let verdict = &result.outcome.verdict;
    if json {
        print_outcome(&json::line(&Report::new(&result)));
    } else if lists && !(quiet && *verdict == Verdict::Complete) {
        tell_failure(print_list(listing, &list(&result, listing, output_room()), &summary(&result)));
    }
    if let (Verdict::Aborted(_) | Verdict::GivenUp(_), Some(reason)) = (verdict, result.reason()) {
        cli::tell(&format!("glancecast: {}", printable(&reason)));
    }
    if result.interrupted == Some(result.exit_code()) {
        cli::tell(GOES_ON);
    }
    if !json && lists {
        tell_failure(print_list(listing, "", &confirmations(&result)));
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", result.outcome.discards);
    Ok(result.exit_code())
}

/// Asks the hosts of a push that is not made, and prints which could not take part in it.
async fn preflight(plan: &PushPlan, json: bool, signals: &mut Signals) -> Result<u8, Failure> {
    let answers = signals.or(plan.ask_hosts()).await?;
    let found = Preflight::new(&plan.config, &answers);
    match json {
        true => print_outcome(&json::line(&Planned::with_hosts(plan, &plan.view(), &found))),
        false => print_outcome(&found.text()),
    }
    Ok(if found.is_well() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE })
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
        (false, _) => print_outcome(&explain(plan, &view, output_room())),
        (true, LookedAt::Only) => print_outcome(&json::line(&Planned::new(plan, &view))),
        (true, _) => cli::tell(json::line(&Planned::new(plan, &view)).trim_end()),
    }
}

/// What an operator may fear to have lost.
const GOES_ON: &str = "glancecast: interrupted; hosts keep what they have (keep_unfinished, a day), and the same command goes on \
                       from there";
const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_of_several_pushes_is_the_worst() {
        for (codes, worst) in
            [(&[0, 0][..], 0), (&[0, 3, 0], 3), (&[1, 3], 1), (&[3, 1, 2, 0], 2), (&[3, 130], 130)]
        {
            assert_eq!(codes.iter().copied().fold(0, worse), worst, "{codes:?}");
        }
    }
}
