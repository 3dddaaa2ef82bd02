//! A message whose questions make WhatsApp end the line, or are never answered: the attempts are its own, and the other chats hardly
//! notice.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use sessiond::demo::{Conversation, Ear, until};

use crate::support::stage::{Home, LIMIT, Stage};

/// For a message to somebody whom the tenant knows, while the line ends again and again.
const SOON: Duration = Duration::from_secs(5);

/// One tenant for each namespace, side by side.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_every_line_lets_the_others_go_first() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__SEND_ATTEMPTS", "3");
    let daemon = stage.start().await;
    let mut conversations = Vec::new();
    for tenant in ["trattoria", "osteria", "locanda"] {
        conversations.push(stage.pair(tenant).await);
    }
    let ear = stage.listen(&conversations);
    let poisoned = [("usync", None), ("encrypt", Some("key")), ("w:g2", None)];
    let scenes = conversations.iter().zip(poisoned).map(|(conversation, (xmlns, tag))| {
        let scene = PoisonScene { stage: &stage, ear: &ear, conversation };
        async move { scene.play(xmlns, tag).await }
    });
    futures::future::join_all(scenes).await;
    daemon.kill().await.unwrap();
}

/// To send to a group the library asks for the keys of those whom the tenant has never met, and holds the locks of all sessions meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_whatsapp_never_sends_hold_up_their_group_only() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let scene = PoisonScene { stage: &stage, ear: &ear, conversation: &conversation };
    let (network, number) = (&stage.network, &conversation.number);
    let (known, stranger) = (&conversation.customers[0], &conversation.customers[1]);
    scene.say(known, "before").await;
    let group = network.create_group(number, "Regulars", &[known.as_str(), stranger.as_str()]).await.unwrap().jid;
    let silence = Fault::new(FaultKind::IqSilence).target(number).xmlns("encrypt").tag("key").chat(stranger);
    network.fault(silence).await.unwrap();
    scene.send(&group, "to all").await;
    let (began, mut said) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        let took = scene.say(known, &format!("meanwhile {said}")).await;
        assert!(took < SOON, "another chat waited {took:?}\n{}", stage.log());
        said += 1;
    }
    daemon.kill().await.unwrap();
}

/// A status goes as a message to a group does.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_whatsapp_never_sends_hold_up_their_status_only() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let scene = PoisonScene { stage: &stage, ear: &ear, conversation: &conversation };
    let (network, number) = (&stage.network, &conversation.number);
    let (known, stranger) = (&conversation.customers[0], &conversation.customers[1]);
    scene.say(known, "before").await;
    let silence = Fault::new(FaultKind::IqSilence).target(number).xmlns("encrypt").tag("key").chat(stranger);
    network.fault(silence).await.unwrap();
    let viewers = [known, stranger].map(|customer| format!("{customer}@c.us"));
    let status = serde_json::json!({ "text": "Ajiaco", "contacts": viewers });
    let posted = stage.dashboard.post("/api/trattoria/status/text", status).await.unwrap();
    assert!((200..300).contains(&posted.status), "{}", posted.body);
    let (began, mut said) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        let took = scene.say(known, &format!("meanwhile {said}")).await;
        assert!(took < SOON, "another chat waited {took:?}\n{}", stage.log());
        said += 1;
    }
    daemon.kill().await.unwrap();
}

struct PoisonScene<'a> {
    stage: &'a Stage,
    ear: &'a Ear,
    conversation: &'a Conversation,
}

impl PoisonScene<'_> {
    async fn send(&self, to: &str, text: &str) -> String {
        let tenant = &self.conversation.tenant;
        match self.stage.dashboard.send(tenant, to, text, &format!("{tenant} {text}")).await {
            Ok(id) => id,
            Err(error) => panic!("{error:#}\n{}", self.stage.log()),
        }
    }

    /// How long a text to a customer whom the tenant knows takes.
    async fn say(&self, customer: &str, text: &str) -> Duration {
        let began = Instant::now();
        self.send(customer, text).await;
        let arrived = async || {
            let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
            inbox.iter().any(|received| received.text.as_deref() == Some(text))
        };
        if until(LIMIT, "the message", arrived).await.is_err() {
            panic!("{text} did not arrive\n{}", self.stage.log());
        }
        began.elapsed()
    }

    fn has_failed(&self, id: &str) -> bool {
        let heard = self.ear.heard();
        heard.iter().any(|heard| {
            heard.event == "message:status"
                && heard.payload["messageId"] == *id
                && heard.payload["status"] == "failed"
                && heard.payload["failure"]["reason"] == "unconfirmed"
        })
    }

    async fn play(&self, xmlns: &str, tag: Option<&str>) {
        let network = &self.stage.network;
        let (known, stranger) = (&self.conversation.customers[0], &self.conversation.customers[1]);
        self.say(known, "before").await;
        // A group that WhatsApp does not know, which it would say if it were asked in peace.
        let poisoned = if xmlns == "w:g2" { "120363000000009999@g.us" } else { stranger.as_str() };
        let mut fault = Fault::new(FaultKind::IqDrop).target(&self.conversation.number).xmlns(xmlns);
        if poisoned == stranger {
            fault = fault.chat(stranger);
        }
        if let Some(tag) = tag {
            fault = fault.tag(tag);
        }
        let logins = network.stats().await.counts.logins;
        network.fault(fault).await.unwrap();
        let id = self.send(poisoned, "poison").await;
        let (began, mut said) = (Instant::now(), 0);
        while !self.has_failed(&id) {
            assert!(began.elapsed() < LIMIT, "{xmlns}: it does not fail\n{}", self.stage.log());
            let took = self.say(known, &format!("meanwhile {said}")).await;
            assert!(took < SOON, "{xmlns}: another chat waited {took:?}\n{}", self.stage.log());
            said += 1;
        }
        assert!(network.stats().await.counts.logins > logins, "{xmlns}: it did not end the line");
        self.say(known, "well again").await;
    }
}
