//! The two inputs from the library: messages through the durability hook, everything else through its event bus.
//! Forwards, decides nothing.
//!
//! The hook stands between decryption and the ack: WhatsApp is answered only when it returned `Ok`, that is when the messages
//! are durable. The event bus calls inline and must not be held up: both of its channels are bounded; when one is full the line
//! is cut, and WhatsApp says it all again at the next login.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tracing::warn;
use whatsapp_rust::{
    Client, InboundDurabilityHook, Jid, NodeFilter,
    types::events::{Event, EventHandler, EventInterest, EventKind, InboundMessage},
    wacore::{
        appstate::schemas::{self, Schema},
        types::message::MessageInfo,
    },
    wacore_binary::NodeRef,
    waproto::whatsapp::message::HistorySyncType,
};

use super::{bare, edits, poll_votes, timers, translate, unknown_devices::UnknownDevices};
use crate::{
    crash,
    message::{FeedItem, Inbox, Incoming, Outbox},
    session::{Inner, connection::frame_watch, pairing::qr_rotation::QrRotation},
    store::Store,
    telemetry::{
        metrics,
        traces::{self, SpanName},
    },
    tenant::TenantId,
};

/// How long a message may wait for the vault before its ack is given up; WhatsApp keeps it and delivers it again.
const HOOK_VAULT_TIMEOUT: Duration = Duration::from_secs(30);

pub struct DurabilityHook {
    pub tenant: TenantId,
    pub inbox: Arc<Inbox>,
    pub outbox: Arc<Outbox>,
    pub store: Arc<Store>,
    /// Set when acks were withheld: the session reconnects once when the vault is back.
    pub owes_acks: Arc<AtomicBool>,
    /// Told of messages that may still become durable, when nobody waits for that any more.
    pub late: Arc<Notify>,
    pub(in crate::session) unknown_devices: Arc<UnknownDevices>,
}

#[async_trait]
impl InboundDurabilityHook for DurabilityHook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        crash::point("decrypted");
        // Here, and not when the library writes down that both names are one person's: it does so behind, when the first answers may go.
        for (lid, number) in batch.iter().filter_map(|message| translate::both_names(&message.info.source)) {
            self.outbox.join(&lid.to_non_ad_string(), &number.to_non_ad_string());
        }
        let incoming = read(&client, &self.inbox, &self.outbox, batch).await;
        let durable = match tokio::time::timeout(HOOK_VAULT_TIMEOUT, self.inbox.receive(&incoming)).await {
            Ok(received) => received.map_err(anyhow::Error::from),
            Err(_) => {
                self.late.notify_one();
                Err(anyhow::anyhow!("the vault did not take the messages within {HOOK_VAULT_TIMEOUT:?}"))
            }
        };
        if durable.is_err() {
            self.owes_acks.store(true, Ordering::Release);
        }
        if durable.is_ok() {
            for message in batch {
                timers::hear(&self.store, message).await;
                let after = self.store.arrivals().age(&chat_of(&message.info), &message.info.id);
                metrics::message_durable(after);
                if let Some(after) = after {
                    traces::message(&self.tenant, &message.info.id, SpanName::Received, after);
                }
            }
        }
        crash::point("in_the_vault");
        for message in batch.iter().filter(|message| !message.info.source.is_group) {
            self.unknown_devices.heard(&self.store, &message.info.source.sender).await;
        }
        for message in batch {
            self.store.arrivals().finished([(chat_of(&message.info).as_str(), message.info.id.as_str())]);
        }
        durable
    }
}

/// The chat of a message, as [`crate::store::Arrivals`] knows it.
fn chat_of(info: &MessageInfo) -> String {
    info.source.chat.to_non_ad().to_string()
}

impl Inner {
    /// Publishes, when the vault is back, the messages that it took too long for: they are in the log, and otherwise nobody would be told
    /// of them before the next event. As long as the connection lasts; with the next WhatsApp tells them again.
    pub(in crate::session) async fn publish_late(self: Arc<Self>) -> Infallible {
        loop {
            self.late.notified().await;
            if self.log.wait_and_publish(self.journal.recorded()).await.is_err() {
                // The journal is closed, and ends the connection.
                return pending().await;
            }
        }
    }
}

/// The messages in our form.
pub async fn read<'a>(
    client: &Client,
    inbox: &Inbox,
    outbox: &Outbox,
    messages: impl IntoIterator<Item = &'a InboundMessage>,
) -> Vec<Incoming> {
    let me: Vec<Jid> = [client.pn(), client.lid()].into_iter().flatten().collect();
    let mut read = Vec::new();
    for message in messages {
        let vote = poll_votes::read(client, inbox, outbox, message, &me).await;
        let mut incoming = translate::incoming(message, &me, vote);
        edits::complete(inbox, outbox, &mut incoming.message).await;
        read.push(incoming);
    }
    read
}

