//! `glancecast hosts --forget`: removes hosts from the file of known hosts, without the network and without a key.

use std::fmt::Write;
use std::path::Path;

use glancecast_platform::cli;
use glancecast_platform::known_hosts::{self, Forgotten};
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::args::{HostsArgs, joined};
use super::{Failure, print_outcome};
use crate::output::json;
use crate::request::RequestError;

/// Removes the hosts and prints which were known.
pub(super) fn run(args: &HostsArgs) -> Result<u8, Failure> {
    let file = args.query.known.options().path()?;
    let names = joined(args.forget.clone())?.names();
    let forgotten = known_hosts::forget(&file, &names).map_err(RequestError::from)?;
    match args.query.output.json() {
        true => print_outcome(&json::line(&Report::new(&file, &forgotten))),
        false => print_outcome(&text(&file, &forgotten)),
    }
    Ok(cli::EXIT_OK)
}

fn text(file: &Path, forgotten: &Forgotten) -> String {
    let file = printable(&file.display().to_string());
    let mut text = String::new();
    for host in &forgotten.removed {
        let _ = writeln!(text, "{}: forgotten, with its key {}", host.name, host.key);
    }
    for name in &forgotten.not_known {
        let _ = writeln!(text, "{name}: is not in {file}");
    }
    text
}

/// The output of `--json`; docs/json.md describes it.
#[derive(Serialize)]
struct Report<'a> {
    glancecast: &'static str,
    known_hosts: String,
    forgotten: Vec<Host<'a>>,
    not_known: Vec<&'a str>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    key: String,
}

impl<'a> Report<'a> {
    fn new(file: &Path, forgotten: &'a Forgotten) -> Self {
        let host =
            |host: &'a known_hosts::KnownHost| Host { name: host.name.as_str(), key: host.key.to_string() };
        Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            known_hosts: file.display().to_string(),
            forgotten: forgotten.removed.iter().map(host).collect(),
            not_known: forgotten.not_known.iter().map(|name| name.as_str()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use glancecast_proto::ids::HostName;
    use glancecast_proto::sign::PublicKey;

    use super::*;
    use crate::cli::args::{Args, Command};

    #[test]
    fn what_is_forgotten_is_printed_and_the_rest_stays() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("known_hosts");
        fs::write(&file, format!("# ours\nc1 {KEY}\nc2 {KEY}\n")).expect("writable");
        let line = format!("glancecast hosts --forget c1,c9 --known-hosts {}", file.display());
        let Command::Hosts(args) = Args::try_parse_from(line.split(' ')).expect("a command").command else {
            panic!("not that command")
        };
        assert_eq!(run(&args).ok(), Some(cli::EXIT_OK));
        assert_eq!(fs::read_to_string(&file).expect("readable"), format!("# ours\nc2 {KEY}\n"));
        assert_eq!(run(&args).ok(), Some(cli::EXIT_OK), "once more");
        fs::write(&file, "c1\n").expect("writable");
        let failure = run(&args).expect_err("damaged");
        assert!(failure.code() == cli::EXIT_USAGE && failure.message().contains("line 1"), "{failure:?}");
    }

    #[test]
    fn a_line_is_printed_for_each_name() {
        let name = |text| HostName::new(text).expect("a name");
        let key: PublicKey = KEY.parse().expect("a key");
        let removed = vec![known_hosts::KnownHost { name: name("c1"), key }];
        let forgotten = Forgotten { removed, not_known: vec![name("c9")] };
        let file = Path::new("/etc/known");
        assert_eq!(
            text(file, &forgotten),
            format!("c1: forgotten, with its key {KEY}\nc9: is not in /etc/known\n")
        );
        let json = json::to_string(&Report::new(file, &forgotten));
        let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(report["forgotten"], serde_json::json!([{ "name": "c1", "key": KEY }]));
        assert_eq!(report["not_known"], serde_json::json!(["c9"]));
        assert_eq!(report["known_hosts"], "/etc/known");
    }

    const KEY: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
}
