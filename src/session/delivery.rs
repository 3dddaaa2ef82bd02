//! WhatsApp's words on messages that were sent: an ack, a refusal, a receipt.

use tracing::warn;
use whatsapp_rust::Jid;

use super::{Inner, connection::disconnect::is_passing, send::answers::SendAnswer};
use crate::{
    message::{Delivery, EventBody, Failure},
    store::StoreError,
};

impl Inner {
    /// WhatsApp acknowledged a message, or refused it with a code.
    pub(super) async fn acknowledged(&self, id: &str, error: Option<&str>) {
        let Some(error) = error else {
            return self.note_progress(id, self.outbox.progress(id, Delivery::Sent, None).await);
        };
        let code = error.parse().ok();
        match code {
            Some(code) if is_passing(code) => self.answers.give(id, SendAnswer::NotNow(code)),
            code => {
                warn!(event = "message_refused", message.id = id, code, "WhatsApp refuses a message");
                self.note_progress(id, self.outbox.fail(id, Failure::refused(code)).await.map(Some));
            }
        }
    }

    /// A message of a chat has come further, wherever it was written. `by`: to whom, where there are several.
    pub(super) async fn progress(&self, chat: &Jid, id: &str, to: Delivery, by: Option<String>) {
        let of_ours = self.outbox.progress(id, to, by.clone()).await;
        let is_logged = match &of_ours {
            Ok(None) => match self.inbox.progress(&chat.to_non_ad_string(), id, to, by.clone()).await {
                Ok(is_logged) => is_logged,
                Err(error) => return self.note_progress(id, Err(error)),
            },
            Ok(is_logged) => *is_logged,
            Err(_) => None,
        };
        if let Some(is_logged) = is_logged
            && by.is_some()
        {
            let (message_id, chat) = (id.to_owned(), chat.to_non_ad_string());
            let receipt = EventBody::Status { message_id, chat, status: to, by, failure: None };
            self.member_receipts.hear(receipt, is_logged);
        }
        self.note_progress(id, of_ours);
    }

    /// `None`: of a message that was not accepted here.
    fn note_progress(&self, id: &str, written: Result<Option<bool>, StoreError>) {
        match written {
            Ok(Some(true)) => {
                self.answers.note();
                self.answers.give(id, SendAnswer::Settled);
            }
            Ok(_) => {}
            Err(error) => warn!(event = "receipt_unwritten", message.id = id, %error, "a receipt could not be written"),
        }
    }
}
