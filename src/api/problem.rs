//! A problem, as `application/problem+json` (RFC 9457): one type for the whole API. Has a stable `code`, says field by
//! field what was wrong with the input, and carries the old service's `error` text beside. Internals never leak.

mod code;
mod conversions;

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use self::code::ProblemCode;
use super::forward::{ForwardError, ServedElsewhere};
use crate::{journal::ArchiveError, store::StoreError, tenant::TenantId, vault::InstanceId};

/// A problem (RFC 9457): what went wrong with a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// In words, for people.
    title: &'static str,
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    #[serde(flatten)]
    code: ProblemCode,
    /// The particulars of this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The text that the old service's pages show.
    error: Box<str>,
    /// False, on those routes whose errors in the old service said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    /// The mistakes of the input, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Of the message whose outcome is unknown.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    #[expect(clippy::box_collection, reason = "nearly no problem has one, and every answer is as large as a problem")]
    message_id: Option<Box<String>>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldError {
    /// Like `poll.options`.
    pub field: Cow<'static, str>,
    /// The value that was expected there.
    pub message: String,
}

impl Problem {
    /// Every status that a problem may have, and what it means.
    pub const STATUSES: &[(u16, &str)] = &[
        (400, "The input is not valid, or the session is not connected"),
        (401, "A valid key is needed"),
        (403, "The tenant is another's, or the key has no scope for this"),
        (404, "There is no such thing"),
        (405, "The route does not take this method"),
        (409, "Not in the state in which things are now"),
        (412, "Somebody else has changed it since: read it, and change that"),
        (413, "There are too many bytes"),
        (415, "The body is of another kind than what the route takes"),
        (422, "The key was used for another request, or the file is not what it should be"),
        (429, "Too many requests, or as much waits to be sent as may"),
        (500, "WhatsApp did not answer in time"),
        (501, "This cannot be done here; the detail says why"),
        (
            503,
            "Not now: the daemon is stopping, or the vault or WhatsApp does not answer. With the code `send_outcome_unknown` the message may still be sent: repeat it with the same Idempotency-Key",
        ),
    ];

    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            title,
            status: status.as_u16(),
            code: ProblemCode(code),
            detail: None,
            error: title.into(),
            success: None,
            errors: Vec::new(),
            message_id: None,
            retry_after_s: None,
        }
    }

    pub fn invalid(error: impl Into<String>, errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_input", "The input is not valid");
        problem.error = Into::<String>::into(error).into_boxed_str();
        problem.errors = errors;
        problem
    }

    /// The same of more fields; one that is named already is not named twice.
    pub fn also(mut self, others: Vec<FieldError>) -> Self {
        for other in others {
            if self.errors.iter().all(|error| error.field != other.field) {
                self.errors.push(other);
            }
        }
        self
    }

    /// A form where JSON is expected, or a text.
    pub fn not_json(kind: &str) -> Self {
        let mut problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "The body is not JSON");
        problem.detail = Some(format!("expected Content-Type: application/json, and not {kind}"));
        problem
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid key is needed")
    }

    pub fn forbidden(title: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", title)
    }

    pub fn too_many(wait: Duration) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests");
        // Rounded up: who comes back at the second is let in.
        problem.retry_after_s = u32::try_from(wait.as_millis().div_ceil(1000)).ok();
        problem
    }

    pub fn missing(code: &'static str, title: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, title)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such route").saying("Ruta no encontrada")
    }

    pub fn unknown_tenant() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_tenant", "There is no such tenant").saying("Tenant no encontrado")
    }

    /// In WAHA's words.
    pub fn session_exists(tenant: &TenantId) -> Self {
        let mut problem = Self::unprocessable("session_exists", "There is a session of this name");
        problem.detail = Some("PUT changes it, and POST to its `start` starts it".into());
        problem.saying(&format!("Session '{tenant}' already exists. Use PUT to update it."))
    }

    /// Refuses what is not built, cannot be done, or would need a program that is not here.
    pub fn not_implemented(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "This cannot be done here");
        problem.detail = Some(detail.into());
        problem
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not take this method")
    }

    pub fn not_connected() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_connected", "The session is not connected to WhatsApp")
            .saying("WhatsApp no está conectado. Conecta primero.")
    }

    /// Another process has the tenant.
    pub fn owned_elsewhere() -> Self {
        let mut problem = Self::unavailable("owned_elsewhere", "Another process serves this tenant");
        problem.detail = Some("ask that process; the tenant comes here when it stops or dies".to_owned());
        // In a deploy that is a matter of seconds.
        problem.retry_after_s = Some(2);
        problem
    }

    /// The tenant goes from one process to another just now: neither has it. What the one said that was asked is of that process, which may
    /// be stopping, and not of this one.
    pub fn on_its_way() -> Self {
        Self::owned_elsewhere().detailed("the tenant is on its way from one process to another: repeat the request")
    }

    /// The process that has the tenant lives, as far as is known here, and was not asked, or did not answer.
    pub fn unforwarded(peer: &InstanceId, error: &ForwardError) -> Self {
        if let ForwardError::Busy = error {
            return Self::unavailable("busy", "Too many requests wait for the process that serves this tenant");
        }
        let mut problem = Self::unavailable("peer_silent", "The process that serves this tenant does not answer");
        let what = match error {
            ForwardError::Unanswered(_) => "it may have begun with this: repeat it with the same Idempotency-Key",
            _ => "nothing was done: repeat it",
        };
        problem.detail = Some(format!("process {}: {what}", peer.0));
        problem.retry_after_s = Some(2);
        problem
    }

    pub fn timed_out(title: &'static str) -> Self {
        // The old service's status and text: its page shows the text.
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "timed_out", title)
    }

    pub fn unavailable(code: &'static str, title: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title);
        problem.retry_after_s = Some(5);
        problem
    }

    /// There is no way to WhatsApp: why.
    pub fn unreachable(reason: impl Into<String>) -> Self {
        let mut problem = Self::unavailable("whatsapp_unreachable", "WhatsApp cannot be reached now");
        let reason = reason.into();
        problem.error = format!("No se puede conectar con WhatsApp: {reason}").into();
        problem.detail = Some(reason);
        problem
    }

    pub fn unprocessable(code: &'static str, title: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
    }

    /// `what` may have so many bytes.
    pub fn too_large(limit: u64, what: &str) -> Self {
        Self::too_much(limit, "bytes", what)
    }

    /// `what` may have so many of something.
    pub fn too_much(limit: u64, unit: &str, what: &str) -> Self {
        let title = if unit == "bytes" { "There are too many bytes" } else { "There is too much of it" };
        let mut problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title);
        problem.detail = Some(format!("at most {limit} {unit} for {what}"));
        problem
    }

    pub fn conflict(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::CONFLICT, code, title);
        problem.detail = Some(detail.into());
        problem
    }

    /// `current`: the version that there is now.
    pub fn wrong_version(current: u64) -> Self {
        let title = "Somebody else has changed it since";
        let mut problem = Self::new(StatusCode::PRECONDITION_FAILED, "wrong_version", title);
        problem.detail = Some(format!("there is version {current} now: read it, and change that"));
        problem
    }

    /// The local disk fails.
    pub fn unreadable(error: StoreError) -> Self {
        if let StoreError::Unconfirmed = error {
            let mut problem = Self::unavailable("vault_down", "The vault does not answer");
            problem.detail = Some("whether it was done shows when the vault is back: ask again".into());
            return problem;
        }
        if let StoreError::Archive(ArchiveError::Vault(error)) = error {
            tracing::warn!(event = "older_events_unreadable", %error, "older events cannot be read");
            return Self::unavailable("vault_down", "The vault does not answer");
        }
        tracing::error!(event = "working_copy_unreadable", %error, "a working copy cannot be read");
        Self::unavailable("storage", "The session's data cannot be read")
    }

    /// The same, with another text for pages when the session is not connected.
    pub fn saying_of_connection(self, error: &str) -> Self {
        if self.code.0 == "not_connected" { self.saying(error) } else { self }
    }

    /// The same, and what is the matter this time.
    pub fn detailed(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, and what is wrong with the input, field by field.
    pub fn naming(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The names of the fields with something wrong.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(|error| &*error.field)
    }

    /// The mistakes, field by field.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// The same; a field by the name that the request has for it.
    pub fn renaming(mut self, field: &str, name: &'static str) -> Self {
        for error in self.errors.iter_mut().filter(|error| error.field == field) {
            error.field = Cow::Borrowed(name);
        }
        if let Some(message) = self.error.strip_prefix(field).filter(|rest| rest.starts_with(": ")) {
            self.error = format!("{name}{message}").into_boxed_str();
        }
        self
    }

    /// The same, with another text for pages.
    pub fn saying(mut self, error: &str) -> Self {
        self.error = error.into();
        self
    }

    /// The same, with the old service's `success: false`.
    pub fn unsuccessful(mut self) -> Self {
        self.success = Some(false);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // One that stops has begun nothing: another has the tenant in a moment.
        let (retry_after, is_elsewhere) = (self.retry_after_s, ["owned_elsewhere", "draining"].contains(&self.code.0));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if is_elsewhere {
            response.extensions_mut().insert(ServedElsewhere);
        }
        response
    }
}
