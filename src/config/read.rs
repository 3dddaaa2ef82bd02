//! Values out of the merged table: each is checked, and what is wrong is written down while the reading goes on.

mod alerts;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ipnet::IpNet;
use jiff::SignedDuration;
use toml::Value;

use super::{
    Auth, Bot, Config, Connections, Credentials, Firebase, Handshakes, Heartbeat, History, Http, Import, Limits, Log,
    LogFormat, Media, MediaHome, Messages, Metrics, Mistake, Origins, Outbound, PerTenant, Proxies, Rates, Restore,
    Secret, Session, Vault, VaultHome, WHATSAPP, Webhooks, WhatsApp,
    source::{SaidSettings, Table},
};
use crate::{outbound::Allow, seal::MasterKey, tenant::TenantId};

/// Reads settings out of the table; what is wrong goes to the list, and the reading goes on.
pub struct Reader<'a> {
    table: &'a Table,
    environment: &'a BTreeMap<String, String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub fn new(table: &'a Table, environment: &'a BTreeMap<String, String>, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { table, environment, mistakes }
    }
}

impl Reader<'_> {
    /// Everything, or nothing when something is wrong; what, is in the list then.
    pub fn config(mut self) -> Option<Config> {
        // Each field is read before the first `?`, so that one mistake does not hide the next.
        let listen = self.parsed("http.listen", "an address like 0.0.0.0:3000", |text| text.parse().ok());
        let data_dir = self.parsed("data.dir", "a folder", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let account = self.service_account();
        let vault = self.vault(data_dir.as_deref(), account.clone());
        let import = self.import(account);
        let auth = self.auth(vault.as_ref());
        let origins = self.origins(auth.as_ref().is_some_and(|auth| auth.legacy_open));
        let proxies = self.proxies();
        let connections = self.connections();
        let handshakes = self.handshakes();
        let public_url = self.public_url(listen);
        let limits = self.limits();
        let restore = (
            self.count("restore.batch_size", 1..=64),
            self.duration("restore.tenant_timeout", 1..=600),
            self.duration("restore.deadline", 1..=3600),
        );
        let heartbeat = (
            self.duration("heartbeat.first", 0..=3600),
            self.duration("heartbeat.interval", 1..=3600),
            self.duration("heartbeat.ping_timeout", 1..=60),
            self.duration("heartbeat.announce", 1..=600),
            self.duration("heartbeat.directory", 1..=86_400),
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
            self.duration("session.ack_timeout", 1..=300),
            self.count("session.send_attempts", 1..=100),
            self.duration("session.file_idle", 1..=86_400),
            self.count("session.human_percent", 0..=1000),
            self.duration("session.slow_down", 0..=600),
        );
        let whatsapp = (
            self.endpoint(),
            self.parsed("whatsapp.version", "three numbers like 2.3000.1026131876", version),
            self.media_authority(),
        );
        let media = self.media(data_dir.as_deref(), vault.as_ref());
        let messages = (
            self.parsed("messages.country", "two letters like CO", |text| text.parse().ok()),
            self.duration("messages.keep", 3600..=31_536_000),
            self.count("messages.keep_events", 100..=1_000_000),
            self.count("messages.live_events", 20..=10_000),
            self.duration("messages.keep_whole", 3600..=31_536_000),
            self.history(),
            self.duration("messages.ttl", 1..=604_800),
            self.duration("messages.edit_window", 1..=2_592_000),
            self.count("messages.keep_mib", 1..=100_000),
            self.count("messages.keep_whole_mib", 1..=1024),
            self.count("messages.waiting_mib", 1..=1024),
        );
        let outbound = (self.allow(), self.duration("outbound.timeout", 1..=120));
        let webhooks = (self.count("webhooks.concurrency", 1..=4096), self.count("webhooks.per_tenant", 1..=256));
        let metrics = self.metrics();
        let alerts = self.alerts();
        let bot = (
            self.duration("bot.keep_conversations", 86_400..=315_360_000),
            self.duration("bot.keep_orders", 86_400..=315_360_000),
        );
        let shutdown_grace = self.grace();
        let filter = self.parsed("log.filter", "a filter like info,sessiond=debug", |text| {
            tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
        });
        let format = self.parsed("log.format", "auto, text or json", |text| match text {
            "auto" => Some(LogFormat::Auto),
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        if let (Some(import), Some(deadline)) = (&import, restore.2)
            && import.on_start
            && import.deadline >= deadline
        {
            self.mistake("import.deadline", "must be below restore.deadline");
        }
        if let (Some(min), Some(max)) = backoff
            && min > max
        {
            self.mistake("session.backoff_min", "must not be above session.backoff_max");
        }
        Some(Config {
            http: Http {
                listen: listen?,
                origins: origins?,
                proxies: proxies?,
                connections: connections?,
                handshakes: handshakes?,
                public_url: public_url?,
            },
            data_dir: data_dir?,
            vault: vault?,
            auth: auth?,
            limits: limits?,
            import: import?,
            restore: Restore { batch_size: restore.0?, tenant_timeout: restore.1?, deadline: restore.2? },
            heartbeat: Heartbeat {
                first: heartbeat.0?,
                interval: heartbeat.1?,
                ping_timeout: heartbeat.2?,
                announce: heartbeat.3?,
                directory: heartbeat.4?,
            },
            session: Session {
                backoff_min: backoff.0?,
                backoff_max: backoff.1?,
                pairing_timeout: session.0?,
                ownership_limit: session.1?,
                device_name: session.2?,
                pre_keys: session.3?,
                quiet_max: session.4?,
                ack_timeout: session.5?,
                send_attempts: u32::try_from(session.6?).unwrap_or(u32::MAX),
                file_idle: session.7?,
                human_percent: u32::try_from(session.8?).unwrap_or(u32::MAX),
                slow_down: session.9?,
            },
            whatsapp: WhatsApp { endpoint: whatsapp.0?, version: whatsapp.1?, media_authority: whatsapp.2? },
            media: media?,
            messages: Messages {
                country: messages.0?,
                keep: messages.1?,
                keep_events: messages.2?,
                keep_bytes: messages.8? << 20,
                live_events: messages.3?,
                keep_whole: messages.4?,
                keep_whole_bytes: messages.9? << 20,
                history: messages.5?,
                ttl: messages.6?,
                waiting_bytes: messages.10? << 20,
                edit_window: messages.7?,
            },
            outbound: Outbound { allow: outbound.0?, timeout: outbound.1? },
            webhooks: Webhooks { concurrency: webhooks.0?, per_tenant: webhooks.1? },
            metrics: metrics?,
            alerts: alerts?,
            bot: Bot { keep_conversations: bot.0?, keep_orders: bot.1? },
            shutdown_grace: shutdown_grace?,
            log: Log { filter: filter?, format: format? },
            said: SaidSettings::default(),
        })
    }

    fn vault(&mut self, data_dir: Option<&Path>, account: Option<(Secret, String)>) -> Option<Vault> {
        let project = self.text("vault.firestore.project");
        let database = self.text("vault.firestore.database");
        let emulator = self.text("vault.firestore.emulator");
        let request_timeout = self.duration("vault.firestore.request_timeout", 1..=120);
        let path = self.text("vault.embedded.path");
        let shared = self.flag("vault.embedded.shared");
        let master_keys = self.master_keys();
        let snapshot_entries = self.count("vault.snapshot_entries", 10..=100_000).map(|count| count as u64);
        let writes_per_minute = self.count("journal.writes_per_minute", 0..=1_000_000);
        let audit = self.duration("journal.audit", 1..=2_592_000);
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
                home: VaultHome::Embedded { path, shared },
                master_keys: master_keys?,
                snapshot_entries: snapshot_entries?,
                audit: audit?,
                writes_per_minute: None,
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
        if master_keys.as_ref().is_some_and(Vec::is_empty) {
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
        let writes_per_minute = NonZeroU32::new(writes_per_minute? as u32);
        let (master_keys, snapshot_entries) = (master_keys?, snapshot_entries?);
        Some(Vault { home, master_keys, snapshot_entries, audit: audit?, writes_per_minute })
    }

    /// What is wrong with a key is said without a character of it.
    fn master_keys(&mut self) -> Option<Vec<MasterKey>> {
        let mut keys = Some(Vec::new());
        for (n, text) in self.secrets("vault.master_keys").iter().enumerate() {
            match (text.expose().parse(), &mut keys) {
                (Ok(key), Some(keys)) => keys.push(key),
                (Ok(_), None) => {}
                (Err(_), _) => {
                    let expected = format!("key {}: expected 32 bytes in hex or base64 (openssl rand -hex 32)", n + 1);
                    self.mistake("vault.master_keys", expected);
                    keys = None;
                }
            }
        }
        keys
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

    fn import(&mut self, account: Option<(Secret, String)>) -> Option<Import> {
        let on_start = self.parsed("import.on_start", "off or rtdb", |text| match text {
            "off" => Some(false),
            "rtdb" => Some(true),
            _ => None,
        });
        // A token goes there that opens the project's databases.
        let database_url = self.parsed("import.database_url", "an https address (http on loopback)", |text| {
            if text.is_empty() {
                Some(None)
            } else {
                is_safe(text).then(|| Some(text.trim_end_matches('/').to_owned()))
            }
        });
        let deadline = self.duration("import.deadline", 1..=600);
        if on_start == Some(true) && database_url == Some(None) {
            self.mistake(
                "import.database_url",
                "must be set for import.on_start: the old service has it as FIREBASE_DATABASE_URL",
            );
        }
        let project = self.text("vault.firestore.project");
        let project = if project.is_empty() { account.as_ref().map_or(project, |a| a.1.clone()) } else { project };
        let emulator = self.text("vault.firestore.emulator");
        let credentials = match (account, emulator.is_empty()) {
            (Some((json, _)), _) => Credentials::ServiceAccount(json),
            (None, false) => Credentials::Emulator(emulator),
            (None, true) => Credentials::ApplicationDefault,
        };
        Some(Import {
            on_start: on_start?,
            database_url: database_url?,
            project,
            firestore_database: self.text("import.firestore_database"),
            credentials,
            deadline: deadline?,
        })
    }

    fn auth(&mut self, vault: Option<&Vault>) -> Option<Auth> {
        let admin_key = self.admin_key(vault);
        let legacy_open = self.flag("auth.legacy_open");
        let refresh = self.duration("auth.refresh", 1..=60);
        let project = self.parsed("auth.firebase_project", "the id of a Firebase project", |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_').then(|| text.to_owned())
        });
        // What comes from there decides who is who.
        let keys_url = self.parsed("auth.firebase_keys_url", "an https address (http on loopback)", |text| {
            is_safe(text).then(|| text.to_owned())
        });
        let (project, keys_url) = (project?, keys_url?);
        let firebase = (!project.is_empty()).then_some(Firebase { project, keys_url });
        Some(Auth { admin_key: admin_key?, legacy_open, refresh: refresh?, firebase })
    }

    fn origins(&mut self, legacy_open: bool) -> Option<Origins> {
        let origins = self.list("http.cors_origins");
        if origins == ["*"] || (origins.is_empty() && legacy_open) {
            return Some(Origins::Any);
        }
        let parsed = origins.iter().map(|origin| {
            let url = origin.parse::<http::Uri>().ok()?;
            let scheme = url.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
            (*origin == format!("{scheme}://{}", url.authority()?)).then(|| origin.parse().ok())?
        });
        let parsed = parsed.collect::<Option<_>>().map(Origins::These);
        if parsed.is_none() {
            self.mistake("http.cors_origins", "expected origins like https://kdsapp.site, without a path; or * alone");
        }
        parsed
    }

    fn proxies(&mut self) -> Option<Proxies> {
        let networks = self.list("http.trusted_proxies");
        let network = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
        let trusted = networks.iter().map(network).collect::<Option<_>>();
        if trusted.is_none() {
            self.mistake("http.trusted_proxies", "expected addresses or networks like 10.0.0.0/8");
        }
        let header = self.parsed("http.client_address_header", "the name of a header", |text| text.parse().ok());
        Some(Proxies { trusted: trusted?, header: header? })
    }

    fn connections(&mut self) -> Option<Connections> {
        let counts = (
            self.count("http.max_connections", 1..=1_000_000),
            self.count("http.max_connections_per_address", 0..=1_000_000),
            self.count("http.bytes_per_second", 1..=1_000_000),
        );
        let times = (
            self.duration("http.head_timeout", 1..=120),
            self.duration("http.keep_alive", 1..=3600),
            self.duration("http.stall_timeout", 1..=600),
        );
        Some(Connections {
            most: counts.0?,
            per_address: NonZeroUsize::new(counts.1?),
            head_timeout: times.0?,
            keep_alive: times.1?,
            stall_timeout: times.2?,
            bytes_per_second: counts.2? as u64,
        })
    }

    fn handshakes(&mut self) -> Option<Handshakes> {
        let counts = (
            self.count("http.max_handshakes", 1..=1_000_000),
            self.count("http.max_handshakes_per_address", 1..=1_000_000),
        );
        let timeout = self.duration("http.handshake_timeout", 1..=120);
        Some(Handshakes { most: counts.0?, per_address: counts.1?, timeout: timeout? })
    }

    fn limits(&mut self) -> Option<Limits> {
        let mut rate = |key| {
            let count = self.count(key, 0..=100_000).and_then(|count| u32::try_from(count).ok());
            count.map(NonZeroU32::new)
        };
        let pairing = (rate("limits.pairing_per_key"), rate("limits.pairing_per_address"));
        let sending = (rate("limits.sending_per_key"), rate("limits.sending_per_address"));
        let failures_per_address = rate("limits.failures_per_address");
        Some(Limits {
            pairing: Rates { per_key: pairing.0?, per_address: pairing.1? },
            sending: Rates { per_key: sending.0?, per_address: sending.1? },
            failures_per_address: failures_per_address?,
        })
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
        if text.len() < super::secret::MIN_LENGTH {
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

    fn media_authority(&mut self) -> Option<Option<String>> {
        let file = self.text("whatsapp.media_authority");
        if file.is_empty() {
            return Some(None);
        }
        if !cfg!(feature = "loopback") {
            self.mistake("whatsapp.media_authority", "this build trusts the public authorities only");
            return None;
        }
        let pem = std::fs::read_to_string(&file).ok();
        if pem.is_none() {
            self.mistake("whatsapp.media_authority", "expected a readable file");
        }
        pem.map(Some)
    }

    fn public_url(&mut self, listen: Option<std::net::SocketAddr>) -> Option<String> {
        let text = self.text("http.public_url");
        if !text.is_empty() {
            let url = text.parse::<http::Uri>().ok();
            let url =
                url.filter(|url| ["http", "https"].map(Some).contains(&url.scheme_str()) && url.query().is_none());
            if url.is_none() {
                self.mistake("http.public_url", "expected an address like https://whatsapp.kdsapp.site");
            }
            return url.map(|url| url.to_string().trim_end_matches('/').to_owned());
        }
        if let Some(domain) = self.environment.get("RAILWAY_PUBLIC_DOMAIN").filter(|domain| !domain.is_empty()) {
            return Some(format!("https://{domain}"));
        }
        let listen = listen?;
        let any = listen.ip().is_unspecified();
        Some(if any { format!("http://localhost:{}", listen.port()) } else { format!("http://{listen}") })
    }

    fn metrics(&mut self) -> Option<Metrics> {
        let listen = self.parsed("metrics.listen", "an address like 127.0.0.1:9090, or nothing", |text| match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        });
        let per_tenant = self.parsed("metrics.per_tenant", "auto, on or off", |text| match text {
            "auto" => Some(PerTenant::Auto),
            "on" => Some(PerTenant::On),
            "off" => Some(PerTenant::Off),
            _ => None,
        });
        Some(Metrics { listen: listen?, per_tenant: per_tenant? })
    }

    fn history(&mut self) -> Option<History> {
        let kib = (self.count("messages.history_chat_kib", 1..=4096), self.count("messages.history_kib", 1..=4096));
        let parallel = self.count("messages.history_parallel", 1..=256);
        let patience = self.duration("messages.history_patience", 1..=300);
        Some(History { per_chat: kib.0? * 1024, per_tenant: kib.1? * 1024, parallel: parallel?, patience: patience? })
    }

    fn media(&mut self, data_dir: Option<&Path>, vault: Option<&Vault>) -> Option<Media> {
        const MIB: u64 = 1024 * 1024;
        let home = self.media_home(data_dir, vault);
        let keep = (self.duration("media.keep", 60..=31_536_000), self.duration("media.sweep", 1..=86_400));
        let mut bytes = |key, most| self.count(key, 1..=most).map(|count| count as u64 * MIB);
        let keep_bytes = (bytes("media.keep_mib", 100_000_000), bytes("media.keep_all_mib", 100_000_000));
        let most = (bytes("media.max_received_mib", 2048), bytes("media.max_sent_mib", 2048));
        let reserve = self.count("data.reserve_mib", 0..=100_000_000).map(|count| count as u64 * MIB);
        let parallel = (self.count("media.parallel", 1..=256), self.count("media.per_tenant", 1..=64));
        let fetch_timeout = self.duration("media.fetch_timeout", 1..=600);
        let proxies = self.media_proxies();
        Some(Media {
            home: home?,
            eager: self.flag("media.eager"),
            keep: keep.0?,
            keep_bytes: keep_bytes.0?,
            keep_bytes_of_all: keep_bytes.1?,
            reserve: reserve?,
            sweep: keep.1?,
            max_received: most.0?,
            max_sent: most.1?,
            parallel: parallel.0?,
            per_tenant: parallel.1?,
            fetch_timeout: fetch_timeout?,
            proxies: proxies?,
        })
    }

    fn media_proxies(&mut self) -> Option<Vec<(Option<TenantId>, Secret)>> {
        let proxy = |entry: &Secret| {
            let (who, url) = entry.expose().split_once('=')?;
            let scheme = url.parse::<http::Uri>().ok()?.scheme_str()?.to_owned();
            let who = if who == "*" { None } else { Some(who.parse().ok()?) };
            (scheme == "http" || scheme == "https").then(|| (who, Secret::new(url)))
        };
        let proxies = self.secrets("media.proxies").iter().map(proxy).collect();
        if Option::is_none(&proxies) {
            self.mistake("media.proxies", "expected entries like trattoria=http://user:password@host:3128");
        }
        proxies
    }

    fn media_home(&mut self, data_dir: Option<&Path>, vault: Option<&Vault>) -> Option<MediaHome> {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let folder = given(self.text("media.folder")).map(PathBuf::from);
        let (bucket, prefix) = (given(self.text("media.bucket")), self.text("media.prefix"));
        let endpoint = given(self.text("media.endpoint"));
        let kind = self.text("media.store");
        if kind == "folder" {
            return folder.or_else(|| Some(data_dir?.join("media"))).map(MediaHome::Folder);
        }
        if !["gcs", "s3"].contains(&kind.as_str()) {
            self.mistake("media.store", "expected folder, gcs or s3");
            return None;
        }
        if object_store::path::Path::parse(&prefix).is_err() {
            self.mistake("media.prefix", "expected a path like whatsapp/files");
        }
        if bucket.is_none() {
            self.mistake("media.bucket", "must be set");
        }
        match kind.as_str() {
            "gcs" => {
                let service_account = match vault {
                    Some(Vault {
                        home: VaultHome::Firestore { credentials: Credentials::ServiceAccount(key), .. },
                        ..
                    }) => Some(key.clone()),
                    _ => None,
                };
                Some(MediaHome::Gcs { bucket: bucket?, prefix, service_account, endpoint })
            }
            #[cfg(feature = "s3")]
            "s3" => {
                let region = self.text("media.region");
                let (id, secret) =
                    (self.text("media.access_key_id"), Secret::new(self.text("media.secret_access_key")));
                if id.is_empty() || secret.expose().is_empty() {
                    self.mistake("media.access_key_id", "must be set, with media.secret_access_key");
                }
                Some(MediaHome::S3 {
                    bucket: bucket?,
                    prefix,
                    region,
                    endpoint,
                    access_key_id: id,
                    secret_access_key: secret,
                })
            }
            _ => {
                self.mistake("media.store", "this build has no S3 (it needs the feature `s3`)");
                None
            }
        }
    }

    fn allow(&mut self) -> Option<Allow> {
        let entries = self.secrets("outbound.allow");
        match Allow::parse(entries.iter().map(Secret::expose)) {
            Ok(allow) => Some(allow),
            Err(entry) => {
                let expected = "expected blocks like 10.0.0.0/8, addresses and host names";
                self.mistake("outbound.allow", format!("{expected}, not {entry:?}"));
                None
            }
        }
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

    /// The inner `None`: "auto".
    #[expect(clippy::option_option, reason = "a mistake, or the default")]
    fn grace(&mut self) -> Option<Option<Duration>> {
        self.parsed("shutdown.grace", "\"auto\", or a duration from 1s to 300s, like 90s", |text| {
            if text == "auto" {
                return Some(None);
            }
            let grace = Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?;
            (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&grace).then_some(Some(grace))
        })
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

    fn flag(&self, key: &str) -> bool {
        match &self.table.get(key).0 {
            Value::Boolean(value) => *value,
            other => unreachable!("{key} is true or false in the default file, not {other:?}"),
        }
    }

    fn list(&self, key: &str) -> Vec<String> {
        match &self.table.get(key).0 {
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            other => unreachable!("{key} is a list in the default file, not {other:?}"),
        }
    }

    fn secrets(&self, key: &str) -> Vec<Secret> {
        self.list(key).into_iter().map(Secret::new).collect()
    }
}

/// Nobody on the way reads what is said there, or changes it.
pub fn is_safe(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let is_loopback = url.host().is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host));
    url.scheme_str() == Some("https") || (url.scheme_str() == Some("http") && is_loopback)
}

fn version(text: &str) -> Option<Option<(u32, u32, u32)>> {
    if text.is_empty() {
        return Some(None);
    }
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    <[u32; 3]>::try_from(numbers).ok().map(|[a, b, c]| Some((a, b, c)))
}
