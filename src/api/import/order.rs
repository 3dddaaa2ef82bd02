//! The wishes of an import beside its source, whichever way they are written.

use axum::body::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::margin;
use crate::{
    api::problem::{FieldError, Problem},
    import::{CounterMargin, SourceFormat},
};

#[derive(Debug)]
pub struct ImportOrder {
    pub from: SourceFormat,
    /// The tenant of the source.
    pub name: Option<String>,
    /// Evolution's folder of instances within what came.
    pub keys: Option<String>,
    pub stopped: bool,
    pub connect: bool,
    pub dry_run: bool,
    pub margin: Option<CounterMargin>,
    /// Digits.
    pub expected_number: Option<String>,
}

/// The same as JSON, with the source in it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportRequest", extend("required" = ["from", "document"]))]
pub struct ImportJson<'a> {
    /// The gateway that the document is of. Folders and databases (`waha`, `whatsmeow`) come as a form.
    #[schemars(required, with = "String", extend("enum" = ["baileys", "evolution", "rtdb", "firestore"]), example = &"baileys")]
    from: Option<SourceFormat>,
    /// The document: credentials, with keys or without; rows of a table; an export. As JSON, or as a text of JSON or base64.
    #[serde(borrow)]
    #[schemars(required, with = "serde_json::Value", example = serde_json::json!({ "creds": {} }))]
    document: Option<&'a RawValue>,
    /// The tenant of the document, if it has several: its name there.
    name: Option<String>,
    /// The copy was made after the old service was stopped for good. Only then Signal sessions are kept.
    stopped: Option<bool>,
    /// Connect at once. Without it the tenant stays away until it is started.
    connect: Option<bool>,
    /// Say what would be imported, and write nothing.
    dry_run: Option<bool>,
    /// Counters to skip in each session that is kept; 200 without it.
    #[schemars(range(max = 1936))]
    margin: Option<u64>,
    /// The number that the copy must be of, with its country code. Of a source with several tenants it says which one is meant.
    #[schemars(example = "573009998877")]
    expected_number: Option<String>,
}

impl<'a> ImportJson<'a> {
    pub fn parse(body: &'a Bytes) -> Result<(ImportOrder, &'a RawValue), Problem> {
        // serde would take a list for an object, its fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::invalid("the body: expected an object", Vec::new()));
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let parsed: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let (field, message) = (error.path().to_string(), without_values(error.inner()));
            Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
        })?;
        json.end().map_err(|error| Problem::invalid(format!("the body: {}", without_values(&error)), Vec::new()))?;
        let mut form = OrderForm {
            from: parsed.from.map(Ok),
            name: parsed.name,
            stopped: parsed.stopped.unwrap_or(false),
            connect: parsed.connect.unwrap_or(false),
            dry_run: parsed.dry_run.unwrap_or(false),
            margin: parsed.margin.map(|margin| margin.to_string()),
            expected_number: parsed.expected_number,
            ..OrderForm::default()
        };
        let document = parsed.document.filter(|document| document.get() != "null");
        match (document, parsed.from) {
            (None, _) => form.flaw("document", "is required"),
            (_, Some(SourceFormat::Waha | SourceFormat::Whatsmeow)) => {
                form.flaw("document", "a folder or a database comes as multipart/form-data");
            }
            _ => {}
        }
        let order = form.finish()?;
        document.map(|document| (order, document)).ok_or_else(|| Problem::invalid("document: is required", Vec::new()))
    }
}

