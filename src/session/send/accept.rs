//! Turns a consumer's request into a message of the outbox: its chat, its target, its id. The courier sends it.

use std::time::Duration;

use futures::TryFutureExt as _;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use whatsapp_rust::{
    Jid, Server,
    waproto::{codec, whatsapp as wa},
};

use super::{
    channel_posts,
    compose::{ComposeContext, Composed, compose, recompose},
    status_broadcast,
};
use crate::{
    humanize::Manner,
    journal::{ChangeNo, JournalClosedError},
    message::{
        Acceptance, Accepted, Addressed, BotDecision, Delivery, Draft, Failure, Flaw, Humanize, Mentions, Message,
        MessageTarget, OutboxError, Outgoing, SendRequest,
        media::{Attachment, FileName},
        timer,
    },
    pacing::Held,
    session::{End, RequestError, Session, files::FileSource, inbound::edits::Editable, state::State},
    store::StoreError,
    telemetry::traces::{self, SpanName},
    tenant::TenantId,
};

const NOT_OURS: &str = "only own messages can be deleted for everyone in a chat with a person";

const NO_AUTHOR: &str =
    "in a group the id names who wrote the message (false_{group}_{id}_{author}), unless the message is kept here";

/// How long a consumer waits for a message to be durable before it is told that nobody knows.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A message waits so long for a handover that may fail yet; then it is refused, and nothing was written.
const HANDED_TIMEOUT: Duration = Duration::from_secs(2);

/// The vault is slower than that with a message before: the next one is refused, before anything is written.
const VAULT_STALL: Duration = Duration::from_millis(2500);

/// A message with a file has about so many bytes: its keys, and mostly a thumbnail.
const FILE_MESSAGE_BYTES: usize = 4 * 1024;

