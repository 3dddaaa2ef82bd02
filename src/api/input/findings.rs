//! The mistakes of a body, as its schema finds them: fields that are missing, unknown or of another type. Pure.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::api::problem::FieldError;

/// A problem names no more fields.
const MOST_NAMED: usize = 20;

/// So many values that the schema does not allow are tried.
const MOST_LOOKS: usize = 64;

/// A schema that allows everything.
static ANYTHING: Value = Value::Null;

/// Names the fields of a body that its schema does not allow. `is_refused`: asks serde about a body with one value alone.
pub(super) fn wrong_fields<T: JsonSchema>(body: &Value, is_refused: &dyn Fn(&Value) -> bool) -> Vec<FieldError> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let mut findings = BodyFindings { root: schema.as_value(), is_refused, looks: 0, wrong: Vec::new() };
    findings.note(body, schema.as_value(), "", &|lone| lone);
    findings.wrong
}

/// The fields that are missing, or not of the type or among the words of the schema. What a schema says by alternatives is not looked at.
struct BodyFindings<'s> {
    root: &'s Value,
    /// Asks serde about a body with one value alone: a field may take more than its schema says.
    is_refused: &'s dyn Fn(&Value) -> bool,
    looks: usize,
    wrong: Vec<FieldError>,
}

impl<'s> BodyFindings<'s> {
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
    if let Some(number) = value.as_f64() {
        let (least, most) = (&schema["minimum"], &schema["maximum"]);
        if least.as_f64().is_some_and(|least| number < least) || most.as_f64().is_some_and(|most| number > most) {
            return Some(match (least.is_number(), most.is_number()) {
                (true, true) => format!("expected {least} to {most}"),
                (true, false) => format!("expected {least} or more"),
                _ => format!("expected {most} at the most"),
            });
        }
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
pub(super) fn note_unknown(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
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
