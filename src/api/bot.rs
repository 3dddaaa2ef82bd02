//! The bot of a tenant: menu and settings, a place to try it, conversations and orders.

mod forms;
mod standing;
mod texts;

use std::{borrow::Cow, collections::BTreeSet};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ulid::Ulid;

use self::standing::BotStanding;
pub use self::{
    forms::{MenuForm, SettingsForm, TriedForm},
    standing::conversation,
    texts::show_texts,
};
use super::{
    App,
    auth::{Controlling, For, ReadingData},
    input::{Body, Path, Query, WholeBody, WholeForm as _},
    openapi::{Gives, Operation, Takes},
    problem::{FieldError, Problem},
    waha,
};
use crate::{
    bot::{
        order::OrderStage,
        service::{BotError, OrderRecord, ShownConversation, Versioned},
    },
    session::Session,
    tenant::TenantId,
    waha::{KitchenOrder, chat_id},
};

/// The longest text that can be tried, in characters.
const MAX_TRIED_TEXT: usize = 4_096;

const MOST_ORDERS: usize = 200;
const MOST_CONVERSATIONS: usize = 200;

/// A document with its version as `ETag`.
pub struct Tagged<T>(Versioned<T>);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.0.version));
        let mut response = Json(self.0.value).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

impl<T: JsonSchema> Gives for Tagged<T> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<T>(StatusCode::OK);
        operation.gives_nothing(StatusCode::OK)["headers"] = json!({
            "ETag": { "description": "The version, for If-Match.", "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" } },
        });
    }
}

/// `If-Match`: the version that somebody has read and is about to replace. `If-None-Match: *`: there is none yet.
pub struct IfMatch(Option<u64>);

/// The version of what nobody has written.
const NOTHING_YET: u64 = 0;

/// Nothing ever has this version.
const NO_VERSION: u64 = u64::MAX;

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(given) = parts.headers.get(header::IF_NONE_MATCH) {
            // Versions that it must not be are not taken: nothing is written on such a condition.
            let is_first = given.as_bytes().trim_ascii() == b"*";
            return Ok(Self(Some(if is_first { NOTHING_YET } else { NO_VERSION })));
        }
        let Some(given) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let given = given.to_str().unwrap_or_default().trim();
        if given == "*" {
            return Ok(Self(None));
        }
        let version = given.strip_prefix('"').and_then(|given| given.strip_suffix('"'));
        // Another's tag is none of ours: nothing has that version.
        Ok(Self(Some(version.and_then(|version| version.parse().ok()).unwrap_or(NO_VERSION))))
    }
}

impl Takes for IfMatch {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameter(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "The ETag of what you have read: it is replaced only if nobody else has changed it since.",
            "schema": { "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}\")$" },
        }));
        operation.parameter(json!({
            "name": "If-None-Match", "in": "header", "required": false,
            "description": "It is written only if nothing is there yet.",
            "schema": { "type": "string", "pattern": "^\\*$" },
        }));
        operation.may_fail(&[412]);
    }
}

