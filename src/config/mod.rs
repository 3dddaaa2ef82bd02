//! Configuration: `config/default.toml` (compiled in, the reference) → a file → the environment. Read and validated once; all
//! mistakes are listed together. Nothing else in this crate reads the environment.

mod secret;
mod source;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use jiff::SignedDuration;
use toml::Value;

use self::source::Table;
pub use self::{
    secret::{Secret, load_or_create_secret},
    source::{Mistake, Origin},
};

/// The exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// WhatsApp's own address of the Web client.
pub const WHATSAPP: &str = "wss://web.whatsapp.com/ws/chat";

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: Http,
    pub data_dir: PathBuf,
    pub vault: Vault,
    /// `None`: make one (embedded vault only).
    pub admin_key: Option<Secret>,
    pub restore: Restore,
    pub heartbeat: Heartbeat,
    pub session: Session,
    pub whatsapp: WhatsApp,
    pub messages: Messages,
    /// From SIGTERM to the exit.
    pub shutdown_grace: Duration,
    pub log: Log,
}

#[derive(Debug, Clone)]
pub struct Http {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone)]
pub struct Vault {
    pub home: VaultHome,
    /// Keys as text, not yet parsed; empty: make a key file (embedded vault only).
    pub master_keys: Vec<Secret>,
    /// Journal entries after which a snapshot is due.
    pub snapshot_entries: u64,
}

#[derive(Debug, Clone)]
pub enum VaultHome {
    Embedded { path: PathBuf },
    Firestore { project: String, database: String, credentials: Credentials, request_timeout: Duration },
}

#[derive(Debug, Clone)]
pub enum Credentials {
    /// The JSON of a service account's key.
    ServiceAccount(Secret),
    /// What the Google client libraries find by themselves.
    ApplicationDefault,
    /// `host:port`; no credentials.
    Emulator(String),
}

#[derive(Debug, Clone)]
pub struct Restore {
    pub batch_size: usize,
    pub tenant_timeout: Duration,
    pub deadline: Duration,
}

#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub first: Duration,
    pub interval: Duration,
    pub ping_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub pairing_timeout: Duration,
    pub ownership_limit: Duration,
    pub quiet_max: Duration,
    pub device_name: String,
    pub pre_keys: usize,
}

#[derive(Debug, Clone)]
pub struct WhatsApp {
    pub endpoint: String,
    pub version: Option<(u32, u32, u32)>,
}

#[derive(Debug, Clone)]
pub struct Messages {
    pub keep: Duration,
    pub keep_events: usize,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

/// The configuration cannot be used. Lists every mistake, one a line.
#[derive(Debug, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake(s):", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl Config {
    /// Reads the environment of this process and `file`.
    pub fn load(file: Option<&Path>) -> Result<Self, Mistakes> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_parts(file, &environment)
    }

    /// The same from given parts.
    pub fn from_parts(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let text = file.and_then(|path| match std::fs::read_to_string(path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                let expected = format!("cannot be read: {error}");
                mistakes.push(Mistake { key: "--config".into(), origin: Origin::File(path.to_owned()), expected });
                None
            }
        });
        let table = Table::merge(text.as_ref().map(|(path, text)| (*path, text.as_str())), environment, &mut mistakes);
        let config = Reader { table: &table, environment, mistakes: &mut mistakes }.config();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

