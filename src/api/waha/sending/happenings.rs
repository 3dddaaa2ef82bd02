//! Invitations to something that happens. Keeps no calendar.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{SendAddressed, SendResult, send};
use crate::{
    api::{
        App,
        auth::{self, Sending},
        input::{Body, IdempotencyKey, object},
        waha::{flaw, whole_number::whole},
    },
    message::{Draft, Happening},
};

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
