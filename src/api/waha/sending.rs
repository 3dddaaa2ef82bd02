//! Sending: texts, places, reactions, choices, what is passed on; below it people, polls and invitations. Each is durable when it is
//! answered; a client that repeats a request under its own `id`, or an `Idempotency-Key`, sends it once.

pub mod contact_cards;
pub mod happenings;
pub mod polls;

use std::convert::Infallible;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        answer::Created,
        auth::{self, Names, Sending, TenantRequest},
        input::{Body, IdempotencyKey, Query},
        problem::Problem,
    },
    accepted, bare_id, chat, flaw, humanize, mentions, message_id, recipient, send_refusal, ttl,
};
use crate::{
    message::{Draft, Location, Mentions, SendRequest},
    session::FileSource,
    tenant::TenantId,
    waha,
};

pub(super) type SendResult = Result<Created<waha::WAMessage>, Problem>;
/// A body, and the tenant in its `session`.
pub(super) type SessionBody<T> = TenantRequest<Sending, Body<T>>;

/// To whom, and in answer to what.
#[derive(Deserialize, JsonSchema)]
pub struct SendAddressed {
    #[schemars(with = "TenantId")]
    pub(super) session: Option<String>,
    #[serde(rename = "chatId")]
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    /// The client's own name for the message: WhatsApp's id of it.
    #[schemars(length(min = 8, max = 64), regex(pattern = "^[A-Za-z0-9]+$"))]
    id: Option<String>,
    /// The id of the message that it answers.
    #[serde(alias = "replyTo")]
    reply_to: Option<String>,
    /// Seconds that it may wait to be sent; after that it has failed. At the most, and without it, as many as the daemon allows (a day).
    #[schemars(range(min = 1))]
    ttl: Option<u64>,
    /// A program says it, and no human: the bot stays in the chat.
    bot: Option<bool>,
    /// It comes as a human would write it: what came is marked as read, somebody types for a while, then it goes. Without it: at once.
    humanize: Option<bool>,
}

/// A text. Nothing is fetched for it: a link in it has a preview only when it is sent with one, see `/api/send/link-custom-preview`.
#[derive(Deserialize, JsonSchema)]
pub struct SendTextRequest {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    text: Option<String>,
    /// Chat ids of people, whom the text names as `@number`; `all`: all of a group, named as `@all`.
    mentions: Option<Vec<String>>,
}

in_session!(SendAddressed: session, SendTextRequest: to.session, SendLocation: to.session);
in_session!(Chosen: session);
in_session!(SetReaction: session, Forward: to.session, QueryText: session);

/// `POST /api/sendText`, `/api/reply`
pub async fn text(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SendTextRequest>,
) -> SendResult {
    let mentions = mentions(&app, &tenant, body.mentions).await?;
    let draft = Draft::Text { text: body.text.unwrap_or_default(), mentions };
    send(&app, &tenant, &key, body.to, draft).await
}

/// A place on the map.
#[derive(Deserialize, JsonSchema)]
pub struct SendLocation {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, range(min = -90, max = 90), example = 4.711)]
    latitude: Option<f64>,
    #[schemars(required, range(min = -180, max = 180), example = -74.0721)]
    longitude: Option<f64>,
    title: Option<String>,
}

