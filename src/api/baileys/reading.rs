//! Conversations, their messages, who the tenant is, and how much it sent.

use std::time::Duration;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::{OfTenant, misnamed};
use crate::{
    api::{
        App,
        auth::{Names, ReadingData, TenantRequest},
        input::Query,
        old_form,
        problem::{FieldError, Problem},
        stream::{self, Frame, Streamed},
    },
    message::{
        EventId,
        history::{self, ChatSummary},
    },
    session,
    tenant::{InvalidTenantId, TenantId},
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatsPage {
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// At most 500.
    limit: Option<usize>,
    offset: Option<usize>,
    /// Only conversations with this in their name, their number or their last message, among the last 10,000.
    search: Option<String>,
}

impl Names for ChatsPage {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId es requerido", error)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagesPage {
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// A phone number as people type it, or a jid.
    #[schemars(required, example = "573009998877")]
    chat_id: Option<String>,
    /// At most 500.
    limit: Option<usize>,
    /// The `cursor` of the last message of the page before.
    before: Option<EventId>,
    /// Only messages with this in them.
    search: Option<String>,
}

const CHAT_MISSING: &str = "tenantId y chatId son requeridos";

impl Names for MessagesPage {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed(CHAT_MISSING, error)
    }
}

/// The rest of a profile does not wait for WhatsApp's word on its picture for longer.
const PICTURE_PATIENCE: Duration = Duration::from_secs(3);

/// Conversations that are searched.
const SEARCHED: usize = 10_000;

const PAGE: usize = 50;
const MAX_PAGE: usize = 500;

#[derive(Serialize, JsonSchema)]
pub struct Conversations {
    conversations: Vec<LegacyConversation>,
    count: usize,
    /// The most that a page had.
    limit: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Conversation")]
pub struct LegacyConversation {
    /// A jid.
    id: String,
    name: Option<String>,
    /// With a plus; of a chat without a number, or without one that is known, its jid.
    phone: String,
    last_message: old_form::BaileysEntry,
    /// Its messages disappear after so many seconds; null: they stay.
    ephemeral_expiration: Option<u32>,
    /// Milliseconds since 1970.
    timestamp: i64,
}

/// A search of conversations.
struct ChatSearch {
    /// In lower case.
    text: String,
    /// Its digits, where it may be a part of a number.
    digits: Option<String>,
}

impl ChatSearch {
    /// `None`: for nothing.
    fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let is_number = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | ' '));
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let digits = Some(digits).filter(|digits| is_number && !digits.is_empty());
        (!text.is_empty()).then_some(Self { text, digits })
    }

    fn finds(&self, chat: &ChatSummary) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        let phone = old_form::phone(&chat.id);
        // Those of a group, or of a LID, are nobody's number.
        let has_digits = |digits: &String| phone.starts_with('+') && phone.contains(digits.as_str());
        chat.name.as_deref().is_some_and(has)
            || self.digits.as_ref().is_some_and(has_digits)
            || has(chat.last.message.content.text())
    }
}

pub async fn conversations(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(page), .. }: TenantRequest<ReadingData, Query<ChatsPage>>,
) -> Result<Json<Conversations>, Problem> {
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let Some(session) = app.fleet.serving_known(&tenant).await? else {
        return Ok(Json(Conversations { count: 0, conversations: Vec::new(), limit }));
    };
    let offset = page.offset.unwrap_or(0);
    let chats = match ChatSearch::new(page.search.as_deref().unwrap_or_default()) {
        None => {
            let _turn = session.look_turn().await.ok_or_else(stream::busy)?;
            session.chats(offset, limit).await.map_err(Problem::unreadable)?
        }
        Some(search) => {
            let _turn = session.reading_turn().ok_or_else(stream::busy)?;
            let all = session.chats(0, SEARCHED).await.map_err(Problem::unreadable)?;
            all.into_iter().filter(|chat| search.finds(chat)).skip(offset).take(limit).collect()
        }
    };
    let links = &app.fleet.env().media.links;
    let form = |chat: ChatSummary| LegacyConversation {
        phone: old_form::phone(&chat.id),
        timestamp: chat.last.message.timestamp * 1000,
        id: chat.id,
        name: chat.name,
        ephemeral_expiration: chat.timer,
        last_message: old_form::entry(&session, &tenant, chat.last, links),
    };
    let conversations: Vec<_> = chats.into_iter().map(form).collect();
    Ok(Json(Conversations { count: conversations.len(), conversations, limit }))
}

/// As it is written piece by piece.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form is for the document")]
#[schemars(rename = "Messages")]
pub struct LegacyMessages {
    messages: Vec<old_form::BaileysEntry>,
    count: usize,
    /// As it was asked for.
    chat_id: String,
    /// The most that a page had.
    limit: usize,
}

