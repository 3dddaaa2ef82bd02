//! Files that the network's own endpoints send and get: encrypted and put on the host, found there and opened.
//!
//! Opening verifies everything that a client verifies: both hashes, the authentication code, the padding, the length.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use wacore::download::{DownloadUtils, Downloadable, MediaType};
use wacore::upload::encrypt_media_with_key;

use super::MediaStore;

/// A file on the host, with what a message says of it.
pub(crate) struct SealedFile {
    pub(crate) url: String,
    pub(crate) direct_path: String,
    pub(crate) media_key: Vec<u8>,
    pub(crate) file_sha256: Vec<u8>,
    pub(crate) file_enc_sha256: Vec<u8>,
    pub(crate) file_length: u64,
    pub(crate) streaming_sidecar: Option<Vec<u8>>,
}

impl MediaStore {
    /// Encrypts a file and puts it on the host.
    pub(crate) fn seal(&mut self, plain: &[u8], kind: MediaType, rng: &mut StdRng) -> Result<SealedFile, String> {
        let key: [u8; 32] = rng.random();
        let sealed = encrypt_media_with_key(plain, kind, Some(&key)).map_err(|e| e.to_string())?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(sealed.file_enc_sha256);
        let bytes = Bytes::from(sealed.data_to_upload);
        let blob = self.put(kind.mms_type(), &token, bytes).map_err(|e| e.to_string())?;
        Ok(SealedFile {
            url: self.url(&blob),
            direct_path: blob.direct_path,
            media_key: key.to_vec(),
            file_sha256: sealed.file_sha256.to_vec(),
            file_enc_sha256: sealed.file_enc_sha256.to_vec(),
            file_length: plain.len() as u64,
            streaming_sidecar: sealed.streaming_sidecar,
        })
    }

    /// Finds and opens a file that a message names.
    pub(crate) fn open(&self, file: &dyn Downloadable) -> Result<Vec<u8>, String> {
        let plain = self.open_any_length(file)?;
        if file.file_length() != Some(plain.len() as u64) {
            return Err("the file does not have the length that the message names".to_owned());
        }
        Ok(plain)
    }

    /// The same of one whose length is not said.
    pub(crate) fn open_any_length(&self, file: &dyn Downloadable) -> Result<Vec<u8>, String> {
        let direct_path = file.direct_path().ok_or("no direct path")?;
        let (path, query) = direct_path.split_once('?').unwrap_or((direct_path, ""));
        let blob = self.get(path, query).ok_or("no such file on the host")?;
        if Some(Sha256::digest(&blob.bytes).as_slice()) != file.file_enc_sha256() {
            return Err("the encrypted file does not have the hash that the message names".to_owned());
        }
        let key = file.media_key().ok_or("no media key")?;
        let plain = DownloadUtils::verify_and_decrypt(&blob.bytes, key, file.app_info()).map_err(|e| e.to_string())?;
        if Some(Sha256::digest(&plain).as_slice()) != file.file_sha256() {
            return Err("the file does not have the hash that the message names".to_owned());
        }
        Ok(plain)
    }
}
