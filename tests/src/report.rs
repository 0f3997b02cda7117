//! The output of `glancecast send --json` as the scenarios read it: exactly one object on standard output.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole report.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Report {
    pub outcome: String,
    pub exit_code: i32,
    pub reason: Option<String>,
    pub session: String,
    pub signed_by: Option<String>,
    pub interface: String,
    pub address: String,
    pub mtu: u16,
    pub ttl: u8,
    pub dscp: u8,
    pub object: Object,
    pub content: Content,
    pub base: Option<String>,
    pub spared: Spared,
    pub root: Option<String>,
    pub seconds: f64,
    pub rate_bits_per_second: u64,
    pub rate_adapts: bool,
    pub wire: Wire,
    pub stages: Vec<Stage>,
    #[serde(default)]
    pub outages: Outages,
    pub hosts: Vec<Host>,
    pub skipped: Vec<Skipped>,
    pub confirm: Option<Vec<Confirmation>>,
}

/// A host that Nova reports as not in use.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Skipped {
    pub name: String,
    pub reason: String,
}

/// Nova's response to caching the image on an aggregate.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Confirmation {
    pub aggregate: String,
    pub asked: bool,
    pub answer_must_be: String,
    pub reason: Option<String>,
}

/// When the sender's own network took nothing.
#[derive(Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Outages {
    pub times: u32,
    pub seconds: f64,
    pub reason: Option<String>,
}

/// A stage of the sender's pipeline.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Stage {
    pub stage: String,
    pub seconds: f64,
    pub bytes: u64,
}

/// The pushed object.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Object {
    pub name: String,
    pub image_id: Option<String>,
    pub format: String,
    pub bytes: u64,
    pub verified_by: Option<String>,
    pub blocks: u64,
    pub block_bytes: u64,
    pub symbol_bytes: u64,
    pub datagram_bytes: u64,
}

/// The kinds of content in the object.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Content {
    pub data_bytes: u64,
    pub encoded_bytes: u64,
    pub zero_blocks: u64,
    pub stored_blocks: u64,
    pub zstd_blocks: u64,
}

/// Blocks that were not sent at all.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Spared {
    pub blocks: u64,
    pub bytes: u64,
}

/// The datagrams on the wire.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Wire {
    pub datagrams: u64,
    pub bytes: u64,
    pub frame_bytes: u64,
    pub kinds: BTreeMap<String, Kind>,
}

/// The datagrams of one kind.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Kind {
    pub datagrams: u64,
    pub bytes: u64,
}

/// The row of one host.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the JSON object, which the sender documents")]
pub struct Host {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub sidelined: Option<String>,
    pub seconds: Option<f64>,
    pub symbols_lost: u64,
    pub symbols_repaired: u64,
    pub bytes_received: u64,
    pub socket_drops: u64,
    pub store_drops: u64,
    pub symbols_forged: u64,
    pub blocks_reused: u64,
}

impl Report {
    /// Parses the report; panics on any other output.
    #[track_caller]
    pub fn parse(output: &str) -> Self {
        serde_json::from_str(output)
            .unwrap_or_else(|error| panic!("standard output is not one report ({error}): {output:?}"))
    }

    /// Returns a host's row.
    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        let mut rows = self.hosts.iter().filter(|host| host.name == name);
        let row = rows.next().unwrap_or_else(|| panic!("no row for {name} in {:?}", self.hosts));
        assert!(rows.next().is_none(), "two rows for {name} in {:?}", self.hosts);
        row
    }

    /// Asserts that the rows are exactly these hosts, each with its state.
    #[track_caller]
    pub fn assert_hosts(&self, expected: &[(&str, &str)]) {
        let mut rows: Vec<_> =
            self.hosts.iter().map(|host| (host.name.as_str(), host.state.as_str())).collect();
        rows.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(rows, expected, "{:?}", self.hosts);
    }

    /// The seconds that the object's symbols take in full datagrams on an IPv4 line of this rate: the shortest time
    /// possible without loss.
    pub fn line_seconds(&self, bits_per_second: f64) -> f64 {
        const HEADERS: u64 = 14 + 20 + 8;
        let datagrams = self.object.bytes as f64 / self.object.symbol_bytes as f64;
        datagrams * (self.object.datagram_bytes + HEADERS) as f64 * 8.0 / bits_per_second
    }

    /// The bytes on the wire, relative to the least that could carry the object: its bytes in full datagrams.
    pub fn overhead(&self) -> f64 {
        let least =
            self.object.bytes as f64 * self.object.datagram_bytes as f64 / self.object.symbol_bytes as f64;
        self.wire.bytes as f64 / least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_one_when_only_full_symbols_were_sent() {
        let report = Report::parse(TEN_SYMBOLS);
        assert!((report.overhead() - 1.0).abs() < 1e-9, "{}", report.overhead());
        report.assert_hosts(&[("r1", "done"), ("r2", "never_answered")]);
        assert_eq!(report.host("r2").seconds, None);
    }

    const TEN_SYMBOLS: &str = r#"{
        "outcome": "incomplete", "exit_code": 3, "reason": null, "session": "00112233445566778899aabbccddeeff",
        "interface": "eth0", "address": "10.0.0.1", "mtu": 1468, "ttl": 1, "dscp": 8,
        "object": {"name": "i", "image_id": null, "format": "raw", "bytes": 14000, "blocks": 1, "block_bytes": 1048576,
                   "symbol_bytes": 1400, "datagram_bytes": 1440},
        "content": {"data_bytes": 14000, "encoded_bytes": 14000, "zero_blocks": 0, "stored_blocks": 1, "zstd_blocks": 0},
        "base": null, "spared": {"blocks": 0, "bytes": 0}, "root": null, "seconds": 0.5, "rate_bits_per_second": 1000000, "rate_adapts": false,
        "wire": {"datagrams": 10, "bytes": 14400, "frame_bytes": 14860,
                 "kinds": {"source": {"datagrams": 10, "bytes": 14400}}},
        "stages": [{"stage": "send", "seconds": 0.25, "bytes": 14400}],
        "hosts": [
          {"name": "r2", "state": "never_answered", "reason": "never answered", "sidelined": null, "seconds": null, "symbols_lost": 0,
           "symbols_repaired": 0, "bytes_received": 0, "socket_drops": 0, "store_drops": 0, "symbols_forged": 0, "blocks_reused": 0},
          {"name": "r1", "state": "done", "reason": null, "sidelined": null, "seconds": 0.4, "symbols_lost": 0, "symbols_repaired": 0,
           "bytes_received": 14400, "socket_drops": 0, "store_drops": 0, "symbols_forged": 0, "blocks_reused": 0}],
        "skipped": [], "confirm": null}"#;
}
