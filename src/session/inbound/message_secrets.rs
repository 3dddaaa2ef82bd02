//! The secrets of messages, which what comes later about them (edits, encrypted reactions) is sealed with. The library keeps them in the
//! working copy only; after a lost disk it asks here, where inbox and outbox have the messages whole.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use whatsapp_rust::{OriginalMessageResolver, waproto::codec};

use crate::message::{Inbox, Outbox};

pub struct StoredMessageSecrets {
    pub inbox: Arc<Inbox>,
    pub outbox: Arc<Outbox>,
}

#[async_trait]
impl OriginalMessageResolver for StoredMessageSecrets {
    async fn resolve_msg_secret(&self, chat: &str, _sender: &str, id: &str) -> Option<[u8; 32]> {
        let sent = self.outbox.body(id).await.ok().flatten();
        let body: Bytes = match sent {
            Some(body) => body,
            None => self.inbox.find(chat, id).await.ok().flatten()?.body,
        };
        let message = codec::message_decode(&body).ok()?;
        message.message_context_info.as_option()?.message_secret.as_deref()?.try_into().ok()
    }
}
