//! Asks all hosts what they hold: a child `glancecast hosts --json`, whose report becomes rows.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_proto::time::WallClock;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::limits::{COPIES_PER_HOST_MAX, REPORT_BYTES_MAX};
use crate::model::{Cloud, Copy, Inventory, Pinned, parse_time};
use crate::store::HostsFilter;
use crate::work::Context;

/// Asks the hosts of a profile, and writes what they say. A question that fails changes nothing.
pub(super) async fn ask(
    context: &Context,
    profile: Option<&str>,
    cloud: Option<&Cloud>,
    shutdown: &mut watch::Receiver<bool>,
) {
    let asked_at = wall();
    let words = context.launcher.front(profile).inventory();
    let mut child = match context.launcher.start(words) {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!("hosts cannot be asked: glancecast cannot be started: {error}");
            return;
        }
    };
    let signaller = child.signaller();
    let output = tokio::select! {
        output = tokio::time::timeout(QUERY_TIME, child.output(REPORT_BYTES_MAX)) => output,
        () = ends(shutdown) => {
            signaller.kill();
            let _ = child.wait().await;
            return;
        }
    };
    if !matches!(output, Ok(Ok(_))) {
        signaller.kill();
    }
    let ended = child.wait().await;
    let bytes = match (output, ended) {
        (Ok(Ok(bytes)), Ok(ended)) if !bytes.is_empty() => {
            tracing::debug!(end = ended.words(), "hosts were asked");
            bytes
        }
        (Ok(Err(error)), _) => return tracing::warn!("hosts cannot be asked: {error}"),
        (Err(_), _) => {
            return tracing::warn!("hosts cannot be asked: it took more than {} s", QUERY_TIME.as_secs());
        }
        (_, Ok(ended)) => return tracing::warn!("hosts cannot be asked: {}", ended.words()),
        (_, Err(error)) => return tracing::warn!("hosts cannot be asked: {error}"),
    };
    let said = match read(&bytes, asked_at) {
        Ok(said) => said,
        Err(reason) => return tracing::warn!("what hosts hold is not known: {reason}"),
    };
    let name = profile.unwrap_or_default();
    let known = context.store.hosts(name, &HostsFilter::default()).await.unwrap_or_default();
    let known = known.into_iter().map(|host| host.host);
    let in_nova = cloud.into_iter().flat_map(|cloud| cloud.hosts.iter().map(|host| host.name.clone()));
    let said = with_silent(said, known.chain(in_nova).collect(), asked_at);
    let count = said.iter().filter(|host| host.answered_at.is_some()).count();
    match context.store.store_inventory(name, &said).await {
        Ok(()) => tracing::info!(profile = name, answered = count, known = said.len(), "asked the hosts"),
        Err(error) => tracing::warn!(%error, "what hosts hold cannot be written"),
    }
}

/// Waits until the program ends.
async fn ends(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Adds the hosts that are known and did not answer.
fn with_silent(mut said: Vec<Inventory>, known: BTreeSet<String>, asked_at: WallClock) -> Vec<Inventory> {
    let heard: BTreeSet<String> = said.iter().map(|host| host.host.clone()).collect();
    said.extend(known.difference(&heard).map(|host| Inventory {
        host: host.clone(),
        asked_at,
        answered_at: None,
        state: "never_answered".to_owned(),
        reason: Some("it did not answer the last question".to_owned()),
        software: None,
        free_bytes: None,
        digest: None,
        copies: Vec::new(),
    }));
    said
}

/// Reads a report as docs/json.md has it. Members that are not known are passed over.
fn read(bytes: &[u8], asked_at: WallClock) -> Result<Vec<Inventory>, String> {
    let report: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Some(hosts) = report["hosts"].as_array() else {
        let reason = report["reason"].as_str().unwrap_or("the report has no hosts");
        return Err(reason.to_owned());
    };
    hosts
        .iter()
        .map(|host| {
            let row = Row::deserialize(host).map_err(|error| error.to_string())?;
            Ok(row.inventory(asked_at))
        })
        .collect()
}

/// A host in the report.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    state: String,
    reason: Option<String>,
    software: Option<String>,
    free_bytes: Option<u64>,
    digest: Option<String>,
    objects: Vec<Object>,
}

/// A copy in the report.
#[derive(Debug, Deserialize)]
struct Object {
    name: String,
    image_id: Option<String>,
    bytes: u64,
    root: String,
    pinned: String,
    pinned_until: Option<String>,
}

impl Row {
    fn inventory(self, asked_at: WallClock) -> Inventory {
        let has_answered = self.state == "answered";
        let copies = self.objects.into_iter().take(COPIES_PER_HOST_MAX).map(Object::copy);
        Inventory {
            host: self.name,
            asked_at,
            answered_at: has_answered.then(wall),
            state: self.state,
            reason: self.reason,
            software: self.software,
            free_bytes: self.free_bytes,
            digest: self.digest,
            copies: copies.collect(),
        }
    }
}

impl Object {
    fn copy(self) -> Copy {
        let until = self.pinned_until.as_deref().and_then(parse_time);
        let pinned = match (self.pinned.as_str(), until) {
            ("forever", _) => Pinned::Forever,
            ("until", Some(at)) => Pinned::Until(at.0),
            _ => Pinned::No,
        };
        Copy { name: self.name, image_id: self.image_id, bytes: self.bytes, root: self.root, pinned }
    }
}

/// Longest time of a question: 10 000 hosts answer within a minute.
const QUERY_TIME: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_hosts_and_copies_and_the_silent_are_named() {
        let report = br#"{"schema":1,"query":"hosts","outcome":"complete","hosts":[
            {"name":"c1","expected":false,"state":"answered","reason":null,"software":"glancecastd 0.1.0","free_bytes":7,"digest":"d",
             "objects":[{"name":"debian","image_id":null,"bytes":5,"root":"ab","proven":null,"pinned":"until",
                         "pinned_until":"1970-01-01T00:00:07.000Z","verdict":"held"}],"new":1},
            {"name":"c2","state":"busy","reason":"too many queries","software":null,"free_bytes":null,"digest":null,"objects":[]}]}"#;
        let said = read(report, WallClock(3)).expect("a report");
        assert_eq!(said[0].copies[0].pinned, Pinned::Until(7_000));
        assert!(said[0].answered_at.is_some() && said[1].answered_at.is_none());
        let known = ["c2", "c3"].map(str::to_owned).into();
        let all = with_silent(said, known, WallClock(3));
        let states: Vec<(&str, &str)> =
            all.iter().map(|host| (host.host.as_str(), host.state.as_str())).collect();
        assert_eq!(states, [("c1", "answered"), ("c2", "busy"), ("c3", "never_answered")]);
    }

    #[test]
    fn a_report_that_is_none_says_why() {
        let early = br#"{"schema":1,"outcome":"failed","exit_code":2,"reason":"no key: give --key"}"#;
        assert_eq!(read(early, WallClock(0)), Err("no key: give --key".to_owned()));
        assert!(read(b"glancecast: panic", WallClock(0)).is_err());
    }
}
