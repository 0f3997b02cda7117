//! The `main` of all measurements of whole programs: it chooses the cases, runs their ways in turns, and writes the
//! results after each case.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::case::{Case, Ground, choose};
use crate::content::{self, Content, Image};
use crate::goal::{self, Goal};
use crate::lab::arguments::Common;
use crate::lab::supervisor;
use crate::lab::turn::Turn;
use crate::record::{self, Record, Row};
use crate::render::{self, Column};

/// A measurement: its options, its cases and its page.
pub trait Bench: Parser {
    /// The name of the measurement and its files.
    const NAME: &'static str;
    /// The beginning of the results page.
    const HEAD: &'static str;
    /// The columns of a case's table.
    const COLUMNS: &'static [Column];
    /// Whether every second repetition takes the ways in the reverse order.
    const ALTERNATES: bool = true;
    /// Whether a failed run ends the measurement.
    const STOPS: bool = false;

    /// Returns the options that all measurements have.
    fn common(&self) -> &Common;

    /// Returns all cases, in the order of the page.
    fn cases(&self) -> Result<Vec<Case>>;

    /// Checks this machine's prerequisites before anything starts.
    fn check(&self) -> Result<()> {
        supervisor::need_root(Self::NAME)
    }

    /// Returns the goals with the figures of these rows.
    fn goals(_rows: &[Row]) -> Vec<Goal> {
        Vec::new()
    }

    /// Returns the page's text for a row.
    fn section(row: &Row) -> String {
        render::ways(row, Self::COLUMNS)
    }

    /// Returns the results as a picture.
    fn plot(_record: &Record) -> Option<String> {
        None
    }
}

/// Runs a measurement.
pub fn main<B: Bench>() -> ExitCode {
    let bench = B::parse();
    let result = match &bench.common().work_in {
        _ if bench.common().list => list(&bench),
        _ if bench.common().draw => draw::<B>(&bench.common().output),
        None => supervise(&bench),
        Some(directory) => supervisor::become_worker().and_then(|()| measure(&bench, directory)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}: {error:#}", B::NAME);
        ExitCode::FAILURE
    })
}

fn list(bench: &impl Bench) -> Result<ExitCode> {
    bench.cases()?.iter().for_each(|case| println!("  {:<18} {}", case.name, case.work));
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages of the existing results.
fn draw<B: Bench>(directory: &Path) -> Result<ExitCode> {
    let record = Record::read(directory, B::NAME)?;
    ensure!(!record.rows.is_empty(), "there are no results in {}", directory.display());
    write::<B>(&record, directory)?;
    Ok(ExitCode::SUCCESS)
}

/// Reports errors before anything starts, and then runs a worker.
fn supervise<B: Bench>(bench: &B) -> Result<ExitCode> {
    choose(bench.cases()?, &bench.common().only)?;
    bench.check()?;
    supervisor::supervise(B::NAME, &bench.common().memory)
}

/// Measures all requested cases.
fn measure<B: Bench>(bench: &B, directory: &Path) -> Result<ExitCode> {
    let (common, all) = (bench.common(), bench.cases()?);
    let order: Vec<&str> = all.iter().map(|case| case.name).collect();
    let cases = choose(all, &common.only)?;
    let mut record = Record::read(&common.output, B::NAME)?;
    let (mut images, mut turn, begin) = (Images { last: None, directory }, common.turn(), Instant::now());
    for (number, case) in cases.iter().enumerate() {
        let (number, count, seconds) = (number + 1, cases.len(), begin.elapsed().as_secs());
        println!("\n{}: {} (row {number} of {count}, after {seconds} s)", case.name, case.work);
        let row = measure_case::<B>(case, common, &mut images, &mut turn)?;
        print!("\n{}", B::section(&row));
        record.put(row, &order);
        record.goals = B::goals(&record.rows);
        write::<B>(&record, &common.output)?;
    }
    if !record.goals.is_empty() {
        print!("\n{}", goal::table(&record.goals));
    }
    let (output, seconds) = (common.output.display(), begin.elapsed().as_secs());
    println!("\nWritten after {seconds} s: {output}/{}.{{json,md}}", B::NAME);
    Ok(ExitCode::SUCCESS)
}

/// Runs the ways of a case in turns.
fn measure_case<B: Bench>(
    case: &Case,
    common: &Common,
    images: &mut Images<'_>,
    turn: &mut Turn,
) -> Result<Row> {
    let content = case.content.smaller(if common.quick { QUICK_SHARE } else { 1 });
    let directory = images.directory;
    let image = images.make(content, common.seed)?;
    let (network, limit) = (&case.network, common.limit());
    let ground = Ground { network, image, data_bytes: content.data_bytes(), directory, limit };
    let mut row = Row::new(case, &ground, common.seed);
    if case.qcow2 {
        row.qcow2_bytes = Some(content::qcow2_bytes(image, directory)?);
    }
    let repetitions = common.repetitions() * if common.quick { 1 } else { case.rounds };
    for repetition in 0..repetitions {
        turn.take()?;
        let mut ways: Vec<_> = case.ways.iter().zip(&mut row.ways).collect();
        if B::ALTERNATES && repetition % 2 == 1 {
            ways.reverse(); // leftovers of a run do not always affect the same way
        }
        for (way, results) in ways.into_iter().filter(|(way, _)| repetition == 0 || !way.once) {
            let mut run = way.run(&ground);
            println!("  {}/{repetitions} {:<24} {}", repetition + 1, way.name, run.summary());
            if B::STOPS
                && let Some(failure) = &run.failure
            {
                bail!("{failure}");
            }
            results.commands.extend(run.commands.drain(..).filter(|_| results.runs.is_empty()));
            results.runs.push(run);
        }
    }
    Ok(row)
}

/// Writes all files of the results.
fn write<B: Bench>(record: &Record, directory: &Path) -> Result<()> {
    record.write(directory, B::NAME)?;
    record::write(directory, &format!("{}.md", B::NAME), &render::page(B::HEAD, record, B::section))?;
    B::plot(record).map_or(Ok(()), |svg| record::write(directory, &format!("{}.svg", B::NAME), &svg))
}

/// Holds the image that was made last, because the next case may use the same.
struct Images<'a> {
    last: Option<(Content, Image)>,
    directory: &'a Path,
}

impl Images<'_> {
    fn make(&mut self, content: Content, seed: u64) -> Result<&Image> {
        if let Some((_, old)) = self.last.take_if(|(last, _)| *last != content) {
            fs::remove_file(&old.path).with_context(|| format!("cannot remove {}", old.path.display()))?;
        }
        if self.last.is_none() {
            self.last = Some((content, content.make(self.directory, seed)?));
        }
        Ok(&self.last.as_ref().expect("just made").1)
    }
}

/// Factor by which `--quick` shortens images.
const QUICK_SHARE: u64 = 8;