/// Reads settings out of the table; what is wrong goes to the list, and the reading goes on.
struct Reader<'a> {
    table: &'a Table,
    environment: &'a BTreeMap<String, String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    fn config(mut self) -> Option<Config> {
        // Each field is read before the first `?`, so that one mistake does not hide the next.
        let listen = self.parsed("http.listen", "an address like 0.0.0.0:3000", |text| text.parse().ok());
        let data_dir = self.parsed("data.dir", "a folder", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let vault = self.vault(data_dir.as_deref());
        let admin_key = self.admin_key(vault.as_ref());
        let restore = (
            self.count("restore.batch_size", 1..=64),
            self.duration("restore.tenant_timeout", 1..=600),
            self.duration("restore.deadline", 1..=3600),
        );
        let heartbeat = (
            self.duration("heartbeat.first", 0..=3600),
            self.duration("heartbeat.interval", 1..=3600),
            self.duration("heartbeat.ping_timeout", 1..=60),
        );
        let backoff = (self.duration("session.backoff_min", 0..=60), self.duration("session.backoff_max", 1..=3600));
        let session = (
            self.duration("session.pairing_timeout", 10..=3600),
            self.duration("session.ownership_limit", 1..=300),
            self.parsed("session.device_name", "1 to 32 characters", |text| {
                (1..=32).contains(&text.chars().count()).then(|| text.to_owned())
            }),
            self.count("session.pre_keys", 5..=812),
            self.duration("session.quiet_max", 60..=86_400),
        );
        let whatsapp =
            (self.endpoint(), self.parsed("whatsapp.version", "three numbers like 2.3000.1026131876", version));
        let messages =
            (self.duration("messages.keep", 3600..=31_536_000), self.count("messages.keep_events", 100..=100_000));
        let shutdown_grace = self.duration("shutdown.grace", 1..=300);
        let filter = self.parsed("log.filter", "a filter like info,sessiond=debug", |text| {
            tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
        });
        let format = self.parsed("log.format", "auto, text or json", |text| match text {
            "auto" => Some(LogFormat::Auto),
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        if let (Some(min), Some(max)) = backoff
            && min > max
        {
            self.mistake("session.backoff_min", "must not be above session.backoff_max");
        }
        Some(Config {
            http: Http { listen: listen? },
            data_dir: data_dir?,
            vault: vault?,
            admin_key: admin_key?,
            restore: Restore { batch_size: restore.0?, tenant_timeout: restore.1?, deadline: restore.2? },
            heartbeat: Heartbeat { first: heartbeat.0?, interval: heartbeat.1?, ping_timeout: heartbeat.2? },
            session: Session {
                backoff_min: backoff.0?,
                backoff_max: backoff.1?,
                pairing_timeout: session.0?,
                ownership_limit: session.1?,
                device_name: session.2?,
                pre_keys: session.3?,
                quiet_max: session.4?,
            },
            whatsapp: WhatsApp { endpoint: whatsapp.0?, version: whatsapp.1? },
            messages: Messages { keep: messages.0?, keep_events: messages.1? },
            shutdown_grace: shutdown_grace?,
            log: Log { filter: filter?, format: format? },
        })
    }

    fn vault(&mut self, data_dir: Option<&Path>) -> Option<Vault> {
        let project = self.text("vault.firestore.project");
        let database = self.text("vault.firestore.database");
        let emulator = self.text("vault.firestore.emulator");
        let request_timeout = self.duration("vault.firestore.request_timeout", 1..=120);
        let path = self.text("vault.embedded.path");
        let account = self.service_account();
        let master_keys = self.secrets("vault.master_keys");
        let snapshot_entries = self.count("vault.snapshot_entries", 10..=100_000).map(|count| count as u64);
        let kind = self.text("vault.kind");
        let project = if project.is_empty() { account.as_ref().map_or(project, |a| a.1.clone()) } else { project };
        let firestore = match kind.as_str() {
            "firestore" => true,
            "embedded" => false,
            "auto" if !project.is_empty() => true,
            "auto" => {
                let throwaway = self.environment.contains_key("RAILWAY_ENVIRONMENT")
                    && !self.environment.contains_key("RAILWAY_VOLUME_MOUNT_PATH");
                if throwaway {
                    self.mistake(
                        "vault.kind",
                        "this disk is thrown away at every deploy (Railway without a volume): configure Firestore, or \
                         choose \"embedded\" by name",
                    );
                    return None;
                }
                false
            }
            _ => {
                self.mistake("vault.kind", "expected auto, firestore or embedded");
                return None;
            }
        };
        if !firestore {
            let path = if path.is_empty() { data_dir?.join("vault.db") } else { PathBuf::from(path) };
            return Some(Vault {
                home: VaultHome::Embedded { path },
                master_keys,
                snapshot_entries: snapshot_entries?,
            });
        }
        if project.is_empty() {
            self.mistake("vault.firestore.project", "must be set (or a service account that names it)");
        }
        if !emulator.is_empty() && account.is_some() {
            self.mistake(
                "vault.firestore.emulator",
                "cannot be combined with a service account: which of them is meant?",
            );
        }
        if master_keys.is_empty() {
            self.mistake(
                "vault.master_keys",
                "must be set with Firestore: 32 random bytes in hex or base64 (openssl rand -hex 32)",
            );
        }
        let credentials = match (emulator.is_empty(), account) {
            (false, _) => Credentials::Emulator(emulator),
            (true, Some((json, _))) => Credentials::ServiceAccount(json),
            (true, None) => Credentials::ApplicationDefault,
        };
        let home = VaultHome::Firestore { project, database, credentials, request_timeout: request_timeout? };
        Some(Vault { home, master_keys, snapshot_entries: snapshot_entries? })
    }

    /// The service account's key (JSON) and its project.
    fn service_account(&mut self) -> Option<(Secret, String)> {
        let inline = self.text("vault.firestore.service_account_key");
        let file = self.text("vault.firestore.service_account_file");
        let (key, json) = if !inline.is_empty() {
            let json = if inline.trim_start().starts_with('{') {
                Some(inline)
            } else {
                BASE64.decode(inline.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok())
            };
            ("vault.firestore.service_account_key", json)
        } else if !file.is_empty() {
            ("vault.firestore.service_account_file", std::fs::read_to_string(&file).ok())
        } else {
            return None;
        };
        let project = json.as_deref().and_then(|json| {
            let parsed: serde_json::Value = serde_json::from_str(json).ok()?;
            Some(parsed.get("project_id")?.as_str()?.to_owned())
        });
        match (json, project) {
            (Some(json), Some(project)) => Some((Secret::new(json), project)),
            _ => {
                self.mistake(key, "expected the JSON key of a service account (a file, the JSON, or base64 of it)");
                None
            }
        }
    }

    fn admin_key(&mut self, vault: Option<&Vault>) -> Option<Option<Secret>> {
        let text = self.text("auth.admin_key");
        if text.is_empty() {
            if matches!(vault, Some(Vault { home: VaultHome::Firestore { .. }, .. })) {
                self.mistake(
                    "auth.admin_key",
                    "must be set with Firestore: at least 16 characters (openssl rand -hex 24)",
                );
            }
            return Some(None);
        }
        if text.len() < 16 {
            self.mistake("auth.admin_key", "expected at least 16 characters");
            return None;
        }
        Some(Some(Secret::new(text)))
    }

    fn endpoint(&mut self) -> Option<String> {
        let endpoint = self.text("whatsapp.endpoint");
        if endpoint == WHATSAPP || cfg!(feature = "loopback") {
            return Some(endpoint);
        }
        self.mistake(
            "whatsapp.endpoint",
            "this build speaks to WhatsApp only (another address needs the feature `loopback`)",
        );
        None
    }

    fn mistake(&mut self, key: &str, expected: impl Into<String>) {
        let origin = self.table.get(key).1.clone();
        self.mistakes.push(Mistake { key: key.to_owned(), origin, expected: expected.into() });
    }

    fn text(&self, key: &str) -> String {
        match &self.table.get(key).0 {
            Value::String(text) => text.clone(),
            other => unreachable!("{key} is a text in the default file, not {other:?}"),
        }
    }

    fn parsed<T>(&mut self, key: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let parsed = parse(&self.text(key));
        if parsed.is_none() {
            self.mistake(key, format!("expected {expected}"));
        }
        parsed
    }

    fn duration(&mut self, key: &str, seconds: std::ops::RangeInclusive<u64>) -> Option<Duration> {
        let expected = format!("a duration from {}s to {}s, like 90s or 4m", seconds.start(), seconds.end());
        self.parsed(key, &expected, |text| {
            let duration = Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?;
            let range = Duration::from_secs(*seconds.start())..=Duration::from_secs(*seconds.end());
            range.contains(&duration).then_some(duration)
        })
    }

    fn count(&mut self, key: &str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let number = match &self.table.get(key).0 {
            Value::Integer(number) => usize::try_from(*number).ok().filter(|number| range.contains(number)),
            other => unreachable!("{key} is a number in the default file, not {other:?}"),
        };
        if number.is_none() {
            self.mistake(key, format!("expected a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    fn secrets(&self, key: &str) -> Vec<Secret> {
        match &self.table.get(key).0 {
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(Secret::new).collect(),
            other => unreachable!("{key} is a list in the default file, not {other:?}"),
        }
    }
}

fn version(text: &str) -> Option<Option<(u32, u32, u32)>> {
    if text.is_empty() {
        return Some(None);
    }
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    <[u32; 3]>::try_from(numbers).ok().map(|[a, b, c]| Some((a, b, c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)], file: Option<&str>) -> Result<Config, Vec<String>> {
        let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessiond.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        Config::from_parts(file.map(|_| path.as_path()), &environment)
            .map_err(|mistakes| mistakes.0.into_iter().map(|m| format!("{}: {}", m.key, m.expected)).collect())
    }

    #[test]
    fn the_defaults_start_on_the_embedded_vault() {
        let config = load(&[], None).unwrap();
        assert_eq!(config.http.listen, "0.0.0.0:3000".parse().unwrap());
        assert!(matches!(config.vault.home, VaultHome::Embedded { path } if path == Path::new("data/vault.db")));
        assert_eq!(config.restore.deadline, Duration::from_secs(240));
        assert_eq!(config.heartbeat.interval, Duration::from_secs(120));
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_defaults() {
        let file = "[restore]\nbatch_size = 7\n[heartbeat]\ninterval = \"1m\"\n";
        let config = load(&[("SESSIOND_RESTORE__BATCH_SIZE", "9"), ("PORT", "8080")], Some(file)).unwrap();
        assert_eq!(config.restore.batch_size, 9);
        assert_eq!(config.heartbeat.interval, Duration::from_secs(60));
        assert_eq!(config.http.listen.port(), 8080);
    }

    #[test]
    fn all_mistakes_are_listed_together() {
        let file = "nonsense = 1\n[restore]\nbatch_size = \"five\"\ndeadline = \"soon\"\n[vault]\nkind = \"cloud\"\n";
        let variables = [("SESSIOND_HTTP__LISTEN", "nowhere"), ("SESSIOND_TYPO", "x"), ("SESSIOND_ADMIN_KEY", "short")];
        let mistakes = load(&variables, Some(file)).unwrap_err();
        for key in [
            "nonsense",
            "restore.batch_size",
            "restore.deadline",
            "vault.kind",
            "http.listen",
            "typo",
            "auth.admin_key",
        ] {
            assert!(mistakes.iter().any(|m| m.starts_with(key)), "{key} in {mistakes:#?}");
        }
        assert_eq!(mistakes.len(), 7, "{mistakes:#?}");
    }

    #[test]
    fn firestore_asks_for_a_master_key_and_an_admin_key() {
        let mistakes =
            load(&[("FIRESTORE_PROJECT_ID", "demo"), ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")], None).unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
        let key = "00".repeat(32);
        let config = load(
            &[
                ("FIRESTORE_PROJECT_ID", "demo"),
                ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"),
                ("SESSIOND_MASTER_KEY", &key),
                ("SESSIOND_ADMIN_KEY", "0123456789abcdef"),
            ],
            None,
        )
        .unwrap();
        assert!(matches!(config.vault.home, VaultHome::Firestore { credentials: Credentials::Emulator(_), .. }));
    }

    #[test]
    fn a_service_account_names_the_project() {
        let account = BASE64.encode(r#"{"type":"service_account","project_id":"from-key"}"#);
        let config = load(
            &[
                ("FIREBASE_SERVICE_ACCOUNT_KEY", account.as_str()),
                ("SESSIOND_MASTER_KEY", "x"),
                ("SESSIOND_ADMIN_KEY", "0123456789abcdef"),
            ],
            None,
        )
        .unwrap();
        assert!(matches!(config.vault.home, VaultHome::Firestore { project, .. } if project == "from-key"));
    }

    #[test]
    fn a_throwaway_disk_needs_embedded_by_name() {
        assert!(load(&[("RAILWAY_ENVIRONMENT", "production")], None).is_err());
        assert!(load(&[("RAILWAY_ENVIRONMENT", "production"), ("SESSIOND_VAULT__KIND", "embedded")], None).is_ok());
        assert!(load(&[("RAILWAY_ENVIRONMENT", "p"), ("RAILWAY_VOLUME_MOUNT_PATH", "/data")], None).is_ok());
    }

    #[test]
    fn secrets_do_not_show() {
        let config =
            load(&[("SESSIOND_ADMIN_KEY", "very-secret-admin-key"), ("SESSIOND_MASTER_KEY", "deadbeef")], None)
                .unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("very-secret") && !shown.contains("deadbeef"), "{shown}");
    }

    #[test]
    fn every_key_of_the_default_file_is_read() {
        let mut mistakes = Vec::new();
        let table = Table::merge(None, &BTreeMap::new(), &mut mistakes);
        let source = include_str!("mod.rs");
        for key in table.keys() {
            assert!(source.contains(&format!("\"{key}\"")), "{key} is in the default file and read by nobody");
        }
    }
}
