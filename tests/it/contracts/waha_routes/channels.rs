//! WAHA's routes of channels and statuses.

use serde_json::{Value, json};
use sessiond::demo::until;

use crate::{
    contracts::waha::{WahaScene, paired},
    messages::media::{base64, file},
    support::stage::LIMIT,
};

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_made_followed_and_deleted() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let new = json!(["trattoria", { "name": "Menu of the day", "description": "at noon" }]);
    let made = scene.waha.get_as("channels.create", new, "Channel").await;
    assert_eq!((&made["role"], &made["description"]), (&json!("OWNER"), &json!("at noon")));
    let own = json!(["trattoria", made["id"]]);
    let news = network.create_channel(&scene.customer, "Neighbourhood", "news").await.unwrap();
    let other = json!(["trattoria", news.jid]);
    scene.waha.get("channels.follow", other.clone()).await;
    let now = async || network.channels().await.into_iter().find(|channel| channel.jid == news.jid).unwrap();
    assert_eq!(now().await.followers, [scene.number.clone()]);
    scene.waha.get("channels.mute", other.clone()).await;
    assert_eq!(now().await.muted_by, [scene.number.clone()]);
    scene.waha.get("channels.unmute", other.clone()).await;
    assert!(now().await.muted_by.is_empty());
    let one = scene.waha.get_as("channels.get", other.clone(), "Channel").await;
    assert_eq!(
        (&one["name"], &one["role"], &one["subscribersCount"]),
        (&json!("Neighbourhood"), &json!("SUBSCRIBER"), &json!(1))
    );
    let by_code = scene.waha.get_as("channels.get", json!(["trattoria", news.invite]), "Channel").await;
    assert_eq!(by_code["id"], json!(news.jid));
    let all = scene.waha.get_as("channels.list", json!(["trattoria"]), "[Channel]").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let owned = scene.waha.get_as("channels.list", json!(["trattoria", { "role": "OWNER" }]), "[Channel]").await;
    assert_eq!(owned, json!([made]));
    scene.waha.get("channels.unfollow", other.clone()).await;
    assert!(now().await.followers.is_empty());
    scene.refused("channels.delete", other, "403").await;
    scene.waha.get("channels.delete", own.clone()).await;
    assert_eq!(network.channels().await.len(), 1);
    scene.refused("channels.get", own, "404").await;
    scene.refused("channels.follow", json!(["trattoria", "120363999999999999@newsletter"]), "404").await;
    scene.refused("channels.get", json!(["trattoria", "x@g.us"]), "400").await;

    let capping = scene.waha.get_as("sessions.fetch_message_capping", json!(["trattoria"]), "MessageCappingData").await;
    assert_eq!((&capping["totalQuota"], &capping["usedQuota"]), (&json!(1000), &json!(640)));
    let lock =
        scene.waha.get_as("sessions.fetch_reachout_timelock", json!(["trattoria"]), "ReachoutTimelockData").await;
    assert_eq!(lock["isActive"], json!(false));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_posted_and_taken_back() {
    let Some(mut scene) = paired().await else { return };
    let customer = scene.customer.clone();
    let new = scene.waha.get_as("status.get_new_message_id", json!(["trattoria"]), "NewMessageIDResponse").await;
    // As the client's own models write it.
    let text = json!({
        "id": new["id"], "contacts": [scene.chat()], "text": "Hoy: ajiaco", "backgroundColor": "#38b42f", "font": 0.0,
        "linkPreview": true, "linkPreviewHighQuality": false,
    });
    let posted = scene.waha.get_as("status.send_text_status", json!(["trattoria", text]), "WAMessage").await;
    assert!(
        posted["id"].as_str().unwrap().starts_with(&format!("true_status@broadcast_{}", new["id"].as_str().unwrap()))
    );
    let status = |sent: &Value| sent["id"].as_str().unwrap().split('_').nth(2).unwrap().to_owned();
    let seen = async |scene: &WahaScene, id: &str| {
        let network = &scene.stage.network;
        let found = async || network.customer_inbox(&customer).await.unwrap().into_iter().find(|seen| seen.id == id);
        until(LIMIT, "the status", async || found().await.is_some()).await.unwrap();
        found().await.unwrap()
    };
    assert_eq!(seen(&scene, &status(&posted)).await.text.as_deref(), Some("Hoy: ajiaco"));
    for (method, kind, beginning) in [
        ("image", "image", b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice()),
        ("voice", "voice", b"OggS\0\x02\0\0\0\0\0\0\0\0"),
        ("video", "video", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
    ] {
        let data = file(beginning, 500);
        let body = json!({
            "id": null, "contacts": [scene.chat()], "caption": null, "convert": false, "backgroundColor": "#38b42f",
            "file": { "mimetype": "x/y", "filename": null, "data": base64(&data) },
        });
        let method = format!("status.send_{method}_status");
        let sent = scene.waha.get_as(&method, json!(["trattoria", body]), "WAMessage").await;
        let seen = seen(&scene, &status(&sent)).await;
        assert_eq!((seen.kind.as_str(), seen.file.unwrap().data), (kind, data));
    }
    let id = json!(["trattoria", { "id": posted["id"], "contacts": null }]);
    let gone = scene.waha.get_as("status.delete_status", id, "WAMessage").await;
    assert_eq!(seen(&scene, &status(&gone)).await.about, Some(status(&posted)));
    scene.refused("status.delete_status", json!(["trattoria", { "id": "3EB0AAAAAAAAAAAA" }]), "404").await;
    scene.daemon.kill().await.unwrap();
}
