//! The client for WhatsApp's web servers: its media hosts, and the page that tells its version. The library's own has no deadlines: a
//! host that falls silent would hold a thread for good.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ureq::{
    Proxy,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};
use whatsapp_rust::http::{HttpClient, UreqHttpClient};

use super::web::WhatsAppHostsOnly;

/// Without a byte, in either direction.
const HTTP_SILENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// For one exchange, however steadily its bytes drip.
const HTTP_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// `authority`: certificates (PEM) that are trusted in place of the public ones. `proxy`: its URL; without one, the environment's.
pub fn http_client(authority: Option<&str>, proxy: Option<&str>) -> anyhow::Result<Arc<dyn HttpClient>> {
    let roots = match authority {
        None => RootCerts::WebPki,
        Some(pem) => {
            let certificates: Result<Vec<Certificate<'static>>, ureq::Error> = parse_pem(pem.as_bytes())
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                })
                .collect();
            RootCerts::from(certificates.context("the media hosts' authority")?)
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots)
        .build();
    let proxy = match proxy {
        Some(url) => {
            // Its error would show the password.
            let proxy = Proxy::new(url).map_err(|_| anyhow::anyhow!("a proxy of media.proxies cannot be used"))?;
            let loopback = proxy.host().parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            ensure!(
                loopback || !cfg!(feature = "loopback"),
                "a build with the feature `loopback` uses no proxy but one on loopback"
            );
            Some(proxy)
        }
        None => Proxy::try_from_env(),
    };
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .timeout_resolve(Some(HTTP_SILENCE_TIMEOUT))
        .timeout_connect(Some(HTTP_SILENCE_TIMEOUT))
        .timeout_recv_response(Some(2 * HTTP_SILENCE_TIMEOUT))
        .timeout_per_read(Some(HTTP_SILENCE_TIMEOUT))
        .timeout_per_write(Some(HTTP_SILENCE_TIMEOUT))
        .timeout_global(Some(HTTP_EXCHANGE_TIMEOUT))
        // WhatsApp's media hosts send nobody elsewhere.
        .max_redirects(0)
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .max_idle_connections(8)
        .max_idle_connections_per_host(4)
        .build()
        .new_agent();
    let client = UreqHttpClient::with_agent(agent);
    Ok(Arc::new(WhatsAppHostsOnly(client)))
}