pub async fn show_menu(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Tagged<MenuForm>, Problem> {
    let session = known(&app, &tenant).await?;
    Ok(Tagged(forms::shown(app.bots.menu(&session).await?)))
}

/// Makes the tenant when there is none: its menu may be there before the first scan.
pub async fn put_menu(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    IfMatch(expected): IfMatch,
    WholeBody(menu): WholeBody<MenuForm>,
) -> Result<Tagged<MenuForm>, Problem> {
    forms::refuse(menu.flaws(&BTreeSet::new()))?;
    let session = app.fleet.open_or_create(&tenant).await?;
    Ok(Tagged(forms::shown(app.bots.put_menu(&session, menu.0, expected).await?)))
}

pub async fn show_settings(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Tagged<SettingsForm>, Problem> {
    let session = known(&app, &tenant).await?;
    Ok(Tagged(forms::shown(app.bots.settings(&session).await?)))
}

/// Makes the tenant when there is none.
pub async fn put_settings(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    IfMatch(expected): IfMatch,
    WholeBody(mut settings): WholeBody<SettingsForm>,
) -> Result<Tagged<SettingsForm>, Problem> {
    // All mistakes at once.
    let mut flaws = settings.flaws(&BTreeSet::new());
    if let Some(bot) = &settings.0.external_bot {
        if let Err(refusal) = app.bots.check_url(&bot.url) {
            note(&mut flaws, "externalBot.url".to_owned(), format!("the target {refusal}"));
        }
        if !crate::outbound::signature::is_key(&bot.key) {
            note(&mut flaws, "externalBot.key".to_owned(), "expected base64 after whsec_".to_owned());
        }
    }
    for (at, rule) in settings.0.rules.iter().enumerate() {
        if let Some(file) = &rule.file
            && let Err(refusal) = app.bots.check_url(&file.url)
        {
            note(&mut flaws, format!("rules[{at}].file.url"), format!("the target {refusal}"));
        }
    }
    forms::refuse(flaws)?;
    let session = app.fleet.open_or_create(&tenant).await?;
    if settings.is_masked() {
        settings.unmask(&app.bots.settings(&session).await?.value)?;
    }
    Ok(Tagged(forms::shown(app.bots.put_settings(&session, settings.0, expected).await?)))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BotTry")]
pub struct TriedText {
    /// As a customer would write it.
    #[schemars(length(min = 1, max = 4096), example = "me regala dos ajiacos y una limonada")]
    text: String,
    /// As the last answer gave it: the talk goes on. Left out: it begins.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    conversation: Option<Value>,
}

pub async fn try_out(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(TriedText { text, conversation }): Body<TriedText>,
) -> Result<Json<TriedForm>, Problem> {
    if text.trim().is_empty() || text.chars().nth(MAX_TRIED_TEXT).is_some() {
        return Err(flaw("text", format!("expected 1 to {MAX_TRIED_TEXT} characters")));
    }
    let session = known(&app, &tenant).await?;
    Ok(Json(TriedForm(app.bots.try_out(&session, &text, conversation).await?)))
}

#[derive(Deserialize, JsonSchema)]
pub struct ConversationsQuery {
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
    /// As the last answer gave it.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct BotConversations {
    conversations: Vec<BotConversation>,
    /// The next page begins here, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotConversation {
    #[schemars(example = "573009998877@c.us")]
    chat_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    state: BotStanding,
    /// It answers again by itself then.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<jiff::Timestamp>,
    updated_at: jiff::Timestamp,
    /// The time at which the bot looks at it again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<jiff::Timestamp>,
    /// The reason why the bot is silent there until it is given back: something broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    /// The bot's own record of the conversation: its form may change with every version.
    #[schemars(with = "serde_json::Map<String, Value>")]
    conversation: Value,
}

pub async fn conversations(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(query): Query<ConversationsQuery>,
) -> Result<Json<BotConversations>, Problem> {
    let limit = within("limit", query.limit, MOST_CONVERSATIONS)?;
    let session = known(&app, &tenant).await?;
    let found = app.bots.conversations(&session, query.cursor.as_deref(), limit);
    let (found, settings) = tokio::try_join!(found, app.bots.settings(&session))?;
    let cursor = found.last().filter(|_| found.len() == limit).map(|last| last.chat.clone());
    let show = |shown: ShownConversation| BotConversation {
        chat_id: chat_id(&shown.chat),
        state: BotStanding::of(&shown, &settings.value),
        silent_until: shown.silence.map(|silence| silence.until),
        name: shown.record.name,
        updated_at: shown.record.updated_at,
        wake_at: shown.record.wake_at,
        broken: shown.broken,
        conversation: json!(shown.record.conversation),
    };
    Ok(Json(BotConversations { conversations: found.into_iter().map(show).collect(), cursor }))
}

#[derive(Deserialize, JsonSchema)]
pub struct BotChatPath {
    /// A phone number or a chat id.
    #[schemars(example = "573009998877@c.us")]
    chat: String,
}

#[derive(Serialize, JsonSchema)]
pub struct BotTakeover {
    success: bool,
}

pub async fn take(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<BotChatPath>,
) -> Result<Json<BotTakeover>, Problem> {
    let (session, chat) = (known(&app, &tenant).await?, chat(&app, &tenant, &named).await?);
    app.bots.take(&session, chat).await?;
    Ok(Json(BotTakeover { success: true }))
}

pub async fn give_back(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<BotChatPath>,
) -> Result<Json<BotTakeover>, Problem> {
    let (session, chat) = (known(&app, &tenant).await?, chat(&app, &tenant, &named).await?);
    app.bots.give_back(&session, chat).await?;
    Ok(Json(BotTakeover { success: true }))
}

async fn chat(app: &App, tenant: &TenantId, named: &BotChatPath) -> Result<String, Problem> {
    let chat = waha::chat(app, tenant, "chat", &named.chat).await?;
    let is_persons = chat.ends_with("@s.whatsapp.net") || chat.ends_with("@lid");
    if is_persons { Ok(chat) } else { Err(flaw("chat", "expected a person's chat: the bot is in no other".into())) }
}

#[derive(Deserialize, JsonSchema)]
pub struct OrdersQuery {
    /// `pendiente`, `cocinando`, `listo`, `entregado` or `cancelado`.
    #[schemars(with = "Option<String>", example = &"pendiente")]
    stage: Option<OrderStage>,
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
    /// As the last answer gave it.
    #[schemars(with = "Option<String>")]
    cursor: Option<Ulid>,
}

#[derive(Serialize, JsonSchema)]
pub struct Orders {
    orders: Vec<KitchenOrder>,
    /// The next page begins here, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    cursor: Option<Ulid>,
}

pub async fn orders(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(query): Query<OrdersQuery>,
) -> Result<Json<Orders>, Problem> {
    let limit = within("limit", query.limit, MOST_ORDERS)?;
    let session = known(&app, &tenant).await?;
    let (found, cursor) = app.bots.orders(&session, query.stage, limit, query.cursor).await?;
    Ok(Json(Orders { orders: found.iter().map(|record| show(&tenant, record)).collect(), cursor }))
}

#[derive(Deserialize, JsonSchema)]
pub struct OrderPath {
    #[schemars(example = &"a1b2c3")]
    id: String,
}

pub async fn order(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<OrderPath>,
) -> Result<Json<KitchenOrder>, Problem> {
    let session = known(&app, &tenant).await?;
    Ok(Json(show(&tenant, &app.bots.order(&session, &named.id).await?)))
}

/// A text of one order.
pub struct PlainText(String);

impl IntoResponse for PlainText {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.0).into_response()
    }
}

impl Gives for PlainText {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_body(StatusCode::OK, "text/plain", schemars::json_schema!({ "type": "string" }));
    }
}

