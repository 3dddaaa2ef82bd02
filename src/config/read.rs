//! Values out of the merged table: each is checked, and what is wrong is written down while the reading goes on.

mod alerts;
mod auth;
mod bot;
mod cluster;
mod http;
mod import;
mod media;
mod messages;
mod session;
mod vault;
mod whatsapp;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use jiff::SignedDuration;
use toml::Value;

use super::{
    Config, Http, LogConfig, LogFormat, Metrics, Mistake, OutboundConfig, PerTenant, Restore, Secret, Traces,
    WebhooksConfig,
    source::{SaidSettings, SettingTable},
};
use crate::{outbound::Allow, telemetry::log_filter};

/// Reads settings out of the table; what is wrong goes to the list, and the reading goes on.
pub struct SettingReader<'a> {
    table: &'a SettingTable,
    environment: &'a BTreeMap<String, String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> SettingReader<'a> {
    pub fn new(
        table: &'a SettingTable,
        environment: &'a BTreeMap<String, String>,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        Self { table, environment, mistakes }
    }
}

impl SettingReader<'_> {
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
        let heartbeat = self.heartbeat();
        let session = self.session();
        let whatsapp = self.whatsapp();
        let media = self.media(data_dir.as_deref(), vault.as_ref());
        let messages = self.messages();
        let outbound = (self.allow(), self.duration("outbound.timeout", 1..=120));
        let webhooks = (self.count("webhooks.concurrency", 1..=4096), self.count("webhooks.per_tenant", 1..=256));
        let cluster = self.cluster();
        let metrics = self.metrics();
        let traces = self.traces();
        let alerts = self.alerts();
        let bot = self.bot(import.as_ref());
        let shutdown_grace = self.grace();
        let levels = "a level (off, error, warn, info, debug or trace), or a filter like info,sessiond=debug";
        let filter = self.parsed("log.filter", levels, |text| log_filter::checked(text).ok());
        let format = self.parsed("log.format", "auto, text or json", |text| match text {
            "auto" => Some(LogFormat::Auto),
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        self.check_ports(&[
            ("http.listen", listen),
            ("metrics.listen", metrics.as_ref().and_then(|metrics| metrics.listen)),
            ("cluster.listen", cluster.as_ref().and_then(|cluster| cluster.listen)),
        ]);
        if let (Some(import), Some(deadline)) = (&import, restore.2)
            && import.on_start
            && import.deadline >= deadline
        {
            self.mistake("import.deadline", "must be below restore.deadline");
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
            heartbeat: heartbeat?,
            session: session?,
            whatsapp: whatsapp?,
            media: media?,
            messages: messages?,
            outbound: OutboundConfig { allow: outbound.0?, timeout: outbound.1? },
            webhooks: WebhooksConfig { concurrency: webhooks.0?, per_tenant: webhooks.1? },
            cluster: cluster?,
            metrics: metrics?,
            traces: traces?,
            alerts: alerts?,
            bot: bot?,
            shutdown_grace: shutdown_grace?,
            log: LogConfig { filter: filter?, format: format? },
            said: SaidSettings::default(),
        })
    }

    /// Two of our own listeners on one port: only one would get it.
    fn check_ports(&mut self, listeners: &[(&str, Option<SocketAddr>)]) {
        let overlaps = |one: SocketAddr, other: SocketAddr| {
            // Any IPv6 address takes those of IPv4 as well.
            let takes =
                |any: SocketAddr, one: SocketAddr| any.ip().is_unspecified() && (any.is_ipv6() || one.is_ipv4());
            let is_any = takes(one, other) || takes(other, one);
            one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
        };
        for (n, (key, one)) in listeners.iter().enumerate() {
            let taken = listeners[..n]
                .iter()
                .find(|(_, other)| one.zip(*other).is_some_and(|(one, other)| overlaps(one, other)));
            if let Some((other, _)) = taken {
                self.mistake(key, format!("expected another port than that of {other}"));
            }
        }
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

    fn traces(&mut self) -> Option<Traces> {
        let endpoint = self.parsed(
            "otel.endpoint",
            "an http or https address like http://collector:4318/v1/traces, or nothing",
            |text| {
                if text.is_empty() {
                    return Some(None);
                }
                let url = text.parse::<::http::Uri>().ok()?;
                let is_whole = url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"));
                is_whole.then(|| Some(text.to_owned()))
            },
        );
        let sample = self.parsed("otel.sample", "a part from 0 to 1, like 0.01", |text| {
            text.parse::<f64>().ok().filter(|part| (0.0..=1.0).contains(part))
        });
        if matches!(endpoint, Some(Some(_))) && !cfg!(feature = "otel") {
            self.mistake("otel.endpoint", "this build exports no traces (it needs the feature `otel`)");
            return None;
        }
        Some(Traces { endpoint: endpoint?, sample: sample? })
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
    let Ok(url) = url.parse::<::http::Uri>() else { return false };
    let is_loopback = url.host().is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host));
    url.scheme_str() == Some("https") || (url.scheme_str() == Some("http") && is_loopback)
}
