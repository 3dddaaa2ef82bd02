//! Turns a consumer's request into a message of the outbox: its chat, its target, its id. The courier sends it.

mod error;
mod for_bot;
mod identity;
mod references;

use std::time::Duration;

use futures::TryFutureExt as _;
use rand::RngCore as _;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use whatsapp_rust::{Jid, Server, waproto::codec};

pub use self::error::AcceptError;
use self::identity::{digest_of, message_id, repeated, under_name};
use super::{
    channel_posts,
    compose::{ComposeContext, compose},
    status_broadcast,
};
use crate::{
    humanize::Manner,
    message::{
        Acceptance, Addressed, Draft, Flaw, Humanize, Mentions, Message, OutboxError, Outgoing, SendRequest,
        media::FileName, timer,
    },
    session::{End, Session, files::FileSource, inbound::edits::Editable, state::State},
    store::StoreError,
    telemetry::traces::{self, SpanName},
};

const NOT_OURS: &str = "only own messages can be deleted for everyone in a chat with a person";

/// How long a consumer waits for a message to be durable before it is told that nobody knows.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A message waits so long for a handover that may fail yet; then it is refused, and nothing was written.
const HANDED_TIMEOUT: Duration = Duration::from_secs(2);

/// The vault is slower than that with a message before: the next one is refused, before anything is written.
const VAULT_STALL: Duration = Duration::from_millis(2500);

/// A message with a file has about so many bytes: its keys, and mostly a thumbnail.
const FILE_MESSAGE_BYTES: usize = 4 * 1024;

impl Session {
    /// Accepts a message; returns it when it is durable and will be sent. A repeat is returned with what has become of the first, also
    /// when that has failed: nothing is sent then.
    ///
    /// With the same `key` the same send is accepted once: WhatsApp's message id is made from it, so a repeat is the same
    /// message, and the same key for another message is refused.
    pub async fn send(&self, request: &SendRequest, key: Option<&str>) -> Result<Acceptance, AcceptError> {
        let began = Instant::now();
        let outgoing = self.composed(request, None, key).await?;
        if outgoing.is_first_contact {
            self.refuse_bulk(&outgoing.message.id, outgoing.ttl).await?;
        }
        self.accept_durably(outgoing, began).await
    }

    /// The same for what has an attachment, and for [`Draft::Link`] with a picture. The file is with WhatsApp before the message is
    /// accepted.
    pub async fn send_file(
        &self,
        request: &SendRequest,
        source: FileSource,
        key: Option<&str>,
    ) -> Result<Acceptance, AcceptError> {
        let began = Instant::now();
        let outgoing = self.composed(request, Some(source), key).await?;
        if outgoing.is_first_contact {
            self.refuse_bulk(&outgoing.message.id, outgoing.ttl).await?;
        }
        self.accept_durably(outgoing, began).await
    }

