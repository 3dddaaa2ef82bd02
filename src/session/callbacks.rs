//! The session's answers to its working copy ([`StoreCallbacks`]).

use async_trait::async_trait;
use tracing::warn;
use whatsapp_rust::{
    Jid, Server,
    wacore::types::message::{MessageInfo, MessageSource},
};

use super::{End, Inner};
use crate::store::{CopyFailure, OwnAccount, StoreCallbacks};

#[async_trait]
impl StoreCallbacks for Inner {
    async fn save_device(&self) {
        let client = self.client.borrow().clone();
        if let Some(client) = client
            && let Err(error) = client.persistence_manager().flush().await
        {
            warn!(event = "device_unsaved", %error, "the device was not saved");
        }
    }

    async fn another_account(&self, account: &OwnAccount) -> bool {
        self.admit_account(account).await
    }

    async fn pairing(&self, account: &OwnAccount) {
        self.open_conversations_to(account).await;
    }

    fn copy_failed(&self, failure: &CopyFailure) {
        self.end(End::CopyFailed(failure.clone()));
    }

    fn lost_inbound(&self, chat: &str, sender: &str, id: &str) {
        warn!(
            event = "message_missing",
            message.id = id,
            "a message was decrypted before and is nowhere: asking the phone for it"
        );
        let Some(client) = self.client.borrow().clone() else { return };
        let (Ok(chat), Ok(sender)) = (chat.parse::<Jid>(), sender.parse::<Jid>()) else { return };
        let source = MessageSource {
            is_group: matches!(chat.server, Server::Group | Server::Broadcast),
            // The phone looks for its own messages elsewhere.
            is_from_me: [client.pn(), client.lid()].iter().flatten().any(|me| me.user == sender.user),
            chat,
            sender,
            ..MessageSource::default()
        };
        // The phone's answer may come without a time: then it is of now rather than of 1970.
        let timestamp = whatsapp_rust::wacore::time::now_utc();
        let info = MessageInfo { source, id: id.into(), timestamp, ..MessageInfo::default() };
        self.recoveries.add(info);
    }

    fn app_state_key_came(&self) {
        self.first_sync.keys_came();
        self.skipped.keys_came();
    }

    fn met(&self, lid: &str, number: &str) {
        self.outbox.join(&Jid::lid(lid).to_string(), &Jid::pn(number).to_string());
    }
}
