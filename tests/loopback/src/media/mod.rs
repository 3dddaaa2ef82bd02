//! The media host: HTTPS on loopback, where clients put encrypted files and fetch them.
//!
//! Owns the files, by the hash of their encrypted bytes, and the tokens with which devices upload. Promises what
//! WhatsApp's hosts do: an upload is kept only if its bytes have the hash that its token names; an upload that was
//! cut off can be resumed; a file is found under its signed path alone. Never looks inside a file.
//!
//! | module | owns |
//! |---|---|
//! | `again` | files that are forgotten, and put there again |
//! | `authority` | the certificate authority, made at every start |
//! | `host` | sockets, TLS, routes, faults |
//! | `upload`, `download` | the two things it does |
//! | `seal` | files of the network's own endpoints: encrypted and put there, found and opened |

mod again;
mod authority;
mod download;
pub(crate) mod host;
pub(crate) mod seal;
mod upload;

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::account::{AccountId, DeviceAddress};
use crate::world::World;

pub(crate) use authority::Authority;

/// How long a client may use the host it was told, and its token, in seconds.
const ROUTE_LIFE: u32 = 300;
const TOKEN_LIFE: u32 = 21_600;

/// The kinds of files there are, as upload paths name them, with the folder that downloads come from.
const FOLDERS: [(&str, &str); 8] = [
    ("image", "t62.7118-24"),
    ("video", "t62.7161-24"),
    ("audio", "t62.7117-24"),
    ("document", "t62.7119-24"),
    ("thumbnail-link", "t62.36144-24"),
    ("sticker-pack", "t62.15575-24"),
    ("md-msg-hist", "t62.36147-24"),
    ("md-app-state", "t62.34959-24"),
];

/// A file as the host keeps it.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Bytes,
    pub(crate) direct_path: String,
}

/// The media host's state.
#[derive(Default)]
pub(crate) struct MediaStore {
    /// `host:port`, as clients are told it.
    pub(crate) hostname: String,
    tokens: HashMap<String, DeviceAddress>,
    /// By path, without its query.
    blobs: HashMap<String, Blob>,
    /// Files that are not found any more, and that phones still have.
    forgotten: HashMap<String, Blob>,
    /// The beginnings of uploads that were cut off, by kind and hash.
    partial: HashMap<(String, String), Bytes>,
    /// Signs paths.
    secret: [u8; 16],
}

/// Why an upload is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UploadError {
    #[error("there are no files of that kind")]
    Kind,
    #[error("the bytes do not have the hash that the token names")]
    Hash,
}

impl MediaStore {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        Self { secret: rng.random(), ..Self::default() }
    }

    pub(crate) fn owner(&self, token: &str) -> Option<AccountId> {
        self.tokens.get(token).map(|device| device.account)
    }

    /// Keeps a file whose encrypted bytes have the hash `token` (base64 for URLs).
    pub(crate) fn put(&mut self, kind: &str, token: &str, bytes: Bytes) -> Result<Blob, UploadError> {
        let Some((_, folder)) = FOLDERS.iter().find(|(name, _)| *name == kind) else {
            return Err(UploadError::Kind);
        };
        let digest = Sha256::digest(&bytes);
        if BASE64_URL_SAFE_NO_PAD.encode(digest) != token {
            return Err(UploadError::Hash);
        }
        self.partial.remove(&(kind.to_owned(), token.to_owned()));
        let path = format!("/v/{folder}/{}_n.enc", hex::encode(&digest[..12]));
        let direct_path = self.signed(&path);
        let blob = Blob { bytes, direct_path };
        self.blobs.insert(path, blob.clone());
        Ok(blob)
    }

    /// Keeps a file that everybody may see as it is, as pictures of accounts are; returns its place.
    pub(crate) fn publish(&mut self, bytes: Bytes) -> Blob {
        let path = format!("/v/t61.24694-24/{}_n.jpg", hex::encode(&Sha256::digest(&bytes)[..12]));
        let direct_path = format!("{path}?ccb=11-4&oh={}&oe=7FFFFFFF", self.signature(&path));
        let blob = Blob { bytes, direct_path };
        self.blobs.insert(path, blob.clone());
        blob
    }

    /// The file under a path. `query` must carry the path's signature.
    pub(crate) fn get(&self, path: &str, query: &str) -> Option<&Blob> {
        let signature = self.signature(path);
        parameter(query, "oh").filter(|oh| *oh == signature)?;
        self.blobs.get(path)
    }

    /// The file that was uploaded under a hash.
    pub(crate) fn uploaded(&self, kind: &str, token: &str) -> Option<&Blob> {
        let (_, folder) = FOLDERS.iter().find(|(name, _)| *name == kind)?;
        let digest = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        self.blobs.get(&format!("/v/{folder}/{}_n.enc", hex::encode(digest.get(..12)?)))
    }

    pub(crate) fn url(&self, blob: &Blob) -> String {
        format!("https://{}{}", self.hostname, blob.direct_path)
    }

    fn signed(&self, path: &str) -> String {
        format!("{path}?ccb=11-4&oh={}&oe=7FFFFFFF&_nc_sid=5e03e0", self.signature(path))
    }

    fn signature(&self, path: &str) -> String {
        let digest = Sha256::new().chain_update(self.secret).chain_update(path).finalize();
        format!("01_{}", BASE64_URL_SAFE_NO_PAD.encode(&digest[..15]))
    }
}

impl World {
    /// `<media_conn>`: where to upload to and download from, and the token for it.
    pub(crate) fn media_conn(&mut self, device: DeviceAddress) -> Node {
        let token = BASE64_URL_SAFE_NO_PAD.encode(self.rng.random::<[u8; 24]>());
        self.media.tokens.insert(token.clone(), device);
        let host = NodeBuilder::new("host")
            .attr("hostname", self.media.hostname.as_str())
            .attr("type", "primary")
            .children([NodeBuilder::new("upload").build(), NodeBuilder::new("download").build()]);
        NodeBuilder::new("media_conn")
            .attr("auth", token)
            .attr("ttl", ROUTE_LIFE)
            .attr("auth_ttl", TOKEN_LIFE)
            .attr("max_buckets", 12u8)
            .children([host.build()])
            .build()
    }
}

/// A parameter of a query. Clients append `?auth=` to paths that have a query already, so `?` separates too.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split(['&', '?']).find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, v)| v))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn token(bytes: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
    }

    #[test]
    fn a_file_is_kept_under_its_hash_and_found_under_its_signed_path_alone() {
        let mut store = MediaStore::new(&mut StdRng::seed_from_u64(1));
        let bytes = Bytes::from_static(b"encrypted");
        assert_eq!(store.put("image", &token(b"other"), bytes.clone()).err(), Some(UploadError::Hash));
        assert_eq!(store.put("gremlin", &token(&bytes), bytes.clone()).err(), Some(UploadError::Kind));
        let blob = store.put("image", &token(&bytes), bytes.clone()).expect("kept");
        let (path, query) = blob.direct_path.split_once('?').expect("signed");
        assert_eq!(store.get(path, query).expect("found").bytes, bytes);
        assert_eq!(store.get(path, &format!("{query}?auth=x&token=y")).expect("found").bytes, bytes);
        assert!(store.get(path, "ccb=11-4").is_none());
        assert!(store.get(path, &query.replace("01_", "02_")).is_none());
    }
}
