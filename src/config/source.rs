//! Where settings come from: the compiled-in default file, a file, the environment; merged into one flat table that remembers
//! for each value where it was said. Does not know what a setting means.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::Value;

use crate::seal::Digest;

/// The default file is the schema: a key is known when it is in there, and has the type that it has there.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Names that people know from elsewhere, and the keys they stand for.
const ALIASES: &[(&str, &str)] = &[
    ("PORT", "http.listen"),
    ("FIRESTORE_PROJECT_ID", "vault.firestore.project"),
    ("FIRESTORE_EMULATOR_HOST", "vault.firestore.emulator"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "vault.firestore.service_account_file"),
    ("FIREBASE_SERVICE_ACCOUNT_KEY", "vault.firestore.service_account_key"),
    ("FIREBASE_DATABASE_URL", "import.database_url"),
    ("SESSIOND_MASTER_KEY", "vault.master_keys"),
    ("SESSIOND_ADMIN_KEY", "auth.admin_key"),
    ("RUST_LOG", "log.filter"),
];

const PREFIX: &str = "SESSIOND_";

/// Something wrong with the configuration: which key, said where, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub key: String,
    pub origin: SettingOrigin,
    pub expected: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.origin, self.expected)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    Default,
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}

/// What all settings are, to be compared. By digests: there are secrets among them, which need not be in memory for longer.
#[derive(Clone, Default)]
pub struct SaidSettings(Arc<BTreeMap<String, Digest>>);

impl SaidSettings {
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let differs = |(key, digest): &(&String, &Digest)| other.0.get(*key) != Some(*digest);
        self.0.iter().filter(differs).map(|(key, _)| key.clone()).collect()
    }
}

impl fmt::Debug for SaidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaidSettings(…)")
    }
}

/// All settings by their dotted keys.
pub struct SettingTable(BTreeMap<String, (Value, SettingOrigin)>);

impl SettingTable {
    /// Merges the three. What is unknown or of the wrong type goes to `mistakes` and is left out.
    pub fn merge(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let defaults: toml::Table = DEFAULTS.parse().expect("the default file is TOML: a test parses it");
        let mut table = Self(BTreeMap::new());
        flatten("", defaults, &mut |key, value| {
            table.0.insert(key, (value, SettingOrigin::Default));
        });
        if let Some((path, text)) = file {
            table.add_file(path, text, mistakes);
        }
        for (name, key) in ALIASES {
            if let Some(text) = environment.get(*name).filter(|text| !text.is_empty()) {
                let text = if *name == "PORT" { format!("0.0.0.0:{text}") } else { text.clone() };
                table.set_text(key, &text, SettingOrigin::Variable((*name).to_owned()), mistakes);
            }
        }
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_kubernetes(rest, text)) else { continue };
            if !ALIASES.iter().any(|(alias, _)| alias == name) {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                table.set_text(&key, text, SettingOrigin::Variable(name.clone()), mistakes);
            }
        }
        table
    }

    pub fn get(&self, key: &str) -> &(Value, SettingOrigin) {
        self.0.get(key).expect("keys that are read stand in the default file: a test reads them all")
    }

    pub fn said(self) -> SaidSettings {
        let digest = |value: &Value| Digest::of([format!("{value:?}").as_bytes()]);
        SaidSettings(Arc::new(self.0.into_iter().map(|(key, (value, _))| (key, digest(&value))).collect()))
    }

    #[cfg(test)]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn add_file(&mut self, path: &Path, text: &str, mistakes: &mut Vec<Mistake>) {
        let origin = SettingOrigin::File(path.to_owned());
        let parsed: toml::Table = match text.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                // The message of the parser quotes the line, which may hold a secret.
                let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
                mistakes.push(Mistake { key: format!("line {line}"), origin, expected: "is not TOML".into() });
                return;
            }
        };
        let mut found = Vec::new();
        flatten("", parsed, &mut |key, value| found.push((key, value)));
        for (key, value) in found {
            match self.0.get_mut(&key) {
                None => mistakes.push(Mistake { key, origin: origin.clone(), expected: "there is no such key".into() }),
                Some((known, _)) if !known.same_type(&value) => {
                    let expected = format!("expected {}, not {}", type_name(known), type_name(&value));
                    mistakes.push(Mistake { key, origin: origin.clone(), expected });
                }
                Some(slot) => *slot = (value, origin.clone()),
            }
        }
    }

    fn set_text(&mut self, key: &str, text: &str, origin: SettingOrigin, mistakes: &mut Vec<Mistake>) {
        let Some((known, _)) = self.0.get(key) else {
            mistakes.push(Mistake { key: key.to_owned(), origin, expected: "there is no such key".into() });
            return;
        };
        let value = match known {
            Value::Integer(_) => text.parse().ok().map(Value::Integer),
            Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
            Value::Array(_) => Some(Value::Array(
                text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| Value::String(s.into())).collect(),
            )),
            _ => Some(Value::String(text.to_owned())),
        };
        match value {
            Some(value) => {
                self.0.insert(key.to_owned(), (value, origin));
            }
            None => {
                let expected = format!("expected {}", type_name(known));
                mistakes.push(Mistake { key: key.to_owned(), origin, expected });
            }
        }
    }
}

/// For each service whose name begins with `sessiond`, Kubernetes puts variables like `SESSIOND_SERVICE_HOST` and
/// `SESSIOND_API_PORT_3000_TCP_ADDR` into a container's environment. A setting has a section before its name, with `__` between them.
fn is_kubernetes(rest: &str, text: &str) -> bool {
    let is_port = rest == "PORT" || rest.ends_with("_PORT");
    !rest.contains("__")
        && (rest.contains("SERVICE_HOST")
            || rest.contains("SERVICE_PORT")
            || is_port && text.contains("://")
            || rest.contains("_TCP") && rest.contains("PORT_"))
}

fn flatten(prefix: &str, table: toml::Table, found: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, found),
            value => found(key, value),
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        _ => "something else",
    }
}
