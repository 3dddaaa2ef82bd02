//! How webhooks and their failures are shown: WAHA's form, and what it has no words for.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::RetryPolicy;
use crate::message::EventId;

/// Settings as they are shown, in WAHA's form: secrets are masked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SessionConfig {
    pub webhooks: Vec<WebhookForm>,
    /// Free-form data of the session, sent along with every event.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub metadata: Value,
    /// Everything else that was written there, as it was: nothing follows from it. A proxy's password is masked.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Webhook")]
pub struct WebhookForm {
    pub id: String,
    pub url: String,
    pub events: Vec<String>,
    pub hmac: Option<HmacForm>,
    pub retries: RetriesForm,
    pub custom_headers: Vec<HeaderForm>,
    /// How it is, while its session is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Condition>,
    /// Everything else that was written there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WebhookHmac")]
pub struct HmacForm {
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WebhookRetries")]
pub struct RetriesForm {
    pub policy: RetryPolicy,
    /// The least between two attempts.
    pub delay_seconds: f64,
    /// The first one counts.
    pub attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WebhookHeader")]
pub struct HeaderForm {
    pub name: String,
    pub value: String,
}

/// How a webhook is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WebhookStatus")]
pub struct Condition {
    pub state: WebhookHealth,
    pub last_error: String,
    /// Events in hand that are not delivered; there may be more in the log.
    pub owed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookHealth {
    Ok,
    Failing,
    /// The receiver said that it is gone (410): nothing goes there until the settings are put again.
    Gone,
    /// A bug: put the settings again.
    Crashed,
}

/// What could not be delivered to a webhook, and is not tried any more.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WebhookFailure")]
pub struct FailureForm {
    pub id: String,
    /// The webhook's id.
    pub webhook: String,
    pub url: String,
    pub attempts: u32,
    /// The last answer's.
    pub status: Option<u16>,
    pub error: String,
    /// Milliseconds since 1970.
    pub parked_at: i64,
    #[serde(flatten)]
    pub what: WhatForm,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum WhatForm {
    /// The receiver refuses it.
    Refused {
        events: Vec<&'static str>,
        event_ids: Vec<String>,
        /// Null: it is of no chat.
        chat_id: Option<String>,
        /// Null: it is of no message.
        message_id: Option<String>,
    },
    /// Retention has overtaken the webhook: of the events after `after`, up to `upTo`, some are gone.
    Gap { after: Option<EventId>, up_to: EventId },
}
