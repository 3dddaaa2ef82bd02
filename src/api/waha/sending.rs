//! Sending: texts, places, people, polls, votes, reactions. Each is durable when it is answered; a client that repeats a
//! request under its own `id`, or an `Idempotency-Key`, sends it once.

use std::convert::Infallible;

use axum::{Json, extract::State};
use phonenumber::country::Id as CountryId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        App,
        answer::{Created, EmptyCreated},
        auth::{self, Names, Sending, TenantRequest},
        input::{Body, IdempotencyKey, Query, object},
        problem::Problem,
    },
    Success, accepted, bare_id, chat, flaw, humanize, mentions, message_id, recipient, send_refusal, target, ttl,
    whole_number::whole,
};
use crate::{
    message::{Contact, Draft, Happening, Location, Mentions, Poll, SendRequest, card, is_blank},
    session::{self, FileSource},
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

in_session!(SendAddressed: session, SendTextRequest: to.session, SendLocation: to.session, SendContacts: to.session, NewPoll: to.session, SendPollVote: to.session);
in_session!(Chosen: session);
in_session!(SetReaction: session, Sign: session, Forward: to.session, Star: session, QueryText: session);

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

/// Contact cards.
#[derive(Deserialize, JsonSchema)]
pub struct SendContacts {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, length(min = 1, max = 100))]
    contacts: Option<Vec<ContactCard>>,
}

/// A card as it is, or what one is made of.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactCard {
    #[schemars(example = "Ana Gómez")]
    full_name: Option<String>,
    organization: Option<String>,
    #[schemars(example = "+57 300 111 2233")]
    phone_number: Option<String>,
    /// The digits of the phone number with its country code (the tenant's, where it has none), unless WhatsApp has others.
    whatsapp_id: Option<String>,
    vcard: Option<String>,
}

/// `POST /api/sendContactVcard`
pub async fn contacts(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SendContacts>,
) -> SendResult {
    let country = app.fleet.country(&tenant);
    let mut contacts = Vec::new();
    for person in body.contacts.unwrap_or_default() {
        contacts.push(contact_of(person, country).await?);
    }
    send(&app, &tenant, &key, body.to, Draft::Contacts { contacts }).await
}

/// A card as it is given, or one made from its fields. `country`: where a number without a country code is dialed.
async fn contact_of(person: ContactCard, country: CountryId) -> Result<Contact, Problem> {
    let given = |text: Option<String>| text.filter(|text| !is_blank(text));
    if let Some(vcard) = given(person.vcard) {
        return Ok(Contact { name: card::name(&vcard), vcard });
    }
    let (Some(name), Some(phone)) = (given(person.full_name), given(person.phone_number)) else {
        return Err(flaw("contacts", "a vcard, or fullName and phoneNumber, are required"));
    };
    // A LID in a card would be dialed as somebody's number.
    if phone.contains('@') {
        return Err(flaw("contacts", "phoneNumber: expected a phone number"));
    }
    let known = session::chat_of(&phone, country).await;
    let known = known.and_then(|jid| Some(jid.strip_suffix("@s.whatsapp.net")?.to_owned()));
    // In another country it must be dialed with its code.
    let dialed = match &known {
        Some(known) if !phone.trim_start().starts_with('+') => format!("+{known}"),
        _ => phone.clone(),
    };
    let digits = || phone.chars().filter(char::is_ascii_digit).collect();
    let waid = given(person.whatsapp_id).or(known).unwrap_or_else(digits);
    let vcard = card::card(&name, given(person.organization).as_deref(), &waid, &dialed);
    Ok(Contact { name, vcard })
}

/// A poll.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SendPoll")]
pub struct NewPoll {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required)]
    poll: Option<PollForm>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NewPoll")]
pub struct PollForm {
    #[schemars(required, length(min = 1, max = 255), example = "¿Postre?")]
    name: Option<String>,
    /// Each once, none empty.
    #[schemars(required, length(min = 2, max = 12), extend("uniqueItems" = true), inner(length(min = 1, max = 100)), example = ["Sí", "No"])]
    options: Option<Vec<String>>,
    /// A boolean; the document says object.
    multiple_answers: Option<Value>,
}

/// `POST /api/sendPoll`
pub async fn poll(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<NewPoll>,
) -> SendResult {
    let form = body.poll.ok_or_else(|| flaw("poll", "is required"))?;
    let options = form.options.unwrap_or_default();
    let several = match form.multiple_answers {
        Some(Value::Bool(several)) => several,
        // WAHA's document, and the clients that were made from it, have an object here, which says nothing.
        None | Some(Value::Null | Value::Object(_)) => false,
        Some(_) => return Err(flaw("poll.multipleAnswers", "true or false")),
    };
    let choose = if several { u32::try_from(options.len()).unwrap_or(u32::MAX) } else { 1 };
    let poll = Poll { name: form.name.unwrap_or_default(), options, choose };
    send(&app, &tenant, &key, body.to, Draft::Poll(poll)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "A vote in a poll.")]
