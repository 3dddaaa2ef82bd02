//! Replies come as a human would write them: read, typed for a while, sent; and nobody is shown as there for longer than that.

use std::time::Duration;

use loopback::{ChatState, Seen};
use serde_json::json;
use sessiond::demo::until;
use tokio::time::Instant;

use super::{Scene, settings};
use crate::support::stage::{Home, LIMIT, Stage};

impl Scene {
    /// With delays as a human has them.
    async fn open_human() -> Option<Self> {
        Self::open_human_on(Stage::new(Home::Embedded).await?).await
    }

    async fn open_human_on(stage: Stage) -> Option<Self> {
        let scene = Self::open_on(stage.set("SESSIOND_SESSION__HUMAN_PERCENT", "100")).await?;
        let mut human = settings();
        human["humanize"] = json!(true);
        scene.ok("PUT", "settings", Some(human)).await;
        Some(scene)
    }

    /// What a customer sees of the tenant.
    async fn seen(&self, customer: &str) -> Option<Seen> {
        let seen = self.stage.network.customer_sees(customer).await.unwrap();
        seen.into_iter().find(|seen| seen.number == self.conversation.number)
    }

    async fn is_typing(&self, customer: &str) -> bool {
        self.seen(customer).await.is_some_and(|seen| seen.chat_state == Some(ChatState::Composing))
    }

    async fn await_typing(&self, customer: &str) {
        let typing = until(LIMIT, "somebody to type", || self.is_typing(customer)).await;
        typing.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    /// Nobody types any more, and the tenant is not shown as there: its phone rings.
    async fn await_gone(&self, customer: &str) {
        let gone = async || {
            self.seen(customer).await.is_some_and(|seen| seen.chat_state == Some(ChatState::Paused) && !seen.available)
        };
        until(LIMIT, "the tenant to be gone", gone)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    async fn is_read(&self, customer: &str, id: &str) -> bool {
        let said = self.stage.network.messages(Some(customer)).await.unwrap();
        said.iter().any(|message| message.id == id && !message.read.is_empty())
    }

    async fn assert_got_nothing(&self, customer: &str) {
        assert_eq!(self.got(customer).await, Vec::<String>::new());
    }
}

/// Two at once: each is answered after its own time, and neither waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn each_reply_is_typed_before_it_comes() {
    let Some(scene) = Scene::open_human().await else { return };
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let asked = Instant::now();
    let id = scene.says(&ana, "quiero dos ajiacos").await;
    scene.says(&luz, "quiero una limonada natural").await;
    for customer in [&ana, &luz] {
        scene.await_typing(customer).await;
        scene.assert_got_nothing(customer).await;
        assert!(scene.seen(customer).await.unwrap().available, "WhatsApp shows typing only of who is there");
    }
    assert!(scene.is_typing(&ana).await && scene.is_typing(&luz).await, "one waits for the other");
    for customer in [&ana, &luz] {
        scene.await_more(customer, 0, "the reply").await;
        assert!(asked.elapsed() > Duration::from_secs(2), "no human writes that in {:?}", asked.elapsed());
    }
    scene.await_gone(&ana).await;
    scene.await_gone(&luz).await;
    let history = scene.seen(&ana).await.unwrap().history;
    assert_eq!(history, [ChatState::Composing, ChatState::Paused]);
    assert!(scene.is_read(&ana, &id).await, "she was answered and not read");
    // A program's send comes at once, unless it asks.
    scene.sends(&ana, "promoción", json!({ "bot": true })).await;
    assert_eq!(scene.seen(&ana).await.unwrap().history.len(), 2);
    scene.sends(&ana, "otra promoción", json!({ "bot": true, "humanize": true })).await;
    scene.await_gone(&ana).await;
    assert_eq!(scene.seen(&ana).await.unwrap().history.len(), 4);
    scene.daemon.kill().await.unwrap();
}

/// The owner writes while the bot types: it stops at once and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_owners_word_stops_what_is_being_typed() {
    let Some(scene) = Scene::open_human().await else { return };
    let ana = scene.customer(0);
    scene.says(&ana, "quiero dos ajiacos").await;
    scene.await_typing(&ana).await;
    scene.stage.network.phone_send(&scene.conversation.number, &ana, "hola Ana, ya le colaboro").await.unwrap();
    scene.await_gone(&ana).await;
    assert_eq!(scene.got(&ana).await, ["hola Ana, ya le colaboro"]);
    scene.daemon.kill().await.unwrap();
}

