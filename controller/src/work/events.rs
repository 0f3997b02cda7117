//! The events of `glancecast send --events`, as docs/events.schema.json has them. Kinds and members that are not known are
//! passed over: a newer sender may have more.

use serde::Deserialize;

/// An event of the sender.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SenderEvent {
    /// The push begins.
    Started {
        /// The sender's id of the session.
        push: Option<String>,
        /// The name of the image on the hosts.
        image: String,
        /// Its length.
        bytes: u64,
        /// The number of hosts that are expected; `None` if every host is meant.
        expected: Option<u64>,
        /// The names of the hosts that are expected.
        #[serde(default)]
        hosts: Option<Vec<String>>,
    },
    /// A host changes.
    Host {
        /// The host.
        host: String,
        /// What has become of it.
        state: String,
        /// Why, for people.
        reason: Option<String>,
        /// Seconds since the start.
        seconds: f64,
    },
    /// How far the push is.
    Progress {},
    /// The push has ended.
    Finished(Box<Finished>),
    /// No push began.
    Error {
        /// The exit code.
        exit_code: i64,
        /// Why.
        reason: String,
    },
    /// Another kind.
    #[serde(other)]
    Other,
}

/// The end of a push.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Finished {
    /// `complete`, `incomplete`, `failed` or `unknown`.
    pub outcome: String,
    /// The exit code.
    pub exit_code: i64,
    /// Why, for people.
    pub reason: Option<String>,
    /// BLAKE3 of the image.
    pub root: Option<String>,
    /// Bytes on the wire.
    pub wire_bytes: u64,
    /// Hosts that are expected.
    pub expected: Option<u64>,
    /// Those of them that hold the image.
    pub holding: u64,
    /// The hosts.
    pub hosts: Vec<FinishedHost>,
}

/// A host at the end of a push.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct FinishedHost {
    /// The host.
    pub name: String,
    /// What has become of it.
    pub state: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Seconds since the start of the push.
    pub seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_what_is_not_known_is_passed_over() {
        let read = |text: &str| serde_json::from_str::<SenderEvent>(text);
        let host = r#"{"schema":1,"time":"t","push":"5e","event":"host","host":"c1","state":"done","cause":null,"reason":null,"seconds":1.5,"new":1}"#;
        assert!(matches!(read(host).expect("known"), SenderEvent::Host { host, .. } if host == "c1"));
        let progress = r#"{"event":"progress","percent":5,"hosts":{"expected":1},"late":[]}"#;
        assert_eq!(read(progress).expect("known"), SenderEvent::Progress {});
        assert_eq!(read(r#"{"event":"weather","rain":true}"#).expect("passed over"), SenderEvent::Other);
        let finished = r#"{"event":"finished","outcome":"incomplete","exit_code":3,"reason":"1 is missing","root":null,
            "seconds":2.0,"wire_bytes":9,"expected":2,"holding":1,"hosts":[{"name":"c1","state":"existing","reason":null,
            "seconds":null}],"events_lost":0}"#;
        let SenderEvent::Finished(finished) = read(finished).expect("known") else { panic!("another kind") };
        assert_eq!((finished.hosts[0].state.as_str(), finished.exit_code), ("existing", 3));
        assert!(read("{\"event\":\"host\"}").is_err() && read("progress").is_err());
    }
}
