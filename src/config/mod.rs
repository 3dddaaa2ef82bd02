//! Configuration: `config/default.toml` (compiled in, the reference) → a file → the environment. Read and validated once; all
//! mistakes are listed together. Nothing else in this crate reads the environment.

mod alerts;
mod callers;
mod read;
mod secret;
mod shown_url;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::{
    alerts::{AlertMail, AlertSmtp, AlertsConfig, SmtpServer},
    callers::{AuthConfig, ConnectionsConfig, Firebase, Handshakes, Http, Limits, Origins, Proxies, Rates},
    read::is_safe,
    secret::{Secret, load_or_create_secret, restore_secret},
    shown_url::shown_url,
    source::{DEFAULTS, Mistake, SettingOrigin},
};
use self::{
    read::SettingReader,
    source::{SaidSettings, SettingTable},
};
use crate::{outbound::Allow, seal::MasterKey, tenant::TenantId};

/// The exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// WhatsApp's own address of the Web client.
pub const WHATSAPP: &str = "wss://web.whatsapp.com/ws/chat";

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: Http,
    pub data_dir: PathBuf,
    pub vault: VaultConfig,
    pub auth: AuthConfig,
    pub limits: Limits,
    pub restore: Restore,
    pub import: Import,
    pub heartbeat: Heartbeat,
    pub session: SessionPolicy,
    pub whatsapp: WhatsApp,
    pub messages: MessagesConfig,
    pub media: MediaConfig,
    pub outbound: OutboundConfig,
    pub webhooks: WebhooksConfig,
    pub cluster: Cluster,
    pub metrics: Metrics,
    pub traces: Traces,
    pub alerts: AlertsConfig,
    pub bot: Bot,
    /// From SIGTERM to the exit. `None`: by the number of tenants.
    pub shutdown_grace: Option<Duration>,
    pub log: LogConfig,
    /// As they were said, to tell what another configuration changes.
    said: SaidSettings,
}

#[derive(Debug, Clone)]
pub struct VaultConfig {
    pub home: VaultHome,
    /// Empty: make a key file (embedded vault only).
    pub master_keys: Vec<MasterKey>,
    /// Journal entries after which a snapshot is due.
    pub snapshot_entries: u64,
    /// How often an owner looks whether the vault still has everything.
    pub audit: Duration,
    /// Writes of a tenant's journal in a minute before it is slowed; `None`: any number.
    pub writes_per_minute: Option<NonZeroU32>,
}

#[derive(Debug, Clone)]
pub enum VaultHome {
    Embedded {
        path: PathBuf,
        /// Other processes may have it open as well.
        shared: bool,
    },
    Firestore {
        project: String,
        database: String,
        credentials: Credentials,
        request_timeout: Duration,
    },
}

