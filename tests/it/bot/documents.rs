//! Orders as documents of Firestore: there whatever dies, in the shape that the kitchen's pages read, and never older than they were.

use serde_json::{Value, json};
use sessiond::{demo::until, vault::Vault as _};

use super::{Scene, TENANT};
use crate::{
    ownership::directory::Directory,
    support::{
        emulator,
        stage::{Home, LIMIT, Stage, await_death},
    },
};

/// The document of an order, past the daemon: its fields in Firestore's REST form.
async fn document(stage: &Stage, id: &str) -> Option<Value> {
    let Directory::Emulator(tenant) = Directory::of(stage, Home::Emulator) else { unreachable!("it is the emulator") };
    let request = reqwest::Client::new().get(format!("{tenant}/orders/{id}")).header("Authorization", "Bearer owner");
    let answer = request.send().await.unwrap();
    let found = answer.status().is_success();
    let body: Value = answer.json().await.unwrap();
    found.then(|| body["fields"].clone())
}

async fn await_stage(scene: &Scene, id: &str, stage: &str) -> Value {
    let shown = async || document(&scene.stage, id).await.is_some_and(|it| it["estado"]["stringValue"] == stage);
    until(LIMIT, stage, shown).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    document(&scene.stage, id).await.unwrap()
}

/// It dies between the document and the word that it is written, and before the document of the next change.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_a_document_whatever_dies() {
    let Some(scene) = Scene::open(Home::Emulator).await else { return };
    let ana = scene.customer(0);
    scene.order_up_to_the_summary(&ana).await;
    scene.daemon.kill().await.unwrap();
    let mut dying =
        scene.stage.setup.clone().set("LOOPBACK_CRASH", "order_document_written:1").start(LIMIT).await.unwrap();
    scene.stage.network.customer_send(&ana, &scene.conversation.number, "sí").await.unwrap();
    await_death(&mut dying, 0).await;
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    let found = scene.orders().await;
    let [order] = found.as_slice() else { panic!("{found:#?}") };
    let id = order["id"].as_str().unwrap();
    let fields = await_stage(&scene, id, "pendiente").await;
    let text = |name: &str| fields[name]["stringValue"].clone();
    assert_eq!([text("id"), text("telefono"), text("fuente")], [json!(id), json!(ana), json!("whatsapp")]);
    assert_eq!(
        [&fields["total"], &fields["revision"]].map(|it| it["integerValue"].clone()),
        [json!("55000"), json!("1")]
    );
    assert_eq!(fields["items"]["arrayValue"]["values"].as_array().unwrap().len(), 2);

    let moves = async |scene: &Scene, stage: &str| {
        scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": stage }))).await;
    };
    moves(&scene, "cocinando").await;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    assert_eq!(await_stage(&scene, id, "cocinando").await["revision"]["integerValue"], "2");
    moves(&scene, "listo").await;
    await_stage(&scene, id, "listo").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_never_becomes_older() {
    let project = emulator::project();
    let Some(vault) = emulator::vault(&project).await else { return };
    let tenant = TENANT.parse().unwrap();
    let put = async |timestamp: i64, revision: u64, stage: &str| {
        let order = json!({ "id": "a1b2c3", "timestamp": timestamp, "estado": stage });
        vault.put_order_document(&tenant, "a1b2c3", revision, &order).await.unwrap();
    };
    let shown = async || {
        let url = format!(
            "http://{}/v1/projects/{project}/databases/(default)/documents/tenants/{TENANT}/orders/a1b2c3",
            emulator::host().unwrap()
        );
        let answer = reqwest::Client::new().get(url).header("Authorization", "Bearer owner").send().await.unwrap();
        answer.json::<Value>().await.unwrap()["fields"]["estado"]["stringValue"].clone()
    };
    put(1_000, 2, "cocinando").await;
    // One that slept, and has only now come to it.
    put(1_000, 1, "pendiente").await;
    assert_eq!(shown().await, "cocinando");
    put(1_000, 3, "listo").await;
    assert_eq!(shown().await, "listo");
    // Years later an order has the same digits.
    put(9_000, 1, "pendiente").await;
    put(1_000, 4, "entregado").await;
    assert_eq!(shown().await, "pendiente");
    // What others have written there is no order of ours.
    emulator::put(&project, &format!("tenants/{TENANT}/orders/a1b2c3"), json!({ "estado": { "stringValue": "?" } }));
    put(9_000, 1, "pendiente").await;
    assert_eq!(shown().await, "pendiente");
    assert!(vault.put_order_document(&tenant, "../x", 1, &json!({})).await.is_err());
}
