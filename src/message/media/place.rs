//! The places where files can be kept: a folder, Google Cloud Storage (which Firebase Storage is), S3.

use std::{path::Path as Folder, sync::Arc, time::Duration};

use anyhow::Context as _;
use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    client::{HttpClient, HttpConnector},
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
    path::Path,
};

use crate::config::MediaHome;

/// The place, and what stands before every path there.
pub fn open(home: &MediaHome) -> anyhow::Result<(Arc<dyn ObjectStore>, Path)> {
    match home {
        MediaHome::Folder(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} for files cannot be made", folder.display()))?;
            remove_unfinished(folder)?;
            // Without it a power cut could leave files of the right name with wrong content.
            Ok((Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)), Path::default()))
        }
        MediaHome::Gcs { bucket, prefix, service_account, endpoint } => {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(bucket)
                .with_retry(retries())
                .with_http_connector(Connector);
            if let Some(account) = service_account {
                builder = builder.with_service_account_key(account.expose());
            }
            if let Some(endpoint) = endpoint {
                // It needs no credentials; without any the machine would be asked for some.
                builder = builder.with_base_url(endpoint).with_bearer_token("none");
            }
            Ok((Arc::new(builder.build().context("Google Cloud Storage")?), Path::parse(prefix)?))
        }
        #[cfg(feature = "s3")]
        MediaHome::S3 { bucket, prefix, region, endpoint, access_key_id, secret_access_key } => {
            let mut builder = object_store::aws::AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_region(region)
                .with_access_key_id(access_key_id)
                .with_secret_access_key(secret_access_key.expose())
                .with_retry(retries())
                .with_http_connector(Connector);
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
            }
            Ok((Arc::new(builder.build().context("S3")?), Path::parse(prefix)?))
        }
    }
}

/// Somebody waits for the answer.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

/// Pieces of files that a process did not finish: the store names them `{name}#{n}`.
fn remove_unfinished(folder: &Folder) -> std::io::Result<()> {
    for tenant in std::fs::read_dir(folder)? {
        let tenant = tenant?.path();
        if !tenant.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(tenant)? {
            let file = file?.path();
            if file.file_name().is_some_and(|name| name.to_string_lossy().contains('#')) {
                std::fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

/// Requests to the clouds go out with the roots that are compiled in: the image has no others.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "HTTP", source };
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_secs(20))
            .build()
            .map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = folder.path().join("trattoria");
        std::fs::create_dir(&tenant).unwrap();
        for name in ["whole", "half#1"] {
            std::fs::write(tenant.join(name), b"x").unwrap();
        }
        open(&MediaHome::Folder(folder.path().into())).unwrap();
        assert!(tenant.join("whole").exists() && !tenant.join("half#1").exists());
    }
}
