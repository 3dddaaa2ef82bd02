//! The courier: carries the outbox to WhatsApp, one message of a chat after the other.
//!
//! Before each message it makes sure that the vault is there, that this process still owns the tenant, and that every ratchet
//! step taken so far is durable; the store's gates see to the counter that the message itself takes. A message is carried
//! again, under its id, until an ack or a receipt has settled it. Never decides what is sent.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use whatsapp_rust::{Client, Jid, SendError, SendOptions, waproto::codec};

use super::{Inner, statuses};
use crate::{
    crash,
    message::{Delivery, Unsettled},
};

/// Chats that are served at the same time.
const LANES: usize = 16;

/// How long WhatsApp may take to confirm a message before the line is thought dead.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a message that the library refuses to send is tried.
const TRIES: u32 = 3;

pub struct Courier {
    session: Arc<Inner>,
    /// Ids and chats of messages just accepted.
    accepted: mpsc::Receiver<(String, String)>,
    lanes: HashMap<String, VecDeque<String>>,
    busy: HashSet<String>,
    known: HashSet<String>,
}

impl Courier {
    pub fn new(session: Arc<Inner>, accepted: mpsc::Receiver<(String, String)>) -> Self {
        Self { session, accepted, lanes: HashMap::new(), busy: HashSet::new(), known: HashSet::new() }
    }

    /// Until `stop`. What is in flight then stays in the outbox.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        let mut ready = self.session.ready.subscribe();
        ready.mark_changed();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((id, chat)) = self.accepted.recv() => self.add(id, chat),
                Some(done) = running.join_next() => match done {
                    Ok((chat, id)) => {
                        self.busy.remove(&chat);
                        self.known.remove(&id);
                    }
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                },
                // After each login: also what a former process accepted.
                Ok(()) = ready.changed() => {
                    if ready.borrow_and_update().is_none() {
                        continue;
                    }
                    match self.session.outbox.backlog().await {
                        Ok(backlog) => backlog.into_iter().for_each(|(id, chat)| self.add(id, chat)),
                        Err(error) => warn!(%error, "the outbox cannot be read"),
                    }
                }
            }
            self.start(&mut running);
        }
        running.shutdown().await;
    }

    fn add(&mut self, id: String, chat: String) {
        if self.known.insert(id.clone()) {
            self.lanes.entry(chat).or_default().push_back(id);
        }
    }

    fn start(&mut self, running: &mut JoinSet<(String, String)>) {
        let waiting: Vec<String> = self.lanes.keys().filter(|chat| !self.busy.contains(*chat)).cloned().collect();
        for chat in waiting {
            if running.len() >= LANES {
                break;
            }
            let Some(lane) = self.lanes.get_mut(&chat) else { continue };
            let Some(id) = lane.pop_front() else { continue };
            if lane.is_empty() {
                self.lanes.remove(&chat);
            }
            self.busy.insert(chat.clone());
            let session = self.session.clone();
            running.spawn(async move {
                carry(&session, &id).await;
                (chat, id)
            });
        }
    }
}

/// Carries one message until it is settled.
async fn carry(session: &Inner, id: &str) {
    let mut refusals = 0;
    while let Some(client) = session.ready_client().await {
        let outcome = tokio::select! {
            // The library may wait for minutes on a connection that is over.
            () = session.client_gone(&client) => continue,
            outcome = attempt(session, &client, id) => outcome,
        };
        match outcome {
            Attempt::Over => return,
            Attempt::NotNow => {}
            Attempt::Refused => {
                refusals += 1;
                if refusals >= TRIES {
                    session.progress(id, Delivery::Failed).await;
                    return;
                }
            }
        }
    }
}

/// What came of carrying a message over one connection.
enum Attempt {
    /// It is settled, or need not be sent any more.
    Over,
    /// Another attempt is needed.
    NotNow,
    /// The library would not send it.
    Refused,
}

async fn attempt(session: &Inner, client: &Arc<Client>, id: &str) -> Attempt {
    if let Err(error) = prepare(session, client).await {
        debug!(message.id = id, error = format!("{error:#}"), "not sending yet");
        // The journal retries by itself; this only keeps the loop from spinning.
        tokio::time::sleep(Duration::from_millis(250)).await;
        return Attempt::NotNow;
    }
    // Only now: while the vault was waited for the message may have been taken back.
    let message = match session.outbox.unsettled(id).await {
        Ok(Some(message)) => message,
        Ok(None) => return Attempt::Over,
        Err(error) => {
            warn!(message.id = id, %error, "the outbox cannot be read");
            return Attempt::Over;
        }
    };
    match send(session, client, message).await {
        Ok(()) => {
            crash::point("on_the_wire");
            await_settlement(session, id).await
        }
        Err(error) if is_final(&error) => {
            warn!(message.id = id, %error, "a message cannot be sent");
            Attempt::Refused
        }
        Err(error) => {
            debug!(message.id = id, %error, "a message was not sent: waiting for the next connection");
            session.client_gone(client).await;
            Attempt::NotNow
        }
    }
}

/// Everything that must be true before anything is encrypted.
pub(super) async fn prepare(session: &Inner, client: &Arc<Client>) -> anyhow::Result<()> {
    let unconfirmed = session.env.clock.instant().since(session.journal.confirmed_at());
    if unconfirmed > session.env.settings.ownership_limit || session.journal.outage() {
        session.journal.confirm().await?;
    }
    client.flush_pending_signal_state().await?;
    session.store.wait(session.journal.recorded()).await?;
    Ok(())
}

async fn send(session: &Inner, client: &Arc<Client>, message: Unsettled) -> Result<(), SendError> {
    let chat: Jid = message.chat.parse().map_err(|_| SendError::InvalidRequest("the chat is no jid".into()))?;
    let body = codec::message_decode(&message.body)
        .map_err(|error| SendError::InvalidRequest(format!("the message does not parse: {error}")))?;
    if !message.audience.is_empty() {
        return statuses::send(session, client, message, body).await;
    }
    client.send_message_with_options(chat, body, SendOptions::default().with_message_id(message.id)).await?;
    Ok(())
}

/// Whether trying on another connection would end the same way.
fn is_final(error: &SendError) -> bool {
    matches!(error, SendError::InvalidRequest(_) | SendError::Internal(_))
}

/// Until the message is settled, or WhatsApp has been silent about it for too long: then the line is cut, since a connection that
/// swallows messages is worse than none.
async fn await_settlement(session: &Inner, id: &str) -> Attempt {
    let settled = async {
        loop {
            let news = session.settled.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if !matches!(session.outbox.unsettled(id).await, Ok(Some(_))) {
                return;
            }
            news.await;
        }
    };
    if timeout(ACK_TIMEOUT, settled).await.is_ok() {
        return Attempt::Over;
    }
    warn!(message.id = id, "WhatsApp did not confirm a message: connecting anew");
    session.line.cut();
    Attempt::NotNow
}
