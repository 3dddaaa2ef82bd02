//! Statuses: whom one goes to, what it is on the wire, and how it is sent.
//!
//! The audience is fixed when the status is accepted and is stored with it: each attempt and the revocation go to the
//! same people. The library silently drops recipients without a LID, so their LIDs are asked for first.

use std::time::Duration;

use tokio::time::timeout;
use whatsapp_rust::{
    Client, IsOnWhatsAppResult, Jid, SendError, StatusSendOptions,
    buffa::{Enumeration as _, MessageField},
    wacore_binary::JidExt as _,
    waproto::whatsapp::{self as wa, message::extended_text_message::FontType},
};

use super::{
    compose::{ComposeContext, Composed, compose},
    group_keys,
    judgement::LookupsSpentError,
    recipient_check,
};
use crate::{
    message::{
        Content, Draft, Flaw, MessageTarget, Unsettled,
        status::{MAX_AUDIENCE, StatusContent, StatusPost},
    },
    session::{
        AcceptError, Inner, Session,
        requests::{self, pace::RequestKind},
    },
};

/// People whom WhatsApp is asked for at once.
const ASKED: usize = 256;

/// The acceptance of a status waits so long for WhatsApp's word on its viewers.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Before WhatsApp is asked anew about people of whom it says nothing now, where it names no time.
const UNSAID_WAIT_S: u32 = 60;

/// Whether a draft may go to that chat: a status to where statuses are, and nothing else but what people think of them.
pub(in crate::session) fn check(chat: &Jid, draft: &Draft) -> Result<(), Flaw> {
    match draft {
        Draft::Status(_) | Draft::Reaction { .. } => Ok(()),
        _ if !chat.is_status_broadcast() => Ok(()),
        _ => Err(Flaw {
            field: "to",
            expected: "a status is posted at /api/{session}/status/text, image, voice or video".into(),
        }),
    }
}

pub(in crate::session) fn composed(status: &StatusPost, setting: &ComposeContext<'_>) -> Result<Composed, Flaw> {
    let (text, background, font) = match &status.shown {
        StatusContent::Text { text, background, font } => (text, background, font),
        StatusContent::File { attachment, background } => {
            let mut composed = compose(&Draft::File(attachment.clone()), setting)?;
            if let (Some(colour), Some(audio)) = (background, composed.message.audio_message.as_option_mut()) {
                audio.background_argb = Some(colour.0);
            }
            return Ok(composed);
        }
        StatusContent::Nothing { id } => {
            let target = MessageTarget { id: id.clone(), from_me: true, sender: setting.me.to_string() };
            return compose(&Draft::Revoke { target }, setting);
        }
    };
    let extended = wa::message::ExtendedTextMessage {
        text: Some(text.clone()),
        background_argb: Some(background.0),
        font: FontType::from_i32(font.number()),
        ..Default::default()
    };
    let message = wa::Message { extended_text_message: MessageField::some(extended), ..Default::default() };
    Ok(Composed { message, content: Content::plain(text.clone()), quoted: None })
}

impl Session {
    /// The jids of those whom a status goes to that is to be accepted under `id`. A repeat goes to the same as the first.
    pub(in crate::session) async fn audience(
        &self,
        status: &StatusPost,
        id: &str,
        digest: &[u8; 32],
    ) -> Result<Vec<String>, AcceptError> {
        if let Some(known) = self.accepted(id).await? {
            return if known.digest == digest { Ok(known.audience) } else { Err(AcceptError::KeyReused) };
        }
        if let StatusContent::Nothing { id } = &status.shown {
            match self.accepted(id).await? {
                Some(posted) if !posted.audience.is_empty() => return Ok(posted.audience),
                Some(_) => return Err(AcceptError::UnknownMessage),
                // One that the tenant's phone posted.
                None => self.is_own_status(id).await?,
            }
        }
        let flaw = |expected: &str| AcceptError::Draft(Flaw { field: "contacts", expected: expected.to_owned() });
        let audience = match &status.audience {
            None => {
                let known = self.people_by_id().await.map_err(|error| self.lookup_error(&error))?;
                known.into_iter().filter(|person| !person.is_me).map(|person| person.id).collect::<Vec<_>>()
            }
            Some(named) => {
                let person = |text: &String| requests::person("contacts", text).map(|jid| jid.to_string());
                let person = |text| person(text).map_err(|_| flaw("expected people's ids like 573001112233@c.us"));
                named.iter().map(person).collect::<Result<Vec<_>, _>>()?
            }
        };
        if audience.len() > MAX_AUDIENCE {
            return Err(flaw("are required: more than 5000 people are known"));
        }
        if self.is_for_nobody(&audience).await? {
            return Err(AcceptError::NobodyKnown);
        }
        Ok(audience)
    }

