//! What happens in a chat without anybody's writing is no message that a program would answer; and a message that cannot be read yet
//! is one message, once it can.

use loopback::Say;
use serde_json::{Value, json};
use sessiond::demo::until;
use whatsapp_rust::{
    buffa::MessageField as Field,
    waproto::whatsapp::{
        self as wa,
        message::{self as kind, protocol_message::Type},
    },
};

use crate::{
    consumers::webhooks,
    messages::media::{MediaScene, TENANT},
    support::{receiver::Receiver, stage::LIMIT},
};

async fn json_of(scene: &MediaScene, path: &str) -> Value {
    scene.get(path).await.json().await.unwrap()
}

/// Every event of WAHA's that a receiver got of messages, but for acks: its name and payload.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let posts = receiver.posts().into_iter().map(|post| (post.json["event"].as_str().unwrap().to_owned(), post.json));
    posts
        .filter(|(name, _)| name.starts_with("message") && !name.starts_with("message.ack"))
        .map(|(name, mut json)| (name, json["payload"].take()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_are_no_messages() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")).await;
    let receiver = Receiver::start().await;
    webhooks::put(&scene.stage, TENANT, json!([webhooks::webhook(&receiver.url(), &["*"], 1)])).await;
    let network = &scene.stage.network;
    let send = async |say: Say| network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
    let first = send(Say::text("a pizza")).await;
    let key = || {
        Field::some(wa::MessageKey {
            remote_jid: Some(format!("{}@s.whatsapp.net", scene.tenant.number)),
            from_me: Some(true),
            id: Some(first.clone()),
            ..Default::default()
        })
    };
    let wrapped = |inner: wa::Message| Field::some(kind::FutureProofMessage { message: Field::some(inner) });
    let protocol = |r#type: Type| {
        let protocol = kind::ProtocolMessage { key: key(), r#type: Some(r#type), ..Default::default() };
        wa::Message { protocol_message: Field::some(protocol), ..Default::default() }
    };
    macro_rules! marks {
        ($($name:literal: $field:ident = $value:expr,)+) => {
            [$(($name, wa::Message { $field: $value, ..Default::default() }),)+]
        };
    }
    let some = |seconds| kind::ProtocolMessage {
        r#type: Some(Type::EPHEMERAL_SETTING),
        ephemeral_expiration: Some(seconds),
        ..Default::default()
    };
    let option = kind::poll_creation_message::Option { option_name: Some("XXL".into()), ..Default::default() };
    let sealed = kind::SecretEncryptedMessage {
        target_message_key: key(),
        enc_payload: Some(vec![1; 40]),
        enc_iv: Some(vec![2; 12]),
        secret_enc_type: Some(kind::secret_encrypted_message::SecretEncType::EVENT_EDIT),
        ..Default::default()
    };
    let hd = wa::Message {
        image_message: Field::some(kind::ImageMessage { mimetype: Some("image/jpeg".into()), ..Default::default() }),
        message_context_info: Field::some(wa::MessageContextInfo {
            message_association: Field::some(wa::MessageAssociation {
                association_type: Some(wa::message_association::AssociationType::HD_IMAGE_DUAL_UPLOAD),
                parent_message_key: key(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let marks = marks! {
        "album": album_message = Field::some(kind::AlbumMessage { expected_image_count: Some(2), ..Default::default() }),
        "call_log": call_log_messsage = Field::some(Default::default()),
        "placeholder": placeholder_message = Field::some(Default::default()),
        "keep_in_chat": keep_in_chat_message = Field::some(kind::KeepInChatMessage {
            key: key(), keep_type: Some(wa::KeepType::KEEP_FOR_ALL), ..Default::default()
        }),
        "pin_in_chat": pin_in_chat_message = Field::some(kind::PinInChatMessage {
            key: key(), r#type: Some(kind::pin_in_chat_message::Type::PinForAll), ..Default::default()
        }),
        "ephemeral_setting": protocol_message = Field::some(some(0)),
        "share_phone_number": protocol_message = protocol(Type::SHARE_PHONE_NUMBER).protocol_message,
        "status_mention": status_mention_message = wrapped(protocol(Type::STATUS_MENTION_MESSAGE)),
        "status_mention": group_status_mention_message = wrapped(protocol(Type::STATUS_MENTION_MESSAGE)),
        "poll_add_option": poll_add_option_message = Field::some(kind::PollAddOptionMessage {
            poll_creation_message_key: key(), add_option: Field::some(option), ..Default::default()
        }),
        "poll_update": poll_update_message = Field::some(kind::PollUpdateMessage {
            poll_creation_message_key: key(), ..Default::default()
        }),
        "scheduled_call_edit": scheduled_call_edit_message = Field::some(kind::ScheduledCallEditMessage {
            key: key(), ..Default::default()
        }),
        "decline_payment_request": decline_payment_request_message =
            Field::some(kind::DeclinePaymentRequestMessage { key: key() }),
        "cancel_payment_request": cancel_payment_request_message =
            Field::some(kind::CancelPaymentRequestMessage { key: key() }),
        "payment_invite": payment_invite_message = Field::some(Default::default()),
        "request_phone_number": request_phone_number_message = Field::some(Default::default()),
        "status_notification": status_notification_message = Field::some(Default::default()),
        "status_sticker_interaction": status_sticker_interaction_message = Field::some(Default::default()),
        "secret_encrypted": secret_encrypted_message = Field::some(sealed),
        "enc_comment": enc_comment_message = Field::some(kind::EncCommentMessage {
            target_message_key: key(), ..Default::default()
        }),
        "hd_image": associated_child_message = wrapped(hd),
        "enc_event_response": enc_event_response_message = Field::some(kind::EncEventResponseMessage {
            event_creation_message_key: key(), ..Default::default()
        }),
    };
    let mut expected: Vec<&str> = Vec::new();
    for (name, message) in marks {
        send(Say::Raw { message: Box::new(message) }).await;
        expected.push(name);
    }
    // And what is for programs alone.
    for silent in [Type::LIMIT_SHARING, Type::REMINDER_MESSAGE, Type::GROUP_MEMBER_LABEL_CHANGE] {
        send(Say::Raw { message: Box::new(protocol(silent)) }).await;
    }
    send(Say::text("and a beer")).await;
    let has_last = |posts: &[crate::support::receiver::Post]| posts.iter().any(|post| post.text() == "and a beer");
    receiver.until(LIMIT, "the last message", has_last).await;

    let told = told(&receiver);
    let texts: Vec<_> = told.iter().filter(|(name, _)| name == "message").map(|(_, it)| it["body"].clone()).collect();
    assert_eq!(texts, [json!("a pizza"), json!("and a beer")], "{told:#?}");
    let marked: Vec<_> = told.iter().filter(|(name, _)| name == "message.marked").map(|(_, it)| &it["mark"]).collect();
    let names: Vec<_> = marked.iter().map(|mark| mark["name"].as_str().unwrap()).collect();
    assert_eq!(names, expected);
    let about = format!("false_{}@c.us_{first}", scene.customer);
    let pin = marked.iter().find(|mark| mark["name"] == "pin_in_chat").unwrap();
    assert_eq!(**pin, json!({ "name": "pin_in_chat", "messageId": about, "on": true }));
    let timer = marked.iter().find(|mark| mark["name"] == "ephemeral_setting").unwrap();
    assert_eq!(**timer, json!({ "name": "ephemeral_setting", "seconds": 0 }));

    let heard = scene.ear.heard();
    let of = |event: &str| heard.iter().filter(|heard| heard.event == event).count();
    assert_eq!((of("message:received"), of("message:marked")), (2, expected.len()));
    let chat = format!("/api/{TENANT}/chats/{}@c.us/messages?limit=100", scene.customer);
    let listed = json_of(&scene, &chat).await;
    let texts: Vec<_> = listed.as_array().unwrap().iter().map(|message| message["body"].clone()).collect();
    assert_eq!(texts, [json!("and a beer"), json!("a pizza")], "{listed:#}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_takes_the_place_of_its_placeholder_in_every_api() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")).await;
    let receiver = Receiver::start().await;
    webhooks::put(&scene.stage, TENANT, json!([webhooks::webhook(&receiver.url(), &["*"], 1)])).await;
    let network = &scene.stage.network;
    let (customer, number) = (&scene.customer, &scene.tenant.number);
    network.customer_send(customer, number, "good evening").await.unwrap();
    let id = network.customer_sends_for_phone(customer, number, "a table for two").await.unwrap();
    // Under both names.
    let is_it = |post: &&crate::support::receiver::Post| post.text() == "a table for two";
    let read = |posts: &[crate::support::receiver::Post]| posts.iter().filter(is_it).count() == 2;
    receiver.until(LIMIT, "what the phone told", read).await;
    let waha_id = format!("false_{customer}@c.us_{id}");
    let of_it = |(name, it): &(String, Value)| (it["id"] == json!(waha_id)).then(|| (name.clone(), it["body"].clone()));
    let events: Vec<_> = told(&receiver).iter().filter_map(of_it).collect();
    let expected = [("message.waiting", ""), ("message", "a table for two"), ("message.any", "a table for two")];
    assert_eq!(events, expected.map(|(name, text)| (name.to_owned(), json!(text))));

    let texts = |listed: &Value, field: &str| -> Vec<String> {
        listed.as_array().unwrap().iter().map(|message| message[field].as_str().unwrap().to_owned()).collect()
    };
    let both = ["a table for two", "good evening"];
    let chat = format!("/api/{TENANT}/chats/{customer}@c.us/messages");
    assert_eq!(texts(&json_of(&scene, &format!("{chat}?limit=100")).await, "body"), both);
    assert_eq!(texts(&json_of(&scene, &format!("{chat}?limit=1&offset=1")).await, "body"), ["good evening"]);
    assert_eq!(json_of(&scene, &format!("{chat}/{waha_id}")).await["body"], json!("a table for two"));
    let messages = format!("/api/messages?session={TENANT}&chatId={customer}@c.us&limit=100");
    assert_eq!(texts(&json_of(&scene, &messages).await, "body"), both);
    let page = format!("/api/baileys/messages?tenantId={TENANT}&chatId={customer}");
    let first = json_of(&scene, &format!("{page}&limit=1")).await;
    assert_eq!(texts(&first["messages"], "text"), ["a table for two"]);
    let cursor = first["messages"][0]["cursor"].as_str().unwrap();
    let second = json_of(&scene, &format!("{page}&limit=10&before={cursor}")).await;
    assert_eq!(texts(&second["messages"], "text"), ["good evening"], "{second:#}");
    for path in [format!("/api/{TENANT}/chats"), format!("/api/{TENANT}/chats/overview")] {
        let listed = json_of(&scene, &path).await;
        assert_eq!(listed[0]["lastMessage"]["body"], json!("a table for two"), "{path}: {listed:#}");
    }
    let listed = json_of(&scene, &format!("/api/baileys/conversations?tenantId={TENANT}")).await;
    assert_eq!(listed["conversations"][0]["lastMessage"]["text"], json!("a table for two"), "{listed:#}");
    scene.daemon.kill().await.unwrap();
}

/// It waited while the daemon was away: of such the library does not write down which LID is which number, and the phone answers by the
/// LID alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_the_phones_word_is_the_customers_under_one_name() {
    let MediaScene { stage, daemon, tenant, ear, customer, .. } = MediaScene::new().await;
    daemon.terminate(LIMIT).await.unwrap();
    let id = stage.network.customer_sends_for_phone(&customer, &tenant.number, "a table for two").await.unwrap();
    let daemon = stage.start().await;
    let is_of_it = |heard: &&sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
    let is_readable = |heard: &sessiond::demo::Heard| heard.payload["message"]["text"] == "a table for two";
    let read = ear.until(LIMIT, |heard| heard.iter().filter(is_of_it).any(is_readable)).await;
    read.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let heard = ear.heard();
    let from: Vec<_> = heard.iter().filter(is_of_it).map(|heard| heard.payload["message"]["from"].clone()).collect();
    assert!(from.iter().all(|from| *from == json!(format!("+{customer}"))), "{from:?}\n{}", stage.log());
    daemon.kill().await.unwrap();
}

/// An album is a mark, and its pictures say that they are of it.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_an_album_name_it() {
    let scene = MediaScene::new().await;
    let network = &scene.stage.network;
    let (customer, number) = (&scene.customer, &scene.tenant.number);
    let album = kind::AlbumMessage { expected_image_count: Some(2), ..Default::default() };
    let album = wa::Message { album_message: Field::some(album), ..Default::default() };
    let album = network.customer_send(customer, number, Say::Raw { message: Box::new(album) }).await.unwrap();
    let association = wa::MessageAssociation {
        association_type: Some(wa::message_association::AssociationType::MEDIA_ALBUM),
        parent_message_key: Field::some(wa::MessageKey {
            remote_jid: Some(format!("{number}@s.whatsapp.net")),
            from_me: Some(true),
            id: Some(album.clone()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let context = wa::MessageContextInfo { message_association: Field::some(association), ..Default::default() };
    let image = kind::ImageMessage { mimetype: Some("image/jpeg".into()), ..Default::default() };
    let picture = wa::Message {
        image_message: Field::some(image),
        message_context_info: Field::some(context),
        ..Default::default()
    };
    let picture = network.customer_send(customer, number, Say::Raw { message: Box::new(picture) }).await.unwrap();
    assert_eq!(scene.seen(&picture).await["album"], json!(album));
    let chat = format!("/api/{TENANT}/chats/{customer}@c.us/messages?limit=1");
    assert_eq!(json_of(&scene, &chat).await[0]["_data"]["album"], json!(album));
    scene.daemon.kill().await.unwrap();
}

/// What could not be read was a word of the protocol's: nothing is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_of_nothing_goes_away() {
    let scene = MediaScene::new().await;
    let network = &scene.stage.network;
    let (customer, number) = (&scene.customer, &scene.tenant.number);
    network.customer_send(customer, number, "good evening").await.unwrap();
    let protocol = kind::ProtocolMessage { r#type: Some(Type::LIMIT_SHARING), ..Default::default() };
    let message = wa::Message { protocol_message: Field::some(protocol), ..Default::default() };
    let say = Say::Raw { message: Box::new(message) };
    network.customer_sends_for_phone(customer, number, say).await.unwrap();
    let marked = || async { scene.ear.heard().iter().any(|heard| heard.event == "message:marked") };
    until(LIMIT, "what the phone told", marked).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    let page = format!("/api/baileys/messages?tenantId={TENANT}&chatId={customer}");
    let listed = json_of(&scene, &page).await;
    assert_eq!((&listed["count"], &listed["messages"][0]["text"]), (&json!(1), &json!("good evening")), "{listed:#}");
    scene.daemon.kill().await.unwrap();
}
