//! What requests bring: bodies, queries, paths and headers of ours. What is wrong with one is a [`Problem`], as everywhere.

use std::error::Error;

use axum::{
    Json,
    extract::{self, FromRequest, FromRequestParts, Request, path::ErrorKind, rejection::PathRejection},
    http::{StatusCode, header, request::Parts},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeOwned, Error as _, value::Error as ValueError},
};
use serde_json::{Map, Value, json};

use super::{
    BODY_LIMIT,
    auth::{Caller, NamedTenant},
    openapi::{Operation, ParameterIn, Takes},
    problem::{FieldError, Problem},
};

/// A JSON body: an object. If it is not as its schema says, each wrong field is named.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + JsonSchema, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        checked(body(request, state).await?).map(Self)
    }
}

/// The same, without a field that nobody knows: it is somebody's typing mistake, and what was meant would be lost in silence.
pub struct WholeBody<T>(pub T);

impl<T: DeserializeOwned + JsonSchema, S: Send + Sync> FromRequest<S> for WholeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = body(request, state).await?;
        let mut unknown = Vec::new();
        note_unknown(&body, T::json_schema(&mut SchemaGenerator::default()).as_value(), "", &mut unknown);
        if let Some(first) = unknown.first() {
            let error = format!("{first}: there is no such field");
            let field = |field: String| FieldError { field: field.into(), message: "there is no such field".into() };
            return Err(Problem::invalid(error, unknown.into_iter().map(field).collect()));
        }
        checked(body).map(Self)
    }
}

impl<T: JsonSchema> Takes for WholeBody<T> {
    fn takes(operation: &mut Operation<'_>) {
        Body::<T>::takes(operation);
    }
}

/// First as an object: serde would take a list for one, its fields in their order.
async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Value, Problem> {
    let named = NamedTenant::of(request.extensions());
    let caller = named.as_ref().and_then(|_| request.extensions().get::<Caller>().cloned());
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let read = Json::<Map<String, Value>>::from_request(request, state).await;
    if let (Some(named), Ok(Json(body))) = (named, &read) {
        named.note_session_of(body, caller.as_ref());
    }
    read.map(|Json(object)| Value::Object(object)).map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_LIMIT as u64, "a body"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if kind.is_some() => Problem::not_json(kind.as_deref().unwrap_or_default()),
        _ => Problem::invalid(error.body_text(), Vec::new()),
    })
}

/// Serde stops at the first field that it cannot read, so the schema names the others, where serde does not take them all the same.
fn checked<T: DeserializeOwned + JsonSchema>(mut body: Value) -> Result<T, Problem> {
    read(&mut body).map_err(|problem| {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>();
        let mut findings =
            Findings { root: schema.as_value(), is_refused: &is_refused::<T>, looks: 0, wrong: Vec::new() };
        findings.note(&body, schema.as_value(), "", &|lone| lone);
        problem.also(findings.wrong)
    })
}

pub fn parsed<T: DeserializeOwned>(mut body: Value) -> Result<T, Problem> {
    read(&mut body)
}

/// The body is afterwards as it was.
fn read<T: DeserializeOwned>(body: &mut Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(&*body).map_err(|error| {
        let (place, said) = (error.path().to_string(), error.inner().to_string());
        // A field that is not there has its name in the message alone, and what holds it is the place.
        let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let (field, message) = match (place.as_str(), missing) {
            (".", Some(name)) => (name.to_owned(), "is required".to_owned()),
            (place, Some(name)) => (format!("{place}.{name}"), "is required".to_owned()),
            (".", None) => match wrong_field::<T>(body, &said) {
                Some(field) => (field, said),
                None => return Problem::invalid(said, Vec::new()),
            },
            (_, None) => (place, said),
        };
        Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
    })
}

/// The field for which that is said: without it something else is, or nothing. Serde forgets the places of flattened fields.
fn wrong_field<T: DeserializeOwned>(body: &mut Value, said: &str) -> Option<String> {
    // A body with more has been read often enough.
    const MOST: usize = 32;
    let names: Vec<String> = body.as_object().filter(|fields| fields.len() <= MOST)?.keys().cloned().collect();
    names.into_iter().find(|name| {
        let value = body[name.as_str()].take();
        let is_it = T::deserialize(&*body).err().is_none_or(|error| error.to_string() != said);
        body[name.as_str()] = value;
        is_it
    })
}

/// A problem names no more fields.
const MOST_NAMED: usize = 20;

/// So many values that the schema does not allow are tried.
const MOST_LOOKS: usize = 64;

/// A schema that allows everything.
static ANYTHING: Value = Value::Null;

/// Whether serde has something against one of the fields that are there. One that is not there says nothing.
fn is_refused<T: DeserializeOwned>(body: &Value) -> bool {
    T::deserialize(body).is_err_and(|error| !error.to_string().starts_with("missing field "))
}

/// The fields that are missing, or not of the type or among the words of the schema. What a schema says by alternatives is not looked at.
struct Findings<'s> {
    root: &'s Value,
    /// Of a body with one value alone. A field may take more than its schema says.
    is_refused: &'s dyn Fn(&Value) -> bool,
    looks: usize,
    wrong: Vec<FieldError>,
}

