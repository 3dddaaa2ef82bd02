//! A vote that the tenant casts is one that other programs can open: sealed with both names as the chat has them in which the poll is.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    driver::Client,
    node::program,
    stage::{Home, LIMIT, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_opens_the_tenants_vote() {
    opens_the_tenants_vote("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_opens_the_tenants_vote() {
    opens_the_tenants_vote("7").await;
}

async fn opens_the_tenants_vote(version: &str) {
    let Some(folder) = program("baileys") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let own = stage.network.phone(&tenant.number).await.unwrap();
    let phone = stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = Client::paired(&folder, version, &stage.network, &phone.number).await;
    // Version 6 knows no LIDs: what comes under one does not open there.
    let chats = [(&own.jid, &phone.jid), (&own.lid, &phone.lid), (&own.jid, &phone.jid)];
    for (chat, me) in chats.into_iter().filter(|(chat, _)| version != "6" || !chat.ends_with("@lid")) {
        let poll = json!({ "poll": { "name": "Size?", "values": ["L", "XL"], "selectableCount": 1 } });
        let (poll, secret) = guest.send_content(chat, &poll, &json!({})).await;
        let told = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(poll);
        ear.until(LIMIT, |heard| heard.iter().any(told)).await.unwrap();
        // By every name that the guest has here.
        for name in [&phone.jid, &phone.lid, &phone.number] {
            let vote = json!({ "session": "trattoria", "chatId": name, "pollMessageId": poll, "votes": ["XL"] });
            let sent = stage.dashboard.post("/api/sendPollVote", vote).await.unwrap();
            let id = sent.body["id"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).rsplit('_').next().unwrap();
            let vote: Value = guest.message(id).await;
            let sealed = vote["content"]["vote"].clone();
            let bytes = |name: &str| match &sealed[name] {
                Value::String(text) => json!({ "$base64": text }),
                bytes => bytes.clone(),
            };
            guest
                .command(json!({
                    "command": "votes", "poll": poll, "secret": secret, "creator": me, "voter": chat,
                    "vote": { "encPayload": bytes("encPayload"), "encIv": bytes("encIv") },
                }))
                .await;
            let opened = guest.event("result", |_| true).await;
            assert_eq!(opened["result"], json!([hex::encode(Sha256::digest("XL"))]), "in {chat}, sent to {name}");
        }
    }
    guest.end().await;
    daemon.kill().await.unwrap();
}
