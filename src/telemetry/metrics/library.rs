//! What whatsapp-rust counts of itself, by its feature `metrics`: it goes onto the same page. Its labels have few values, and none is a
//! tenant's, a person's or a message's.
//!
//! Its gauges are left out: `wa_connected` is one for all sessions, and each of them sets it. `sessiond_sessions` says that.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

/// Its names begin so.
pub const PREFIX: &str = "wa_";

/// Takes what any part of the process counts with the crate `metrics`: nobody but the library does.
struct LibraryRecorder(&'static PrometheusRecorder);

/// From now on the library counts here.
pub fn install(recorder: &'static PrometheusRecorder) {
    if metrics::set_global_recorder(LibraryRecorder(recorder)).is_ok() {
        whatsapp_rust::telemetry::describe();
    }
}

impl Recorder for LibraryRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_counter(name, unit, description);
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_histogram(name, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.0.register_counter(key, metadata)
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.0.register_histogram(key, metadata)
    }
}
