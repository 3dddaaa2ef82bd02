//! Receipts of a group's members, and of those who see a status, beside the first who tells a step. The log has that one, and lists go by
//! it: with all of them a message to a thousand people would be two thousand events. Webhooks that want the others hear each once. Nobody
//! keeps them.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, OnceLock},
};

use tokio::sync::broadcast;

use crate::{message::EventBody, sync::lock};

/// Receipts that wait for a webhook which does something else; of more the oldest are lost.
const WAITING: usize = 64;

/// Receipts that are known again. When there are more, all are forgotten.
const REMEMBERED: usize = 8192;

#[derive(Debug, Default)]
pub struct MemberReceipts {
    /// Digests of those that were told.
    told: Mutex<HashSet<u64>>,
    digests: RandomState,
    /// Made with the first: it has its room whether anybody listens or not, and most tenants have no webhook.
    listeners: OnceLock<broadcast::Sender<Arc<EventBody>>>,
}

impl MemberReceipts {
    pub fn listen(&self) -> broadcast::Receiver<Arc<EventBody>> {
        self.listeners.get_or_init(|| broadcast::Sender::new(WAITING)).subscribe()
    }

    /// Somebody tells a step, as an [`EventBody::Status`]. `is_logged`: the first one, of whom the log tells.
    pub fn hear(&self, receipt: EventBody, is_logged: bool) {
        let Some(listeners) = self.listeners.get() else { return };
        let EventBody::Status { message_id, status, by, .. } = &receipt else { return };
        let digest = self.digests.hash_one((message_id, status.as_str(), by));
        let is_new = {
            let mut told = lock(&self.told);
            if told.len() >= REMEMBERED {
                told.clear();
            }
            told.insert(digest)
        };
        if is_new && !is_logged {
            // Nobody listening any more is no error.
            let _ = listeners.send(Arc::new(receipt));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Delivery;

    #[test]
    fn each_member_is_heard_once_beside_the_one_in_the_log() {
        let receipts = MemberReceipts::default();
        let receipt = |by: &str, status| EventBody::Status {
            message_id: "A".into(),
            chat: "1203630@g.us".into(),
            status,
            by: Some(by.into()),
            failure: None,
        };
        receipts.hear(receipt("ana", Delivery::Read), false);
        assert!(lock(&receipts.told).is_empty(), "nobody has listened so far");
        let mut heard = receipts.listen();
        for (by, status, is_logged) in [
            ("ana", Delivery::Delivered, true),
            ("ana", Delivery::Delivered, false),
            ("ben", Delivery::Delivered, false),
            ("ben", Delivery::Delivered, false),
            ("ben", Delivery::Read, true),
            ("ana", Delivery::Read, false),
        ] {
            receipts.hear(receipt(by, status), is_logged);
        }
        let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).map(|receipt| (*receipt).clone()).collect();
        assert_eq!(told, [receipt("ben", Delivery::Delivered), receipt("ana", Delivery::Read)]);
    }
}
