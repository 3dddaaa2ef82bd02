//! What is sent: texts, places, people, polls, votes, reactions. Each is durable when it is answered; a client that repeats a
//! request under its own `id`, or an `Idempotency-Key`, sends it once.

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Caller, For, Scope, Sending},
        baileys::{Body, idempotency_key},
        problem::Problem,
    },
    accepted, bare_id, chat, flaw, message_id, permitted,
};
use crate::{
    message::{Contact, Draft, Happening, Location, Poll, SendRequest},
    tenant::TenantId,
    waha,
};

type Sent = Result<(StatusCode, Json<waha::Message>), Problem>;

/// What all of them have.
#[derive(Deserialize)]
pub struct Addressed {
    session: Option<String>,
    #[serde(rename = "chatId")]
    chat_id: Option<String>,
    /// The client's own name for the message: WhatsApp's id of it.
    id: Option<String>,
    #[serde(alias = "replyTo")]
    reply_to: Option<String>,
}

#[derive(Deserialize)]
pub struct Text {
    #[serde(flatten)]
    to: Addressed,
    text: Option<String>,
    mentions: Option<Vec<String>>,
}

/// `POST /api/sendText`, `/api/reply`, `/api/sendLinkPreview`. There is no preview of links: WhatsApp's own clients make it.
pub async fn text(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<Text>) -> Sent {
    let mentions = body.mentions.unwrap_or_default();
    if mentions.iter().any(|mention| mention == "all") {
        return Err(Problem::not_implemented("\"all\" cannot be mentioned"));
    }
    let mentions = mentions.iter().map(|mention| chat(&app, "mentions", mention)).collect::<Result<_, _>>()?;
    let draft = Draft::Text { text: body.text.unwrap_or_default(), mentions };
    send(&app, &caller, &headers, body.to, draft).await
}

#[derive(Deserialize)]
pub struct Place {
    #[serde(flatten)]
    to: Addressed,
    latitude: Option<f64>,
    longitude: Option<f64>,
    title: Option<String>,
}

/// `POST /api/sendLocation`
pub async fn location(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<Place>) -> Sent {
    let place = Location {
        latitude: body.latitude.ok_or_else(|| flaw("latitude", "is required"))?,
        longitude: body.longitude.ok_or_else(|| flaw("longitude", "is required"))?,
        name: body.title.unwrap_or_default(),
        ..Location::default()
    };
    send(&app, &caller, &headers, body.to, Draft::Location(place)).await
}

#[derive(Deserialize)]
pub struct People {
    #[serde(flatten)]
    to: Addressed,
    contacts: Option<Vec<Person>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    full_name: Option<String>,
    organization: Option<String>,
    phone_number: Option<String>,
    whatsapp_id: Option<String>,
    vcard: Option<String>,
}

/// `POST /api/sendContactVcard`
pub async fn contacts(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<People>) -> Sent {
    let contacts = body.contacts.unwrap_or_default().into_iter().map(card).collect::<Result<_, _>>()?;
    send(&app, &caller, &headers, body.to, Draft::Contacts { contacts }).await
}

/// A card as it is given, or one made from its fields.
fn card(person: Person) -> Result<Contact, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(vcard) = given(person.vcard) {
        let name = vcard.lines().find_map(|line| line.strip_prefix("FN:")).unwrap_or_default().trim().to_owned();
        return Ok(Contact { name, vcard });
    }
    let (Some(name), Some(phone)) = (given(person.full_name), given(person.phone_number)) else {
        return Err(flaw("contacts", "a vcard, or fullName and phoneNumber, are required"));
    };
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let waid = given(person.whatsapp_id).unwrap_or(digits);
    let organization = given(person.organization).map(|name| format!("ORG:{};\n", escaped(&name))).unwrap_or_default();
    let vcard = format!(
        "BEGIN:VCARD\nVERSION:3.0\nFN:{}\n{organization}TEL;type=CELL;type=VOICE;waid={}:{}\nEND:VCARD",
        escaped(&name),
        escaped(&waid),
        escaped(&phone),
    );
    Ok(Contact { name, vcard })
}

/// Of what would end a property (RFC 6350, 3.4).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(['\n', '\r'], "\\n").replace(',', "\\,").replace(';', "\\;")
}

