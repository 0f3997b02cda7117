//! `glancecast doctor`: examines the path to the hosts, and prints what is wrong with it and how that is mended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glancecast_platform::cli;
use glancecast_proto::doctor::Stage;

use super::args::DoctorArgs;
use super::follow::Signals;
use super::{Failure, block_on, print};
use crate::output::{doctor_report, json, notices, terminal};

/// Runs the diagnosis and prints the result.
pub(super) fn run(args: DoctorArgs) -> Result<u8, Failure> {
    block_on(examine(args))?
}

async fn examine(args: DoctorArgs) -> Result<u8, Failure> {
    let (json, racks_file) = (args.output.json, args.racks_file());
    racks_file.as_ref().map_or(Ok(()), super::racks_file::RacksFile::check)?;
    let mut signals = Signals::listen()?;
    let request = args.request()?;
    let mut run = signals.or(request.start()).await?;
    let insecure = notices::insecure(&request.key).map(str::to_owned);
    let warnings = [insecure, notices::rekeying(&request.key), run.notice.clone()];
    warnings.iter().flatten().for_each(|text| tracing::warn!("{text}"));
    cli::tell(&doctor_report::announcement(&run));
    let is_told = AtomicBool::new(false);
    let show = |stage: Stage| {
        // The first stage is what the announcement says.
        if stage != Stage::Reach || is_told.swap(true, Ordering::Relaxed) {
            doctor_report::stage(stage).into_iter().for_each(|text| cli::tell(&text));
        }
    };
    signals.follow(&mut run.running, PROGRESS_GAP, show).await;
    let result = run.finish()?;
    match json {
        true => print(&json::line(&doctor_report::Report::new(&result)))?,
        false => print(&doctor_report::table(&result, terminal::output_room()))?,
    }
    if let Some(racks_file) = racks_file {
        cli::tell(&racks_file.write(&result)?);
    }
    Ok(result.exit_code())
}

const PROGRESS_GAP: Duration = Duration::from_secs(1);
