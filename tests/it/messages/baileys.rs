//! A tenant chats with somebody whose app is another implementation of the protocol: two versions of Baileys. Its Signal
//! sessions meet ours as they come back from the vault, after the daemon died and its disk was lost.
//!
//! Needs Node and npm. Where they are missing the tests say so and pass, unless `CI=true`.

use std::collections::HashSet;

use serde_json::json;
use sessiond::demo::{Conversation, Ear, Heard, Process, until};

use crate::support::{
    driver::Client,
    node::program,
    stage::{Home, LIMIT, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_and_a_tenant_chat_on_after_a_lost_disk() {
    chat_on("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_and_a_tenant_chat_on_after_a_lost_disk() {
    chat_on("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_asks_again_for_what_was_sent_before_a_lost_disk() {
    ask_again("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_asks_again_for_what_was_sent_before_a_lost_disk() {
    ask_again("7").await;
}

async fn chat_on(version: &str) {
    let Some((mut chat, mut daemon)) = Chat::begin(version).await else { return };

    // The tenant has only listened when it dies: its next life must answer on a session that it never spoke in.
    chat.guest_writes(3).await;
    chat.tenant_has_all().await;
    daemon = chat.lose_the_disk(daemon, 2).await;
    chat.tenant_has_all().await;

    for _ in 0..2 {
        chat.tenant_writes(2).await;
        chat.guest_has_all().await;
        chat.guest_writes(2).await;
        chat.tenant_has_all().await;
    }
    chat.guest_reads_the_last().await;

    // In the middle of it, in both directions.
    let calm = chat.by_tenant.len();
    chat.guest_writes(2).await;
    chat.tenant_writes(2).await;
    let in_flight = chat.by_tenant[calm..].iter().map(|written| written.id.clone()).collect();
    daemon = chat.lose_the_disk(daemon, 3).await;
    chat.tenant_has_all().await;
    chat.guest_has_all().await;
    chat.guest_writes(2).await;
    chat.tenant_writes(2).await;
    chat.tenant_has_all().await;
    chat.guest_has_all().await;
    chat.guest_reads_the_last().await;

    let stats = chat.settled().await;
    assert_eq!(stats.counts.retry_receipts, 0, "somebody could not decrypt: {stats:#?}\n{}", chat.stage.log());
    chat.end(&in_flight).await;
    daemon.kill().await.unwrap();
}

/// The guest's sessions are gone, and it finds a message that it cannot decrypt. Who wrote it is dead by then, with its disk: the
/// next life answers the retry receipt with what the outbox kept. That it knows the guest's devices at all it has from the
/// vault: the library drops the first retry receipt of a device that it does not know.
async fn ask_again(version: &str) {
    let Some((mut chat, mut daemon)) = Chat::begin(version).await else { return };
    chat.guest_writes(1).await;
    chat.tenant_has_all().await;
    chat.tenant_writes(1).await;
    chat.guest_has_all().await;
    chat.guest_writes(1).await;
    chat.tenant_has_all().await;
    chat.settled().await;

    chat.guest.command(json!({ "command": "disconnect" })).await;
    chat.guest.event("close", |_| true).await;
    chat.guest.command(json!({ "command": "forget" })).await;
    chat.tenant_writes(1).await;
    let id = chat.by_tenant.last().unwrap().id.clone();
    // Settled, or the next life would send it again by itself, and have a copy at hand that the disk lost. That it is settled
    // is told at once and goes to the vault with what goes there next: another message, accepted.
    chat.tenant_knows(&id, &["sent", "delivered"]).await;
    let (tenant, customer) = (&chat.tenant.tenant, &chat.tenant.customers[0]);
    chat.stage.dashboard.send(tenant, customer, "your table is ready", "another").await.unwrap();
    daemon = chat.lose_the_disk(daemon, 0).await;
    chat.guest.command(json!({ "command": "connect" })).await;
    chat.guest.event("open", |_| true).await;
    let answered = || async { chat.wire(&id).await.is_some_and(|wire| wire.resent > 0) };
    if let Err(error) = until(LIMIT, "an answer to the retry receipt", answered).await {
        panic!("{error}\n{:#?}\n{}", chat.stage.network.stats().await, chat.stage.log());
    }
    chat.guest_has_all().await;
    let wire = chat.wire(&id).await.unwrap();
    assert_eq!(wire.seen, 1, "it was sent again without being asked: {wire:?}");

    // And the new session carries on.
    chat.guest_writes(2).await;
    chat.tenant_has_all().await;
    chat.tenant_writes(2).await;
    chat.guest_has_all().await;
    chat.settled().await;
    // The guest's own phone may have told it the texts as well.
    let asked_for = chat.by_tenant[1..2].iter().map(|written| written.id.clone()).collect();
    chat.end(&asked_for).await;
    daemon.kill().await.unwrap();
}

struct Written {
    id: String,
    text: String,
}

/// A tenant and a guest, whose phone has a device of Baileys.
struct Chat {
    stage: Stage,
    tenant: Conversation,
    ear: Ear,
    guest: Client,
    /// The guest's number.
    number: String,
    by_guest: Vec<Written>,
    by_tenant: Vec<Written>,
    /// How many of the tenant's the guest is known to have.
    arrived: usize,
    /// The guest's name for the chat.
    chat: String,
}

impl Chat {
    /// `None`: Node is missing, and that has been said.
    async fn begin(version: &str) -> Option<(Self, Process)> {
        let folder = program("baileys")?;
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let tenant = stage.pair("trattoria").await;
        let phone = stage.network.add_phone(Some("Guest".into())).await;
        let mut guest = Client::start(&folder, version, &stage.network, None);
        guest.scanned(&stage.network, &phone.number).await;
        guest.linked().await;
        let chat = Self {
            ear: stage.listen(std::slice::from_ref(&tenant)),
            chat: format!("{}@s.whatsapp.net", tenant.number),
            number: phone.number,
            by_guest: Vec::new(),
            by_tenant: Vec::new(),
            arrived: 0,
            stage,
            tenant,
            guest,
        };
        Some((chat, daemon))
    }

    async fn guest_writes(&mut self, messages: usize) {
        for _ in 0..messages {
            let text = format!("question {}", self.by_guest.len() + 1);
            let id = self.guest.send(&self.chat, &text).await;
            self.by_guest.push(Written { id, text });
        }
    }

    /// Over the HTTP API.
    async fn tenant_writes(&mut self, messages: usize) {
        for _ in 0..messages {
            let text = format!("answer {}", self.by_tenant.len() + 1);
            let sent = self.stage.dashboard.send(&self.tenant.tenant, &self.number, &text, &text).await;
            let id = sent.unwrap_or_else(|error| panic!("{error:#}\n{}", self.stage.log()));
            self.by_tenant.push(Written { id, text });
        }
    }

    /// Everything that the guest wrote came over Socket.IO, with its text and its author.
    async fn tenant_has_all(&self) {
        let has = |heard: &[Heard], written: &Written| heard.iter().any(|heard| is_received(heard, &written.id));
        let all = |heard: &[Heard]| self.by_guest.iter().all(|written| has(heard, written));
        if let Err(error) = self.ear.until(LIMIT, all).await {
            panic!("{error}: {:#?}\n{}", self.ear.heard(), self.stage.log());
        }
        let heard = self.ear.heard();
        for written in &self.by_guest {
            for heard in heard.iter().filter(|heard| is_received(heard, &written.id)) {
                let message = &heard.payload["message"];
                assert_eq!((&message["text"], &message["fromMe"]), (&json!(written.text), &json!(false)), "{message}");
                assert_eq!(message["from"], json!(format!("+{}", self.number)), "{message}");
            }
        }
    }

    /// Everything that the tenant wrote came to Baileys, under the id that the API gave, and receipts came back: Baileys' own
    /// among them, as the guest's phone confirms as well.
    async fn guest_has_all(&mut self) {
        for written in &self.by_tenant[self.arrived..] {
            let message = self.guest.text(&written.text).await;
            assert_eq!((&message["id"], &message["from_me"]), (&json!(written.id), &json!(false)), "{message}");
            self.chat = message["chat"].as_str().expect("a chat").to_owned();
            let device = self.stage.network.devices(&self.number).await.unwrap().remove(0).jid;
            let confirmed =
                || async { self.wire(&written.id).await.is_some_and(|wire| wire.delivered.contains(&device)) };
            until(LIMIT, "Baileys' receipt", confirmed).await.unwrap();
            self.tenant_knows(&written.id, &["delivered"]).await;
        }
        self.arrived = self.by_tenant.len();
    }

    async fn guest_reads_the_last(&mut self) {
        let id = self.by_tenant.last().unwrap().id.clone();
        self.guest.command(json!({ "command": "read", "chat": self.chat, "id": id })).await;
        self.tenant_knows(&id, &["read"]).await;
    }

    /// Socket.IO has said one of these of a message of the tenant.
    async fn tenant_knows(&self, id: &str, statuses: &[&str]) {
        let is_it = |heard: &Heard| {
            heard.event == "message:status"
                && heard.payload["messageId"] == json!(id)
                && statuses.iter().any(|status| heard.payload["status"] == json!(status))
        };
        if let Err(error) = self.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await {
            panic!("{id} {statuses:?}: {error}: {:#?}\n{}", self.ear.heard(), self.stage.log());
        }
    }

    /// SIGKILL; the disk is gone; the guest writes on; the next life.
    async fn lose_the_disk(&mut self, daemon: Process, meanwhile: usize) -> Process {
        daemon.kill().await.unwrap();
        self.stage.wipe_local_data();
        self.guest_writes(meanwhile).await;
        self.stage.start().await
    }

    /// A message of the tenant as the network saw it.
    async fn wire(&self, id: &str) -> Option<loopback::WireMessage> {
        let messages = self.stage.network.messages(Some(&self.tenant.number)).await.unwrap();
        messages.into_iter().find(|message| message.id == id)
    }

    async fn settled(&self) -> loopback::Stats {
        let network = &self.stage.network;
        let empty = || async { network.stats().await.offline_queues.is_empty() };
        until(LIMIT, "everything to be acknowledged", empty).await.unwrap();
        network.stats().await
    }

    /// The promises, at the end: one message is one event here and one message there; but one of `repeatable`, which may have
    /// been on its way when the daemon died, may have come twice under its id.
    async fn end(self, repeatable: &HashSet<String>) {
        let stats = self.settled().await;
        assert_eq!(stats.counts.pairings, 2, "somebody had to scan again");
        assert_eq!((stats.counters_reused, stats.counts.undecryptable), (0, 0), "{stats:#?}\n{}", self.stage.log());
        for written in &self.by_tenant {
            let wire = self.wire(&written.id).await.expect("it crossed the network");
            assert!(wire.seen == 1 || repeatable.contains(&written.id), "sent again for no reason: {wire:?}");
        }

        let heard = self.ear.heard();
        let received: Vec<&Heard> = heard
            .iter()
            .filter(|heard| heard.event == "message:received" && heard.payload["message"]["fromMe"] == json!(false))
            .collect();
        let messages: HashSet<String> =
            received.iter().map(|heard| heard.payload["message"]["id"].to_string()).collect();
        let events: HashSet<String> = received.iter().map(|heard| heard.payload["eventId"].to_string()).collect();
        assert_eq!((messages.len(), events.len()), (self.by_guest.len(), self.by_guest.len()), "{received:#?}");

        let known: HashSet<&String> = self.by_tenant.iter().map(|written| &written.id).collect();
        for event in self.guest.end().await {
            assert_ne!(event["event"], "error", "{event}");
            // What it wrote itself is announced to it as well.
            if event["event"] == "message" && event["from_me"] == json!(false) {
                let id = event["id"].as_str().expect("an id").to_owned();
                assert!(known.contains(&id) && repeatable.contains(&id), "it came twice, or from nobody: {event}");
            }
        }
    }
}

fn is_received(heard: &Heard, id: &str) -> bool {
    heard.event == "message:received" && heard.payload["message"]["id"] == json!(id)
}
