//! A store of whatsmeow's comes in and logs in, on a network that knows its device: nobody scans, and both directions work.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use loopback::{AdoptedDevice, PhoneInfo};
use serde_json::{Value, json};
use sessiond::{
    demo::{Ear, until},
    import::{self, ImportLimits, SourceFormat},
};

use crate::{
    moving::move_in::is_readable,
    support::stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";
const STORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/import/whatsmeow.db");

/// The account whose device the store is: the network numbers its accounts in the order in which they come.
async fn owner(stage: &Stage, number: &str) -> PhoneInfo {
    loop {
        let phone = stage.network.add_phone(Some("Trattoria".into())).await;
        if phone.number == number {
            return phone;
        }
        assert!(*phone.number < *number, "the network has no number {number}");
    }
}

/// What the network that linked it knew.
fn device() -> (String, AdoptedDevice) {
    let limits = ImportLimits::default();
    let copy =
        import::read_one(SourceFormat::Whatsmeow, STORE.as_ref(), None, (None, None), &limits).unwrap().copy.unwrap();
    let device = &copy.device;
    let adopted = AdoptedDevice {
        id: device.me.device,
        noise_key: device.noise_key.public,
        identity: device.identity_key.public,
        registration: device.registration_id,
        signed_pre_key: (device.signed_pre_key_id, device.signed_pre_key.public),
        signed_pre_key_signature: device.signed_pre_key_signature.to_vec(),
        pre_keys: copy.pre_keys.iter().map(|(id, pair)| (*id, pair.public)).collect(),
        details: device.account.details.clone(),
        account_key: device.account.account_key,
        account_signature: device.account.account_signature.clone(),
        device_signature: device.account.device_signature.clone(),
    };
    (copy.number().to_owned(), adopted)
}

/// As a program does that is not ours: the number is chosen, and what the device has sent is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_adopted_over_the_control_api() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let url = stage.network.control_url().unwrap();
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (_, device) = device();
    let number = "573009998877";
    let (status, phone) = post("/phones", json!({ "name": "Trattoria", "number": number })).await;
    assert_eq!((status, &phone["number"]), (200, &json!(number)), "{phone}");
    for taken in [number, "x", "12"] {
        assert_eq!(post("/phones", json!({ "number": taken })).await.0, 409, "{taken}");
    }
    let customer = stage.network.add_customer().await;
    let customer = stage.network.phone(&customer).await.unwrap().jid;
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    let key = |(id, public): (u32, [u8; 32])| json!({ "id": id, "public": text(&public) });
    let adopted = json!({
        "id": device.id, "noise_key": text(&device.noise_key), "identity": text(&device.identity),
        "registration": device.registration, "signed_pre_key": key(device.signed_pre_key),
        "signed_pre_key_signature": text(&device.signed_pre_key_signature),
        "pre_keys": device.pre_keys.iter().copied().map(key).collect::<Vec<_>>(), "details": text(&device.details),
        "account_key": text(&device.account_key), "account_signature": text(&device.account_signature),
        "device_signature": text(&device.device_signature),
        "sent": [{ "to": customer, "ratchet": text(&[7; 32]), "next": 3 }],
    });
    let path = format!("/phones/{number}/adopt");
    for (field, wrong) in [("noise_key", json!("AAAA")), ("details", json!("?")), ("id", json!("x"))] {
        let mut broken = adopted.clone();
        broken[field] = wrong;
        assert_eq!(post(&path, broken).await.0, 422, "{field}");
    }
    let (status, devices) = post(&path, adopted.clone()).await;
    let (id, pre_keys) = (json!(device.id), json!(device.pre_keys.len()));
    assert_eq!((status, &devices[0]["id"], &devices[0]["pre_keys"]), (200, &id, &pre_keys), "{devices}");
    assert_eq!(post(&path, adopted).await.0, 409, "once");
}

async fn has(stage: &Stage, number: &str, text: &str) -> bool {
    let inbox = stage.network.customer_inbox(number).await.unwrap();
    inbox.iter().any(|received| received.text.as_deref() == Some(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_whatsmeow_imports_and_logs_in() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let (number, adopted) = device();
    let owner = owner(&stage, &number).await;
    let stolen = AdoptedDevice { identity: adopted.noise_key, ..adopted.clone() };
    assert!(stage.network.adopt(&number, stolen).await.is_err(), "the proof is of another identity");
    stage.network.adopt(&number, adopted.clone()).await.unwrap();
    assert!(stage.network.adopt(&number, adopted).await.is_err(), "once");
    // The store has sessions with two that come after it, whose keys here are others.
    for _ in 0..2 {
        stage.network.add_customer().await;
    }
    let customer = stage.network.add_customer().await;
    // Waits for it, sealed with a key that whatsmeow made.
    let waiting = stage.network.customer_send(&customer, &number, "a table for two?").await.unwrap();

    let daemon = stage.start().await;
    let url = format!("http://{}/api/sessions/{TENANT}/import", stage.setup.address);
    let form = "--x\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\nwhatsmeow\r\n\
         --x\r\nContent-Disposition: form-data; name=\"connect\"\r\n\r\ntrue\r\n\
         --x\r\nContent-Disposition: form-data; name=\"stopped\"\r\n\r\ntrue\r\n\
         --x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"wm.db\"\r\n\r\n";
    let body = [form.as_bytes(), &std::fs::read(STORE).unwrap(), b"\r\n--x--\r\n"].concat();
    let request = reqwest::Client::new().post(url).header("x-api-key", &stage.setup.admin_key);
    let request = request.header("content-type", "multipart/form-data; boundary=x").body(body);
    let report: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((&report["outcome"], &report["number"]), (&json!("imported"), &json!(number)), "{report:#}");

    let connected = until(LIMIT, "the tenant to be connected", || stage.dashboard.is_connected(TENANT));
    connected.await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let ear = Ear::open(&stage.dashboard, vec![TENANT.to_owned()]);
    let heard = ear.until(LIMIT, |heard| heard.iter().any(|heard| is_readable(heard, &waiting)));
    heard.await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    for (to, text) in
        [(&customer, "at eight"), (&customer, "see you"), (&stage.network.add_customer().await, "good day")]
    {
        stage.dashboard.send(TENANT, to, text, text).await.unwrap();
        let arrived = until(LIMIT, text, || has(&stage, to, text)).await;
        arrived.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    }
    // WhatsApp has what was said before, of which nothing is known here.
    let message = format!("false_{customer}@c.us_3EB0000000000000000000");
    let reaction = json!({ "session": TENANT, "messageId": message, "reaction": "👍" });
    let answer = stage.dashboard.put("/api/reaction", reaction).await.unwrap();
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, stage.log());
    // Without a name the library says nothing of its presence, and the owner's phone does not ring. The settings here bring none.
    let named = || async {
        let session = stage.dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap();
        session.body["me"]["pushName"] == json!("Trattoria")
    };
    until(LIMIT, "the account's name", named).await.unwrap();
    let stats = stage.network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counters_reused), (0, 0), "{stats:#?}");
    assert_eq!(stage.network.phone(&owner.number).await.unwrap().pairings, 0, "nobody scanned");
    daemon.terminate(LIMIT).await.unwrap();
}
