//! WAHA's routes of chats and messages: what is done with one shows on the phone, and lists have what is asked for.

use serde_json::{Value, json};
use sessiond::demo::until;

use super::answers;
use crate::{
    contracts::waha::{WahaScene, paired},
    support::stage::LIMIT,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_a_chat_shows_on_the_phone() {
    let Some(mut scene) = paired().await else { return };
    let jid = format!("{}@s.whatsapp.net", scene.customer);
    let first = scene.hears("a table?").await;
    let bare = first.rsplit('_').next().unwrap().to_owned();
    let chat = json!(["trattoria", scene.chat()]);

    scene.waha.get_as("chats.archive_chat", chat.clone(), "Result").await;
    let archived = scene.setting(&format!("archive {jid}")).await;
    assert_eq!(archived["archive_chat_action"]["archived"], json!(true), "{archived}");
    let range = &archived["archive_chat_action"]["message_range"];
    assert_eq!(range["messages"][0]["key"]["id"], json!(bare), "{archived}");
    scene.waha.get("chats.unarchive_chat", chat.clone()).await;
    assert_eq!(scene.setting(&format!("archive {jid}")).await["archive_chat_action"]["archived"], json!(false));
    scene.waha.get("chats.unread_chat", chat.clone()).await;
    let read = scene.setting(&format!("markChatAsRead {jid}")).await;
    assert_eq!(read["mark_chat_as_read_action"]["read"], json!(false), "{read}");

    let star = json!([{ "session": "trattoria", "chatId": scene.chat(), "messageId": first, "star": true }]);
    scene.waha.get("chatting.set_star", star).await;
    let starred = scene.setting(&format!("star {jid} {bare} 0 0")).await;
    assert_eq!(starred["star_action"]["starred"], json!(true), "{starred}");

    let read = scene.waha.get_as("chats.read_chat_messages", chat.clone(), "ReadChatMessagesResponse").await;
    assert_eq!(read["ids"], json!([first]));
    let seen = || async {
        let wrote = scene.stage.network.messages(Some(&scene.customer)).await.unwrap();
        wrote.iter().any(|message| message.id == bare && !message.read.is_empty())
    };
    until(LIMIT, "the customer sees that it was read", seen).await.unwrap();

    // Cleared: nobody is shown it any more; what comes later is.
    scene.waha.get("chats.clear_messages", chat.clone()).await;
    assert!(scene.setting(&format!("clearChat {jid} 1 1")).await.is_object());
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    assert_eq!(shown, json!([]));
    scene.hears("anybody there?").await;
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    assert_eq!(shown.as_array().unwrap().len(), 1);
    scene.waha.get("chats.delete_chat", chat.clone()).await;
    assert!(scene.setting(&format!("deleteChat {jid} 1")).await.is_object());
    assert_eq!(scene.waha.get("chats.get_chats", json!(["trattoria"])).await, json!([]));

    // A new process, with nothing of it on the disk: still hidden; and it finds what version the settings have.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the restart", || scene.stage.dashboard.is_connected("trattoria")).await.unwrap();
    assert_eq!(scene.waha.get("chats.get_chats", json!(["trattoria"])).await, json!([]));
    scene.waha.get("chats.archive_chat", chat.clone()).await;
    assert_eq!(scene.setting(&format!("archive {jid}")).await["archive_chat_action"]["archived"], json!(true));

    scene.refused("chats.archive_chat", json!(["trattoria", "nobody"]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_passed_on_pinned_and_invite() {
    let Some(mut scene) = paired().await else { return };
    let first = scene.hears("pizza is good").await;
    let other = scene.stage.network.add_customer().await;
    let id = scene.waha.get_as("chatting.get_new_message_id", json!(["trattoria"]), "NewMessageIDResponse").await;
    let forward = json!([{
        "session": "trattoria", "chatId": format!("{other}@c.us"), "messageId": first, "id": id["id"],
    }]);
    let forwarded = scene.waha.get_as("chatting.forward_message", forward.clone(), "WAMessage").await;
    assert!(forwarded["id"].as_str().unwrap().ends_with(id["id"].as_str().unwrap()));
    let arrived = scene.arrived_at(&other, &forwarded).await;
    assert_eq!(arrived.text.as_deref(), Some("pizza is good"));
    assert_eq!(arrived.fields.pointer("/context_info/is_forwarded"), Some(&json!(true)), "{:?}", arrived.fields);
    // Again under its id: the same.
    assert_eq!(scene.waha.get("chatting.forward_message", forward).await["id"], forwarded["id"]);
    let unknown = json!([{
        "session": "trattoria", "chatId": scene.chat(), "messageId": format!("false_{}_3EB0NONE", scene.chat()),
    }]);
    scene.refused("chatting.forward_message", unknown, "404").await;

    let kinds = async |scene: &WahaScene| {
        let inbox = scene.stage.network.customer_inbox(&scene.customer).await.unwrap();
        inbox.into_iter().map(|message| message.kind).collect::<Vec<_>>()
    };
    // As waha-py's models write it.
    let message = json!(["trattoria", scene.chat(), first, { "duration": 86400.0 }]);
    scene.waha.get("chats.pin_message", message).await;
    until(LIMIT, "the pin", || async { kinds(&scene).await == ["pin_in_chat"] }).await.unwrap();
    let pinned = scene.stage.network.customer_inbox(&scene.customer).await.unwrap().remove(0);
    assert_eq!(pinned.fields.pointer("/key/id"), Some(&json!(first.rsplit('_').next())), "{:?}", pinned.fields);
    scene.waha.get("chats.unpin_message", json!(["trattoria", scene.chat(), first])).await;
    until(LIMIT, "the end of the pin", || async { kinds(&scene).await.len() == 2 }).await.unwrap();
    let wrong = json!(["trattoria", scene.chat(), first, { "duration": 5 }]);
    scene.refused("chats.pin_message", wrong, "400").await;

    let event = json!({
        "name": "Tasting", "description": "six wines", "startTime": 1_900_000_000.0, "endTime": 1_900_007_200.0,
        "location": { "name": "La Trattoria" }, "extraGuestsAllowed": true,
    });
    let event = json!(["trattoria", { "chatId": scene.chat(), "event": event }]);
    let sent = scene.waha.get_as("events.send_event", event, "WAMessage").await;
    let arrived = scene.arrived(&sent).await;
    assert_eq!(arrived.kind, "event");
    assert_eq!(
        (&arrived.fields["name"], &arrived.fields["location"]["name"]),
        (&json!("Tasting"), &json!("La Trattoria"))
    );
    let text = json!([{ "session": "trattoria", "phone": scene.customer, "text": "by query" }]);
    let text = scene.waha.get_as("chatting.send_text_get", text, "WAMessage").await;
    assert_eq!(scene.arrived(&text).await.text.as_deref(), Some("by query"));
    let overview = json!(["trattoria", { "pagination": { "limit": 5.0 }, "filter": { "ids": [scene.chat()] } }]);
    let overview = scene.waha.get_as("chats.post_chats_overview", overview, "[ChatSummary]").await;
    assert_eq!((overview.as_array().unwrap().len(), &overview[0]["id"]), (1, &json!(scene.chat())));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_the_order_and_the_messages_that_are_asked_for() {
    let Some(mut scene) = paired().await else { return };
    for text in ["one", "two", "three"] {
        scene.hears(text).await;
    }
    let sent = json!([{ "session": "trattoria", "chatId": scene.chat(), "text": "four" }]);
    let sent = scene.waha.get_as("chatting.send_text", sent, "WAMessage").await;
    scene.arrived(&sent).await;
    let other = scene.stage.network.add_customer().await;
    scene.stage.network.customer_send(&other, &scene.number, "zero").await.unwrap();
    let everything = json!(["trattoria", "all", {}]);
    let everything = answers(&mut scene, "chats.get_chat_messages", everything, "[WAMessage]", |got| {
        got[0]["body"] == json!("zero")
    });
    assert_eq!(bodies(&everything.await), ["zero", "four", "three", "two", "one"]);

    let chat = scene.chat();
    let list = async |scene: &mut WahaScene, query: &str| {
        let path = format!("/api/trattoria/chats/{chat}/messages?{query}");
        scene.stage.dashboard.get(&path).await.unwrap().body
    };
    let newest = list(&mut scene, "limit=1").await[0]["timestamp"].as_i64().unwrap();
    let later = newest + 1;
    for (query, expected) in [
        ("sortBy=timestamp&sortOrder=desc&limit=2", &["four", "three"] as &[_]),
        ("sortBy=messageTimestamp&sortOrder=asc", &["one", "two", "three", "four"]),
        ("sortOrder=asc&limit=2", &["one", "two"]),
        ("sortOrder=asc&limit=2&offset=1", &["two", "three"]),
        ("sortOrder=asc&offset=4", &[]),
        ("filter.fromMe=true", &["four"]),
        ("filter.fromMe=false&sortOrder=asc&offset=1", &["two", "three"]),
        ("filter.timestamp.lte=1000000000", &[]),
        (&format!("filter.timestamp.lte={newest}&limit=1"), &["four"]),
        (&format!("filter.timestamp.gte={later}"), &[]),
        ("filter.ack=2&filter.fromMe=false&limit=1", &["three"]),
        ("filter.ack=-1", &[]),
        ("filter.ack=DEVICE&filter.fromMe=false&limit=1", &["three"]),
        ("filter.ack=ERROR", &[]),
    ] {
        assert_eq!(bodies(&list(&mut scene, query).await), expected, "{query}");
    }
    // Where the chat is named, WhatsApp's own id of the message is enough.
    let whole = list(&mut scene, "limit=1").await[0]["id"].as_str().unwrap().to_owned();
    let bare = whole.rsplit('_').next().unwrap();
    for id in [&*whole, bare] {
        let path = format!("/api/trattoria/chats/{chat}/messages/{id}");
        assert_eq!(scene.stage.dashboard.get(&path).await.unwrap().body["body"], json!("four"), "{id}");
    }
    for wrong in ["filter.ack=9", "filter.ack=read", "filter.fromMe=maybe", "sortOrder=up", "sortBy=size"] {
        let problem = list(&mut scene, wrong).await;
        let field = wrong.split('=').next().unwrap();
        assert_eq!(
            (&problem["code"], &problem["errors"][0]["field"]),
            (&json!("invalid_input"), &json!(field)),
            "{wrong}"
        );
    }

    let other = format!("{other}@c.us");
    for (query, expected) in [
        ("", [&other, &chat] as [&str; 2]),
        ("sortBy=conversationTimestamp&sortOrder=asc", [&chat, &other]),
        ("sortBy=id&sortOrder=asc", if chat < other { [&chat, &other] } else { [&other, &chat] }),
        ("sortBy=id", if chat < other { [&other, &chat] } else { [&chat, &other] }),
    ] {
        for of in ["chats", "chats/overview"] {
            let found = scene.stage.dashboard.get(&format!("/api/trattoria/{of}?{query}")).await.unwrap().body;
            let ids: Vec<_> = found.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected, "{of} {query}");
        }
    }
    for (query, expected) in
        [(format!("ids={other}"), 1), (format!("ids={other}&ids={chat}"), 2), (format!("ids={other},{chat}"), 2)]
    {
        let found = scene.stage.dashboard.get(&format!("/api/trattoria/chats/overview?{query}")).await.unwrap().body;
        assert_eq!(found.as_array().unwrap().len(), expected, "{query}");
    }
    scene.daemon.kill().await.unwrap();
}

fn bodies(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap()).collect()
}