/// The session's ears on the library's event bus.
pub struct EventBridge {
    /// Events of the connection.
    pub control: mpsc::Sender<Arc<Event>>,
    /// Events of messages.
    pub records: mpsc::Sender<Arc<Event>>,
    /// When WhatsApp last said something unasked.
    pub pushed: watch::Sender<Instant>,
    /// When the last stanza came that it had kept.
    pub kept: watch::Sender<Instant>,
    pub rotation: QrRotation,
    pub session: Arc<Inner>,
}

impl EventBridge {
    const CONTROL: &[EventKind] = &[
        EventKind::Connected,
        EventKind::Disconnected,
        EventKind::PairSuccess,
        EventKind::PairError,
        EventKind::LoggedOut,
        EventKind::PairingCode,
        EventKind::PairingCodeError,
        EventKind::PairingCodeRefresh,
        EventKind::PairingQrCode,
        EventKind::PairingQrCodesExhausted,
        EventKind::QrScannedWithoutMultidevice,
        EventKind::ClientOutdated,
        EventKind::StreamReplaced,
        EventKind::TemporaryBan,
        EventKind::ConnectFailure,
        EventKind::StreamError,
        EventKind::OfflineSyncPreview,
        EventKind::OfflineSyncCompleted,
        EventKind::PairPasskeyRequest,
        EventKind::PairPasskeyConfirmation,
        EventKind::PairPasskeyError,
        EventKind::SelfPushNameUpdated,
    ];
    const RECORDS: &[EventKind] = &[
        EventKind::ArchiveUpdate,
        EventKind::GroupUpdate,
        EventKind::IncomingCall,
        EventKind::Messages,
        EventKind::MissedCall,
        EventKind::Receipt,
        EventKind::ServerAck,
        EventKind::UndecryptableMessage,
    ];
    /// Every stanza, for what the library has no event for.
    const STANZAS: &[EventKind] = &[EventKind::RawNode];
    const NOTED: &[EventKind] = &[
        EventKind::AppStateSyncFailed,
        EventKind::ChatPresence,
        EventKind::ContactUpdate,
        EventKind::HistorySync,
        EventKind::LabelAssociationUpdate,
        EventKind::LabelEditUpdate,
        EventKind::Presence,
    ];

    /// Notes an event that is kept in memory only. Returns false if it is none of these.
    fn note(&self, event: &Event) -> bool {
        let session = &self.session;
        match event {
            Event::ChatPresence(update) => self.shows(session.presences.heard_typing(update)),
            Event::Presence(update) => self.shows(session.presences.heard_presence(update)),
            Event::ContactUpdate(update) => session.collected.heard_person(update),
            Event::LabelEditUpdate(update) => {
                let is_live =
                    self.is_live(&schemas::LABEL_EDIT, update.from_full_sync, update.timestamp.timestamp_millis());
                session.collected.heard_label(update, is_live);
            }
            Event::LabelAssociationUpdate(update) => {
                let is_live =
                    self.is_live(&schemas::LABEL_JID, update.from_full_sync, update.timestamp.timestamp_millis());
                session.collected.heard_labelled(update, is_live);
            }
            // Thousands, in a first sync.
            Event::ArchiveUpdate(update)
                if !self.is_live(&schemas::ARCHIVE, update.from_full_sync, update.timestamp.timestamp_millis()) => {}
            Event::AppStateSyncFailed(failed) => session.skipped.heard(failed),
            _ => return false,
        }
        true
    }

    fn is_live(&self, setting: &Schema, from_full_sync: bool, made_ms: i64) -> bool {
        let session = &self.session;
        session.live_changes.is_live(&session.store, setting, from_full_sync, made_ms)
    }

    /// Answers with settings, before the library reads them.
    fn settings_came(&self, stanza: &NodeRef<'_>) {
        let Some(sync) = (&*stanza.tag == "iq").then(|| stanza.get_optional_child("sync")).flatten() else { return };
        for page in sync.get_children_by_tag("collection") {
            let mut attrs = page.attrs();
            let Some(name) = attrs.optional_string("name") else { continue };
            let has_more = attrs.optional_bool("has_more_patches");
            let is_first = self.session.store.was_never_synced(&name);
            self.session.live_changes.page_came(&name, is_first, has_more);
        }
    }

