//! Traces, of a build with the feature `otel`: one from WhatsApp's stanza to each consumer, one from a request to WhatsApp's ack, one of a
//! handover with both of its sides, and nothing in them that is somebody's.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use prost::Message as _;
use serde_json::json;
use sessiond::demo::until;

use crate::{
    consumers::webhooks,
    support::{receiver::Receiver, stage::LIMIT},
};

/// As much of OTLP's `ExportTraceServiceRequest` as is looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceExport {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
}

/// What came over HTTP, as it came.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

impl Collector {
    /// Listens; its address for `otel.endpoint`.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = self.0.clone();
        let take = move |body: Bytes| {
            kept.lock().unwrap().push(body);
            std::future::ready(())
        };
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/v1/traces")
    }

    fn spans(&self) -> Vec<Span> {
        let batches = self.0.lock().unwrap().clone();
        let exports = batches.into_iter().map(|batch| TraceExport::decode(batch).unwrap());
        exports.flat_map(|export| export.resources).flat_map(|one| one.scopes).flat_map(|one| one.spans).collect()
    }

    /// Of each trace that begins so: all of its spans, after it was seen that they hang together.
    fn traces(&self, first: &str) -> Vec<BTreeSet<String>> {
        let spans = self.spans();
        let of = |root: &Span| {
            let spans = spans.iter().filter(|span| span.trace_id == root.trace_id);
            spans
                .inspect(|span| assert!(*span == root || span.parent_span_id == root.span_id, "{span:?}"))
                .map(|span| span.name.clone())
                .collect::<BTreeSet<_>>()
        };
        spans.iter().filter(|span| span.name == first).map(of).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_trace_from_one_end_to_the_other() {
    const QUESTION: &str = "una mesa para dos";
    const ANSWER: &str = "a las ocho";
    let collector = Collector::default();
    let endpoint = collector.start().await;
    // Its environment names a proxy, and nobody is there: spans go to the collector itself.
    let stage = webhooks::stage().await.shared();
    let stage = stage
        .set("SESSIOND_OTEL__ENDPOINT", endpoint)
        .set("SESSIOND_OTEL__SAMPLE", "1")
        // Milliseconds between two batches.
        .set("OTEL_BSP_SCHEDULE_DELAY", "100");
    let daemon = stage.start().await;
    let conversations = [stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    let receiver = Receiver::start().await;
    webhooks::put(&stage, "trattoria", json!([webhooks::webhook(&receiver.url(), &["message"], 3)])).await;
    let menu = json!({ "name": "Carta", "items": [
        { "id": "aji", "name": "Ajiaco", "price": 24000, "category": "Sopas" },
    ] });
    let settings = json!({ "name": "Trattoria", "active": true, "gatherMs": 100, "askContactPhone": false,
        "humanize": false, "pacing": { "enabled": false } });
    for (what, body) in [("menu", menu), ("settings", settings)] {
        let (status, answer) = webhooks::ask(&stage, "PUT", &format!("/api/trattoria/bot/{what}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (number, customer) = (conversations[0].number.clone(), conversations[0].customers[0].clone());
    let has = |first: &str, others: &[&str]| {
        let traces = collector.traces(first);
        std::future::ready(traces.iter().any(|trace| others.iter().all(|other| trace.contains(*other))))
    };
    stage.network.customer_send(&customer, &number, QUESTION).await.unwrap();
    let inbound = ["message published", "message on socket", "message heard by bot", "message on webhook"];
    let waited = until(LIMIT, "a message that came in", || has("message received", &inbound)).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", collector.spans(), stage.log()));
    stage.dashboard.send("trattoria", &customer, ANSWER, "key").await.unwrap();
    let outbound = ["message published", "message sent", "message acknowledged", "message on socket"];
    let waited = until(LIMIT, "a message that went out", || has("message accepted", &outbound)).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", collector.spans(), stage.log()));

    // Another process comes, and this one gives it the tenant.
    let other = stage.other("other", false);
    let next = other.start().await;
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    let waited = until(LIMIT, "a handover", || has("tenant given", &["tenant taken"])).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}\n--\n{}", collector.spans(), stage.log(), other.log()));
    assert_eq!(next.terminate(LIMIT).await.unwrap(), Some(0), "{}", other.log());
    drop(ear);

    // What the tenant's opening took comes with the last batch at the latest.
    let opened = collector.traces("tenant opened").len();
    let daemon = stage.start().await;
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    assert!(collector.traces("tenant opened").len() > opened, "{:#?}", collector.spans());
    for secret in [QUESTION, ANSWER, &number, &customer] {
        let batches = collector.0.lock().unwrap();
        let is_in = |batch: &Bytes| batch.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!batches.iter().any(is_in), "{secret}");
    }
}
