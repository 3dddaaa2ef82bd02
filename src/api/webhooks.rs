//! Webhooks of a tenant: their settings in WAHA's form, and what they failed to deliver.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    App,
    auth::{Controlling, For},
    input::{Body, Path},
    problem::{FieldError, Problem},
};
use crate::{fleet::FleetError, tenant::TenantId, webhook::WebhookError};

pub async fn show(State(app): State<App>, For { tenant, .. }: For<Controlling>) -> Result<Json<Value>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(app.webhooks.show(&tenant).await?))
}

/// Makes the tenant when there is none: webhooks may be there before the first scan.
pub async fn put(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(config): Body<Value>,
) -> Result<Json<Value>, Problem> {
    app.fleet.opened(&tenant).await?;
    Ok(Json(app.webhooks.put(&tenant, config).await?))
}

pub async fn failures(State(app): State<App>, For { tenant, .. }: For<Controlling>) -> Result<Json<Value>, Problem> {
    known(&app, &tenant).await?;
    Ok(Json(json!({ "failures": app.webhooks.failures(&tenant).await? })))
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
    match app.fleet.known(tenant).await {
        Ok(_) => Ok(()),
        Err(FleetError::Unknown) => Err(Problem::unknown_tenant()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct FailurePath {
    /// As the list of failures names it.
    id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Redriven {
    /// How many are tried once more.
    redriven: usize,
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Invalid(flaws) => {
                let error = flaws.first().map(|flaw| format!("{}: {}", flaw.field, flaw.expected)).unwrap_or_default();
                let field =
                    |flaw: crate::webhook::Flaw| FieldError { field: flaw.field.into(), message: flaw.expected };
                Self::invalid(error, flaws.into_iter().map(field).collect())
            }
            WebhookError::NoFailure => Self::missing("no_failure", "There is no such failure"),
            WebhookError::NotDurable => Self::unavailable("vault_down", "The vault does not answer"),
            WebhookError::Closed => Self::unavailable("session_closed", "The session is not open"),
            WebhookError::Store(error) => {
                tracing::warn!(%error, "webhooks cannot be read or written");
                Self::unavailable("session_closed", "The session's state cannot be read or written")
            }
        }
    }
}
