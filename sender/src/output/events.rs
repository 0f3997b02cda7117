//! A push as JSON lines (`--events`), for a program that follows it: an event a line. docs/json.md describes them, and
//! docs/events.schema.json is their schema.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glancecast_platform::cli;
use glancecast_platform::clock::wall;
use glancecast_proto::sender::{Expected, HostRow, Lag, LagCause, Lagging, Tally};
use serde::Serialize;

use super::progress::Gauge;
use super::progress::line::{Phase, View, percent};
use super::push_report::word;
use super::query_report::rfc3339;
use super::{json, seconds};
use crate::pipeline::changes::{Change, HostChange};
use crate::pipeline::push::Progress;
use crate::request::{PushPlan, PushResult};

/// The events of one push.
pub(crate) struct Events<'a> {
    lines: &'a mut Lines,
    gauge: Gauge,
    push: String,
    /// When progress was told last, in the time of the push.
    told: Option<Duration>,
}

impl<'a> Events<'a> {
    /// Returns the events of a push, whose first line is written.
    pub(crate) fn new(lines: &'a mut Lines, plan: &PushPlan) -> Self {
        let mut events =
            Self { lines, gauge: Gauge::new(plan), push: plan.config.session.to_string(), told: None };
        events.put(Kind::Started(Box::new(Started::new(plan))));
        events
    }

    /// Writes what has become of hosts, and each second how far the push is.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let (changes, lost) = progress.changes.take();
        self.lines.lost += lost;
        for change in changes {
            self.put(Kind::Host(HostEvent::of(&change)));
        }
        let is_due = self.told.is_none_or(|at| progress.time.saturating_sub(at) >= PROGRESS_GAP);
        // The meter takes in all of it.
        let event = ProgressEvent::of(&self.gauge.view(progress, ""), progress.left);
        if is_due {
            self.told = Some(progress.time);
            self.put(Kind::Progress(event));
        }
    }

    /// Writes the last event of the push.
    pub(crate) fn finish(self, result: &PushResult) {
        let finished = Finished::new(result, std::mem::take(&mut self.lines.lost));
        let line = json::line(&Event::new(Some(&self.push), Kind::Finished(Box::new(finished))));
        self.lines.put_last(line);
    }

    fn put(&mut self, kind: Kind) {
        let line = json::line(&Event::new(Some(&self.push), kind));
        self.lines.put(line);
    }
}

/// Where events go: a thread of its own writes them, so that a slow reader holds nothing up. Events that it does not take
/// in time are counted and dropped.
pub(crate) struct Lines {
    to: Option<SyncSender<String>>,
    thread: JoinHandle<()>,
    lost: u64,
}

impl Lines {
    /// Writes to standard output for `-`, else to the file, which is made or emptied.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match path.as_os_str() == "-" {
            true => Self::to(io::stdout()),
            false => Self::to(File::create(path)?),
        }
    }

    fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (to, lines) = sync_channel::<String>(LINES_MAX);
        let thread = thread::Builder::new().name("events".into()).spawn(move || {
            for line in lines {
                match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
                    Ok(()) => {}
                    // Who has left has seen what it wanted.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                    Err(error) => {
                        return cli::tell(&format!("glancecast: events are not written any more: {error}"));
                    }
                }
            }
        })?;
        Ok(Self { to: Some(to), thread, lost: 0 })
    }

    /// Writes why no push began.
    pub(crate) fn fail(&mut self, exit_code: u8, reason: &str) {
        self.put_last(json::line(&Event::new(None, Kind::Error { exit_code, reason })));
    }

    /// Waits until everything is written, for at most [`LAST_WAIT`].
    pub(crate) fn close(mut self) {
        let since = Instant::now();
        self.to = None;
        while !self.thread.is_finished() && since.elapsed() < LAST_WAIT {
            thread::sleep(LAST_LOOK);
        }
    }

    fn put(&mut self, line: String) {
        if let Some(to) = &self.to
            && let Err(TrySendError::Full(_)) = to.try_send(line)
        {
            self.lost += 1;
        }
    }

    /// Writes the line, and waits for a slow reader for at most [`LAST_WAIT`].
    fn put_last(&mut self, line: String) {
        let (since, mut last) = (Instant::now(), Some(line));
        while let (Some(line), Some(to)) = (last.take(), &self.to) {
            match to.try_send(line) {
                Err(TrySendError::Full(line)) if since.elapsed() < LAST_WAIT => {
                    last = Some(line);
                    thread::sleep(LAST_LOOK);
                }
                _ => break,
            }
        }
    }
}

