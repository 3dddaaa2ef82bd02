//! Webhooks of a tenant: their settings in WAHA's form, and what they failed to deliver.

use std::borrow::Cow;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    App,
    auth::{Controlling, For},
    input::{Body, Path},
    problem::{FieldError, Problem},
};
use crate::{
    store::StoreError,
    tenant::TenantId,
    waha::EventSelection,
    webhook::{FailureForm, SessionConfig, WebhookError},
};

/// A session's `config` in WAHA's form, as it is given. [`crate::webhook::WebhookSettings::parse`] checks it and names every flaw, which
/// no derived reader would do.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Config(pub Value);

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "NewSessionConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = |most: usize| json!({ "type": "string", "maxLength": most });
        json_schema!({
            "type": "object",
            "description": "Webhooks and metadata. All of it is replaced; a secret that comes back as it was shown stays. What else WAHA's clients write there is kept and shown; nothing follows from it.",
            "properties": {
                "metadata": { "type": ["object", "null"], "description": "Sent along with every event; at most 8 KiB." },
                "webhooks": {
                    "type": ["array", "null"],
                    "maxItems": 10,
                    "items": {
                        "type": "object",
                        "required": ["url", "events"],
                        "properties": {
                            "url": { "type": "string", "format": "uri", "description": "Of the public net." },
                            "events": {
                                "type": "array", "minItems": 1, "maxItems": 64,
                                "description": "Names of events; `*` for all.",
                                "items": { "enum": EventSelection::names().collect::<Vec<_>>() },
                            },
                            "hmac": {
                                "type": ["object", "null"],
                                "description": "Signs what is sent, in WAHA's way and by Standard Webhooks.",
                                "properties": { "key": { "type": ["string", "null"], "maxLength": 4096 } },
                            },
                            "retries": {
                                "type": ["object", "null"],
                                "properties": {
                                    "policy": { "enum": ["constant", "linear", "exponential", null] },
                                    "delaySeconds": { "type": ["number", "null"], "minimum": 0, "maximum": 3600 },
                                    "attempts": { "type": ["number", "null"], "minimum": 0, "maximum": 100 },
                                },
                            },
                            "customHeaders": {
                                "type": ["array", "null"],
                                "maxItems": 20,
                                "items": {
                                    "type": "object",
                                    "required": ["name", "value"],
                                    "properties": {
                                        "name": { "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
                                        "value": text(4096),
                                    },
                                },
                            },
                        },
                    },
                },
            },
            "examples": [{
                "webhooks": [{
                    "url": "https://example.com/hook", "events": ["message", "session.status"],
                    "hmac": { "key": "a long secret" },
                    "retries": { "policy": "exponential", "delaySeconds": 2, "attempts": 10 },
                }],
                "metadata": { "restaurant": "Trattoria" },
            }],
        })
    }
}

pub async fn show(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Json<SessionConfig>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(app.webhooks.show(&tenant).await?))
}

/// Makes the tenant when there is none: webhooks may be there before the first scan.
pub async fn put(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(config): Body<Config>,
) -> Result<Json<SessionConfig>, Problem> {
    if config.0.as_object().is_some_and(serde_json::Map::is_empty) {
        // It would take every webhook away, which an empty list says outright.
        let message = "expected at least one field: the body replaces everything, and [] takes all webhooks away";
        return Err(Problem::invalid(message.to_owned(), Vec::new()));
    }
    if app.fleet.status(&tenant).is_none() && app.fleet.record(&tenant).await?.is_none() {
        // What is refused makes none.
        app.webhooks.check_new(&config.0)?;
    }
    app.fleet.open_or_create(&tenant).await?;
    Ok(Json(app.webhooks.put_webhooks(&tenant, config.0).await?))
}

pub async fn failures(State(app): State<App>, For { tenant, .. }: For<Controlling>) -> Result<Json<Failures>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(Failures { failures: app.webhooks.failures(&tenant).await? }))
}

pub async fn redrive_all(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Json<Redriven>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(Redriven { redriven: app.webhooks.redrive(&tenant, None).await? }))
}

pub async fn redrive(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<FailurePath>,
) -> Result<Json<Redriven>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(Redriven { redriven: app.webhooks.redrive(&tenant, Some(&named.id)).await? }))
}

async fn known(app: &App, tenant: &TenantId) -> Result<(), Problem> {
    Ok(app.fleet.open_known(tenant).await.map(drop)?)
}

#[derive(Deserialize, JsonSchema)]
pub struct FailurePath {
    /// As the list of failures names it.
    id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Failures {
    failures: Vec<FailureForm>,
}

#[derive(Serialize, JsonSchema)]
pub struct Redriven {
    /// The number of failures that are tried once more.
    redriven: usize,
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Invalid(flaws) => {
                let error = flaws.first().map(|flaw| format!("{}: {}", flaw.field, flaw.expected)).unwrap_or_default();
                let field =
                    |flaw: crate::webhook::WebhookFlaw| FieldError { field: flaw.field.into(), message: flaw.expected };
                Self::invalid(error, flaws.into_iter().map(field).collect())
            }
            WebhookError::NoFailure => Self::missing("no_failure", "There is no such failure"),
            WebhookError::NotDurable => Self::unavailable("vault_down", "The vault does not answer"),
            WebhookError::Closed => Self::unavailable("session_closed", "The session is not open"),
            WebhookError::Store(error @ StoreError::Setting { .. }) => Self::unreadable(error),
            WebhookError::Store(error) => {
                tracing::warn!(event = "webhook_request_failed", %error, "webhooks cannot be read or written");
                Self::unavailable("session_closed", "The session's state cannot be read or written")
            }
        }
    }
}