/// Why a message was not accepted. Nothing was sent and nothing will be, but for [`Self::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("the session is not connected to WhatsApp")]
    NotConnected,
    /// The next session can be asked.
    #[error("the session is over: {0}")]
    Ended(End),
    #[error("the recipient is neither a phone number nor a jid")]
    Recipient,
    #[error(transparent)]
    Draft(#[from] Flaw),
    /// The message that it answers or is about is not kept here.
    #[error("there is no such message here")]
    UnknownMessage,
    /// WhatsApp takes edits of a message for so long.
    #[error("the message is older than {0:?}")]
    EditTooLate(Duration),
    /// Of those whom a status is for.
    #[error("nobody whom the status is for is on WhatsApp")]
    NobodyKnown,
    /// Why not.
    #[error("{0}")]
    NotInChannels(&'static str),
    /// Nothing was written.
    #[error("the vault does not answer")]
    VaultDown,
    /// It was written, and the vault has not confirmed it in time. As long as this process lives it will be sent; should it die, only
    /// the vault knows.
    #[error("the vault has not confirmed the message {id} yet")]
    OutcomeUnknown { id: String },
    /// The idempotency key was used for another message.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// It is the id of a message that somebody else wrote here, or the owner on the phone.
    #[error("a message of this id is there already")]
    IdTaken,
    /// A repeat of what was accepted for the account that was paired before: it is not sent from another number.
    #[error("the message {id} was accepted for another account")]
    OtherAccount { id: String, delivery: Delivery, failure: Option<Failure> },
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// The file's URL did not give it; in words for whoever named it.
    #[error("the file cannot be fetched: {0}")]
    Unfetched(String),
    /// A first message to somebody who never wrote would not leave in its time.
    #[error("too many first messages to strangers: {}", .0.reason.words())]
    Strangers(Held),
    /// So much was accepted and is not sent that more would harm everybody.
    #[error("as much waits to be sent as may")]
    BacklogFull,
    /// Others that send files have all places.
    #[error("too many files are on their way")]
    Busy,
    /// Others that read conversations have all places, or the disk is slow.
    #[error("too many conversations are being read")]
    ReadersBusy,
    /// WhatsApp's media hosts do not take the file now.
    #[error("WhatsApp's media hosts do not answer")]
    MediaDown,
    /// WhatsApp takes no file, with its code.
    #[error("WhatsApp takes no file: {0}")]
    RefusedFile(u16),
    #[error("the local disk fails")]
    Disk,
    /// The tenant asks WhatsApp for more of it than is good for the account.
    #[error("too many requests")]
    TooMany { wait: Duration },
    /// WhatsApp was asked whom it is for, and does not say.
    #[error(transparent)]
    Unasked(RequestError),
}

impl From<RequestError> for AcceptError {
    fn from(refused: RequestError) -> Self {
        match refused {
            RequestError::NotConnected => Self::NotConnected,
            RequestError::Ended(end) => Self::Ended(end),
            RequestError::Input { field, expected } => Self::Draft(Flaw { field, expected: expected.to_owned() }),
            RequestError::TooMany { wait } => Self::TooMany { wait },
            other => Self::Unasked(other),
        }
    }
}

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

    /// What a bot says in a chat, whole, for [`Self::decide`]. Under the same `key` it has the same id. `is_notice`: it answers nobody.
    pub async fn bot_reply(
        &self,
        chat: &str,
        text: String,
        key: &str,
        is_notice: bool,
        humanize: Option<Humanize>,
    ) -> Result<Outgoing, AcceptError> {
        let (to, draft) = (chat.to_owned(), Draft::Text { text, mentions: Mentions::default() });
        let request = SendRequest { to, draft, answers: None, id: None, ttl: None, from_bot: true, humanize };
        Ok(Outgoing { is_notice, ..self.composed(&request, None, Some(key)).await? })
    }

    /// The same of an attachment whose bytes are at a URL: they are with WhatsApp then. The same file is fetched once in a few minutes,
    /// whoever is sent it.
    pub async fn bot_file(
        &self,
        chat: &str,
        attachment: Attachment,
        url: &str,
        key: &str,
        humanize: Option<Humanize>,
    ) -> Result<Outgoing, AcceptError> {
        let checked = self.0.env.files_from.check(url);
        let checked = checked.map_err(|refusal| AcceptError::Unfetched(format!("its URL {refusal}")))?;
        let (to, draft) = (chat.to_owned(), Draft::File(attachment));
        let request = SendRequest { to, draft, answers: None, id: None, ttl: None, from_bot: true, humanize };
        let composed = self.composed(&request, Some(FileSource::Shared(checked)), Some(key)).await?;
        Ok(Outgoing { is_notice: false, ..composed })
    }

    /// Writes what a bot decided. What it says goes out when the vault has it; wait for that with [`Self::settled`].
    pub async fn decide(&self, decision: BotDecision) -> Result<ChangeNo, OutboxError> {
        self.0.outbox.decide(decision).await
    }

    /// Returns when the vault has a change, and its events are published.
    pub async fn settled(&self, change: ChangeNo) -> Result<(), JournalClosedError> {
        self.0.log.wait_and_publish(change).await
    }

    /// Whether something may be decided now: the tenant is linked, all that WhatsApp kept for it has come, and the vault answers. What
    /// comes of an offline queue may be the owner's word about the rest of it.
    pub fn may_decide(&self) -> bool {
        self.0.status.borrow().paired && self.0.ready.borrow().is_some() && !self.0.journal.outage()
    }

    /// The last attempt to reach the vault had no answer.
    pub fn is_vault_down(&self) -> bool {
        self.0.journal.outage()
    }

    /// When a message left; see [`crate::message::Outbox::left_at`].
    pub async fn left_at(&self, id: &str) -> Result<Option<i64>, StoreError> {
        self.0.outbox.left_at(id).await
    }

    /// Whether a message was said here, by a bot.
    pub async fn is_from_bot(&self, id: &str) -> Result<bool, StoreError> {
        self.0.outbox.is_from_bot(id).await
    }

    /// Whether a bot's reply waits for its time in a chat, by the name that it has now.
    pub fn is_replying(&self, chat: &str) -> bool {
        self.0.outbox.is_replying(chat)
    }

    /// Whether all of these messages can still be taken back; see [`crate::message::Outbox::may_withdraw`].
    pub async fn may_withdraw(&self, ids: &[String]) -> Result<bool, StoreError> {
        self.0.outbox.may_withdraw(ids).await
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

    /// Whether a message that a client names so can be told from those of the chat.
    async fn check_id(&self, id: &str, names: &[Jid]) -> Result<(), AcceptError> {
        for name in names {
            let found = self.0.inbox.find(&name.to_string(), id).await.map_err(|error| self.lookup_error(&error))?;
            if found.is_some() {
                return Err(AcceptError::IdTaken);
            }
        }
        Ok(())
    }

    async fn is_of_former_account(&self, known: &Accepted) -> Result<bool, AcceptError> {
        if known.chat.is_empty() {
            return Ok(true);
        }
        let account = self.status().phone_number;
        if known.account.is_empty() || account.as_ref().is_none_or(|account| *account == known.account) {
            return Ok(false);
        }
        // A person who changes the number stays the same account.
        let own = self.0.store.own_account().await.map_err(|error| self.lookup_error(&error))?;
        Ok(!own.is_some_and(|own| own.has_had(&known.account)))
    }

    pub(in crate::session) async fn accepted(&self, id: &str) -> Result<Option<Accepted>, AcceptError> {
        self.0.outbox.accepted(id).await.map_err(|error| self.lookup_error(&error))
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

    /// Names a message that is not looked up: `participant` says who wrote it, in a group.
    pub fn target(&self, chat: &str, id: &str, from_me: bool, participant: Option<&str>) -> MessageTarget {
        let me = || self.status().phone_number.map(|number| Jid::pn(number).to_string()).unwrap_or_default();
        let sender = if from_me { me() } else { participant.unwrap_or(chat).to_owned() };
        MessageTarget { id: id.to_owned(), from_me, sender }
    }

    /// In a group a message is named with its author. Who knows only its id leaves him out: then he is looked up.
    async fn name_author(&self, chat: &Jid, draft: &mut Draft) -> Result<(), AcceptError> {
        let group = chat.to_string();
        let Some(target) = draft.target_mut().filter(|target| !target.from_me && target.sender == group) else {
            return Ok(());
        };
        if chat.server != Server::Group {
            return Ok(());
        }
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let found = self.0.inbox.find(&group, &target.id).await.map_err(unreadable)?;
        let author = match found {
            Some(found) => Some(found.sender).filter(|_| !found.from_me),
            // Its events are kept for longer than the message is whole.
            None => self.told(chat, target).await?.map(|entry| entry.message.sender),
        };
        let author = author.ok_or_else(|| Flaw { field: "messageId", expected: NO_AUTHOR.into() })?;
        target.sender = author.parse::<Jid>().map_or(author, |jid| jid.to_non_ad_string());
        Ok(())
    }

    /// The author of a group's message as WhatsApp addressed it: in most groups by the LID, which no client of ours need know, and by which
    /// the members look for it. `None`: it is not kept, or is not his.
    async fn addressed_author(&self, group: &Jid, target: &MessageTarget) -> Result<Option<String>, AcceptError> {
        if group.server != Server::Group || target.from_me {
            return Ok(None);
        }
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let found = self.0.inbox.find(&group.to_string(), &target.id).await.map_err(unreadable)?;
        let Some(found) = found.filter(|found| !found.from_me) else { return Ok(None) };
        let author = found.sender.parse::<Jid>().map_or(found.sender, |jid| jid.to_non_ad_string());
        // Members choose the ids of what they write: another one may have chosen the same.
        let names = self.0.store.names(&target.sender).await.map_err(unreadable)?;
        Ok(Some(author).filter(|author| names.contains(author)))
    }

    /// A message of a chat by its id, with who wrote it; as everybody sees it now, or `as_it_was`.
    async fn original(
        &self,
        chat: &Jid,
        id: &str,
        me: &Jid,
        as_it_was: bool,
    ) -> Result<(MessageTarget, wa::Message), AcceptError> {
        let (target, body) = self.kept(chat, id, me).await?;
        let message = codec::message_decode(&body).map_err(|_| AcceptError::UnknownMessage)?;
        let message = if as_it_was { message } else { self.as_it_stands(chat, &target, message).await? };
        Ok((target, message))
    }

    /// The whole protobuf of a message of a chat, as it came or went, with who wrote it.
    async fn kept(&self, chat: &Jid, id: &str, me: &Jid) -> Result<(MessageTarget, bytes::Bytes), AcceptError> {
        let inner = &self.0;
        let unreadable = |error: StoreError| self.lookup_error(&error);
        if let Some(body) = inner.outbox.body(id).await.map_err(unreadable)? {
            return Ok((MessageTarget { id: id.to_owned(), from_me: true, sender: me.to_string() }, body));
        }
        for name in inner.names_of(chat).await.map_err(unreadable)? {
            if let Some(found) = inner.inbox.find(&name.to_string(), id).await.map_err(unreadable)? {
                let sender = found.sender.parse::<Jid>().map_or(found.sender, |jid| jid.to_non_ad_string());
                return Ok((MessageTarget { id: id.to_owned(), from_me: found.from_me, sender }, found.body));
            }
        }
        Err(AcceptError::UnknownMessage)
    }
}

/// The same request, what it is about named as the chat is in `names[at]`.
fn under_name(request: &SendRequest, names: &[Jid], at: usize) -> SendRequest {
    let mut request = request.clone();
    if let Some(target) = request.draft.target_mut()
        && target.sender.parse::<Jid>().is_ok_and(|sender| names.contains(&sender.to_non_ad()))
    {
        target.sender = names[at].to_string();
    }
    request
}

impl From<End> for AcceptError {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

/// Of what a consumer asked for, so that a repeat can be told from another message.
fn digest(chat: &Jid, request: &SendRequest) -> [u8; 32] {
    let said = serde_json::to_vec(&(&request.draft, &request.answers)).unwrap_or_default();
    Sha256::new().chain_update(chat.to_string()).chain_update([0]).chain_update(said).finalize().into()
}

/// As [`digest`]; of a repeat that of the first, which may have been accepted when the chat had another of its names.
fn digest_of(known: Option<&Accepted>, names: &[Jid], request: &SendRequest) -> [u8; 32] {
    let mut digests = (0..names.len()).map(|at| digest(&names[at], &under_name(request, names, at)));
    let first = known.and_then(|known| digests.find(|digest| known.digest == *digest));
    first.unwrap_or_else(|| digest(&names[0], request))
}

/// What was accepted before under the same id: a file is uploaded once.
fn repeated(known: &Accepted, digest: &[u8; 32], setting: &ComposeContext<'_>) -> Result<Composed, AcceptError> {
    if known.digest != *digest {
        return Err(AcceptError::KeyReused);
    }
    let message = codec::message_decode(&known.body).map_err(|_| AcceptError::UnknownMessage)?;
    Ok(recompose(message, setting))
}

impl Session {
    /// An id that a client may give to a message.
    pub fn new_message_id(&self) -> String {
        message_id(&self.0.tenant, None)
    }
}

/// In the form of WhatsApp Web's ids: random, or made from the key.
#[expect(clippy::disallowed_methods, reason = "an id is made here")]
fn message_id(tenant: &TenantId, key: Option<&str>) -> String {
    let mut id = [0; 9];
    match key {
        Some(key) => {
            let digest = Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(key).finalize();
            id.copy_from_slice(&digest[..9]);
        }
        None => rand::rng().fill_bytes(&mut id),
    }
    format!("3EB0{}", hex::encode_upper(id))
}
