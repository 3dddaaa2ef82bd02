//! One HTTPS request to the media host, byte by byte as the test wants it, trusting the network's authority alone.

use std::sync::Arc;

use loopback::Network;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

pub async fn connect(network: &Network) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(network.media_ca_pem().as_bytes()).expect("PEM");
    roots.add(ca).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = network.media_host();
    let (ip, _) = host.rsplit_once(':').expect("host:port");
    let name = ServerName::try_from(ip.to_owned()).expect("an address");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(&host).await?).await
}

/// Sends a request with these header lines; `None` when the connection ended before the whole answer.
pub async fn request(network: &Network, line: &str, headers: &str, body: &[u8]) -> Option<Response> {
    let mut stream = connect(network).await.ok()?;
    let head = format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", network.media_host());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..split].to_vec()).ok()?;
    let body = answer[split + 4..].to_vec();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length != Some(body.len()) && !line.starts_with("HEAD") {
        return None;
    }
    Some(Response { status: head.split(' ').nth(1)?.parse().ok()?, head, body })
}

pub async fn get(network: &Network, path: &str) -> Option<Response> {
    request(network, &format!("GET {path}"), "", b"").await
}