    async fn composed(
        &self,
        request: &SendRequest,
        source: Option<FileSource>,
        key: Option<&str>,
    ) -> Result<Outgoing, AcceptError> {
        let inner = &self.0;
        let status = self.status();
        let id = request.id.clone().unwrap_or_else(|| message_id(&inner.tenant, key));
        if !status.paired || !matches!(status.state, State::Working | State::Starting) {
            // A repeat sends nothing, so it needs no line: it is told of the first.
            let is_repeat = status.paired && self.end().is_none() && self.accepted(&id).await?.is_some();
            if !is_repeat {
                return Err(self.not_ready_error(AcceptError::NotConnected));
            }
        }
        request.check()?;
        let names = self.addressee(&request.to, Some(&id)).await?;
        let (chat, mut request) = (names[0].clone(), under_name(request, &names, 0));
        self.name_author(&chat, &mut request.draft).await?;
        let request = &request;
        status_broadcast::check(&chat, &request.draft)?;
        if let Draft::Revoke { target } = &request.draft
            && !target.from_me
            && matches!(chat.server, Server::Pn | Server::Lid)
        {
            // A phone would not obey it, and nobody would know. In a group its admins may.
            return Err(Flaw { field: "messageId", expected: NOT_OURS.into() }.into());
        }
        let in_channel = chat.server == Server::Newsletter;
        if in_channel {
            channel_posts::check(request)?;
        }
        if chat.server != Server::Group && request.draft.mentions().is_some_and(|mentions| mentions.everybody) {
            return Err(Flaw { field: "mentions", expected: "\"all\" only in a group".into() }.into());
        }
        if inner.journal.outage() {
            return Err(AcceptError::VaultDown);
        }
        let me = status.phone_number.map(Jid::pn).unwrap_or_default();
        let mut secret = [0; 32];
        #[expect(clippy::disallowed_methods, reason = "a message's secret is made here")]
        rand::rng().fill_bytes(&mut secret);
        let now = inner.env.clock.now();
        let all_names: Vec<String> = names.iter().map(Jid::to_string).collect();
        let unreadable = |error: StoreError| self.lookup_error(&error);
        // Side by side: each waits for its turn on the store's thread, and for nothing else.
        let (known, own, timer) = tokio::try_join!(
            self.accepted(&id),
            inner.store.own_account().map_err(unreadable),
            timer::of(&inner.store, &all_names).map_err(unreadable),
        )?;
        // A repeat is what was accepted, whatever has become since of the message that it is about.
        let is_repeat = known.is_some();
        let answers = match &request.answers {
            Some(id) => match self.original(&chat, id, &me, is_repeat).await {
                // A repeat sends nothing, and the message that it answers may be gone by now.
                Err(AcceptError::UnknownMessage) if is_repeat => None,
                found => Some(found?),
            },
            None => None,
        };
        let about = match &request.draft {
            Draft::Vote { poll, .. } => {
                // As it was: its secret and its options do not change.
                let poll = self.original(&chat, poll, &me, true).await?;
                if !is_repeat {
                    self.undeleted(&chat, &poll.0).await?;
                }
                Some(poll)
            }
            Draft::Forward { chat, id } => {
                let chat = chat.parse().map_err(|_| AcceptError::UnknownMessage)?;
                Some(self.original(&chat, id, &me, is_repeat).await?)
            }
            Draft::Pin { target, seconds: Some(_) } if !is_repeat => {
                self.check_there(&chat, target).await?;
                None
            }
            // To take one back harms nobody.
            Draft::Reaction { target, emoji } if !is_repeat && !emoji.is_empty() => {
                self.check_there(&chat, target).await?;
                None
            }
            // Also one that is deleted already.
            Draft::Revoke { target } if !is_repeat => {
                self.check_was_there(&chat, target).await?;
                None
            }
            _ => None,
        };
        let digest = digest_of(known.as_ref(), &names, request);
        match &known {
            Some(known) if known.digest == digest && self.is_of_former_account(known).await? => {
                let (delivery, failure) = (known.delivery, known.failure);
                return Err(AcceptError::OtherAccount { id, delivery, failure });
            }
            Some(_) => {}
            // A client chose it, and may have chosen one that is there.
            None if request.id.is_some() => self.check_id(&id, &names).await?,
            None => {}
        }
        let author = match &request.draft {
            Draft::Reaction { target, .. } | Draft::Pin { target, .. } | Draft::Revoke { target } => {
                self.addressed_author(&chat, target).await?
            }
            _ => None,
        };
        let audience = match &request.draft {
            Draft::Status(status) => self.audience(status, &id, &digest).await?,
            _ => Vec::new(),
        };
        let own_lid = own.and_then(|own| own.lid).map(Jid::lid);
        let mut setting = ComposeContext {
            chat: &chat,
            me: &me,
            my_lid: own_lid.as_ref(),
            secret,
            now_ms: now.as_millisecond(),
            answers,
            about,
            author,
            timer: timer.map(|timer| timer.seconds).filter(|seconds| *seconds > 0),
            file: None,
            picture: None,
        };
        let is_edit = matches!(request.draft, Draft::Edit { .. });
        let known = known.filter(|_| source.is_some() || is_edit);
        let repeated = known.map(|known| repeated(&known, &digest, &setting)).transpose()?;
        if source.is_some() && repeated.is_none() {
            // Only the bot's files are shared, and it answers: that is no bulk.
            let may_be_bulk = !matches!(source, Some(FileSource::Shared(_)));
            self.refuse_before_upload(&id, &names, request.ttl, may_be_bulk).await?;
        }
        let mut ttl = request.ttl;
        if is_edit
            && repeated.is_none()
            && let Some(Editable { target, original, left }) = self.editable(&names, &request.draft, now).await?
        {
            setting.about = Some((target, original));
            // Sent later, it would be reported as done.
            ttl = left.into_iter().chain(ttl).min();
        }
        let composed = match (repeated, request.draft.attachment(), source) {
            (Some(composed), ..) => composed,
            (None, Some(attachment), Some(source)) => {
                let name = FileName::new(&id, &chat.to_string(), &me.to_string());
                setting.file = Some(self.upload(attachment, source, name).await?);
                compose(&request.draft, &setting)?
            }
            (None, None, Some(source)) => {
                let large = matches!(request.draft, Draft::Link { large: true, .. }) && !in_channel;
                setting.picture = Some(self.depict(source, large).await?);
                compose(&request.draft, &setting)?
            }
            _ => compose(&request.draft, &setting)?,
        };
        let own = me.to_string();
        let mut message = Message {
            id,
            chat: chat.to_string(),
            sender: own.clone(),
            addressed: Addressed {
                chat: chat.to_string(),
                sender: own,
                alternate: names.iter().find(|name| name.server != chat.server).map(Jid::to_string),
            },
            from_me: true,
            is_group: matches!(chat.server, Server::Group | Server::Broadcast),
            timestamp: now.as_second(),
            push_name: status.push_name.unwrap_or_default(),
            content: composed.content,
            quoted: composed.quoted,
            forwarded: matches!(request.draft, Draft::Forward { .. }),
            mentions: request.draft.mentions().map(Mentions::names).unwrap_or_default(),
            advertisement: None,
            album: None,
            truncated: false,
        };
        message.name_authors(&inner.store).await.map_err(unreadable)?;
        let is_first_contact = self.is_first_contact(&names).await;
        let has_typists = matches!(chat.server, Server::Pn | Server::Lid | Server::Group);
        Ok(Outgoing {
            body: codec::message_to_vec(&composed.message).into(),
            digest,
            key: key.map(str::to_owned),
            audience,
            message,
            ttl,
            from_bot: request.from_bot,
            // A human's word is somebody's answer, whatever it says.
            is_notice: request.from_bot && request.answers.is_none(),
            is_first_contact,
            manner: request.humanize.filter(|_| has_typists).and_then(|humanize| self.manner(&request.draft, humanize)),
        })
    }

