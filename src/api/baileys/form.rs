//! Bodies of the old contract: JSON, or a form, as the old service took both.

use axum::{
    body::Bytes,
    extract::{Form, FromRequest, Request},
    http::{StatusCode, header},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    api::{
        BODY_LIMIT,
        auth::{Caller, Names},
        input::{Body, garbled_field, no_utf8, parsed},
        openapi::{Operation, Takes},
        problem::{FieldError, Problem},
    },
    tenant::InvalidTenantId,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// A JSON body; or, of a caller with a key or a token, a form. Browsers send forms for any page on the web without asking us first: where
/// `auth.legacy_open` opens the routes, such a page could write to a tenant's customers.
pub struct JsonOrForm<T>(pub T);

impl<T: DeserializeOwned + JsonSchema, S: Send + Sync> FromRequest<S> for JsonOrForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM));
        let is_known = request.extensions().get::<Caller>().is_some_and(|caller| *caller != Caller::Anyone);
        if !is_form || !is_known {
            return Body::from_request(request, state).await.map(|Body(body)| Self(body));
        }
        let (head, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), state).await;
        let bytes = bytes.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_LIMIT as u64, "a body"),
            _ => Problem::invalid(error.body_text(), Vec::new()),
        })?;
        if let Some(field) = garbled_field(&bytes) {
            return Err(no_utf8(field));
        }
        let read = Form::<Vec<(String, String)>>::from_request(Request::from_parts(head, bytes.into()), state).await;
        let Form(fields) = read.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_LIMIT as u64, "a body"),
            _ => Problem::invalid(error.body_text(), Vec::new()),
        })?;
        let schema = T::json_schema(&mut SchemaGenerator::default());
        let mut body = Map::new();
        for (name, text) in fields {
            let value = value(text, &schema.as_value()["properties"][&name]["type"]);
            if body.insert(name.clone(), value).is_some() {
                let message = "expected it once".to_owned();
                let error = format!("{name}: {message}");
                return Err(Problem::invalid(error, vec![FieldError { field: name.into(), message }]));
            }
        }
        parsed(Value::Object(body)).map(Self)
    }
}

/// A form has texts alone: the schema says which are numbers or yes and no. A text that is not of its type stays one, and is refused as
/// such.
fn value(text: String, kinds: &Value) -> Value {
    let is = |kind: &str| kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind));
    match text.parse() {
        Ok(truth) if is("boolean") => Value::Bool(truth),
        _ => match text.parse() {
            Ok(number) if is("integer") || is("number") => Value::Number(number),
            _ => Value::String(text),
        },
    }
}

/// The document leaves the form out: new programs are to send JSON.
impl<T: JsonSchema> Takes for JsonOrForm<T> {
    fn takes(operation: &mut Operation<'_>) {
        Body::<T>::takes(operation);
    }
}

impl<T: Names> Names for JsonOrForm<T> {
    fn tenant(&self) -> Option<&str> {
        self.0.tenant()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        self.0.misnamed(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_has_its_type() {
        let (truth, number, text) = (json!(["boolean", "null"]), json!(["integer", "null"]), json!("string"));
        for (given, kinds, expected) in [
            ("true", &truth, json!(true)),
            ("yes", &truth, json!("yes")),
            ("60", &number, json!(60)),
            ("soon", &number, json!("soon")),
            ("true", &text, json!("true")),
            ("60", &text, json!("60")),
            ("60", &Value::Null, json!("60")),
        ] {
            assert_eq!(value(given.to_owned(), kinds), expected, "{given} {kinds}");
        }
    }
}
