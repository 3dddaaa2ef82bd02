//! The routes of WAHA's API, so that its clients work with this daemon as they are. A session of WAHA's is a tenant. What is not
//! built, or cannot be done, is answered with 501 and the reason.

/// Bodies and queries that name their tenant in a `session`: where it stands in each.
macro_rules! in_session {
    ($($asked:ident: $($field:ident).+),*) => {
        $(impl Names for $asked {
            fn tenant(&self) -> Option<&str> {
                self.$($field).+.as_deref()
            }
        })*
    };
}

pub mod account_limits;
pub mod calls;
pub mod cannot;
pub mod channels;
pub mod chats;
pub mod contacts;
pub mod files;
pub mod groups;
pub mod labels;
pub mod links;
mod lists;
pub mod making;
mod page;
pub mod passkey;
mod picture;
pub mod presence;
pub mod profile;
pub mod sending;
pub mod server;
mod session_info;
pub mod session_qr;
pub mod sessions;
pub mod signs;
pub mod statuses;
mod whole_number;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{
    App,
    problem::{FieldError, Problem},
};
use crate::{
    message::{ALL, Acceptance, Delivery, Failure, Humanize, Mentions, MessageTarget, history::HistoryEntry},
    session::{self, AcceptError, Session},
    tenant::TenantId,
    waha::{self, MessageId, Source, View},
};

/// It was done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Result")]
pub struct Success {
    success: bool,
    /// The reason of a failure: the request was accepted before under this key, and has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl Success {
    const YES: Self = Self { success: true, failure: None };
}

impl From<Acceptance> for Success {
    fn from(accepted: Acceptance) -> Self {
        Self { success: accepted.delivery != Delivery::Failed, failure: accepted.failure }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct CountResponse {
    count: usize,
}

impl CountResponse {
    fn of<T>(list: &[T]) -> Self {
        Self { count: list.len() }
    }
}

fn flaw(field: &'static str, message: impl Into<String>) -> Problem {
    let message = message.into();
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
}

/// Seconds for which a message may wait to be sent.
pub(super) fn ttl(seconds: Option<u64>) -> Result<Option<Duration>, Problem> {
    match seconds {
        Some(0) => Err(flaw("ttl", "expected seconds, one at least")),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

/// Returns how a message is sent as a human would write it. The sender of one has read what came.
pub(super) fn humanize(asked: Option<bool>) -> Option<Humanize> {
    asked.unwrap_or(false).then_some(Humanize { reads: true })
}

/// A conversation, as [`Message::chat`] has it. Where the digits of a number may mean two people WhatsApp is asked.
pub(super) async fn chat(app: &App, tenant: &TenantId, field: &'static str, text: &str) -> Result<String, Problem> {
    match readings(app, tenant, field, text).await?.as_slice() {
        [one] => Ok(one.clone()),
        several => Ok(app.fleet.open_known(tenant).await?.which(field, several).await?),
    }
}

/// The recipient of a message. Ambiguous digits stay so here and are settled when the message is accepted: a repeat goes where the first
/// went.
async fn recipient(app: &App, tenant: &TenantId, text: &str) -> Result<String, Problem> {
    match readings(app, tenant, "chatId", text).await?.as_slice() {
        [one] => Ok(one.clone()),
        _ => Ok(text.to_owned()),
    }
}

/// One conversation that may be meant, or more.
async fn readings(app: &App, tenant: &TenantId, field: &'static str, text: &str) -> Result<Vec<String>, Problem> {
    let readings = session::chats_of(text, app.fleet.country(tenant)).await;
    if readings.is_empty() {
        return Err(flaw(field, "expected a phone number with its country code, or a chat id like 573001112233@c.us"));
    }
    Ok(readings)
}

/// The same of several.
async fn conversations<C: FromIterator<String>>(
    app: &App,
    tenant: &TenantId,
    field: &'static str,
    texts: &[String],
) -> Result<C, Problem> {
    let mut found = Vec::new();
    for text in texts {
        found.push(chat(app, tenant, field, text).await?);
    }
    Ok(found.into_iter().collect())
}

/// A message of a chat, as WAHA's clients name it: by an id that says who wrote it, or by WhatsApp's own, which is looked up there.
async fn target(session: &Session, chat: &str, text: &str) -> Result<MessageTarget, Problem> {
    let named = message_id("messageId", text);
    let id = match named {
        Ok(id) => id,
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            if let Some(kept) = session.kept_target(chat, text).await? {
                return Ok(kept);
            }
            let found = session.message_named(chat, text).await?;
            waha::message_id(&found.ok_or(AcceptError::UnknownMessage)?.message)
        }
        Err(flaw) => return Err(flaw),
    };
    Ok(session.target(chat, &id.id, id.from_me, id.participant.as_deref()))
}

/// The mentions of a message as its sender names them: people, and `all` of a group.
pub(super) async fn mentions(app: &App, tenant: &TenantId, named: Option<Vec<String>>) -> Result<Mentions, Problem> {
    let mut people = named.unwrap_or_default();
    let before = people.len();
    people.retain(|one| one != ALL);
    let everybody = people.len() < before;
    let people: Vec<String> = conversations(app, tenant, "mentions", &people).await?;
    if people.iter().any(|one| ["@g.us", "@newsletter", "@broadcast"].iter().any(|server| one.ends_with(server))) {
        return Err(flaw("mentions", "expected people, or \"all\" of a group"));
    }
    Ok(Mentions { people, everybody })
}

/// A message's id in WAHA's form, which says who wrote it.
fn message_id(field: &'static str, text: &str) -> Result<MessageId, Problem> {
    text.parse().map_err(|error: waha::InvalidMessageId| flaw(field, error.to_string()))
}

/// WhatsApp's own id out of WAHA's, which some clients take apart themselves.
fn bare_id(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |id: MessageId| id.id)
}

/// Turns the reason why a message was not accepted into a problem. The recipient is `chatId` here.
fn send_refusal(refused: AcceptError) -> Problem {
    Problem::from(refused).renaming("to", "chatId")
}

/// A message that was accepted, as its sender is answered. `media_url`: where its file can be fetched.
fn accepted(Acceptance { message, delivery, failure }: &Acceptance, media_url: Option<&str>) -> waha::WAMessage {
    let view =
        View { me: &message.sender, source: Source::Api, delivery: Some(*delivery), failure: *failure, media_url };
    waha::WAMessage::new(message, view)
}

/// A message from the history.
fn listed(session: &Session, entry: &HistoryEntry) -> waha::WAMessage {
    let me = own_jid(session);
    let source = if entry.is_ours { Source::Api } else { Source::App };
    let url = session.file_url(&entry.message);
    let view = View { me: &me, source, delivery: entry.status, failure: entry.failure, media_url: url.as_deref() };
    let mut form = waha::WAMessage::new(&entry.message, view).with_fate(entry);
    if entry.status == Some(Delivery::Accepted) {
        form.waiting = session.held(&entry.message.id);
    }
    if let Some(media) = &mut form.media {
        media.error = session.file_failure(&entry.message).map(|error| json!({ "message": error.to_string() }));
    }
    form
}

/// Empty before the first pairing.
fn own_jid(session: &Session) -> String {
    session.status().phone_number.map(|number| format!("{number}@s.whatsapp.net")).unwrap_or_default()
}
