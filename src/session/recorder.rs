//! Writes what the library reports outside the durability hook: of messages acks and receipts, what could not be decrypted, what came
//! back from the phone; calls, changes of groups and of the archive. In order, one connection at a time.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;
use whatsapp_rust::{
    Client, Server,
    types::events::{Event, Receipt},
    wacore::types::{message::MessageInfo, presence::ReceiptType},
};

use super::{Inner, group_news, hook, translate};
use crate::message::{Delivery, EventBody, Incoming};

/// Writes what the library reports, in order, until the connection is over.
pub async fn record(session: Arc<Inner>, client: Arc<Client>, mut events: mpsc::Receiver<Arc<Event>>) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = session.collected.more.notified() => {
                session.collected.write(&session).await;
                continue;
            }
        };
        let Some(event) = event else { break };
        match &*event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                session.acknowledged(&ack.id, ack.error.as_deref()).await;
                if let Some(change) = session.changes.end(&ack.id) {
                    session.acknowledged(&change, ack.error.as_deref()).await;
                }
            }
            Event::Receipt(receipt) => {
                if let Some(to) = delivery(receipt) {
                    let source = &receipt.source;
                    let by = match source.chat.server == Server::Group {
                        true => Some(session.named(source.sender_alt.as_ref().unwrap_or(&source.sender)).await),
                        false => None,
                    };
                    for id in &receipt.message_ids {
                        session.progress(id, to, by.clone()).await;
                    }
                }
            }
            Event::UndecryptableMessage(lost) => {
                keep(&session, vec![translate::undecryptable(&lost.info)]).await;
            }
            // The hook has had the others: these come from outside its reach.
            Event::Messages(batch) => {
                let outside = |info: &MessageInfo| {
                    info.unavailable_request_id.is_some() || info.source.chat.server == Server::Newsletter
                };
                let outside: Vec<_> = batch.messages.iter().filter(|message| outside(&message.info)).collect();
                let found = hook::read(&client, &session.inbox, &session.outbox, outside).await;
                if !found.is_empty() {
                    keep(&session, found).await;
                }
            }
            Event::RawNode(stanza) => session.take_bare(&client, stanza.get()).await,
            Event::IncomingCall(call) => session.heard_call(call).await,
            Event::MissedCall(call) => session.missed_call(call).await,
            Event::GroupUpdate(update) => {
                let me: Vec<_> = [client.pn(), client.lid()].into_iter().flatten().collect();
                for event in group_news::events(update, &me) {
                    session.happened(event).await;
                }
            }
            Event::ArchiveUpdate(update) => {
                let (chat, timestamp) = (session.named(&update.jid).await, update.timestamp.timestamp());
                let archived = update.action.archived.unwrap_or(false);
                session.happened(EventBody::Archive { chat, archived, timestamp }).await;
            }
            _ => {}
        }
    }
    session.collected.write(&session).await;
}

async fn keep(session: &Arc<Inner>, found: Vec<Incoming>) {
    if let Err(error) = session.inbox.receive(&found).await {
        warn!(%error, "a message from outside the hook was not kept");
    }
}

fn delivery(receipt: &Receipt) -> Option<Delivery> {
    if receipt.source.is_from_me {
        return None;
    }
    match receipt.r#type {
        ReceiptType::Delivered | ReceiptType::Inactive => Some(Delivery::Delivered),
        ReceiptType::Read | ReceiptType::Played => Some(Delivery::Read),
        _ => None,
    }
}
