//! `glancecast send`: builds the request, runs it, and prints the result.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::Occasion;
use glancecast_proto::sender::Verdict;
use glancecast_proto::wire::printable;

use super::args::SendArgs;
use super::follow::Signals;
use super::{Failure, block_on, print_outcome};
use crate::output::progress::{Bar, Bars, Preparation};
use crate::output::push_report::{Refused, Report};
use crate::output::push_table::{confirmations, table};
use crate::output::{json, notices};
use crate::request::Told;

/// Pushes an image and prints the result.
pub(super) fn run(args: SendArgs) -> Result<u8, Failure> {
    let json = args.output.json;
    let result = block_on(send(args))?;
    if let (Err(failure @ Failure::Request(error)), true) = (&result, json)
        && let Some(rule) = error.rule()
    {
        print_outcome(&json::line(&Refused::new(rule, failure.code(), &failure.message())));
    }
    result
}

async fn send(args: SendArgs) -> Result<u8, Failure> {
    let (json, quiet) = (args.output.json, args.quiet);
    let bars = if json || quiet { Bars::Off } else { Bars::OnTerminal };
    let mut signals = Signals::listen()?;
    let request = args.request()?;
    let preparation = Preparation::new(bars);
    let prepared = signals.or(request.prepare(&preparation.observer())).await;
    preparation.clear();
    let prepared = prepared?;
    if bars == Bars::OnTerminal {
        cli::tell(notices::intro(request.options(), &prepared.plan).trim_end());
    }
    for text in notices::warnings(request.options(), &prepared) {
        tracing::warn!("{text}");
    }
    let bar = Bar::new(&prepared.plan, bars);
    let mut push = prepared.start()?;
    signals.follow(&mut push.running, TICK, |progress| bar.show(&progress)).await;
    bar.clear();
    let result = push.finish().await;
    let told = if quiet { Told::IfWrong } else { Told::Always };
    request.options().known_hosts.remember(&result.outcome.first_uses, Occasion::FirstUse).tell(told);
    let verdict = &result.outcome.verdict;
    if json {
        print_outcome(&json::line(&Report::new(&result)));
    } else if !(quiet && *verdict == Verdict::Complete) {
        print_outcome(&table(&result));
    }
    if let (Verdict::Aborted(_) | Verdict::GivenUp(_), Some(reason)) = (verdict, result.reason()) {
        cli::tell(&format!("glancecast: {}", printable(&reason)));
    }
    if !json {
        print_outcome(&confirmations(&result));
    }
    tracing::debug!("discarded datagrams from hosts by reason: {}", result.outcome.discards);
    Ok(result.exit_code())
}

const TICK: Duration = Duration::from_millis(100);
