//! Spans, to a collector over OTLP/HTTP. The processor gathers them in a queue of a bounded length and sends them in batches, from a
//! thread of its own; what does not fit is dropped.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _},
};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::SpanName;
use crate::{config::Traces, tenant::TenantId};

/// How long the collector may take for a batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last batch may take when the process ends.
const LAST_BATCH_TIMEOUT: Duration = Duration::from_secs(3);

static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    sample: f64,
}

/// Exports from now on, if there is somewhere to. A second call does nothing. `instance`: by which processes name this one.
/// What goes wrong is logged: the daemon serves without traces too.
pub fn install(settings: &Traces, instance: &str) {
    if let Some(endpoint) = &settings.endpoint
        && let Err(error) = begin(endpoint, settings.sample, instance)
    {
        // The address was read with the configuration: it is not what is wrong, and not told here.
        error!(event = "traces_off", %error, "traces are not exported");
    }
}

fn begin(endpoint: &str, sample: f64, instance: &str) -> anyhow::Result<()> {
    let client = CollectorClient { http: client()?, runtime: Handle::current(), is_failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(BATCH_TIMEOUT)
        .with_http_client(client)
        .build()?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource::builder()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", version))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    processor.set_resource(&resource);
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(version).build();
    let _ = EXPORT.set(Export { processor: Arc::new(processor), scope, sample });
    // Not where to: the address may have a key.
    info!(event = "traces_on", sample, "traces are exported");
    Ok(())
}

pub fn is_on() -> bool {
    EXPORT.get().is_some()
}

/// Something with a message has just ended that took so long.
pub fn message(tenant: &TenantId, id: &str, name: SpanName, took: Duration) {
    if let Some(export) = EXPORT.get() {
        let attributes = vec![KeyValue::new("message.id", id.to_owned())];
        export.tell(Trace::of(&["message", tenant.as_str(), id]), tenant, name, took, attributes);
    }
}

/// A tenant was opened, which took so long.
#[expect(clippy::disallowed_methods, reason = "a trace tells of the real time, and nobody may choose its ids")]
pub fn opening(tenant: &TenantId, took: Duration) {
    if let Some(export) = EXPORT.get() {
        // Each is of its own.
        let nonce = rand::random::<u64>().to_string();
        export.tell(Trace::of(&["opening", tenant.as_str(), &nonce]), tenant, SpanName::Opened, took, Vec::new());
    }
}

/// One side of a handover. `last`: the last entry that the process wrote which lets go; both know it.
pub fn handover(tenant: &TenantId, last: u64, name: SpanName, took: Duration) {
    if let Some(export) = EXPORT.get() {
        let last = last.to_string();
        export.tell(Trace::of(&["handover", tenant.as_str(), &last]), tenant, name, took, Vec::new());
    }
}

/// Sends what is left.
pub async fn shut_down() {
    let Some(export) = EXPORT.get() else { return };
    let processor = export.processor.clone();
    // It waits for its thread, which waits for a request of this runtime's.
    let ending = tokio::task::spawn_blocking(move || processor.shutdown_with_timeout(LAST_BATCH_TIMEOUT));
    if !matches!(ending.await, Ok(Ok(()))) {
        warn!(event = "traces_unsent", "the last traces were not sent");
    }
}

/// The ids of a trace and of its first span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: [u8; 16],
    first: [u8; 8],
}