pub struct SendPollVote {
    #[serde(flatten)]
    to: SendAddressed,
    /// The id of the poll's message.
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    poll_message_id: Option<String>,
    /// All options chosen now.
    #[schemars(example = ["Sí"])]
    votes: Option<Vec<OneOrSeveral>>,
}

/// The document has lists of lists, WAHA's examples plain lists.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

/// `POST /api/sendPollVote`
pub async fn vote(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<SendPollVote>,
) -> SendResult {
    let poll = body.poll_message_id.ok_or_else(|| flaw("pollMessageId", "is required"))?;
    let options = body.votes.unwrap_or_default().into_iter().flat_map(|vote| match vote {
        OneOrSeveral::One(vote) => vec![vote],
        OneOrSeveral::Several(votes) => votes,
    });
    let draft = Draft::Vote { poll: bare_id(&poll), options: options.collect() };
    send(&app, &tenant, &key, body.to, draft).await
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

/// Marks what came as read, or says that somebody is typing.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChatSign")]
pub struct Sign {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    message_id: Option<String>,
    message_ids: Option<Vec<String>>,
}

/// `POST /api/sendSeen`: these messages, or all that came in the chat and were not marked.
pub async fn seen(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    let chat = chat(&app, &tenant, "chatId", sign.chat_id.as_deref().unwrap_or_default()).await?;
    let ids = sign.message_ids.unwrap_or_default().into_iter().chain(sign.message_id);
    let ids: Vec<String> = ids.map(|id| bare_id(&id)).collect();
    let session = app.fleet.open_known(&tenant).await?;
    session.mark_read(&chat, &ids).await?;
    Ok(EmptyCreated)
}

/// `POST /api/startTyping`
pub async fn typing(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    show_typing(&app, &tenant, &sign, true).await
}

/// `POST /api/stopTyping`
pub async fn not_typing(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    show_typing(&app, &tenant, &sign, false).await
}

async fn show_typing(app: &App, tenant: &TenantId, sign: &Sign, typing: bool) -> Result<EmptyCreated, Problem> {
    let chat = chat(app, tenant, "chatId", sign.chat_id.as_deref().unwrap_or_default()).await?;
    let session = app.fleet.open_known(tenant).await?;
    session.show_typing(&chat, typing).await?;
    Ok(EmptyCreated)
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
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StarMessage")]
pub struct Star {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    message_id: Option<String>,
    #[schemars(required, example = true)]
    star: Option<bool>,
}

/// `PUT /api/star`: on the tenant's own devices; the other one is not told.
pub async fn star(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Star>,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", body.chat_id.as_deref().unwrap_or_default()).await?;
    let starred = body.star.ok_or_else(|| flaw("star", "true or false is required"))?;
    let session = app.fleet.open_known(&tenant).await?;
    let target = target(&session, &chat, &body.message_id.unwrap_or_default()).await?;
    session.check_known(&chat, &target).await?;
    session.star(&chat, &target, starred).await?;
    Ok(Json(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventMessageRequest")]
pub struct NewHappening {
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    /// The id of the message that it answers.
    #[serde(rename = "reply_to")]
    reply_to: Option<String>,
    #[schemars(required)]
    event: Option<HappeningForm>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventMessage")]
pub struct HappeningForm {
    #[schemars(required, length(min = 1), example = "Cata de vinos")]
    name: Option<String>,
    description: Option<String>,
    /// Seconds since 1970.
    #[serde(deserialize_with = "whole")]
    #[schemars(required, example = 1_800_000_000)]
    start_time: Option<i64>,
    #[serde(default, deserialize_with = "whole")]
    end_time: Option<i64>,
    #[serde(default, deserialize_with = "object")]
    location: Option<PlaceName>,
    extra_guests_allowed: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EventLocation")]
pub struct PlaceName {
    name: Option<String>,
}

/// `POST /api/{session}/events`
pub async fn happening(
    State(app): State<App>,
    auth::For { tenant, .. }: auth::For<Sending>,
    key: IdempotencyKey,
    Body(body): Body<NewHappening>,
) -> SendResult {
    let form = body.event.ok_or_else(|| flaw("event", "is required"))?;
    let event = Happening {
        name: form.name.unwrap_or_default(),
        description: form.description.unwrap_or_default(),
        start: form.start_time.ok_or_else(|| flaw("event.startTime", "is required"))?,
        end: form.end_time,
        place: form.location.and_then(|place| place.name).unwrap_or_default(),
        extra_guests: form.extra_guests_allowed.unwrap_or(false),
    };
    let to = SendAddressed {
        session: None,
        chat_id: body.chat_id,
        id: None,
        reply_to: body.reply_to,
        ttl: None,
        bot: None,
        humanize: None,
    };
    send(&app, &tenant, &key, to, Draft::Happening(event)).await
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
