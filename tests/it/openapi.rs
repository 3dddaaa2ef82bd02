//! The OpenAPI document: it tells of every route, all that there is to tell, and what it tells is so.

use std::collections::BTreeSet;

use serde_json::Value;
use sessiond::api;

/// Every operation: method, path, itself.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |of| (path, of)));
    methods.map(|(path, (method, operation))| (method.to_uppercase(), path.clone(), operation)).collect()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = api::document();
    let told: BTreeSet<_> = operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let there = api::routes().into_iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    assert_eq!(told, there);
}

#[test]
fn every_operation_has_its_own_id_and_all_of_its_path() {
    let document = api::document();
    let operations = operations(&document);
    let ids: BTreeSet<_> =
        operations.iter().map(|(.., operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    for (method, path, operation) in &operations {
        let named: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let told: Vec<_> =
            parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(told.len(), named.len(), "{method} {path}: {told:?}");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), named, "{method} {path}");
    }
}

/// A type that says nothing of itself, like JSON of any form, would pass for documented.
#[test]
fn every_body_and_answer_has_a_form() {
    let document = api::document();
    let mut formless = Vec::new();
    for (method, path, operation) in operations(&document) {
        let answers = operation["responses"].as_object().unwrap().values();
        for body in answers.chain(operation.get("requestBody")) {
            for media in body["content"].as_object().into_iter().flat_map(|content| content.values()) {
                let schema = &media["schema"];
                let item = schema.get("items").unwrap_or(schema);
                let says = ["$ref", "type", "anyOf", "oneOf"].iter().any(|word| item.get(word).is_some());
                if !says {
                    formless.push(format!("{method} {path}"));
                }
            }
        }
    }
    assert!(formless.is_empty(), "derive JsonSchema for a type of its own instead of JSON of any form: {formless:#?}");
}

#[test]
fn no_two_types_have_one_name() {
    let document = api::document();
    let names = document["components"]["schemas"].as_object().unwrap().keys();
    // Where two have the same, the generator counts.
    let counted: Vec<_> = names.filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
    assert!(counted.is_empty(), "{counted:?}: give one another with #[schemars(rename = …)]");
}