pub async fn order_text(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<OrderPath>,
) -> Result<PlainText, Problem> {
    let session = known(&app, &tenant).await?;
    let (record, settings) = tokio::try_join!(app.bots.order(&session, &named.id), app.bots.settings(&session))?;
    Ok(PlainText(forms::printable(&record, settings.value.time_zone())))
}

#[derive(Deserialize, JsonSchema)]
pub struct OrderMove {
    /// `cocinando`, `listo`, `entregado` or `cancelado`.
    #[schemars(with = "String", example = &"cocinando")]
    stage: OrderStage,
}

pub async fn move_order(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<OrderPath>,
    Body(OrderMove { stage }): Body<OrderMove>,
) -> Result<Json<KitchenOrder>, Problem> {
    let session = known(&app, &tenant).await?;
    Ok(Json(show(&tenant, &app.bots.move_order(&session, named.id, stage).await?)))
}

pub async fn note_payment(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<OrderPath>,
) -> Result<Json<KitchenOrder>, Problem> {
    let session = known(&app, &tenant).await?;
    Ok(Json(show(&tenant, &app.bots.note_payment(&session, named.id).await?)))
}

fn show(tenant: &TenantId, record: &OrderRecord) -> KitchenOrder {
    KitchenOrder::new(tenant.as_str(), &record.restaurant, &record.order)
}

async fn known(app: &App, tenant: &TenantId) -> Result<Session, Problem> {
    Ok(app.fleet.open_known(tenant).await?)
}

fn within(field: &'static str, given: Option<usize>, most: usize) -> Result<usize, Problem> {
    const USUAL: usize = 50;
    let given = given.unwrap_or(USUAL);
    if (1..=most).contains(&given) { Ok(given) } else { Err(flaw(field, format!("expected 1 to {most}"))) }
}

/// Adds a mistake of a field that has none yet.
fn note(flaws: &mut Vec<FieldError>, field: String, message: String) {
    if flaws.iter().all(|flaw| flaw.field != field) {
        flaws.push(FieldError { field: field.into(), message });
    }
}

fn flaw(field: impl Into<Cow<'static, str>>, message: String) -> Problem {
    let field = field.into();
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field, message }])
}

impl From<BotError> for Problem {
    fn from(error: BotError) -> Self {
        match error {
            BotError::WrongVersion { current } => Self::wrong_version(current),
            BotError::NoOrder => Self::missing("no_such_order", "There is no such order"),
            BotError::NoStep { from, to } => Self::conflict(
                "no_such_step",
                "The order cannot be moved so",
                format!("it is {from}: from there it cannot become {to}"),
            ),
            BotError::NoPaymentAwaited => {
                Self::conflict("no_payment_awaited", "The order waits for no payment", "it is paid at the door")
            }
            BotError::EngineBroke => Self::unavailable("bot_broke", "The bot broke on this: a bug"),
            BotError::Conversation(error) => {
                let message = error.to_string();
                let field = FieldError { field: "conversation".into(), message: message.clone() };
                Self::invalid(format!("conversation: {message}"), vec![field])
            }
            BotError::Closed => Self::unavailable("session_closed", "The session is not open"),
            BotError::VaultDown => Self::unavailable("vault_down", "The vault does not answer: nothing was done"),
            BotError::NotDurable => Self::unreadable(crate::store::StoreError::Unconfirmed),
            BotError::Store(error) => Self::unreadable(error),
        }
    }
}
