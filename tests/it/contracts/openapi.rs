//! The OpenAPI document: it tells of every route, all that there is to tell, and what it tells is so.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::{Value, json};
use sessiond::{
    api,
    demo::{Process, until},
};
use tokio::process::Command;

use crate::{
    contracts::console,
    support::{
        heavy, node, python,
        stage::{Home, LIMIT, Stage},
    },
};

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

#[tokio::test]
async fn the_document_is_openapi_3_1() {
    let Some((_, bin)) = python::environment("openapi") else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = async |document: &Value| {
        let file = folder.path().join("openapi.json");
        std::fs::write(&file, document.to_string()).unwrap();
        let output = Command::new(bin.join("openapi-spec-validator")).args(["--schema", "3.1"]).arg(file).output();
        let output = output.await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut document = api::document();
    assert_eq!(document["openapi"], json!("3.1.0"));
    let (valid, said) = check(&document).await;
    assert!(valid, "{said}");
    // The validator looks.
    document["paths"]["/ping"]["get"]["responses"] = json!({ "200": {} });
    assert!(!check(&document).await.0);
}

/// A paired tenant with a conversation, one that is there to be unlinked, and the machine's own daemon.
struct DocumentScene {
    stage: Stage,
    daemon: Process,
    customer: String,
    /// A message of the conversation.
    message: String,
}

const TENANT: &str = "trattoria";
const SPARE: &str = "pizzeria";

impl DocumentScene {
    async fn new() -> Self {
        // Of schemathesis' requests every fourth has a wrong key: each would be answered two seconds late.
        let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_LIMITS__FAILURES_PER_ADDRESS", "0");
        let daemon = stage.start().await;
        let (conversation, _) = (stage.pair(TENANT).await, stage.pair(SPARE).await);
        let customer = conversation.customers[0].clone();
        stage.network.customer_send(&customer, &conversation.number, "a table?").await.unwrap();
        let body = json!({ "session": TENANT, "chatId": format!("{customer}@c.us"), "text": "Su pedido está listo" });
        let sent = stage.dashboard.post("/api/sendText", body).await.unwrap();
        let message = sent.body["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
        Self { stage, daemon, customer, message }
    }

    /// Runs schemathesis, as it is in `tests/openapi`; what it said.
    async fn schemathesis(&self, bin: &Path, folder: &Path, key: &str, arguments: &[&str]) -> (bool, String) {
        let url = format!("http://{}/openapi.json", self.stage.setup.address);
        let seed = std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".into());
        let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "10".into());
        let output = Command::new(bin.join("schemathesis"))
            .args(["--config-file", "schemathesis.toml", "run", &url, "--no-color", "--seed", &seed])
            .args(["--max-examples", &examples])
            .args(arguments)
            .env("API_KEY", key)
            .env("TENANT", TENANT)
            .env("SPARE_TENANT", SPARE)
            .env("CUSTOMER", &self.customer)
            .env("MESSAGE", &self.message)
            .env("SEED", &seed)
            .current_dir(folder)
            .kill_on_drop(true)
            .output();
        let output = output.await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A run may take so long on a machine that is busy with other tests.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// How many operations a run has tried.
fn tested(said: &str) -> Option<usize> {
    let line = said.lines().find(|line| line.trim_start().starts_with("Tested:"))?;
    line.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

/// The operator, a paired tenant: what is behind the checks is reached, and answers as the document says.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_with_a_paired_tenant() {
    let Some((folder, bin)) = python::environment("openapi") else { return };
    let _turn = heavy::turn().await;
    let scene = DocumentScene::new().await;
    let run = scene.schemathesis(&bin, &folder, &scene.stage.setup.admin_key, &[]);
    let (clean, said) = tokio::time::timeout(RUN_LIMIT, run).await.expect("it ends in time");
    assert!(clean, "{}\n{said}", scene.stage.log());
    // All but the address from which it has the document.
    assert_eq!(tested(&said), Some(api::routes().len() - 1), "{said}");
    // All of it was about a tenant that was there, and still is.
    until(LIMIT, "the tenant", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    assert_eq!(scene.stage.network.stats().await.counts.pairings, 2, "nobody had to scan again");
    assert!(!scene.stage.log().contains("panic"), "{}", scene.stage.log());
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_with_an_unpaired_tenant_and_without_a_key() {
    let Some((folder, bin)) = python::environment("openapi") else { return };
    let _turn = heavy::turn().await;
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_LIMITS__FAILURES_PER_ADDRESS", "0");
    let daemon = stage.start().await;
    let opened = stage.dashboard.post("/api/sessions", json!({ "name": TENANT, "start": false })).await.unwrap();
    assert_eq!(opened.status, 201, "{}", opened.body);
    let scene =
        DocumentScene { stage, daemon, customer: "573009998877".into(), message: "3EB0C767D097B7C7C030".into() };
    let admin_key = scene.stage.setup.admin_key.clone();
    // Side by side: whoever has no key changes nothing for the other.
    let runs = [admin_key.as_str(), "key_of_nobody"].map(|key| {
        let run = scene.schemathesis(&bin, &folder, key, &["--phases", "examples,coverage"]);
        tokio::time::timeout(RUN_LIMIT, run)
    });
    for run in futures::future::join_all(runs).await {
        let (clean, said) = run.expect("it ends in time");
        assert!(clean, "{}\n{said}", scene.stage.log());
    }
    assert!(!scene.stage.log().contains("panic"), "{}", scene.stage.log());
    scene.daemon.kill().await.unwrap();
}

/// What the page shows as an example of a request: one that the schema has, or one of its fields'.
fn example(document: &Value, schema: &Value) -> Option<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return example(document, document.pointer(reference.trim_start_matches('#'))?);
    }
    if let Some(shown) = schema["examples"].as_array().and_then(|shown| shown.first()) {
        return Some(shown.clone());
    }
    if let Some(one) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return example(document, one.first()?);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let properties = schema["properties"].as_object()?.iter();
            let shown =
                properties.filter(|(name, one)| required.contains(&json!(name)) || one.get("examples").is_some());
            Some(shown.filter_map(|(name, one)| Some((name.clone(), example(document, one)?))).collect())
        }
        Some("array") => Some(json!([example(document, &schema["items"])?])),
        _ => None,
    }
}

/// Every example of a body, sent as it stands in the document to a tenant of the examples' name.
#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_taken() {
    let scene = DocumentScene::new().await;
    let document = api::document();
    let mut operations = operations(&document);
    // What ends the session comes last.
    let ends = |path: &str| {
        ["disconnect", "clean-session", "stop", "logout", "restart", "start"].iter().any(|word| path.ends_with(word))
    };
    operations.sort_by_key(|(_, path, _)| ends(path));
    let (mut taken, mut refused) = (0, Vec::new());
    for (method, path, operation) in operations {
        // Of ids that are made here, there is no example that would be somebody's.
        if path.contains("{id}") {
            continue;
        }
        let succeeds = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
        let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema").filter(|_| succeeds)
        else {
            continue;
        };
        let body = example(&document, schema).unwrap_or_else(|| panic!("{method} {path} shows no example"));
        let mut url = path.clone();
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path") {
            let shown = example(&document, &parameter["schema"]);
            let shown = shown.unwrap_or_else(|| panic!("{method} {path}: {parameter} shows no example"));
            url = url.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), shown.as_str().unwrap());
        }
        let answer = reqwest::Client::new()
            .request(method.parse().unwrap(), format!("http://{}{url}", scene.stage.setup.address))
            .header("x-api-key", &scene.stage.setup.admin_key)
            .json(&body)
            .send()
            .await
            .unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        // An example may speak of a message, and none has its id; of somebody who has no account on this network; of a picture,
        // where speech is wanted; of a customer's message, where one's own is wanted; of a phone that is paired already;
        // of a chat in which nothing was said; of a passkey, which is well formed but not asked for.
        let unknown = (status == 404 && ["unknown_message", "not_at_whatsapp"].iter().any(|code| said.contains(code)))
            || (status == 409 && said.contains("nobody_known"));
        let a_picture = ["Voice", "Video", "Sticker", "/voice", "/video"].iter().any(|kind| path.ends_with(kind))
            && said.contains("not image/png");
        let theirs = said.contains("only own messages can be edited") && path.ends_with("{messageId}");
        let paired = path.ends_with("request-code") && status == 409;
        let unheard = path.ends_with("/history") && said.contains("nothing_known");
        let case = format!("{method} {url} {body}: {status} {said}");
        let unasked = path.ends_with("/auth/passkey") && said.contains("no_passkey");
        // Nobody's credentials are in the document.
        let nobodys = path.ends_with("/import") && said.contains("_credentials");
        match status.is_success() || nobodys || unknown || a_picture || paired || theirs || unheard || unasked {
            true => taken += 1,
            false => refused.push(case),
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(taken > 15, "{taken}");
    scene.daemon.kill().await.unwrap();
}