/// She goes on while the bot types its answer: nothing of it comes, and one answer has all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_the_bot_types_is_answered_with_it() {
    let Some(scene) = Scene::open_human().await else { return };
    let ana = scene.customer(0);
    let first = scene.says(&ana, "quiero dos ajiacos").await;
    for more in ["y una limonada natural", "y otra limonada natural"] {
        scene.await_typing(&ana).await;
        scene.says(&ana, more).await;
    }
    // What she said first is still hers to edit.
    scene.await_typing(&ana).await;
    let edit = loopback::Say::edit(&first, "quiero tres ajiacos");
    scene.stage.network.customer_send(&ana, &scene.conversation.number, edit).await.unwrap();
    scene.await_more(&ana, 0, "the reply").await;
    scene.await_gone(&ana).await;
    let replies = scene.got(&ana).await;
    assert_eq!(replies.len(), 1, "{replies:#?}");
    assert!(replies[0].contains("3 × Ajiaco") && replies[0].contains("2 × Limonada"), "{replies:#?}");
    // Of what was not said there is no trace in the talk: the next words are about the same basket.
    let basket = scene.talk(&ana, "ver").await.join("\n");
    assert!(basket.contains("3 × Ajiaco") && basket.contains("2 × Limonada"), "{basket}");
    scene.daemon.kill().await.unwrap();
}

/// It dies while it types, with its disk: the next life says the same, once, and when it was due.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_later_survives_a_death() {
    let Some(scene) = Scene::open_human().await else { return };
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    scene.says(&ana, "quiero dos ajiacos").await;
    scene.says(&luz, "quiero dos ajiacos").await;
    scene.await_typing(&ana).await;
    scene.await_typing(&luz).await;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    // Nobody knows whether the first reply has left: what she says now is answered after it.
    let number = &scene.conversation.number;
    scene.stage.network.customer_send(&luz, number, "y una limonada natural").await.unwrap();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.await_more(&ana, 0, "the reply").await;
    scene.await_more(&luz, 1, "both replies").await;
    scene.await_gone(&ana).await;
    scene.await_gone(&luz).await;
    let (hers, both) = (scene.got(&ana).await, scene.got(&luz).await);
    assert!(hers.len() == 1 && hers[0].contains("2 × Ajiaco"), "{hers:#?}");
    assert_eq!(both.len(), 2, "{both:#?}");
    assert!(both[0].contains("2 × Ajiaco") && both[1].contains("imonada"), "{both:#?}");
    scene.daemon.kill().await.unwrap();
}

/// The sign that nobody types any more does not get through, as behind a message that waits for the vault: the owner's phone rings all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_that_is_stuck_leaves_nobody_shown_as_there() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("LOOPBACK_PAUSE", "typing_ends:600000");
    // A new login would hide it as well.
    let stage = stage.set("SESSIOND_HEARTBEAT__FIRST", "1h").set("SESSIOND_HEARTBEAT__INTERVAL", "1h");
    let Some(scene) = Scene::open_human_on(stage).await else { return };
    let ana = scene.customer(0);
    scene.says(&ana, "quiero dos ajiacos").await;
    scene.await_typing(&ana).await;
    assert!(scene.seen(&ana).await.unwrap().available);
    scene.await_more(&ana, 0, "the reply").await;
    let is_gone = async || scene.seen(&ana).await.is_some_and(|seen| !seen.available);
    let gone = until(LIMIT, "the tenant to be gone", is_gone).await;
    gone.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    assert_eq!(scene.seen(&ana).await.unwrap().history, [ChatState::Composing], "it was not stuck");
    scene.daemon.kill().await.unwrap();
}
