//! `media`: where files are kept, how many, for how long.

use std::path::{Path, PathBuf};

use super::SettingReader;
use crate::{
    config::{Credentials, MediaConfig, MediaHome, Secret, VaultConfig, VaultHome},
    tenant::TenantId,
};

impl SettingReader<'_> {
    pub(super) fn media(&mut self, data_dir: Option<&Path>, vault: Option<&VaultConfig>) -> Option<MediaConfig> {
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
        Some(MediaConfig {
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

    fn media_home(&mut self, data_dir: Option<&Path>, vault: Option<&VaultConfig>) -> Option<MediaHome> {
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
                    Some(VaultConfig {
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
}
