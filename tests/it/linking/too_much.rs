//! WhatsApp says that it is too much (429): the tenant is quiet for a while, whatever its owner has set, and its list says why.

use std::time::Instant;

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

struct SlowDownScene {
    stage: Stage,
    tenant: Conversation,
    customers: Vec<String>,
    _daemon: Process,
}

async fn scene(customers: usize, change: impl FnOnce(Stage) -> Stage) -> SlowDownScene {
    let stage = change(Stage::new(Home::Embedded).await.unwrap());
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let mut known = tenant.customers.clone();
    while known.len() < customers {
        known.push(stage.network.add_customer().await);
    }
    SlowDownScene { stage, tenant, customers: known, _daemon: daemon }
}

impl SlowDownScene {
    async fn send(&self, to: &str, text: &str) -> String {
        self.stage.dashboard.send(TENANT, to, text, text).await.unwrap()
    }

    async fn too_much(&self) -> &Self {
        let fault = Fault::new(FaultKind::ErrorAcks).code(429).target(&self.tenant.number);
        self.stage.network.fault(fault).await.unwrap();
        self
    }

    async fn waiting(&self, to: &str, id: &str) -> Value {
        let path = format!("/api/{TENANT}/chats/{to}@c.us/messages?limit=10");
        let listed = self.stage.dashboard.get(&path).await.unwrap().body;
        let is_it = |shown: &&Value| shown["id"].as_str().is_some_and(|full| full.contains(id));
        listed.as_array().unwrap().iter().find(is_it).map_or(Value::Null, |shown| shown["waiting"].clone())
    }

    async fn is_held(&self, to: &str, id: &str) -> i64 {
        let held = async || self.waiting(to, id).await["reason"] == json!("whatsapp_slow_down");
        let waited = until(LIMIT, "the reason", held).await;
        let shown = self.waiting(to, id).await;
        waited.unwrap_or_else(|error| panic!("{to}: {error}: {shown}\n{}", self.stage.log()));
        shown["untilMs"].as_i64().unwrap() - jiff::Timestamp::now().as_millisecond()
    }
}

/// Without settings: the default of whoever uses the API alone. The message that WhatsApp refused waits like all others.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_limits_is_quiet_too() {
    let scene = scene(2, |stage| stage).await;
    scene.too_much().await;
    let (refused, other) = (scene.customers[0].clone(), scene.customers[1].clone());
    let first = scene.send(&refused, "first").await;
    let left = scene.is_held(&refused, &first).await;
    assert!((15_000..=30_000).contains(&left), "{left} ms");
    let second = scene.send(&other, "second").await;
    scene.is_held(&other, &second).await;
}

/// As with limits: one burst is one word of WhatsApp's, and all that it refused waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_is_too_much_is_one_word() {
    let scene = scene(8, |stage| stage).await;
    let wide = json!({ "perMinute": 1000, "perHour": 10_000, "perDay": 10_000, "newContactsPerDay": 1000 });
    let settings = json!({ "active": false, "pacing": wide });
    let url = format!("http://{}/api/{TENANT}/bot/settings", scene.stage.setup.address);
    let put = reqwest::Client::new().put(url).header("if-match", "*");
    let put = put.header("x-api-key", &scene.stage.setup.admin_key).json(&settings).send().await.unwrap();
    assert!(put.status().is_success(), "{} {}", put.status(), put.text().await.unwrap());
    scene.too_much().await;
    // Their answers come together.
    let ids = futures::future::join_all(scene.customers.iter().map(|to| scene.send(to, to))).await;
    for (to, id) in scene.customers.iter().zip(&ids) {
        let left = scene.is_held(to, id).await;
        assert!((10_000..=30_000).contains(&left), "{left} ms\n{}", scene.stage.log());
    }
}

/// When the rest is over it goes, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn it_goes_when_the_rest_is_over() {
    let scene = scene(1, |stage| stage.set("SESSIOND_SESSION__SLOW_DOWN", "6s")).await;
    scene.too_much().await;
    let to = scene.customers[0].clone();
    let id = scene.send(&to, "at last").await;
    let left = scene.is_held(&to, &id).await;
    let began = Instant::now();
    scene.stage.network.clear_faults().await;
    let arrived = async || {
        let inbox = scene.stage.network.customer_inbox(&to).await.unwrap();
        inbox.iter().any(|received| received.id == id)
    };
    until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    assert!(left > 2000 && began.elapsed().as_millis() as i64 >= left - 500, "{left} ms, {:?}", began.elapsed());
}