    /// Refuses what can be refused without the file, before that goes to WhatsApp's hosts for nothing.
    async fn refuse_before_upload(
        &self,
        id: &str,
        names: &[Jid],
        ttl: Option<Duration>,
        may_be_bulk: bool,
    ) -> Result<(), AcceptError> {
        let outbox = &self.0.outbox;
        if !outbox.has_room(FILE_MESSAGE_BYTES) {
            return Err(AcceptError::BacklogFull);
        }
        if outbox.is_stalled(VAULT_STALL) {
            return Err(AcceptError::VaultDown);
        }
        if may_be_bulk && self.is_first_contact(names).await {
            self.refuse_bulk(id, ttl).await?;
        }
        Ok(())
    }

    /// `None`: delays are switched off.
    #[expect(clippy::disallowed_methods, reason = "a manner's chance comes in here")]
    fn manner(&self, draft: &Draft, Humanize { reads }: Humanize) -> Option<Manner> {
        let percent = self.0.env.settings.human_percent;
        let typed = match draft {
            Draft::Text { text, .. } => text.as_str(),
            other => other.attachment().map_or("", |file| file.caption.as_str()),
        };
        (percent > 0).then(|| Manner::new(typed.chars().count(), reads, percent, &mut rand::rng()))
    }

    /// From the write on nobody can stop it: neither a client that goes away nor one that is not patient. `began`: when it was asked for.
    async fn accept_durably(&self, outgoing: Outgoing, began: Instant) -> Result<Acceptance, AcceptError> {
        let inner = &self.0;
        let until = Instant::now() + ACCEPT_TIMEOUT;
        let room = timeout_at(until, inner.outbox.room(outgoing.body.len())).await;
        let room = room.map_err(|_| AcceptError::VaultDown)?;
        if inner.journal.outage() || inner.outbox.is_stalled(VAULT_STALL) {
            return Err(AcceptError::VaultDown);
        }
        // While the tenant is handed over nothing is accepted: it would be the next owner's to send, and nobody here could say so.
        let accepting = timeout(HANDED_TIMEOUT, inner.accepting.clone().read_owned()).await;
        let accepting = accepting.map_err(|_| self.not_ready_error(AcceptError::Ended(End::Moved)))?;
        if let Some(end) = self.end() {
            return Err(end.clone().into());
        }
        let until = Instant::now() + ACCEPT_TIMEOUT;
        let id = outgoing.message.id.clone();
        let (outbox, stop) = (inner.outbox.clone(), inner.stop.clone());
        let accepting = inner.tasks.spawn(async move {
            let _held = (room, accepting);
            // What is written by the end of the session goes to the vault with everything else.
            stop.run_until_cancelled(outbox.accept(outgoing)).await
        });
        match timeout_at(until, accepting).await {
            Ok(Ok(Some(Ok(acceptance)))) => {
                traces::message(&inner.tenant, &id, SpanName::Accepted, began.elapsed());
                Ok(acceptance)
            }
            Ok(Ok(Some(Err(OutboxError::KeyReused | OutboxError::OnItsWay)))) => Err(AcceptError::KeyReused),
            Ok(Ok(Some(Err(OutboxError::Full)))) => Err(AcceptError::BacklogFull),
            Ok(Ok(Some(Err(OutboxError::Store(error))))) => {
                warn!(event = "accept_failed", tenant = %inner.tenant, %error, "a message could not be accepted");
                Err(AcceptError::Disk)
            }
            Ok(Ok(Some(Err(OutboxError::Unconfirmed(_))) | None) | Err(_)) => Err(AcceptError::OutcomeUnknown { id }),
            Err(_) => {
                warn!(
                    event = "accept_timed_out",
                    tenant = %inner.tenant, waited_s = ACCEPT_TIMEOUT.as_secs(),
                    "the vault has not confirmed a message in time: its sender does not know whether it will be sent"
                );
                Err(AcceptError::OutcomeUnknown { id })
            }
        }
    }

    pub(in crate::session) fn lookup_error(&self, error: &StoreError) -> AcceptError {
        warn!(event = "message_lookup_failed", tenant = %self.0.tenant, %error, "a message cannot be looked up");
        match error {
            StoreError::Archive(_) | StoreError::Journal(_) | StoreError::Unconfirmed | StoreError::Closed => {
                AcceptError::VaultDown
            }
            _ => AcceptError::Disk,
        }
    }
}
