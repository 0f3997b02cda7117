//! How far the replacement of a group key is: the table, and `--json`.

use glancecast_proto::ids::HostName;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::columns::{Room, Side, columns, fitted};
use super::{Outages, outages};
use crate::request::{OldKey, Progress, RekeyHost, RekeyResult};

/// Returns a row for each host, what has become of both keys, and the next step, in lines that fit the room.
pub(crate) fn text(result: &RekeyResult, room: Room) -> String {
    if result.hosts.is_empty() {
        let into = printable(&result.into.display().to_string());
        return format!("{into} is not being replaced: nothing is left to do\n");
    }
    let row = |(name, host): (&HostName, &RekeyHost)| {
        let reason = host.reason.clone().unwrap_or_else(|| "-".to_owned());
        [name.to_string(), word(host.progress).to_owned(), reason]
    };
    let rows: Vec<[String; 3]> = result.hosts.iter().map(row).collect();
    let mut text = columns(room, ["HOST", "STATE", "WHY"], [Side::Left; 3], &rows);
    let [awaited, has, finished, left_out] =
        [Progress::Awaited, Progress::Has, Progress::Finished, Progress::LeftOut].map(|at| result.count(at));
    let counts = format!(
        "{} of {} hosts have the new key; {awaited} awaited, {left_out} left out",
        has + finished,
        has + finished + awaited
    );
    text.push('\n');
    for line in [counts, keys(result), outages(&result.outages).trim_end().to_owned(), next_step(result)] {
        if !line.is_empty() {
            text.push_str(&fitted(&line, room));
        }
    }
    text
}

fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Awaited => "awaited",
        Progress::Has => "has both keys",
        Progress::Finished => "has the new key",
        Progress::LeftOut => "left out",
    }
}

/// What has become of both keys.
fn keys(result: &RekeyResult) -> String {
    let into = printable(&result.into.display().to_string());
    match (result.installed, result.finished) {
        (false, _) => format!("{into} is unchanged, as no host has the new key yet"),
        (true, true) => {
            format!("{into} has the new key; the old one is retired on every host and removed here")
        }
        (true, false) => {
            let record = printable(&result.record.display().to_string());
            format!("{into} has the new key; the old one is kept in {record}")
        }
    }
}

fn next_step(result: &RekeyResult) -> String {
    let (awaited, has) = (result.count(Progress::Awaited), result.count(Progress::Has));
    match (result.finished, awaited, has) {
        (true, ..) => "next: give this key file to the other controllers, and to hosts that are installed anew".to_owned(),
        (false, 0, _) if result.old_key == OldKey::Kept => {
            "next: give this key file to the other controllers, then run the same command with --finish".to_owned()
        }
        (false, 0, _) => "incomplete: run the same command with --finish, for hosts that still have both keys".to_owned(),
        (false, _, 0) => "incomplete: run the same command with --resume once the awaited hosts are back".to_owned(),
        (false, ..) => {
            "incomplete: run the same command with --resume once the awaited hosts are back; until the old key is retired, \
             who has it reads what is sent under it: --finish retires it now on the hosts that have the new one"
                .to_owned()
        }
    }
}

/// The output of `--json`; docs/json.md describes it.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    glancecast: &'static str,
    key: String,
    installed: bool,
    finished: bool,
    exit_code: u8,
    outages: Outages<'a>,
    hosts: Vec<Host<'a>>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(result: &'a RekeyResult) -> Self {
        let host = |(name, host): (&'a HostName, &'a RekeyHost)| Host {
            name: name.as_str(),
            state: host.progress.name(),
            reason: host.reason.as_deref(),
        };
        Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            key: result.into.display().to_string(),
            installed: result.installed,
            finished: result.finished,
            exit_code: result.exit_code(),
            outages: Outages::of(&result.outages),
            hosts: result.hosts.iter().map(host).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json;
    use crate::pipeline::line::OutageReport;

    #[test]
    fn who_has_it_who_is_off_and_what_to_do_next() {
        let result =
            result(&[("c1", Progress::Has), ("c2", Progress::Awaited), ("c7", Progress::LeftOut)], false);
        let text = text(&result, Room::Unbounded);
        for says in [
            "c1    has both keys  -",
            "c2    awaited        off",
            "c7    left out       -",
            "1 of 2 hosts have the new key; 1 awaited, 1 left out",
            "/etc/group.key has the new key; the old one is kept in /etc/group.key.rekey\n",
            "incomplete: run the same command with --resume",
            "--finish",
        ] {
            assert!(text.contains(says), "{says} is not in\n{text}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&json::to_string(&Report::new(&result))).expect("JSON");
        assert_eq!(
            json["hosts"][1],
            serde_json::json!({ "name": "c2", "state": "awaited", "reason": "off" })
        );
        assert_eq!((&json["installed"], &json["exit_code"]), (&true.into(), &3.into()));
    }

    #[test]
    fn each_end_names_its_next_step() {
        let done = result(&[("c1", Progress::Finished)], true);
        assert!(
            shown(&done).contains("retired on every host and removed here")
                && shown(&done).contains("\nnext: ")
        );
        let kept = RekeyResult { old_key: OldKey::Kept, ..result(&[("c1", Progress::Has)], false) };
        assert!(shown(&kept).contains("then run the same command with --finish"));
        assert_eq!(
            shown(&self::result(&[], true)),
            "/etc/group.key is not being replaced: nothing is left to do\n"
        );
        let none = RekeyResult { installed: false, ..result(&[("c1", Progress::Awaited)], false) };
        assert!(shown(&none).contains("is unchanged") && shown(&none).contains("--resume"));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let hosts = [("c1", Progress::Has), ("compute-2", Progress::Awaited), ("c7", Progress::LeftOut)];
        let text = text(&result(&hosts, false), Room::Columns(60));
        assert!(text.lines().all(|line| crate::output::width::width(line) <= 60), "{text}");
        assert!(text.contains("--finish"), "{text}");
    }

    fn shown(result: &RekeyResult) -> String {
        text(result, Room::Unbounded)
    }

    fn result(hosts: &[(&str, Progress)], finished: bool) -> RekeyResult {
        let host = |&(name, progress): &(&str, Progress)| {
            let reason = (progress == Progress::Awaited).then(|| "off".to_owned());
            (HostName::new(name).expect("plain"), RekeyHost { progress, reason })
        };
        RekeyResult {
            into: "/etc/group.key".into(),
            record: "/etc/group.key.rekey".into(),
            installed: true,
            finished,
            hosts: hosts.iter().map(host).collect(),
            old_key: OldKey::Retired,
            outages: OutageReport::default(),
        }
    }
}
