//! Writes what the library reports outside the durability hook: of messages acks and receipts, what could not be decrypted, what came
//! back from the phone; calls, changes of groups and of the archive. In order, one connection at a time.
//!
//! Messages among them wait for the vault beside the queue, all that have come meanwhile together: an ack behind a thousand
//! unreadable messages, or behind a vault that stalls, is not late.

use std::sync::{Arc, atomic::Ordering};

use tokio::{sync::mpsc, task::JoinHandle};
use tracing::{Instrument as _, warn};
use whatsapp_rust::{
    Client, Server,
    types::events::{Event, InboundMessage, Receipt},
    wacore::types::{message::MessageInfo, presence::ReceiptType},
    wacore_binary::JidExt as _,
};

use super::{bare, group_changes, hook, timers, translate};
use crate::{
    message::{Delivery, EventBody, Incoming},
    session::{Inner, guarded},
};

/// Messages that wait for their turn to be written; then what comes next waits in the queue.
const MOST_UNKEPT: usize = 512;

/// Writes what the library reports, in order, until the connection is over.
pub async fn record(session: Arc<Inner>, client: Arc<Client>, mut events: mpsc::Receiver<Arc<Event>>) {
    session.changes.forget();
    let mut unkept = Vec::new();
    let mut keeping: Option<JoinHandle<()>> = None;
    loop {
        if keeping.is_none() && !unkept.is_empty() {
            // A task of its own: the inbox has one writer, who must not stand still while an event is worked on here.
            let kept = keep(session.clone(), client.clone(), std::mem::take(&mut unkept));
            keeping = Some(session.tasks.spawn(guarded(session.clone(), kept).in_current_span()));
        }
        let event = tokio::select! {
            event = events.recv(), if unkept.len() < MOST_UNKEPT => event,
            () = session.collected.more.notified() => {
                Box::pin(session.collected.write(&session)).await;
                continue;
            }
            _ = async { keeping.as_mut().expect("there is one").await }, if keeping.is_some() => {
                keeping = None;
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
                    let who = source.sender_alt.as_ref().unwrap_or(&source.sender);
                    // Of a status's receipt the library keeps the number alone, where WhatsApp gives it beside the LID.
                    let has_many = source.chat.server == Server::Group || source.chat.is_status_broadcast();
                    let by = match has_many && !who.is_status_broadcast() {
                        true => Some(session.display_name_of(who).await),
                        false => None,
                    };
                    for id in &receipt.message_ids {
                        session.progress(&source.chat, id, to, by.clone()).await;
                    }
                }
            }
            Event::UndecryptableMessage(lost) => {
                if !lost.is_unavailable {
                    session.recoveries.add_unread(lost.info.clone());
                }
                unkept.push(QueuedMessages { messages: vec![translate::undecryptable(&lost.info)], bare: None });
            }
            // The hook has had the others: these come from outside its reach.
            Event::Messages(batch) => {
                let outside = |info: &MessageInfo| {
                    info.unavailable_request_id.is_some() || info.source.chat.server == Server::Newsletter
                };
                let outside: Vec<_> = batch.messages.iter().filter(|message| outside(&message.info)).collect();
                for message in &outside {
                    timers::hear(&session.store, message).await;
                }
                let messages = Box::pin(hook::read(&client, &session.inbox, &session.outbox, outside)).await;
                let answers = batch.messages.iter().flat_map(|message| answer_of_phone(&session, message));
                let answers: Vec<_> = answers.collect();
                let mended = Box::pin(hook::read(&client, &session.inbox, &session.outbox, &answers)).await;
                let messages: Vec<_> = messages.into_iter().chain(mended).collect();
                if !messages.is_empty() {
                    unkept.push(QueuedMessages { messages, bare: None });
                }
            }
            Event::RawNode(stanza) => {
                if let Some(found) = bare::read(&client, stanza.get()) {
                    let messages = bare::placeholder(&found);
                    unkept.push(QueuedMessages { messages, bare: Some((event, found)) });
                }
            }
            Event::IncomingCall(call) => Box::pin(session.heard_call(call)).await,
            Event::MissedCall(call) => Box::pin(session.missed_call(call)).await,
            Event::GroupUpdate(update) => {
                timers::hear_of_group(&session.store, update).await;
                let me: Vec<_> = [client.pn(), client.lid()].into_iter().flatten().collect();
                for mut event in group_changes::events(update, &me) {
                    // Without it the event says the LID alone, which is no reason to say nothing.
                    let _ = group_changes::fill_in_numbers(&session.store, &mut event).await;
                    session.subjects.hear(&event);
                    session.publish_event(event).await;
                }
            }
            Event::HistorySync(history) => {
                timers::hear_of_history(&session.store, history, session.env.clock.now().as_second()).await;
            }
            Event::ArchiveUpdate(update) => {
                let (chat, timestamp) = (session.display_name_of(&update.jid).await, update.timestamp.timestamp());
                let archived = update.action.archived.unwrap_or(false);
                session.publish_event(EventBody::Archive { chat, archived, timestamp }).await;
            }
            _ => {}
        }
    }
    Box::pin(session.collected.write(&session)).await;
    if let Some(keeping) = keeping {
        let _ = keeping.await;
    }
    // Boxed, or it would have its room in this task for as long as the connection lasts.
    Box::pin(keep(session, client, unkept)).await;
}

/// The messages in an answer of the phone's, as far as the library could not read it.
fn answer_of_phone(session: &Inner, message: &InboundMessage) -> Vec<InboundMessage> {
    let source = &message.info.source;
    let is_phone = source.is_from_me && source.sender.device == 0;
    let protocol = message.message.protocol_message.as_option().filter(|_| is_phone);
    let answer = protocol.and_then(|it| it.peer_data_operation_request_response_message.as_option());
    answer.map(|answer| session.recoveries.read_answer(answer)).unwrap_or_default()
}

/// Messages that are not in the vault yet.
struct QueuedMessages {
    messages: Vec<Incoming>,
    /// The stanza of a bare one, to be answered when it is kept.
    bare: Option<(Arc<Event>, MessageInfo)>,
}

/// Returns when all of them are durable, and the bare ones answered.
async fn keep(session: Arc<Inner>, client: Arc<Client>, unkept: Vec<QueuedMessages>) {
    let messages: Vec<_> = unkept.iter().flat_map(|one| &one.messages).cloned().collect();
    // Without any the inbox would wait for whatever else is on its way to the vault.
    let kept = if messages.is_empty() { Ok(()) } else { session.inbox.receive(&messages).await };
    if let Err(error) = &kept {
        warn!(
            event = "messages_unkept",
            %error,
            messages = messages.len(),
            "messages from outside the hook were not kept"
        );
    }
    for (stanza, found) in unkept.into_iter().filter_map(|one| one.bare) {
        match &*stanza {
            Event::RawNode(stanza) if kept.is_ok() => session.answer_bare(&client, stanza.get(), found).await,
            // WhatsApp says it again when the session reconnects.
            _ => session.owes_acks.store(true, Ordering::Release),
        }
    }
}

fn delivery(receipt: &Receipt) -> Option<Delivery> {
    if receipt.source.is_from_me {
        return None;
    }
    match receipt.r#type {
        ReceiptType::Delivered | ReceiptType::Inactive => Some(Delivery::Delivered),
        ReceiptType::Read => Some(Delivery::Read),
        ReceiptType::Played => Some(Delivery::Played),
        _ => None,
    }
}
