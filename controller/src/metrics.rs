//! What Prometheus scrapes, at a listener of its own. No label has an image or a host.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::model::Status;
use crate::store::ItemEnd;

/// The counts of this controller.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pushes: Family<ResultLabel, Counter>,
    durations: Histogram,
    bytes: Counter,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram>,
    validations: Family<ResultLabel, Counter>,
    queue: Gauge,
    leads: Gauge,
    inventory_age: Gauge<f64, AtomicU64>,
}

/// What came of something.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: Verb,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// The methods of HTTP that have a meaning here: a client that makes up methods makes no series.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum Verb {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// Another one.
    Other,
}

/// What is read when somebody scrapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings {
    /// Pushes that wait.
    pub queue_depth: Option<u64>,
    /// Whether this controller leads.
    pub leads: bool,
    /// The age of the oldest host's answer.
    pub inventory_age: Option<Duration>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("glancecast");
        let pushes = Family::default();
        registry.register("pushes", "Pushes that have ended, by their result", pushes.clone());
        let durations = Histogram::new(PUSH_SECONDS);
        registry.register_with_unit(
            "push_duration",
            "Time from the first child of a push to its end",
            Unit::Seconds,
            durations.clone(),
        );
        let bytes = Counter::default();
        registry.register("push_wire_bytes", "Bytes that senders have put on the wire", bytes.clone());
        let requests = Family::default();
        registry.register("http_requests", "Requests to the API", requests.clone());
        let request_seconds = Family::new_with_constructor(request_histogram as fn() -> Histogram);
        registry.register_with_unit(
            "http_request_duration",
            "Time until an answer began",
            Unit::Seconds,
            request_seconds.clone(),
        );
        let validations = Family::default();
        registry.register("keystone_validations", "Questions to Keystone about tokens", validations.clone());
        let queue = Gauge::default();
        registry.register("queue_depth", "Pushes that wait for their turn", queue.clone());
        let leads = Gauge::default();
        registry.register("leader", "1 if this controller pushes, 0 if another one does", leads.clone());
        let inventory_age = Gauge::default();
        registry.register_with_unit(
            "inventory_age",
            "Age of the oldest answer of a host that is known",
            Unit::Seconds,
            inventory_age.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of glancecast-controller", build);
        Self {
            registry,
            pushes,
            durations,
            bytes,
            requests,
            request_seconds,
            validations,
            queue,
            leads,
            inventory_age,
        }
    }
}

impl Metrics {
    /// Counts a push that has ended.
    pub fn push_ended(&self, status: Status, time: Duration) {
        self.pushes.get_or_create(&ResultLabel { result: status.name() }).inc();
        self.durations.observe(time.as_secs_f64());
    }

    /// Counts the bytes of an image that has ended.
    pub fn image_ended(&self, end: &ItemEnd) {
        self.bytes.inc_by(end.wire_bytes.unwrap_or(0));
    }

    /// Counts an answer. `route` is the pattern of the path, not the path.
    pub fn answered(&self, method: Verb, route: &str, code: u16, time: Duration) {
        let labels = RequestLabels { method, route: route.to_owned(), code };
        self.requests.get_or_create(&labels).inc();
        let label = RouteLabel { route: route.to_owned() };
        self.request_seconds.get_or_create(&label).observe(time.as_secs_f64());
    }

    /// Takes over how often Keystone was asked, by what it said.
    pub fn validated(&self, results: [(&'static str, u64); 4]) {
        for (result, total) in results {
            let counter = self.validations.get_or_create(&ResultLabel { result });
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// Returns all counts as text.
    pub fn text(&self, readings: Readings) -> String {
        if let Some(depth) = readings.queue_depth {
            self.queue.set(i64::try_from(depth).unwrap_or(i64::MAX));
        }
        self.leads.set(i64::from(readings.leads));
        if let Some(age) = readings.inventory_age {
            self.inventory_age.set(age.as_secs_f64());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }
}

fn request_histogram() -> Histogram {
    Histogram::new(REQUEST_SECONDS)
}

const PUSH_SECONDS: [f64; 9] = [1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 7_200.0, 28_800.0];
const REQUEST_SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_prefix_and_units() {
        let metrics = Metrics::default();
        metrics.push_ended(Status::Done, Duration::from_secs(2));
        metrics.answered(Verb::Get, "/v1/pushes/{id}", 200, Duration::from_millis(2));
        metrics.validated([("valid", 3), ("invalid", 1), ("failed", 0), ("cached", 9)]);
        metrics.validated([("valid", 4), ("invalid", 1), ("failed", 0), ("cached", 9)]);
        let text = metrics.text(Readings { queue_depth: Some(2), leads: true, inventory_age: None });
        for line in [
            "glancecast_pushes_total{result=\"done\"} 1",
            "glancecast_push_duration_seconds_count 1",
            "glancecast_http_requests_total{method=\"Get\",route=\"/v1/pushes/{id}\",code=\"200\"} 1",
            "glancecast_keystone_validations_total{result=\"valid\"} 4",
            "glancecast_queue_depth 2",
            "glancecast_leader 1",
            "glancecast_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
