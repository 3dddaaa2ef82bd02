//! WAHA's routes of people: contacts, presence, the tenant's own profile, and calls.

use loopback::{ChatState, Setting};
use serde_json::{Value, json};
use sessiond::demo::until;

use super::answers;
use crate::{
    contracts::waha::{WahaScene, paired},
    messages::media::{base64, picture},
    support::stage::LIMIT,
};

#[tokio::test(flavor = "multi_thread")]
async fn people_are_known_by_what_they_show_and_as_the_tenant_saved_them() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (customer, chat) = (scene.customer.clone(), scene.chat());
    let lid = network.phone(&customer).await.unwrap().lid;
    let about = json!([{ "session": "trattoria", "contactId": chat }]);
    let person = |name: &str| Setting::Person { number: customer.clone(), name: name.into(), first: "Ana".into() };
    network.phone_sets(&scene.number, &person("Ana López")).await.unwrap();
    let found = answers(&mut scene, "contacts.get", about.clone(), "", |found| found["name"] == json!("Ana López"));
    let found = found.await;
    assert_eq!((&found["id"], &found["shortName"], &found["isMyContact"]), (&json!(chat), &json!("Ana"), &json!(true)));
    assert_eq!(found["isBlocked"], json!(false));
    scene.hears("hello").await;
    let all = scene.waha.get("contacts.get_all", json!([{ "session": "trattoria", "limit": 10 }])).await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"]), (1, &json!("Ana López")));
    assert!(all[0]["pushname"].as_str().unwrap().starts_with("Customer"), "{all}");

    let exists = async |scene: &mut WahaScene, phone: &str| {
        let phone = json!([{ "session": "trattoria", "phone": phone }]);
        scene.waha.get_as("contacts.check_exists", phone, "WANumberExistResult").await
    };
    assert_eq!(exists(&mut scene, &customer).await["chatId"], json!(chat));
    assert_eq!(exists(&mut scene, "+49 151 99999999").await["numberExists"], json!(false));

    assert_eq!(scene.waha.get("contacts.get_about", about.clone()).await["about"], Value::Null);
    let picture = about.clone();
    assert_eq!(scene.waha.get("contacts.get_profile_picture", picture.clone()).await["profilePictureURL"], Value::Null);
    network.set_profile(&customer, Some("Hungry".into()), Some(b"\xFF\xD8\xFFface".to_vec())).await.unwrap();
    assert_eq!(scene.waha.get("contacts.get_about", about.clone()).await["about"], json!("Hungry"));
    let url = network.profile(&customer).await.unwrap().picture;
    assert_eq!(scene.waha.get("contacts.get_profile_picture", picture).await["profilePictureURL"], json!(url));
    let picture = scene.waha.get_as("chats.get_chat_picture", json!(["trattoria", chat]), "ChatPictureResponse").await;
    assert_eq!(picture["url"], json!(url));

    // Both names.
    let names = scene.waha.get_as("lids.find_lid_by_phone_number", json!(["trattoria", customer]), "LidToPhoneNumber");
    assert_eq!(names.await, json!({ "lid": lid, "pn": chat }));
    let names = scene.waha.get_as("lids.find_pn_by_lid", json!(["trattoria", lid]), "LidToPhoneNumber").await;
    assert_eq!(names["pn"], json!(chat));
    let all = scene.waha.get_as("lids.get_all", json!(["trattoria"]), "[LidToPhoneNumber]").await;
    assert!(all.as_array().unwrap().contains(&names), "{all}");
    let count = scene.waha.get_as("lids.get_lids_count", json!(["trattoria"]), "CountResponse").await;
    assert_eq!(count["count"], json!(all.as_array().unwrap().len()));

    // Blocked: what they write does not come.
    scene.waha.get("contacts.block", about.clone()).await;
    assert_eq!(network.blocked(&scene.number).await.unwrap(), std::slice::from_ref(&customer));
    assert_eq!(scene.waha.get("contacts.get", about.clone()).await["isBlocked"], json!(true));
    network.customer_send(&customer, &scene.number, "can you hear me?").await.unwrap();
    scene.waha.get("contacts.unblock", about.clone()).await;
    scene.hears("now?").await;
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", chat, {}])).await;
    let texts: Vec<_> = shown.as_array().unwrap().iter().map(|message| message["body"].clone()).collect();
    assert_eq!(texts, ["now?", "hello"]);

    let name = json!(["trattoria", chat, { "firstName": "Ana", "lastName": "Pérez" }]);
    scene.waha.get("contacts_session.put", name).await;
    let saved = scene.setting(&format!("contact {customer}@s.whatsapp.net")).await;
    assert_eq!(saved["contact_action"]["full_name"], json!("Ana Pérez"), "{saved}");
    let one = scene.waha.get("contacts_session.get", json!(["trattoria", chat])).await;
    assert_eq!(one["name"], json!("Ana Pérez"));

    // After a restart with an empty disk it is all there.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    assert_eq!(scene.waha.get("contacts.get", about.clone()).await["name"], json!("Ana Pérez"));
    scene.refused("contacts.get", json!([{ "session": "trattoria", "contactId": "1203@g.us" }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_and_who_types_is_seen_from_both_sides() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (customer, chat) = (scene.customer.clone(), scene.chat());
    scene.hears("hello").await;
    scene.waha.get("presence.subscribe", json!(["trattoria", chat])).await;
    // Who never wrote is nobody to the customer.
    let text = json!([{ "session": "trattoria", "chatId": chat, "text": "hello" }]);
    let text = scene.waha.get("chatting.send_text", text).await;
    scene.arrived(&text).await;
    let mood = |mood: &'static str| move |got: &Value| got["presences"][0]["lastKnownPresence"] == json!(mood);
    let one = json!(["trattoria", chat]);
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("offline")).await;
    network.customer_available(&customer, true).await.unwrap();
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("online")).await;
    network.customer_chat_state(&customer, &scene.number, ChatState::Composing).await.unwrap();
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("typing")).await;
    let all = scene.waha.get_as("presence.get_presence_all", json!(["trattoria"]), "[WAHAChatPresences]").await;
    assert_eq!(all[0]["id"], json!(chat));

    // The other way; and a reconnect changes nothing of it.
    let sees = async |available: bool| {
        let seen = || async { network.customer_sees(&customer).await.unwrap()[0].available == available };
        until(LIMIT, "what the customer sees", seen).await.unwrap();
    };
    sees(false).await;
    scene.waha.get("presence.set_presence", json!(["trattoria", { "presence": "online" }])).await;
    sees(true).await;
    let logins = network.stats().await.counts.logins;
    scene.waha.get("sessions.restart", json!(["trattoria"])).await;
    let back = || async {
        network.stats().await.counts.logins > logins && scene.stage.dashboard.is_connected("trattoria").await
    };
    until(LIMIT, "the restart", back).await.unwrap();
    sees(true).await;
    network.customer_available(&customer, false).await.unwrap();
    answers(&mut scene, "presence.get_presence", one, "WAHAChatPresences", mood("offline")).await;
    scene.waha.get("presence.set_presence", json!(["trattoria", { "presence": "offline" }])).await;
    sees(false).await;
    let recording = json!(["trattoria", { "presence": "recording", "chatId": chat }]);
    scene.waha.get("presence.set_presence", recording).await;
    let state =
        || async { network.customer_sees(&customer).await.unwrap()[0].chat_state == Some(ChatState::Recording) };
    until(LIMIT, "the recording", state).await.unwrap();
    scene.refused("presence.set_presence", json!(["trattoria", { "presence": "asleep" }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_shows_itself_as_it_wants() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let session = json!(["trattoria"]);
    let profile = scene.waha.get_as("profile.get_my_profile", session.clone(), "MyProfile").await;
    assert_eq!((&profile["name"], &profile["picture"]), (&json!("Trattoria"), &json!("")));
    scene.waha.get_as("profile.set_profile_name", json!(["trattoria", { "name": "Da Gino" }]), "Result").await;
    scene.waha.get_as("profile.set_profile_status", json!(["trattoria", { "status": "Open" }]), "Result").await;
    let jpeg = "/9j/4AAQSkZJRgABAQ==";
    let file = json!(["trattoria", { "file": { "mimetype": "image/jpeg", "data": jpeg } }]);
    scene.waha.get_as("profile.set_profile_picture", file, "Result").await;
    let shown = || async { network.profile(&scene.number).await.unwrap().name == "Da Gino" };
    until(LIMIT, "the name", shown).await.unwrap();
    let seen = network.profile(&scene.number).await.unwrap();
    assert_eq!(seen.about.as_deref(), Some("Open"));
    let profile = scene.waha.get_as("profile.get_my_profile", session.clone(), "MyProfile").await;
    assert_eq!((&profile["name"], &profile["picture"]), (&json!("Da Gino"), &json!(seen.picture.unwrap())));
    assert_eq!(scene.setting("setting_pushName").await["push_name_setting"]["name"], json!("Da Gino"));
    scene.waha.get("profile.delete_profile_picture", session.clone()).await;
    assert_eq!(network.profile(&scene.number).await.unwrap().picture, None);
    // A PNG becomes a JPEG, which is all that WhatsApp takes.
    let png = json!({ "mimetype": "image/png", "data": base64(&picture(800, 600)) });
    scene.waha.get_as("profile.set_profile_picture", json!(["trattoria", { "file": png }]), "Result").await;
    assert!(network.profile(&scene.number).await.unwrap().picture.is_some());
    // No picture, not base64, and an address that nobody outside should make the daemon ask.
    for file in [
        json!({ "data": "aGVsbG8=" }),
        json!({ "data": "?" }),
        json!({ "url": "http://127.0.0.1:1/a.jpg" }),
        json!({ "url": "http://169.254.169.254/" }),
    ] {
        scene.refused("profile.set_profile_picture", json!(["trattoria", { "file": file }]), "400").await;
    }
    let long = "x".repeat(26);
    scene.refused("profile.set_profile_name", json!(["trattoria", { "name": long }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_declined() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let id = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
    let call = json!(["trattoria", { "from": scene.chat(), "id": id }]);
    scene.waha.get("calls.reject_call", call).await;
    let declined = || async { network.calls().await[0].declined_by.is_some() };
    until(LIMIT, "the end of the call", declined).await.unwrap();
    scene.refused("calls.reject_call", json!(["trattoria", { "from": "x", "id": id }]), "400").await;
    scene.daemon.kill().await.unwrap();
}
