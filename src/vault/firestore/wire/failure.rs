//! Firestore's failures: what they mean for a write, and for the vault.

use std::error::Error;

use firestore::gcloud_sdk::{
    self,
    error::ErrorKind,
    tonic::{Code, Status},
};

use crate::vault::firestore::VaultError;

/// A request that was not answered with success.
#[derive(Debug)]
pub(in crate::vault::firestore) struct RpcFailure(pub(super) Status);

impl RpcFailure {
    /// A write required that its document does not exist, and it does. No write of the commit was carried out.
    pub(in crate::vault::firestore) fn exists(&self) -> bool {
        self.0.code() == Code::AlreadyExists
    }

    /// A write required that its document exists, and it does not. No write of the commit was carried out.
    pub(in crate::vault::firestore) fn missing(&self) -> bool {
        self.0.code() == Code::NotFound
    }

    /// A write required that its document is as it was, and it is not. No write of the commit was carried out.
    pub(in crate::vault::firestore) fn changed(&self) -> bool {
        self.0.code() == Code::FailedPrecondition
    }
}

impl From<RpcFailure> for VaultError {
    /// Whatever may have been carried out, or may succeed later, is `Unavailable`.
    fn from(RpcFailure(status): RpcFailure) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            // Not found: neither document nor precondition, so the database itself.
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused(text),
            Code::DataLoss => Self::Malformed(text),
            _ if credentials_refused(&status) => Self::Refused(text),
            // Aborted and ResourceExhausted too: contention and quotas pass.
            _ => Self::Unavailable(text),
        }
    }
}

/// No token was to be had, and it is no use to try again: then nothing was sent.
fn credentials_refused(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        let known = error
            .downcast_ref::<gcloud_sdk::error::Error>()
            .or_else(|| error.downcast_ref::<Box<gcloud_sdk::error::Error>>().map(|error| &**error));
        if let Some(ErrorKind::Credentials(error)) = known.map(gcloud_sdk::error::Error::kind) {
            return !error.is_transient();
        }
        source = error.source();
    }
    false
}

/// An error with its causes: tonic's top one says no more than "transport error".
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