/// `POST /api/sendLocation`
pub async fn location(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SendLocation>,
) -> SendResult {
    let place = Location {
        latitude: body.latitude.ok_or_else(|| flaw("latitude", "is required"))?,
        longitude: body.longitude.ok_or_else(|| flaw("longitude", "is required"))?,
        name: body.title.unwrap_or_default(),
        ..Location::default()
    };
    send(&app, &tenant, &key, body.to, Draft::Location(place)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetReaction {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    message_id: Option<String>,
    /// One emoji. Empty takes it back.
    #[schemars(required, example = "👍")]
    reaction: Option<String>,
}

/// `PUT /api/reaction`
pub async fn reaction(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SetReaction>,
) -> Result<Json<waha::WAMessage>, Problem> {
    let about = message_id("messageId", &body.message_id.unwrap_or_default())?;
    let emoji = body.reaction.ok_or_else(|| flaw("reaction", "is required; empty takes it back"))?;
    let session = app.fleet.open_known(&tenant).await?;
    let target = session.target(&about.chat, &about.id, about.from_me, about.participant.as_deref());
    let request = SendRequest {
        to: about.chat,
        draft: Draft::Reaction { target, emoji },
        answers: None,
        id: None,
        ttl: None,
        from_bot: false,
        humanize: None,
    };
    let sent = app.fleet.send(&tenant, &request, key.as_deref()).await?;
    let sent = sent.map_err(|refused| Problem::from(refused).renaming("to", "messageId"))?;
    Ok(Json(accepted(&sent, None)))
}

/// A kind of message that linked devices cannot write.
pub async fn cannot(_: SessionBody<SendAddressed>) -> Result<Infallible, Problem> {
    Err(Problem::not_implemented("buttons and lists are for WhatsApp's business API"))
}

/// The choice of a button, or of a template's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageButtonReply")]
pub struct Chosen {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    /// The message that came in with the buttons.
    #[serde(alias = "reply_to")]
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    reply_to: Option<String>,
    #[serde(rename = "selectedButtonID")]
    #[schemars(required, length(min = 1), example = &"yes")]
    button: Option<String>,
    /// The text on it.
    #[schemars(required, example = &"Sí")]
    selected_display_text: Option<String>,
}

/// `POST /api/send/buttons/reply`
pub async fn choose(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Chosen>,
) -> SendResult {
    let draft =
        Draft::Choice { id: body.button.unwrap_or_default(), text: body.selected_display_text.unwrap_or_default() };
    let to = SendAddressed {
        session: None,
        chat_id: body.chat_id,
        id: None,
        reply_to: body.reply_to,
        ttl: None,
        bot: None,
        humanize: None,
    };
    send(&app, &tenant, &key, to, draft).await
}

async fn send(app: &App, tenant: &TenantId, key: &IdempotencyKey, to: SendAddressed, draft: Draft) -> SendResult {
    send_with(app, tenant, key, to, draft, None).await
}

/// The same, with the bytes that the draft speaks of.
pub(super) async fn send_with(
    app: &App,
    tenant: &TenantId,
    key: &IdempotencyKey,
    to: SendAddressed,
    draft: Draft,
    source: Option<FileSource>,
) -> SendResult {
    let chat_id = to.chat_id.filter(|id| !id.is_empty()).ok_or_else(|| flaw("chatId", "is required"))?;
    let request = SendRequest {
        to: recipient(app, tenant, &chat_id).await?,
        draft,
        answers: to.reply_to.filter(|id| !id.is_empty()).map(|id| bare_id(&id)),
        id: to.id.filter(|id| !id.is_empty()),
        ttl: ttl(to.ttl)?,
        from_bot: to.bot.unwrap_or_default(),
        humanize: humanize(to.humanize),
    };
    let sent = match source {
        Some(source) => app.fleet.send_file(tenant, &request, source, key.as_deref()).await?,
        None => app.fleet.send(tenant, &request, key.as_deref()).await?,
    };
    let sent = sent.map_err(send_refusal)?;
    Ok(Created(accepted(&sent, None)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ForwardMessage")]
pub struct Forward {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    message_id: Option<String>,
}

/// `POST /api/forwardMessage`
pub async fn forward(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Forward>,
) -> SendResult {
    let original = message_id("messageId", &body.message_id.unwrap_or_default())?;
    let chat = chat(&app, &tenant, "messageId", &original.chat).await?;
    let draft = Draft::Forward { chat, id: original.id };
    send(&app, &tenant, &key, body.to, draft).await
}

#[derive(Deserialize, JsonSchema)]
pub struct QueryText {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877")]
    phone: Option<String>,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    text: Option<String>,
}

/// `GET /api/sendText`
pub async fn text_by_query(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Query(query), .. }: TenantRequest<Sending, Query<QueryText>>,
) -> SendResult {
    let to = SendAddressed {
        session: None,
        chat_id: query.phone,
        id: None,
        reply_to: None,
        ttl: None,
        bot: None,
        humanize: None,
    };
    let draft = Draft::Text { text: query.text.unwrap_or_default(), mentions: Mentions::default() };
    send(&app, &tenant, &key, to, draft).await.map_err(|problem| problem.renaming("chatId", "phone"))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewMessageIDResponse")]
pub struct NewId {
    id: String,
}

/// `GET /api/{session}/new-message-id`, `GET /api/{session}/status/new-message-id`
pub async fn new_message_id(
    State(app): State<App>,
    auth::For { tenant, .. }: auth::For<Sending>,
) -> Result<Json<NewId>, Problem> {
    Ok(Json(NewId { id: app.fleet.open_known(&tenant).await?.new_message_id() }))
}
