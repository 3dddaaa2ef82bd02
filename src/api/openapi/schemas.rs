//! JSON Schemas of the API's types. What is taken and what is given differ (a field with a default may be left out of the one and is
//! always in the other), so each has a generator; the document has one list of both.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::ParameterIn;

pub struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
    /// Parameters name no components.
    inline: SchemaGenerator,
}

impl Schemas {
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.clone().for_serialize().into_generator(),
            inline: settings.with(|settings| settings.inline_subschemas = true).for_deserialize().into_generator(),
        }
    }

    pub fn request<T: JsonSchema>(&mut self) -> Schema {
        self.requests.subschema_for::<T>()
    }

    pub fn answer<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    /// The fields of an object, each as a parameter.
    pub fn parameters<T: JsonSchema>(&mut self, place: ParameterIn) -> Vec<Value> {
        let object = self.inline.subschema_for::<T>().to_value();
        let required = object["required"].as_array().cloned().unwrap_or_default();
        let fields = object["properties"].as_object().cloned().unwrap_or_default();
        let parameter = |(name, mut schema): (String, Value)| {
            let required = matches!(place, ParameterIn::Path) || required.contains(&json!(name));
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let place = match place {
                ParameterIn::Path => "path",
                ParameterIn::Query => "query",
            };
            let mut parameter = json!({ "name": name, "in": place, "required": required, "schema": present(schema) });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameter
        };
        fields.into_iter().map(parameter).collect()
    }

    /// Everything that was referred to. Two types of one name are a mistake: see the tests.
    pub fn components(mut self) -> Map<String, Value> {
        let mut components = self.requests.take_definitions(true);
        for (name, schema) in self.answers.take_definitions(true) {
            let before = components.insert(name.clone(), schema.clone());
            debug_assert!(
                before.is_none_or(|before| before == schema),
                "{name} is taken and given in different forms: give one another name, or make it #[schemars(inline)]"
            );
        }
        components
    }
}

/// A parameter that is there cannot be null: of an optional field what it is when it is there. So null is no default of it either.
fn present(mut schema: Value) -> Value {
    if schema.get("default").is_some_and(Value::is_null)
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = types.as_slice() {
            schema["type"] = kind.clone();
        }
    }
    schema
}
