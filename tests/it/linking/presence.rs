//! A tenant is shown as there only where that is meant: while it is, the owner's phone does not notify.

use std::time::Duration;

use serde_json::json;
use sessiond::demo::{Conversation, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

struct PresenceScene {
    stage: Stage,
    tenant: Conversation,
    customer: String,
    _daemon: Process,
}

async fn scene() -> PresenceScene {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let customer = tenant.customers[0].clone();
    let scene = PresenceScene { stage, tenant, customer, _daemon: daemon };
    let sent = scene.stage.dashboard.send(TENANT, &scene.customer, "hello", "hello").await.unwrap();
    let arrived = async || {
        let inbox = scene.stage.network.customer_inbox(&scene.customer).await.unwrap();
        inbox.iter().any(|received| received.id == sent)
    };
    until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    // The library says it at the login.
    scene.becomes(false).await;
    scene
}

impl PresenceScene {
    /// Whether the customer sees the tenant as there.
    async fn is_seen(&self) -> bool {
        let seen = self.stage.network.customer_sees(&self.customer).await.unwrap();
        seen.iter().any(|seen| seen.number == self.tenant.number && seen.available)
    }

    async fn becomes(&self, seen: bool) {
        let waited = until(LIMIT, "the presence", async || self.is_seen().await == seen).await;
        waited.unwrap_or_else(|error| panic!("shown: {seen}: {error}\n{}", self.stage.log()));
    }

    /// It is so, and nobody changes it.
    async fn stays(&self, seen: bool) {
        let changes = until(Duration::from_secs(2), "a change", async || self.is_seen().await != seen).await;
        assert!(changes.is_err(), "shown: {}\n{}", !seen, self.stage.log());
    }

    async fn rename(&self, name: &str) {
        self.stage.network.rename_owner(&self.tenant.number, name).await.unwrap();
        let path = format!("/api/sessions/{TENANT}/me");
        let is_named = async || self.stage.dashboard.get(&path).await.unwrap().body["pushName"] == json!(name);
        until(LIMIT, "the new name", is_named).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }
}

/// The library then says "available" by itself, in a task of its own, after it has told of the name.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_takes_another_name_is_not_shown_as_there() {
    let scene = scene().await;
    for name in ["Trattoria Nonna", "Trattoria", "Nonna"] {
        scene.rename(name).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.becomes(false).await;
        scene.stays(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_seen_is() {
    let scene = scene().await;
    let path = format!("/api/{TENANT}/presence");
    let show = async |word: &str| scene.stage.dashboard.post(&path, json!({ "presence": word })).await.unwrap();
    assert!(show("online").await.status < 300);
    scene.becomes(true).await;
    scene.rename("Nonna").await;
    scene.stays(true).await;
    assert!(show("offline").await.status < 300);
    scene.becomes(false).await;
    scene.rename("Trattoria").await;
    scene.becomes(false).await;
    scene.stays(false).await;
}
