//! The document as a whole.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{operation::Operation, schemas::Schemas};
use crate::{
    api::{
        auth::{Access, Action},
        problem::Problem,
        route::{Route, Section},
    },
    waha::{
        AccountChangedPayload, AccountRefusedPayload, AckPayload, ArchivePayload, CallData, EditedPayload, Envelope,
        EventName, KitchenOrder, MarkedPayload, OwnerCalledPayload, PacingHeldPayload, ReactionPayload, RevokedPayload,
        SessionStatus, VotePayload, WAMessage, group_event,
        label::{LabelOfChat, WALabel},
        person::WAHAChatPresences,
    },
};

/// The version of OpenAPI that the document speaks.
const OPENAPI: &str = "3.1.0";

pub fn document(sections: &[Section]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for section in sections {
        for route in &section.routes {
            let operation = operation(section.name, route, &mut schemas);
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[route.method.as_str().to_ascii_lowercase()] = operation;
        }
    }
    let webhooks = webhooks(&mut schemas);
    let problem = schemas.answer::<Problem>();
    let responses: Map<String, Value> = Problem::STATUSES
        .iter()
        .map(|(status, means)| (status.to_string(), response(*status, means, &problem)))
        .collect();
    let tags: Vec<_> = sections.iter().map(|section| json!({ "name": section.name })).collect();
    json!({
        "openapi": OPENAPI,
        "info": { "title": "sessiond", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION },
        "tags": tags,
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas.components(),
            "responses": responses,
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key", "description": KEY },
                "token": { "type": "http", "scheme": "bearer", "description": TOKEN },
            },
        },
    })
}

const DESCRIPTION: &str = include_str!("description.md");
const KEY: &str =
    "The operator's key, or a tenant's. The names beside it in an operation are the scopes that it needs.";
const TOKEN: &str = "A key, or a Firebase ID token of a person who belongs to the tenant.";

/// Every status with which a route may answer.
pub fn operation_statuses(route: &Route) -> BTreeSet<u16> {
    let mut schemas = Schemas::new();
    described(route, &mut schemas).statuses()
}

fn described<'a>(route: &Route, schemas: &'a mut Schemas) -> Operation<'a> {
    let mut operation = Operation::new(schemas);
    (route.describe)(&mut operation);
    match route.access {
        Access::Open => {}
        Access::Keyed | Access::Old => operation.may_fail(&[401, 429, 503]),
        Access::Admin | Access::Metrics => operation.may_fail(&[401, 403, 429, 503]),
    }
    match route.action {
        None | Some(Action::Pairing) => {}
        // An `Idempotency-Key` that was used for another message.
        Some(Action::Sending) => operation.may_fail(&[422]),
    }
    operation.may_fail(route.also);
    operation
}

fn operation(tag: &str, route: &Route, schemas: &mut Schemas) -> Value {
    let operation = described(route, schemas);
    let scopes: Vec<_> = operation.scope.map(|scope| scope.as_str()).into_iter().collect();
    let security = match route.access {
        Access::Open => json!([]),
        _ => json!([{ "key": scopes }, { "token": scopes }]),
    };
    let mut object = json!({
        "operationId": operation_id(&route.method, route.path),
        "tags": [tag],
        "summary": route.summary,
        "security": security,
        "responses": operation.responses(),
    });
    if !operation.parameters.is_empty() {
        object["parameters"] = json!(operation.parameters);
    }
    if let Some(body) = operation.body {
        object["requestBody"] = body;
    }
    object
}

/// `GET /api/{session}/chats` is `getSessionChats`.
fn operation_id(method: &Method, path: &str) -> String {
    // A folder is not the route that leads to it.
    let index = if path.ends_with('/') { "Index" } else { "" };
    method.as_str().to_ascii_lowercase() + &capitals(path.strip_prefix("/api").unwrap_or(path)) + index
}