/// One line.
#[derive(Serialize)]
struct Event<'a> {
    schema: u32,
    /// When the event was written.
    time: String,
    push: Option<&'a str>,
    #[serde(flatten)]
    kind: Kind<'a>,
}

impl<'a> Event<'a> {
    fn new(push: Option<&'a str>, kind: Kind<'a>) -> Self {
        Self { schema: SCHEMA, time: rfc3339(wall()).unwrap_or_default(), push, kind }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Kind<'a> {
    Started(Box<Started>),
    Host(HostEvent),
    Progress(ProgressEvent),
    Finished(Box<Finished>),
    Error { exit_code: u8, reason: &'a str },
}

#[derive(Serialize)]
struct Started {
    glancecast: &'static str,
    image: String,
    image_id: Option<String>,
    bytes: u64,
    blocks: u32,
    group: Option<String>,
    interface: String,
    address: String,
    reply_port: u16,
    rate_bits_per_second: u64,
    timeout_seconds: f64,
    /// The names of the hosts that are expected; null if none is expected by name.
    hosts: Option<Vec<String>>,
    /// The number of hosts that are expected; null if every host is meant.
    expected: Option<usize>,
}

impl Started {
    fn new(plan: &PushPlan) -> Self {
        let config = &plan.config;
        let (hosts, expected) = match &config.expected {
            Expected::Named(names) => {
                (Some(names.iter().map(ToString::to_string).collect()), Some(names.len()))
            }
            Expected::Count(count) => (None, Some(*count as usize)),
            Expected::Anyone => (None, None),
        };
        Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            image: config.name.to_string(),
            image_id: config.image_id.clone(),
            bytes: config.geometry.object_bytes(),
            blocks: config.geometry.blocks(),
            group: plan.network.destinations.group().map(|group| group.to_string()),
            interface: plan.interface.name.clone(),
            address: plan.interface.addr.to_string(),
            reply_port: config.reply_to.port(),
            rate_bits_per_second: config.pace.cap().bits(),
            timeout_seconds: seconds(config.timeout),
            hosts,
            expected,
        }
    }
}

/// What has become of a host.
#[derive(Serialize)]
struct HostEvent {
    host: String,
    state: &'static str,
    cause: Option<&'static str>,
    reason: Option<String>,
    seconds: f64,
}

impl HostEvent {
    fn of(change: &HostChange) -> Self {
        let (state, cause, reason) = match &change.what {
            Change::Joined => ("joined", None, None),
            Change::Done => ("done", None, None),
            Change::Failed(reason) => ("failed", None, Some(reason)),
            Change::Silent => ("silent", None, None),
            Change::Sidelined(cause, text) => ("sidelined", Some(cause.name()), Some(text)),
            Change::OtherVersion(what) => ("other_version", None, Some(what)),
            Change::KeyChanged => ("key_changed", None, None),
            Change::UnknownKey => ("unknown_key", None, None),
        };
        Self {
            host: change.name.to_string(),
            state,
            cause,
            reason: reason.cloned(),
            seconds: seconds(change.at),
        }
    }
}

/// How far the push is.
#[derive(Serialize)]
struct ProgressEvent {
    seconds: f64,
    phase: &'static str,
    bytes_sent: u64,
    bytes: u64,
    percent: u64,
    rate_bits_per_second: u64,
    copies: u32,
    eta_seconds: Option<f64>,
    seconds_left: f64,
    hosts: HostCounts,
    late: Vec<Late>,
}

/// How many hosts are in which state.
#[derive(Serialize)]
struct HostCounts {
    expected: u32,
    heard: u32,
    done: u32,
    failed: u32,
    silent: u32,
    busy: u32,
    sidelined: u32,
}

/// A host that holds the push back.
#[derive(Serialize)]
struct Late {
    host: String,
    state: &'static str,
    percent: u64,
    reason: Option<String>,
}

impl ProgressEvent {
    fn of(view: &View<'_>, left: Duration) -> Self {
        let Tally { heard, done, failed, silent, sidelined, busy, expected } = view.hosts;
        Self {
            seconds: seconds(view.elapsed),
            phase: phase(view.phase),
            bytes_sent: view.sent,
            bytes: view.total,
            percent: percent(view.sent, view.total),
            rate_bits_per_second: view.rate,
            copies: view.copies,
            eta_seconds: view.eta.map(seconds),
            seconds_left: seconds(left),
            hosts: HostCounts { expected, heard, done, failed, silent, busy, sidelined },
            late: view.watch.hosts.iter().take(LATE_MAX).map(|host| late(host, view.blocks)).collect(),
        }
    }
}

fn late(host: &Lagging, blocks: u32) -> Late {
    Late {
        host: host.name.to_string(),
        state: match host.lag {
            Lag::Failed => "failed",
            Lag::Refused => "refused",
            Lag::Unreachable => "unreachable",
            Lag::Silent => "silent",
            Lag::Sidelined => "sidelined",
            Lag::Unheard => "unheard",
            Lag::Busy => "busy",
            Lag::Incomplete => "incomplete",
        },
        percent: percent(u64::from(host.blocks_held), u64::from(blocks)),
        reason: host.cause.as_ref().map(|cause| match cause {
            LagCause::Sideline(sideline) => sideline.to_string(),
            LagCause::Words(words) => words.clone(),
        }),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Away => "away",
        Phase::Waiting => "waiting",
        Phase::Busy => "busy",
        Phase::Sending => "sending",
        Phase::Reading => "reading",
        Phase::Checking => "checking",
        Phase::Asking => "asking",
        Phase::Finishing => "finishing",
        Phase::Ending => "ending",
    }
}

/// The outcome.
#[derive(Serialize)]
struct Finished {
    outcome: &'static str,
    exit_code: u8,
    reason: Option<String>,
    root: Option<String>,
    seconds: f64,
    wire_bytes: u64,
    expected: Option<usize>,
    holding: usize,
    hosts: Vec<Row>,
    events_lost: u64,
}

/// What has become of a host.
#[derive(Serialize)]
struct Row {
    name: String,
    state: &'static str,
    reason: Option<String>,
    seconds: Option<f64>,
}

impl Finished {
    fn new(result: &PushResult, events_lost: u64) -> Self {
        let (outcome, standing) = (&result.outcome, result.standing());
        let total = outcome.counts.total();
        let row = |row: &HostRow| Row {
            name: row.name.to_string(),
            state: row.state.name(),
            reason: row.reason.clone(),
            seconds: row.time.map(seconds),
        };
        Self {
            outcome: word(&outcome.verdict),
            exit_code: result.exit_code(),
            reason: result.reason(),
            root: outcome.root.map(|root| root.to_string()),
            seconds: seconds(outcome.time),
            wire_bytes: total.bytes + total.datagrams * result.plan.config.header_bytes,
            expected: standing.expected,
            holding: standing.holding,
            hosts: outcome.rows.iter().map(row).collect(),
            events_lost,
        }
    }
}

/// The version of the events: the same for as long as kinds and fields are only added.
const SCHEMA: u32 = 1;
/// The time between two events about progress.
const PROGRESS_GAP: Duration = Duration::from_secs(1);
/// Hosts that an event about progress names.
const LATE_MAX: usize = 16;
/// Events that wait for a slow reader: some seconds' of a thousand hosts.
const LINES_MAX: usize = 16_384;
/// Time for a slow reader at the end.
const LAST_WAIT: Duration = Duration::from_secs(5);
const LAST_LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes nothing before it is let go.
    struct Slow {
        go: mpsc::Receiver<()>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.got.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_holds_nothing_up_and_gets_the_last_line() {
        let ((go, wait), got) = (mpsc::channel(), Arc::new(Mutex::new(Vec::new())));
        let mut lines = Lines::to(Slow { go: wait, got: Arc::clone(&got) }).expect("a thread");
        for i in 0..LINES_MAX + 100 {
            lines.put(format!("{i}\n"));
        }
        assert!((99..=100).contains(&lines.lost), "{}", lines.lost);
        drop(go);
        lines.put_last("last\n".to_owned());
        lines.close();
        let got = String::from_utf8(got.lock().expect("no panic").clone()).expect("text");
        assert!(got.starts_with("0\n1\n") && got.ends_with("\nlast\n"), "{} bytes", got.len());
    }

    #[test]
    fn a_reader_that_has_left_is_not_missed() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut lines = Lines::to(writer).expect("a thread");
        for _ in 0..10 {
            lines.put("nobody reads this\n".to_owned());
        }
        lines.put_last("nor this\n".to_owned());
        lines.close();
    }

    #[test]
    fn an_error_before_the_push_is_an_event_too() {
        let line = json::line(&Event::new(None, Kind::Error { exit_code: 2, reason: "no key" }));
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&event["event"], &event["exit_code"], &event["push"]),
            (&"error".into(), &2.into(), &serde_json::Value::Null)
        );
    }
}