    /// Told before the library works on it, by the task that reads the wire.
    fn came(&self, stanza: &NodeRef<'_>) {
        if !matches!(&*stanza.tag, "message" | "status") {
            return;
        }
        // Without a ciphertext for one device or another it moves no ratchet.
        if stanza.get_optional_child("enc").is_none() && stanza.get_optional_child("participants").is_none() {
            return;
        }
        let mut attrs = stanza.attrs();
        if let (Some(chat), Some(id)) = (attrs.optional_jid("from"), attrs.optional_string("id")) {
            let answer = || {
                let client = self.session.client.borrow().clone();
                let answers = client.iter().flat_map(|client| {
                    ["receipt", "ack"].map(|form| client.wait_for_sent_node(NodeFilter::tag(form).attr("id", &*id)))
                });
                answers.collect()
            };
            // The library has one queue for all devices of a chat.
            let bytes = stanza.get_children_by_tag("enc").map(|enc| enc.content_bytes().map_or(0, <[u8]>::len)).sum();
            let recipient = attrs.optional_jid("recipient").map(|jid| jid.to_non_ad().to_string());
            self.session.store.arrivals().came(&chat.to_non_ad().to_string(), &id, recipient, bytes, answer);
        }
    }

    fn shows(&self, chat: Option<String>) {
        if let Some(chat) = chat {
            self.session.env.feed.publish(&self.session.tenant, FeedItem::Presence(chat));
        }
    }
}

impl EventHandler for EventBridge {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::HistorySync(sync) = &*event {
            // A history that nobody asked for says how the phone's chats are set.
            match sync.sync_type() == HistorySyncType::ON_DEMAND as i32 {
                true => self.session.questions.heard(sync),
                false => self.hand_on(event, Concern::Messages),
            }
            return;
        }
        if self.note(&event) {
            return;
        }
        match &*event {
            Event::RawNode(stanza) => {
                frame_watch::opened();
                self.session.seen.stanza(self.session.env.clock.now());
                if stanza.get().get_attr("offline").is_some() {
                    self.kept.send_replace(Instant::now());
                }
                self.learn_time(stanza.get());
                self.came(stanza.get());
                self.settings_came(stanza.get());
                match self.concern(stanza.get()) {
                    Some(concern) => return self.hand_on(event, concern),
                    None => return,
                }
            }
            Event::PairingQrCode(_) => return self.rotation.show(|| self.hand_on(event.clone(), Concern::Connection)),
            Event::PairPasskeyRequest(_) => self.rotation.end(),
            // At once: the record of it may wait.
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => self.session.answers.note(),
            Event::OfflineSyncCompleted(_) => self.session.store.arrivals().go_live(),
            Event::UndecryptableMessage(message) => {
                metrics::decrypt_failed();
                self.session.store.arrivals().failed(&chat_of(&message.info), &message.info.id);
            }
            _ => {}
        }
        let record = EventInterest::of(Self::RECORDS).wants(event.kind());
        self.hand_on(event, if record { Concern::Messages } else { Concern::Connection });
    }

    fn interest(&self) -> EventInterest {
        [Self::RECORDS, Self::STANZAS, Self::NOTED]
            .into_iter()
            .fold(EventInterest::of(Self::CONTROL), |all, kinds| all.union(EventInterest::of(kinds)))
    }
}

/// The receiver of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concern {
    Connection,
    Messages,
}

impl EventBridge {
    /// A login is answered with the time.
    fn learn_time(&self, stanza: &NodeRef<'_>) {
        let says = (&*stanza.tag == "success").then(|| stanza.get_attr("t")).flatten();
        let seconds = says.and_then(|time| time.as_str().parse().ok());
        if let Some(time) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
            self.session.env.clock.learn_time(time);
        }
    }

    /// The receiver of a stanza for which the library has no event.
    fn concern(&self, stanza: &NodeRef<'_>) -> Option<Concern> {
        let me = || self.session.client.borrow().as_ref().and_then(|client| client.pn());
        match &*stanza.tag {
            "success" | "stream:error" => Some(Concern::Connection),
            // The end of the offline queue: the library tells only the first of it and of its own patience's.
            "ib" if stanza.get_optional_child("offline").is_some() => Some(Concern::Connection),
            "message" if bare::is_bare(stanza, me) => Some(Concern::Messages),
            _ => None,
        }
    }

    fn hand_on(&self, event: Arc<Event>, concern: Concern) {
        let record = concern == Concern::Messages;
        if matches!(
            &*event,
            Event::Messages(_) | Event::Receipt(_) | Event::UndecryptableMessage(_) | Event::IncomingCall(_)
        ) {
            self.pushed.send_replace(Instant::now());
        }
        let sent = if record { self.records.try_send(event) } else { self.control.try_send(event) };
        match sent {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(event)) => {
                warn!(
                    event = "events_too_fast",
                    kind = ?event.kind(),
                    "events come faster than they are handled: cutting the line, they will be said again"
                );
                self.session.line.cut();
            }
        }
    }
}