/// The parser quotes what it did not expect, and that may be a key.
fn without_values(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "is not what is expected",
        _ => "is no well-formed JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// The fields as they come, with what is wrong with them.
#[derive(Default)]
pub struct OrderForm {
    from: Option<Result<SourceFormat, ()>>,
    name: Option<String>,
    keys: Option<String>,
    stopped: bool,
    connect: bool,
    dry_run: bool,
    margin: Option<String>,
    expected_number: Option<String>,
    flaws: Vec<FieldError>,
}

impl OrderForm {
    /// The names of the fields of a form. Whatever else it has is a file.
    pub const FIELDS: [&str; 8] = ["from", "name", "keys", "stopped", "connect", "dryRun", "margin", "expectedNumber"];

    pub fn set(&mut self, field: &str, text: String) {
        match field {
            "from" => {
                self.from = Some(<SourceFormat as clap::ValueEnum>::from_str(&text, false).map_err(drop));
            }
            "name" => self.name = Some(text).filter(|name| !name.is_empty()),
            "keys" => self.keys = Some(text).filter(|folder| !folder.is_empty()),
            "stopped" => self.stopped = self.flag("stopped", &text),
            "connect" => self.connect = self.flag("connect", &text),
            "dryRun" => self.dry_run = self.flag("dryRun", &text),
            "margin" => self.margin = Some(text),
            "expectedNumber" => self.expected_number = Some(text),
            _ => {}
        }
    }

    fn flag(&mut self, field: &'static str, text: &str) -> bool {
        match text {
            "true" => true,
            "" | "false" => false,
            _ => {
                self.flaw(field, "expected true or false");
                false
            }
        }
    }

    pub fn flaw(&mut self, field: &'static str, message: &str) {
        self.flaws.push(FieldError { field: field.into(), message: message.to_owned() });
    }

    /// All that is wrong is said at once.
    pub fn finish(mut self) -> Result<ImportOrder, Problem> {
        const FORMATS: &str = "expected baileys, evolution, waha, whatsmeow, rtdb or firestore";
        let from = match self.from {
            Some(Ok(format)) => Some(format),
            Some(Err(())) => {
                self.flaw("from", FORMATS);
                None
            }
            None => {
                self.flaw("from", "is required");
                None
            }
        };
        let counters = self.margin.take().filter(|text| !text.is_empty());
        let counters = counters.map(|text| text.parse().ok().and_then(margin));
        if counters == Some(None) {
            self.flaw("margin", "expected 0 to 1936: contacts refuse a longer jump");
        }
        let expected_number = self.expected_number.take().filter(|text| !text.trim().is_empty());
        let expected_number = expected_number.map(|text| text.chars().filter(char::is_ascii_digit).collect::<String>());
        if expected_number.as_ref().is_some_and(|digits| !(5..=15).contains(&digits.len())) {
            self.flaw("expectedNumber", "expected a phone number with its country code");
        }
        if self.keys.is_some() && from.is_some_and(|from| from != SourceFormat::Evolution) {
            self.flaw("keys", "only Evolution API has its keys in a folder beside its rows");
        }
        let (Some(from), true) = (from, self.flaws.is_empty()) else {
            let said: Vec<_> = self.flaws.iter().map(|flaw| format!("{}: {}", flaw.field, flaw.message)).collect();
            return Err(Problem::invalid(said.join("; "), self.flaws));
        };
        Ok(ImportOrder {
            from,
            name: self.name,
            keys: self.keys,
            stopped: self.stopped,
            connect: self.connect,
            dry_run: self.dry_run,
            margin: counters.flatten(),
            expected_number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_handed_on_as_it_stands_and_never_quoted() {
        let body = Bytes::from_static(br#" {"from":"rtdb","document": {"a": 1e5 ,"b":"x"},"stopped":true,"more":1}"#);
        let (order, document) = ImportJson::parse(&body).unwrap();
        assert_eq!((order.from, order.stopped, order.connect), (SourceFormat::RealtimeDatabase, true, false));
        assert_eq!(document.get(), r#"{"a": 1e5 ,"b":"x"}"#);
        for (body, field) in [
            (&br#"{"from":"baileys","document":1,"stopped":"secret"}"#[..], "stopped"),
            (br#"{"from":"secret","document":1}"#, "from"),
            (br#"{"from":"waha","document":1}"#, "document"),
            (br#"{"from":"baileys"}"#, "document"),
            (br#"{"from":"baileys","document":null}"#, "document"),
            (br#"{"from":"baileys","document":1,"margin":1937}"#, "margin"),
            (br#"{"from":"baileys","document":1,"expectedNumber":"12"}"#, "expectedNumber"),
        ] {
            let problem = ImportJson::parse(&Bytes::from_static(body)).map(|(order, _)| order).unwrap_err();
            let told = serde_json::to_value(&problem).unwrap();
            assert_eq!(told["errors"][0]["field"], field, "{told}");
            assert!(!told.to_string().contains("secret"), "{told}");
        }
        for body in [&b"[]"[..], b"", b"{", b"null", b"{\"from\":\"baileys\",\"document\":1} x"] {
            assert!(ImportJson::parse(&Bytes::from_static(body)).is_err());
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_form_is_said_at_once() {
        let mut form = OrderForm::default();
        for (field, text) in [("from", "signal"), ("stopped", "yes"), ("margin", "-1"), ("expectedNumber", "x")] {
            form.set(field, text.to_owned());
        }
        let told = serde_json::to_value(form.finish().unwrap_err()).unwrap();
        let fields: Vec<_> =
            told["errors"].as_array().unwrap().iter().map(|flaw| flaw["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["stopped", "from", "margin", "expectedNumber"]);
        let mut form = OrderForm::default();
        for (field, text) in [("from", "waha"), ("keys", "instances")] {
            form.set(field, text.to_owned());
        }
        let told = serde_json::to_value(form.finish().unwrap_err()).unwrap();
        assert_eq!(told["errors"][0]["field"], "keys", "{told}");
    }
}
