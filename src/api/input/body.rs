//! JSON bodies: reads one as its type, and names each wrong field.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use super::findings::{note_unknown, wrong_fields};
use crate::api::{
    BODY_LIMIT,
    auth::{Caller, NamedTenant},
    openapi::{Operation, Takes},
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

impl<T: JsonSchema> Takes for Body<T> {
    fn takes(operation: &mut Operation<'_>) {
        operation.takes_json::<T>();
        operation.may_fail(&[400, 413, 415]);
    }
}

/// A form that replaces a document as a whole: it knows of mistakes that its schema does not find.
pub trait WholeForm: DeserializeOwned + JsonSchema {
    /// Every mistake in it. `unread`: fields that could not be read, so that they have their defaults here.
    fn flaws(&self, unread: &BTreeSet<String>) -> Vec<FieldError>;
}

/// A JSON body without unknown fields: such a field is somebody's typing mistake, and what was meant would be lost in silence. Nor is it
/// empty: it replaces everything.
pub struct WholeBody<T>(pub T);

impl<T: WholeForm, S: Send + Sync> FromRequest<S> for WholeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        whole(body(request, state).await?).map(Self)
    }
}

/// Names all mistakes of a body at once where it has unknown fields, or fields of another type. Those of a body without such are for who
/// knows more than the form does.
fn whole<T: WholeForm>(mut body: Value) -> Result<T, Problem> {
    let mut names = Vec::new();
    note_unknown(&body, T::json_schema(&mut SchemaGenerator::default()).as_value(), "", &mut names);
    let unknown = names.first().map(|first| {
        let error = format!("{first}: there is no such field");
        let field =
            |field: &String| FieldError { field: field.clone().into(), message: "there is no such field".to_owned() };
        Problem::invalid(error, names.iter().map(field).collect())
    });
    match (checked::<T>(body.clone()), unknown) {
        (Ok(_), None) if body.as_object().is_some_and(Map::is_empty) => {
            // It would set everything back to its default, and was hardly meant so.
            let message = "expected at least one field: the body replaces everything".to_owned();
            Err(Problem::invalid(message, Vec::new()))
        }
        (Ok(form), None) => Ok(form),
        (Ok(form), Some(unknown)) => Err(unknown.also(form.flaws(&BTreeSet::new()))),
        (Err(mistyped), unknown) => {
            let unread = mistyped.fields().map(|field| field.split(['.', '[']).next().unwrap_or(field).to_owned());
            let unread: BTreeSet<String> = unread.collect();
            if let Some(fields) = body.as_object_mut() {
                fields.retain(|name, _| !unread.contains(name));
            }
            let flaws = T::deserialize(&body).map_or_else(|_| Vec::new(), |form| form.flaws(&unread));
            Err(match unknown {
                Some(unknown) => unknown.also(mistyped.into_errors()).also(flaws),
                None => mistyped.also(flaws),
            })
        }
    }
}

impl<T: JsonSchema> Takes for WholeBody<T> {
    fn takes(operation: &mut Operation<'_>) {
        Body::<T>::takes(operation);
    }
}

/// Reads an object first: serde would take a list for one, its fields in their order.
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
    read(&mut body).map_err(|problem| problem.also(wrong_fields::<T>(&body, &is_refused::<T>)))
}

/// Reads a body that is there already.
pub fn parsed<T: DeserializeOwned>(mut body: Value) -> Result<T, Problem> {
    read(&mut body)
}

/// Reads a body, and leaves it as it was.
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
        let message = in_our_words(message);
        Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
    })
}

/// The message without the names of Rust's types.
fn in_our_words(said: String) -> String {
    if said.starts_with("unknown variant ")
        && let Some((_, known)) = said.rsplit_once(", expected ")
    {
        return format!("expected {}", known.replace('`', ""));
    }
    match said.rsplit_once(", expected ") {
        Some((found, "u8" | "u16" | "u32" | "u64" | "usize")) if found.starts_with("invalid value: integer `") => {
            let is_negative = found.starts_with("invalid value: integer `-");
            let expected = if is_negative { "a whole number, 0 or more" } else { "a smaller number" };
            format!("expected {expected}")
        }
        Some((found, "u8" | "u16" | "u32" | "u64" | "usize")) => format!("{found}, expected a whole number"),
        _ => said,
    }
}

/// Finds the field that serde means: without it serde says something else, or nothing. Serde forgets the places of flattened fields.
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

