//! What is written in channels: a tenant's posts reach those who follow, once; what others write there reaches the tenant.

use loopback::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::{
    contracts::waha,
    messages::media::{JPEG, bare, base64, file},
    support::stage::{Home, LIMIT, Stage},
};

const OWNER: &str = "trattoria";
const READER: &str = "pizzeria";

/// A tenant with a channel, and one that follows it.
struct ChannelScene {
    stage: Stage,
    daemon: Process,
    /// The owner's and the reader's.
    ears: [Ear; 2],
    numbers: [String; 2],
    channel: String,
    /// What the link to it ends with.
    code: String,
}

impl ChannelScene {
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let tenants: [Conversation; 2] = [stage.pair(OWNER).await, stage.pair(READER).await];
        let ears = tenants.each_ref().map(|tenant| stage.listen(std::slice::from_ref(tenant)));
        let made = stage.dashboard.post(&format!("/api/{OWNER}/channels"), json!({ "name": "News" })).await.unwrap();
        let channel = made.body["id"].as_str().unwrap().to_owned();
        let code = made.body["invite"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let follow = format!("/api/{READER}/channels/{channel}/follow");
        assert_eq!(stage.dashboard.post(&follow, json!({})).await.unwrap().status, 201);
        let numbers = tenants.map(|tenant| tenant.number);
        Self { stage, daemon, ears, numbers, channel, code }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new()
            .request(method, format!("http://{}{path}", self.stage.setup.address))
            .header("X-Api-Key", &self.stage.setup.admin_key)
            .json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Says something in the channel over WAHA's API.
    async fn say(&self, tenant: &str, path: &str, mut body: Value) -> (u16, Value) {
        body["session"] = json!(tenant);
        body["chatId"] = json!(self.channel);
        self.ask(Method::POST, path, &body).await
    }

    /// The owner's post, accepted: WhatsApp's id.
    async fn post(&self, text: &str) -> String {
        let (status, answer) = self.say(OWNER, "/api/sendText", json!({ "text": text })).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(answer["id"], json!(format!("true_{}_{}", self.channel, bare(&answer))));
        bare(&answer)
    }

    /// WhatsApp has said so of a message.
    async fn settled(&self, ear: usize, id: &str, status: &str) {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event == "message:status"
                && heard.payload["messageId"] == json!(id)
                && heard.payload["status"] == json!(status)
        };
        let heard = self.ears[ear].until(LIMIT, |heard| heard.iter().any(is_it)).await;
        heard.unwrap_or_else(|error| panic!("{id} {status}: {error}\n{}", self.stage.log()));
    }

