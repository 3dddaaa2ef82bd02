//! Records that this build cannot read, as one that is newer or damaged leaves them: nothing is taken for what is not there, nothing is
//! written over them unasked, and who asks gets an answer.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};
use sessiond::{
    clock::SystemClock,
    demo::Process,
    journal::{self, Context, Policy},
    seal::{Keyring, read_key_file},
    store::{
        Batch, Pool, PoolOptions, Store, key,
        space::{self, Space},
    },
    tenant::TenantId,
    vault::{InstanceId, embedded::Embedded},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    consumers::webhooks::{self, ask, put, webhook},
    support::{
        receiver::Receiver,
        stage::{LIMIT, Stage},
    },
};

const TENANT: &str = "trattoria";

/// The daemon ends, another build writes this record, and the daemon is back.
async fn written_by_another(
    stage: &Stage,
    daemon: Process,
    space: Space,
    name: &str,
    change: impl Fn(Value) -> Vec<u8>,
) -> Process {
    daemon.terminate(LIMIT).await.unwrap();
    let tenant: TenantId = TENANT.parse().unwrap();
    let file = stage.path("cloud").join("vault.db");
    let keyring = Keyring::new(vec![read_key_file(&file.with_extension("key")).unwrap()]);
    let context = Context {
        vault: Arc::new(Embedded::open(&file).unwrap()),
        seal: keyring.tenant(&tenant),
        tenant,
        writer: InstanceId("another".into()),
        clock: SystemClock::shared(),
        policy: Policy::default(),
        rng: SmallRng::from_os_rng(),
        expect_history: true,
        check: None,
    };
    let tasks = TaskTracker::new();
    let opened = journal::open(context, &tasks, CancellationToken::new()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(PoolOptions::default()).unwrap();
    let store =
        Store::create(&folder.path().join("tenant"), opened.records, opened.journal.clone(), &pool, Default::default())
            .await
            .unwrap();
    let before = store.get(space, &key::text(name)).await.unwrap().expect("the record is there");
    let mut batch = Batch::default();
    batch.put(space, key::text(name), change(serde_json::from_slice(&before).unwrap()));
    let written = store.write(batch).await.unwrap();
    store.wait(written).await.unwrap();
    store.close().await.unwrap();
    opened.journal.close().await.unwrap();
    stage.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_another_build_go_on() {
    let receiver = Receiver::start().await;
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    put(&stage, TENANT, json!([webhook(&receiver.url(), &["message"], 3)])).await;
    let mut conversation = stage.pair(TENANT).await;
    let newer = |mut record: Value| {
        record["webhooks"][0]["events"] = json!(["message", "of.tomorrow"]);
        serde_json::to_vec(&record).unwrap()
    };
    let daemon = written_by_another(&stage, daemon, space::SETTINGS, "webhooks", newer).await;
    conversation.customers_write(&stage.network, 1).await.unwrap();
    receiver.until(LIMIT, "the message", |posts| !posts.is_empty()).await;
    let (_, shown) = ask(&stage, "GET", "/api/trattoria/webhooks", None).await;
    assert_eq!(shown["webhooks"][0]["events"], json!(["message", "of.tomorrow"]), "{shown}");
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_cannot_be_read_are_told_and_kept() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    put(&stage, TENANT, json!([webhook("https://example.com/", &["message"], 3)])).await;
    let daemon = written_by_another(&stage, daemon, space::SETTINGS, "webhooks", |_| b"{".to_vec()).await;
    let (status, problem) = ask(&stage, "GET", "/api/trattoria/webhooks", None).await;
    assert_eq!((status, &problem["code"]), (503, &json!("storage")), "{problem}");
    let config = json!({ "webhooks": [webhook("https://example.com/other", &["message"], 3)] });
    let (status, problem) = ask(&stage, "PUT", "/api/trattoria/webhooks", Some(config)).await;
    assert_eq!((status, &problem["code"]), (503, &json!("storage")), "{problem}");
    // The rest of the tenant is not the worse for it.
    assert_eq!(ask(&stage, "GET", "/api/sessions/trattoria", None).await.0, 200);
    assert_eq!(ask(&stage, "DELETE", "/api/sessions/trattoria", None).await.0, 200);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_cannot_be_read_answers_whoever_asks() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    let settings = json!({ "name": "Trattoria", "active": false });
    assert_eq!(ask(&stage, "POST", "/api/sessions", Some(json!({ "name": TENANT, "start": false }))).await.0, 201);
    assert_eq!(ask(&stage, "PUT", "/api/trattoria/bot/settings", Some(settings.clone())).await.0, 200);
    let daemon = written_by_another(&stage, daemon, space::BOT, "settings", |_| b"{\"version\":1}".to_vec()).await;
    let answered = async |method: &'static str, path: &'static str, body: Option<Value>| {
        timeout(Duration::from_secs(30), ask(&stage, method, path, body)).await.expect("an answer in time")
    };
    let (status, problem) = answered("GET", "/api/trattoria/bot/settings", None).await;
    assert_eq!(status, 503, "{problem}");
    let (status, problem) = answered("POST", "/api/trattoria/bot/conversations/573000000000@c.us/take", None).await;
    assert_eq!(status, 503, "{problem}");
    let (status, answer) = answered("PUT", "/api/trattoria/bot/settings", Some(settings.clone())).await;
    assert_eq!(status, 200, "what mends it is taken: {answer}");
    assert_eq!(answered("GET", "/api/trattoria/bot/settings", None).await.0, 200);

    let daemon = written_by_another(&stage, daemon, space::BOT, "settings", |_| b"{\"version\":1}".to_vec()).await;
    let (status, answer) = answered("DELETE", "/api/sessions/trattoria", None).await;
    assert_eq!(status, 200, "{answer}");
    daemon.kill().await.unwrap();
}