impl<'s> Findings<'s> {
    /// `lone`: the body that has nothing but this value.
    fn note(&mut self, value: &Value, schema: &'s Value, path: &str, lone: &dyn Fn(Value) -> Value) {
        if self.wrong.len() >= MOST_NAMED || self.looks >= MOST_LOOKS {
            return;
        }
        let schema = pointed(one_alternative(pointed(schema, self.root), value), self.root);
        if let Some(message) = mismatch(value, schema).filter(|_| !path.is_empty()) {
            self.looks += 1;
            if (self.is_refused)(&lone(value.clone())) {
                self.wrong.push(FieldError { field: path.to_owned().into(), message });
            }
            return;
        }
        match value {
            Value::Object(fields) => self.note_fields(fields, schema, path, lone),
            Value::Array(values) => {
                for (at, value) in values.iter().enumerate() {
                    let alone = |value| lone(Value::Array(vec![value]));
                    self.note(value, &schema["items"], &format!("{path}[{at}]"), &alone);
                }
            }
            _ => {}
        }
    }

    fn note_fields(
        &mut self,
        fields: &Map<String, Value>,
        schema: &'s Value,
        path: &str,
        lone: &dyn Fn(Value) -> Value,
    ) {
        let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        // A field that the schema does not know may be one that it does, by another name.
        let known = schema["properties"].as_object();
        if fields.keys().all(|name| known.is_some_and(|known| known.contains_key(name))) {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) && self.wrong.len() < MOST_NAMED {
                    self.wrong.push(FieldError { field: within(name).into(), message: "is required".into() });
                }
            }
        }
        for (name, value) in fields {
            let schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            let alone = |value| lone(Value::Object(Map::from_iter([(name.clone(), value)])));
            self.note(value, schema, &within(name), &alone);
        }
    }
}

/// The schema that a reference points to.
fn pointed<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let pointer = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#'));
    pointer.map_or(schema, |at| root.pointer(at).unwrap_or(&ANYTHING))
}

/// Something or nothing: the schema of something.
fn one_alternative<'s>(schema: &'s Value, value: &Value) -> &'s Value {
    let Some(alternatives) = schema["anyOf"].as_array().filter(|_| schema["properties"].is_null()) else {
        return schema;
    };
    let mut something = alternatives.iter().filter(|alternative| alternative["type"] != "null");
    match (something.next(), something.next()) {
        (Some(only), None) if !value.is_null() => only,
        _ => &ANYTHING,
    }
}

fn mismatch(value: &Value, schema: &Value) -> Option<String> {
    let is_of = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind)) {
        let named: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").map(type_name).collect();
        return Some(format!("expected {}", named.join(" or ")));
    }
    let known = schema["enum"].as_array().filter(|known| !known.contains(value))?;
    let words: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    Some(format!("expected {}", words.join(", ")))
}

fn type_name(kind: &str) -> &'static str {
    match kind {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "an object",
    }
}

/// Names the fields that the schema, which stands in one piece, does not have.
fn note_unknown(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let (known, others) = (schema["properties"].as_object(), &schema["additionalProperties"]);
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.and_then(|known| known.get(name)) {
                    Some(schema) => note_unknown(value, schema, &path, unknown),
                    None if others.is_object() => note_unknown(value, others, &path, unknown),
                    None if known.is_some() && unknown.len() < MOST_NAMED => unknown.push(path),
                    None => {}
                }
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                note_unknown(value, &schema["items"], &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Reads a field that is an object, and no list either.
pub fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(field)?;
    object.map(|object| T::deserialize(Value::Object(object)).map_err(D::Error::custom)).transpose()
}

impl<T: JsonSchema> Takes for Body<T> {
    fn takes(operation: &mut Operation<'_>) {
        operation.takes_json::<T>();
        operation.may_fail(&[400, 413, 415]);
    }
}

/// The first field of an urlencoded text that is no UTF-8, as half a surrogate pair is none. The parser would put other characters there,
/// where JSON is refused.
pub fn garbled_field(encoded: &[u8]) -> Option<String> {
    encoded.split(|byte| *byte == b'&').find_map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let (name, value) = (percent_decoded(name), percent_decoded(value));
        let is_garbled = std::str::from_utf8(&name).is_err() || std::str::from_utf8(&value).is_err();
        is_garbled.then(|| String::from_utf8_lossy(&name).into_owned())
    })
}