impl Trace {
    fn of(names: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for name in names {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut trace = Self { id: [0; 16], first: [0; 8] };
        trace.id.copy_from_slice(&hash[..16]);
        trace.first.copy_from_slice(&hash[16..24]);
        trace
    }

    /// By the id alone, so that all processes agree.
    fn is_sampled(self, part: f64) -> bool {
        let [.., a, b, c, d] = self.id;
        f64::from(u32::from_be_bytes([a, b, c, d])) < part * (f64::from(u32::MAX) + 1.0)
    }
}

impl Export {
    #[expect(clippy::disallowed_methods, reason = "a trace tells of the real time, and nobody may choose its ids")]
    fn tell(&self, trace: Trace, tenant: &TenantId, name: SpanName, took: Duration, mut attributes: Vec<KeyValue>) {
        if !trace.is_sampled(self.sample) {
            return;
        }
        attributes.push(KeyValue::new("tenant", tenant.as_str().to_owned()));
        let first = SpanId::from_bytes(trace.first);
        let (id, parent) = match name.is_first() {
            true => (first, SpanId::INVALID),
            false => (SpanId::from_bytes(rand::random()), first),
        };
        let ended = SystemTime::now();
        let context =
            SpanContext::new(TraceId::from_bytes(trace.id), id, TraceFlags::SAMPLED, false, TraceState::default());
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.text().into(),
            start_time: ended.checked_sub(took).unwrap_or(ended),
            end_time: ended,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

impl SpanName {
    fn text(self) -> &'static str {
        match self {
            Self::Received => "message received",
            Self::Published => "message published",
            Self::OnSocket => "message on socket",
            Self::HeardByBot => "message heard by bot",
            Self::OnWebhook => "message on webhook",
            Self::Accepted => "message accepted",
            Self::Sent => "message sent",
            Self::Acknowledged => "message acknowledged",
            Self::Opened => "tenant opened",
            Self::Given => "tenant given",
            Self::Taken => "tenant taken",
        }
    }

    /// Whether the others of its trace hang on it.
    fn is_first(self) -> bool {
        matches!(self, Self::Received | Self::Accepted | Self::Opened | Self::Given)
    }
}

/// The exporter's thread has no runtime, so requests are made on the daemon's: one at a time, since the thread waits for each.
#[derive(Debug)]
struct CollectorClient {
    http: reqwest::Client,
    runtime: Handle,
    /// It is said once that the collector does not take them.
    is_failing: AtomicBool,
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let answer = self.runtime.spawn(async move { request.send().await }).await?;
        // The address may have a key, and the exporter logs its errors.
        let answer = answer.map_err(reqwest::Error::without_url);
        let status = answer.as_ref().map(reqwest::Response::status);
        let has_failed = !status.as_ref().is_ok_and(|status| status.is_success());
        if has_failed && !self.is_failing.swap(has_failed, Relaxed) {
            match &status {
                Ok(status) => warn!(event = "traces_untaken", status = status.as_u16(), "the collector refuses traces"),
                Err(error) => {
                    let in_time = !error.is_timeout();
                    warn!(
                        event = "traces_untaken",
                        in_time, "the collector cannot be reached, or does not answer in time"
                    );
                }
            }
        }
        if !has_failed {
            self.is_failing.store(false, Relaxed);
        }
        // Nobody needs its words.
        Ok(Response::builder().status(answer?.status()).body(Bytes::new())?)
    }
}

/// With the roots that are compiled in: the image has none.
fn client() -> anyhow::Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let redirects = reqwest::redirect::Policy::none();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(BATCH_TIMEOUT);
    // A proxy of the environment would learn the address, and what is sent where that is `http`.
    Ok(builder.no_proxy().redirect(redirects).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_an_exporter_the_daemon_goes_on() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        install(&Traces { endpoint: Some("no address".to_owned()), sample: 1.0 }, "instance");
        assert!(!is_on());
    }

    #[test]
    fn all_processes_make_the_same_trace_of_a_message_and_decide_alike() {
        let trace = |id: &str| Trace::of(&["message", "trattoria", id]);
        assert_eq!(trace("3EB0"), trace("3EB0"));
        assert_ne!(trace("3EB0"), trace("3EB1"));
        assert_ne!(Trace::of(&["a", "bc"]), Trace::of(&["ab", "c"]));
        let sampled = |part| (0..10_000).filter(|at| trace(&at.to_string()).is_sampled(part)).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((800..1200).contains(&sampled(0.1)), "{}", sampled(0.1));
    }
}
