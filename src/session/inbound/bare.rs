//! Messages without a ciphertext for this device. The library drops them without an answer, or acknowledges them only when it could
//! ask the phone for them (whatsapp-rust 0.7, `classify_incoming_message`), so that WhatsApp says them again and again and ends the
//! stream over them. A placeholder is kept, the phone is asked what they say, and WhatsApp gets its ack, once the placeholder is
//! durable. A second ack, the library's, changes nothing.

use std::sync::Arc;

use tracing::{info, warn};
use whatsapp_rust::{
    Client, Jid, Server,
    wacore::{
        messages::parse_message_info,
        types::message::{MessageCategory, MessageInfo},
    },
    wacore_binary::{JidExt as _, NodeRef},
};

use super::translate;
use crate::{message::Incoming, session::Inner};

/// Whether a stanza is such a message, which nobody else is sure to answer. Of channels and statuses the library acknowledges
/// everything; and what the phone does not tell its devices either.
pub fn is_bare(stanza: &NodeRef<'_>, me: impl FnOnce() -> Option<Jid>) -> bool {
    if stanza.tag != "message" || stanza.get_optional_child("enc").is_some() {
        return false;
    }
    let answered = |from: Jid| from.server == Server::Newsletter || from.is_status_broadcast();
    let is_answered = stanza.attrs().optional_jid("from").is_none_or(answered);
    if is_answered || unavailable(stanza) == Some(Unavailable::Everywhere) {
        return false;
    }
    let Some(participants) = stanza.get_optional_child("participants") else { return true };
    let Some(me) = me() else { return false };
    let mut mine = participants
        .get_children_by_tag("to")
        .filter(|to| to.get_attr("jid").and_then(|jid| jid.to_jid()).is_some_and(|jid| jid == me));
    !mine.any(|to| to.get_optional_child("enc").is_some())
}

/// The reason that a message gives for its missing content.
#[derive(Debug, PartialEq, Eq)]
enum Unavailable {
    /// The phone has it.
    Here,
    /// Seen once, or said to a bot or by a company's host: the phone does not pass it on.
    Everywhere,
}

fn unavailable(stanza: &NodeRef<'_>) -> Option<Unavailable> {
    let mark = stanza.get_optional_child("unavailable")?;
    let is_once = mark.get_attr("type").is_some_and(|kind| kind.as_str() == "view_once");
    let is_withheld = is_once || mark.attrs().optional_bool("hosted") || stanza.get_optional_child("bot").is_some();
    Some(if is_withheld { Unavailable::Everywhere } else { Unavailable::Here })
}

/// Reads its sender and id; `None` where they make no sense: the library has refused it then.
pub fn read(client: &Client, stanza: &NodeRef<'_>) -> Option<MessageInfo> {
    let (pn, lid) = (client.pn()?, client.lid());
    parse_message_info(stanza, &pn, lid.as_ref()).ok()
}

/// The placeholder that is kept of it; none of a message from the tenant's phone to its devices, which belongs to no chat.
pub fn placeholder(found: &MessageInfo) -> Vec<Incoming> {
    if found.category == MessageCategory::Peer { Vec::new() } else { vec![translate::undecryptable(found)] }
}

impl Inner {
    /// Once its placeholder is durable.
    pub(in crate::session) async fn answer_bare(&self, client: &Arc<Client>, stanza: &NodeRef<'_>, found: MessageInfo) {
        if found.category != MessageCategory::Peer {
            info!(message.id = found.id, "a message without a ciphertext: asking the phone for it");
            match unavailable(stanza) {
                Some(_) => self.recoveries.add_after_library(found),
                None => self.recoveries.add(found),
            }
        }
        if let Err(error) = client.acknowledge_stanza(stanza).await {
            warn!(event = "bare_message_refused", %error, "a message without a ciphertext was not acknowledged");
        }
    }
}