fn percent_decoded(encoded: &[u8]) -> Vec<u8> {
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(encoded.len()), 0);
    while at < encoded.len() {
        match (encoded[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

pub fn no_utf8(field: String) -> Problem {
    let message = "expected UTF-8".to_owned();
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
}

/// What stands behind the question mark.
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

/// What serde and Rust's parsers say of a text of a query or a path, in our words.
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

/// What a path names, but for the tenant: that is [`super::auth::For`].
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
        order: Option<Order>,
        name: String,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Asc,
        Desc,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct Held {
        asked: Vec<SampleQuery>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct Parcel {
        to: String,
        weight: Option<u32>,
        content: Vec<Content>,
        wrapping: Option<Wrapping>,
        fragile: Option<bool>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct Content {
        name: String,
        pieces: u32,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Wrapping {
        Paper,
        Foil,
    }

    #[test]
    fn each_wrong_field_of_a_body_is_named() {
        let named = |body: Value| {
            let problem = serde_json::to_value(checked::<Parcel>(body).err().unwrap()).unwrap();
            let errors = problem["errors"].as_array().unwrap().iter();
            errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let wrong = json!({
            "to": 5, "weight": "heavy", "wrapping": "cloth", "fragile": "very",
            "content": [{ "name": "cup", "pieces": 1 }, { "name": 1 }, "plate"],
        });
        let mut found = named(wrong);
        found.sort();
        let expected = ["content[1].name", "content[1].pieces", "content[2]", "fragile", "to", "weight", "wrapping"];
        assert_eq!(found, expected);
        assert_eq!(named(json!({ "to": 5 })), ["to", "content"]);
        let right = json!({ "to": "Ana", "weight": null, "content": [], "wrapping": "foil" });
        assert!(checked::<Parcel>(right).is_ok());
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct Envelope {
        #[serde(alias = "recipient")]
        to: String,
        #[serde(deserialize_with = "number_or_text")]
        weight: u64,
        stamps: Vec<Stamp>,
        priority: bool,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct Stamp {
        #[serde(alias = "cents")]
        price: u32,
        picture: String,
    }

    fn number_or_text<'de, D: Deserializer<'de>>(field: D) -> Result<u64, D::Error> {
        let value = Value::deserialize(field)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.ok_or_else(|| D::Error::custom("expected a number"))
    }

    #[test]
    fn what_serde_takes_is_not_called_wrong() {
        let named = |body: Value| {
            let problem = serde_json::to_value(checked::<Envelope>(body).err().unwrap()).unwrap();
            let errors = problem["errors"].as_array().unwrap().iter();
            let mut fields: Vec<_> = errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect();
            fields.sort();
            fields
        };
        // By another name, and in another form than the schema says.
        let one_mistake = json!({
            "recipient": "Ana", "weight": "12", "stamps": [{ "cents": 5, "picture": "tree" }], "priority": "very",
        });
        assert_eq!(named(one_mistake), ["priority"]);
        let in_a_list = json!({
            "recipient": "Ana", "weight": "12", "stamps": [{ "cents": 5, "picture": 6 }], "priority": true,
        });
        assert_eq!(named(in_a_list), ["stamps[0].picture"]);
        let more = json!({ "to": 5, "weight": "heavy", "stamps": [{ "price": "x" }], "priority": 1 });
        assert_eq!(named(more), ["priority", "stamps[0].picture", "stamps[0].price", "to", "weight"]);
        // Serde's own word is enough where a name is not known.
        assert_eq!(named(json!({ "weight": 12, "stamps": [], "hue": "red" })), ["to"]);
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct Addressed {
        to: Option<String>,
        ttl: Option<u64>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct Letter {
        #[serde(flatten)]
        addressed: Addressed,
        text: Option<String>,
    }

    #[test]
    fn what_is_no_utf8_in_a_form_is_said_of_its_field() {
        for (encoded, expected) in [
            ("", None),
            ("text=caf%C3%A9+%26%20pan&to=1", None),
            ("text=100%&to=%zz%2", None),
            ("to=1&text=%ED%A0%BD", Some("text")),
            ("to=1&text=a%FFb&x=%FF", Some("text")),
            ("%FF=1", Some("\u{fffd}")),
        ] {
            assert_eq!(garbled_field(encoded.as_bytes()).as_deref(), expected, "{encoded}");
        }
        assert_eq!(garbled_field(b"text=caf\xe9").as_deref(), Some("text"), "Latin-1");
    }

    #[test]
    fn what_is_wrong_in_a_body_is_said_of_its_field() {
        fn said<T: DeserializeOwned>(body: Value) -> Value {
            serde_json::to_value(parsed::<T>(body).err().unwrap()).unwrap()
        }
        const NO_TEXT: &str = "invalid type: integer `5`, expected a string";
        for (problem, field, message) in [
            (said::<Held>(json!({})), "asked", "is required"),
            (said::<Held>(json!({ "asked": [{}] })), "asked[0].name", "is required"),
            (said::<Held>(json!({ "asked": [{ "name": 5 }] })), "asked[0].name", NO_TEXT),
            (said::<Letter>(json!({ "text": "x", "to": 5, "ttl": 1 })), "to", NO_TEXT),
            (said::<Letter>(json!({ "to": "x", "ttl": "1" })), "ttl", "invalid type: string \"1\", expected u64"),
        ] {
            assert_eq!(problem["errors"][0]["field"], field, "{problem}");
            assert_eq!(problem["errors"][0]["message"], message, "{problem}");
            assert_eq!(problem["error"], json!(format!("{field}: {message}")));
        }
        let problem = said::<Held>(json!(5));
        assert!(problem["errors"].as_array().is_none_or(Vec::is_empty), "{problem}");
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
