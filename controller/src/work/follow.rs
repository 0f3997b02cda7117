//! What the events of a child say, gathered for the database. Pure.

use serde_json::{Value, json};

use super::SenderEvent;
use super::child::ChildError;
use super::events::{Finished, FinishedHost};
use super::push::Delivered;
use crate::model::Status;
use crate::store::{EventKind, HostRow, ItemChange, ItemEnd};

/// The events of the push of one image.
#[derive(Debug)]
pub(super) struct Follow {
    position: i64,
    /// What has come since the last write.
    change: ItemChange,
    end: Option<ItemEnd>,
    delivered: Delivered,
    fault: Option<String>,
}

impl Follow {
    pub(super) fn new(position: i64) -> Self {
        let (change, delivered) = (ItemChange::default(), Delivered::default());
        Self { position, change, end: None, delivered, fault: None }
    }

    /// Takes in a line.
    pub(super) fn take(&mut self, line: &str) {
        let Ok(mut body) = serde_json::from_str::<Value>(line) else {
            tracing::warn!("a child printed a line that is no event");
            return;
        };
        let Ok(event) = serde_json::from_value::<SenderEvent>(body.clone()) else {
            tracing::warn!("a child printed an event of another form");
            return;
        };
        // What every event of the sender has is here the stream's own.
        if let Value::Object(members) = &mut body {
            for name in ["schema", "push", "event"] {
                members.remove(name);
            }
            members.insert("image".to_owned(), self.position.into());
        }
        match event {
            SenderEvent::Started { push, image, bytes, expected, hosts } => {
                self.change.session = push;
                self.change.bytes = Some(bytes);
                self.change.expected = expected;
                self.delivered.name = Some(image);
                self.delivered.bytes = Some(bytes);
                let waiting =
                    hosts.unwrap_or_default().into_iter().map(|host| self.row(host, "waiting", None));
                self.change.hosts.extend(waiting.collect::<Vec<_>>());
                // The names are rows of their own.
                if let Value::Object(members) = &mut body {
                    members.remove("hosts");
                }
                self.change.events.push((EventKind::Started, body));
            }
            SenderEvent::Host { host, state, reason, seconds } => {
                let row = HostRow { reason, ..self.row(host, &state, Some(seconds)) };
                self.change.hosts.push(row);
                self.change.events.push((EventKind::Host, body));
            }
            SenderEvent::Progress {} => {
                self.change.progress = Some(body.to_string());
                // Of several between two writes the last one counts.
                self.change.events.retain(|(kind, _)| *kind != EventKind::Progress);
                self.change.events.push((EventKind::Progress, body));
            }
            SenderEvent::Finished(finished) => self.finish(*finished, body),
            SenderEvent::Error { exit_code, reason } => {
                self.end = Some(ItemEnd {
                    status: Status::Failed,
                    reason: Some(reason),
                    exit_code: Some(exit_code),
                    root: None,
                    wire_bytes: None,
                    holding: None,
                });
                self.change.events.push((EventKind::Finished, body));
            }
            SenderEvent::Other => {}
        }
    }

    fn finish(&mut self, finished: Finished, mut body: Value) {
        let status = match finished.outcome.as_str() {
            // With --one-way nobody knows.
            "complete" | "unknown" => Status::Done,
            "incomplete" => Status::Partial,
            _ => Status::Failed,
        };
        self.delivered.root = finished.root.clone();
        let verdict = |host: &FinishedHost| (host.name.clone(), host.state.clone(), host.reason.clone());
        self.delivered.hosts = finished.hosts.iter().map(verdict).collect();
        for host in finished.hosts {
            let row = HostRow { reason: host.reason, ..self.row(host.name, &host.state, host.seconds) };
            self.change.hosts.push(row);
        }
        if let Value::Object(members) = &mut body {
            members.remove("hosts");
        }
        self.change.events.push((EventKind::Finished, body));
        self.change.expected = finished.expected;
        self.end = Some(ItemEnd {
            status,
            reason: finished.reason,
            exit_code: Some(finished.exit_code),
            root: finished.root,
            wire_bytes: Some(finished.wire_bytes),
            holding: Some(finished.holding),
        });
    }