    /// What the reader's dashboard is told of a post, once.
    async fn heard(&self, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event == "message:received" && heard.payload["message"]["id"] == json!(id)
        };
        let heard = self.ears[1].until(LIMIT, |heard| heard.iter().any(is_it)).await;
        heard.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
        let mut heard: Vec<_> = self.ears[1].heard().into_iter().filter(is_it).collect();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0).payload["message"].take()
    }

    /// The channel as the reader's history has it, the newest first.
    async fn history(&self) -> Vec<Value> {
        let (_, shown) = self
            .ask(Method::GET, &format!("/api/{READER}/chats/{}/messages?limit=100", self.channel), &Value::Null)
            .await;
        shown.as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_reaches_those_who_follow_and_can_be_changed() {
    let scene = ChannelScene::new().await;
    let network = scene.stage.network.clone();
    let posts = async || network.channel_posts(&scene.channel).await;

    let id = scene.post("open again").await;
    scene.settled(0, &id, "sent").await;
    assert_eq!(posts().await[0].message.conversation.as_deref(), Some("open again"));
    assert!(!posts().await[0].message.message_context_info.is_set(), "everybody may read it: no secret");
    let heard = scene.heard(&id).await;
    // Told from customers by the chat, as groups are.
    assert_eq!(
        (&heard["chatId"], &heard["text"], &heard["fromMe"]),
        (&json!(scene.channel), &json!("open again"), &json!(false))
    );
    let shown = scene.history().await.remove(0);
    assert_eq!(
        (&shown["id"], &shown["from"], &shown["body"]),
        (&json!(format!("false_{}_{id}", scene.channel)), &json!(scene.channel), &json!("open again"))
    );
    let link = json!({
        "text": "see https://example.com/menu",
        "preview": { "url": "https://example.com/menu", "title": "Menu", "image": { "data": base64(&crate::messages::media::picture(64, 64)) } },
    });
    let (status, sent) = scene.say(OWNER, "/api/send/link-custom-preview", link).await;
    assert_eq!(status, 201, "{sent}");
    let link = scene.heard(&bare(&sent)).await;
    assert_eq!(link["content"]["preview"]["title"], json!("Menu"));
    let linked = posts().await.remove(1).message;
    let linked = linked.extended_text_message.as_option().unwrap();
    assert!(linked.jpeg_thumbnail.is_some() && linked.thumbnail_direct_path.is_none());

    // The reader reacts, changes its mind, and takes it back.
    for (emoji, expected) in [("👍", vec!["👍"]), ("❤", vec!["❤"]), ("", vec![])] {
        let reaction = json!({ "session": READER, "messageId": shown["id"], "reaction": emoji });
        let (status, answer) = scene.ask(Method::PUT, "/api/reaction", &reaction).await;
        assert_eq!(status, 200, "{answer}");
        scene.settled(1, &bare(&answer), "sent").await;
        let reactions = posts().await.remove(0).reactions;
        let found: Vec<_> = reactions.iter().map(|(by, emoji)| (by.as_str(), emoji.as_str())).collect();
        let by = scene.numbers[1].as_str();
        assert_eq!(found, expected.iter().map(|emoji| (by, *emoji)).collect::<Vec<_>>());
        let preview = format!("/api/{READER}/channels/{}/messages/preview", scene.channel);
        let (status, shown) = scene.ask(Method::GET, &preview, &Value::Null).await;
        assert_eq!((status, shown.as_array().map(Vec::len)), (200, Some(2)), "{shown}");
        assert_eq!((&shown[0]["message"]["body"], &shown[0]["viewCount"]), (&json!("open again"), &json!(1)));
        let counted = expected.iter().map(|emoji| ((*emoji).to_owned(), json!(1))).collect();
        assert_eq!(shown[0]["reactions"], Value::Object(counted), "{shown}");
    }
    let unknown =
        json!({ "session": READER, "messageId": format!("false_{}_3EB0NONE", scene.channel), "reaction": "👍" });
    let (_, answer) = scene.ask(Method::PUT, "/api/reaction", &unknown).await;
    scene.settled(1, &bare(&answer), "failed").await;

    // The owner edits it, and deletes it.
    let own = format!("/api/{OWNER}/chats/{}/messages/true_{}_{id}", scene.channel, scene.channel);
    let (status, edit) = scene.ask(Method::PUT, &own, &json!({ "text": "open until ten" })).await;
    assert_eq!(status, 200, "{edit}");
    scene.settled(0, &bare(&edit), "sent").await;
    assert!(posts().await[0].edited);
    let now = || async { scene.history().await.last().unwrap()["body"] == json!("open until ten") };
    until(LIMIT, "the edit", now).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    // By the link's code, by somebody who does not follow.
    let preview = format!("/api/{OWNER}/channels/{}/messages/preview?limit=1", scene.code);
    let (_, shown) = scene.ask(Method::GET, &preview, &Value::Null).await;
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["message"]["fromMe"]), (1, &json!(true)), "{shown}");
    let (status, answer) = scene.ask(Method::DELETE, &own, &Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    until(LIMIT, "the deletion", || async { posts().await[0].deleted }).await.unwrap();
    let preview = format!("/api/{READER}/channels/{}/messages/preview", scene.channel);
    let (_, shown) = scene.ask(Method::GET, &preview, &Value::Null).await;
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");

    // What somebody else's line may not do, and what no channel takes.
    let (status, answer) = scene.say(READER, "/api/sendText", json!({ "text": "me too" })).await;
    assert_eq!(status, 201, "{answer}");
    scene.settled(1, &bare(&answer), "failed").await;
    let image = json!({ "file": { "data": base64(&file(JPEG, 500)) } });
    for (path, body) in [
        ("/api/sendImage", image),
        ("/api/sendLocation", json!({ "latitude": 1.0, "longitude": 1.0 })),
        ("/api/sendPoll", json!({ "poll": { "name": "?", "options": ["a", "b"] } })),
        ("/api/sendText", json!({ "text": "@573001112233", "mentions": ["573001112233@c.us"] })),
        ("/api/sendText", json!({ "text": "x", "reply_to": id })),
        ("/api/forwardMessage", json!({ "messageId": shown[0]["message"]["id"] })),
    ] {
        let (status, answer) = scene.say(OWNER, path, body).await;
        assert_eq!((status, &answer["code"]), (422, &json!("not_in_channels")), "{path}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|reason| reason.len() > 20), "{answer}");
    }
    for (path, status) in [
        (format!("/api/{READER}/channels/120363999999999999@newsletter/messages/preview"), 404),
        (format!("/api/{READER}/channels/x@g.us/messages/preview"), 400),
        (format!("/api/{READER}/channels/{}/messages/preview?limit=0", scene.channel), 400),
        (format!("/api/{READER}/channels/{}/messages/preview?limit=1000", scene.channel), 400),
    ] {
        assert_eq!(scene.ask(Method::GET, &path, &Value::Null).await.0, status, "{path}");
    }
    assert_eq!(posts().await.len(), 2);
    assert_eq!(network.stats().await.counts.media_uploads, 0);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_published_once_over_a_kill_and_a_lost_disk() {
    let mut scene = ChannelScene::new().await;
    let network = scene.stage.network.clone();
    let first = scene.post("before").await;
    scene.heard(&first).await;
    scene.settled(0, &first, "sent").await;

    // WhatsApp has the second, but has not said so when the daemon dies.
    network.fault(Fault::new(FaultKind::WithholdAcks)).await.unwrap();
    let send = async |scene: &ChannelScene| {
        let body =
            json!({ "session": OWNER, "chatId": scene.channel, "text": "while dying", "id": "ABCDEF0123456789" });
        scene.ask(Method::POST, "/api/sendText", &body).await
    };
    assert_eq!(send(&scene).await.0, 201);
    let there = || async { network.channel_posts(&scene.channel).await.len() == 2 };
    until(LIMIT, "the post", there).await.unwrap();
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    network.clear_faults().await;
    scene.daemon = scene.stage.start().await;
    for tenant in [OWNER, READER] {
        until(LIMIT, "the login", || scene.stage.dashboard.is_connected(tenant)).await.unwrap();
    }
    let (status, again) = send(&scene).await;
    assert_eq!((status, bare(&again).as_str()), (201, "ABCDEF0123456789"), "{again}");
    scene.settled(0, "ABCDEF0123456789", "sent").await;
    let last = scene.post("after").await;
    scene.heard(&last).await;
    let posts = network.channel_posts(&scene.channel).await;
    let texts: Vec<_> = posts.iter().map(|post| post.message.conversation.as_deref().unwrap()).collect();
    assert_eq!(texts, ["before", "while dying", "after"]);
    let shown: Vec<_> = scene.history().await.iter().map(|message| message["body"].clone()).collect();
    assert_eq!(shown.iter().filter(|text| **text == json!("before")).count(), 1, "{shown:?}");
    assert_eq!(shown.iter().filter(|text| **text == json!("while dying")).count(), 1, "{shown:?}");
    let stats = network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counters_reused), (2, 0));
    scene.daemon.kill().await.unwrap();
}