/// Newest first. `before` brings the next page.
pub async fn messages(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(page), .. }: TenantRequest<ReadingData, Query<MessagesPage>>,
) -> Result<Streamed<LegacyMessages>, Problem> {
    let field = |message: &str| vec![FieldError { field: "chatId".into(), message: message.into() }];
    let Some(chat_id) = page.chat_id.filter(|id| !id.is_empty()) else {
        return Err(Problem::invalid(CHAT_MISSING, field("is required")));
    };
    let readings = session::chats_of(&chat_id, app.fleet.country(&tenant)).await;
    let Some(first) = readings.first().cloned() else {
        return Err(Problem::invalid(CHAT_MISSING, field("expected a phone number or a jid")));
    };
    let session = app.fleet.serving_known(&tenant).await?;
    let chat = match &session {
        Some(session) if readings.len() > 1 => session.which("chatId", &readings).await?,
        _ => first,
    };
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let query = history::MessageQuery {
        chat: Some(chat),
        before: page.before,
        limit,
        text: page.search,
        ..history::MessageQuery::default()
    };
    let tail = move |count| format!(r#"],"count":{count},"chatId":{},"limit":{limit}}}"#, json!(chat_id));
    let frame = Frame { head: r#"{"messages":["#.into(), tail: Box::new(tail) };
    let Some(session) = session else { return Ok(Streamed::empty(frame)) };
    let links = app.fleet.env().media.links.clone();
    let of = session.clone();
    stream::messages(&session, query, frame, move |entry| old_form::entry(&of, &tenant, entry, &links)).await
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum BaileysProfile {
    Connected {
        connected: bool,
        phone_number: Option<String>,
        name: Option<String>,
        /// The picture's URL, good for a while; null: there is none, or WhatsApp does not say so now.
        profile_pic: Option<String>,
    },
    NotConnected {
        connected: bool,
        message: &'static str,
    },
}

pub async fn profile(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<ReadingData, Query<OfTenant>>,
) -> Result<Json<BaileysProfile>, Problem> {
    let status = app.fleet.current_status(&tenant).await?;
    let working = status.filter(|status| status.state == session::State::Working);
    let Some(session::Status { phone_number, push_name: name, .. }) = working else {
        return Ok(Json(BaileysProfile::NotConnected { connected: false, message: "No hay conexión activa" }));
    };
    let mut profile_pic = None;
    if let Some(session) = app.fleet.session(&tenant)
        && let Ok(Ok(profile)) = timeout(PICTURE_PATIENCE, session.profile()).await
    {
        profile_pic = profile.picture;
    }
    Ok(Json(BaileysProfile::Connected { connected: true, phone_number, name, profile_pic }))
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[schemars(rename = "BaileysStats")]
pub enum Stats {
    Counted {
        daily: SendCount,
        hourly: SendCount,
        minute: SendCount,
        cooldown: Cooldown,
        /// Its day is shorter for that, while `pacing.warmUpDays` last.
        is_new_number: bool,
        account_age: (),
    },
    NotThere {
        error: &'static str,
    },
}

/// The number of messages sent, against the limit that holds (`pacing` of the tenant's settings). Null: there is none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Count")]
pub struct SendCount {
    count: u32,
    limit: Option<u32>,
    percentage: Option<f64>,
    remaining: Option<u32>,
}

/// Nothing is sent until then: WhatsApp said that it is too much.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cooldown {
    active: bool,
    /// Milliseconds since 1970.
    until: Option<i64>,
    remaining_minutes: i64,
}

impl SendCount {
    fn new(count: u32, limit: Option<u32>) -> Self {
        let percentage = limit.map(|limit| (f64::from(count) * 100.0 / f64::from(limit.max(1))).round());
        Self { count, limit, percentage, remaining: limit.map(|limit| limit.saturating_sub(count)) }
    }
}

pub async fn stats(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<ReadingData, Query<OfTenant>>,
) -> Result<Json<Stats>, Problem> {
    const MINUTE_MS: i64 = 60_000;
    let Some(session) = app.fleet.serving_known(&tenant).await? else {
        return Ok(Json(Stats::NotThere { error: "Tenant not initialized" }));
    };
    let sends = session.sends().await.map_err(Problem::unreadable)?;
    let (allowance, until) = (session.allowance(), session.rests_until());
    let now_ms = app.fleet.env().clock.now().as_millisecond();
    let remaining_minutes = until.map_or(0, |until| (until - now_ms + MINUTE_MS - 1).max(0) / MINUTE_MS);
    Ok(Json(Stats::Counted {
        daily: SendCount::new(sends.day, allowance.map(|allowance| allowance.day)),
        hourly: SendCount::new(sends.hour, allowance.map(|allowance| allowance.hour)),
        minute: SendCount::new(sends.minute, allowance.map(|allowance| allowance.minute)),
        cooldown: Cooldown { active: until.is_some(), until, remaining_minutes },
        is_new_number: allowance.is_some_and(|allowance| allowance.is_young),
        account_age: (),
    }))
}