    /// Whether none of these is on WhatsApp. False also where WhatsApp does not say so now: the attempt finds out.
    async fn is_for_nobody(&self, people: &[String]) -> Result<bool, AcceptError> {
        let people: Vec<Jid> = people.iter().filter_map(|person| person.parse().ok()).collect();
        let mut strangers = Vec::new();
        for person in people {
            let is_known = !person.is_pn() || {
                let mapping = self.0.store.mapping_of_number(&person.user).await;
                mapping.map_err(|error| self.lookup_error(&error))?.is_some()
            };
            if is_known {
                return Ok(false);
            }
            strangers.push(person);
        }
        for some in strangers.chunks(ASKED) {
            let some = some.to_vec();
            let asking =
                self.ask(RequestKind::Lookup, |client| async move { client.contacts().is_on_whatsapp(&some).await });
            let Ok(Ok(found)) = timeout(ANSWER_PATIENCE, asking).await else { return Ok(false) };
            if found.is_empty() || !found.iter().all(is_nobody) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn is_own_status(&self, id: &str) -> Result<(), AcceptError> {
        let found = self.0.inbox.find(&Jid::status_broadcast().to_string(), id).await;
        let found = found.map_err(|error| self.lookup_error(&error))?;
        if found.is_some_and(|found| found.from_me) { Ok(()) } else { Err(AcceptError::UnknownMessage) }
    }
}

/// Sends a status to whom it is for.
pub(in crate::session) async fn send(
    session: &Inner,
    client: &Client,
    status: Unsettled,
    message: wa::Message,
) -> Result<(), SendError> {
    let people: Result<Vec<Jid>, _> = status.audience.iter().map(|jid| jid.parse()).collect();
    let people = people.map_err(|_| SendError::InvalidRequest("somebody whom the status is for is no jid".into()))?;
    meet(session, client, &people).await?;
    group_keys::have_sessions_of_viewers(session, client, &people).await?;
    let options = StatusSendOptions { message_id: Some(status.id), ..StatusSendOptions::default() };
    client.status().send_raw(message, &people, options).await?;
    Ok(())
}

/// Asks WhatsApp for the LIDs of those whose it has not told: the library leaves out everybody else, and says nothing.
async fn meet(session: &Inner, client: &Client, people: &[Jid]) -> Result<(), SendError> {
    let mut strangers = Vec::new();
    let mut unsaid = None;
    for person in people.iter().filter(|person| person.is_pn()) {
        if session.store.mapping_of_number(&person.user).await.map_err(internal)?.is_none() {
            strangers.push(person.clone());
        }
    }
    let mut is_somebody_met = strangers.len() < people.len();
    for some in strangers.chunks(ASKED) {
        recipient_check::count_lookup(session)?;
        let found = client.contacts().is_on_whatsapp(some).await.map_err(internal)?;
        is_somebody_met |= found.iter().any(|found| found.lid.is_some() || found.jid.is_lid());
        unsaid = unsaid.or(found.into_iter().find_map(|found| found.contact_error.or(found.lid_error)));
    }
    match unsaid {
        // Not yet for nobody.
        Some(error) if !is_somebody_met => {
            let wait = Duration::from_secs(error.backoff.unwrap_or(UNSAID_WAIT_S).into());
            Err(internal(LookupsSpentError { wait }))
        }
        _ => Ok(()),
    }
}

fn is_nobody(found: &IsOnWhatsAppResult) -> bool {
    !found.is_registered && found.contact_error.is_none()
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> SendError {
    SendError::Internal(error.into())
}
