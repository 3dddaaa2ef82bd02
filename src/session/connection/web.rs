//! Limits the library's web requests: to WhatsApp's hosts, and to a bounded body.
//!
//! The library writes the path of a file behind the name of a host of WhatsApp's, and fetches what comes of it: paths of messages are
//! checked before ([`crate::session::files`]), but that of a history, which the tenant's phone names, the library takes as it is. A path
//! like `@10.0.0.1/` would make it another host.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};

/// The most bytes of a download that the library holds in memory: histories, and snapshots of settings. Files of messages are streamed.
const IN_MEMORY: u64 = 32 * 1024 * 1024;

/// WhatsApp's domains, and its owner's for media.
const DOMAINS: [&str; 3] = ["whatsapp.net", "whatsapp.com", "fbcdn.net"];

/// Leads to WhatsApp's servers only; in a build for the loopback network, to loopback addresses only.
pub struct WhatsAppHostsOnly<H>(pub H);

impl<H> WhatsAppHostsOnly<H> {
    fn check(request: &HttpRequest) -> anyhow::Result<()> {
        check(&request.url, cfg!(feature = "loopback"))
    }
}

fn check(url: &str, loopback: bool) -> anyhow::Result<()> {
    let uri: http::Uri = url.parse()?;
    let authority = uri.authority().context("no host")?;
    ensure!(!authority.as_str().contains('@'), "a path that names another host");
    let host = authority.host().trim_matches(['[', ']']);
    if loopback {
        let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        ensure!(is_loopback, "a build with the feature `loopback` does not connect to {host}: it is not on loopback");
    } else {
        let mut below = DOMAINS.iter().filter_map(|domain| host.strip_suffix(domain));
        ensure!(below.any(|below| below.is_empty() || below.ends_with('.')), "{host} is no host of WhatsApp's");
    }
    Ok(())
}

#[async_trait]
impl<H: HttpClient> HttpClient for WhatsAppHostsOnly<H> {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        Self::check(&request)?;
        self.0.execute(request).await
    }

    fn supports_streaming(&self) -> bool {
        self.0.supports_streaming()
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        Self::check(&request)?;
        self.0.execute_streaming(request)
    }

    fn supports_upload_streaming(&self) -> bool {
        self.0.supports_upload_streaming()
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        Self::check(&request)?;
        self.0.execute_upload(request, body, length)
    }
}

/// For the library, which takes what it downloads by itself into memory, however long it is: what is longer is cut, and then is not
/// what it should be.
pub struct BoundedBody(pub Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for BoundedBody {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        self.0.execute(request).await
    }

    fn supports_streaming(&self) -> bool {
        self.0.supports_streaming()
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let StreamingHttpResponse { status_code, body } = self.0.execute_streaming(request)?;
        Ok(StreamingHttpResponse { status_code, body: Box::new(std::io::Read::take(body, IN_MEMORY)) })
    }

    fn supports_upload_streaming(&self) -> bool {
        self.0.supports_upload_streaming()
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        self.0.execute_upload(request, body, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whatsapps_hosts_are_reached() {
        for url in [
            "https://mmg.whatsapp.net/v/t62.7118-24/x.enc?ccb=11-4",
            "https://media-bog2-1.cdn.whatsapp.net/v/x",
            "https://web.whatsapp.com/sw.js",
        ] {
            assert!(check(url, false).is_ok(), "{url}");
            assert!(check(url, true).is_err(), "{url}");
        }
        for url in [
            "https://mmg.whatsapp.net@evil.example/v/x",
            "https://mmg.whatsapp.net:443@10.0.0.1/",
            "https://mmg.whatsapp.net.evil.example/v/x",
            "https://evilwhatsapp.net/",
            "https://169.254.169.254/latest/meta-data/",
            "https://127.0.0.1/",
            "/v/x",
        ] {
            assert!(check(url, false).is_err(), "{url}");
        }
        assert!(check("https://127.0.0.1:4433/v/x", true).is_ok());
        assert!(check("https://127.0.0.1:4433@127.0.0.1:8080/", true).is_err());
    }
}