/// In a real browser: all operations, nothing from elsewhere, hostile texts stay texts, by keyboard, on a phone.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_document() {
    let (Some(folder), Some(chromium)) = (node::program("console"), console::chromium()) else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let address = format!("http://{}", stage.setup.address);
    let mut command = Command::new("node");
    command
        .arg("docs.mjs")
        .arg(chromium)
        .arg(&address)
        .args(std::env::var("CONSOLE_PICTURES").ok())
        .current_dir(folder)
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT * 2, command.output()).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let seen: Value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    let webhooks = api::document()["webhooks"].as_object().unwrap().len();
    assert_eq!(seen["operations"], json!(api::routes().len() + webhooks), "{seen}");
    assert_eq!((&seen["troubles"][0], &seen["violations"]), (&Value::Null, &json!([])), "{seen}");
    for request in seen["requests"].as_array().unwrap() {
        assert!(request.as_str().unwrap().starts_with(&address), "{request}");
    }
    assert_eq!((&seen["empty"], &seen["wide"]), (&json!(0), &json!(false)), "{seen}");
    assert_eq!(seen["left"], json!(1), "{seen}");
    assert!(seen["opened"].to_string().contains("/api/sendPollVote"), "{seen}");
    assert_eq!(
        (&seen["hacked"], &seen["shownAsText"], &seen["pictures"]),
        (&Value::Null, &json!(true), &json!(0)),
        "{seen}"
    );
    daemon.kill().await.unwrap();
}