/// Serde has something against a field that is there. A missing field does not count.
fn is_refused<T: DeserializeOwned>(body: &Value) -> bool {
    T::deserialize(body).is_err_and(|error| !error.to_string().starts_with("missing field "))
}

/// Reads a field that is an object, and no list either.
pub fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(field)?;
    object.map(|object| T::deserialize(Value::Object(object)).map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::bot::SettingsForm;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleList {
        asked: Vec<SampleItem>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleItem {
        name: String,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleParcel {
        to: String,
        weight: Option<u32>,
        content: Vec<SampleContent>,
        wrapping: Option<SampleWrapping>,
        fragile: Option<bool>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleContent {
        name: String,
        pieces: u32,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum SampleWrapping {
        Paper,
        Foil,
    }

    #[test]
    fn each_wrong_field_of_a_body_is_named() {
        let named = |body: Value| {
            let problem = serde_json::to_value(checked::<SampleParcel>(body).err().unwrap()).unwrap();
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
        assert!(checked::<SampleParcel>(right).is_ok());
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleEnvelope {
        #[serde(alias = "recipient")]
        to: String,
        #[serde(deserialize_with = "number_or_text")]
        weight: u64,
        stamps: Vec<SampleStamp>,
        priority: bool,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleStamp {
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
            let problem = serde_json::to_value(checked::<SampleEnvelope>(body).err().unwrap()).unwrap();
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

    #[test]
    fn the_mistakes_of_settings_come_all_at_once() {
        let wrong = json!({
            "nmae": "Trattoria", "active": "yes", "deliveryCost": { "cost": -1 }, "deliveryTime": { "min": 40, "max": 30 },
            "takeoverMinutes": 0, "gatherMs": 40_000, "backWord": " ",
            // The second is wrong only because the first cannot be read.
            "paymentMethods": "nequi", "prepayMethods": ["nequi"],
        });
        let problem = serde_json::to_value(whole::<SettingsForm>(wrong).err().unwrap()).unwrap();
        assert_eq!(problem["error"], "nmae: there is no such field");
        let mut fields: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        fields.sort_unstable();
        let expected = [
            "active",
            "backWord",
            "deliveryCost.cost",
            "deliveryTime",
            "gatherMs",
            "nmae",
            "paymentMethods",
            "takeoverMinutes",
        ];
        assert_eq!(fields, expected, "{problem}");
        let negative = whole::<SettingsForm>(json!({ "deliveryCost": { "cost": -1 } }));
        let problem = serde_json::to_value(negative.err().unwrap()).unwrap();
        assert_eq!(problem["error"], "deliveryCost.cost: expected a whole number, 0 or more");
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleAddress {
        to: Option<String>,
        ttl: Option<u64>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "they are only read")]
    struct SampleLetter {
        #[serde(flatten)]
        addressed: SampleAddress,
        text: Option<String>,
    }

    #[test]
    fn what_is_wrong_in_a_body_is_said_of_its_field() {
        fn said<T: DeserializeOwned>(body: Value) -> Value {
            serde_json::to_value(parsed::<T>(body).err().unwrap()).unwrap()
        }
        const NO_TEXT: &str = "invalid type: integer `5`, expected a string";
        const NO_NUMBER: &str = "invalid type: string \"1\", expected a whole number";
        for (problem, field, message) in [
            (said::<SampleList>(json!({})), "asked", "is required"),
            (said::<SampleList>(json!({ "asked": [{}] })), "asked[0].name", "is required"),
            (said::<SampleList>(json!({ "asked": [{ "name": 5 }] })), "asked[0].name", NO_TEXT),
            (said::<SampleLetter>(json!({ "text": "x", "to": 5, "ttl": 1 })), "to", NO_TEXT),
            (said::<SampleLetter>(json!({ "to": "x", "ttl": "1" })), "ttl", NO_NUMBER),
        ] {
            assert_eq!(problem["errors"][0]["field"], field, "{problem}");
            assert_eq!(problem["errors"][0]["message"], message, "{problem}");
            assert_eq!(problem["error"], json!(format!("{field}: {message}")));
        }
        let known = in_our_words("unknown variant `Foil`, expected `paper` or `foil`".to_owned());
        assert_eq!(known, "expected paper or foil");
        let problem = said::<SampleList>(json!(5));
        assert!(problem["errors"].as_array().is_none_or(Vec::is_empty), "{problem}");
    }
}
