//! `http`: where it listens, who may call it, how long a peer may take.

use std::{net::IpAddr, num::NonZeroUsize};

use ipnet::IpNet;

use super::SettingReader;
use crate::config::{ConnectionsConfig, Handshakes, Origins, Proxies};

impl SettingReader<'_> {
    pub(super) fn origins(&mut self, legacy_open: bool) -> Option<Origins> {
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

    pub(super) fn proxies(&mut self) -> Option<Proxies> {
        let networks = self.list("http.trusted_proxies");
        let network = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
        let trusted = networks.iter().map(network).collect::<Option<_>>();
        if trusted.is_none() {
            self.mistake("http.trusted_proxies", "expected addresses or networks like 10.0.0.0/8");
        }
        let header = self.parsed("http.client_address_header", "the name of a header", |text| text.parse().ok());
        Some(Proxies { trusted: trusted?, header: header? })
    }

    pub(super) fn connections(&mut self) -> Option<ConnectionsConfig> {
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
        Some(ConnectionsConfig {
            most: counts.0?,
            per_address: NonZeroUsize::new(counts.1?),
            head_timeout: times.0?,
            keep_alive: times.1?,
            stall_timeout: times.2?,
            bytes_per_second: counts.2? as u64,
        })
    }

    pub(super) fn handshakes(&mut self) -> Option<Handshakes> {
        let counts = (
            self.count("http.max_handshakes", 1..=1_000_000),
            self.count("http.max_handshakes_per_address", 1..=1_000_000),
        );
        let timeout = self.duration("http.handshake_timeout", 1..=120);
        Some(Handshakes { most: counts.0?, per_address: counts.1?, timeout: timeout? })
    }

    pub(super) fn public_url(&mut self, listen: Option<std::net::SocketAddr>) -> Option<String> {
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
}