#[derive(Debug, Clone)]
pub enum Credentials {
    /// The JSON of a service account's key.
    ServiceAccount(Secret),
    /// The credentials that Google's client libraries find by themselves.
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

/// The old service, whose tenants come in from its live database.
#[derive(Debug, Clone)]
pub struct Import {
    /// At the start, from the Realtime Database.
    pub on_start: bool,
    /// The Realtime Database.
    pub database_url: Option<String>,
    /// The project of its Firestore; empty: none is known.
    pub project: String,
    pub firestore_database: String,
    pub credentials: Credentials,
    /// How long the port waits.
    pub deadline: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub first: Duration,
    pub interval: Duration,
    pub ping_timeout: Duration,
    /// How often a process says in the vault that it lives.
    pub announce: Duration,
    /// How often the directory is compared with the sessions.
    pub directory: Duration,
}

#[derive(Debug, Clone)]
pub struct SessionPolicy {
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub pairing_timeout: Duration,
    pub ownership_limit: Duration,
    pub quiet_max: Duration,
    /// How long WhatsApp may take to confirm a message.
    pub ack_timeout: Duration,
    /// So many attempts without an answer, and a message has failed.
    pub send_attempts: u32,
    /// How long nothing is sent after WhatsApp said that it is too much.
    pub slow_down: Duration,
    /// How long delays take that look human, percent of a human's.
    pub human_percent: u32,
    pub device_name: String,
    pub pre_keys: usize,
    /// A working copy that is not used for so long is closed.
    pub file_idle: Duration,
}

#[derive(Debug, Clone)]
pub struct WhatsApp {
    pub endpoint: String,
    pub version: Option<(u32, u32, u32)>,
    /// Certificates (PEM) of the media hosts' authority; `None`: the public ones.
    pub media_authority: Option<String>,
}

#[derive(Debug, Clone)]
pub struct MessagesConfig {
    /// Where a phone number without a country code is dialed.
    pub country: phonenumber::country::Id,
    pub keep: Duration,
    pub keep_events: usize,
    /// Of events.
    pub keep_bytes: usize,
    pub live_events: usize,
    pub keep_whole: Duration,
    /// Of messages that came.
    pub keep_whole_bytes: usize,
    /// How long a message waits to be sent.
    pub ttl: Duration,
    /// Of messages of a tenant that were accepted and are not sent.
    pub waiting_bytes: usize,
    /// WhatsApp takes edits of a message for so long.
    pub edit_window: Duration,
    pub history: History,
}

/// Older messages that are asked of a tenant's phone.
#[derive(Debug, Clone)]
pub struct History {
    /// Bytes that are kept, of a chat and of a tenant.
    pub per_chat: usize,
    pub per_tenant: usize,
    /// Phones asked at the same time.
    pub parallel: usize,
    /// How long a phone may take.
    pub patience: Duration,
}

#[derive(Debug, Clone)]
pub struct MediaConfig {
    pub home: MediaHome,
    /// Fetch files as their messages come.
    pub eager: bool,
    pub keep: Duration,
    /// Bytes, of a tenant, and of all.
    pub keep_bytes: u64,
    pub keep_bytes_of_all: u64,
    /// Bytes of the disk that files leave free.
    pub reserve: u64,
    pub sweep: Duration,
    /// Bytes.
    pub max_received: u64,
    pub max_sent: u64,
    pub parallel: usize,
    pub per_tenant: usize,
    pub fetch_timeout: Duration,
    /// URLs of proxies; without a tenant, for all others.
    pub proxies: Vec<(Option<TenantId>, Secret)>,
}

/// Where files are kept.
#[derive(Debug, Clone)]
pub enum MediaHome {
    Folder(PathBuf),
    Gcs {
        bucket: String,
        prefix: String,
        /// The JSON of its key; `None`: what the machine has.
        service_account: Option<Secret>,
        /// An emulator, which needs no credentials.
        endpoint: Option<String>,
    },
    #[cfg(feature = "s3")]
    S3 {
        bucket: String,
        prefix: String,
        region: String,
        endpoint: Option<String>,
        access_key_id: String,
        secret_access_key: Secret,
    },
}

#[derive(Debug, Clone)]
pub struct OutboundConfig {
    pub allow: Allow,
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    pub concurrency: usize,
    pub per_tenant: usize,
}

/// Several processes on one vault.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Where this one takes what others forward; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    pub advertise: Advertise,
}

/// How other processes reach this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advertise {
    /// Where it listens.
    Listener,
    /// `host`, or `host:port`.
    Address(http::uri::Authority),
    /// At its own address in the network in which this name is known: several instances share the name.
    Beside(String),
}

/// The rights to read metrics, and how much of them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Where it is served without a key; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    pub per_tenant: PerTenant,
}

/// How long each step takes, of a build with the feature `otel`.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Where they go, over OTLP/HTTP; `None`: nowhere.
    pub endpoint: Option<String>,
    /// How many of them, from 0 to 1.
    pub sample: f64,
}

/// Whether tenants have series of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerTenant {
    On,
    Off,
    /// As long as there are not too many of them.
    Auto,
}

/// Of all bots; a restaurant's own settings are in its tenant's state.
#[derive(Debug, Clone)]
pub struct Bot {
    pub keep_conversations: Duration,
    /// That nobody touches.
    pub keep_orders: Duration,
    /// Orders and flags go to the old service's Realtime Database too.
    pub mirror: bool,
    /// Reads what the parser could not, for tenants that want that.
    pub language_model: Option<LanguageModel>,
}

/// A server with an OpenAI-compatible `/chat/completions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageModel {
    /// What stands before `/chat/completions`; without a slash at its end.
    pub url: String,
    pub key: Option<Secret>,
    pub model: String,
    /// For one question, with its answer.
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
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

    /// As [`Self::load`], from given parts.
    pub fn from_parts(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let text = file.and_then(|path| match std::fs::read_to_string(path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                let expected = format!("cannot be read: {error}");
                mistakes.push(Mistake {
                    key: "--config".into(),
                    origin: SettingOrigin::File(path.to_owned()),
                    expected,
                });
                None
            }
        });
        let table =
            SettingTable::merge(text.as_ref().map(|(path, text)| (*path, text.as_str())), environment, &mut mistakes);
        let config = SettingReader::new(&table, environment, &mut mistakes).config();
        match config {
            Some(config) if mistakes.is_empty() => Ok(Self { said: table.said(), ..config }),
            _ => Err(Mistakes(mistakes)),
        }
    }

    /// The keys of what the other says otherwise.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        self.said.differences(&other.said)
    }
}

/// Whether a process that runs takes it over from a configuration that is read again. The alerts, the log's filter, and of the heartbeat's
/// figures those that are this process' own business.
pub fn is_reloadable(key: &str) -> bool {
    const OTHERS: [&str; 4] = ["heartbeat.interval", "heartbeat.ping_timeout", "heartbeat.directory", "log.filter"];
    key.starts_with("alerts.") || OTHERS.contains(&key)
}
