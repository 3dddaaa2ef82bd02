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
            remove_unfinished(folder);
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

/// Another process that lives may be writing a younger one: files come and go within minutes.
const UNFINISHED_AGE: Duration = Duration::from_secs(3600);

/// Pieces of files that a process did not finish: the store names them `{name}#{n}`. What cannot be read or removed stays, and stops
/// nobody: the folder may be a volume's, with things of others in it.
fn remove_unfinished(folder: &Folder) {
    let entries = |folder: &Folder| std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for piece in entries(folder).flat_map(|tenant| entries(&tenant.path())) {
        let is_piece = piece.file_name().to_string_lossy().contains('#');
        let age = piece.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if !is_piece || age.is_none_or(|age| age < UNFINISHED_AGE) {
            continue;
        }
        match std::fs::remove_file(piece.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(
                    event = "file_piece_kept",
                    file = %piece.path().display(),
                    %error,
                    "a piece of a file stays"
                );
            }
            _ => {}
        }
    }
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
    fn only_old_pieces_go_and_nothing_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = folder.path().join("trattoria");
        std::fs::create_dir_all(&tenant).unwrap();
        let lost = folder.path().join("lost+found");
        std::fs::create_dir_all(&lost).unwrap();
        std::fs::set_permissions(&lost, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let old = std::time::SystemTime::now() - 2 * UNFINISHED_AGE;
        for (name, at) in [("a#1", old), ("b#1", std::time::SystemTime::now()), ("c", old)] {
            std::fs::File::create(tenant.join(name)).unwrap().set_modified(at).unwrap();
        }
        open(&MediaHome::Folder(folder.path().into())).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&tenant).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["b#1", "c"]);
        remove_unfinished(&folder.path().join("nothing"));
    }
}
