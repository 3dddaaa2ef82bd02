//! Where the database is, and with which credentials it is asked. Reads no file, and shows no key.

use std::{fmt, time::Duration};

use zeroize::Zeroizing;

/// Where the database is and how to be let in.
#[derive(Debug, Clone)]
pub struct FirestoreConfig {
    pub project: String,
    /// `(default)` in most projects.
    pub database: String,
    pub credentials: FirestoreCredentials,
    /// For each request. A streamed answer may take longer, none of its pieces may.
    pub request_timeout: Duration,
}

#[derive(Debug, Clone)]
pub enum FirestoreCredentials {
    /// A key file's content.
    ServiceAccountJson(ServiceAccountKey),
    /// The credentials that `GOOGLE_APPLICATION_CREDENTIALS`, gcloud or the machine itself provides.
    ApplicationDefault,
    /// None: an emulator at `host:port`, without TLS.
    Emulator { host: String },
}

/// The JSON that names a service account and holds its private key.
#[derive(Clone)]
pub struct ServiceAccountKey(pub(super) Zeroizing<String>);

impl ServiceAccountKey {
    pub fn new(json: String) -> Self {
        Self(json.into())
    }
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceAccountKey(…)")
    }
}