    fn row(&self, host: String, state: &str, seconds: Option<f64>) -> HostRow {
        let millis = seconds.map(|seconds| (seconds.max(0.0) * 1_000.0) as u64);
        HostRow { position: self.position, host, state: state.to_owned(), reason: None, millis }
    }

    /// Notes that the output cannot be read.
    pub(super) fn broke(&mut self, error: &ChildError) {
        self.fault = Some(error.to_string());
    }

    /// Returns why the output cannot be read, if so.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// Returns what has come since the last call.
    pub(super) fn change(&mut self) -> ItemChange {
        std::mem::take(&mut self.change)
    }

    /// Returns how the push ended by its last event, and who holds the image.
    pub(super) fn end(&self) -> Option<(ItemEnd, Delivered)> {
        Some((self.end.clone()?, self.delivered.clone()))
    }
}

/// The body of an event that a child did not print.
pub(super) fn own_end(position: i64, reason: Option<&str>) -> Value {
    json!({"image": position, "outcome": "failed", "reason": reason})
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{"schema":1,"time":"t","push":"5e","event":"started","glancecast":"0","image":"debian","image_id":null,
        "bytes":7,"blocks":1,"hosts":["c1","c2"],"expected":2}"#;

    #[test]
    fn a_push_becomes_rows_events_and_an_end() {
        let mut follow = Follow::new(3);
        follow.take(STARTED);
        let change = follow.change();
        assert_eq!(
            (change.session.as_deref(), change.bytes, change.expected),
            (Some("5e"), Some(7), Some(2))
        );
        assert!(change.hosts.iter().all(|row| row.state == "waiting" && row.position == 3));
        assert_eq!(change.events[0].1["image"], 3);
        assert!(change.events[0].1.get("hosts").is_none() && change.events[0].1.get("schema").is_none());

        for percent in [1, 2] {
            follow.take(&format!(r#"{{"event":"progress","time":"t","percent":{percent}}}"#));
        }
        follow.take(r#"{"event":"host","time":"t","host":"c1","state":"joined","cause":null,"reason":null,"seconds":0.25}"#);
        let change = follow.change();
        assert_eq!(change.events.len(), 2, "the last progress counts");
        assert!(change.progress.expect("progress").contains("\"percent\":2"));
        assert_eq!((change.hosts[0].host.as_str(), change.hosts[0].millis), ("c1", Some(250)));

        follow.take("nonsense");
        follow.take(r#"{"event":"finished","time":"t","outcome":"incomplete","exit_code":3,"reason":"c2 is missing","root":"ab",
            "seconds":1.0,"wire_bytes":9,"expected":2,"holding":1,"hosts":[{"name":"c1","state":"done","reason":null,"seconds":1.0},
            {"name":"c2","state":"never_answered","reason":"it was not heard","seconds":null}],"events_lost":0}"#);
        let (end, delivered) = follow.end().expect("an end");
        assert_eq!((end.status, end.holding), (Status::Partial, Some(1)));
        let states: Vec<(&str, &str)> =
            delivered.hosts.iter().map(|(host, state, _)| (host.as_str(), state.as_str())).collect();
        assert_eq!(states, [("c1", "done"), ("c2", "never_answered")]);
        assert_eq!((delivered.root.as_deref(), delivered.name.as_deref()), (Some("ab"), Some("debian")));
        assert_eq!(follow.change().hosts.len(), 2);
    }

    #[test]
    fn a_push_that_did_not_begin_has_failed() {
        let mut follow = Follow::new(0);
        follow.take(r#"{"schema":1,"time":"t","push":null,"event":"error","exit_code":2,"reason":"no key"}"#);
        let (end, delivered) = follow.end().expect("an end");
        assert_eq!((end.status, end.reason.as_deref()), (Status::Failed, Some("no key")));
        assert_eq!(delivered, Delivered::default());
    }
}
