//! The vault fails in the middle of an import by a request: whoever is refused finds everything as it was. The vault is Google's emulator,
//! behind a proxy that cuts it off at each step of the import.

use serde_json::{Value, json};
use sessiond::demo::{Dashboard, until};

use crate::support::{
    emulator, import_devices,
    proxy::{self, Mode},
    stage::{LIMIT, Stage},
};

/// Where the import waits until the vault is gone.
const POINTS: [&str; 4] = ["import_inspected", "import_recorded", "import_taken_over", "import_claimed"];

async fn session(dashboard: &Dashboard, name: &str) -> Value {
    dashboard.get(&format!("/api/sessions/{name}")).await.unwrap().body
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_finds_everything_as_it_was() {
    let points = (1..).zip(POINTS).map(|(seed, point)| whoever_is_refused_at(point, seed));
    futures::future::join_all(points).await;
}

async fn whoever_is_refused_at(point: &'static str, seed: u64) {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage.set("LOOPBACK_PAUSE", format!("{point}:5000")).set("RUST_LOG", "info");
    let daemon = stage.start().await;
    let dashboard = &stage.dashboard;
    let waiting = format!("waiting-{seed}");
    dashboard.qr(&waiting).await.unwrap();
    let creds = import_devices::creds(seed, &import_devices::number(seed));
    let body = json!({ "from": "baileys", "document": creds });
    let pauses = pauses(&stage, point);
    let (asked, route) = (body.clone(), format!("/api/sessions/{waiting}/import"));
    let asking = {
        let dashboard = Dashboard::new(stage.setup.address, stage.setup.admin_key.clone());
        let route = route.clone();
        tokio::spawn(async move { dashboard.post(&route, asked).await.unwrap() })
    };
    until(LIMIT, point, || async { self::pauses(&stage, point) > pauses }).await.unwrap();
    proxy.set(Mode::Refuse);
    let answer = asking.await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("vault_down")), "{point}: {}", answer.body);
    proxy.set(Mode::Pass);

    // It shows its code again, and nobody is linked.
    let is_waiting = || async {
        let session = session(dashboard, &waiting).await;
        session["status"] == "SCAN_QR_CODE" && session["paired"] == json!(false) && session["imported"].is_null()
    };
    let as_before = until(LIMIT, "the code to be there again", is_waiting).await;
    let now = session(dashboard, &waiting).await;
    as_before.unwrap_or_else(|error| panic!("{point}: {error}: {now}\n{}", stage.log()));
    assert!(dashboard.qr(&waiting).await.is_ok());
    let vault = emulator::vault(stage.project.as_ref().unwrap()).await.unwrap();
    let record = sessiond::vault::Vault::tenant(&vault, &waiting.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.whatsapp_connected, record.phone_number), (false, None), "{point}");

    // And the same import comes in.
    let imported = async || {
        let answer = dashboard.post(&route, body.clone()).await.unwrap();
        answer.body["outcome"] == "imported"
    };
    until(LIMIT, "the import", imported).await.unwrap();
    assert_eq!(session(dashboard, &waiting).await["paired"], json!(true));
    daemon.terminate(LIMIT).await.unwrap();
}

fn pauses(stage: &Stage, point: &str) -> usize {
    stage.log().lines().filter(|line| line.contains("a pause on purpose") && line.contains(point)).count()
}
