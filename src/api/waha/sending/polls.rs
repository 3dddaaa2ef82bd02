//! Polls, and votes in them. Counts no votes.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{SendAddressed, SendResult, SessionBody, send};
use crate::{
    api::{
        App,
        auth::{Names, TenantRequest},
        input::{Body, IdempotencyKey},
        waha::{bare_id, flaw},
    },
    message::{Draft, Poll},
};

in_session!(NewPoll: to.session, SendPollVote: to.session);

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