/// `/{session}/chats` is `SessionChats`.
fn capitals(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// The requests to the URLs of a session's webhooks, by the event's name.
fn webhooks(schemas: &mut Schemas) -> Map<String, Value> {
    let envelope = schemas.answer::<Envelope<'_>>();
    let webhook = |name: &EventName| {
        let (summary, payload) = match name {
            EventName::SessionStatus => ("A session's status changed", schemas.answer::<SessionStatus>()),
            EventName::AccountRefused => {
                ("Another account than the session's scanned, in vain", schemas.answer::<AccountRefusedPayload>())
            }
            EventName::AccountChanged => {
                ("The session is another account from here on", schemas.answer::<AccountChangedPayload>())
            }
            EventName::Message => ("A customer wrote", schemas.answer::<WAMessage>()),
            EventName::MessageAny => ("Somebody wrote, the tenant itself too", schemas.answer::<WAMessage>()),
            EventName::MessageAck => ("A message came further", schemas.answer::<AckPayload>()),
            EventName::MessageReaction => ("Somebody reacted to a message", schemas.answer::<ReactionPayload>()),
            EventName::MessageRevoked => ("A message was deleted for everyone", schemas.answer::<RevokedPayload>()),
            EventName::MessageEdited => ("A message says something else now", schemas.answer::<EditedPayload>()),
            EventName::MessageWaiting => ("A message came that cannot be read yet", schemas.answer::<WAMessage>()),
            EventName::MessageMarked => {
                ("Something happened in a chat that nobody wrote", schemas.answer::<MarkedPayload>())
            }
            EventName::PollVote => ("Somebody voted", schemas.answer::<VotePayload>()),
            EventName::MessageAckGroup => ("A message in a group came further", schemas.answer::<AckPayload>()),
            EventName::CallReceived => ("Somebody calls", schemas.answer::<CallData>()),
            EventName::CallAccepted => ("A call was taken on another device", schemas.answer::<CallData>()),
            EventName::CallRejected => ("A call was declined or missed", schemas.answer::<CallData>()),
            EventName::GroupJoin => ("The tenant is in a group from now on", schemas.answer::<group_event::Join>()),
            EventName::GroupLeave => ("The tenant is not in a group any more", schemas.answer::<group_event::Leave>()),
            EventName::GroupParticipants => {
                ("Members of a group came, went or changed", schemas.answer::<group_event::Participants>())
            }
            EventName::GroupJoinRequest => {
                ("Somebody wants to join a group", schemas.answer::<group_event::JoinRequestEvent>())
            }
            EventName::GroupUpdate => ("A group or its rules changed", schemas.answer::<group_event::Update>()),
            EventName::LabelUpsert => ("A label is new or changed", schemas.answer::<WALabel>()),
            EventName::LabelDeleted => ("A label is gone", schemas.answer::<WALabel>()),
            EventName::LabelAdded => ("A label was put on a chat", schemas.answer::<LabelOfChat>()),
            EventName::LabelRemoved => ("A label was taken off a chat", schemas.answer::<LabelOfChat>()),
            EventName::ChatArchive => {
                ("A chat was archived or taken out of the archive", schemas.answer::<ArchivePayload>())
            }
            EventName::OrderCreated => ("A customer ordered", schemas.answer::<KitchenOrder>()),
            EventName::OrderUpdated => ("An order changed", schemas.answer::<KitchenOrder>()),
            EventName::OwnerCalled => ("The bot wants a human in a chat", schemas.answer::<OwnerCalledPayload>()),
            EventName::PacingHeld => ("A limit keeps messages back", schemas.answer::<PacingHeldPayload>()),
            EventName::PresenceUpdate => {
                ("Who is online or types, in a chat that is followed", schemas.answer::<WAHAChatPresences>())
            }
        };
        let event = json!({ "properties": { "event": { "const": name.as_str() }, "payload": payload } });
        let body = json!({ "allOf": [envelope, event] });
        let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } });
        let operation = json!({
            "operationId": format!("webhook{}", capitals(name.as_str())),
            "tags": ["Webhooks"],
            "summary": summary,
            "security": [],
            "parameters": [
                header("webhook-id", "Standard Webhooks: the same at every repeat, as is the body's id."),
                header("webhook-timestamp", "Standard Webhooks: seconds since 1970."),
                header("webhook-signature", "Standard Webhooks: `v1,` and base64; with a key."),
                header("X-Webhook-Request-Id", "WAHA's: as webhook-id."),
                header("X-Webhook-Timestamp", "WAHA's: milliseconds since 1970."),
                header("X-Webhook-Hmac", "WAHA's: hex HMAC of the body; with a key."),
                header("X-Webhook-Hmac-Algorithm", "WAHA's: `sha512`."),
            ],
            "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
            "responses": {
                "2XX": { "description": "Taken; anything else is a refusal, and is tried again." },
                "410": { "description": "Gone: nothing more goes there until the webhooks are put again." },
            },
        });
        (name.as_str().to_owned(), json!({ "post": operation }))
    };
    EventName::ALL.iter().map(webhook).collect()
}

fn response(status: u16, means: &str, problem: &schemars::Schema) -> Value {
    let mut response = json!({
        "description": means,
        "content": { "application/problem+json": { "schema": problem } },
    });
    match status {
        401 => {
            response["headers"] =
                json!({ "WWW-Authenticate": { "required": true, "schema": { "type": "string", "const": "Bearer" } } });
        }
        429 | 503 => {
            let schema = json!({ "type": "integer", "minimum": 0 });
            response["headers"] =
                json!({ "Retry-After": { "required": true, "description": "Seconds.", "schema": schema } });
        }
        _ => {}
    }
    response
}