#[derive(Deserialize)]
pub struct NewPoll {
    #[serde(flatten)]
    to: Addressed,
    poll: Option<PollForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollForm {
    name: Option<String>,
    options: Option<Vec<String>>,
    /// A boolean; the document says object.
    multiple_answers: Option<Value>,
}

/// `POST /api/sendPoll`
pub async fn poll(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<NewPoll>) -> Sent {
    let form = body.poll.ok_or_else(|| flaw("poll", "is required"))?;
    let options = form.options.unwrap_or_default();
    let several = form.multiple_answers == Some(Value::Bool(true));
    let choose = if several { u32::try_from(options.len()).unwrap_or(u32::MAX) } else { 1 };
    let poll = Poll { name: form.name.unwrap_or_default(), options, choose };
    send(&app, &caller, &headers, body.to, Draft::Poll(poll)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vote {
    #[serde(flatten)]
    to: Addressed,
    poll_message_id: Option<String>,
    votes: Option<Vec<OneOrSeveral>>,
}

/// The document has lists of lists, WAHA's examples plain lists.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

/// `POST /api/sendPollVote`
pub async fn vote(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<Vote>) -> Sent {
    let poll = body.poll_message_id.ok_or_else(|| flaw("pollMessageId", "is required"))?;
    let options = body.votes.unwrap_or_default().into_iter().flat_map(|vote| match vote {
        OneOrSeveral::One(vote) => vec![vote],
        OneOrSeveral::Several(votes) => votes,
    });
    let draft = Draft::Vote { poll: bare_id(&poll), options: options.collect() };
    send(&app, &caller, &headers, body.to, draft).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    session: Option<String>,
    message_id: Option<String>,
    reaction: Option<String>,
}

/// `PUT /api/reaction`
pub async fn reaction(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<Reaction>) -> Sent {
    let tenant = permitted(&caller, &body.session.unwrap_or_default(), Scope::Send)?;
    let about = message_id("messageId", &body.message_id.unwrap_or_default())?;
    let emoji = body.reaction.ok_or_else(|| flaw("reaction", "is required; empty takes it back"))?;
    let session = app.fleet.known(&tenant).await?;
    let target = session.target(&about.chat, &about.id, about.from_me, about.participant.as_deref());
    let request = SendRequest { to: about.chat, draft: Draft::Reaction { target, emoji }, answers: None, id: None };
    let message = app.fleet.send(&tenant, &request, idempotency_key(&headers)?).await??;
    Ok((StatusCode::OK, Json(accepted(&message))))
}

/// What needs a file, or a kind of message that linked devices cannot write.
pub async fn cannot(caller: Caller, Body(body): Body<Addressed>) -> Result<Json<Value>, Problem> {
    permitted(&caller, &body.session.unwrap_or_default(), Scope::Send)?;
    Err(Problem::not_implemented("files cannot be sent yet; buttons and lists are for WhatsApp's business API"))
}

/// Marks what came as read, or says that somebody is typing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sign {
    session: Option<String>,
    chat_id: Option<String>,
    message_id: Option<String>,
    message_ids: Option<Vec<String>>,
}

/// `POST /api/sendSeen`: these messages, or all that came in the chat since we last wrote.
pub async fn seen(State(app): State<App>, caller: Caller, Body(sign): Body<Sign>) -> Result<StatusCode, Problem> {
    let tenant = permitted(&caller, sign.session.as_deref().unwrap_or_default(), Scope::Send)?;
    let chat = chat(&app, "chatId", sign.chat_id.as_deref().unwrap_or_default())?;
    let ids = sign.message_ids.unwrap_or_default().into_iter().chain(sign.message_id);
    let ids: Vec<String> = ids.map(|id| bare_id(&id)).collect();
    let session = app.fleet.known(&tenant).await?;
    session.mark_read(&chat, &ids).await?;
    Ok(StatusCode::CREATED)
}

/// `POST /api/startTyping`
pub async fn typing(State(app): State<App>, caller: Caller, Body(sign): Body<Sign>) -> Result<StatusCode, Problem> {
    show_typing(&app, &caller, &sign, true).await
}

/// `POST /api/stopTyping`
pub async fn not_typing(State(app): State<App>, caller: Caller, Body(sign): Body<Sign>) -> Result<StatusCode, Problem> {
    show_typing(&app, &caller, &sign, false).await
}

async fn show_typing(app: &App, caller: &Caller, sign: &Sign, typing: bool) -> Result<StatusCode, Problem> {
    let tenant = permitted(caller, sign.session.as_deref().unwrap_or_default(), Scope::Send)?;
    let chat = chat(app, "chatId", sign.chat_id.as_deref().unwrap_or_default())?;
    let session = app.fleet.known(&tenant).await?;
    session.show_typing(&chat, typing).await?;
    Ok(StatusCode::CREATED)
}

async fn send(app: &App, caller: &Caller, headers: &HeaderMap, to: Addressed, draft: Draft) -> Sent {
    let tenant = permitted(caller, to.session.as_deref().unwrap_or_default(), Scope::Send)?;
    send_for(app, &tenant, headers, to, draft).await
}

async fn send_for(app: &App, tenant: &TenantId, headers: &HeaderMap, to: Addressed, draft: Draft) -> Sent {
    let chat_id = to.chat_id.filter(|id| !id.is_empty()).ok_or_else(|| flaw("chatId", "is required"))?;
    let request = SendRequest {
        to: chat(app, "chatId", &chat_id)?,
        draft,
        answers: to.reply_to.filter(|id| !id.is_empty()).map(|id| bare_id(&id)),
        id: to.id.filter(|id| !id.is_empty()),
    };
    let message = app.fleet.send(tenant, &request, idempotency_key(headers)?).await??;
    Ok((StatusCode::CREATED, Json(accepted(&message))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    #[serde(flatten)]
    to: Addressed,
    message_id: Option<String>,
}

/// `POST /api/forwardMessage`
pub async fn forward(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<Forward>) -> Sent {
    let original = message_id("messageId", &body.message_id.unwrap_or_default())?;
    let draft = Draft::Forward { chat: chat(&app, "messageId", &original.chat)?, id: original.id };
    send(&app, &caller, &headers, body.to, draft).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Star {
    session: Option<String>,
    chat_id: Option<String>,
    message_id: Option<String>,
    star: Option<bool>,
}

/// `PUT /api/star`: on the tenant's own devices; the other one is not told.
pub async fn star(State(app): State<App>, caller: Caller, Body(body): Body<Star>) -> Result<Json<Value>, Problem> {
    let tenant = permitted(&caller, &body.session.unwrap_or_default(), Scope::Send)?;
    let chat = chat(&app, "chatId", body.chat_id.as_deref().unwrap_or_default())?;
    let id = message_id("messageId", &body.message_id.unwrap_or_default())?;
    let starred = body.star.ok_or_else(|| flaw("star", "true or false is required"))?;
    let session = app.fleet.known(&tenant).await?;
    let target = session.target(&chat, &id.id, id.from_me, id.participant.as_deref());
    session.star(&chat, &target, starred).await?;
    Ok(Json(json!({ "success": true })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewHappening {
    #[serde(flatten)]
    to: Addressed,
    event: Option<HappeningForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HappeningForm {
    name: Option<String>,
    description: Option<String>,
    /// Seconds since 1970.
    start_time: Option<f64>,
    end_time: Option<f64>,
    location: Option<PlaceName>,
    extra_guests_allowed: Option<bool>,
}

#[derive(Deserialize)]
pub struct PlaceName {
    name: Option<String>,
}

/// `POST /api/{session}/events`
pub async fn happening(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    headers: HeaderMap,
    Body(body): Body<NewHappening>,
) -> Sent {
    let form = body.event.ok_or_else(|| flaw("event", "is required"))?;
    let event = Happening {
        name: form.name.unwrap_or_default(),
        description: form.description.unwrap_or_default(),
        start: form.start_time.ok_or_else(|| flaw("event.startTime", "is required"))? as i64,
        end: form.end_time.map(|end| end as i64),
        place: form.location.and_then(|place| place.name).unwrap_or_default(),
        extra_guests: form.extra_guests_allowed.unwrap_or(false),
    };
    send_for(&app, &tenant, &headers, body.to, Draft::Happening(event)).await
}

#[derive(Deserialize)]
pub struct QueryText {
    session: Option<String>,
    phone: Option<String>,
    text: Option<String>,
}

/// `GET /api/sendText`
pub async fn text_by_query(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<QueryText>,
) -> Sent {
    let to = Addressed { session: query.session, chat_id: query.phone, id: None, reply_to: None };
    let draft = Draft::Text { text: query.text.unwrap_or_default(), mentions: Vec::new() };
    send(&app, &caller, &headers, to, draft).await
}

/// `GET /api/{session}/new-message-id`, `GET /api/{session}/status/new-message-id`
pub async fn new_message_id(State(app): State<App>, For { tenant, .. }: For<Sending>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "id": app.fleet.known(&tenant).await?.new_message_id() })))
}

/// `POST /api/sendLinkPreview`, `POST /api/send/link-custom-preview`
pub async fn cannot_preview(caller: Caller, Body(body): Body<Addressed>) -> Result<Json<Value>, Problem> {
    permitted(&caller, &body.session.unwrap_or_default(), Scope::Send)?;
    Err(Problem::not_implemented("a preview is made by WhatsApp's clients: send the link with sendText"))
}

/// `POST /api/send/buttons/reply`
pub async fn cannot_choose(caller: Caller, Body(body): Body<Addressed>) -> Result<Json<Value>, Problem> {
    permitted(&caller, &body.session.unwrap_or_default(), Scope::Send)?;
    Err(Problem::not_implemented("buttons belong to WhatsApp's business API: answer with a text"))
}
