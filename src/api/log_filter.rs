//! The log filter of the process that is asked, while it runs. For the operator. WAHA has no such routes.

use std::{convert::Infallible, fmt, net::IpAddr};

use axum::{Json, extract::FromRequestParts, http::request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App,
    input::Body,
    openapi::{Operation, Takes},
    problem::{FieldError, Problem},
};
use crate::telemetry::log_filter::{self, LogFilterError};

/// A longer one is a mistake, and every line would be held against all of it.
const LONGEST_FILTER: usize = 1024;

/// The lines that are to be logged.
#[derive(Deserialize, JsonSchema)]
#[schemars(example = json!({ "filter": "info,sessiond::session=debug" }))]
pub struct LogFilterSetting {
    /// As `log.filter` has it. The cap on what other crates may say stays.
    #[schemars(length(max = 1024))]
    filter: String,
}

/// The lines that are logged now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(example = json!({ "filter": "info,sessiond::session=debug" }))]
pub struct LogFilterInForce {
    filter: String,
    /// Targets in it that are neither ours nor of a library whose lines are known: they choose nothing, and are misspelt, as likely as not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_targets: Vec<String>,
}

/// The address that the operator asks from, for the log: there is one admin key, and several people may have it.
pub struct OperatorAddress(Option<IpAddr>);

impl fmt::Display for OperatorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "the admin key, from {address}"),
            None => f.write_str("the admin key"),
        }
    }
}

impl FromRequestParts<App> for OperatorAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(app.auth.address_of(&parts.extensions, &parts.headers)))
    }
}

impl Takes for OperatorAddress {
    fn takes(_: &mut Operation<'_>) {}
}

/// `GET /api/server/log-filter`
pub async fn show() -> Result<Json<LogFilterInForce>, Problem> {
    let filter = log_filter::current().ok_or(LogFilterError::NotInstalled)?;
    let unknown_targets = log_filter::unknown_targets(&filter);
    Ok(Json(LogFilterInForce { filter, unknown_targets }))
}

/// `PUT /api/server/log-filter`: until it is changed again, or the process ends.
pub async fn change(
    operator: OperatorAddress,
    Body(setting): Body<LogFilterSetting>,
) -> Result<Json<LogFilterInForce>, Problem> {
    if setting.filter.chars().count() > LONGEST_FILTER {
        return Err(invalid(format!("expected at most {LONGEST_FILTER} characters")));
    }
    log_filter::change(&setting.filter, &operator)?;
    show().await
}

fn invalid(message: String) -> Problem {
    Problem::invalid(format!("filter: {message}"), vec![FieldError { field: "filter".into(), message }])
}

impl From<LogFilterError> for Problem {
    fn from(error: LogFilterError) -> Self {
        match error {
            LogFilterError::Unreadable | LogFilterError::NoLevel => invalid(error.to_string()),
            LogFilterError::NotInstalled => Self::not_implemented(error.to_string()),
        }
    }
}