/// WAHA's client reads what a channel writes.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_reads_channels() {
    let Some(mut scene) = waha::paired().await else { return };
    let network = scene.stage.network.clone();
    let news = network.create_channel(&scene.customer, "Neighbourhood", "news").await.unwrap();
    scene.waha.get("channels.follow", json!(["trattoria", news.jid])).await;
    let id = network.write_in_channel(&scene.customer, &news.jid, "water is off").await.unwrap();
    let shown = || async {
        let path = format!("/api/trattoria/chats/{}/messages", news.jid);
        let shown = scene.stage.dashboard.get(&path).await;
        shown.is_ok_and(|shown| shown.body[0]["id"] == json!(format!("false_{}_{id}", news.jid)))
    };
    until(LIMIT, "the post", shown).await.unwrap();
    let preview = json!(["trattoria", news.jid, { "downloadMedia": false, "limit": 10 }]);
    let preview = scene.waha.get_as("channels.preview_channel_messages", preview, "[ChannelMessage]").await;
    assert_eq!((&preview[0]["message"]["body"], &preview[0]["reactions"]), (&json!("water is off"), &json!({})));
    let told = json!([{ "session": "trattoria", "chatId": news.jid, "text": "thanks" }]);
    scene.waha.get_as("chatting.send_text", told, "WAMessage").await;
    scene.daemon.kill().await.unwrap();
}
