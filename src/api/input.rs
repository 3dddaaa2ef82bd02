//! The input of requests: bodies, queries, paths and headers of ours. A mistake in one is a [`Problem`], as everywhere.

mod body;
mod findings;
mod urlencoded;

use std::error::Error;

use axum::{
    extract::{self, FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::request::Parts,
};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, value::Error as ValueError};
use serde_json::json;

pub use self::{
    body::{Body, WholeBody, WholeForm, object, parsed},
    urlencoded::{garbled_field, no_utf8},
};
use super::{
    openapi::{Operation, ParameterIn, Takes},
    problem::{FieldError, Problem},
};

/// The part of a URL behind the question mark.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(field) = parts.uri.query().and_then(|query| garbled_field(query.as_bytes())) {
            return Err(no_utf8(field));
        }
        let read = extract::Query::from_request_parts(parts, state).await;
        read.map(|extract::Query(query)| Self(query)).map_err(|error| {
            // The rejection, what axum makes of an error, and the error.
            let cause = error.source().and_then(|cause| cause.source());
            match cause.and_then(|cause| cause.downcast_ref::<serde_path_to_error::Error<ValueError>>()) {
                Some(cause) => refused(&cause.path().to_string(), &cause.inner().to_string()),
                None => Problem::invalid(error.body_text(), Vec::new()),
            }
        })
    }
}

const WHOLE_NUMBER: &str = "expected a whole number";

/// Says in our words what serde and Rust's parsers have against a text of a query or a path.
fn refused(field: &str, said: &str) -> Problem {
    let named = said.split('`').nth(1).unwrap_or_default();
    let message = match said {
        "invalid digit found in string" | "cannot parse integer from empty string" => WHOLE_NUMBER.to_owned(),
        "number too large to fit in target type" => "expected a smaller number".to_owned(),
        "number too small to fit in target type" => "expected a larger number".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "expected a number".to_owned(),
        "provided string was not `true` or `false`" => "expected true or false".to_owned(),
        _ if said.starts_with("missing field ") => "is required".to_owned(),
        _ if said.starts_with("duplicate field ") => "expected it once".to_owned(),
        _ if said.starts_with("unknown variant ") => said
            .rsplit_once(", expected ")
            .map_or_else(|| said.to_owned(), |(_, known)| format!("expected {}", known.replace('`', ""))),
        _ => said.to_owned(),
    };
    // Of a field that is not there, or twice, its place is not known.
    let is_placed = !matches!(field, "" | "." | "?");
    let field = if is_placed { field } else { named };
    if field.is_empty() {
        return Problem::invalid(message, Vec::new());
    }
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.to_owned().into(), message }])
}

impl<T: JsonSchema> Takes for Query<T> {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameters::<T>(ParameterIn::Query);
        operation.may_fail(&[400]);
    }
}

/// The names in a path, but for the tenant: that is [`super::auth::For`].
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = extract::Path::from_request_parts(parts, state).await;
        read.map(|extract::Path(named)| Self(named)).map_err(|error| match &error {
            PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
                ErrorKind::DeserializeError { key, message, .. } => refused(key, message),
                ErrorKind::InvalidUtf8InPathParam { key } => refused(key, "expected UTF-8"),
                ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
                    let is_whole = expected_type.starts_with(['i', 'u']);
                    refused(key, if is_whole { WHOLE_NUMBER } else { "expected another form" })
                }
                _ => Problem::invalid(error.body_text(), Vec::new()),
            },
            _ => Problem::invalid(error.body_text(), Vec::new()),
        })
    }
}

impl<T: JsonSchema> Takes for Path<T> {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameters::<T>(ParameterIn::Path);
        operation.may_fail(&[400]);
    }
}

/// `Idempotency-Key`: with one, the same request may be repeated until it is answered, and is done once.
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (1..=200).contains(&key.len()));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            let message = "expected 1 to 200 visible characters".to_owned();
            Problem::invalid(message.clone(), vec![FieldError { field: "Idempotency-Key".into(), message }])
        })
    }
}

impl Takes for IdempotencyKey {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameter(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Your name for this request: repeated under it, it is done once. Kept for 24 hours.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$" },
        }));
        operation.may_fail(&[400, 422]);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleQuery {
        limit: Option<usize>,
        since: Option<i64>,
        open: Option<bool>,
        order: Option<SampleOrder>,
        name: String,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum SampleOrder {
        Asc,
        Desc,
    }

    #[tokio::test]
    async fn what_is_wrong_in_a_query_is_said_of_its_field_in_our_words() {
        for (query, field, message) in [
            ("name=a&limit=x", "limit", WHOLE_NUMBER),
            ("name=a&limit=", "limit", WHOLE_NUMBER),
            ("name=a&limit=-1", "limit", WHOLE_NUMBER),
            ("name=a&since=99999999999999999999", "since", "expected a smaller number"),
            ("name=a&open=maybe", "open", "expected true or false"),
            ("name=a&order=up", "order", "expected asc or desc"),
            ("limit=1", "name", "is required"),
            ("name=a&name=b", "name", "expected it once"),
        ] {
            let request = Request::get(format!("/?{query}")).body(()).unwrap();
            let read = Query::<SampleQuery>::from_request_parts(&mut request.into_parts().0, &()).await;
            let problem = serde_json::to_value(read.err().unwrap()).unwrap();
            assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
            assert_eq!(problem["errors"][0]["message"], message, "{query}: {problem}");
        }
    }
}
